//! The first thing that a new life makes durable: where the lives before ended.
//!
//! ```text
//!   1  sync the segments of the last batches     what reads back need not be durable
//!   2  wipe torn headers of spares, list spares with remains under a new generation
//!   3  write the restart batch behind the last batch kept, or at the start of a spare, made now if none is left; sync
//! ```
//!
//! The restart batch carries the witness of every kept batch that had none, so that from here on each of them is
//! covered. A crash at any point of this repeats it: steps 1 and 2 change nothing that the walk looks at.

use super::super::batch::{HeaderHash, SegmentName};
use super::super::block::Block;
use super::super::directory;
use super::super::disk::{Disk, OpenMode};
use super::super::error::StorageError;
use super::super::log_manifest::{FullSegment, LogManifest, SegmentEntry};
use super::super::manifest::ManifestFiles;
use super::super::open_batch::{Lead, OpenBatch, SealedBatch, Stamp};
use super::super::payload::Restart;
use super::super::record::{RecordFields, RecordKind, record_bytes};
use super::super::resume;
use super::super::segment::segment_path;
use super::super::spares::{fill, free_number, full_segment};
use super::super::witness::{Witness, WitnessItem};
use super::chain::{Chain, Link, LiveSegment, Look, WINDOW};
use super::scan::FoundBatch;
use super::{RecoveryError, RecoveryOptions};
use crate::limits::{SEGMENT_HEADER_BYTES, SEGMENTS_MAX, WRITE_UNIT_BYTES};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, Index, Term};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The log on its disk, while recovery works on it.
pub(crate) struct LogFiles<D: Disk> {
    pub(crate) disk: D,
    pub(crate) directory: PathBuf,
    pub(crate) files: ManifestFiles<D>,
    pub(crate) manifest: LogManifest,
}

/// How the segments are used from here on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    /// Segments with batches of the log: first and last sequence that they held, hash of the last header.
    pub(crate) used: Vec<(SegmentName, u64, u64, HeaderHash)>,
    /// Segments that can be written to.
    pub(crate) spares: Vec<SegmentName>,
    /// Segments that may have held something that is lost: nobody touches them.
    pub(crate) held: Vec<SegmentEntry>,
    /// Batches from here on are lost, behind all of them: they count for the segment where the log goes on.
    lost_from: Option<u64>,
}

/// Where the log goes on.
pub(crate) struct Restarted {
    pub(crate) batch: SealedBatch,
    pub(crate) recovery_epoch: u64,
    pub(crate) roles: Roles,
}

impl<D: Disk> LogFiles<D> {
    /// Does all three steps.
    pub(crate) async fn restart(
        &mut self,
        chain: &Chain,
        live: &[LiveSegment],
        options: &RecoveryOptions,
    ) -> Result<Restarted, RecoveryError> {
        let mut roles = assign(chain, live);
        self.sync_tail(chain).await?;
        self.refresh_spares(&mut roles, live).await?;
        let epoch_max = greatest_epoch(chain, live);
        #[cfg(feature = "mutants")]
        let epoch_max = if mutant::is(Mutant::EpochNotRaised) {
            epoch_max.saturating_sub(1)
        } else {
            epoch_max
        };
        let recovery_epoch = epoch_max + 1;
        let batch = self
            .write_restart(chain, &mut roles, recovery_epoch, options)
            .await?;
        Ok(Restarted {
            batch,
            recovery_epoch,
            roles,
        })
    }

    /// Opens a segment that the manifest lists.
    pub(crate) async fn open(&self, number: u32) -> Result<D::File, StorageError> {
        let path = segment_path(&self.directory, number);
        let opened = self.disk.open(&path, OpenMode::Existing).await;
        opened.map_err(|error| StorageError::io("open", &path, error))
    }

    async fn sync_tail(&self, chain: &Chain) -> Result<(), StorageError> {
        let recent = chain
            .links
            .iter()
            .rev()
            .take_while(|link| link.sequence() + 2 * WINDOW >= chain.tail.sequence);
        let kept = recent.filter_map(Link::kept);
        let mut numbers: Vec<u32> = kept.map(|batch| batch.header.segment.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            self.sync(number).await?;
        }
        Ok(())
    }

    async fn sync(&self, number: u32) -> Result<(), StorageError> {
        let file = self.open(number).await?;
        let synced = self.disk.sync(&file).await;
        let path = segment_path(&self.directory, number);
        synced.map_err(|error| StorageError::io("sync", &path, error))
    }

    /// Spares that show remains of the last life get a new generation, so that these never count again.
    async fn refresh_spares(
        &mut self,
        roles: &mut Roles,
        live: &[LiveSegment],
    ) -> Result<(), StorageError> {
        let mut is_changed = false;
        for segment in live {
            let name = segment.entry.name;
            let Some(spare) = roles.spares.iter_mut().find(|spare| **spare == name) else {
                continue;
            };
            if segment.look == Look::Spare {
                continue;
            }
            if segment.header.is_none() {
                let zeros = Block::holding(&[0; SEGMENT_HEADER_BYTES]);
                self.write(name.number, 0, zeros.whole()).await?;
            }
            spare.generation += 1;
            let entry = self
                .manifest
                .segments
                .iter_mut()
                .find(|entry| entry.name == name);
            let entry = entry.expect("live segments are those of the manifest");
            *entry = SegmentEntry {
                name: *spare,
                full: None,
            };
            is_changed = true;
        }
        if is_changed {
            self.files.replace(self.manifest.encode()).await?;
        }
        Ok(())
    }

    async fn write_restart(
        &mut self,
        chain: &Chain,
        roles: &mut Roles,
        recovery_epoch: u64,
        options: &RecoveryOptions,
    ) -> Result<SealedBatch, RecoveryError> {
        let sequence = chain.tail.sequence;
        let last_hash = chain.tail.previous.unwrap_or(HeaderHash::ZERO);
        let restart = Restart {
            last_kept: sequence - 1,
            last_hash,
            process_life: options.process_life,
            recovery_epoch,
        };
        let witness = Witness {
            durable_sequence: sequence - 1,
            items: unwitnessed(chain),
        };
        let witness_bytes = witness.encode(sequence).len();
        let payload = restart.encode();
        let length = OpenBatch::least_bytes(record_bytes(payload.len()), witness_bytes);
        let (segment, offset, lead) = self.place(chain, roles, length).await?;
        let block = Block::with_capacity(lead.bytes() + length);
        let mut batch = OpenBatch::new(block, lead, sequence, length, witness_bytes);
        let fields = RecordFields {
            kind: RecordKind::Restart,
            group: GroupId::LOG,
            term: Term::ZERO,
            index: Index::new(restart.last_kept),
            time: sequence,
        };
        batch.append(&fields, &[&payload]);
        let stamp = Stamp {
            log_id: self.manifest.log_id,
            recovery_epoch,
            segment,
            offset,
            segment_bytes: self.manifest.segment_bytes,
            durable_sequence: sequence - 1,
            previous: last_hash,
            length: None,
        };
        let (sealed, _) = batch.seal(&stamp, Some(&witness));
        self.write(segment.number, sealed.write_offset, sealed.write.clone())
            .await?;
        roles.extend(segment, sequence, sealed.item.hash);
        Ok(sealed)
    }

    /// Behind the last batch, if its place is known and there is room; else at the start of a spare.
    async fn place(
        &mut self,
        chain: &Chain,
        roles: &mut Roles,
        length: usize,
    ) -> Result<(SegmentName, u32, Lead), RecoveryError> {
        if let Some((segment, offset)) = chain.tail.place
            && u64::from(offset) + length as u64 <= self.manifest.segment_bytes
            && roles.is_last_used(segment)
        {
            return Ok((segment, offset, Lead::Nothing));
        }
        if roles.spares.is_empty() {
            self.make_spare(roles).await?;
        }
        let offset = u32::try_from(SEGMENT_HEADER_BYTES).expect("one write unit");
        Ok((roles.spares.remove(0), offset, Lead::SegmentHeader))
    }

    /// The reserve was used up on a full disk. If there is room again a new spare is made, as the log itself would.
    async fn make_spare(&mut self, roles: &mut Roles) -> Result<(), RecoveryError> {
        let no_spare = || RecoveryError::NoSpare {
            directory: self.directory.clone(),
        };
        let segments = &mut self.manifest.segments;
        if segments.len() >= SEGMENTS_MAX {
            return Err(no_spare());
        }
        let number = free_number(segments.iter().map(|entry| entry.name.number));
        let path = segment_path(&self.directory, number);
        let filled = fill(&self.disk, &path, self.manifest.segment_bytes, || None).await;
        match filled {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let _ = self.disk.remove(&path).await;
                return Err(no_spare());
            }
            Err(error) => return Err(StorageError::io("fill", &path, error).into()),
        }
        let synced = self.disk.sync_directory(&self.directory).await;
        synced.map_err(|error| StorageError::io("sync", &self.directory, error))?;
        let name = SegmentName {
            number,
            generation: 1,
        };
        let at = segments.partition_point(|entry| entry.name.number < number);
        segments.insert(at, SegmentEntry { name, full: None });
        self.files.replace(self.manifest.encode()).await?;
        roles.spares.push(name);
        Ok(())
    }

    async fn write(
        &self,
        number: u32,
        offset: u64,
        bytes: super::super::block::Slice,
    ) -> Result<(), StorageError> {
        assert!(
            bytes.len().is_multiple_of(WRITE_UNIT_BYTES),
            "a direct write of whole units"
        );
        let path = segment_path(&self.directory, number);
        let file = self.open(number).await?;
        let length = bytes.len();
        let written = self.disk.write(&file, offset, bytes).await;
        let written = written.map_err(|error| StorageError::io("write", &path, error))?;
        if written != length {
            return Err(StorageError::io(
                "write",
                &path,
                io::ErrorKind::WriteZero.into(),
            ));
        }
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::RestartUnsynced) {
            return Ok(());
        }
        let synced = self.disk.sync(&file).await;
        synced.map_err(|error| StorageError::io("sync", &path, error))
    }
}

impl Roles {
    /// Could the log go on in this segment? Only in the one that was used last.
    fn is_last_used(&self, segment: SegmentName) -> bool {
        self.used.last().is_some_and(|(name, ..)| *name == segment)
    }

    fn extend(&mut self, segment: SegmentName, sequence: u64, hash: HeaderHash) {
        match self.used.last_mut().filter(|(name, ..)| *name == segment) {
            Some((_, _, last, last_hash)) => (*last, *last_hash) = (sequence, hash),
            None => {
                let first = self.lost_from.unwrap_or(sequence);
                self.used.push((segment, first, sequence, hash));
            }
        }
    }

    /// The used segments as the log wants them.
    pub(crate) async fn open_used<D: Disk>(
        &self,
        log: &LogFiles<D>,
        is_held: bool,
    ) -> Result<Vec<resume::LiveSegment<D::File>>, StorageError> {
        let mut opened = Vec::new();
        for (name, first_sequence, last_sequence, last_hash) in self.used.iter().copied() {
            let file = log.open(name.number).await?;
            opened.push(resume::LiveSegment {
                name,
                file,
                first_sequence,
                last_sequence,
                last_hash,
                is_held,
            });
        }
        Ok(opened)
    }

    /// The spares as the log wants them.
    pub(crate) async fn open_spares<D: Disk>(
        &self,
        log: &LogFiles<D>,
    ) -> Result<Vec<resume::SpareSegment<D::File>>, StorageError> {
        let mut opened = Vec::new();
        for name in self.spares.iter().copied() {
            opened.push(resume::SpareSegment {
                name,
                file: log.open(name.number).await?,
            });
        }
        Ok(opened)
    }
}

/// What a segment held when the log was whole: also batches at its ends that are lost. A manifest that told of the kept
/// ones only would let the next recovery take the lost ones for freed.
struct Span {
    first: u64,
    last: u64,
    last_hash: HeaderHash,
    is_kept: bool,
}

/// The spans of all segments that the walk met; and from where on batches are lost at the end of the log, if nothing
/// says in which segment. Such batches in the middle count for the segment behind them.
fn spans(chain: &Chain) -> (BTreeMap<SegmentName, Span>, Option<u64>) {
    let mut spans: BTreeMap<SegmentName, Span> = BTreeMap::new();
    let mut lost_from = None;
    for link in &chain.links {
        let sequence = link.sequence();
        let placed = match link {
            Link::Kept(batch) => Some((batch.header.segment, batch.hash)),
            Link::Lost { item, .. } => item.as_ref().map(|item| (item.segment, item.hash)),
        };
        let Some((name, hash)) = placed else {
            lost_from.get_or_insert(sequence);
            continue;
        };
        let span = spans.entry(name).or_insert(Span {
            first: lost_from.unwrap_or(sequence),
            last: sequence,
            last_hash: hash,
            is_kept: false,
        });
        (span.last, span.last_hash) = (sequence, hash);
        span.is_kept |= link.kept().is_some();
        lost_from = None;
    }
    (spans, lost_from)
}

impl Span {
    /// Together with what the manifest knows.
    fn widened(self, full: Option<FullSegment>) -> Self {
        let Some(full) = full else { return self };
        let (last, last_hash) =
            (full.last_sequence, full.last_hash).max((self.last, self.last_hash));
        Self {
            first: self.first.min(full.first_sequence),
            last,
            last_hash,
            ..self
        }
    }
}

/// Which segments hold the log, which can be written to, and which are left alone.
fn assign(chain: &Chain, live: &[LiveSegment]) -> Roles {
    let (mut spans, lost_from) = spans(chain);
    let is_damaged = chain.links.iter().any(|link| link.kept().is_none());
    let mut roles = Roles {
        lost_from,
        ..Roles::default()
    };
    for segment in live {
        let entry = segment.entry;
        let may_be_written = match segment.look {
            Look::Written | Look::Spare => entry.full.is_none(),
            Look::Torn => entry.full.is_none() && !is_damaged,
            Look::Unreadable | Look::Missing => false,
        };
        let span = spans.remove(&entry.name);
        match span.map(|span| span.widened(entry.full)) {
            Some(span) if span.is_kept => {
                roles
                    .used
                    .push((entry.name, span.first, span.last, span.last_hash));
            }
            Some(span) => roles.held.push(SegmentEntry {
                full: Some(full_segment(span.first, span.last, span.last_hash)),
                ..entry
            }),
            None if may_be_written => roles.spares.push(entry.name),
            None => roles.held.push(entry),
        }
    }
    roles.used.sort_by_key(|(_, first, ..)| *first);
    roles
}

fn greatest_epoch(chain: &Chain, live: &[LiveSegment]) -> u64 {
    let headers = live.iter().filter_map(|segment| segment.header);
    headers
        .map(|header| header.recovery_epoch)
        .fold(chain.epoch_max, u64::max)
}

/// What a witness tells of the kept batches that nothing covers yet.
fn unwitnessed(chain: &Chain) -> Vec<WitnessItem> {
    let kept = || chain.links.iter().filter_map(Link::kept);
    let covered = kept()
        .map(|batch| batch.header.durable_sequence)
        .max()
        .unwrap_or(0);
    kept()
        .filter(|batch| batch.header.sequence > covered)
        .filter_map(item_of)
        .collect()
}

fn item_of(batch: &FoundBatch) -> Option<WitnessItem> {
    let found = batch.directory.as_ref()?;
    let mut directory = Vec::new();
    directory::encode(found.sequence, &found.runs, &mut directory);
    Some(WitnessItem {
        sequence: batch.header.sequence,
        recovery_epoch: batch.header.recovery_epoch,
        segment: batch.header.segment,
        offset: batch.header.offset,
        length: batch.header.length,
        directory_offset: batch.header.directory_offset,
        hash: batch.hash,
        directory,
    })
}
