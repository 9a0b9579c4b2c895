use super::*;
use crate::storage::batch::SegmentName;
use crate::storage::payload::{CheckpointPointer, Tail};
use crate::storage::recovery::merge::{Origin, Place};
use margay_raft::EntryKind;
use margay_types::{Incarnation, ReplicaNumber};

const PLACE: Place = Place {
    segment: SegmentName {
        number: 1,
        generation: 1,
    },
    offset: 4096,
    bytes: 40,
    sequence: 1,
};

fn created() -> Created {
    Created {
        incarnation: Incarnation::new([1; 16]),
        replica: ReplicaNumber::new(1),
        recovery_number: 0,
        machine: String::from("map"),
        description: Vec::new(),
    }
}

fn entry(term: u32, is_good: bool) -> EntryFacts {
    let place = is_good.then_some(PLACE);
    EntryFacts {
        term: Term::new(term),
        kind: Some(EntryKind::CommandPlain),
        place,
    }
}

fn born() -> Merged {
    Merged {
        created: Some((created(), PLACE)),
        ..Merged::default()
    }
}

fn with_entries(entries: &[(u64, u32, bool)]) -> Merged {
    let entries = entries.iter();
    let entries =
        entries.map(|(index, term, is_good)| (Index::new(*index), entry(*term, *is_good)));
    Merged {
        entries: entries.collect(),
        ..born()
    }
}

fn damage(merged: Merged) -> Option<(u64, u64, Damage)> {
    match judge(GroupId::new(1), merged, &[]).status {
        GroupStatus::Serves => None,
        GroupStatus::Damaged { range, reason } => {
            Some((range.start().number(), range.end().number(), reason))
        }
    }
}

#[test]
fn a_whole_log_serves_with_its_term_runs() {
    let group = judge(
        GroupId::new(1),
        with_entries(&[(1, 1, true), (2, 1, true), (3, 4, true)]),
        &[],
    );
    assert_eq!(group.status, GroupStatus::Serves);
    let runs: Vec<(u64, u32)> = group
        .term_runs
        .iter()
        .map(|run| (run.first.number(), run.term.number()))
        .collect();
    assert_eq!(runs, vec![(1, 1), (3, 4)]);
    assert_eq!(group.floor, Position::ZERO);
    assert_eq!(
        group.last,
        Position {
            term: Term::new(4),
            index: Index::new(3)
        }
    );
}

#[test]
fn faulty_entries_are_named() {
    let merged = with_entries(&[(1, 1, true), (2, 1, false), (3, 1, true)]);
    assert_eq!(damage(merged), Some((2, 2, Damage::Entries)));
}

#[test]
fn a_gap_is_named() {
    let merged = with_entries(&[(1, 1, true), (4, 1, true)]);
    assert_eq!(damage(merged), Some((2, 3, Damage::Gap)));
}

#[test]
fn a_group_without_birth_head_or_checkpoint_is_nobody() {
    let merged = Merged {
        created: None,
        ..with_entries(&[(1, 1, true)])
    };
    assert_eq!(damage(merged), Some((0, 1, Damage::Birth)));
}

#[test]
fn an_unnamed_loss_counts_against_all_groups_without_a_later_head() {
    let status = |head_sequence, unnamed| {
        let merged = Merged {
            head_sequence,
            ..with_entries(&[(1, 1, true)])
        };
        judge(GroupId::new(1), merged, &[unnamed]).status
    };
    assert_eq!(status(4, 3), GroupStatus::Serves);
    assert!(matches!(
        status(3, 3),
        GroupStatus::Damaged {
            reason: Damage::Head,
            ..
        }
    ));
}

#[test]
fn a_head_that_names_more_than_there_is_shows_a_gap() {
    let mut merged = with_entries(&[(1, 1, true)]);
    let named = Position {
        term: Term::new(1),
        index: Index::new(3),
    };
    merged.losses.push((Origin::default(), Loss::Head(named)));
    assert_eq!(damage(merged), Some((3, 3, Damage::Gap)));
}

fn with_checkpoint(at: u64, floor: u64, entries: &[(u64, u32, bool)]) -> Merged {
    let position = |index| Position {
        term: Term::new(2),
        index: Index::new(index),
    };
    let pointer = CheckpointPointer {
        at: position(at),
        floor: position(floor),
        stream_epoch: 0,
        first_origin: 0,
        stream_bytes: 0,
        chunks: 0,
        replica: ReplicaNumber::new(1),
        tail: Tail::Keep,
        stream_hash: [0; 16],
        live_hash: [0; 16],
        effect_chain: [0; 16],
    };
    Merged {
        checkpoint: Some(FoundCheckpoint {
            pointer,
            place: PLACE,
            chunks: BTreeMap::new(),
        }),
        ..with_entries(entries)
    }
}

#[test]
fn the_floor_is_where_the_term_is_known() {
    let floor_and_first = |at, floor, entries: &[(u64, u32, bool)]| {
        let group = judge(GroupId::new(1), with_checkpoint(at, floor, entries), &[]);
        assert_eq!(group.status, GroupStatus::Serves);
        let first = group.entries.first_key_value();
        let first = first.map(|(index, _)| index.number());
        (group.floor.index.number(), first)
    };
    let (five, six, seven) = ((5, 2, true), (6, 2, true), (7, 2, true));
    assert_eq!(floor_and_first(6, 0, &[seven]), (6, Some(7)));
    assert_eq!(floor_and_first(6, 0, &[six, seven]), (6, Some(7)));
    assert_eq!(floor_and_first(6, 5, &[six, seven]), (5, Some(6)));
    assert_eq!(floor_and_first(6, 4, &[five, six, seven]), (4, Some(5)));
    assert_eq!(floor_and_first(7, 3, &[five, six, seven]), (5, Some(5)));
    assert_eq!(floor_and_first(7, 6, &[five, six, seven]), (5, Some(5)));
    assert_eq!(floor_and_first(7, 3, &[]), (7, None));
}
