//! The interface of replicated state machines, and the host that runs them deterministically.
//!
//! ```text
//!   author's side                         host's side, one per group, called by the shard
//!   ┌──────────────────────────┐          ┌────────────────────────────────────────────────┐
//!   │ Machine  Apply<C>        │ dispatch │ Host: apply · check_command · answer · freeze  │
//!   │ Answer<Q>  Residual      │<─────────│   session table   effect chain   log time      │
//!   │ operations!  shared::Map │ by id    │ Input in, Answers out; nothing else            │
//!   └──────────────────────────┘          └────────────────────────────────────────────────┘
//! ```
//!
//! This crate is `no_std`, so that a clock, a thread, a socket or hash iteration does not even
//! compile. Only `guard`, which catches panics, knows `std`, behind the feature of that name; and
//! `testing` needs it to name the seed of a panic.
//!
//! Not done: entries that live on (`ApplyKept`, `Keep`, `Kept`), events and timers. Their places
//! are kept: the part count of the command header, the event counters of sessions and answers, and
//! the empty lists of the effect chain.

#![no_std]

extern crate alloc;

mod answers;
mod checkpoint;
mod codec;
mod command_apply;
mod command_header;
mod context;
mod cursor;
mod digest;
mod effect_chain;
mod expiry_queue;
pub mod guard;
mod host;
mod input;
mod invariants;
mod keep_alives;
mod limits;
mod machine;
mod operations;
mod payload;
mod reading;
mod registry;
mod session;
mod session_apply;
mod session_map;
mod session_table;
pub mod shared;
#[cfg(feature = "std")]
pub mod testing;

pub use answers::{Answer as HostAnswer, Answers, Code, Recipient};
pub use checkpoint::FrozenHost;
pub use codec::{Decode, DecodeError, DecodeOwned, Encode};
pub use command_header::{COMMAND_HEADER_BYTES, CommandHeader, CommandView, HeaderError, Level};
pub use context::{Commit, Context, SessionChange, View};
pub use digest::Digest;
pub use effect_chain::{CHAIN_HISTORY_COUNT, CHAIN_HISTORY_STRIDE};
pub use host::{Host, HostError, StopReason, Stopped};
pub use input::{Input, InputError};
pub use keep_alives::KeepAlives;
pub use limits::{ENDED_SESSIONS_MAX, Limits, LimitsLayout, OUTPUT_OVERHEAD_BYTES};
pub use machine::{Answer, Apply, Machine, Never, OUTPUT_BYTES_CEILING, Residual};
pub use operations::{
    Call, Command, Frozen, OPERATION_ID_RESERVED, Operations, Place, Query, SKIP, Unfit,
};
pub use payload::{
    EXPIRIES_PER_ENTRY_MAX, Open, REFRESHES_PER_ENTRY_MAX, Refresh, SESSION_TIMEOUT_MS_DEFAULT,
    SESSION_TIMEOUT_MS_MAX, SESSION_TIMEOUT_MS_MIN, SessionNumber, Skip,
};
pub use reading::{CheckedCommand, Outcome, QueryError, Refusal, SessionView};
pub use registry::{Registry, UnknownMachine};
pub use session_map::SessionMap;
pub use session_table::End;

pub use margay_types::{ClientId, Index, LogTime, OperationId, SequenceNumber, SessionId, Term};

/// What the expansions of this crate's macros name; not for hands.
#[doc(hidden)]
pub mod macros {
    pub use crate::operations::expansion;
    pub use alloc::boxed::Box;
    pub use alloc::vec::Vec;
    pub use zerocopy;
}
