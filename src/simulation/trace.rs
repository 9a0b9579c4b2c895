//! The story of a run: the last lines of what changed, with virtual time, and a fingerprint of all of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Lines that are kept.
const LINES_MAX: usize = 400;

/// Are lines shown as they come?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Only the last ones, after a failure.
    Quiet,
    /// All of them.
    Loud,
}

/// The last lines, and the hash of all.
#[derive(Debug)]
struct State {
    echo: Echo,
    lines: VecDeque<String>,
    fingerprint: u64,
}

/// Shared by everything in a world.
#[derive(Clone, Debug)]
pub struct Trace(Rc<RefCell<State>>);

impl Trace {
    /// An empty story.
    #[must_use]
    pub fn new(echo: Echo) -> Self {
        Self(Rc::new(RefCell::new(State {
            echo,
            lines: VecDeque::new(),
            fingerprint: 0,
        })))
    }

    /// Something changed.
    pub fn note(&self, now_ns: u64, what: &str) {
        let line = format!("{:>12.3} ms  {what}", milliseconds(now_ns));
        let mut state = self.0.borrow_mut();
        state.fingerprint = xxh3_64_with_seed(line.as_bytes(), state.fingerprint);
        if state.echo == Echo::Loud {
            eprintln!("{line}");
        }
        state.lines.push_back(line);
        if state.lines.len() > LINES_MAX {
            state.lines.pop_front();
        }
    }

    /// The last lines.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let state = self.0.borrow();
        let skipped = state.lines.len().saturating_sub(count);
        state.lines.iter().skip(skipped).cloned().collect()
    }

    /// Equal for equal stories.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.borrow().fingerprint
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "virtual time is shown, not compared"
)]
fn milliseconds(now_ns: u64) -> f64 {
    now_ns as f64 / 1e6
}
