use super::*;
use margay_types::ReplicaNumber;
use proptest::prelude::*;

const PLACE: Place = Place {
    segment: SegmentName {
        number: 1,
        generation: 1,
    },
    offset: 4096,
    bytes: 40,
    sequence: 1,
};
const GROUP: GroupId = GroupId::new(7);

fn record(term: u32, index: u64, content: Content) -> Fact {
    let fields = super::super::super::record::RecordFields {
        kind: super::super::super::record::RecordKind::Marks,
        group: GROUP,
        term: Term::new(term),
        index: Index::new(index),
        time: 0,
    };
    Fact::Record(
        FoundRecord {
            fields,
            offset: 96,
            bytes: 40,
            content,
        },
        PLACE,
    )
}

fn entry(term: u32, index: u64) -> Fact {
    record(term, index, Content::Entry(EntryKind::CommandPlain))
}

fn truncation(index: u64) -> Fact {
    record(0, index, Content::Truncation)
}

fn hard_state(term: u32, vote: u16) -> Fact {
    let voted_for = (vote > 0).then(|| ReplicaNumber::new(vote));
    record(
        term,
        0,
        Content::HardState(HardState {
            term: Term::new(term),
            voted_for,
        }),
    )
}

fn bad(term: u32, first: u64, last: u64, class: RunClass) -> Fact {
    Fact::Bad(BadRecords {
        group: GROUP,
        term: Term::new(term),
        first: Index::new(first),
        last: Index::new(last),
        class,
        offset: 96,
    })
}

/// Tells the facts, each with its place in the list as its origin.
fn merge(facts: &[Fact]) -> Merged {
    let numbered = (1..).zip(facts.iter().cloned());
    merge_numbered(numbered.collect())
}

fn merge_numbered(numbered: Vec<(u64, Fact)>) -> Merged {
    let mut told = Facts::default();
    for (sequence, fact) in numbered {
        told.tell(
            GROUP,
            Origin {
                sequence,
                offset: 96,
            },
            fact,
        );
    }
    told.merge().remove(&GROUP).unwrap_or_default()
}

fn log(merged: &Merged) -> Vec<(u64, u32)> {
    merged
        .entries
        .iter()
        .map(|(index, it)| (index.number(), it.term.number()))
        .collect()
}

#[test]
fn a_truncation_removes_what_was_there_before_and_not_what_came_after() {
    let merged = merge(&[
        entry(1, 1),
        entry(1, 2),
        entry(1, 3),
        truncation(2),
        entry(2, 2),
    ]);
    assert_eq!(log(&merged), vec![(1, 1), (2, 2)]);
}

/// The head's last entry stood in a segment that was freed, because a later truncation made it dead and a checkpoint
/// stands for the rest.
#[test]
fn what_a_head_named_is_not_missed_behind_a_later_truncation() {
    let head = Head {
        incarnation: margay_types::Incarnation::new([1; 16]),
        replica: ReplicaNumber::new(1),
        recovery_number: 0,
        hard_state: HardState::default(),
        last: Position {
            term: Term::new(1),
            index: Index::new(9),
        },
        checkpoint: Index::ZERO,
        stream_epoch: 0,
        configuration: Index::ZERO,
    };
    let facts = [
        record(1, 9, Content::Head(head)),
        truncation(5),
        entry(2, 5),
    ];
    let named = |merged: &Merged| match merged.losses.as_slice() {
        [(_, Loss::Head(position))] => position.index,
        losses => panic!("{losses:?}"),
    };
    assert_eq!(named(&merge(&facts[..1])), Index::new(9));
    assert_eq!(
        named(&merge(&facts)),
        Index::new(4),
        "of the rest it still speaks"
    );
}

/// What was lost before a group was born can be nothing of it.
#[test]
fn a_birth_speaks_for_all_that_was_before_it() {
    let created = Created {
        incarnation: margay_types::Incarnation::new([1; 16]),
        replica: ReplicaNumber::new(1),
        recovery_number: 0,
        machine: "map".to_owned(),
        description: Vec::new(),
    };
    let facts = [
        entry(1, 1),
        entry(1, 2),
        record(0, 0, Content::Created(created)),
    ];
    assert_eq!(merge(&facts[..2]).head_sequence, 0);
    assert!(merge(&facts).head_sequence > 0);
}

#[test]
fn a_lost_truncation_is_healed_by_one_that_reaches_as_far() {
    let lost = bad(0, 5, 5, RunClass::Truncation);
    let kept = |from| merge(&[lost.clone(), truncation(from)]).losses.len();
    assert_eq!((kept(5), kept(6)), (0, 1));
}

#[test]
fn the_greatest_term_counts_and_in_it_a_vote_over_no_vote() {
    let merged = merge(&[hard_state(2, 0), hard_state(2, 3), hard_state(1, 1)]);
    assert_eq!(merged.hard_state.term, Term::new(2));
    assert_eq!(merged.hard_state.voted_for, Some(ReplicaNumber::new(3)));
    assert_eq!(merged.losses, vec![]);
}

#[test]
fn two_votes_in_one_term_are_never_merged_silently() {
    let merged = merge(&[hard_state(2, 3), hard_state(2, 1)]);
    assert!(matches!(merged.losses[..], [(_, Loss::TwoVotes(term))] if term == Term::new(2)));
}

#[test]
fn a_lost_hard_state_is_healed_by_a_later_one_only() {
    let lost = bad(2, 0, 0, RunClass::HardState);
    assert_eq!(merge(&[lost.clone(), hard_state(3, 0)]).losses, vec![]);
    assert_eq!(merge(&[hard_state(3, 0), lost]).losses.len(), 1);
}

#[test]
fn a_faulty_entry_is_healed_by_what_replaced_it() {
    let lost = bad(1, 2, 3, RunClass::Plain);
    let merged = merge(&[entry(1, 1), lost.clone()]);
    assert_eq!(merged.entries[&Index::new(3)].place, None);
    let merged = merge(&[entry(1, 1), lost, truncation(2), entry(2, 2)]);
    assert_eq!(log(&merged), vec![(1, 1), (2, 2)]);
    assert!(merged.entries.values().all(|entry| entry.place.is_some()));
}

#[test]
fn a_removed_group_is_forgotten_until_it_is_born_again() {
    let facts = [
        entry(1, 1),
        hard_state(4, 1),
        record(0, 0, Content::Removed),
        hard_state(1, 0),
    ];
    let merged = merge(&facts);
    assert_eq!(log(&merged), vec![]);
    assert_eq!(merged.hard_state.term, Term::new(1));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        6 => (1u32..4, 1u64..12).prop_map(|(term, index)| entry(term, index)),
        2 => (1u64..12).prop_map(truncation),
        2 => (1u32..5, 0u16..3).prop_map(|(term, vote)| hard_state(term, vote)),
        1 => (1u32..4, 1u64..12).prop_map(|(term, at)| bad(term, at, at + 1, RunClass::Plain)),
        1 => Just(bad(1, 0, 0, RunClass::HardState)),
        1 => Just(record(0, 0, Content::Removed)),
    ]
}

proptest! {
    /// Segments may be scanned in any order (invariant 7).
    #[test]
    fn the_order_of_telling_does_not_matter(
        facts in prop::collection::vec(any_fact(), 0..40).prop_map(|facts| {
            (1..).zip(facts).collect::<Vec<(u64, Fact)>>()
        }).prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle()))
    ) {
        let (ordered, shuffled) = facts;
        prop_assert_eq!(merge_numbered(ordered), merge_numbered(shuffled));
    }
}
