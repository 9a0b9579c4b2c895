//! What must be true of the group as a whole, checked at the moment at which it could break.
//!
//! The ledger sees every entry, send, role and commit of every replica and remembers them over all lives,
//! outside of anything that a crash can take:
//!
//! * **One leader per term**, elected by durable votes of a quorum of both halves.
//! * **One vote per term and replica**, over all lives; none within an election timeout of a live leader, not even
//!   for itself, unless that leader asked for it; none in the silence after a start.
//! * **Log matching**: a position names one entry, with one entry before it, in every log there ever was.
//! * **Commit**: by the leader, by an entry of its own term, with a quorum of *disks* that hold it; the same
//!   for all for ever; never truncated; held by every later leader; never decreasing within a life.
//! * **Promises**: no message of a term, vote or acknowledgement leaves before what it says is durable.
//! * **Reads**: never below what was committed when they were asked.
//! * **Order**: durable and commit never pass last; the core never claims more durable than is on disk.
//!
//! A breach is a panic that names the rule and the values; scripts and simulation both print it.

use crate::host::log::{At, Log, Record};
use crate::host::member::Member;
use crate::host::{Content, Envelope};
use margay_raft::configuration::{self, Configuration};
use margay_raft::message::AppendOutcome;
use margay_raft::{EntryKind, HardState, Message, Options, Position, ReadId, Role};
use margay_types::{Index, ReplicaNumber, Term};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// All members of a group by number.
pub(crate) type Members = BTreeMap<ReplicaNumber, Member>;

#[derive(PartialEq, Eq)]
struct Seen {
    kind: EntryKind,
    payload: Vec<u8>,
    previous: Position,
}

/// The memory of the group.
#[derive(Default)]
pub(crate) struct Ledger {
    leaders: BTreeMap<Term, (ReplicaNumber, u64)>,
    votes: BTreeMap<(Term, ReplicaNumber), ReplicaNumber>,
    transfers: BTreeSet<(Term, ReplicaNumber)>,
    entries: BTreeMap<Position, Seen>,
    /// Each with the term in which it was committed.
    committed: Vec<(Position, Term)>,
    stable: Index,
}

impl Ledger {
    /// Highest index that any leader ever committed.
    pub(crate) fn committed_index(&self) -> Index {
        self.committed
            .last()
            .map_or(Index::ZERO, |(position, _)| position.index)
    }

    /// The committed entry at an index.
    pub(crate) fn committed_position(&self, index: Index) -> Position {
        let place = usize::try_from(index.number()).expect("logs of tests are short");
        place
            .checked_sub(1)
            .and_then(|it| self.committed.get(it))
            .map_or(Position::ZERO, |(position, _)| *position)
    }

    /// Who led how many terms so far.
    pub(crate) fn term_count(&self) -> usize {
        self.leaders.len()
    }

    /// An entry was added to a log behind `previous`.
    pub(crate) fn on_entry(&mut self, record: &Record, previous: Position) {
        let seen = Seen {
            kind: record.kind,
            payload: record.payload.clone(),
            previous,
        };
        match self.entries.entry(record.position) {
            Entry::Vacant(place) => {
                place.insert(seen);
            }
            Entry::Occupied(known) => assert!(
                *known.get() == seen,
                "log matching: {} is two different entries, or stands behind {} and {}",
                At(record.position),
                At(known.get().previous),
                At(previous),
            ),
        }
    }

    /// Entries at and behind `from` are about to go.
    pub(crate) fn on_truncate(&self, member: &Member, from: Index) {
        assert!(
            from > member.commit_index,
            "n{} truncates from {from}, although {} is committed",
            member.number,
            member.commit_index
        );
        for record in member.log.range(from, member.log.last().index) {
            assert!(
                self.committed_position(record.position.index) != record.position,
                "n{} truncates the committed entry {}",
                member.number,
                At(record.position)
            );
        }
    }

    /// The core wants its hard state saved.
    pub(crate) fn on_hard_state(&mut self, member: &Member, it: HardState, options: Options) {
        let before = self.votes.get(&(it.term, member.number)).copied();
        assert!(
            before.is_none() || before == it.voted_for,
            "n{} votes for n{:?} in term {}, after n{before:?}",
            member.number,
            it.voted_for,
            it.term,
        );
        let saved = member.disk.hard_state();
        assert!(
            it.term >= saved.term,
            "n{} goes back to term {}",
            member.number,
            it.term
        );
        assert!(
            it.term > saved.term || saved.voted_for.is_none() || saved.voted_for == it.voted_for,
            "n{} forgets or changes its vote in term {}",
            member.number,
            it.term
        );
        let Some(candidate) = it.voted_for.filter(|candidate| before != Some(*candidate)) else {
            return;
        };
        let core = member.core();
        let alone = core.configuration().is_only_voter(member.number)
            && core.configuration_index() <= self.committed_index();
        if alone {
            return;
        }
        let timeout = u64::from(options.election_ticks_min.number());
        assert!(
            member.life == 1 || member.ticks >= timeout,
            "n{} votes {} ticks after its start",
            member.number,
            member.ticks
        );
        let asked_itself = candidate == member.number && member.asked_to_lead == Some(it.term);
        if asked_itself || self.transfers.contains(&(it.term, candidate)) {
            return;
        }
        assert!(
            member
                .leader_heard
                .is_none_or(|heard| member.ticks - heard >= timeout),
            "n{} votes for n{candidate} in term {} although it heard a leader at tick {:?} of {}",
            member.number,
            it.term,
            member.leader_heard,
            member.ticks
        );
    }

    /// A message leaves.
    pub(crate) fn on_send(&mut self, members: &Members, envelope: &Envelope) {
        let member = &members[&envelope.from];
        let saved = member.disk.hard_state();
        if let Some(term) = binding_term(&envelope.content) {
            assert!(
                saved.term >= term,
                "a message of term {term} leaves, but only term {} is durable: {envelope}",
                saved.term
            );
        }
        match &envelope.content {
            Content::Append { append, records } => {
                if append.term == member.core().term() {
                    self.check_stable(members, member, append.stable_index);
                }
                let end = records
                    .last()
                    .map_or(append.previous.index, |it| it.position.index);
                assert!(
                    end == append.last || append.may_shorten && end < append.last,
                    "the append names other entries than its records: {envelope}"
                );
            }
            Content::Message(Message::Heartbeat(it)) => {
                self.check_stable(members, member, it.stable_index);
            }
            Content::Message(Message::RequestVote(it)) if it.transfer => {
                self.transfers.insert((it.term, envelope.from));
            }
            Content::Message(Message::RequestVoteResponse(it)) if it.granted => {
                let durable = HardState {
                    term: it.term,
                    voted_for: Some(envelope.to),
                };
                assert_eq!(
                    saved, durable,
                    "a vote leaves before it is durable: {envelope}"
                );
                self.record_vote(it.term, envelope.from, envelope.to);
            }
            Content::Message(Message::AppendResponse(it)) => {
                if let AppendOutcome::Accepted { proven } = it.outcome {
                    check_proof(member, proven, envelope);
                }
            }
            Content::Message(_) => {}
        }
    }

    /// A core has reported that it leads now.
    pub(crate) fn on_leader(&mut self, members: &Members, number: ReplicaNumber) {
        let member = &members[&number];
        let term = member.core().term();
        let known = self.leaders.insert(term, (number, member.life));
        assert!(
            known.is_none() || known == Some((number, member.life)),
            "term {term} has two leaders: n{number} and {known:?}"
        );
        let durable = HardState {
            term,
            voted_for: Some(number),
        };
        let voters = member.core().configuration().clone();
        if configuration_counts(&voters, number) {
            assert_eq!(
                member.disk.hard_state(),
                durable,
                "n{number} leads term {term} before its own vote is durable"
            );
            self.record_vote(term, number, number);
        }
        let voted = |voter: ReplicaNumber| self.votes.get(&(term, voter)) == Some(&number);
        assert!(
            is_quorum(&voters, voted),
            "n{number} leads term {term} without a quorum of durable votes of {voters:?}"
        );
        // A candidate of an earlier term may win late, and commit nothing: what later terms committed is not its own.
        let earlier = self.committed.iter().filter(|(_, by)| *by < term);
        for (position, _) in earlier {
            assert!(
                holds(&member.log, *position),
                "leader completeness: n{number} leads term {term} without {}",
                At(*position)
            );
        }
    }

    /// A core has reported that everything up to `now` is committed.
    pub(crate) fn on_commit(&mut self, members: &Members, number: ReplicaNumber, now: Index) {
        let member = &members[&number];
        let before = member.commit_index;
        assert!(
            now > before,
            "n{number} reports commit {now} after {before}"
        );
        assert!(
            now <= member.log.last().index,
            "n{number} commits {now} behind its last entry"
        );
        if now > self.committed_index() {
            self.check_new_commit(members, member, now);
        }
        for index in before.number() + 1..=now.number() {
            let index = Index::new(index);
            let position = member
                .log
                .position(index)
                .expect("what is committed now is in the log");
            if index > self.committed_index() {
                self.committed.push((position, member.core().term()));
            }
            assert_eq!(
                self.committed_position(index),
                position,
                "n{number} commits another entry at {index} than was committed before"
            );
        }
    }

    /// A read got its index.
    pub(crate) fn on_read_ready(&self, member: &Member, read: ReadId, index: Index) {
        let asked = member.reads.get(&read);
        let asked = asked.expect("a read is answered once, in the life that asked it");
        assert!(
            index >= *asked,
            "n{} may serve read r{} at {index}, although {asked} was committed before it was asked",
            member.number,
            read.0
        );
    }

    /// What a replica shows between two inputs.
    pub(crate) fn inspect(&self, member: &Member) {
        let (core, number) = (member.core(), member.number);
        let (durable, last) = (core.durable_index(), core.last_index());
        assert_eq!(
            last,
            member.log.last().index,
            "n{number} misjudges its last entry"
        );
        assert_eq!(
            core.commit_index(),
            member.commit_index,
            "n{number} moved commit in silence"
        );
        assert!(
            durable <= last,
            "n{number} is durable up to {durable}, but ends at {last}"
        );
        assert!(
            core.commit_index() <= last,
            "n{number} committed behind its last entry {last}"
        );
        let on_disk = member.disk.log().last().term;
        assert!(
            on_disk <= member.disk.hard_state().term,
            "n{number} has an entry of term {on_disk} on disk, but not the term"
        );
        let claimed = member.log.position(durable).or(Some(member.log.floor()));
        assert!(
            durable <= member.disk.log().floor().index
                || member.disk.log().position(durable) == claimed,
            "n{number} claims {durable} durable, but the disk has {:?} there",
            member.disk.log().position(durable)
        );
        assert_eq!(
            core.configuration(),
            member.configuration(),
            "n{number} works with another configuration than its log says"
        );
    }

    fn record_vote(&mut self, term: Term, voter: ReplicaNumber, candidate: ReplicaNumber) {
        let known = *self.votes.entry((term, voter)).or_insert(candidate);
        assert_eq!(known, candidate, "n{voter} votes twice in term {term}");
    }

    fn check_new_commit(&self, members: &Members, member: &Member, now: Index) {
        let number = member.number;
        assert_eq!(
            member.role,
            Role::Leader,
            "n{number} commits {now} first, but does not lead"
        );
        let position = member
            .log
            .position(now)
            .expect("checked against the last entry");
        // As its log says at this moment: the core may have gone on to the next one in the same step.
        let (term, voters) = (member.core().term(), member.configuration());
        assert_eq!(
            position.term,
            term,
            "n{number} commits {} by counting copies, as leader of term {term}",
            At(position)
        );
        let is_durable = |voter| {
            members
                .get(&voter)
                .is_some_and(|it: &Member| holds(it.disk.log(), position))
        };
        assert!(
            is_quorum(voters, is_durable),
            "n{number} commits {} without a quorum of disks of {voters:?}",
            At(position)
        );
    }

    /// Checked when it rises, for those who were members then: who joins later is not waited for below.
    fn check_stable(&mut self, members: &Members, leader: &Member, stable: Index) {
        if stable <= self.stable {
            return;
        }
        self.stable = stable;
        let position = self.committed_position(stable);
        let then = leader.configurations_up_to(stable).pop();
        let was_member = |number| then.as_ref().is_some_and(|(_, it)| it.is_member(number));
        for waited in leader.core().configuration().members() {
            if !was_member(waited.number) {
                continue;
            }
            let is_durable = members.get(&waited.number).is_some_and(|it| {
                stable <= it.disk.log().floor().index || holds(it.disk.log(), position)
            });
            assert!(
                is_durable,
                "n{} calls {stable} stable, but n{} does not have it on disk",
                leader.number, waited.number
            );
        }
    }
}

/// The term whose durability a message presupposes; questions and answers about a term to come have none.
fn binding_term(content: &Content) -> Option<Term> {
    match content {
        Content::Append { append, .. } => Some(append.term),
        Content::Message(message) => match message {
            Message::PreVote(_) => None,
            Message::PreVoteResponse(it) => (!it.granted).then_some(it.term),
            Message::RequestVote(it) => Some(it.term),
            Message::RequestVoteResponse(it) => Some(it.term),
            Message::AppendResponse(it) => Some(it.term),
            Message::Heartbeat(it) => Some(it.term),
            Message::HeartbeatResponse(it) => Some(it.term),
            Message::TimeoutNow(it) => Some(it.term),
            Message::ReadIndex(it) => Some(it.term),
            Message::ReadIndexResponse(it) => Some(it.term),
        },
    }
}

fn check_proof(member: &Member, proven: Index, envelope: &Envelope) {
    let disk = member.disk.log();
    assert!(
        proven <= disk.floor().index
            || disk.position(proven).is_some()
                && disk.position(proven) == member.log.position(proven),
        "an acknowledgement leaves before its entries are durable (disk ends at {}): {envelope}",
        At(disk.last())
    );
}

fn holds(log: &Log, position: Position) -> bool {
    position.index <= log.floor().index || log.position(position.index) == Some(position)
}

fn configuration_counts(configuration: &Configuration, number: ReplicaNumber) -> bool {
    configuration.is_voter(number)
}

/// Counted here anew, on purpose: the core's own counting is under test.
fn is_quorum(configuration: &Configuration, is_true_of: impl Fn(ReplicaNumber) -> bool) -> bool {
    let majority = |half: &[configuration::Member]| {
        half.iter().filter(|it| is_true_of(it.number)).count() * 2 > half.len()
    };
    majority(&configuration.voters)
        && (!configuration.is_joint() || majority(&configuration.outgoing_voters))
}
