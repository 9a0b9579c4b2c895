//! What the author of a machine writes.
//!
//! ```
//! use margay_machine::{
//!     Answer, Apply, Commit, Context, Machine, Never, Residual, View, operations,
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct Add {
//!     pub by: i64,
//! }
//! #[derive(Serialize, Deserialize)]
//! pub struct Get;
//!
//! pub struct Counter {
//!     value: i64,
//! }
//! operations! { Counter { command 1 Add; query 1 Get; residual } }
//!
//! impl Machine for Counter {
//!     type Options = ();
//!     type Event = Never;
//!     fn new(_: ()) -> Self {
//!         Counter { value: 0 }
//!     }
//! }
//! impl Apply<Add> for Counter {
//!     type Output = i64;
//!     fn apply(&mut self, commit: Commit<Add>, _: &mut Context<Self>) -> i64 {
//!         self.value = self.value.wrapping_add(commit.command.by);
//!         self.value
//!     }
//! }
//! impl Answer<Get> for Counter {
//!     type Output<'a> = i64;
//!     fn answer(&self, _: Get, _: &View) -> i64 {
//!         self.value
//!     }
//! }
//! impl Residual for Counter {
//!     type Frozen = i64;
//!     fn freeze(&self) -> i64 {
//!         self.value
//!     }
//!     fn restore(_: (), value: i64) -> Self {
//!         Counter { value }
//!     }
//! }
//! ```
//!
//! A machine is deterministic in its commits and log time. It has no clock but `commit.time`, no
//! randomness, no hash iteration, no I/O; it runs on the thread of its shard and must be quick.

use crate::codec::{DecodeOwned, Encode};
use crate::context::{Commit, Context, SessionChange, View};
use crate::digest::Digest;
use margay_types::SessionId;

/// The largest output that may be declared.
pub const OUTPUT_BYTES_CEILING: usize = 64 << 10;

/// The replicated state machine of a group.
pub trait Machine: Sized + 'static {
    /// What a group's creator may choose; replicated with the group. No bytes mean the default.
    type Options: DecodeOwned + Default;
    /// What the machine tells sessions unasked; `Never` if nothing.
    type Event: Encode + DecodeOwned;
    /// Raised when an operation's effect changes. A binary that lacks the version in force refuses
    /// the group.
    const VERSION: u32 = 1;

    /// The machine of a group that has applied nothing yet.
    fn new(options: Self::Options) -> Self;

    /// A session has begun or ended, at this place of the log.
    fn on_session(
        &mut self,
        session: SessionId,
        change: SessionChange,
        context: &mut Context<Self>,
    ) {
        let _ = (session, change, context);
    }

    /// Adds what the state says to a digest that replicas and tests compare. The bytes of the
    /// residual are compared anyway; this is for state that rebuilds and yet is not in there.
    fn digest(&self, digest: &mut Digest) {
        let _ = digest;
    }
}

/// Applies commands whose entry is not needed once it was applied, or once a residual covers it.
pub trait Apply<C>: Machine {
    /// What the client gets, the first time and every time it repeats the command. Errors of the
    /// domain are outputs.
    type Output: Encode;
    /// The largest encoded output. A larger one is replaced by an error that says so, on every
    /// replica; sessions are admitted by it, so declare what is true.
    const OUTPUT_BYTES_MAX: usize = 4096;

    /// Changes the state. What is called here must be the same on every replica.
    fn apply(&mut self, commit: Commit<C>, context: &mut Context<Self>) -> Self::Output;
}

/// Answers queries; the answer may lend from the state.
pub trait Answer<Q>: Machine {
    /// What the client gets.
    type Output<'a>: Encode;

    /// Looks, and changes nothing.
    fn answer<'a>(&'a self, query: Q, view: &View) -> Self::Output<'a>;
}

/// The state that a checkpoint must hold.
pub trait Residual: Machine {
    /// The state at one index, encoded later and by another thread.
    type Frozen: Encode + DecodeOwned + Send + 'static;

    /// Takes the state as it is, in constant time: see `shared::Map`.
    fn freeze(&self) -> Self::Frozen;

    /// The machine that froze it.
    fn restore(options: Self::Options, frozen: Self::Frozen) -> Self;
}

/// The event of a machine that publishes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "postcard", derive(serde::Serialize, serde::Deserialize))]
pub enum Never {}

#[cfg(not(feature = "postcard"))]
mod without_serde {
    use super::Never;
    use crate::codec::{Decode, DecodeError, Encode};
    use alloc::vec::Vec;

    impl Encode for Never {
        fn encode(&self, _: &mut Vec<u8>) {
            match *self {}
        }
    }

    impl Decode<'_> for Never {
        fn decode(_: &[u8]) -> Result<Self, DecodeError> {
            Err(DecodeError)
        }
    }

    impl Encode for () {
        fn encode(&self, _: &mut Vec<u8>) {}
    }

    impl Decode<'_> for () {
        fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
            if bytes.is_empty() {
                Ok(())
            } else {
                Err(DecodeError)
            }
        }
    }
}
