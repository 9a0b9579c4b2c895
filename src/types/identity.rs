//! 128-bit identities: drawn at random, or the hash of what they name.

use crate::{GroupId, ReplicaNumber};
use core::fmt;

macro_rules! identity {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[repr(transparent)]
        pub struct $name([u8; 16]);

        impl $name {
            /// All zeros: not known, or any.
            pub const ZERO: Self = Self([0; 16]);

            /// Wraps the bytes as they stand in a format.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes as they stand in a format.
            #[must_use]
            pub const fn bytes(self) -> [u8; 16] {
                self.0
            }

            /// Is this the identity that stands for *not known* or *any*?
            #[must_use]
            pub fn is_zero(self) -> bool {
                self.0 == [0; 16]
            }
        }

        /// Eight hexadecimal digits with a dash, enough to tell identities apart by eye.
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(formatter, "{a:02x}{b:02x}-{c:02x}{d:02x}")
            }
        }
    };
}

identity! {
    /// Who asks, over all its sessions: drawn by the client.
    ClientId
}
identity! {
    /// The hash of a cluster's genesis: the same id means the same first configuration.
    ClusterId
}
identity! {
    /// One formatted data directory of a node. A node that lost its disk has another.
    Incarnation
}

/// One replica for ever: messages for another replica id are ignored, so a node that comes back with an
/// empty disk cannot vote with an old identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The data directory that holds it.
    pub incarnation: Incarnation,
    /// The group it belongs to.
    pub group: GroupId,
    /// The number that the group's configuration gave it.
    pub number: ReplicaNumber,
}
