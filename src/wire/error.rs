//! Why bytes could not be taken for what they should be.

use thiserror::Error;

/// Bytes from a network that break a format. The remedy is always the same: close the connection they came on;
/// whoever sent them speaks another version, or is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes end inside a fixed layout.
    #[error("{what}: {have} bytes where {need} are needed")]
    Short {
        /// Which layout.
        what: &'static str,
        /// Its size.
        need: usize,
        /// What was there.
        have: usize,
    },
    /// Bytes follow where the layout ends.
    #[error("{what}: {bytes} bytes too many")]
    Trailing {
        /// Which layout.
        what: &'static str,
        /// How many follow.
        bytes: usize,
    },
    /// A field holds a number without a meaning in this version.
    #[error("{what} has no value {number}")]
    BadNumber {
        /// Which field.
        what: &'static str,
        /// What stands there.
        number: u64,
    },
    /// Something is longer than its limit.
    #[error("{what}: {have} where at most {max} are allowed")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        have: usize,
        /// Its limit.
        max: usize,
    },
    /// The checksum does not match the bytes.
    #[error("{what}: checksum {stored:08x} stands there, {computed:08x} is right")]
    BadChecksum {
        /// Which layout.
        what: &'static str,
        /// What stands there.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The bytes do not start as this format does.
    #[error("{what}: not in this format at all")]
    NotThisFormat {
        /// Which format.
        what: &'static str,
    },
    /// The bytes are of this format, in a version of it that is not known here.
    #[error("{what}: version {version}, which is not known here")]
    OtherVersion {
        /// Which format.
        what: &'static str,
        /// Its version.
        version: u16,
    },
    /// Text that is not UTF-8, or a name with characters that names do not have.
    #[error("{what}: not a valid text")]
    BadText {
        /// Which field.
        what: &'static str,
    },
    /// Items that must ascend do not.
    #[error("{what}: not in order")]
    NotSorted {
        /// Which items.
        what: &'static str,
    },
    /// A body that serde encodes does not decode.
    #[error("{what}: body does not decode")]
    BadBody {
        /// Which body.
        what: &'static str,
    },
}
