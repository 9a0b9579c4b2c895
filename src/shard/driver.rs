//! Executes what `raft` decided, in the one legal order: that in which the effects stand.
//!
//! Writes go into the log's open batch at once, in order; a `Send` may leave at once, because the core holds back what
//! promises something not yet durable. Appends leave before the own write returns (thesis 10.2.1).

use crate::limits::{APPEND_BYTES_MAX, GROUP_WINDOW_BYTES};
use crate::shard::Seams;
use crate::shard::cold::{ColdDone, LoadFor};
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::shard::members::Members;
use crate::shard::peers::Route;
use crate::storage::record::{self, RecordView};
use crate::storage::{Disk, Lent, Loaded, NewEntry};
use margay_raft::{AppendEntries, Effect, EntryKind, EntryView, Message, Proposed, WriteId};
use margay_types::{Index, ReplicaNumber};

impl Hosted {
    /// Lets the core count the ticks that passed since its last input. It comes before every other input, so that the
    /// core does as if it had been told of each.
    pub(crate) fn catch_up<S: Seams>(&mut self, means: &mut Means<S>) {
        let tick = means.alarms.tick();
        let behind = tick - self.counted_tick;
        if behind == 0 {
            return;
        }
        self.counted_tick = tick;
        let mut effects = std::mem::take(&mut means.effects);
        let behind = u32::try_from(behind).expect("alarms ring long before");
        self.replica.advance(behind, &mut effects);
        if effects.is_empty() {
            // Nothing was due: the alarm stands where it must.
            means.effects = effects;
        } else {
            self.execute_and_see(means, effects, &[]);
        }
    }

    /// The tick has come for which the alarm was set.
    pub(crate) fn on_alarm<S: Seams>(&mut self, means: &mut Means<S>) {
        if self.alarm_tick != means.alarms.tick() {
            // It was set anew meanwhile.
            return;
        }
        self.alarm_tick = u64::MAX;
        self.catch_up(means);
        if means.alarms.is_beat() {
            let mut effects = std::mem::take(&mut means.effects);
            self.replica.beat(&mut effects);
            self.execute_and_see(means, effects, &[]);
        }
        self.set_alarm(means);
    }

    /// Sees to it that the alarm rings when the core is due. Events that put that off leave the alarm: it rings early.
    pub(crate) fn set_alarm<S: Seams>(&mut self, means: &mut Means<S>) {
        let mut due = self.counted_tick + u64::from(self.replica.ticks_until_due());
        if self.replica.is_leader() {
            due = due.min(means.alarms.next_beat());
        }
        if due < self.alarm_tick {
            self.alarm_tick = means.alarms.set(self.group(), due);
        }
    }

    /// That member's process was restarted.
    pub(crate) fn on_new_life<S: Seams>(&mut self, means: &mut Means<S>, member: ReplicaNumber) {
        self.catch_up(means);
        self.replica.on_new_life(member);
        if self.home() == Some(member) {
            self.stay.restart(means.alarms.tick());
        }
        self.touch(means);
    }

    /// A message of another member.
    pub(crate) fn on_message<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        from: ReplicaNumber,
        message: Message,
    ) {
        self.catch_up(means);
        let wants_checkpoint =
            matches!(&message, Message::HeartbeatResponse(answer) if answer.wants_checkpoint);
        let mut effects = std::mem::take(&mut means.effects);
        self.replica.step(from, message, &mut effects);
        self.execute_and_see(means, effects, &[]);
        if wants_checkpoint && let Some(reign) = &mut self.reign {
            reign.asked_for_checkpoint = true;
            means.upkeep.add(self.group());
        }
    }

    /// Entries of the leader; `records` were checked, one by one. Without room for them the core takes none: this
    /// replica counts as lagging until there is room.
    pub(crate) fn on_append<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        from: ReplicaNumber,
        append: &AppendEntries,
        records: &[RecordView<'_>],
    ) {
        let entries: Vec<EntryView<'_>> = records.iter().filter_map(RecordView::entry).collect();
        if entries.len() != records.len() {
            return;
        }
        self.catch_up(means);
        let mut effects = std::mem::take(&mut means.effects);
        if means.has_room_for_append(records) {
            self.replica.on_append(from, append, &entries, &mut effects);
        } else {
            self.replica
                .on_append_without_room(from, append, &entries, &mut effects);
        }
        self.execute_and_see(means, effects, records);
    }

    /// Everything that this group wrote up to `write` is durable.
    pub(crate) fn on_written<S: Seams>(&mut self, means: &mut Means<S>, write: WriteId) {
        self.catch_up(means);
        let mut effects = std::mem::take(&mut means.effects);
        self.replica.on_written(write, &mut effects);
        self.execute_and_see(means, effects, &[]);
    }

    /// The turn ends: sends what its events made possible.
    pub(crate) fn flush<S: Seams>(&mut self, means: &mut Means<S>) {
        self.catch_up(means);
        let mut effects = std::mem::take(&mut means.effects);
        self.replica.flush(&mut effects);
        self.execute(means, effects, &[]);
        self.set_alarm(means);
    }

    /// Executes the effects of an input, and sees to it that the end of the turn goes on with what they left.
    fn execute_and_see<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        effects: Vec<Effect>,
        received: &[RecordView<'_>],
    ) {
        let sends = self.enter_agenda(means, &effects);
        self.execute(means, effects, received);
        if !sends {
            self.set_alarm(means);
        }
    }

    /// Executes effects one after another; `received` lends the records of the append being stepped. Whoever calls it
    /// touches the group, because the alarm is set by `flush`, at the end of the turn.
    pub(crate) fn execute<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        mut effects: Vec<Effect>,
        received: &[RecordView<'_>],
    ) {
        let is_role = |effect: &Effect| matches!(effect, Effect::RoleChanged { .. });
        let is_change = |effect: &Effect| matches!(effect, Effect::ConfigurationChanged { .. });
        if effects.iter().any(is_role) {
            self.follow_role(means);
        }
        if effects.iter().any(is_change) {
            self.members = Members::of(self.replica.configuration());
        }
        for effect in effects.drain(..) {
            self.execute_one(means, effect, received);
        }
        means.effects = effects;
    }

    fn execute_one<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        effect: Effect,
        received: &[RecordView<'_>],
    ) {
        let group = self.group();
        match effect {
            Effect::SaveHardState { write, hard_state } => {
                let written = means.log.save_hard_state(group, hard_state, write);
                means.note(written);
            }
            Effect::Truncate { write, from } => {
                let written = means.log.truncate(group, from, write);
                means.note(written);
                self.stored_last = self.stored_last.min(from.previous());
            }
            Effect::Store { write, first, last } => {
                self.store_received(means, write, (first, last), received);
            }
            Effect::StoreOwn {
                write,
                position,
                kind,
                payload,
            } => {
                self.store(means, Proposed { position, write }, kind, &[&payload]);
            }
            Effect::Send { to, message } => {
                if let Some(node) = self.node_of(to) {
                    means.peers.send(node, self.envelope(to), &message);
                }
            }
            Effect::SendAppend { to, append } => self.send_append(means, to, append),
            Effect::ReadReady { read, index } => self.reads.on_ready(read, index),
            Effect::ReadRefused { read, .. } => self.on_read_refused(means, read),
            Effect::Commit { .. }
            | Effect::RoleChanged { .. }
            | Effect::ConfigurationChanged { .. } => {}
        }
    }

    /// Gives one entry of this leader's to the log.
    pub(crate) fn store<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        proposed: Proposed,
        kind: EntryKind,
        payload: &[&[u8]],
    ) {
        let Proposed { position, write } = proposed;
        assert!(
            position.index == self.stored_last.next(),
            "entry {} follows {} in the log",
            position.index,
            self.stored_last
        );
        let log_time = self.stamp(means.observed);
        let entry = NewEntry {
            group: self.group(),
            position,
            kind,
            log_time,
            payload,
        };
        let written = means.log.append_entry(&entry, write);
        means.note(written);
        self.stored_last = position.index;
        let payload_bytes = payload.iter().map(|piece| piece.len()).sum();
        self.bytes_since_checkpoint += record::record_bytes(payload_bytes) as u64;
    }

    fn store_received<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        write: WriteId,
        (first, last): (Index, Index),
        received: &[RecordView<'_>],
    ) {
        for record in received {
            if record.index() < first || record.index() > last {
                continue;
            }
            let written = means.log.append_received(record, write);
            means.note(written);
            self.stored_last = record.index();
            self.bytes_since_checkpoint += record.bytes().len() as u64;
            if let Some(log_time) = record.log_time() {
                self.log_time_max = self.log_time_max.max(log_time);
            }
        }
        assert!(
            self.stored_last == last,
            "stored up to {}, not {last}",
            self.stored_last
        );
    }

    /// Sends entries out of the batches in memory; what is there no more is read from disk first.
    fn send_append<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: ReplicaNumber,
        append: AppendEntries,
    ) {
        let Some(node) = self.node_of(to) else { return };
        if !means.can_append(node, self.group()) {
            return;
        }
        let route = Route {
            node,
            envelope: self.envelope(to),
        };
        let first = append.previous.index.next();
        if append.last < first {
            means.peers.append(route, &append, &[], &mut means.outbox);
            return;
        }
        let bytes_max = if append.may_shorten {
            APPEND_BYTES_MAX
        } else {
            GROUP_WINDOW_BYTES
        };
        match means
            .log
            .entries(self.group(), first, append.last, bytes_max)
        {
            Lent::Memory(lent) => {
                let append = AppendEntries {
                    last: lent.last,
                    ..append
                };
                means
                    .peers
                    .append(route, &append, &lent.pieces, &mut means.outbox);
            }
            Lent::OnDisk => self.load_append(means, to, append),
            Lent::Absent => unreachable!("entry {first} is sent, although it was released"),
        }
    }

    fn load_append<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: ReplicaNumber,
        append: AppendEntries,
    ) {
        if !means.loads.try_begin_for_follower() {
            return;
        }
        let first = append.previous.index.next();
        let load = means
            .log
            .load(self.group(), first, append.last, APPEND_BYTES_MAX);
        let (group, inbox) = (self.group(), means.cold.clone());
        means.log.disk().spawn(Box::pin(async move {
            let result = load.await;
            inbox.push(ColdDone::Loaded {
                group,
                purpose: LoadFor::Append { to, append },
                result,
            });
        }));
    }

    /// Entries for a follower came from disk. They are sent if this replica still leads in that term: then its log
    /// still holds them.
    pub(crate) fn on_append_loaded<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: ReplicaNumber,
        append: AppendEntries,
        loaded: &Loaded,
    ) {
        let (append, records) = (
            AppendEntries {
                last: loaded.last,
                ..append
            },
            &loaded.bytes,
        );
        if !self.replica.is_leader() || self.replica.term() != append.term {
            return;
        }
        let Some(node) = self.node_of(to) else { return };
        if !means.can_append(node, self.group()) {
            return;
        }
        let route = Route {
            node,
            envelope: self.envelope(to),
        };
        means
            .peers
            .append_bytes(route, &append, records, &mut means.outbox);
    }
}
