//! The one list of numbers that answers carry.
//!
//! Ranges say how much is known, so that a client which meets a number it does not know can still conclude:
//!
//! | numbers | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1..=99 | refused at the door: this request changed nothing |
//! | 100..=199 | the session is not, or no longer, there |
//! | 200..=299 | the command is decided, but its output cannot be had |
//! | 300..=399 | not decided yet: ask again |
//! | 400..=499 | the hello was refused |

use crate::error::WireError;

macro_rules! codes {
    ($($(#[$documentation:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What became of a request or of a hello.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $($(#[$documentation])* $name = $number,)*
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code behind a number on the wire.
            ///
            /// # Errors
            /// `BadNumber` when this version does not know it.
            pub fn from_number(number: u16) -> Result<Self, WireError> {
                match number {
                    $($number => Ok(Self::$name),)*
                    _ => Err(WireError::BadNumber { what: "code", number: u64::from(number) }),
                }
            }

            /// The words for it in messages.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// Done; the output follows.
    Done = 0, "done";

    /// This replica does not lead the group; a hint says who might.
    NotLeader = 1, "not the leader";
    /// The leader has not applied an entry of its term yet, or a replica is behind: ask again.
    NotReady = 2, "not ready";
    /// Refused to keep the group fast for what it has accepted.
    Overloaded = 3, "overloaded";
    /// The session has as much in flight as it may.
    WindowFull = 4, "window full";
    /// Commands are missing before this one; send from the number told.
    NextIs = 5, "commands are missing before this one";
    /// The command is larger than the group takes.
    CommandTooLarge = 6, "command too large";
    /// The machine has no such operation, or its bytes do not decode.
    BadOperation = 7, "no such operation, or it does not decode";
    /// No such group here.
    UnknownGroup = 8, "unknown group";
    /// The disks of a quorum are almost full.
    NoSpace = 9, "no space";
    /// The request breaks the format.
    BadRequest = 10, "malformed request";
    /// The attachment's number means nothing on this connection.
    UnknownAttachment = 11, "unknown attachment";
    /// An open with a lower attempt number than one before.
    AttemptTooLow = 12, "a later attempt was opened";
    /// The group, or the connection, has as many sessions as it may.
    TooManySessions = 13, "too many sessions";
    /// This node belongs to no cluster yet.
    NotFormed = 14, "the node is blank";
    /// No such keyspace, or no such thing of whatever the request names.
    NotFound = 15, "not found";

    /// Never opened, or of another incarnation of the group.
    UnknownSession = 100, "unknown session";
    /// The client was not heard from for the session's timeout.
    SessionExpired = 101, "session expired";
    /// The same client opened another session, or bound this one to another connection.
    SessionReplaced = 102, "session replaced";
    /// The client closed it.
    SessionClosed = 103, "session closed";

    /// Applied; the output was acknowledged before and is kept no longer.
    OutputGone = 200, "the output is no longer kept";
    /// An operator put the command out of the way; it was never applied and never will be.
    Skipped = 201, "skipped by an operator";
    /// Applied; the output is above the limit.
    OutputTooLarge = 202, "the output is too large";

    /// Appended here, but this replica leads no longer: the next leader knows.
    LeadershipLost = 300, "leadership was lost before it was decided";
    /// The group's machine stopped; what is committed waits for an operator.
    StoppedMachine = 301, "the machine of the group is stopped";

    /// No protocol version in common.
    VersionRefused = 400, "no protocol version in common";
    /// The node belongs to another cluster.
    OtherCluster = 401, "another cluster";
    /// Another data directory answers at this address.
    OtherNode = 402, "another node";
    /// The cluster does not know the sender.
    UnknownPeer = 403, "unknown peer";
    /// The node has no such shard.
    UnknownShard = 404, "unknown shard";
    /// The node has as many connections as it may.
    TooManyConnections = 405, "too many connections";
    /// The sender's largest frame is below what the protocol needs.
    FrameTooSmall = 406, "largest frame too small";
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_as_its_code_and_numbers_ascend() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Ok(*code));
        }
        assert!(
            Code::ALL
                .windows(2)
                .all(|pair| pair[0].number() < pair[1].number())
        );
    }

    #[test]
    fn an_unknown_number_is_refused() {
        assert_eq!(
            Code::from_number(99),
            Err(WireError::BadNumber {
                what: "code",
                number: 99
            })
        );
    }
}
