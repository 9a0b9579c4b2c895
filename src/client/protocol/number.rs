//! What a request's number says, so that its answer finds its way without a table.
//!
//! ```text
//!   63   61 60      39 38      31 30     23 22       0
//!   │ kind │   slot    │ generation │ epoch │  sequence │
//! ```
//!
//! Kinds: bind, command, close, query, keep-alive, map. Numbers above 32 bits are cut to their low bits: far fewer
//! are ever in flight.

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind = 1,
    Command = 2,
    Close = 3,
    Query = 4,
    KeepAlive = 5,
    Map = 6,
}

/// A request's number, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) kind: Kind,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) epoch: u8,
    /// Low bits of a sequence number.
    pub(crate) sequence: u64,
}

pub(crate) const SLOT_MASK: u32 = (1 << 22) - 1;
pub(crate) const GENERATION_MASK: u32 = 0xff;
pub(crate) const SEQUENCE_MASK: u64 = (1 << 23) - 1;

const _: () = assert!(
    SEQUENCE_MASK > 2 * 65_535,
    "a window is found by its low bits"
);

impl Number {
    pub(crate) const fn plain(kind: Kind) -> Self {
        Self {
            kind,
            slot: 0,
            generation: 0,
            epoch: 0,
            sequence: 0,
        }
    }

    pub(crate) const fn pack(self) -> u64 {
        (self.kind as u64) << 61
            | ((self.slot & SLOT_MASK) as u64) << 39
            | ((self.generation & GENERATION_MASK) as u64) << 31
            | (self.epoch as u64) << 23
            | self.sequence & SEQUENCE_MASK
    }

    /// `None` for a number that this client never made.
    pub(crate) fn unpack(number: u64) -> Option<Self> {
        let kind = match number >> 61 {
            1 => Kind::Bind,
            2 => Kind::Command,
            3 => Kind::Close,
            4 => Kind::Query,
            5 => Kind::KeepAlive,
            6 => Kind::Map,
            _ => return None,
        };
        let bits = |shift: u32, mask: u32| {
            u32::try_from(number >> shift & u64::from(mask)).unwrap_or_default()
        };
        Some(Self {
            kind,
            slot: bits(39, SLOT_MASK),
            generation: bits(31, GENERATION_MASK),
            epoch: u8::try_from(number >> 23 & 0xff).unwrap_or_default(),
            sequence: number & SEQUENCE_MASK,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let number = Number {
            kind: Kind::Query,
            slot: 70_000,
            generation: 200,
            epoch: 255,
            sequence: 9,
        };
        assert_eq!(Number::unpack(number.pack()), Some(number));
        assert_eq!(Number::unpack(0), None);
    }
}
