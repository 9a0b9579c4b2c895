//! What `inspect log` prints, written piece by piece: a table with fixed columns, or one object with long lists.
//!
//! ```text
//!   begin ── begin_log ── batch, batch, ... ── end_log ── ... ── end
//! ```
//!
//! Every row of the table stands for itself, so that `grep` finds a group, a batch or what is damaged.

use super::super::arguments::Output;
use super::data_directory::{DataDirectory, LogDirectory};
use super::manifest_view::{SegmentView, counted, or_dash, segment_name, segment_table, size};
use super::verdict::segments;
use crate::storage::directory::RunClass;
use crate::storage::log_manifest::LogManifest;
use crate::storage::record::RecordKind;
use crate::storage::recovery::outline::{Outline, WitnessState};
use crate::storage::recovery::runs::{BadRecords, Content, FoundRecord};
use margay_types::GroupId;
use serde::Serialize;
use serde_json::to_string;
use std::io::{self, Write};

/// The object before its logs.
#[derive(Serialize)]
struct Head<'a> {
    schema: u32,
    directory: String,
    #[serde(flatten)]
    selection: &'a Selection,
}

/// A log that nobody can read.
#[derive(Serialize)]
struct UnreadableLog<'a> {
    log: u32,
    error: &'a str,
    batches: [u8; 0],
}

/// Which records are shown.
#[derive(Serialize)]
pub(super) struct Selection {
    pub(super) group: Option<u32>,
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
}

impl Selection {
    /// Is nothing left out?
    pub(super) fn takes_all(&self) -> bool {
        self.group.is_none()
    }

    /// Is this record among them?
    pub(super) fn takes(&self, record: &RecordRow) -> bool {
        let is_of_group = self.group.is_none_or(|group| record.group == Some(group));
        let is_behind = self.from.is_none_or(|from| record.last_index >= from);
        let is_before = self.to.is_none_or(|to| record.index <= to);
        is_of_group && is_behind && is_before
    }
}

/// A log before its batches.
#[derive(Serialize)]
pub(super) struct LogHead {
    log: u32,
    directory: String,
    segment_bytes: u64,
    segments: Vec<SegmentView>,
}

impl LogHead {
    pub(super) fn new(log: &LogDirectory, manifest: &LogManifest, outline: &Outline) -> Self {
        Self {
            log: log.id,
            directory: log.path.display().to_string(),
            segment_bytes: manifest.segment_bytes,
            segments: segments(outline),
        }
    }
}

/// A batch without its records.
#[derive(Serialize)]
pub(super) struct BatchRow {
    pub(super) batch: u64,
    pub(super) segment: Option<u32>,
    pub(super) offset: Option<u32>,
    pub(super) bytes: Option<u32>,
    pub(super) state: &'static str,
    pub(super) epoch: Option<u64>,
    /// Everything up to this batch was durable when this one left.
    pub(super) durable: Option<u64>,
    pub(super) reason: Option<&'static str>,
    pub(super) witness: Option<WitnessView>,
}

/// Of how many earlier batches it tells.
#[derive(Serialize)]
pub(super) struct WitnessView {
    of_batches: usize,
    is_damaged: bool,
}

impl From<WitnessState> for WitnessView {
    fn from(state: WitnessState) -> Self {
        let (of_batches, is_damaged) = match state {
            WitnessState::None => (0, false),
            WitnessState::Good(count) => (count, false),
            WitnessState::Damaged => (0, true),
        };
        Self {
            of_batches,
            is_damaged,
        }
    }
}

/// A record, or several next to each other that are damaged.
#[derive(Serialize)]
pub(super) struct RecordRow {
    pub(super) offset: u32,
    /// Unknown of damaged ones: what is left is their class.
    kind: Option<&'static str>,
    class: &'static str,
    /// Nothing for records of the log itself.
    group: Option<u32>,
    term: u32,
    index: u64,
    last_index: u64,
    bytes: Option<u32>,
    log_time_ns: Option<u64>,
    checksum: &'static str,
    detail: String,
}

impl RecordRow {
    /// `base` is where the batch starts in its segment.
    pub(super) fn good(base: u32, record: &FoundRecord) -> Self {
        let fields = &record.fields;
        let class = RunClass::of(fields.kind);
        Self {
            offset: base.saturating_add(record.offset),
            kind: Some(fields.kind.name()),
            class: class.name(),
            group: group(fields.group),
            term: fields.term.number(),
            index: fields.index.number(),
            last_index: fields.index.number(),
            bytes: Some(record.bytes),
            log_time_ns: matches!(fields.kind, RecordKind::Entry(_)).then_some(fields.time),
            checksum: "ok",
            detail: detail(&record.content),
        }
    }

    /// `base` is where the batch starts in its segment.
    pub(super) fn bad(base: u32, bad: &BadRecords) -> Self {
        Self {
            offset: base.saturating_add(bad.offset),
            kind: None,
            class: bad.class.name(),
            group: group(bad.group),
            term: bad.term.number(),
            index: bad.first.number(),
            last_index: bad.last.number(),
            bytes: None,
            log_time_ns: None,
            checksum: "damaged",
            detail: format!("cannot be read; of class {}", bad.class.name()),
        }
    }

    fn indexes(&self) -> String {
        if self.index == self.last_index {
            self.index.to_string()
        } else {
            format!("{}..{}", self.index, self.last_index)
        }
    }
}

fn group(id: GroupId) -> Option<u32> {
    (id != GroupId::LOG).then(|| id.number())
}

/// What a record says that storage itself reads.
fn detail(content: &Content) -> String {
    match content {
        Content::Created(created) => format!(
            "replica {} of machine {}, incarnation {}",
            created.replica, created.machine, created.incarnation
        ),
        Content::HardState(hard_state) => match hard_state.voted_for {
            Some(replica) => format!("voted for replica {replica}"),
            None => "no vote".to_owned(),
        },
        Content::Head(head) => format!(
            "replica {}, last entry of term {}, checkpoint {}",
            head.replica, head.last.term, head.checkpoint
        ),
        Content::Truncation => "entries from here on are gone".to_owned(),
        Content::Chunk(chunk) => format!("chunk {}", chunk.number),
        Content::Pointer(pointer) => format!(
            "{} of {}, entries let go of up to {}",
            counted(pointer.chunks as usize, "chunk", "chunks"),
            size(pointer.stream_bytes),
            pointer.floor.index
        ),
        Content::Entry(_) | Content::Configuration(_) | Content::Removed | Content::Other => {
            String::new()
        }
    }
}

/// Where the rows go.
pub(super) struct Page<W: Write> {
    out: W,
    form: Output,
    logs: usize,
    batches: usize,
}

impl<W: Write> Page<W> {
    pub(super) fn new(out: W, form: Output) -> Self {
        Self {
            out,
            form,
            logs: 0,
            batches: 0,
        }
    }

    pub(super) fn begin(&mut self, found: &DataDirectory, selection: &Selection) -> io::Result<()> {
        match self.form {
            Output::Table => {
                writeln!(self.out, "{}", found.title())?;
                let mut notes = found.notes().into_iter();
                notes.try_for_each(|note| writeln!(self.out, "{note}"))
            }
            Output::Json => {
                let head = Head {
                    schema: 1,
                    directory: found.path.display().to_string(),
                    selection,
                };
                self.open_object(&to_string(&head)?)?;
                write!(self.out, "\"logs\":[")
            }
        }
    }

    pub(super) fn begin_log(&mut self, head: &LogHead) -> io::Result<()> {
        self.batches = 0;
        match self.form {
            Output::Table => {
                let count = counted(head.segments.len(), "segment", "segments");
                let size = size(head.segment_bytes);
                let LogHead { log, directory, .. } = head;
                writeln!(self.out, "\nlog {log}   {directory}   {count} of {size}")?;
                writeln!(self.out, "{}\n", segment_table(&head.segments))?;
                self.row([
                    "SEGMENT", "OFFSET", "BATCH", "RECORD", "GROUP", "TERM", "INDEX", "BYTES",
                    "STATE", "DETAIL",
                ])
            }
            Output::Json => {
                self.separate_log()?;
                self.open_object(&to_string(head)?)?;
                write!(self.out, "\"batches\":[")
            }
        }
    }

    pub(super) fn batch(&mut self, batch: &BatchRow, records: &[RecordRow]) -> io::Result<()> {
        let comma = if self.batches == 0 { "" } else { "," };
        self.batches += 1;
        match self.form {
            Output::Table => self.batch_rows(batch, records),
            Output::Json => {
                writeln!(self.out, "{comma}")?;
                self.open_object(&to_string(batch)?)?;
                write!(self.out, "\"records\":{}}}", to_string(records)?)
            }
        }
    }

    pub(super) fn end_log(&mut self, next_batch: u64) -> io::Result<()> {
        match self.form {
            Output::Table => {
                if self.batches == 0 {
                    writeln!(self.out, "no batch to show")?;
                }
                writeln!(self.out, "the next batch is {next_batch}")
            }
            Output::Json => write!(self.out, "],\"next_batch\":{next_batch}}}"),
        }
    }

    pub(super) fn unreadable_log(&mut self, log: u32, error: &str) -> io::Result<()> {
        match self.form {
            Output::Table => writeln!(self.out, "\nlog {log}   {error}"),
            Output::Json => {
                self.separate_log()?;
                let batches = [0_u8; 0];
                let log = UnreadableLog {
                    log,
                    error,
                    batches,
                };
                write!(self.out, "{}", to_string(&log)?)
            }
        }
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        match self.form {
            Output::Table => {}
            Output::Json => writeln!(self.out, "]}}")?,
        }
        self.out.flush()
    }

    fn separate_log(&mut self) -> io::Result<()> {
        let comma = if self.logs == 0 { "" } else { "," };
        self.logs += 1;
        writeln!(self.out, "{comma}")
    }

    /// Writes an encoded object without its end, so that a list can follow in it.
    fn open_object(&mut self, object: &str) -> io::Result<()> {
        let open = object.strip_suffix('}');
        let open = open.expect("an object with keys ends with a brace");
        write!(self.out, "{open},")
    }

    fn batch_rows(&mut self, batch: &BatchRow, records: &[RecordRow]) -> io::Result<()> {
        let segment = batch.segment.map(segment_name);
        let segment = or_dash(segment);
        let sequence = batch.batch.to_string();
        let (offset, bytes) = (or_dash(batch.offset), or_dash(batch.bytes));
        self.row([
            &segment,
            &offset,
            &sequence,
            "batch",
            "-",
            "-",
            "-",
            &bytes,
            batch.state,
            &batch.detail(records.len()),
        ])?;
        for record in records {
            self.row([
                &segment,
                &record.offset.to_string(),
                &sequence,
                record.kind.unwrap_or("?"),
                &or_dash(record.group),
                &record.term.to_string(),
                &record.indexes(),
                &or_dash(record.bytes),
                record.checksum,
                &record.detail,
            ])?;
        }
        Ok(())
    }

    fn row(&mut self, cells: [&str; 10]) -> io::Result<()> {
        let [
            segment,
            offset,
            batch,
            record,
            group,
            term,
            index,
            bytes,
            state,
            detail,
        ] = cells;
        let row = format!(
            "{segment:<8}  {offset:>10}  {batch:>8}  {record:<18}  {group:>6}  {term:>6}  \
             {index:>10}  {bytes:>8}  {state:<8}  {detail}"
        );
        writeln!(self.out, "{}", row.trim_end())
    }
}

impl BatchRow {
    fn detail(&self, shown: usize) -> String {
        let mut detail: Vec<String> = self.reason.iter().map(ToString::to_string).collect();
        detail.extend(self.epoch.map(|epoch| format!("epoch {epoch}")));
        detail.extend(self.durable.map(|durable| format!("durable {durable}")));
        detail.push(counted(shown, "record", "records"));
        match &self.witness {
            Some(witness) if witness.is_damaged => detail.push("its witness is damaged".to_owned()),
            Some(witness) if witness.of_batches > 0 => {
                let batches = counted(witness.of_batches, "batch", "batches");
                detail.push(format!("tells of {batches}"));
            }
            Some(_) | None => {}
        }
        detail.join(", ")
    }
}
