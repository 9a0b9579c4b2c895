//! How operations, outputs, options and residuals become bytes.
//!
//! One trait per direction. With the feature `postcard` (on by default) every serde type has both;
//! a type that is no serde type writes its own, which is how fixed layouts come in
//! (`fixed_layout!`). What a type once wrote must be readable for ever: an operation evolves by a
//! new operation id, never by changing its struct.

use alloc::vec::Vec;

/// Bytes that are not what they were taken for. There is nothing to conclude from where it broke
/// off, so it says no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes do not decode")]
pub struct DecodeError;

/// Writes itself behind what a buffer holds already.
pub trait Encode {
    /// Appends this value's bytes to `out`, and touches nothing before them.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Reads itself from exactly all of the bytes: what is left over is an error.
pub trait Decode<'a>: Sized {
    /// Reads the value; it may borrow from `bytes`.
    ///
    /// # Errors
    /// The bytes are not such a value.
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError>;
}

/// Decodes without borrowing.
pub trait DecodeOwned: for<'a> Decode<'a> {}

impl<T> DecodeOwned for T where T: for<'a> Decode<'a> {}

#[cfg(feature = "postcard")]
mod through_serde {
    use super::{Decode, DecodeError, Encode, Vec};
    use postcard::ser_flavors::Flavor;

    struct Append<'a>(&'a mut Vec<u8>);

    impl Flavor for Append<'_> {
        type Output = ();

        fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(data);
            Ok(())
        }

        fn try_push(&mut self, data: u8) -> postcard::Result<()> {
            self.0.push(data);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }

    impl<T: serde::Serialize> Encode for T {
        fn encode(&self, out: &mut Vec<u8>) {
            postcard::serialize_with_flavor(self, Append(out))
                .expect("a type of a machine serializes without failing, with lengths known");
        }
    }

    impl<'a, T: serde::Deserialize<'a>> Decode<'a> for T {
        fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
            match postcard::take_from_bytes(bytes) {
                Ok((value, [])) => Ok(value),
                Ok(_) | Err(_) => Err(DecodeError),
            }
        }
    }
}

/// Writes `Encode` and `Decode` for types whose bytes in memory are their format: those that derive
/// the traits `FromBytes`, `IntoBytes`, `Immutable` and `KnownLayout` of zerocopy, with fields of
/// `zerocopy::little_endian`.
#[macro_export]
macro_rules! fixed_layout {
    ($($name:ty),+ $(,)?) => { $(
        impl $crate::Encode for $name {
            fn encode(&self, out: &mut $crate::macros::Vec<u8>) {
                out.extend_from_slice($crate::macros::zerocopy::IntoBytes::as_bytes(self));
            }
        }

        impl<'a> $crate::Decode<'a> for $name {
            fn decode(bytes: &'a [u8]) -> ::core::result::Result<Self, $crate::DecodeError> {
                <Self as $crate::macros::zerocopy::FromBytes>::read_from_bytes(bytes)
                    .map_err(|_| $crate::DecodeError)
            }
        }
    )+ };
}
