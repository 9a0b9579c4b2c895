//! A driver for applications that live on tokio: many calls at a time, each one a future.
//!
//! ```text
//!   Client, Session ──requests, bounded──▶ ┌──────────────────────────────┐
//!   (clones, in any task)                  │ driver: one task per client  │
//!                                          │   ledger ── who waits        │──▶ sockets
//!   Call: a future   ◀──────── reply ───── │   Protocol                   │◀──
//!                                          └──────────────────────────────┘
//! ```
//!
//! ```text
//!   let client = Client::connect(&endpoints, Options::default(), timeout).await?;
//!   let session = client.open(group).await?;
//!   let first = session.submit(operation, bytes);     // under way
//!   let second = session.submit(operation, bytes);    // behind the first, whatever is awaited first
//!   let (second, first) = (second.await?, first.await?);
//! ```
//!
//! What it promises is what the protocol promises: the commands of a session are applied in the order in which
//! [`Session::submit`] was called, each once, whatever connections and leaders do meanwhile.
//!
//! **A future that is dropped** takes nothing back. `submit` and `query` act when they are called, not when they are
//! polled: a dropped [`Call`] loses its reply and nothing else. Its command is sent, and sent again after a failure,
//! until it is decided, once; those behind it keep their places. So a `Call` may stand in a `select!`, be raced
//! against a timeout, and awaited again afterwards through `&mut call`. A dropped [`Client::open`] closes the session
//! that nobody took.
//!
//! **A deadline** is the timeout of the handle that was called ([`Session::within`] gives one with another), and
//! reports: `TimedOut` when the command was not sent yet, and never will be; `OutcomeUnknown` when it was: it is still
//! under way, and applied at most once, as long as its session lives. A query changes nothing and is given up.
//!
//! **Every queue has a limit**, named in `limits`. What is beyond is refused at once, in order and before it has a
//! number, as [`SubmitError::QueueFull`](crate::SubmitError::QueueFull): nothing was sent; go on after a completion.
//!
//! **The end.** A session whose last handle is dropped is closed behind its last command. After the last handle of a
//! client the task sees its sessions closed, for at most the client's timeout, and ends. [`Client::close`] does the
//! same at once and waits for it. If the runtime ends before, sessions end by their own timeout.
//!
//! Files beside: `client`, `session`, `call` and `typed` are the handles; `request` is what they say to the task;
//! `driver` is the task, with `ledger` and `account` (who waits for what) and `sockets`.
//!
//! Not done: events of sessions are passed over, as in the blocking driver. Time is the machine's, also where a
//! runtime's clock is paused for a test.

mod account;
mod call;
mod client;
mod driver;
mod ledger;
pub mod limits;
mod request;
mod session;
mod sockets;
pub mod typed;

pub use call::Call;
pub use client::Client;
pub use session::Session;

#[cfg(test)]
mod driver_tests;
