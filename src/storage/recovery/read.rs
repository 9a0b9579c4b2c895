//! Reads whole segments in large pieces, and goes on where a piece cannot be read.

use super::super::batch::SegmentName;
use super::super::block::Block;
use super::super::disk::{Disk, OpenMode};
use super::super::error::StorageError;
use super::super::segment::{SegmentError, SegmentHeader, segment_path};
use crate::limits::{SEGMENT_HEADER_BYTES, WRITE_UNIT_BYTES};
use std::io;
use std::path::Path;

/// What the kernel says when the process, or the machine, may open no more files.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// One read while scanning: large enough for the bandwidth of a device.
const READ_BYTES: usize = 1 << 20;
const _: () = assert!(READ_BYTES.is_multiple_of(WRITE_UNIT_BYTES));

/// A segment's bytes. What could not be read is zeros.
#[derive(Debug)]
pub(crate) struct SegmentBytes {
    /// All of it, or as much as there is.
    pub(crate) bytes: Vec<u8>,
    /// Is the file there, and of the right size?
    pub(crate) is_there: bool,
    /// Could all of it be read?
    pub(crate) is_readable: bool,
}

impl SegmentBytes {
    /// Its header, if it is that of this segment in this generation.
    ///
    /// # Errors
    /// If a newer version wrote it.
    pub(crate) fn header(
        &self,
        log_id: u32,
        name: SegmentName,
    ) -> Result<Option<SegmentHeader>, StorageError> {
        match SegmentHeader::parse(&self.bytes) {
            Ok(header) => Ok((header.log_id == log_id && header.name == name).then_some(header)),
            Err(cause @ SegmentError::Newer { .. }) => Err(StorageError::Segment {
                segment: name.number,
                cause,
            }),
            Err(_) => Ok(None),
        }
    }

    /// Does it read as a segment that nothing was written to in this generation: blank, or with an intact header of
    /// an earlier one?
    pub(crate) fn reads_as_spare(&self, name: SegmentName) -> bool {
        match SegmentHeader::parse(&self.bytes) {
            Ok(header) => header.name.generation < name.generation,
            Err(SegmentError::Blank) => true,
            Err(_) => false,
        }
    }
}

/// Reads a segment. A file that is missing or short is no error here: what it held decides.
///
/// # Errors
/// If it is there and refused to us. It says nothing about itself then, and must not pass for lost.
pub(crate) async fn read_segment<D: Disk>(
    disk: &D,
    directory: &Path,
    number: u32,
    size_bytes: u64,
) -> Result<SegmentBytes, StorageError> {
    let size = usize::try_from(size_bytes).expect("a segment has at most 2 GiB");
    let mut bytes = vec![0; size.max(SEGMENT_HEADER_BYTES)];
    let path = segment_path(directory, number);
    let file = match disk.open(&path, OpenMode::Existing).await {
        Ok(file) => file,
        Err(error) if is_refusal(&error) => return Err(StorageError::io("open", &path, error)),
        Err(_) => {
            return Ok(SegmentBytes {
                bytes,
                is_there: false,
                is_readable: false,
            });
        }
    };
    let is_there = disk
        .size_bytes(&file)
        .await
        .is_ok_and(|size| size >= size_bytes);
    let is_readable = read_into(disk, &file, 0, &mut bytes).await;
    Ok(SegmentBytes {
        bytes,
        is_there,
        is_readable,
    })
}

/// Is it about us, and not about the file: whom it belongs to, how it is mounted, or what the process has used up?
fn is_refusal(error: &io::Error) -> bool {
    let is_used_up = matches!(error.raw_os_error(), Some(ENFILE | EMFILE));
    is_used_up
        || matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::OutOfMemory
        )
}

/// Reads what stands from `start` on in large pieces, leaving zeros where that fails; did all of it succeed?
pub(crate) async fn read_into<D: Disk>(
    disk: &D,
    file: &D::File,
    start: usize,
    into: &mut [u8],
) -> bool {
    let mut is_whole = true;
    let mut buffer = Block::for_reading(READ_BYTES.min(into.len()));
    for (piece, target) in into.chunks_mut(READ_BYTES).enumerate() {
        let offset = start + piece * READ_BYTES;
        let (result, returned) = disk.read(file, offset as u64, buffer).await;
        buffer = returned;
        match (result, buffer.bytes().get(..target.len())) {
            (Ok(count), Some(read)) if count >= target.len() => target.copy_from_slice(read),
            _ => is_whole &= read_units(disk, file, offset, target).await,
        }
    }
    is_whole
}

/// Reads a piece unit by unit, leaving zeros where that fails; did all of it succeed?
async fn read_units<D: Disk>(disk: &D, file: &D::File, offset: usize, into: &mut [u8]) -> bool {
    let mut is_whole = true;
    let mut buffer = Block::for_reading(WRITE_UNIT_BYTES);
    for (unit, target) in into.chunks_mut(WRITE_UNIT_BYTES).enumerate() {
        let at = offset + unit * WRITE_UNIT_BYTES;
        let (result, returned) = disk.read(file, at as u64, buffer).await;
        buffer = returned;
        match (result, buffer.bytes().get(..target.len())) {
            (Ok(count), Some(read)) if count >= target.len() => target.copy_from_slice(read),
            _ => is_whole = false,
        }
    }
    is_whole
}
