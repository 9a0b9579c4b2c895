//! The few checks that all fixed layouts share: take a layout from the front, demand zeros, read a flag.

use crate::error::WireError;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Takes one layout from the front of `bytes` and gives what is behind it.
pub(crate) fn take<'a, T>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(&'a T, &'a [u8]), WireError>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_prefix(bytes).map_err(|_| WireError::Short {
        what,
        need: size_of::<T>(),
        have: bytes.len(),
    })
}

/// Views all of `bytes` as one layout.
pub(crate) fn exactly<'a, T>(what: &'static str, bytes: &'a [u8]) -> Result<&'a T, WireError>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    let (layout, behind) = take::<T>(what, bytes)?;
    end(what, behind)?;
    Ok(layout)
}

/// Demands that nothing is left.
pub(crate) fn end(what: &'static str, behind: &[u8]) -> Result<(), WireError> {
    if behind.is_empty() {
        Ok(())
    } else {
        Err(WireError::Trailing {
            what,
            bytes: behind.len(),
        })
    }
}

/// Demands that bytes without a meaning are zero.
pub(crate) fn zeros(what: &'static str, bytes: &[u8]) -> Result<(), WireError> {
    match bytes.iter().find(|byte| **byte != 0) {
        None => Ok(()),
        Some(byte) => Err(WireError::BadNumber {
            what,
            number: u64::from(*byte),
        }),
    }
}

/// Reads a byte that says no (0) or yes (1).
pub(crate) fn flag(what: &'static str, byte: u8) -> Result<bool, WireError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(WireError::BadNumber {
            what,
            number: u64::from(other),
        }),
    }
}
