//! Manifests and segments as they are shown, by every verb alike.

use super::super::console::table;
use super::data_directory::FoundManifest;
use crate::codes::{Code, Failure};
use crate::storage::log_manifest::SegmentEntry;
use crate::storage::manifest::{FoundCopy, ManifestError};
use crate::storage::recovery::chain::{LiveSegment, Look};
use serde::Serialize;
use std::path::Path;

/// Both copies of a manifest.
#[derive(Serialize)]
pub(super) struct CopiesView {
    /// Do they say the same?
    pub(super) agree: bool,
    copies: [CopyView; 2],
}

/// One copy.
#[derive(Serialize)]
struct CopyView {
    file: String,
    /// `good`; of two that differ `counts` and `stale`; `damaged` or `absent`.
    state: &'static str,
    format: Option<u16>,
    counter: Option<u64>,
    reason: Option<String>,
}

/// A segment that a manifest lists.
#[derive(Serialize)]
pub(super) struct SegmentView {
    segment: u32,
    generation: u32,
    /// What the file looks like; unknown when it was not read.
    state: Option<&'static str>,
    is_full: bool,
    first_batch: Option<u64>,
    last_batch: Option<u64>,
    last_hash: Option<String>,
}

impl CopiesView {
    pub(super) fn of<T>(manifest: &FoundManifest<T>) -> Self {
        Self {
            agree: manifest.agree,
            copies: manifest.copies.each_ref().map(|copy| CopyView {
                file: file_name(&copy.path),
                state: state(manifest, copy),
                format: copy.format,
                counter: copy.copy.as_ref().ok().map(|copy| copy.counter),
                reason: copy.copy.as_ref().err().map(ManifestError::to_string),
            }),
        }
    }

    /// A row for each copy.
    pub(super) fn table(&self) -> String {
        let rows = self.copies.iter().map(|copy| {
            let state = match &copy.reason {
                Some(reason) => format!("{}: {reason}", copy.state),
                None => copy.state.to_owned(),
            };
            vec![
                copy.file.clone(),
                or_dash(copy.format),
                or_dash(copy.counter),
                state,
            ]
        });
        table(&["FILE", "FORMAT", "COUNTER", "STATE"], rows)
    }

    /// Both copies in a few words.
    pub(super) fn summary(&self) -> String {
        if self.agree {
            return "both copies agree".to_owned();
        }
        let states = self
            .copies
            .iter()
            .map(|copy| format!("{} {}", copy.file, copy.state));
        let states = states.collect::<Vec<_>>().join(", ");
        let counts = self.copies.iter().any(|copy| copy.state == "counts");
        match counts {
            true => format!("{states}: as after a power cut, a start writes both again"),
            false => states,
        }
    }
}

fn state<T>(manifest: &FoundManifest<T>, copy: &FoundCopy) -> &'static str {
    let others = manifest.copies.iter().filter(|other| *other != copy);
    let mut others = others.filter_map(|other| other.copy.as_ref().ok());
    match &copy.copy {
        Ok(_) if manifest.agree => "good",
        // Of two with one counter the first counts, as for a start.
        Ok(own) if others.all(|other| other.counter < own.counter) => "counts",
        Ok(own) if own.counter == manifest.counter && *copy == manifest.copies[0] => "counts",
        Ok(_) => "stale",
        Err(_) if !copy.path.exists() => "absent",
        Err(_) => "damaged",
    }
}

impl SegmentView {
    /// As the manifest alone tells.
    pub(super) fn listed(entry: &SegmentEntry) -> Self {
        Self {
            segment: entry.name.number,
            generation: entry.name.generation,
            state: None,
            is_full: entry.full.is_some(),
            first_batch: entry.full.map(|full| full.first_sequence),
            last_batch: entry.full.map(|full| full.last_sequence),
            last_hash: entry.full.map(|full| hex(&full.last_hash.0)),
        }
    }

    /// Is a part of the log in it?
    pub(super) fn holds_batches(&self) -> bool {
        self.first_batch.is_some()
    }

    /// As the manifest and the file tell; `batches` are the first and the last of the log that stand in it.
    pub(super) fn found(segment: &LiveSegment, batches: Option<(u64, u64)>) -> Self {
        let listed = Self::listed(&segment.entry);
        Self {
            state: Some(look(segment.look)),
            first_batch: batches.map(|(first, _)| first).or(listed.first_batch),
            last_batch: batches.map(|(_, last)| last).or(listed.last_batch),
            ..listed
        }
    }
}

const fn look(look: Look) -> &'static str {
    match look {
        Look::Written => "written",
        Look::Spare => "spare",
        Look::Torn => "torn",
        Look::Unreadable => "unreadable",
        Look::Missing => "missing",
    }
}

/// A row for each segment.
pub(super) fn segment_table(segments: &[SegmentView]) -> String {
    let header = ["SEGMENT", "GENERATION", "STATE", "BATCHES"];
    let rows = segments.iter().map(|segment| {
        let state = match (segment.state, segment.is_full) {
            (Some(state), _) => state,
            (None, true) => "full",
            (None, false) => "in use or spare",
        };
        let batches = match (segment.first_batch, segment.last_batch) {
            (Some(first), Some(last)) => span(first, last),
            (Some(_) | None, None) | (None, Some(_)) => "-".to_owned(),
        };
        vec![
            segment_name(segment.segment),
            segment.generation.to_string(),
            state.to_owned(),
            batches,
        ]
    });
    table(&header, rows)
}

/// Why a manifest without a usable copy tells nothing.
pub(super) fn neither(error: ManifestError) -> String {
    format!("neither copy of its manifest can be used: {error}")
}

/// A manifest without a usable copy, as people look it up. That of the node names the node.
pub(super) fn unusable(directory: &Path, log: Option<u32>, error: ManifestError) -> Failure {
    let failure = match log {
        None => Failure::new(Code::IdentityDamaged).with("directory", directory.display()),
        Some(log) => Failure::new(Code::DirectoryFailed)
            .with("directory", directory.display())
            .with("log", log),
    };
    failure
        .with("reason", neither(error))
        .remedy("a start refuses: add this node anew with an empty directory")
}

/// `00000012`, as the file is called.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:08}")
}

/// Bytes in the largest unit that they are whole in.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    match unit {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// `5`, or `5 to 7`.
pub(super) fn span(first: u64, last: u64) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first} to {last}")
    }
}

/// `1 batch`, `2 batches`.
pub(super) fn counted(count: usize, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {more}"),
    }
}

/// A value, or a dash where there is none.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::manifest::ManifestCopy;
    use std::path::PathBuf;

    fn found(
        first: Result<u64, ManifestError>,
        second: Result<u64, ManifestError>,
    ) -> FoundManifest<()> {
        let copy = |name: &str, counter: Result<u64, ManifestError>| FoundCopy {
            path: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name),
            format: None,
            copy: counter.map(|counter| ManifestCopy {
                counter,
                body: Vec::new(),
            }),
        };
        let greatest = first.unwrap_or(0).max(second.unwrap_or(0));
        FoundManifest {
            agree: first.is_ok() && first == second,
            counter: greatest,
            copies: [copy("Cargo.toml", first), copy("no such file", second)],
            said: Ok(()),
        }
    }

    fn states(
        first: Result<u64, ManifestError>,
        second: Result<u64, ManifestError>,
    ) -> [&'static str; 2] {
        let view = CopiesView::of(&found(first, second));
        view.copies.map(|copy| copy.state)
    }

    #[test]
    fn of_two_copies_the_newer_good_one_counts() {
        let damaged = Err(ManifestError::Body);
        assert_eq!(states(Ok(4), Ok(4)), ["good", "good"]);
        assert_eq!(states(Ok(5), Ok(4)), ["counts", "stale"]);
        assert_eq!(states(Ok(4), Ok(5)), ["stale", "counts"]);
        assert_eq!(states(damaged, Ok(4)), ["damaged", "counts"]);
        assert_eq!(
            states(damaged, Err(ManifestError::Absent)),
            ["damaged", "absent"]
        );
    }

    #[test]
    fn two_copies_with_one_counter_that_differ_are_told_apart() {
        let mut manifest = found(Ok(4), Ok(4));
        manifest.agree = false;
        let view = CopiesView::of(&manifest);
        assert_eq!(view.copies.map(|copy| copy.state), ["counts", "stale"]);
    }

    #[test]
    fn sizes_have_the_unit_that_people_set_them_in() {
        assert_eq!(size(8 << 20), "8 MiB");
        assert_eq!(size(65_536), "64 KiB");
        assert_eq!(size(1 << 31), "2 GiB");
        assert_eq!(size(1000), "1000 bytes");
        assert_eq!(size(0), "0 bytes");
    }
}
