//! The client: a pure protocol with thin drivers.
//!
//! ```text
//!   application      commands, queries                      completions, in program order
//!                        │                                        ▲
//!   ┌────────────────────▼────────────────────────────────────────┴───────────────────────┐
//!   │ protocol    sessions ── sequencer (numbers, window, what may have to be sent again)  │
//!   │             router ──── map (who is where), leader hints                             │
//!   │             links ───── hello, frames in and out, keep-alives                        │
//!   └────────────────────▲────────────────────────────────────────┬───────────────────────┘
//!                time, bytes in                         bytes out, whom to dial
//!                        │                                        ▼
//!   drivers          epoll (one thread, many sessions)      blocking (one call at a time)
//!                    tokio (many futures; behind the feature of this name)
//! ```
//!
//! Everything in the box is a state machine without sockets, clock or randomness but a seeded generator: what
//! happens depends on what it is told, so tests script it and the simulator runs it. A driver moves bytes.
//!
//! A client id belongs to one session: a group replaces the session of a client id by its next one, so every session
//! that a `Protocol` opens gets an id of its own, made from the one that it was given.
//!
//! Not done: commands of the levels `Linearizable` and `None`, and strategies of recovery and server selection; each
//! is an option of a submission or of the router. Reads go to leaders only.
//!
//! What it promises, whatever fails: a session's commands are applied in the order in which they were submitted,
//! each once; their completions come in that order; a deadline reports, and cancels nothing.

mod allowance;
pub mod blocking;
pub mod clock;
pub mod connection;
pub mod epoll;
pub mod error;
pub mod operator;
pub mod options;
pub mod protocol;
pub mod query;
mod retry;
mod routing;
mod sequencer;
pub mod session;
mod socket_options;
#[cfg(feature = "tokio")]
pub mod tokio;
pub mod typed;

pub use connection::ConnectionId;
pub use epoll::Driver;
pub use error::{ClientError, SubmitError};
pub use options::{Options, ReadFrom};
pub use protocol::{Completion, Dial, Outcome, Protocol, Question};
pub use query::QueryKey;
pub use session::SessionKey;

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod loopback_tests;
#[cfg(all(test, feature = "mutants"))]
mod mutant_tests;
