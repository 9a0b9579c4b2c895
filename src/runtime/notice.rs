//! Log lines about what others do to us, at most one a second for each kind: a stranger must not be able to fill
//! the log.

use super::clock::NS_PER_SECOND;
use crate::codes::Code;
use std::fmt::Display;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Notice {
    /// Something that does not speak our protocol connected.
    NotOurs,
    /// A hello was refused, by us or by the other side.
    HelloRefused,
    /// No hello came in time.
    SlowHello,
    /// A stream of frames broke, or a frame is too long.
    BrokenFrames,
    /// A client does not read what it asked for.
    ClientDoesNotRead,
    /// There is no place for another connection.
    TooManyConnections,
    /// A peer could not be reached.
    PeerUnreachable,
    /// The kernel does not accept connections for us.
    AcceptFailed,
    /// The other side of a connection does not acknowledge any more.
    Vanished,
    /// The name of a peer has no address now.
    NameUnresolved,
}

impl Notice {
    const COUNT: usize = Self::NameUnresolved as usize + 1;

    /// The stable code, and the words.
    const fn text(self) -> (Code, &'static str) {
        match self {
            Self::NotOurs => (
                Code::StrangerConnected,
                "connection closed: these bytes are not Margay's",
            ),
            Self::HelloRefused => (Code::HelloRefused, "connection refused"),
            Self::SlowHello => (Code::HelloLate, "connection closed: no hello in time"),
            Self::BrokenFrames => (Code::FramesBroken, "connection closed: broken frame"),
            Self::ClientDoesNotRead => (
                Code::ClientDoesNotRead,
                "connection closed: the client does not read",
            ),
            Self::TooManyConnections => (
                Code::TooManyConnections,
                "connection refused: too many connections",
            ),
            Self::PeerUnreachable => (Code::PeerUnreachable, "peer not reached"),
            Self::AcceptFailed => (Code::AcceptFailed, "connections cannot be accepted"),
            Self::Vanished => (
                Code::ConnectionVanished,
                "connection closed: the other side is gone without a word",
            ),
            Self::NameUnresolved => (
                Code::NameUnresolved,
                "the name of a peer does not resolve on this machine",
            ),
        }
    }
}

/// When it may be told again, and how often it was not.
#[derive(Clone, Copy, Default)]
struct Told {
    next_ns: u64,
    left_out: u64,
}

/// When each was told last.
pub(super) struct Notices([Told; Notice::COUNT]);

impl Notices {
    /// Nothing was told yet.
    pub(super) fn new() -> Self {
        Self([Told::default(); Notice::COUNT])
    }

    /// Tells it whatever was told before: for what a stranger cannot cause, and what takes its time to come again.
    pub(super) fn announce(&mut self, notice: Notice, now_ns: u64, detail: &dyn Display) {
        self.0[notice as usize].next_ns = now_ns;
        let is_told = self.tell(notice, now_ns, detail);
        assert!(is_told, "what is due is told");
    }

    /// Tells it, unless it was told less than a second ago. Says whether it did.
    pub(super) fn tell(&mut self, notice: Notice, now_ns: u64, detail: &dyn Display) -> bool {
        let told = &mut self.0[notice as usize];
        if now_ns < told.next_ns {
            told.left_out += 1;
            return false;
        }
        let (code, text) = notice.text();
        tracing::warn!(%code, left_out = told.left_out, "{text}: {detail}");
        *told = Told {
            next_ns: now_ns + NS_PER_SECOND,
            left_out: 0,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_told_once_a_second_and_counts_what_it_left_out() {
        let mut notices = Notices::new();
        assert!(notices.tell(Notice::NotOurs, 0, &"first"));
        assert!(!notices.tell(Notice::NotOurs, 1, &"left out"));
        notices.announce(Notice::NotOurs, 1, &"told all the same");
        assert_eq!(notices.0[Notice::NotOurs as usize].left_out, 0);
        assert!(!notices.tell(Notice::NotOurs, 2, &"left out"));
        assert!(notices.tell(Notice::SlowHello, 1, &"another kind"));
        assert_eq!(notices.0[Notice::NotOurs as usize].left_out, 1);
        assert!(notices.tell(Notice::NotOurs, NS_PER_SECOND + 1, &"told"));
        assert_eq!(notices.0[Notice::NotOurs as usize].left_out, 0);
    }
}
