//! The rules of sessions at apply: numbers, outputs, windows, openings, ends, skips and stops.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of these tests fail as the tests do"
)]

use margay_machine::{
    Answer, Answers, Apply, ClientId, Code, CommandHeader, Commit, Context, ENDED_SESSIONS_MAX,
    Host, HostError, Index, Input, KeepAlives, Limits, LogTime, Machine, Never, Open, OperationId,
    Outcome, QueryError, Recipient, Refresh, Refusal, Registry, Residual, SKIP, SequenceNumber,
    SessionChange, SessionId, SessionNumber, StopReason, Stopped, Term, View, operations,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SECOND_NS: u64 = 1_000_000_000;
const COMMAND: u8 = 3;

/// Appends its byte to the journal, and gives the journal's length so many times over.
#[derive(Serialize, Deserialize)]
struct Note {
    byte: u8,
    output_length: u32,
}

#[derive(Serialize, Deserialize)]
struct Panic;

/// Remembers all that it was told.
#[derive(Default)]
struct Journal {
    notes: Vec<u8>,
}

operations! { Journal { command 1 Note; command 2 Panic; query 1 Panic; residual } }

impl Machine for Journal {
    type Options = ();
    type Event = Never;

    fn new((): ()) -> Self {
        Self::default()
    }

    fn on_session(&mut self, _: SessionId, change: SessionChange, _: &mut Context<Self>) {
        self.notes.push(match change {
            SessionChange::Opened => b'+',
            SessionChange::Closed => b'-',
            SessionChange::Expired => b'!',
        });
    }
}

impl Apply<Note> for Journal {
    type Output = Vec<u8>;

    fn apply(&mut self, commit: Commit<Note>, _: &mut Context<Self>) -> Vec<u8> {
        self.notes.push(commit.command.byte);
        let length = u8::try_from(self.notes.len()).unwrap_or(u8::MAX);
        vec![length; commit.command.output_length as usize]
    }
}

impl Apply<Panic> for Journal {
    type Output = ();

    fn apply(&mut self, _: Commit<Panic>, _: &mut Context<Self>) {
        panic!("asked to");
    }
}

impl Answer<Panic> for Journal {
    type Output<'a> = ();

    fn answer(&self, _: Panic, _: &View) {
        panic!("asked to");
    }
}

impl Residual for Journal {
    type Frozen = Vec<u8>;

    fn freeze(&self) -> Vec<u8> {
        self.notes.clone()
    }

    fn restore((): (), notes: Vec<u8>) -> Self {
        Self { notes }
    }
}

struct Group {
    host: Host,
    now: LogTime,
    term: Term,
    answers: Answers,
}

/// The code and the encoded output: for a `Note`, its length comes first.
type Answered = (Code, Vec<u8>);

fn registry() -> Registry {
    Registry::new().machine::<Journal>("journal")
}

impl Group {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            host: Host::new(&registry(), "journal", &[], limits).unwrap(),
            now: LogTime::ZERO,
            term: Term::new(1),
            answers: Answers::new(),
        }
    }

    fn try_apply(&mut self, input: Input<'_>) -> Result<Answered, Stopped> {
        self.answers.clear();
        let index = self.host.applied_index().next();
        self.host
            .apply(index, self.now, self.term, input, &mut self.answers)?;
        let last = self.answers.iter().last();
        Ok(last.map_or((Code::Output, vec![]), |answer| {
            (answer.code, answer.output.to_vec())
        }))
    }

    fn apply(&mut self, input: Input<'_>) -> Answered {
        self.try_apply(input).unwrap()
    }

    fn open(&mut self, client: u8, attempt: u64) -> (Code, Option<SessionId>) {
        let open = Open::new(ClientId::new([client; 16]), attempt, 5_000);
        let (code, _) = self.apply(Input::Open(&open));
        let session = self
            .answers
            .iter()
            .find_map(|answer| match answer.recipient {
                Recipient::Opening { session, .. } => session,
                Recipient::Command { .. } | Recipient::WithoutSession | Recipient::Ended { .. } => {
                    None
                }
            });
        (code, session)
    }

    fn note(&mut self, session: SessionId, sequence: u64, acknowledged_below: u64) -> Answered {
        self.apply_payload(&note(session, sequence, acknowledged_below, b'n', 1))
    }

    fn apply_payload(&mut self, payload: &[u8]) -> Answered {
        self.host.check_command(payload).unwrap();
        self.apply(Input::decode(COMMAND, payload).unwrap())
    }

    fn rebuild(&mut self) {
        let mut bytes = Vec::new();
        self.host.freeze().unwrap().encode(&mut bytes);
        let rebuilt = Host::restore(&registry(), &bytes).unwrap();
        assert_eq!(rebuilt.digest(), self.host.digest());
        let mut again = Vec::new();
        rebuilt.freeze().unwrap().encode(&mut again);
        assert_eq!(
            bytes, again,
            "a rebuilt host writes the checkpoint that it came from"
        );
        self.host = rebuilt;
    }

    fn notes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.host.freeze().unwrap().encode(&mut bytes);
        // The residual is the last part: a length u64, and postcard's own length before the notes.
        let known = b"+-!npq";
        let tail = bytes
            .iter()
            .rev()
            .take_while(|byte| known.contains(byte))
            .count();
        bytes[bytes.len() - tail..].to_vec()
    }
}

fn payload(header: CommandHeader, operation: &impl Serialize) -> Vec<u8> {
    let mut payload = header.bytes().to_vec();
    margay_machine::Encode::encode(operation, &mut payload);
    payload
}

fn header(session: SessionId, sequence: u64, acknowledged_below: u64, id: u16) -> CommandHeader {
    CommandHeader::new(
        session,
        SequenceNumber::new(sequence),
        SequenceNumber::new(acknowledged_below),
        OperationId::new(id),
    )
}

fn note(session: SessionId, sequence: u64, below: u64, byte: u8, output_length: u32) -> Vec<u8> {
    payload(
        header(session, sequence, below, 1),
        &Note {
            byte,
            output_length,
        },
    )
}

fn opened(group: &mut Group) -> SessionId {
    group.open(1, 1).1.unwrap()
}

#[test]
fn a_duplicate_gets_the_first_output_and_is_not_executed() {
    let mut group = Group::new();
    let session = opened(&mut group);
    let first = group.note(session, 1, 1);
    assert_eq!(first, (Code::Output, vec![1, 2]));
    assert_eq!(group.note(session, 1, 1), first);
    group.rebuild();
    assert_eq!(group.note(session, 1, 1), first);
    assert_eq!(group.notes(), b"+n");
}

#[test]
fn a_duplicate_whose_output_is_gone_is_an_error_and_not_executed() {
    let mut group = Group::new();
    let session = opened(&mut group);
    group.note(session, 1, 1);
    group.note(session, 2, 2);
    assert_eq!(group.note(session, 1, 1), (Code::OutputGone, vec![]));
    assert_eq!(
        group.host.outcome(session, SequenceNumber::new(1)),
        Outcome::Gone
    );
    assert_eq!(group.notes(), b"+nn");
}

#[test]
fn a_number_above_the_next_is_never_executed_and_stays_free() {
    let mut group = Group::new();
    let session = opened(&mut group);
    let next = 1_u64.to_le_bytes().to_vec();
    assert_eq!(group.note(session, 2, 1), (Code::NotNext, next));
    assert_eq!(group.notes(), b"+");
    assert_eq!(group.note(session, 1, 1).0, Code::Output);
    assert_eq!(group.note(session, 2, 1).0, Code::Output);
}

#[test]
fn a_number_that_was_given_up_is_never_executed() {
    let mut group = Group::new();
    let session = opened(&mut group);
    let skip = header(session, 1, 1, SKIP.number()).bytes().to_vec();
    assert_eq!(group.apply_payload(&skip).0, Code::SkippedByClient);
    assert_eq!(group.note(session, 1, 1).0, Code::SkippedByClient);
    assert_eq!(group.notes(), b"+");
}

#[test]
fn giving_up_what_was_applied_tells_so() {
    let mut group = Group::new();
    let session = opened(&mut group);
    let first = group.note(session, 1, 1);
    let skip = header(session, 1, 1, SKIP.number()).bytes().to_vec();
    assert_eq!(group.apply_payload(&skip), first);
}

#[test]
fn a_full_window_refuses_and_an_acknowledgement_opens_it() {
    let mut group = Group::with(Limits {
        window: 2,
        ..Limits::default()
    });
    let session = opened(&mut group);
    group.note(session, 1, 1);
    group.note(session, 2, 1);
    assert_eq!(group.note(session, 3, 1).0, Code::WindowFull);
    assert_eq!(group.note(session, 3, 2).0, Code::Output);
}

#[test]
fn a_keep_alive_acknowledges_and_refreshes() {
    let mut group = Group::new();
    let session = opened(&mut group);
    group.note(session, 1, 1);
    group.now = group.now.plus_ns(SECOND_NS);
    group.apply(Input::Refresh(&[Refresh::new(
        session,
        SequenceNumber::new(9),
        4,
    )]));
    let view = group.host.session(session).unwrap();
    assert_eq!(view.acknowledged_below, SequenceNumber::new(2));
    assert_eq!(view.cached_bytes, 0);
    assert_eq!(view.refreshed, group.now);
    assert_eq!(
        view.events_received, 0,
        "no event was published that could have been received"
    );
}

#[test]
fn an_output_above_the_limit_is_replaced_by_an_error_that_is_kept() {
    let mut group = Group::with(Limits {
        output_bytes_max: 100,
        ..Limits::default()
    });
    let session = opened(&mut group);
    let large = note(session, 1, 1, b'n', 200);
    assert_eq!(group.apply_payload(&large), (Code::OutputTooLarge, vec![]));
    assert_eq!(group.apply_payload(&large), (Code::OutputTooLarge, vec![]));
    assert_eq!(group.notes(), b"+n");
}

#[test]
fn a_full_group_cache_refuses_and_leaves_the_number_free() {
    let limits = Limits {
        output_bytes_max: 100,
        session_cache_bytes_max: 300,
        group_cache_bytes_max: 300,
        ..Limits::default()
    };
    let mut group = Group::with(limits);
    let (one, other) = (opened(&mut group), group.open(2, 1).1.unwrap());
    assert_eq!(group.note(one, 1, 1).0, Code::Output);
    assert_eq!(group.note(other, 1, 1).0, Code::Output);
    assert_eq!(group.note(other, 2, 1).0, Code::CacheFull);
    assert_eq!(group.note(one, 2, 2).0, Code::Output);
    group.apply(Input::Close(one));
    assert_eq!(group.note(other, 2, 1).0, Code::Output);
}

#[test]
fn the_same_attempt_opens_the_same_session() {
    let mut group = Group::new();
    let session = opened(&mut group);
    assert_eq!(group.open(1, 1), (Code::Output, Some(session)));
    assert_eq!(group.host.session_of(ClientId::new([1; 16])), Some(session));
    assert_eq!(group.notes(), b"+");
}

#[test]
fn a_lower_attempt_is_refused_and_a_higher_one_replaces() {
    let mut group = Group::new();
    let (_, first) = group.open(1, 5);
    assert_eq!(group.open(1, 4), (Code::AttemptPassed, None));
    let (code, second) = group.open(1, 6);
    assert_eq!(code, Code::Output);
    assert_ne!(first, second);
    assert_eq!(group.notes(), b"+!+");
    assert_eq!(group.note(first.unwrap(), 1, 1).0, Code::SessionReplaced);
    group.rebuild();
    assert_eq!(group.open(1, 5), (Code::AttemptPassed, None));
    assert_eq!(group.note(first.unwrap(), 1, 1).0, Code::SessionReplaced);
}

#[test]
fn a_late_opening_of_an_ended_session_opens_nothing() {
    let mut group = Group::new();
    let session = opened(&mut group);
    group.apply(Input::Close(session));
    group.rebuild();
    assert_eq!(group.open(1, 1), (Code::SessionClosed, None));
    assert_eq!(group.notes(), b"+-");
}

#[test]
fn the_longest_ended_session_is_forgotten_first() {
    let mut group = Group::new();
    let mut ended = Vec::new();
    for number in 0..=ENDED_SESSIONS_MAX as u64 {
        let open = Open::new(ClientId::new(u128::from(number).to_le_bytes()), 1, 5_000);
        group.apply(Input::Open(&open));
        let session = SessionId::new(group.host.applied_index().number());
        group.apply(Input::Close(session));
        ended.push(session);
    }
    group.rebuild();
    assert_eq!(group.note(ended[0], 1, 1).0, Code::UnknownSession);
    assert_eq!(group.note(ended[1], 1, 1).0, Code::SessionClosed);
    assert_eq!(
        group.open(0, 1).0,
        Code::Output,
        "nothing is known of its client any more"
    );
}

#[test]
fn a_full_group_opens_no_more_sessions_but_lets_one_be_replaced() {
    let mut group = Group::with(Limits {
        sessions_max: 1,
        ..Limits::default()
    });
    opened(&mut group);
    assert_eq!(group.open(2, 1), (Code::SessionsFull, None));
    assert_eq!(group.open(1, 2).0, Code::Output);
}

#[test]
fn expiry_takes_effect_only_when_the_session_was_not_heard_from() {
    let mut group = Group::new();
    let session = opened(&mut group);
    let expire = [SessionNumber::new(session)];
    group.now = group.now.plus_ns(4 * SECOND_NS);
    group.note(session, 1, 1);
    group.now = group.now.plus_ns(4 * SECOND_NS);
    group.apply(Input::Expire(&expire));
    assert!(group.host.session(session).is_some());
    group.now = group.now.plus_ns(SECOND_NS);
    group.apply(Input::Expire(&expire));
    assert_eq!(group.note(session, 2, 1).0, Code::SessionExpired);
    assert_eq!(group.notes(), b"+n!");
}

#[test]
fn the_first_entry_of_a_term_refreshes_all() {
    let mut group = Group::new();
    let session = opened(&mut group);
    group.now = group.now.plus_ns(6 * SECOND_NS);
    group.term = Term::new(2);
    group.apply(Input::NoOp);
    group.rebuild();
    group.apply(Input::Expire(&[SessionNumber::new(session)]));
    assert!(group.host.session(session).is_some());
}

#[test]
fn a_leader_finds_the_silent_and_spares_the_heard() {
    let mut group = Group::new();
    let (silent, spared) = (opened(&mut group), group.open(2, 1).1.unwrap());
    let mut due = Vec::new();
    let mut heard = KeepAlives::new();
    group.now = group.now.plus_ns(5 * SECOND_NS);
    let refresh = Refresh::new(spared, SequenceNumber::new(1), 0);
    heard.on_keep_alive(&group.host, refresh, group.now);
    group.host.due_for_expiry(group.now, 10, &heard, &mut due);
    assert_eq!(due, [silent]);
    group.host.due_for_expiry(group.now, 10, &heard, &mut due);
    assert!(due.is_empty(), "it was reported just now");
    let later = group.now.plus_ns(2 * SECOND_NS);
    group.host.due_for_expiry(later, 10, &heard, &mut due);
    assert_eq!(due, [silent], "the entry that was to end it may be lost");
}

#[test]
fn one_refresh_entry_is_due_per_quarter_and_leaves_out_the_busy() {
    let mut group = Group::new();
    let (idle, busy) = (opened(&mut group), group.open(2, 1).1.unwrap());
    let mut heard = KeepAlives::new();
    group.now = group.now.plus_ns(SECOND_NS);
    for session in [idle, busy] {
        let refresh = Refresh::new(session, SequenceNumber::new(1), 0);
        heard.on_keep_alive(&group.host, refresh, group.now);
    }
    let mut refreshes = Vec::new();
    heard.take_due(
        &group.host,
        group.now.plus_ns(SECOND_NS),
        100,
        &mut refreshes,
    );
    assert!(refreshes.is_empty());
    group.now = group.now.plus_ns(SECOND_NS * 5 / 4);
    group.note(busy, 1, 1);
    heard.take_due(&group.host, group.now, 100, &mut refreshes);
    assert_eq!(
        refreshes.iter().map(Refresh::session).collect::<Vec<_>>(),
        [idle]
    );
    assert_eq!(heard.due_at(), None);
}

#[test]
fn a_command_without_a_session_is_answered_by_its_index() {
    let mut group = Group::new();
    let bare = CommandHeader::without_session(OperationId::new(1));
    let bare = payload(
        bare,
        &Note {
            byte: b'n',
            output_length: 1,
        },
    );
    assert_eq!(group.apply_payload(&bare), (Code::Output, vec![1, 1]));
    assert_eq!(group.apply_payload(&bare), (Code::Output, vec![1, 2]));
    let answer = group.answers.iter().next().unwrap();
    assert_eq!(answer.recipient, Recipient::WithoutSession);
    assert_eq!(answer.index, Index::new(2));
}

#[test]
fn what_no_machine_takes_is_refused_before_it_is_appended() {
    let group = Group::new();
    let session = SessionId::new(1);
    let unknown = payload(header(session, 1, 1, 77), &());
    assert_eq!(
        group.host.check_command(&unknown),
        Err(Refusal::UnknownOperation(OperationId::new(77)))
    );
    let mut long = note(session, 1, 1, b'n', 1);
    long.push(0);
    assert_eq!(
        group.host.check_command(&long),
        Err(Refusal::Undecodable(OperationId::new(1)))
    );
}

#[test]
fn a_panic_stops_the_host_with_index_operation_and_message() {
    let mut group = Group::new();
    let session = opened(&mut group);
    let panicking = payload(header(session, 1, 1, 2), &Panic);
    let command = Input::decode(COMMAND, &panicking).unwrap();
    let stopped = group.try_apply(command).unwrap_err();
    assert_eq!(stopped.index, Index::new(2));
    assert_eq!(stopped.operation, Some(OperationId::new(2)));
    assert_eq!(stopped.reason, StopReason::Panicked);
    assert_eq!(stopped.message, "asked to");
    assert_eq!(group.try_apply(Input::Tick), Err(stopped.clone()));
    assert_eq!(group.host.freeze().err(), Some(stopped));
}

#[test]
fn a_query_that_panics_has_no_answer_and_the_group_goes_on() {
    let mut group = Group::new();
    let mut out = vec![7];
    let answered = group.host.answer(OperationId::new(1), &[], None, &mut out);
    assert_eq!(
        answered,
        Err(QueryError::Panicked {
            message: "asked to".to_owned()
        })
    );
    assert_eq!(out, [7]);
    opened(&mut group);
}

#[test]
fn a_skipped_command_uses_up_its_number_and_is_not_executed() {
    let mut group = Group::new();
    let session = opened(&mut group);
    let panicking = payload(header(session, 1, 1, 2), &Panic);
    let command = Input::decode(COMMAND, &panicking).unwrap();
    let (now, term) = (group.now, group.term);
    group
        .host
        .apply_skipped(Index::new(2), now, term, command, &mut group.answers)
        .unwrap();
    group.rebuild();
    assert_eq!(group.apply_payload(&panicking).0, Code::Skipped);
    group.apply(Input::Skip(Index::new(2)));
    assert_eq!(group.note(session, 2, 1).0, Code::Output);
}

#[test]
fn a_skip_of_what_was_applied_already_stops_the_host() {
    let mut group = Group::new();
    let session = opened(&mut group);
    group.note(session, 1, 1);
    let stopped = group.try_apply(Input::Skip(Index::new(2))).unwrap_err();
    assert_eq!(stopped.reason, StopReason::SkipCameLate);
}

#[test]
fn damaged_checkpoints_are_refused_and_never_panic() {
    let mut group = Group::new();
    let session = opened(&mut group);
    for sequence in 1..20_u32 {
        group.apply_payload(&note(session, sequence.into(), 1, b'n', sequence * 3));
    }
    let mut bytes = Vec::new();
    group.host.freeze().unwrap().encode(&mut bytes);
    for length in 0..bytes.len() {
        let restored = Host::restore(&registry(), &bytes[..length]);
        assert_eq!(restored.err(), Some(HostError::Checkpoint));
    }
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x81;
        let _ = Host::restore(&registry(), &damaged);
    }
}

#[test]
fn equal_entries_make_equal_chains_and_other_entries_other_ones() {
    let run = |byte| {
        let mut group = Group::new();
        let session = opened(&mut group);
        group.apply_payload(&note(session, 1, 1, byte, 1));
        group.apply_payload(&note(session, 2, 1, byte, u32::from(byte == b'p') + 1));
        group.host.chain()
    };
    assert_eq!(run(b'n'), run(b'n'));
    assert_ne!(run(b'n'), run(b'p'));
}

#[test]
#[should_panic(expected = "log time goes back")]
fn log_time_never_goes_back() {
    let mut group = Group::new();
    group.now = LogTime::new(5);
    group.apply(Input::Tick);
    group.now = LogTime::new(4);
    group.apply(Input::Tick);
}

proptest! {
    /// Whatever a client and its leaders send, in whatever order and however often: a number is
    /// executed once, in its turn, and its output is the first one or said to be gone.
    #[test]
    fn any_schedule_of_commands_executes_each_number_once(
        steps in prop::collection::vec((1_u64..12, 0_u64..12, any::<bool>()), 1..80),
    ) {
        let mut group = Group::new();
        let session = opened(&mut group);
        let mut outputs: BTreeMap<u64, Answered> = BTreeMap::new();
        let (mut applied, mut below) = (0, 1);
        for (sequence, distance, rebuilds) in steps {
            let acknowledged = sequence.saturating_sub(distance).max(1);
            below = below.max(acknowledged.min(applied + 1));
            let answered = group.note(session, sequence, acknowledged);
            if sequence > applied + 1 {
                let next = (applied + 1).to_le_bytes().to_vec();
                prop_assert_eq!(answered, (Code::NotNext, next));
            } else if sequence == applied + 1 {
                prop_assert_eq!(answered.0, Code::Output);
                applied = sequence;
                outputs.insert(sequence, answered);
            } else if sequence < below {
                prop_assert_eq!(answered, (Code::OutputGone, vec![]));
            } else {
                prop_assert_eq!(&answered, &outputs[&sequence]);
            }
            if rebuilds {
                group.rebuild();
            }
        }
        let executed = u64::try_from(group.notes().len()).unwrap() - 1;
        prop_assert_eq!(executed, applied);
    }
}

/// Does a schedule notice a rule that is broken on purpose, in a process of its own?
#[cfg(feature = "mutants")]
#[test]
fn a_broken_rule_of_the_machine_turns_its_schedule_red() {
    use margay_types::mutant::{self, Guard, Mutant};
    let guards = [
        (
            Mutant::DuplicateExecuted,
            "a_duplicate_gets_the_first_output_and_is_not_executed",
        ),
        (
            Mutant::OutputsDroppedEarly,
            "a_duplicate_gets_the_first_output_and_is_not_executed",
        ),
        (
            Mutant::ExpiresAlthoughHeard,
            "expiry_takes_effect_only_when_the_session_was_not_heard_from",
        ),
        (
            Mutant::NewTermRefreshesNobody,
            "the_first_entry_of_a_term_refreshes_all",
        ),
    ];
    mutant::demand_noticed(guards.map(|(mutant, test)| Guard::of(mutant, test)));
}
