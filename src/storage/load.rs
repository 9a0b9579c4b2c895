//! Entries and chunks read back from disk: for slow followers, for replay and for streams.
//!
//! What the index names is a span of a segment in which records of other groups stand too. Every record that is
//! wanted is checked and must be the very one: group, index and term. Segments that are read from are pinned.
//!
//! Neighbours are read at once, with what stands between them: a log that was written in small batches would be read at
//! the pace of the disk's answers otherwise, and a follower that was away would never catch up.
//!
//! ```text
//!   segment   ..[ entries ]header,heads[ entries ]header[ entries ]......far......[ entries ]..
//!               └──────────────── one stretch ───────────────────┘               └─ another ─┘
//! ```

use super::block::Block;
use super::disk::Disk;
use super::error::StorageError;
use super::index::IndexItem;
use super::log::Log;
use super::payload::ChunkHeader;
use super::record::{RecordError, RecordKind, RecordView};
use super::resume::RecordPlace;
use super::segment::segment_path;
use crate::limits::{LOAD_GAP_BYTES_MAX, LOAD_SPAN_BYTES_MAX, WRITE_UNIT_BYTES};
use margay_types::{GroupId, Index};
use std::path::Path;
use std::rc::Rc;

/// Entries that were read: whole records in index order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The records, one behind the other.
    pub bytes: Vec<u8>,
    /// The last entry; zero if there is none.
    pub last: Index,
}

/// A span of a segment, with what keeps its file.
#[derive(Clone)]
struct Span<F> {
    file: F,
    segment: u32,
    offset: u32,
    length: u32,
    _pin: Rc<()>,
}

impl<F> Span<F> {
    /// Reads it; gives the bytes from its offset on.
    async fn read<D: Disk<File = F>>(&self, disk: &D) -> Result<(Block, usize), StorageError> {
        let unit = WRITE_UNIT_BYTES as u64;
        let start = u64::from(self.offset) / unit * unit;
        let end = (u64::from(self.offset) + u64::from(self.length)).next_multiple_of(unit);
        let wanted = usize::try_from(end - start).expect("a span is at most a segment");
        let (result, block) = disk
            .read(&self.file, start, Block::for_reading(wanted))
            .await;
        let path = || segment_path(Path::new(""), self.segment);
        let read = result.map_err(|error| StorageError::io("read", &path(), error))?;
        if read < wanted {
            let short = std::io::ErrorKind::UnexpectedEof.into();
            return Err(StorageError::io("read", &path(), short));
        }
        let skipped = u64::from(self.offset) - start;
        Ok((
            block,
            usize::try_from(skipped).expect("less than a write unit"),
        ))
    }
}

/// Items that stand so close to each other that one read brings them.
struct Stretch<F> {
    span: Span<F>,
    items: Vec<IndexItem>,
}

impl<F: Clone> Stretch<F> {
    fn new(span: Span<F>, item: IndexItem) -> Self {
        Self {
            span,
            items: vec![item],
        }
    }

    /// Takes the item, too, if it stands close behind the others.
    fn try_extend(&mut self, item: IndexItem) -> bool {
        let end = self.span.offset + self.span.length;
        let Some(gap) = item.offset.checked_sub(end) else {
            return false;
        };
        let length = self.span.length + gap + item.length;
        let is_near = gap as usize <= LOAD_GAP_BYTES_MAX && length as usize <= LOAD_SPAN_BYTES_MAX;
        if item.segment != self.span.segment || !is_near {
            return false;
        }
        self.span.length = length;
        self.items.push(item);
        true
    }

    /// The span of one of its items.
    fn part(&self, item: &IndexItem) -> Span<F> {
        Span {
            offset: item.offset,
            length: item.length,
            ..self.span.clone()
        }
    }

    /// Reads what `wanted` wants of it; says whether there may be more. When it cannot be read at once, each item is
    /// read alone: a sector that cannot be read is damage of what stands on it, and of nothing else.
    async fn load<D: Disk<File = F>>(
        &self,
        disk: &D,
        wanted: Wanted,
        loaded: &mut Loaded,
    ) -> Result<bool, StorageError> {
        let whole = self.span.read(disk).await;
        for item in &self.items {
            let part = self.part(item);
            let alone = match (&whole, self.items.len()) {
                (Ok(_), _) => None,
                (Err(error), 1) => return Err(error.clone()),
                (Err(_), _) => Some(part.read(disk).await?),
            };
            let (block, start) = match (&whole, &alone) {
                (_, Some((block, skipped))) => (block, *skipped),
                (Ok((block, skipped)), None) => {
                    (block, skipped + (item.offset - self.span.offset) as usize)
                }
                (Err(_), None) => unreachable!("then it was read alone"),
            };
            let bytes = block.bytes().get(start..start + item.length as usize);
            let picked = Picked::of(wanted, &part);
            if !picked.take(item, bytes.unwrap_or_default(), loaded)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<D: Disk> Log<D> {
    /// Reads the entries of a group from `first` to `last`, as many as `bytes_max` allows, but at least one; only
    /// durable ones.
    ///
    /// The future gives [`StorageError::Absent`] if the first is not held, [`StorageError::Record`] if one is
    /// damaged, and [`StorageError::Misplaced`] if another record stands where it should.
    pub fn load(
        &self,
        group: GroupId,
        first: Index,
        last: Index,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Loaded, StorageError>> + use<D> {
        assert!(
            first <= last,
            "entries from {first} to {last} of group {group}"
        );
        let durable = self.commit.durable();
        let items = self.groups.expect(group).index.from(first);
        let items = items
            .take_while(|item| item.first <= last && item.sequence <= durable)
            .scan(0, |sum, item| {
                let is_enough = *sum > bytes_max;
                *sum += item.length as usize;
                (!is_enough).then_some(*item)
            });
        let stretches = self.stretches(items);
        let wanted = Wanted {
            group,
            last,
            bytes_max,
        };
        let disk = self.disk.clone();
        async move {
            let mut loaded = Loaded {
                bytes: Vec::new(),
                last: first.previous(),
            };
            for stretch in &stretches {
                if !stretch.load(&disk, wanted, &mut loaded).await? {
                    break;
                }
            }
            match loaded.last >= first {
                true => Ok(loaded),
                false => Err(StorageError::Absent {
                    group,
                    index: first,
                }),
            }
        }
    }

    /// Reads a chunk of the group's newest checkpoint.
    ///
    /// The future gives [`StorageError::Absent`] if there is no such chunk, and otherwise what [`Log::load`] gives.
    pub fn load_chunk(
        &self,
        group: GroupId,
        number: u32,
    ) -> impl Future<Output = Result<Vec<u8>, StorageError>> + use<D> {
        let checkpoint = &self.groups.expect(group).checkpoint;
        let at = checkpoint
            .pointer
            .map_or(Index::ZERO, |pointer| pointer.at.index);
        let place = checkpoint.chunks.get(number as usize).copied();
        self.load_chunk_at((group, at), number, place)
    }

    /// Reads a chunk of a checkpoint that stands at `place`, by the word of recovery: of a damaged group, too, which
    /// this log does not know.
    ///
    /// The future gives what [`Log::load_chunk`] gives.
    pub fn load_chunk_at(
        &self,
        (group, at): (GroupId, Index),
        number: u32,
        place: Option<RecordPlace>,
    ) -> impl Future<Output = Result<Vec<u8>, StorageError>> + use<D> {
        let is_alive = |place: &RecordPlace| {
            let mut segments = self.segments.iter();
            segments.any(|own| own.live.name.number == place.segment)
        };
        let span = place.filter(is_alive).map(|place| self.record_span(place));
        let disk = self.disk.clone();
        async move {
            let span = span.ok_or(StorageError::Absent { group, index: at })?;
            let (block, skipped) = span.read(&disk).await?;
            let place = Picked::one(group, at, &span);
            let record = place.parse(block.bytes(), skipped)?;
            let chunk = ChunkHeader::parse(&record);
            let chunk = chunk.filter(|(header, _)| {
                header.number == number && record.group() == group && record.index() == at
            });
            chunk
                .map(|(_, bytes)| bytes.to_vec())
                .ok_or(place.misplaced(at))
        }
    }

    /// Reads what the group's replica was born with, while that is its checkpoint.
    ///
    /// The future gives what [`Log::load_chunk`] gives.
    pub fn load_created(
        &self,
        group: GroupId,
    ) -> impl Future<Output = Result<super::payload::Created, StorageError>> + use<D> {
        let checkpoint = &self.groups.expect(group).checkpoint;
        let span = checkpoint
            .pointer
            .is_none()
            .then(|| self.record_span(checkpoint.place));
        let disk = self.disk.clone();
        async move {
            let at = Index::ZERO;
            let span = span.ok_or(StorageError::Absent { group, index: at })?;
            let (block, skipped) = span.read(&disk).await?;
            let place = Picked::one(group, at, &span);
            let record = place.parse(block.bytes(), skipped)?;
            let created = super::payload::Created::parse(&record);
            created
                .filter(|_| record.group() == group)
                .ok_or(place.misplaced(at))
        }
    }

    fn stretches(&self, items: impl Iterator<Item = IndexItem>) -> Vec<Stretch<D::File>> {
        let mut stretches: Vec<Stretch<D::File>> = Vec::new();
        for item in items {
            let last = stretches.last_mut();
            if !last.is_some_and(|last| last.try_extend(item)) {
                let span = self.span(item.segment, item.offset, item.length);
                stretches.push(Stretch::new(span, item));
            }
        }
        stretches
    }

    fn record_span(&self, place: RecordPlace) -> Span<D::File> {
        self.span(place.segment, place.offset, place.length)
    }

    fn span(&self, number: u32, offset: u32, length: u32) -> Span<D::File> {
        let segment = self
            .segments
            .iter()
            .rfind(|own| own.live.name.number == number);
        let segment = segment.unwrap_or_else(|| panic!("segment {number} is needed and not alive"));
        Span {
            file: segment.live.file.clone(),
            segment: number,
            offset,
            length,
            _pin: Rc::clone(&segment.pin),
        }
    }
}

/// What is wanted of the spans.
#[derive(Clone, Copy)]
struct Wanted {
    group: GroupId,
    last: Index,
    bytes_max: usize,
}

/// What is wanted of the spans, and where the present one stands.
#[derive(Clone, Copy)]
struct Picked {
    group: GroupId,
    last: Index,
    bytes_max: usize,
    span: (u32, u32),
}

impl Picked {
    fn of<F>(wanted: Wanted, span: &Span<F>) -> Self {
        Self {
            group: wanted.group,
            last: wanted.last,
            bytes_max: wanted.bytes_max,
            span: (span.segment, span.offset),
        }
    }

    /// The one record at the start of a span: of the checkpoint at `at`.
    fn one<F>(group: GroupId, at: Index, span: &Span<F>) -> Self {
        Self {
            group,
            last: at,
            bytes_max: 0,
            span: (span.segment, span.offset),
        }
    }

    /// The one record, which starts behind the bytes that only alignment made part of the read.
    fn parse<'a>(&self, bytes: &'a [u8], skipped: usize) -> Result<RecordView<'a>, StorageError> {
        let bytes = bytes.get(skipped..).unwrap_or_default();
        RecordView::parse(bytes).map_err(|cause| self.damaged(self.last, cause))
    }

    /// Takes the wanted entries of an item from the bytes of its span; says whether there may be more.
    fn take(
        &self,
        item: &IndexItem,
        bytes: &[u8],
        loaded: &mut Loaded,
    ) -> Result<bool, StorageError> {
        let mut offset = 0;
        while loaded.last < item.last.min(self.last) {
            let next = loaded.last.next();
            let rest = bytes.get(offset..).unwrap_or_default();
            let record = RecordView::parse(rest).map_err(|cause| self.damaged(next, cause))?;
            offset += record.bytes().len();
            let is_entry = matches!(record.kind(), RecordKind::Entry(_));
            if !is_entry || record.group() != self.group || record.index() < next {
                continue;
            }
            if record.index() != next || record.term() != item.term {
                return Err(self.misplaced(next));
            }
            let sum = loaded.bytes.len() + record.bytes().len();
            if !loaded.bytes.is_empty() && sum > self.bytes_max {
                return Ok(false);
            }
            loaded.bytes.extend_from_slice(record.bytes());
            loaded.last = next;
        }
        Ok(loaded.last < self.last)
    }

    fn damaged(&self, index: Index, cause: RecordError) -> StorageError {
        let (segment, offset) = self.span;
        let offset_bytes = u64::from(offset);
        StorageError::Record {
            group: self.group,
            index,
            segment,
            offset_bytes,
            cause,
        }
    }

    fn misplaced(&self, index: Index) -> StorageError {
        let (segment, offset) = self.span;
        let offset_bytes = u64::from(offset);
        StorageError::Misplaced {
            group: self.group,
            index,
            segment,
            offset_bytes,
        }
    }
}
