//! What people need to know about a code beyond its title: written for somebody who was woken by it.
//!
//! The texts stand in files by the hundreds of the codes. They say what this version does and what its command line
//! can do; a text changes in the commit that makes it untrue. A test holds them against the command line: settings,
//! options, verbs and codes that a text names exist.

mod cluster;
mod configuration;
mod connections;
mod dev;
mod directory;
mod log;
mod process;
mod reaching;
mod whole;

use super::Code;
use serde::Serialize;

/// All that is known about a situation. Each part is one paragraph of whole sentences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What it means: what was seen, and what usually leads to it.
    pub meaning: &'static str,
    /// What may happen if it stays so.
    pub danger: &'static str,
    /// What Margay did before anybody looked.
    pub done: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// What not to do, although it suggests itself.
    pub avoid: &'static str,
    /// Settings, options, verbs, columns of tables, limits of the process and other codes that have to do with it.
    pub concerns: &'static [&'static str],
}

impl Code {
    /// What people need to know about it.
    #[must_use]
    pub const fn explanation(self) -> &'static Explanation {
        match self {
            Self::IoUringUnavailable => &process::IO_URING_UNAVAILABLE,
            Self::DirectIoUnavailable => &process::DIRECT_IO_UNAVAILABLE,
            Self::ListenRefused => &process::LISTEN_REFUSED,
            Self::LimitTooLow => &process::LIMIT_TOO_LOW,
            Self::KernelRefused => &process::KERNEL_REFUSED,
            Self::ShardPanicked => &process::SHARD_PANICKED,
            Self::ShardFailed => &process::SHARD_FAILED,
            Self::BuffersNotRegistered => &process::BUFFERS_NOT_REGISTERED,
            Self::StopTooLong => &process::STOP_TOO_LONG,
            Self::DirectoryLocked => &directory::DIRECTORY_LOCKED,
            Self::NotFormatted => &directory::NOT_FORMATTED,
            Self::ForeignFile => &directory::FOREIGN_FILE,
            Self::NewerFormat => &directory::NEWER_FORMAT,
            Self::OtherCluster => &directory::OTHER_CLUSTER,
            Self::DirectoryNotEmpty => &directory::DIRECTORY_NOT_EMPTY,
            Self::PermissionDenied => &directory::PERMISSION_DENIED,
            Self::ReadOnly => &directory::READ_ONLY,
            Self::IdentityDamaged => &directory::IDENTITY_DAMAGED,
            Self::DirectoryFailed => &directory::DIRECTORY_FAILED,
            Self::FileUnreadable => &configuration::FILE_UNREADABLE,
            Self::FileMalformed => &configuration::FILE_MALFORMED,
            Self::UnknownSetting => &configuration::UNKNOWN_SETTING,
            Self::ValueRefused => &configuration::VALUE_REFUSED,
            Self::UnknownProfile => &configuration::UNKNOWN_PROFILE,
            Self::ValueMissing => &configuration::VALUE_MISSING,
            Self::UnknownMachine => &configuration::UNKNOWN_MACHINE,
            Self::OtherShardCount => &configuration::OTHER_SHARD_COUNT,
            Self::NameNotResolved => &reaching::NAME_NOT_RESOLVED,
            Self::Unreachable => &reaching::UNREACHABLE,
            Self::TimedOut => &reaching::TIMED_OUT,
            Self::OtherProtocol => &reaching::OTHER_PROTOCOL,
            Self::NotMargay => &reaching::NOT_MARGAY,
            Self::OutcomeUnknown => &reaching::OUTCOME_UNKNOWN,
            Self::NodeNotBlank => &cluster::NODE_NOT_BLANK,
            Self::DuplicateNode => &cluster::DUPLICATE_NODE,
            Self::Refused => &cluster::REFUSED,
            Self::NoLeader => &cluster::NO_LEADER,
            Self::NotFormed => &cluster::NOT_FORMED,
            Self::NodeEnded => &dev::NODE_ENDED,
            Self::NodeKilled => &dev::NODE_KILLED,
            Self::ParentEnded => &dev::PARENT_ENDED,
            Self::LogDeviceFailed => &log::LOG_DEVICE_FAILED,
            Self::ReplicaDiverged => &log::REPLICA_DIVERGED,
            Self::DirectoryGone => &log::DIRECTORY_GONE,
            Self::DamagedReplica => &log::DAMAGED_REPLICA,
            Self::StoppedMachine => &log::STOPPED_MACHINE,
            Self::LittleSpace => &log::LITTLE_SPACE,
            Self::LostReplica => &log::LOST_REPLICA,
            Self::UnfitBinary => &log::UNFIT_BINARY,
            Self::ShardSilent => &log::SHARD_SILENT,
            Self::GroupNotLed => &whole::GROUP_NOT_LED,
            Self::NoQuorum => &whole::NO_QUORUM,
            Self::StrangerConnected => &connections::STRANGER_CONNECTED,
            Self::HelloRefused => &connections::HELLO_REFUSED,
            Self::HelloLate => &connections::HELLO_LATE,
            Self::FramesBroken => &connections::FRAMES_BROKEN,
            Self::ClientDoesNotRead => &connections::CLIENT_DOES_NOT_READ,
            Self::TooManyConnections => &connections::TOO_MANY_CONNECTIONS,
            Self::PeerUnreachable => &connections::PEER_UNREACHABLE,
            Self::AcceptFailed => &connections::ACCEPT_FAILED,
            Self::ConnectionVanished => &connections::CONNECTION_VANISHED,
            Self::NameUnresolved => &connections::NAME_UNRESOLVED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(explanation: &Explanation) -> [(&'static str, &'static str); 5] {
        [
            ("meaning", explanation.meaning),
            ("danger", explanation.danger),
            ("done", explanation.done),
            ("remedy", explanation.remedy),
            ("avoid", explanation.avoid),
        ]
    }

    #[test]
    fn every_code_has_a_whole_text_of_each_part() {
        for code in Code::ALL {
            let explanation = code.explanation();
            for (name, text) in parts(explanation) {
                assert!(text.len() > 10, "{code} {name}: {text:?}");
                let first = text.chars().next().expect("it is not empty");
                assert!(
                    first.is_uppercase() || first == '`',
                    "{code} {name}: {text}"
                );
                assert!(text.ends_with('.'), "{code} {name}: {text}");
                assert!(!text.contains("  "), "{code} {name} has a gap: {text}");
                assert_eq!(text.matches('`').count() % 2, 0, "{code} {name}: {text}");
            }
            assert!(!explanation.concerns.is_empty(), "{code} concerns nothing");
        }
    }

    #[test]
    fn no_two_codes_have_the_same_explanation_or_remedy() {
        for (at, code) in Code::ALL.iter().enumerate() {
            for other in &Code::ALL[at + 1..] {
                let (left, right) = (code.explanation(), other.explanation());
                assert_ne!(left, right, "{code} and {other}");
                assert_ne!(left.meaning, right.meaning, "{code} and {other}");
                assert_ne!(left.remedy, right.remedy, "{code} and {other}");
            }
        }
    }

    #[test]
    fn what_stops_no_process_names_no_exit_code() {
        for code in Code::ALL {
            let ends = parts(code.explanation())
                .iter()
                .any(|(_, text)| text.contains("exit code"));
            let is_reported = code.exit() == crate::codes::Exit::Done;
            assert!(!(ends && is_reported), "{code}");
        }
    }
}
