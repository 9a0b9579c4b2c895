//! What clients and servers tell each other about sessions, commands, queries and events.
//!
//! ```text
//!   Open, Attach     ──────────>  Response { Attached: attachment, next number, window }
//!   Command × many   ──────────>  Response × many, each with the index of its entry
//!   Query            ──────────>  Response with the index at which it was evaluated
//!   KeepAlive (all sessions of the connection) ──> Response { those that must move }
//!                    <──────────  Event × many
//! ```
//!
//! A session is bound to a connection once, by [`Open`] or [`Attach`], and is named by a small number from then
//! on. The payload of a command is exactly what will be the payload of its log record, so the server copies it
//! unchanged.

mod event;
mod request;
mod response;

pub use event::{Event, event};
pub use request::{
    Attach, Attachment, Close, Command, KeepAlive, KeepAliveItem, Open, Query, QueryLevel, attach,
    close, command, keep_alive, open, query,
};
pub use response::{
    Answer, Attached, Detached, Response, ResponseHead, ResponseWriter, attached, detached,
    response, write_attached, write_detached, write_done, write_refusal,
};
