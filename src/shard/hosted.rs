//! One replica of this shard with its machine: what `raft` decides and `machine` computes, side by side.
//!
//! ```text
//!   Hosted ── replica   log positions, votes, who leads          (raft)
//!          ├─ host      state, sessions, effect chain            (machine)
//!          ├─ reign     only while leading
//!          ├─ reads     questions that wait for an index
//!          └─ stored    how far this group's records went into the log
//! ```
//!
//! Its behaviour is in files by topic: `driver` (effects), `applying`, `proposals`, `sessions`, `queries`,
//! `checkpoints`.

use crate::limits::TRANSFER_SILENCE_TICKS;
use crate::shard::Seams;
use crate::shard::agenda::OnAgenda;
use crate::shard::birth::Description;
use crate::shard::checkpoints::Checkpoints;
use crate::shard::homing::Stay;
use crate::shard::log_clock::Observed;
use crate::shard::means::Means;
use crate::shard::members::Members;
use crate::shard::queries::Reads;
use crate::shard::reign::Reign;
use crate::shard::sequencing::Sequencing;
use crate::shard::upkeep;
use crate::shard::waiters::Requester;
use crate::storage::payload::Created;
use crate::storage::{Lent, StorageError, record};
use margay_machine::{CommandView, Host, StopReason, Stopped};
use margay_raft::{Configuration, EntryKind, MemberProgress, Replica};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{
    GroupId, Index, LogTime, NodeId, ProcessLife, ReplicaNumber, SequenceNumber, SessionId,
};
use margay_wire::client::ResponseHead;
use margay_wire::peer::Envelope;
use margay_wire::refusal::Refusal;
use std::collections::BTreeMap;

/// What a group was born as; never changes.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The group.
    pub(crate) group: GroupId,
    /// What its birth's record says.
    pub(crate) created: Created,
    /// And the part of that which only the shard reads.
    pub(crate) description: Description,
}

/// Is a read of committed entries from disk under way?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loading {
    /// No: what is applied comes from memory, or there is nothing to apply.
    No,
    /// Yes, or it waits for its turn: applying goes on when it is there.
    UnderWay,
}

/// One replica with its machine.
///
/// Laid out as it stands here: what every heartbeat needs lies together in front.
#[repr(C)]
pub(crate) struct Hosted {
    group: GroupId,
    pub(crate) on_agenda: OnAgenda,
    pub(crate) loading: Loading,
    /// The tick up to which the core has counted.
    pub(crate) counted_tick: u64,
    /// The tick at which the shard looks at the core's time again.
    pub(crate) alarm_tick: u64,
    /// Where the members live, by the configuration in force.
    pub(crate) members: Members,
    pub(crate) replica: Replica,
    pub(crate) host: Host,
    /// Why the machine applies no more.
    pub(crate) stopped: Option<Stopped>,
    pub(crate) reign: Option<Reign>,
    pub(crate) reads: Reads,
    pub(crate) checkpoints: Checkpoints,
    /// The last entry whose record was given to the log.
    pub(crate) stored_last: Index,
    /// No entry of this log has a later log time.
    pub(crate) log_time_max: LogTime,
    /// The members by the entries that are applied: what a checkpoint taken now says.
    pub(crate) applied_configuration: (Index, Configuration),
    /// Bytes of records given to the log since the last checkpoint.
    pub(crate) bytes_since_checkpoint: u64,
    /// How long this replica has led away from the group's home.
    pub(crate) stay: Stay,
    /// When the sessions must be looked at, in observed time.
    pub(crate) upkeep_ns: u64,
    /// The last process life seen of each node with a member: another one means that it was restarted.
    pub(crate) peer_lives: BTreeMap<NodeId, ProcessLife>,
    pub(crate) identity: Identity,
}

impl Hosted {
    /// A replica and its machine as recovery, or birth, made them.
    pub(crate) fn new(
        identity: Identity,
        replica: Replica,
        host: Host,
        applied_configuration: (Index, Configuration),
        log_time_max: LogTime,
    ) -> Self {
        let stored_last = replica.last_index();
        let members = Members::of(replica.configuration());
        let log_time_max = log_time_max.max(host.log_time());
        Self {
            group: identity.group,
            identity,
            replica,
            host,
            stopped: None,
            reign: None,
            reads: Reads::default(),
            checkpoints: Checkpoints::default(),
            loading: Loading::No,
            stored_last,
            log_time_max,
            applied_configuration,
            bytes_since_checkpoint: 0,
            peer_lives: BTreeMap::new(),
            members,
            stay: Stay::default(),
            counted_tick: 0,
            alarm_tick: u64::MAX,
            upkeep_ns: upkeep::NEVER,
            on_agenda: OnAgenda::default(),
        }
    }

    /// The group.
    pub(crate) fn group(&self) -> GroupId {
        self.group
    }

    /// Counts forced recoveries of the group: with its id, its incarnation.
    pub(crate) fn recovery_number(&self) -> u32 {
        self.identity.created.recovery_number
    }

    /// From this replica to another of its group.
    pub(crate) fn envelope(&self, to: ReplicaNumber) -> Envelope {
        Envelope {
            group: self.group(),
            from: self.replica.number(),
            to,
        }
    }

    /// The node that holds a member, by the configurations that this replica knows.
    pub(crate) fn node_of(&self, number: ReplicaNumber) -> Option<NodeId> {
        let node = self.members.node_of(number);
        debug_assert_eq!(node, self.replica.configuration().node_of(number));
        node
    }

    /// The node that leads, as far as it is known.
    pub(crate) fn leader_node(&self) -> Option<NodeId> {
        self.replica
            .leader()
            .and_then(|leader| self.node_of(leader))
    }

    /// Is this from a member, on the node that holds it, to this very replica? A replica that was told of no members
    /// yet believes whoever names it.
    pub(crate) fn accepts(&self, envelope: &Envelope, node: NodeId) -> bool {
        envelope.to == self.replica.number()
            && self
                .node_of(envelope.from)
                .is_none_or(|known| known == node)
    }

    /// Committed entries cannot be read back: this machine applies no more, and the group is named in `status`.
    pub(crate) fn on_unreadable<S: Seams>(&mut self, means: &mut Means<S>, error: &StorageError) {
        let stopped = Stopped {
            index: self.host.applied_index().next(),
            operation: None,
            reason: StopReason::Unfit,
            message: error.to_string(),
        };
        self.loading = Loading::No;
        self.on_stopped(means, stopped);
        self.touch(means);
    }

    /// What every answer of this group begins with.
    pub(crate) fn head(&self) -> ResponseHead {
        ResponseHead {
            term: self.replica.term(),
            index: self.host.applied_index(),
            events: 0,
        }
    }

    /// Why this replica cannot do what only a leader may.
    pub(crate) fn not_leader(&self) -> Refusal {
        Refusal::NotLeader {
            leader: self.leader_node(),
            term: self.replica.term(),
        }
    }

    /// Brings the reign in line with the role: it begins before the first effect of a term is executed, because
    /// entries are stamped by it, and ends as soon as this replica leads no longer.
    pub(crate) fn follow_role<S: Seams>(&mut self, means: &mut Means<S>) {
        let led = self.replica.is_leader().then(|| self.replica.term());
        if self.reign.as_ref().map(|reign| reign.term) == led {
            return;
        }
        if let Some(mut ended) = self.reign.take() {
            let refusal = Refusal::LeadershipLost {
                leader: self.leader_node(),
                term: self.replica.term(),
            };
            for requester in ended.waiters.take_all() {
                means.refuse(requester, self.head(), &refusal);
            }
        }
        if let Some(term) = led {
            self.stay.begin(means.alarms.tick(), means.homing_ticks);
            let sequencing = self.sequencing_of_tail(means);
            self.reign = Some(Reign::new(
                term,
                self.log_time_max,
                means.observed,
                sequencing,
            ));
        }
    }

    /// Counts the commands in the unapplied part of this replica's own log.
    fn sequencing_of_tail<S: Seams>(&self, means: &Means<S>) -> Sequencing {
        let (applied, last) = (self.host.applied_index(), self.stored_last);
        #[cfg(feature = "mutants")]
        let applied = if mutant::is(Mutant::NextFromTableAlone) {
            last
        } else {
            applied
        };
        if applied >= last {
            return Sequencing::from_tail(std::iter::empty());
        }
        let Lent::Memory(lent) = means
            .log
            .entries(self.group(), applied.next(), last, usize::MAX)
        else {
            return Sequencing::waiting(last);
        };
        if lent.last < last {
            return Sequencing::waiting(last);
        }
        let mut commands: Vec<(SessionId, SequenceNumber)> = Vec::new();
        for piece in &lent.pieces {
            for entry in record::lent_records(piece) {
                let Some(view) = entry.entry() else { continue };
                if view.kind != EntryKind::CommandPlain {
                    continue;
                }
                if let Ok(command) = CommandView::decode(view.payload)
                    && let Some(session) = command.session
                {
                    commands.push((session, command.sequence));
                }
            }
        }
        Sequencing::from_tail(commands.into_iter())
    }

    /// The log time that an entry of this turn carries.
    ///
    /// # Panics
    /// When this replica does not lead.
    pub(crate) fn stamp(&mut self, observed: Observed) -> LogTime {
        let reign = self.reign.as_ref().expect("only a leader stamps entries");
        let stamped = reign.clock.now(observed);
        assert!(
            stamped >= self.log_time_max,
            "log time goes back from {} to {stamped}",
            self.log_time_max
        );
        self.log_time_max = stamped;
        stamped
    }

    /// May this leader say what is *not* there (no such session, no such output)? Only with an entry of its own term
    /// applied: before, an entry of an earlier term may still say otherwise.
    pub(crate) fn has_applied_own_term(&self) -> bool {
        self.reign
            .as_ref()
            .is_some_and(|reign| self.host.term() == reign.term)
    }

    /// A machine that applies no more must not keep a group from going on: leadership goes to a replica whose machine
    /// still does. If there is none, this one leads on, so that an operator can have the entry skipped.
    pub(crate) fn hand_over_if_stopped<S: Seams>(&mut self, means: &mut Means<S>) {
        if self.stopped.is_some() {
            self.hand_over(means, |member| member.applies);
        }
    }

    /// Is there something that the shard must see to now and then?
    pub(crate) fn wants_a_look(&self) -> bool {
        let leads = self.reign.is_some();
        !self.reads.is_empty()
            || self.is_writing_checkpoint()
            || self.holds_covered_entries()
            || self.replica.wants_checkpoint()
            || (leads && (self.stopped.is_some() || self.wants_checkpoint(false)))
    }

    /// Sees to what needs no event to be due. `holds_room`: entries of this group keep the log from freeing a segment.
    pub(crate) fn look_after<S: Seams>(&mut self, means: &mut Means<S>, holds_room: bool) {
        self.catch_up(means);
        self.reads.expire(self.head(), means);
        self.hand_over_if_stopped(means);
        self.release_entries(means);
        self.go_on_with_checkpoint(means);
        if holds_room {
            self.checkpoint_by_itself(means);
        }
        let reign = self.reign.as_mut();
        let is_asked = reign.is_some_and(|reign| std::mem::take(&mut reign.asked_for_checkpoint));
        if self.wants_checkpoint(holds_room || is_asked) {
            self.propose_checkpoint(means);
        }
        self.ask_for_checkpoint(holds_room);
    }

    /// Gives leadership to the voter that has most of the log among those that were heard from and are `fit`, if this
    /// replica leads and there is one.
    pub(crate) fn hand_over<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        is_fit: impl Fn(&MemberProgress) -> bool,
    ) {
        self.catch_up(means);
        if self.replica.is_transferring() {
            return;
        }
        let configuration = self.replica.configuration();
        let best = self
            .replica
            .progress()
            .filter(|member| configuration.is_voter(member.number))
            .filter(|member| member.number != self.replica.number())
            .filter(|member| member.silent.number() < TRANSFER_SILENCE_TICKS && is_fit(member))
            .max_by_key(|member| member.match_index);
        let Some(to) = best.map(|member| member.number) else {
            return;
        };
        let mut effects = std::mem::take(&mut means.effects);
        // A transfer under way already, or lost leadership, is as good.
        let _ = self.replica.transfer(to, &mut effects);
        self.execute(means, effects, &[]);
        self.touch(means);
    }

    /// Refuses because this replica cannot answer yet.
    pub(crate) fn refuse_not_ready<S: Seams>(&self, means: &mut Means<S>, to: Requester) {
        let refusal = Refusal::NotReady {
            retry_after_ms: crate::limits::NOT_READY_RETRY_MS,
        };
        means.refuse(to, self.head(), &refusal);
    }
}
