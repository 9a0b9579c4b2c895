//! Waiting by asking: again and again, until the answer is there or the time is over.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// How long anything may take that a healthy cluster does within a second. It decides when a test gives up, never what
/// it finds, and the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer. The error of the last question stands in the failure.
pub(crate) fn eventually<T, E: std::fmt::Debug>(
    what: &str,
    mut ask: impl FnMut() -> Result<T, E>,
) -> T {
    let end = now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(now() < end, "never came: {what}: {error:?}"),
        }
        sleep(PAUSE);
    }
}

/// The time, for deadlines.
#[expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time; it only decides when to give up, and how long a fault lasts"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets a fault last.
pub(crate) fn pass(time: Duration) {
    sleep(time);
}
