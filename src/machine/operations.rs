//! The list of a machine's operations: from stable wire ids to typed calls.
//!
//! `operations!` writes the three places where ids and types meet, so that they cannot disagree:
//! the dispatch of the host, the check before a command is appended, and the markers by which a
//! client's call is typed.
//!
//! ```text
//! operations! { Counter {
//!     command 1 Add;          // Apply<Add>
//!     command 2 Put<'_>;      // operations may borrow from the frame
//!     query 1 Get;            // Answer<Get>; queries count for themselves
//!     residual                // Residual; or `stateless`
//! } }
//! ```

use crate::codec::{Decode, DecodeError, DecodeOwned, Encode};
use crate::context::{Commit, Context, View};
use crate::machine::{Answer, Apply, Machine, OUTPUT_BYTES_CEILING, Residual};
use alloc::boxed::Box;
use alloc::vec::Vec;
use margay_types::{Index, LogTime, OperationId, SessionId};

/// Ids from here up are the host's own.
pub const OPERATION_ID_RESERVED: u16 = 0xFF00;

/// Gives a command up under its sequence number: where it is applied first, the command of that
/// number never is.
pub const SKIP: OperationId = OperationId::new(0xFFFF);

/// A command of machine `M`, as a client calls it.
pub trait Command<M: Machine>: Encode {
    /// Its wire id.
    const OPERATION: OperationId;
    /// What the call gives.
    type Output: DecodeOwned;
}

/// A query of machine `M`, as a client calls it.
pub trait Query<M: Machine>: Encode {
    /// Its wire id.
    const OPERATION: OperationId;
    /// What the call gives, lent from the response.
    type Output<'a>: Decode<'a>;
}

/// An operation that this machine does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// No operation has this id.
    Unknown,
    /// The bytes are not of that operation.
    Undecodable,
}

impl From<DecodeError> for Unfit {
    fn from(_: DecodeError) -> Self {
        Self::Undecodable
    }
}

/// Where a call stands, without its command.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Index of the entry.
    pub index: Index,
    /// Log time of the entry.
    pub time: LogTime,
    /// Whose command it is.
    pub session: Option<SessionId>,
}

/// A frozen residual, ready to be written by another thread.
pub trait Frozen: Send {
    /// Appends the residual's bytes.
    fn write(&self, out: &mut Vec<u8>);
}

impl<T: Encode + Send> Frozen for T {
    fn write(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

/// Dispatch by wire id. Written by `operations!`, never by hand.
pub trait Operations: Machine {
    /// Applies the command that `bytes` are, and appends its output to `out`.
    ///
    /// # Errors
    /// There is no such command; nothing was changed.
    fn apply_operation(
        &mut self,
        call: Call<'_>,
        context: &mut Context<Self>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit>;

    /// Checks a command before it is appended, and says how large its output may get.
    ///
    /// # Errors
    /// There is no such command.
    fn check_operation(operation: OperationId, bytes: &[u8]) -> Result<usize, Unfit>;

    /// The largest output of a command.
    fn output_bytes_max(operation: OperationId) -> Option<usize>;

    /// Answers a query into `out`.
    ///
    /// # Errors
    /// There is no such query.
    fn answer_operation(
        &self,
        operation: OperationId,
        bytes: &[u8],
        view: &View,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit>;

    /// The residual, if the machine has one.
    fn freeze_state(&self) -> Box<dyn Frozen>;

    /// The machine behind a residual.
    ///
    /// # Errors
    /// The bytes are not its residual.
    fn restore_state(options: Self::Options, bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A command on its way to a machine.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Which operation.
    pub operation: OperationId,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Where it stands.
    pub place: Place,
}

/// The residual of a machine without state.
struct Nothing;

impl Frozen for Nothing {
    fn write(&self, _: &mut Vec<u8>) {}
}

/// What the expansion of `operations!` calls; not for hands.
#[doc(hidden)]
pub mod expansion {
    use super::{
        Answer, Apply, Box, Call, Commit, Context, Decode, DecodeError, Encode, Frozen, Machine,
        Nothing, OUTPUT_BYTES_CEILING, Residual, Unfit, Vec, View,
    };

    #[inline]
    pub fn apply<'a, M, C>(
        machine: &mut M,
        call: Call<'a>,
        context: &mut Context<M>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit>
    where
        M: Apply<C>,
        C: Decode<'a>,
    {
        let command = C::decode(call.bytes)?;
        let Call { place, .. } = call;
        let commit = Commit {
            index: place.index,
            time: place.time,
            session: place.session,
            command,
        };
        machine.apply(commit, context).encode(out);
        Ok(())
    }

    #[inline]
    pub fn check<'a, M, C>(bytes: &'a [u8]) -> Result<usize, Unfit>
    where
        M: Apply<C>,
        C: Decode<'a>,
    {
        C::decode(bytes)?;
        Ok(output_bytes_max::<M, C>())
    }

    #[inline]
    pub const fn output_bytes_max<M, C>() -> usize
    where
        M: Apply<C>,
    {
        const {
            assert!(
                M::OUTPUT_BYTES_MAX <= OUTPUT_BYTES_CEILING,
                "outputs have at most 64 KiB"
            );
        };
        M::OUTPUT_BYTES_MAX
    }

    #[inline]
    pub fn answer<'a, M, Q>(
        machine: &M,
        bytes: &'a [u8],
        view: &View,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit>
    where
        M: Answer<Q>,
        Q: Decode<'a>,
    {
        let query = Q::decode(bytes)?;
        machine.answer(query, view).encode(out);
        Ok(())
    }

    pub fn freeze_residual<M: Residual>(machine: &M) -> Box<dyn Frozen> {
        Box::new(machine.freeze())
    }

    pub fn restore_residual<M: Residual>(
        options: M::Options,
        bytes: &[u8],
    ) -> Result<M, DecodeError> {
        Ok(M::restore(options, M::Frozen::decode(bytes)?))
    }

    pub fn freeze_nothing() -> Box<dyn Frozen> {
        Box::new(Nothing)
    }

    pub fn restore_nothing<M: Machine>(
        options: M::Options,
        bytes: &[u8],
    ) -> Result<M, DecodeError> {
        if bytes.is_empty() {
            Ok(M::new(options))
        } else {
            Err(DecodeError)
        }
    }
}

/// Lists a machine's operations with their wire ids; see the header of `operations.rs`.
#[macro_export]
macro_rules! operations {
    (@collect [$machine:ty] [$($listed:tt)*] residual) => {
        $crate::operations!(@emit residual [$machine] [$($listed)*]);
    };
    (@collect [$machine:ty] [$($listed:tt)*] stateless) => {
        $crate::operations!(@emit stateless [$machine] [$($listed)*]);
    };
    (@collect [$machine:ty] [$($listed:tt)*]) => {
        ::core::compile_error!("a machine is `residual`, or says that it is `stateless`");
    };
    (@collect [$machine:ty] [$($listed:tt)*]
        $kind:ident $id:literal $operation:ty; $($rest:tt)*) => {
        $crate::operations!(
            @collect [$machine] [$($listed)* $kind $id [$operation]] $($rest)*
        );
    };
    (@emit $retention:ident [$machine:ty] [$($kind:ident $id:literal [$operation:ty])*]) => {
        $( $crate::operations!(@marker $kind $id $machine, $operation); )*

        impl $crate::Operations for $machine {
            fn apply_operation(
                &mut self,
                call: $crate::Call<'_>,
                context: &mut $crate::Context<Self>,
                out: &mut $crate::macros::Vec<u8>,
            ) -> ::core::result::Result<(), $crate::Unfit> {
                $( $crate::operations!(@apply $kind $id $operation, self, call, context, out); )*
                let _ = (call, context, out);
                Err($crate::Unfit::Unknown)
            }

            fn check_operation(
                operation: $crate::OperationId,
                bytes: &[u8],
            ) -> ::core::result::Result<usize, $crate::Unfit> {
                $( $crate::operations!(@check $kind $id $operation, operation, bytes); )*
                let _ = (operation, bytes);
                Err($crate::Unfit::Unknown)
            }

            fn output_bytes_max(operation: $crate::OperationId) -> ::core::option::Option<usize> {
                $( $crate::operations!(@bound $kind $id $operation, operation); )*
                let _ = operation;
                None
            }

            fn answer_operation(
                &self,
                operation: $crate::OperationId,
                bytes: &[u8],
                view: &$crate::View,
                out: &mut $crate::macros::Vec<u8>,
            ) -> ::core::result::Result<(), $crate::Unfit> {
                $( $crate::operations!(
                    @answer $kind $id $operation, self, operation, bytes, view, out
                ); )*
                let _ = (operation, bytes, view, out);
                Err($crate::Unfit::Unknown)
            }

            $crate::operations!(@retention $retention);
        }
    };
    (@marker command $id:literal $machine:ty, $operation:ty) => {
        impl $crate::Command<$machine> for $operation {
            const OPERATION: $crate::OperationId = {
                assert!(
                    $id < $crate::OPERATION_ID_RESERVED,
                    "the highest 256 operation ids are the host's own"
                );
                $crate::OperationId::new($id)
            };
            type Output = <$machine as $crate::Apply<Self>>::Output;
        }
    };
    (@marker query $id:literal $machine:ty, $operation:ty) => {
        impl $crate::Query<$machine> for $operation {
            const OPERATION: $crate::OperationId = $crate::OperationId::new($id);
            type Output<'answer> = <$machine as $crate::Answer<Self>>::Output<'answer>;
        }
    };
    (@apply command $id:literal $operation:ty,
        $self:ident, $call:ident, $context:ident, $out:ident) => {
        if $call.operation.number() == $id {
            return $crate::macros::expansion::apply::<Self, $operation>(
                $self, $call, $context, $out,
            );
        }
    };
    (@apply query $id:literal $operation:ty,
        $self:ident, $call:ident, $context:ident, $out:ident) => {};
    (@check command $id:literal $operation:ty, $called:ident, $bytes:ident) => {
        if $called.number() == $id {
            return $crate::macros::expansion::check::<Self, $operation>($bytes);
        }
    };
    (@check query $id:literal $operation:ty, $called:ident, $bytes:ident) => {};
    (@bound command $id:literal $operation:ty, $called:ident) => {
        if $called.number() == $id {
            return Some($crate::macros::expansion::output_bytes_max::<Self, $operation>());
        }
    };
    (@bound query $id:literal $operation:ty, $called:ident) => {};
    (@answer command $id:literal $operation:ty,
        $self:ident, $called:ident, $bytes:ident, $view:ident, $out:ident) => {};
    (@answer query $id:literal $operation:ty,
        $self:ident, $called:ident, $bytes:ident, $view:ident, $out:ident) => {
        if $called.number() == $id {
            return $crate::macros::expansion::answer::<Self, $operation>(
                $self, $bytes, $view, $out,
            );
        }
    };
    (@retention residual) => {
        fn freeze_state(&self) -> $crate::macros::Box<dyn $crate::Frozen> {
            $crate::macros::expansion::freeze_residual(self)
        }

        fn restore_state(
            options: Self::Options,
            bytes: &[u8],
        ) -> ::core::result::Result<Self, $crate::DecodeError> {
            $crate::macros::expansion::restore_residual(options, bytes)
        }
    };
    (@retention stateless) => {
        fn freeze_state(&self) -> $crate::macros::Box<dyn $crate::Frozen> {
            $crate::macros::expansion::freeze_nothing()
        }

        fn restore_state(
            options: Self::Options,
            bytes: &[u8],
        ) -> ::core::result::Result<Self, $crate::DecodeError> {
            $crate::macros::expansion::restore_nothing(options, bytes)
        }
    };
    ($machine:ty { $($list:tt)* }) => {
        $crate::operations!(@collect [$machine] [] $($list)*);
    };
}
