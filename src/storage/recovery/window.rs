//! Reads batches one after the other in the order of the log, holding a few mebibytes of it and no more.
//!
//! ```text
//!   segment  ├──────────────┼═══════════════════════┼──────────────────┤
//!                           ^ batch asked for       window moves on when the next one lies outside
//! ```

use super::super::disk::{Disk, OpenMode};
use super::super::log_manifest::LogManifest;
use super::super::segment::segment_path;
use super::chain::Extent;
use super::read::read_into;
use crate::limits::BATCH_BYTES_MAX;
use std::path::Path;

/// What is read at once: the largest batch, and as much again of what follows a small one.
const WINDOW_BYTES: usize = 2 * BATCH_BYTES_MAX;

/// The part of a log that is in memory.
pub(crate) struct Window<'a, D: Disk> {
    disk: &'a D,
    directory: &'a Path,
    manifest: &'a LogManifest,
    /// Which segment, and the file if that could be opened.
    file: Option<(u32, Option<D::File>)>,
    start: usize,
    bytes: Vec<u8>,
}

impl<'a, D: Disk> Window<'a, D> {
    /// Nothing is read yet.
    pub(crate) fn new(disk: &'a D, directory: &'a Path, manifest: &'a LogManifest) -> Self {
        Self {
            disk,
            directory,
            manifest,
            file: None,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// The log that it shows.
    pub(crate) fn log_id(&self) -> u32 {
        self.manifest.log_id
    }

    /// The bytes of a batch; what cannot be read is zeros, and what leads out of the segment is missing.
    pub(crate) async fn bytes(&mut self, extent: &Extent) -> &[u8] {
        let (Ok(offset), Ok(length)) = (
            usize::try_from(extent.offset),
            usize::try_from(extent.length),
        ) else {
            return &[];
        };
        let is_here = self.file.as_ref().is_some_and(|(number, _)| {
            *number == extent.segment.number
                && self.start <= offset
                && offset + length <= self.start + self.bytes.len()
        });
        if !is_here {
            self.move_to(extent.segment.number, offset, length).await;
        }
        let from = offset - self.start;
        let end = (from + length).min(self.bytes.len());
        self.bytes.get(from..end).unwrap_or_default()
    }

    async fn move_to(&mut self, number: u32, offset: usize, length: usize) {
        if self.file.as_ref().is_none_or(|(open, _)| *open != number) {
            let path = segment_path(self.directory, number);
            let opened = self.disk.open(&path, OpenMode::Existing).await;
            self.file = Some((number, opened.ok()));
        }
        let segment_bytes = usize::try_from(self.manifest.segment_bytes).unwrap_or(usize::MAX);
        let behind = segment_bytes.saturating_sub(offset);
        self.start = offset;
        self.bytes.clear();
        self.bytes.resize(behind.min(length.max(WINDOW_BYTES)), 0);
        if let Some((_, Some(file))) = &self.file {
            read_into(self.disk, file, offset, &mut self.bytes).await;
        }
    }
}
