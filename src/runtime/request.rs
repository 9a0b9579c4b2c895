//! How an operation is written down for the kernel.
//!
//! A request points to the operation's own bytes, and for some operations to a little memory beside them, the
//! [`Scratch`]. Both stay in place until the request is completed: see `ring`.

use super::address::RawAddress;
use super::operation::{Descriptor, Operation, Part};
use crate::storage::Slice;
use io_uring::types::{Fd, FsyncFlags, Timespec};
use io_uring::{opcode, squeue};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;

/// The one group of receive buffers.
pub(super) const RECEIVE_GROUP: u16 = 0;

/// What requests point to, beside the operation's own bytes.
pub(super) enum Scratch {
    Message {
        header: libc::msghdr,
        vectors: Vec<libc::iovec>,
    },
    Address(RawAddress),
    Metadata(MaybeUninit<libc::statx>),
    Time(Timespec),
    Signal([u8; SIGNAL_BYTES]),
}

/// Size of a `signalfd_siginfo`.
pub(super) const SIGNAL_BYTES: usize = 128;

/// The small memory that an operation's request needs.
pub(super) fn scratch_of(operation: &Operation) -> Option<Scratch> {
    match operation {
        Operation::Send {
            parts, sent_bytes, ..
        } if parts.len() > 1 => Some(Scratch::Message {
            header: empty_message(),
            vectors: vectors_of(parts, *sent_bytes),
        }),
        Operation::Connect { address, .. } => Some(Scratch::Address(RawAddress::new(*address))),
        Operation::Size { .. } => Some(Scratch::Metadata(MaybeUninit::zeroed())),
        Operation::Pause { duration: time } => Some(Scratch::Time(*time)),
        Operation::ReadSignal { .. } => Some(Scratch::Signal([0; SIGNAL_BYTES])),
        Operation::Accept { .. }
        | Operation::Receive { .. }
        | Operation::Send { .. }
        | Operation::WriteDurable { .. }
        | Operation::Open { .. }
        | Operation::Allocate { .. }
        | Operation::Punch { .. }
        | Operation::Read { .. }
        | Operation::Write { .. }
        | Operation::Sync { .. }
        | Operation::MakeDirectory { .. }
        | Operation::Remove { .. }
        | Operation::Watch { .. }
        | Operation::Cancel { .. } => None,
    }
}

/// What is left of `parts` behind their first `sent_bytes`.
fn vectors_of(parts: &[Part], sent_bytes: usize) -> Vec<libc::iovec> {
    let mut skip = sent_bytes;
    let mut vectors = Vec::with_capacity(parts.len());
    for part in parts {
        let bytes = part.bytes();
        let rest = bytes.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(bytes.len());
        if !rest.is_empty() {
            vectors.push(libc::iovec {
                iov_base: rest.as_ptr().cast_mut().cast(),
                iov_len: rest.len(),
            });
        }
    }
    vectors
}

fn empty_message() -> libc::msghdr {
    libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    }
}

/// Builds the request of an operation that is in its place.
pub(super) fn entry_of(
    operation: &mut Operation,
    scratch: Option<&mut Scratch>,
    registered_count: u16,
) -> squeue::Entry {
    match (operation, scratch) {
        (Operation::Send { socket, .. }, Some(Scratch::Message { header, vectors })) => {
            header.msg_iov = vectors.as_mut_ptr();
            header.msg_iovlen = vectors.len();
            opcode::SendMsg::new(fd(socket), header)
                .flags(SEND_FLAGS.cast_unsigned())
                .build()
        }
        (Operation::Connect { socket, .. }, Some(Scratch::Address(address))) => {
            opcode::Connect::new(fd(socket), address.pointer(), address.size_bytes()).build()
        }
        (Operation::Size { file }, Some(Scratch::Metadata(metadata))) => {
            opcode::Statx::new(fd(file), c"".as_ptr(), metadata.as_mut_ptr().cast())
                .flags(libc::AT_EMPTY_PATH)
                .mask(libc::STATX_SIZE)
                .build()
        }
        (Operation::Pause { .. }, Some(Scratch::Time(time))) => opcode::Timeout::new(time).build(),
        (Operation::ReadSignal { file }, Some(Scratch::Signal(bytes))) => {
            let size = u32::try_from(bytes.len()).expect("a constant");
            opcode::Read::new(fd(file), bytes.as_mut_ptr(), size).build()
        }
        (operation, _) => plain_entry(operation, registered_count),
    }
}

/// A send completes when all of it has left, and a peer that is gone is an error and not a signal.
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;

fn fd(descriptor: &Descriptor) -> Fd {
    Fd(descriptor.as_raw_fd())
}

/// Requests that point to nothing but their operation's own bytes.
fn plain_entry(operation: &mut Operation, registered_count: u16) -> squeue::Entry {
    match operation {
        Operation::Accept { listener } => {
            opcode::Accept::new(fd(listener), ptr::null_mut(), ptr::null_mut())
                .flags(libc::SOCK_CLOEXEC)
                .build()
        }
        Operation::Receive { socket } => opcode::RecvMulti::new(fd(socket), RECEIVE_GROUP).build(),
        Operation::WriteDurable {
            file,
            offset_bytes,
            bytes,
        } => durable_entry(fd(file), *offset_bytes, bytes, registered_count),
        Operation::Write {
            file,
            offset_bytes,
            bytes,
        } => opcode::Write::new(fd(file), bytes.as_ptr(), size_of_bytes(bytes))
            .offset(*offset_bytes)
            .build(),
        Operation::Read {
            file,
            offset_bytes,
            block,
        } => {
            let bytes = block.bytes_mut();
            let size = size_of_bytes(bytes);
            opcode::Read::new(fd(file), bytes.as_mut_ptr(), size)
                .offset(*offset_bytes)
                .build()
        }
        Operation::Allocate { file, size_bytes } => {
            opcode::Fallocate::new(fd(file), *size_bytes).build()
        }
        Operation::Punch {
            file,
            offset_bytes,
            size_bytes,
        } => opcode::Fallocate::new(fd(file), *size_bytes)
            .offset(*offset_bytes)
            .mode(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE)
            .build(),
        Operation::Sync { file } => opcode::Fsync::new(fd(file))
            .flags(FsyncFlags::empty())
            .build(),
        Operation::Open { path, flags } => opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
            .flags(*flags | libc::O_CLOEXEC)
            .mode(FILE_MODE)
            .build(),
        Operation::MakeDirectory { path } => {
            opcode::MkDirAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
                .mode(DIRECTORY_MODE)
                .build()
        }
        Operation::Remove { path } => {
            opcode::UnlinkAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).build()
        }
        Operation::Watch { file } => opcode::PollAdd::new(fd(file), READABLE).multi(true).build(),
        Operation::Cancel { operation } => opcode::AsyncCancel::new(operation.number()).build(),
        Operation::Send {
            socket,
            parts,
            sent_bytes,
        } => send_entry(fd(socket), parts, *sent_bytes),
        Operation::Connect { .. }
        | Operation::Size { .. }
        | Operation::Pause { .. }
        | Operation::ReadSignal { .. } => {
            unreachable!("{operation:?} has scratch memory of its kind, see `scratch_of`")
        }
    }
}

/// A send of one part; more of them have a message, see `scratch_of`.
fn send_entry(socket: Fd, parts: &[Part], sent_bytes: usize) -> squeue::Entry {
    let [only] = parts else {
        unreachable!("a send of {} parts has a message", parts.len())
    };
    let bytes = only.bytes().get(sent_bytes..).unwrap_or_default();
    opcode::Send::new(socket, bytes.as_ptr(), size_of_bytes(bytes))
        .flags(SEND_FLAGS)
        .build()
}

/// Files of the data directory are the server's own business.
const FILE_MODE: libc::mode_t = 0o640;
const DIRECTORY_MODE: libc::mode_t = 0o750;
const READABLE: u32 = 1;
const _: () = assert!(libc::POLLIN == 1);

fn durable_entry(
    file: Fd,
    offset_bytes: u64,
    bytes: &Slice,
    registered_count: u16,
) -> squeue::Entry {
    let size = size_of_bytes(bytes);
    match bytes
        .registered()
        .filter(|number| *number < registered_count)
    {
        Some(index) => opcode::WriteFixed::new(file, bytes.as_ptr(), size, index)
            .offset(offset_bytes)
            .rw_flags(libc::RWF_DSYNC)
            .build(),
        None => opcode::Write::new(file, bytes.as_ptr(), size)
            .offset(offset_bytes)
            .rw_flags(libc::RWF_DSYNC)
            .build(),
    }
}

fn size_of_bytes(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("blocks are far below 4 GiB")
}
