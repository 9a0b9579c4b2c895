//! One committed entry, as the host takes it: the kind's number and the payload, checked.

use crate::command_header::{CommandView, HeaderError};
use crate::limits::{Limits, LimitsLayout};
use crate::payload::{
    EXPIRIES_PER_ENTRY_MAX, Open, REFRESHES_PER_ENTRY_MAX, Refresh, SessionNumber, Skip,
};
use margay_types::{Index, SessionId};
use zerocopy::FromBytes;

/// The numbers of the record header's kinds.
mod kind {
    pub(super) const NO_OP: u8 = 1;
    pub(super) const CONFIGURATION: u8 = 2;
    pub(super) const COMMAND_PLAIN: u8 = 3;
    pub(super) const OPEN: u8 = 5;
    pub(super) const CLOSE: u8 = 6;
    pub(super) const EXPIRE: u8 = 7;
    pub(super) const REFRESH: u8 = 8;
    pub(super) const TICK: u8 = 9;
    pub(super) const SKIP: u8 = 10;
    pub(super) const CHECKPOINT: u8 = 11;
    pub(super) const SETTINGS: u8 = 12;
}

/// What a committed entry asks of the host.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// First entry of a term: every session counts as heard from.
    NoOp,
    /// The members changed; nothing to apply.
    Configuration,
    /// An operation of the machine.
    Command(CommandView<'a>),
    /// A session begins.
    Open(&'a Open),
    /// A session's client ends it.
    Close(SessionId),
    /// Sessions end that were not heard from, as far as that is still true.
    Expire(&'a [SessionNumber]),
    /// Idle sessions were heard from.
    Refresh(&'a [Refresh]),
    /// Log time moves on.
    Tick,
    /// An earlier entry was put out of the way.
    Skip(Index),
    /// The state here becomes a checkpoint.
    Checkpoint,
    /// New limits, from here on.
    Settings(Limits),
}

/// An entry that no leader of ours appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// A kind of a newer version, or none at all. Commands that keep their entry are not taken yet.
    #[error("entries of kind {0} are not known to this version")]
    Kind(u8),
    /// A command whose header is wrong.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A payload of another length, or with values out of range.
    #[error("the entry's payload is not one of its kind")]
    Payload,
}

impl<'a> Input<'a> {
    /// Reads an entry's payload by its kind.
    ///
    /// # Errors
    /// The entry is none that can be applied; see [`InputError`].
    pub fn decode(kind: u8, payload: &'a [u8]) -> Result<Self, InputError> {
        Ok(match kind {
            kind::NO_OP => Self::NoOp,
            kind::CONFIGURATION => Self::Configuration,
            kind::COMMAND_PLAIN => Self::Command(CommandView::decode(payload)?),
            kind::OPEN => {
                let open = Open::ref_from_bytes(payload).map_err(|_| InputError::Payload)?;
                if !open.is_legal() {
                    return Err(InputError::Payload);
                }
                Self::Open(open)
            }
            kind::CLOSE => Self::Close(
                SessionNumber::ref_from_bytes(payload)
                    .map_err(|_| InputError::Payload)?
                    .session(),
            ),
            kind::EXPIRE => Self::Expire(list(payload, EXPIRIES_PER_ENTRY_MAX)?),
            kind::REFRESH => Self::Refresh(list(payload, REFRESHES_PER_ENTRY_MAX)?),
            kind::TICK => Self::Tick,
            kind::SKIP => Self::Skip(
                Skip::ref_from_bytes(payload)
                    .map_err(|_| InputError::Payload)?
                    .index(),
            ),
            kind::CHECKPOINT => Self::Checkpoint,
            kind::SETTINGS => {
                let layout =
                    LimitsLayout::ref_from_bytes(payload).map_err(|_| InputError::Payload)?;
                Self::Settings(layout.limits().ok_or(InputError::Payload)?)
            }
            unknown => return Err(InputError::Kind(unknown)),
        })
    }
}

fn list<T>(payload: &[u8], count_max: usize) -> Result<&[T], InputError>
where
    T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned,
{
    let list = <[T]>::ref_from_bytes(payload).map_err(|_| InputError::Payload)?;
    if list.len() > count_max {
        Err(InputError::Payload)
    } else {
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(
            kind in any::<u8>(),
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Input::decode(kind, &payload);
        }
    }

    #[test]
    fn a_list_longer_than_its_limit_is_refused() {
        let payload = [0; 8 * (EXPIRIES_PER_ENTRY_MAX + 1)];
        assert!(matches!(
            Input::decode(7, &payload),
            Err(InputError::Payload)
        ));
        assert!(Input::decode(7, &payload[8..]).is_ok());
    }
}
