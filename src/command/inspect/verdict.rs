//! What was found in one log: flaws by their places, groups by what they may do, and what follows for a start.

use super::super::console::table;
use super::data_directory::LogDirectory;
use super::manifest_view::{CopiesView, SegmentView, counted, or_dash, segment_name, size, span};
use crate::storage::recovery::flaws::{Flaw, FlawKind};
use crate::storage::recovery::outline::{Fate, Outline};
use crate::storage::recovery::runs::BadRecords;
use crate::storage::recovery::{FoundCheckpoint, GroupStatus, RecoveredGroup};
use margay_types::GroupId;
use serde::Serialize;
use std::collections::BTreeMap;

/// A log that was read.
#[derive(Serialize)]
pub(super) struct LogView {
    log: u32,
    directory: String,
    manifest: CopiesView,
    segment_bytes: Option<u64>,
    segments: Vec<SegmentView>,
    /// Batches that are part of the log.
    batches: usize,
    first_batch: Option<u64>,
    /// Batches behind its end, which were never acknowledged.
    cut_batches: usize,
    next_batch: Option<u64>,
    /// Batches of which nobody can say what they held.
    pub(super) unnamed_batches: usize,
    /// Why nothing of it can be read, if so.
    error: Option<String>,
    pub(super) damage: Vec<FlawView>,
    pub(super) groups: Vec<GroupView>,
}

/// A damaged place.
#[derive(Serialize)]
pub(super) struct FlawView {
    /// What is damaged there: `records`, `directory`, ...
    what: &'static str,
    segment: Option<u32>,
    offset: Option<u32>,
    batch: Option<u64>,
    group: Option<u32>,
    class: Option<&'static str>,
    term: Option<u32>,
    index: Option<u64>,
    last_index: Option<u64>,
    text: String,
}

/// A replica.
#[derive(Serialize)]
pub(super) struct GroupView {
    pub(super) group: u32,
    replica: Option<u16>,
    incarnation: Option<String>,
    machine: Option<String>,
    term: u32,
    voted_for: Option<u16>,
    /// Entries behind this one are held, up to the last.
    floor: u64,
    last_index: u64,
    last_term: u32,
    checkpoint: Option<CheckpointView>,
    pub(super) serves: bool,
    reason: Option<String>,
    damaged_from: Option<u64>,
    damaged_to: Option<u64>,
}

/// A checkpoint.
#[derive(Serialize)]
struct CheckpointView {
    index: u64,
    term: u32,
    chunks: u32,
    bytes: u64,
    is_intact: bool,
}

/// The segments of a outline, with the batches that stand in each.
pub(super) fn segments(outline: &Outline) -> Vec<SegmentView> {
    let mut spans = BTreeMap::new();
    for place in &outline.places {
        if let (Some(extent), true) = (place.extent, place.fate != Fate::Cut) {
            let span = spans
                .entry(extent.segment)
                .or_insert((place.sequence, place.sequence));
            span.1 = place.sequence;
        }
    }
    let live = outline.live.iter();
    live.map(|segment| SegmentView::found(segment, spans.get(&segment.entry.name).copied()))
        .collect()
}

impl LogView {
    /// A log whose manifest tells nothing.
    pub(super) fn unreadable(log: &LogDirectory, error: String) -> Self {
        Self {
            log: log.id,
            directory: log.path.display().to_string(),
            manifest: CopiesView::of(&log.manifest),
            segment_bytes: None,
            segments: Vec::new(),
            batches: 0,
            first_batch: None,
            cut_batches: 0,
            next_batch: None,
            unnamed_batches: 0,
            error: Some(error),
            damage: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// A log that could be read.
    pub(super) fn new(
        log: &LogDirectory,
        outline: &Outline,
        (damage, unnamed): (&[Flaw], &[u64]),
        groups: Vec<GroupView>,
    ) -> Self {
        let cut = outline.with_fate(Fate::Cut).count();
        let manifest = log.manifest.said.as_ref().ok();
        Self {
            log: log.id,
            directory: log.path.display().to_string(),
            manifest: CopiesView::of(&log.manifest),
            segment_bytes: manifest.map(|manifest| manifest.segment_bytes),
            segments: segments(outline),
            batches: outline.places.len() - cut,
            first_batch: outline.places.first().map(|place| place.sequence),
            cut_batches: cut,
            next_batch: Some(outline.next_sequence),
            unnamed_batches: unnamed.len(),
            error: None,
            damage: damage.iter().map(FlawView::of).collect(),
            groups,
        }
    }

    /// Is everything there that was ever acknowledged?
    pub(super) fn is_clean(&self) -> bool {
        let is_whole = |group: &GroupView| group.serves && group.has_intact_checkpoint();
        let is_named = self.unnamed_batches == 0 && self.damage.is_empty();
        self.error.is_none() && is_named && self.groups.iter().all(is_whole)
    }

    /// The log in lines, tables included.
    pub(super) fn text(&self) -> String {
        let head = format!("log {}   {}", self.log, self.directory);
        let copies = format!("manifest   {}", self.manifest.summary());
        if let Some(error) = &self.error {
            return [head, copies, format!("unreadable {error}")].join("\n");
        }
        let mut lines = vec![head, copies, self.segment_line(), self.batch_line()];
        lines.extend(
            self.damage
                .iter()
                .map(|flaw| format!("damage     {}", flaw.text)),
        );
        if self.unnamed_batches > 0 {
            let batches = counted(self.unnamed_batches, "batch", "batches");
            lines.push(format!(
                "damage     of {batches} or more nobody can say what they held: \
                 replicas that were born there are not listed"
            ));
        }
        if !self.groups.is_empty() {
            lines.push(group_table(&self.groups));
        }
        lines.join("\n")
    }

    fn segment_line(&self) -> String {
        let holding = self
            .segments
            .iter()
            .filter(|segment| segment.holds_batches());
        format!(
            "segments   {} of {}, {} with batches",
            self.segments.len(),
            size(self.segment_bytes.unwrap_or_default()),
            holding.count()
        )
    }

    fn batch_line(&self) -> String {
        let mut line = match (self.batches, self.first_batch, self.next_batch) {
            (1.., Some(first), Some(next)) => format!("batches    {}", span(first, next - 1)),
            (_, _, _) => "batches    none yet".to_owned(),
        };
        if self.cut_batches > 0 {
            let cut = counted(self.cut_batches, "batch", "batches");
            line += &format!(
                "; behind them {cut} that nobody was told of: normal after a crash, a start cuts it"
            );
        }
        line
    }
}

impl FlawView {
    fn of(flaw: &Flaw) -> Self {
        let (what, text) = told(flaw);
        let records = match &flaw.kind {
            FlawKind::Records(bad) => Some(bad),
            FlawKind::SegmentMissing
            | FlawKind::SegmentUnreadable
            | FlawKind::SegmentHeader
            | FlawKind::BatchGone
            | FlawKind::BatchHeader
            | FlawKind::Directory
            | FlawKind::Witness => None,
        };
        let group = records.map(|bad| bad.group);
        Self {
            what,
            segment: flaw.at.map(|(segment, _)| segment.number),
            offset: flaw.at.map(|(_, offset)| offset),
            batch: flaw.sequence,
            group: group
                .filter(|group| *group != GroupId::LOG)
                .map(GroupId::number),
            class: records.map(|bad| bad.class.name()),
            term: records.map(|bad| bad.term.number()),
            index: records.map(|bad| bad.first.number()),
            last_index: records.map(|bad| bad.last.number()),
            text: format!("{}: {text}", place_of(flaw)),
        }
    }
}

fn place_of(flaw: &Flaw) -> String {
    let place = flaw.at.map(|(segment, offset)| {
        let name = segment_name(segment.number);
        match flaw.sequence {
            Some(_) => format!("segment {name} offset {offset}"),
            None => format!("segment {name}"),
        }
    });
    let batch = flaw.sequence.map(|sequence| format!("batch {sequence}"));
    let parts = place.into_iter().chain(batch);
    parts.collect::<Vec<_>>().join(", ")
}

/// What is damaged, for programs and for people.
fn told(flaw: &Flaw) -> (&'static str, String) {
    match &flaw.kind {
        FlawKind::SegmentMissing => ("segment_missing", "the file is missing or short".to_owned()),
        FlawKind::SegmentUnreadable => (
            "segment_unreadable",
            "the device does not give back all of the file".to_owned(),
        ),
        FlawKind::SegmentHeader => ("segment_header", "its header is damaged".to_owned()),
        FlawKind::BatchGone => (
            "batch_gone",
            "it is gone, and nothing tells what it held".to_owned(),
        ),
        FlawKind::BatchHeader => (
            "batch_header",
            "its header is damaged; a later batch tells what it holds".to_owned(),
        ),
        FlawKind::Directory => ("directory", "its directory is damaged".to_owned()),
        FlawKind::Records(bad) => ("records", told_records(bad)),
        FlawKind::Witness => (
            "witness",
            "its witness is damaged; the batches that it tells of are not".to_owned(),
        ),
    }
}

fn told_records(bad: &BadRecords) -> String {
    let BadRecords {
        group, first, last, ..
    } = bad;
    let class = bad.class.name();
    if *group == GroupId::LOG {
        return "a record of the log itself is damaged".to_owned();
    }
    match (bad.class.is_entries(), first == last) {
        (true, true) => format!("entry {first} of group {group} is damaged ({class})"),
        (true, false) => {
            format!("entries {first} to {last} of group {group} are damaged ({class})")
        }
        (false, _) => format!("a record of group {group} is damaged ({class}, index {first})"),
    }
}

impl GroupView {
    /// A replica with its checkpoint, whose stream was read.
    pub(super) fn new(group: &RecoveredGroup, checkpoint_is_intact: bool) -> Self {
        let (serves, reason, range) = match &group.status {
            GroupStatus::Serves => (true, None, None),
            GroupStatus::Damaged { range, reason } => {
                (false, Some(reason.to_string()), Some(range))
            }
        };
        let checkpoint = group.checkpoint.as_ref();
        Self {
            group: group.group.number(),
            replica: group.identity.map(|identity| identity.replica.number()),
            incarnation: group
                .identity
                .map(|identity| identity.incarnation.to_string()),
            machine: group
                .created
                .as_ref()
                .map(|(created, _)| created.machine.clone()),
            term: group.hard_state.term.number(),
            voted_for: group.hard_state.voted_for.map(|replica| replica.number()),
            floor: group.floor.index.number(),
            last_index: group.last.index.number(),
            last_term: group.last.term.number(),
            checkpoint: checkpoint.map(|found| CheckpointView::new(found, checkpoint_is_intact)),
            serves,
            reason,
            damaged_from: range.map(|range| range.start().number()),
            damaged_to: range.map(|range| range.end().number()),
        }
    }

    /// Can it be started from its checkpoint, if it has one?
    pub(super) fn has_intact_checkpoint(&self) -> bool {
        self.checkpoint
            .as_ref()
            .is_none_or(|checkpoint| checkpoint.is_intact)
    }

    fn status(&self) -> String {
        match (&self.reason, self.damaged_from, self.damaged_to) {
            (Some(reason), Some(first), Some(last)) if first == last => {
                format!("damaged: {reason} (entry {first})")
            }
            (Some(reason), first, last) => format!(
                "damaged: {reason} (entries {} to {})",
                or_dash(first),
                or_dash(last)
            ),
            (None, _, _) if !self.has_intact_checkpoint() => {
                "damaged: its checkpoint is not what was written".to_owned()
            }
            (None, _, _) => "serves".to_owned(),
        }
    }
}

impl CheckpointView {
    fn new(found: &FoundCheckpoint, is_intact: bool) -> Self {
        let pointer = &found.pointer;
        Self {
            index: pointer.at.index.number(),
            term: pointer.at.term.number(),
            chunks: pointer.chunks,
            bytes: pointer.stream_bytes,
            is_intact,
        }
    }
}

fn group_table(groups: &[GroupView]) -> String {
    let header = [
        "GROUP",
        "REPLICA",
        "TERM",
        "VOTE",
        "CHECKPOINT",
        "ENTRIES",
        "STATUS",
    ];
    let rows = groups.iter().map(|group| {
        let entries = if group.last_index > group.floor {
            span(group.floor + 1, group.last_index)
        } else {
            "-".to_owned()
        };
        vec![
            group.group.to_string(),
            or_dash(group.replica),
            group.term.to_string(),
            or_dash(group.voted_for),
            or_dash(group.checkpoint.as_ref().map(|checkpoint| checkpoint.index)),
            entries,
            group.status(),
        ]
    });
    table(&header, rows)
}
