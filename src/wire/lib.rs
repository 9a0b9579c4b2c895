//! Bytes between processes: hello, frames and their bodies, fixed layouts viewed in place.
//!
//! ```text
//!   connection   hello (96 bytes, both ways)   frame   frame   frame ...
//!                                                │
//!              ┌─────────────────────────────────┴───────────────────────────┐
//!   frame      │ length · kind · flags · request · crc32c · zero │   body     │
//!              └──────────────────── 24 bytes ──────────────────┴────────────┘
//!   bodies     peer      one append, or many small messages of many groups
//!              client    open, attach, command, query, keep-alive, close, map; response, event
//!              admin     what operators ask: postcard, off the hot path
//! ```
//!
//! Everything here turns bytes into values and values into bytes; nothing opens a socket, reads a clock or
//! keeps state, but for the incomplete frame at the end of what a connection has received.
//!
//! Invariants:
//! * Integers are little endian and have explicit widths; every format carries a version (the hello's for
//!   frames, the genesis's own).
//! * What comes from a network is bounded before it is believed, and decoding never panics: each function
//!   that takes foreign bytes returns a [`WireError`] or a [`splitter::FrameError`].
//! * Bytes that a format calls zero are zero, so that they can get a meaning later.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

pub mod admin;
pub mod client;
pub mod code;
pub mod error;
pub mod frame;
pub mod genesis;
pub mod hello;
mod layout;
pub mod peer;
pub mod refusal;
pub mod splitter;
pub mod vanishing;

pub use code::Code;
pub use error::WireError;
pub use frame::{FRAME_BYTES_MAX, Frame, FrameKind, FrameWriter};
pub use hello::{Hello, HelloKind};
pub use refusal::Refusal;
pub use splitter::Splitter;
