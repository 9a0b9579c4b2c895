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
}

impl Notice {
    const COUNT: usize = Self::AcceptFailed as usize + 1;

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

    /// Tells it, unless it was told less than a second ago.
    pub(super) fn tell(&mut self, notice: Notice, now_ns: u64, detail: &dyn Display) {
        let told = &mut self.0[notice as usize];
        if now_ns < told.next_ns {
            told.left_out += 1;
            return;
        }
        let (code, text) = notice.text();
        tracing::warn!(%code, left_out = told.left_out, "{text}: {detail}");
        *told = Told {
            next_ns: now_ns + NS_PER_SECOND,
            left_out: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_told_once_a_second_and_counts_what_it_left_out() {
        let mut notices = Notices::new();
        notices.tell(Notice::NotOurs, 0, &"first");
        notices.tell(Notice::NotOurs, 1, &"left out");
        notices.tell(Notice::SlowHello, 1, &"another kind");
        assert_eq!(notices.0[Notice::NotOurs as usize].left_out, 1);
        notices.tell(Notice::NotOurs, NS_PER_SECOND, &"told");
        assert_eq!(notices.0[Notice::NotOurs as usize].left_out, 0);
    }
}
