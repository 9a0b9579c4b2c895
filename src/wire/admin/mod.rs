//! What operators and maps ask: bodies that serde encodes, off the hot path.
//!
//! Requests travel in frames of their own kind, answers in `Response` frames whose output is the encoded type:
//!
//! | request | frame | answer |
//! | --- | --- | --- |
//! | [`NodeInfoRequest`] | `NodeInfo` | [`NodeInfo`] |
//! | [`Bootstrap`] | `Bootstrap` | [`BootstrapAnswer`] |
//! | [`KeyspaceCreate`] | `KeyspaceCreate` | [`KeyspaceCreated`] |
//! | [`KeyspaceListRequest`] | `KeyspaceList` | [`KeyspaceList`] |
//! | [`StatusRequest`] | `Status` | [`Status`] |
//! | [`ChainRequest`] | `Chain` | [`Chain`] |
//! | [`MapRequest`] | `Map` | [`Map`] |
//!
//! The `system` module lists the operations of group 0's machine, which share some of these types.
//!
//! The encoding is postcard, whose structs have no field names: a field is only ever added together with a new
//! protocol version.

mod chain;
mod keyspace;
mod map;
mod node;
mod status;
pub mod system;

pub use chain::{CHAIN_SAMPLE_STEP, CHAIN_SAMPLES_MAX, Chain, ChainLink, ChainRequest};
pub use keyspace::{
    Keyspace, KeyspaceCreate, KeyspaceCreated, KeyspaceList, KeyspaceListRequest, KeyspaceRefusal,
};
pub use map::{LeaderHint, Map, MapGroup, MapNode, MapRequest};
pub use node::{Bootstrap, BootstrapAnswer, Formation, NodeInfo, NodeInfoRequest};
pub use status::{
    Durability, GroupStatus, HealthReason, IoSettings, MemberStatus, MemberType, ReplicaRole,
    ShardStatus, SpaceMark, Status, StatusRequest,
};

use crate::client::{ResponseHead, ResponseWriter};
use crate::error::WireError;
use crate::frame::{FRAME_BYTES_MAX, FrameKind, FrameWriter, HEADER_BYTES};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A request of this module: the kind of its frame, and the type of its answer.
pub trait Request: Serialize + DeserializeOwned {
    /// The frame it travels in.
    const KIND: FrameKind;
    /// What is answered when it is done.
    type Answer: Serialize + DeserializeOwned;
}

macro_rules! requests {
    ($($request:ty = $kind:ident -> $answer:ty;)*) => {
        $(impl Request for $request {
            const KIND: FrameKind = FrameKind::$kind;
            type Answer = $answer;
        })*
    };
}

requests! {
    NodeInfoRequest = NodeInfo -> NodeInfo;
    Bootstrap = Bootstrap -> BootstrapAnswer;
    KeyspaceCreate = KeyspaceCreate -> KeyspaceCreated;
    KeyspaceListRequest = KeyspaceList -> KeyspaceList;
    StatusRequest = Status -> Status;
    ChainRequest = Chain -> Chain;
    MapRequest = Map -> Map;
}

/// Appends the frame of a request.
///
/// # Errors
/// `TooLong` when it does not fit in a frame; nothing is appended then.
pub fn write_request<R: Request>(
    out: &mut Vec<u8>,
    number: u64,
    request: &R,
) -> Result<(), WireError> {
    let mut frame = FrameWriter::begin(out, R::KIND, number);
    match encode(frame.body(), request).and_then(|()| bounded(frame.body_bytes())) {
        Ok(()) => frame.finish(),
        Err(error) => {
            frame.abandon();
            return Err(error);
        }
    }
    Ok(())
}

/// Reads the body of a request's frame.
///
/// # Errors
/// When it does not decode, or bytes follow.
pub fn read_request<R: Request>(body: &[u8]) -> Result<R, WireError> {
    decode("request of an operator", body)
}

/// Appends the frame of an answer.
///
/// # Errors
/// `TooLong` when it does not fit in a frame; nothing is appended then.
pub fn write_answer<R: Request>(
    out: &mut Vec<u8>,
    number: u64,
    head: ResponseHead,
    answer: &R::Answer,
) -> Result<(), WireError> {
    let mut response = ResponseWriter::begin(out, number, head);
    match encode(response.output(), answer).and_then(|()| bounded(response.output_bytes())) {
        Ok(()) => response.finish(),
        Err(error) => {
            response.abandon();
            return Err(error);
        }
    }
    Ok(())
}

/// Reads the output of an answer.
///
/// # Errors
/// When it does not decode, or bytes follow.
pub fn read_answer<R: Request>(output: &[u8]) -> Result<R::Answer, WireError> {
    decode("answer to an operator", output)
}

/// Appends the encoding of a value of this module: for the operations of group 0's machine.
///
/// # Errors
/// `BadBody` when serde refuses, which none of these types does.
pub fn encode<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), WireError> {
    postcard::to_extend(value, Appender(out))
        .map(|_| ())
        .map_err(|_| WireError::BadBody {
            what: "value to encode",
        })
}

/// Reads a value of this module; the bytes must hold nothing else.
///
/// # Errors
/// `BadBody` when they do not decode, `Trailing` when bytes follow.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, WireError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, behind)) => Err(WireError::Trailing {
            what,
            bytes: behind.len(),
        }),
        Err(_) => Err(WireError::BadBody { what }),
    }
}

/// Room in a frame for a body of this module; the response's head is smaller than what is left.
fn bounded(have: usize) -> Result<(), WireError> {
    let max = FRAME_BYTES_MAX - 2 * HEADER_BYTES;
    if have <= max {
        Ok(())
    } else {
        Err(WireError::TooLong {
            what: "body",
            have,
            max,
        })
    }
}

/// Lets postcard append to a buffer that somebody else owns.
struct Appender<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Appender<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
