//! What a core can ask of the kernel, with everything that the kernel reads and writes while it does it.
//!
//! An operation owns its memory and its descriptors, and the ring owns the operation until the kernel is done.
//! So a future that is dropped, or a connection that is closed, can never free bytes under the kernel.

use super::slots::Key;
use crate::storage::{Block, Slice, WriteToken};
use io_uring::types::Timespec;
use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// An open file or socket. It is closed when nobody wants it and the kernel is done with it.
pub(super) type Descriptor = Rc<OwnedFd>;

/// For whom an operation runs; comes back with its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// New connections of the core's listener.
    Accept,
    /// Bytes for a connection.
    Receive(Key),
    /// Bytes of a connection have left.
    Send(Key),
    /// A connection that we dial.
    Connect(Key),
    /// A durable write of the log.
    Write(WriteToken),
    /// An operation of a cold task.
    Cold(Key),
    /// Another thread put something into the mailbox.
    Bell,
    /// A signal arrived.
    Signal,
    /// Time for a tick.
    Tick,
    /// Nobody waits for the completion.
    Nobody,
}

/// Bytes that leave in one send, pinned until they have.
#[derive(Debug)]
pub(super) enum Part {
    /// Frames that were copied together.
    Bytes(Vec<u8>),
    /// Records out of a batch.
    Records(Slice),
}

impl Part {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Records(records) => records,
        }
    }
}

/// An operation.
#[derive(Debug)]
pub(super) enum Operation {
    /// Accepts one connection. Not as many as there are: the kernel would open sockets without regard to how many
    /// descriptors are meant for them, and take those of files.
    Accept { listener: Descriptor },
    /// Receives into the shared buffers until the peer is done (many completions).
    Receive { socket: Descriptor },
    /// Sends all parts, from `sent_bytes` of the first on.
    Send {
        socket: Descriptor,
        parts: Vec<Part>,
        sent_bytes: usize,
    },
    /// Connects a socket.
    Connect {
        socket: Descriptor,
        address: SocketAddr,
    },
    /// Writes directly and returns when the bytes are durable.
    WriteDurable {
        file: Descriptor,
        offset_bytes: u64,
        bytes: Slice,
    },
    /// Opens a file.
    Open { path: CString, flags: i32 },
    /// Asks for a file's length.
    Size { file: Descriptor },
    /// Reserves room.
    Allocate { file: Descriptor, size_bytes: u64 },
    /// Gives room back, in the middle of a file.
    Punch {
        file: Descriptor,
        offset_bytes: u64,
        size_bytes: u64,
    },
    /// Reads into a block.
    Read {
        file: Descriptor,
        offset_bytes: u64,
        block: Block,
    },
    /// Writes without making durable, from `done_bytes` on.
    Write {
        file: Descriptor,
        offset_bytes: u64,
        bytes: Slice,
    },
    /// Makes a file or a directory durable.
    Sync { file: Descriptor },
    /// Makes a directory.
    MakeDirectory { path: CString },
    /// Removes a file.
    Remove { path: CString },
    /// Waits for a span of time.
    Pause { duration: Timespec },
    /// Tells whenever a descriptor becomes readable (many completions).
    Watch { file: Descriptor },
    /// Reads what a signalfd has to say.
    ReadSignal { file: Descriptor },
    /// Cancels another operation.
    Cancel { operation: Key },
}

impl Operation {
    /// May it be cancelled when the core stops? Work on files ends by itself, and a write that has begun must not
    /// be half done; all else may wait for ever.
    pub(super) fn waits_for_others(&self) -> bool {
        match self {
            Self::Accept { .. }
            | Self::Receive { .. }
            | Self::Send { .. }
            | Self::Connect { .. }
            | Self::Pause { .. }
            | Self::Watch { .. }
            | Self::ReadSignal { .. } => true,
            Self::WriteDurable { .. }
            | Self::Open { .. }
            | Self::Size { .. }
            | Self::Allocate { .. }
            | Self::Punch { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Sync { .. }
            | Self::MakeDirectory { .. }
            | Self::Remove { .. }
            | Self::Cancel { .. } => false,
        }
    }
}
