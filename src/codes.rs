//! The stable codes of messages and the exit codes: an interface, like the wire.
//!
//! A code names one situation for ever. It stands in messages, logs and metrics, so scripts and runbooks may
//! rest on it; a number is never given to another situation. `margay explain` tells the [`Explanation`] of each. The
//! hundreds say what a situation is about:
//!
//! | codes | about |
//! | --- | --- |
//! | M100..M109 | starting and stopping on this machine |
//! | M110..M119 | the data directory |
//! | M120..M129 | the configuration |
//! | M140..M149 | reaching another node |
//! | M150..M159 | what a cluster refuses |
//! | M160..M169 | the nodes of `dev` |
//! | M200..M219 | the log of a running node |
//! | M300..M319 | the cluster as a whole, as its nodes show it together |
//! | M400..M419 | connections of a running node |

mod exit;
mod explanation;
mod failure;

pub use exit::Exit;
pub use explanation::Explanation;
pub use failure::Failure;

use std::fmt;

macro_rules! codes {
    ($(
        $(#[$documentation:meta])*
        $name:ident = $number:literal, $exit:ident, $title:literal;
    )*) => {
        /// A situation that people look up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $($(#[$documentation])* $name = $number,)*
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The situation in one line.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }

            /// What a process that stops for it exits with; `Done` for what it only reports.
            #[must_use]
            pub const fn exit(self) -> Exit {
                match self {
                    $(Self::$name => Exit::$exit,)*
                }
            }
        }
    };
}

codes! {
    /// The kernel, a sysctl or a seccomp profile keeps io_uring from this process.
    IoUringUnavailable = 101, IoUringUnavailable, "io_uring is not available";
    /// The file system of the data directory cannot write past the page cache.
    DirectIoUnavailable = 102, Configuration, "the file system has no direct I/O";
    /// Another process listens there, or the address is not of this machine.
    ListenRefused = 103, Configuration, "the address cannot be listened on";
    /// A limit of the process is below what a server needs.
    LimitTooLow = 104, Configuration, "a limit of this process is too low";
    /// The kernel refuses a thread, a ring or a descriptor.
    KernelRefused = 105, Configuration, "the kernel refuses what a server needs";
    /// A shard panicked: a mistake of Margay's own.
    ShardPanicked = 106, Bug, "a shard panicked";
    /// A shard could not be made, or gave up, for a reason that has no code of its own.
    ShardFailed = 107, Bug, "a shard failed";
    /// The limit of locked memory is too low to lend buffers to the kernel; writes are right, and slower.
    BuffersNotRegistered = 108, Done, "buffers are not registered";
    /// A shard did not get ready to stop in time and was dropped as it was.
    StopTooLong = 109, Done, "a shard did not stop in time";

    /// Another process runs on the directory.
    DirectoryLocked = 110, DirectoryLocked, "the data directory is locked";
    /// There is no node in the directory.
    NotFormatted = 111, Configuration, "the data directory is not formatted";
    /// A file that Margay did not make lies in the data directory.
    ForeignFile = 112, DirectoryLocked, "a foreign file lies in the data directory";
    /// A later version of Margay wrote the directory.
    NewerFormat = 113, Configuration, "the data directory has a newer format";
    /// The data directory is part of another cluster.
    OtherCluster = 114, DirectoryLocked, "the data directory belongs to another cluster";
    /// `format` found something where it wanted to make a blank directory.
    DirectoryNotEmpty = 115, Configuration, "the directory is not empty";
    /// This user may not use the directory.
    PermissionDenied = 116, Configuration, "permission denied";
    /// The file system refuses to be written.
    ReadOnly = 117, Configuration, "the file system is read-only";
    /// What names the node is damaged beyond what its copies repair.
    IdentityDamaged = 118, IdentityDamaged, "the identity of the node is damaged";
    /// The operating system refused for a reason that has no code of its own.
    DirectoryFailed = 119, Configuration, "the data directory cannot be used";

    /// The configuration file, or one that an option names, cannot be read.
    FileUnreadable = 120, Configuration, "the file cannot be read";
    /// The configuration file is not TOML.
    FileMalformed = 121, Configuration, "the file is malformed";
    /// There is no setting of that name.
    UnknownSetting = 122, Configuration, "unknown setting";
    /// A setting has a value that it cannot have.
    ValueRefused = 123, Configuration, "the value is refused";
    /// There is no profile of that name.
    UnknownProfile = 124, Configuration, "unknown profile";
    /// A setting that has no default was not given.
    ValueMissing = 125, Configuration, "a setting is missing";
    /// The binary does not bring the machine.
    UnknownMachine = 126, Configuration, "unknown machine";
    /// The data directory was made for another number of shards.
    OtherShardCount = 127, Configuration, "another number of shards";

    /// Nothing answers for the name.
    NameNotResolved = 140, NotReached, "the name does not resolve";
    /// Nothing answers at the address.
    Unreachable = 141, NotReached, "the node cannot be reached";
    /// No answer in time, and it is known that nothing was changed.
    TimedOut = 142, NotReached, "no answer in time";
    /// The other side speaks no version that this binary speaks.
    OtherProtocol = 143, Configuration, "no protocol version in common";
    /// What answers there is not Margay.
    NotMargay = 144, NotReached, "the other side is not Margay";
    /// A request left and its answer did not come: it may have been carried out or not.
    OutcomeUnknown = 145, OutcomeUnknown, "the outcome is unknown";

    /// A node that should become part of a new cluster is part of one.
    NodeNotBlank = 150, Refused, "the node is not blank";
    /// The list of nodes for `bootstrap` names one twice.
    DuplicateNode = 151, Usage, "a node is named twice";
    /// The cluster answered no, and said why.
    Refused = 152, Refused, "the cluster refused";
    /// The nodes took the genesis, but nobody led group 0 in time.
    NoLeader = 153, OutcomeUnknown, "the cluster has no leader yet";
    /// The node belongs to no cluster.
    NotFormed = 154, Refused, "the node belongs to no cluster";

    /// A node that `dev` started has ended, although nobody asked it to.
    NodeEnded = 160, NotReached, "a node has ended";
    /// A node that `dev` started was told to stop, and did not in the time that it had: it starts as after a crash.
    NodeKilled = 161, NotReached, "a node had to be killed";
    /// A process was to end with the one that started it, and that had ended before.
    ParentEnded = 162, NotReached, "whoever started this process has ended";

    /// A durable write failed; nothing that it carried was acknowledged.
    LogDeviceFailed = 201, LogDeviceFailed, "the log device failed";
    /// This replica computed something else than the others.
    ReplicaDiverged = 202, ReplicaDiverged, "a replica diverged";
    /// The data directory was deleted, moved or unmounted while the node ran.
    DirectoryGone = 203, LogDeviceFailed, "the data directory is gone";
    /// A replica's records are damaged: it takes no part until it is repaired from the others.
    DamagedReplica = 210, Done, "a replica is damaged";
    /// A group's machine cannot apply an entry: nothing of the group is applied here any more.
    StoppedMachine = 211, Done, "the machine of a group stopped";
    /// The log's disk is almost full, or a member that stays away holds the log.
    LittleSpace = 212, Done, "little space for the log";
    /// Group 0 says that a replica lives here, and no log knows of it.
    LostReplica = 213, Done, "a replica is lost";
    /// A group was created that this binary cannot run: start one that has its machine.
    UnfitBinary = 214, Done, "this binary cannot run a group";
    /// A shard of the node does not answer the others: its loop hangs, or it still recovers.
    ShardSilent = 215, Done, "a shard does not answer";

    /// Nobody leads a group, although a quorum of its voters answers: an election is under way, or they do not
    /// reach each other.
    GroupNotLed = 304, Done, "a group has no leader";
    /// Fewer voters of a group answer than it needs: its commands wait for them.
    NoQuorum = 305, Done, "a group has no quorum";

    /// Something that does not speak Margay's protocol connected.
    StrangerConnected = 401, Done, "a stranger connected";
    /// A hello was refused, by this node or by the other side.
    HelloRefused = 402, Done, "a hello was refused";
    /// A connection was made and no hello came.
    HelloLate = 403, Done, "no hello came in time";
    /// A connection carried bytes that are not frames, or a frame that is too long.
    FramesBroken = 404, Done, "the frames of a connection broke";
    /// A client asks and does not read the answers.
    ClientDoesNotRead = 405, Done, "a client does not read";
    /// There is no place for another connection.
    TooManyConnections = 406, Done, "there are too many connections";
    /// A peer cannot be reached.
    PeerUnreachable = 407, Done, "a peer cannot be reached";
    /// The kernel does not accept connections for this process.
    AcceptFailed = 408, Done, "connections cannot be accepted";
    /// The machine at the other end of a connection, or the way to it, vanished without a word.
    ConnectionVanished = 409, Done, "the other side of a connection vanished";
    /// The name of a peer does not resolve on this machine.
    NameUnresolved = 410, Done, "the name of a peer does not resolve";
}

impl Code {
    /// The number behind the `M`.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code that has the number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|code| code.number() == number)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "M{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_so_are_given_once() {
        let numbers: Vec<u16> = Code::ALL.iter().map(|code| code.number()).collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "{numbers:?}"
        );
    }

    #[test]
    fn every_number_leads_back_to_its_code() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
        }
        assert_eq!(Code::from_number(0), None);
    }

    #[test]
    fn titles_fit_on_a_line_and_tell_situations_apart() {
        let mut titles: Vec<&str> = Code::ALL.iter().map(|code| code.title()).collect();
        assert!(
            titles
                .iter()
                .all(|title| title.len() <= 60 && !title.is_empty())
        );
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), Code::ALL.len());
    }
}
