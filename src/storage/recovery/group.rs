//! A recovered group as the log takes it over: who it is, and where its entries and its checkpoint stand.

use super::super::index::IndexItem;
use super::super::resume::{RecordPlace, ResumedGroup, StoredCheckpoint};
use super::merge::Place;
use super::verdict::{GroupStatus, RecoveredGroup};
use margay_types::Index;

/// What the log resumes of a group. A damaged one it must not know: a head written for it would hide the damage.
pub(crate) fn resumed(group: &RecoveredGroup) -> Option<ResumedGroup> {
    match group.status {
        GroupStatus::Damaged { .. } => None,
        GroupStatus::Serves => Some(ResumedGroup {
            group: group.group,
            identity: group.identity?,
            hard_state: group.hard_state,
            last: group.last,
            floor: group.floor,
            configurations: configurations(group),
            checkpoint: checkpoint(group)?,
            items: items(group),
        }),
    }
}

/// From the one in force at the checkpoint on.
fn configurations(group: &RecoveredGroup) -> Vec<Index> {
    let at = group
        .checkpoint
        .as_ref()
        .map_or(Index::ZERO, |it| it.pointer.at.index);
    let indexes = || group.configurations.iter().map(|(index, _)| *index);
    let in_force = indexes()
        .filter(|index| *index <= at)
        .max()
        .unwrap_or(Index::ZERO);
    indexes().filter(|index| *index >= in_force).collect()
}

fn checkpoint(group: &RecoveredGroup) -> Option<StoredCheckpoint> {
    match (&group.checkpoint, &group.created) {
        (Some(found), _) => Some(StoredCheckpoint {
            pointer: Some(found.pointer),
            place: found.place.of_record(),
            chunks: found.chunks.values().map(Place::of_record).collect(),
        }),
        (None, Some((_, place))) => Some(StoredCheckpoint {
            pointer: None,
            place: place.of_record(),
            chunks: Vec::new(),
        }),
        (None, None) => None,
    }
}

impl Place {
    /// As the log writes down where a record is.
    pub(super) fn of_record(&self) -> RecordPlace {
        RecordPlace {
            segment: self.segment.number,
            offset: self.offset,
            length: self.bytes,
            sequence: self.sequence,
        }
    }
}

/// All entries that are held, gathered by batch and term.
fn items(group: &RecoveredGroup) -> Vec<IndexItem> {
    let mut items: Vec<IndexItem> = Vec::new();
    for (index, entry) in &group.entries {
        let Some(place) = entry.place else { continue };
        let last = items.last_mut().filter(|item| {
            item.sequence == place.sequence
                && item.term == entry.term
                && item.last.next() == *index
                && item.offset <= place.offset
        });
        match last {
            Some(item) => {
                item.last = *index;
                item.length = place.offset + place.bytes - item.offset;
            }
            None => items.push(IndexItem {
                first: *index,
                last: *index,
                term: entry.term,
                sequence: place.sequence,
                segment: place.segment.number,
                offset: place.offset,
                length: place.bytes,
                first_run: 0,
            }),
        }
    }
    items
}
