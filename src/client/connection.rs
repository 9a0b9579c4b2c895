//! One connection to one shard: hello, frames in and out, and who uses it.
//!
//! ```text
//!   Idle ──want──> Dialing ──connected──> Greeting ──hello back──> Ready
//!    ▲                │                      │                       │
//!    └────────────────┴── closed, refused, silent ───────────────────┘   (each with a longer pause)
//! ```
//!
//! A link stays for as long as the client lives; every dial is a new life of it, so that what a driver says about
//! an earlier one is recognised.

use crate::retry::Backoff;
use crate::session::SessionKey;
use margay_types::{NodeId, ShardId};
use margay_wire::Splitter;
use margay_wire::hello::HELLO_BYTES;
use std::collections::BTreeMap;

/// Bytes that have left are kept in the buffer up to here, to save moving what is behind them.
const COMPACT_BYTES: usize = 256 << 10;

/// Names one life of one connection to a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Which link.
    pub link: u32,
    /// Which dial of it.
    pub life: u32,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// An address that the application gave, by its place in the list.
    Endpoint(usize),
    /// A shard of a node of the map; lanes are connections side by side.
    Shard {
        node: NodeId,
        shard: ShardId,
        lane: u16,
    },
}

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Idle,
    Dialing,
    Greeting,
    Ready,
}

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) target: Target,
    pub(crate) state: LinkState,
    pub(crate) life: u32,
    /// Bytes that the driver has not taken yet.
    pub(crate) out: Vec<u8>,
    /// Of them, how many have left.
    pub(crate) out_sent: usize,
    /// The beginning of the answer to our hello.
    pub(crate) hello: Vec<u8>,
    pub(crate) splitter: Splitter,
    pub(crate) backoff: Backoff,
    /// Not dialed before.
    pub(crate) retry_at_ns: u64,
    /// Since when something was asked and nothing has come.
    pub(crate) asked_at_ns: Option<u64>,
    /// Is a timer under way that looks at it?
    pub(crate) is_silence_armed: bool,
    /// When the next keep-alive is due.
    pub(crate) keep_alive_at_ns: u64,
    /// The sessions bound here, by their number on this connection.
    pub(crate) attachments: BTreeMap<u32, SessionKey>,
    /// The sessions that wait for it to become ready.
    pub(crate) waiting: Vec<SessionKey>,
}

impl Link {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            state: LinkState::Idle,
            life: 0,
            out: Vec::new(),
            out_sent: 0,
            hello: Vec::new(),
            splitter: Splitter::default(),
            backoff: Backoff::default(),
            retry_at_ns: 0,
            asked_at_ns: None,
            is_silence_armed: false,
            keep_alive_at_ns: u64::MAX,
            attachments: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == LinkState::Ready
    }

    /// Did the last dial fail so recently that the next one has to wait?
    pub(crate) fn is_failing(&self, now_ns: u64) -> bool {
        self.state == LinkState::Idle && self.retry_at_ns > now_ns
    }

    /// A new life begins.
    pub(crate) fn become_dialing(&mut self) {
        assert!(
            self.state == LinkState::Idle,
            "{:?} is dialed twice",
            self.target
        );
        self.life += 1;
        self.state = LinkState::Dialing;
    }

    /// This life ends: what was not sent is gone, and who used it must look elsewhere.
    pub(crate) fn become_idle(&mut self) {
        self.state = LinkState::Idle;
        self.out.clear();
        self.out_sent = 0;
        self.hello.clear();
        self.splitter = Splitter::default();
        self.asked_at_ns = None;
        self.is_silence_armed = false;
        self.keep_alive_at_ns = u64::MAX;
        self.attachments.clear();
    }

    /// Takes bytes of the answer to our hello; gives them when they are complete, and what is behind them.
    pub(crate) fn take_hello<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Option<([u8; HELLO_BYTES], &'a [u8])> {
        let missing = (HELLO_BYTES - self.hello.len()).min(bytes.len());
        let (head, behind) = bytes.split_at(missing);
        self.hello.extend_from_slice(head);
        let hello = <[u8; HELLO_BYTES]>::try_from(self.hello.as_slice()).ok()?;
        Some((hello, behind))
    }

    /// The driver has sent so many of the bytes.
    pub(crate) fn on_sent(&mut self, bytes: usize) {
        self.out_sent += bytes;
        assert!(
            self.out_sent <= self.out.len(),
            "more was sent than there was"
        );
        if self.out_sent == self.out.len() {
            self.out.clear();
            self.out_sent = 0;
        } else if self.out_sent > COMPACT_BYTES && self.out_sent > self.out.len() / 2 {
            self.out.drain(..self.out_sent);
            self.out_sent = 0;
        }
    }
}
