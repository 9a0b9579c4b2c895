use super::*;
use crate::effects::WriteId;
use crate::replica::HELD_MESSAGES_MAX;
use crate::stage::*;
use crate::types::Term;

fn accepted(term: u32, proven: u64) -> (u16, Message) {
    answer(
        term,
        AppendOutcome::Accepted {
            proven: index(proven),
        },
    )
}

fn refused(term: u32, previous: u64, hint: Position) -> (u16, Message) {
    answer(
        term,
        AppendOutcome::Refused {
            previous: index(previous),
            hint,
        },
    )
}

fn answer(term: u32, outcome: AppendOutcome) -> (u16, Message) {
    let response = AppendResponse {
        term: Term::new(term),
        outcome,
        round: Round(1),
        honoured: Ticks::new(ELECTION_TICKS),
        applies: true,
    };
    (2, Message::AppendResponse(response))
}

#[test]
fn an_append_is_answered_when_its_entries_are_durable() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.on_append(
        2,
        append(1, position(1, 1), 3, 0),
        &[command(1, 2), command(1, 3)],
    );
    assert_eq!(stage.take_sent(), []);
    stage.write_all();
    assert_eq!(stage.take_sent(), [accepted(1, 3)]);
}

#[test]
fn one_answer_stands_for_several_appends_that_became_durable_together() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.on_append(2, append(1, position(1, 1), 2, 0), &[command(1, 2)]);
    stage.on_append(2, append(1, position(1, 2), 3, 0), &[command(1, 3)]);
    stage.on_append(2, append(1, position(1, 3), 4, 0), &[command(1, 4)]);
    stage.written(WriteId(2));
    assert_eq!(stage.take_sent(), [accepted(1, 3)]);
    stage.written(WriteId(3));
    assert_eq!(stage.take_sent(), [accepted(1, 4)]);
}

#[test]
fn the_term_is_written_before_entries_of_that_term() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.on_append(2, append(4, position(1, 1), 2, 0), &[command(4, 2)]);
    let writes: Vec<Effect> = stage
        .take()
        .into_iter()
        .filter(|it| matches!(it, Effect::SaveHardState { .. } | Effect::Store { .. }))
        .collect();
    assert!(matches!(
        writes.as_slice(),
        [
            Effect::SaveHardState {
                write: WriteId(1),
                ..
            },
            Effect::Store {
                write: WriteId(2),
                ..
            }
        ]
    ));
}

#[test]
fn a_late_return_of_an_overwritten_entry_answers_nothing() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.on_append(2, append(2, position(1, 1), 2, 0), &[command(2, 2)]);
    stage.on_append(3, append(3, position(1, 1), 2, 0), &[command(3, 2)]);
    stage.written(WriteId(2));
    assert_eq!(
        stage.take_sent(),
        [],
        "neither the old leader nor the new one has a promise"
    );
    assert_eq!(stage.replica.durable_index(), index(1));
    stage.write_all();
    let sent = stage.take_sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, 3);
    assert_eq!(stage.replica.durable_index(), index(2));
}

#[test]
fn a_short_or_late_append_takes_nothing_away() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 1, 1]);
    stage.on_append(2, append(1, position(1, 1), 2, 0), &[command(1, 2)]);
    assert_eq!(stage.replica.last_index(), index(3));
    assert_eq!(
        stage.take_sent(),
        [accepted(1, 2)],
        "the last index of the follower proves nothing"
    );
}

#[test]
fn a_conflict_truncates_and_stores_the_rest() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 2, 2, 2]);
    stage.on_append(
        2,
        append(3, position(1, 1), 3, 0),
        &[command(2, 2), command(3, 3)],
    );
    assert_eq!(stage.replica.last_position(), position(3, 3));
    let effects = stage.take();
    assert!(effects.contains(&Effect::Truncate {
        write: WriteId(2),
        from: index(3)
    }));
    let store = Effect::Store {
        write: WriteId(3),
        first: index(3),
        last: index(3),
    };
    assert!(effects.contains(&store));
}

#[test]
fn what_is_committed_is_never_truncated_whoever_asks() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 1, 1]);
    stage.on_append(2, append(1, position(1, 3), 3, 3), &[]);
    assert_eq!(stage.replica.commit_index(), index(3));
    stage.on_append(2, append(5, position(1, 1), 2, 0), &[command(5, 2)]);
    assert_eq!(stage.replica.last_position(), position(1, 3));
}

#[test]
fn commit_never_passes_what_is_proven_to_agree() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 1, 1]);
    stage.step(2, heartbeat(2, 3));
    assert_eq!(stage.replica.commit_index(), Index::ZERO);
    stage.on_append(2, append(2, position(1, 1), 2, 3), &[command(1, 2)]);
    assert_eq!(stage.replica.commit_index(), index(2));
}

#[test]
fn a_refusal_says_where_the_logs_may_still_agree() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 1, 2, 2, 2]);
    stage.on_append(2, append(4, position(3, 9), 9, 0), &[]);
    stage.write_all();
    assert_eq!(stage.take_sent(), [refused(4, 9, position(2, 5))]);
    stage.on_append(2, append(4, position(1, 4), 4, 0), &[]);
    assert_eq!(stage.take_sent(), [refused(4, 4, position(1, 2))]);
}

#[test]
fn a_leader_of_the_past_is_told_the_term() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 4]);
    stage.on_append(2, append(3, position(1, 1), 2, 0), &[command(3, 2)]);
    assert_eq!(stage.replica.last_position(), position(4, 2));
    assert_eq!(stage.take_sent(), [refused(4, 1, position(1, 1))]);
    stage.step(2, heartbeat(3, 9));
    let sent = stage.take_sent();
    assert!(
        matches!(sent.as_slice(), [(2, Message::HeartbeatResponse(it))] if it.term == Term::new(4))
    );
}

#[test]
fn a_configuration_is_in_force_at_append_and_goes_back_with_its_entry() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    let mut payload = Vec::new();
    voters(&[1, 2, 3, 4]).encode(&mut payload);
    let entry = EntryView {
        kind: EntryKind::Configuration,
        payload: &payload,
        ..command(1, 2)
    };
    stage.on_append(2, append(1, position(1, 1), 2, 0), &[entry]);
    assert_eq!(stage.replica.configuration(), &voters(&[1, 2, 3, 4]));
    assert_eq!(stage.replica.committed_configuration(), &voters(&[1, 2, 3]));
    stage.take();
    stage.on_append(3, append(2, position(1, 1), 2, 0), &[command(2, 2)]);
    assert_eq!(stage.replica.configuration(), &voters(&[1, 2, 3]));
    assert!(
        stage
            .take()
            .contains(&Effect::ConfigurationChanged { index: Index::ZERO })
    );
}

#[test]
fn a_blank_replica_without_members_takes_entries() {
    let mut stage = Stage::started(Configuration::default(), &[]);
    let mut payload = Vec::new();
    voters(&[2, 3]).encode(&mut payload);
    let entry = EntryView {
        kind: EntryKind::Configuration,
        payload: &payload,
        ..command(1, 1)
    };
    stage.on_append(2, append(1, Position::ZERO, 1, 1), &[entry]);
    assert_eq!(stage.replica.commit_index(), index(1));
    assert_eq!(stage.replica.configuration(), &voters(&[2, 3]));
}

#[test]
fn a_shortened_append_proves_only_what_came() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    let shortened = AppendEntries {
        may_shorten: true,
        ..append(1, position(1, 1), 9, 9)
    };
    stage.on_append(2, shortened, &[command(1, 2), command(1, 3)]);
    assert_eq!(stage.replica.commit_index(), index(3));
    stage.write_all();
    assert_eq!(stage.take_sent(), [accepted(1, 3)]);
}

#[test]
fn an_append_without_room_proves_what_is_here_each_time_it_comes() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 1, 1]);
    for _ in 0..2 {
        let entries = [command(1, 2), command(1, 3), command(1, 4)];
        stage.on_append_without_room(2, append(1, position(1, 1), 4, 4), &entries);
        assert_eq!(stage.take_sent(), [accepted(1, 3)]);
        assert_eq!(stage.replica.last_position(), position(1, 3));
        assert_eq!(stage.replica.commit_index(), index(3));
    }
    stage.on_append_without_room(2, append(1, position(1, 3), 4, 4), &[command(1, 4)]);
    assert_eq!(stage.take_sent(), [accepted(1, 3)]);
}

#[test]
fn what_an_append_without_room_contradicts_goes_and_nothing_comes() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 2, 2, 2]);
    let entries = [command(2, 2), command(3, 3)];
    stage.on_append_without_room(2, append(3, position(1, 1), 3, 0), &entries);
    assert_eq!(stage.replica.last_position(), position(2, 2));
    let effects = stage.take();
    assert!(effects.contains(&Effect::Truncate {
        write: WriteId(2),
        from: index(3)
    }));
    let is_store = |effect: &Effect| matches!(effect, Effect::Store { .. });
    assert!(!effects.iter().any(is_store), "{effects:?}");
    stage.write_all();
    assert_eq!(stage.take_sent(), [accepted(3, 2)]);
}

#[test]
fn appends_that_no_legal_leader_sends_change_nothing() {
    let damaged = EntryView {
        kind: EntryKind::Configuration,
        payload: &[9],
        ..command(1, 2)
    };
    let cases: [(AppendEntries, &[EntryView<'_>]); 7] = [
        (append(1, position(1, 1), 3, 0), &[command(1, 2)]),
        (append(1, position(1, 1), 2, 0), &[command(1, 3)]),
        (
            append(1, position(1, 1), 3, 0),
            &[command(1, 2), command(1, 2)],
        ),
        (append(1, position(1, 1), 2, 0), &[command(2, 2)]),
        (
            append(2, position(1, 1), 3, 0),
            &[command(2, 2), command(1, 3)],
        ),
        (append(1, position(1, 1), 0, 0), &[]),
        (append(9, position(1, 1), 2, 0), &[damaged]),
    ];
    for (append, entries) in cases {
        let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
        stage.on_append(2, append, entries);
        assert_eq!(stage.take(), [], "{append:?} {entries:?}");
        assert_eq!(stage.replica.term(), Term::new(1));
    }
}

/// The disk hangs, and the leader sends the same entry again and again: so many answers wait, and no more.
#[test]
fn answers_that_wait_for_a_write_are_bounded() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    let again = append(1, position(1, 1), 2, 0);
    for _ in 0..2 * HELD_MESSAGES_MAX {
        stage.on_append(2, again, &[command(1, 2)]);
    }
    assert_eq!(stage.replica.held.len(), HELD_MESSAGES_MAX);
    stage.take();
    stage.write_all();
    assert_eq!(stage.take_sent().len(), 1, "one proves what all would");
    assert_eq!(stage.replica.held.len(), 0);
}
