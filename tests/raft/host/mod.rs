//! A group of cores with logs and disks in memory: executes effects as a shard would, and tells the ledger.
//!
//! ```text
//!    script or simulation ──> Cluster ──> core of n1, n2, ...
//!             ^                  │ effects, one after another
//!             │                  ├──> disk and log of that member
//!             ├──── outbox <─────┤
//!             └──── events <─────┤
//!                                └──> ledger (checks)
//! ```
//!
//! Deliberately absent: the network and the time at which a write comes back. Whoever drives the cluster
//! takes the outbox and calls [`Cluster::return_write`].

pub(crate) mod disk;
pub(crate) mod envelope;
pub(crate) mod event;
pub(crate) mod log;
pub(crate) mod member;
mod twin;

pub(crate) use envelope::{Content, Envelope};
pub(crate) use event::Event;

use crate::ledger::{Ledger, Members};
use disk::Change;
use log::Record;
use margay_raft::configuration::{self, Configuration};
use margay_raft::{
    AppendEntries, ChangeError, Effect, EntryKind, EntryView, HardState, Message, Options,
    Position, ProposeError, ReadId, Replica, Role, Target, TransferError, WriteId,
};
use margay_types::{Index, NodeId, ReplicaNumber, Term};
use member::Member;

/// What goes into a core at once, with the entries that an append lends.
struct Input<'a> {
    number: ReplicaNumber,
    lent: &'a [Record],
}

/// Everything but the network and the clock.
pub(crate) struct Cluster {
    pub(crate) members: Members,
    pub(crate) ledger: Ledger,
    /// Messages that left and that nobody has taken yet.
    pub(crate) outbox: Vec<Envelope>,
    /// What happened, for a trace.
    pub(crate) events: Vec<(ReplicaNumber, Event)>,
    options: Options,
    seed: u64,
    created: Configuration,
    next_read: u64,
}

/// The members by these numbers, each on the node of the same number.
pub(crate) fn members(numbers: &[u16]) -> Vec<configuration::Member> {
    let member = |number: &u16| configuration::Member {
        number: ReplicaNumber::new(*number),
        node: NodeId::new(*number),
    };
    numbers.iter().map(member).collect()
}

impl Cluster {
    /// A group that was created with these members; none of them runs yet.
    pub(crate) fn new(options: Options, seed: u64, created: Configuration) -> Self {
        let mut cluster = Self {
            members: Members::new(),
            ledger: Ledger::default(),
            outbox: Vec::new(),
            events: Vec::new(),
            options,
            seed,
            created,
            next_read: 1,
        };
        let first: Vec<_> = cluster
            .created
            .members()
            .map(|member| member.number)
            .collect();
        for number in first {
            cluster
                .members
                .insert(number, Member::new(number, cluster.created.clone()));
        }
        cluster
    }

    /// A replica with an empty disk that no configuration names yet. It starts without knowing any member.
    pub(crate) fn add(&mut self, number: ReplicaNumber) {
        let known = self
            .members
            .insert(number, Member::new(number, Configuration::default()));
        assert!(
            known.is_none(),
            "n{number} exists; a number is never given twice"
        );
        self.start(number);
    }

    /// A process starts, the first time or again.
    pub(crate) fn start(&mut self, number: ReplicaNumber) {
        let (options, seed) = (self.options, self.seed);
        self.member_mut(number).start(options, seed);
        self.inspect(number);
    }

    pub(crate) fn crash(&mut self, number: ReplicaNumber, kept: usize) {
        self.member_mut(number).crash(kept);
    }

    pub(crate) fn is_up(&self, number: ReplicaNumber) -> bool {
        self.members
            .get(&number)
            .is_some_and(|member| member.replica.is_some())
    }

    pub(crate) fn core(&self, number: ReplicaNumber) -> &Replica {
        self.members[&number].core()
    }

    pub(crate) fn role(&self, number: ReplicaNumber) -> Option<Role> {
        self.members
            .get(&number)
            .and_then(|it| it.replica.as_ref())
            .map(Replica::role)
    }

    /// Both ends meet on a new connection, if one of them has begun a life that the other has not met.
    pub(crate) fn connect(&mut self, one: ReplicaNumber, other: ReplicaNumber) -> bool {
        let is_new = self.meet(one, other);
        self.meet(other, one) || is_new
    }

    pub(crate) fn tick(&mut self, number: ReplicaNumber) {
        let member = self.member_mut(number);
        member.ticks += 1;
        let (core, twin) = member.cores_mut();
        let mut effects = Vec::new();
        core.tick(&mut effects);
        let had_to_flush = core.has_to_flush();
        core.flush(&mut effects);
        twin.on_tick(core, had_to_flush, &effects);
        self.execute_all(number, &[], effects);
    }

    /// Says whether the message belonged to a connection that still stands; others vanish.
    pub(crate) fn deliver(&mut self, envelope: Envelope) -> bool {
        if !self.is_up(envelope.to) {
            return false;
        }
        let receiver = &self.members[&envelope.to];
        let met = receiver.lives.get(&envelope.from).copied();
        if receiver.life != envelope.to_life || met != Some(envelope.from_life) {
            return false;
        }
        let (from, to) = (envelope.from, envelope.to);
        match envelope.content {
            Content::Message(message) => {
                if let Message::Heartbeat(heartbeat) = message {
                    self.hear(to, heartbeat.term);
                }
                if let Message::TimeoutNow(asked) = message {
                    self.member_mut(to).asked_to_lead = Some(asked.term.next());
                }
                self.input(to, &[], |core, effects| core.step(from, message, effects));
            }
            Content::Append { append, records } => {
                self.hear(to, append.term);
                let views: Vec<EntryView<'_>> = records.iter().map(Record::view).collect();
                let has_room = self.members[&to].has_room;
                self.input(to, &records, |core, effects| match has_room {
                    true => core.on_append(from, &append, &views, effects),
                    false => core.on_append_without_room(from, &append, &views, effects),
                });
            }
        }
        true
    }

    /// Proposes a command at a replica that believes to lead.
    pub(crate) fn propose(
        &mut self,
        number: ReplicaNumber,
        payload: &[u8],
    ) -> Result<Position, ProposeError> {
        let kind = EntryKind::CommandPlain;
        let mut record = Record {
            position: Position::ZERO,
            kind,
            payload: payload.to_vec(),
        };
        let size_bytes = record.size_bytes();
        let proposed = self
            .give(number, |core, _| core.propose(kind, size_bytes))
            .0?;
        record.position = proposed.position;
        self.append(number, proposed.write, vec![record]);
        self.input(number, &[], |_, _| ());
        Ok(proposed.position)
    }

    /// Asks for a read index; the answer is an event.
    pub(crate) fn read(&mut self, number: ReplicaNumber) -> ReadId {
        let read = ReadId(self.next_read);
        self.next_read += 1;
        let committed = self.ledger.committed_index();
        self.member_mut(number).reads.insert(read, committed);
        self.input(number, &[], |core, effects| core.read(read, effects));
        read
    }

    /// Asks a leader to hand over.
    pub(crate) fn transfer(
        &mut self,
        number: ReplicaNumber,
        to: ReplicaNumber,
    ) -> Result<(), TransferError> {
        self.input(number, &[], |core, effects| core.transfer(to, effects))
    }

    /// Asks a leader for other members, given the configuration that the asker has seen.
    pub(crate) fn change(
        &mut self,
        number: ReplicaNumber,
        expected: Index,
        target: Target,
    ) -> Result<(), ChangeError> {
        let answer = self.input(number, &[], |core, effects| {
            core.change_members(expected, target.clone(), effects)
        });
        answer.map(|_| ())
    }

    /// Forgets the log up to `index`: a checkpoint covers it.
    pub(crate) fn reclaim(&mut self, number: ReplicaNumber, index: Index) {
        let member = self.member_mut(number);
        member.reclaim(index);
        let floor = member.log.floor();
        self.input(number, &[], |core, _| core.on_log_floor(floor));
    }

    /// Refills a replica from a checkpoint of `source` at its log floor. What the log holds behind the checkpoint stays
    /// if the two agree there; otherwise nothing of it can be committed, and all goes (thesis 5).
    pub(crate) fn refill(&mut self, number: ReplicaNumber, source: ReplicaNumber) {
        let source = &self.members[&source];
        let floor = source.log.floor();
        let configurations = source.configurations_up_to(floor.index);
        let member = self.member_mut(number);
        member.crash(0);
        member.install(floor, configurations);
        self.start(number);
    }

    /// The write at this place of the disk's queue comes back; the core hears of the durable prefix.
    pub(crate) fn return_write(&mut self, number: ReplicaNumber, place: usize) {
        let member = self.member_mut(number);
        let (saved, durable) = (member.disk.hard_state(), member.disk.log().last());
        member.disk.return_write(place);
        let Some(write) = member.disk.settle() else {
            return;
        };
        let (saved_now, durable_now) = (member.disk.hard_state(), member.disk.log().last());
        if saved_now != saved {
            self.events.push((number, Event::Saved(saved_now)));
        }
        if durable_now != durable {
            self.events
                .push((number, Event::Durable(durable_now.index)));
        }
        self.input(number, &[], |core, effects| core.on_written(write, effects));
    }

    pub(crate) fn pending_writes(&self, number: ReplicaNumber) -> usize {
        self.members
            .get(&number)
            .map_or(0, |member| member.disk.pending_count())
    }

    fn meet(&mut self, number: ReplicaNumber, other: ReplicaNumber) -> bool {
        let life = self.members[&other].life;
        let member = self.member_mut(number);
        let known = member.lives.insert(other, life);
        let is_new = known.is_some_and(|known| known != life);
        if is_new {
            self.give(number, |core, _| core.on_new_life(other));
        }
        known != Some(life)
    }

    /// Remembers when a replica last heard a leader of its term, for the rule of stickiness.
    fn hear(&mut self, number: ReplicaNumber, term: Term) {
        let member = self.member_mut(number);
        if member.core().term() <= term {
            member.leader_heard = Some(member.ticks);
        }
    }

    fn input<Answer>(
        &mut self,
        number: ReplicaNumber,
        lent: &[Record],
        give: impl Fn(&mut Replica, &mut Vec<Effect>) -> Answer,
    ) -> Answer {
        let (answer, effects) = self.give(number, |core, effects| {
            let answer = give(core, effects);
            core.flush(effects);
            answer
        });
        self.execute_all(number, lent, effects);
        answer
    }

    /// Gives an input to a core and to its twin.
    fn give<Answer>(
        &mut self,
        number: ReplicaNumber,
        give: impl Fn(&mut Replica, &mut Vec<Effect>) -> Answer,
    ) -> (Answer, Vec<Effect>) {
        let (core, twin) = self.member_mut(number).cores_mut();
        let mut effects = Vec::new();
        let answer = give(core, &mut effects);
        let again = |core: &mut Replica, effects: &mut Vec<Effect>| drop(give(core, effects));
        twin.on_input(core, again, &effects);
        (answer, effects)
    }

    fn execute_all(&mut self, number: ReplicaNumber, lent: &[Record], effects: Vec<Effect>) {
        for effect in effects {
            self.execute(&Input { number, lent }, effect);
        }
        self.inspect(number);
    }

    fn execute(&mut self, input: &Input<'_>, effect: Effect) {
        let number = input.number;
        match effect {
            Effect::SaveHardState { write, hard_state } => {
                self.save(number, write, hard_state);
            }
            Effect::Truncate { write, from } => self.truncate(number, write, from),
            Effect::Store { write, first, last } => {
                let within = |it: &&Record| (first..=last).contains(&it.position.index);
                let records: Vec<Record> = input.lent.iter().filter(within).cloned().collect();
                assert_eq!(
                    last.since(first) + 1,
                    records.len() as u64,
                    "entries that nobody lent"
                );
                self.append(number, write, records);
            }
            Effect::StoreOwn {
                write,
                position,
                kind,
                payload,
            } => {
                self.append(
                    number,
                    write,
                    vec![Record {
                        position,
                        kind,
                        payload,
                    }],
                );
            }
            Effect::Send { to, message } => {
                self.send(number, to, Content::Message(message));
            }
            Effect::SendAppend { to, append } => self.send_append(number, to, append),
            Effect::Commit { index } => self.commit(number, index),
            Effect::RoleChanged { role, term, leader } => {
                self.change_role(number, role, term, leader);
            }
            Effect::ConfigurationChanged { index } => {
                let configuration = self.members[&number].configuration().clone();
                self.events.push((
                    number,
                    Event::Configuration {
                        index,
                        configuration,
                    },
                ));
            }
            Effect::ReadReady { read, index } => {
                self.ledger
                    .on_read_ready(&self.members[&number], read, index);
                self.member_mut(number).reads.remove(&read);
                self.events.push((number, Event::ReadReady { read, index }));
            }
            Effect::ReadRefused { read, reason } => {
                let asked = self.member_mut(number).reads.remove(&read);
                assert!(
                    asked.is_some(),
                    "read r{} is refused, but nobody waits for it",
                    read.0
                );
                self.events
                    .push((number, Event::ReadRefused { read, reason }));
            }
        }
    }

    fn truncate(&mut self, number: ReplicaNumber, write: WriteId, from: Index) {
        self.ledger.on_truncate(&self.members[&number], from);
        let member = self.member_mut(number);
        member.truncate(from);
        member.disk.submit(write, Change::Truncate(from));
        self.events.push((number, Event::Truncates(from)));
    }

    fn send_append(&mut self, number: ReplicaNumber, to: ReplicaNumber, append: AppendEntries) {
        let first = append.previous.index.next();
        let mut records = self.members[&number].log.range(first, append.last);
        if append.may_shorten {
            self.shorten(&mut records);
        }
        self.send(number, to, Content::Append { append, records });
    }

    /// As a host does whose records come from disk: what fits into one request, and at least one.
    fn shorten(&self, records: &mut Vec<Record>) {
        let mut bytes = 0;
        let mut fits = |record: &Record| {
            bytes += u64::from(record.size_bytes());
            bytes <= self.options.append_bytes_max
        };
        let count = records.iter().take_while(|record| fits(record)).count();
        records.truncate(count.max(1));
    }

    fn save(&mut self, number: ReplicaNumber, write: WriteId, it: HardState) {
        self.ledger
            .on_hard_state(&self.members[&number], it, self.options);
        self.member_mut(number)
            .disk
            .submit(write, Change::HardState(it));
    }

    fn append(&mut self, number: ReplicaNumber, write: WriteId, records: Vec<Record>) {
        let member = self
            .members
            .get_mut(&number)
            .expect("effects are of a member");
        for record in &records {
            self.ledger.on_entry(record, member.log.last());
            member.append(record.clone());
            self.events.push((number, Event::Appends(record.clone())));
        }
        member.disk.submit(write, Change::Append(records));
    }

    fn send(&mut self, from: ReplicaNumber, to: ReplicaNumber, content: Content) {
        let member = &self.members[&from];
        let envelope = Envelope {
            from,
            to,
            from_life: member.life,
            to_life: member.lives.get(&to).copied().unwrap_or(0),
            content,
        };
        self.ledger.on_send(&self.members, &envelope);
        self.outbox.push(envelope);
    }

    fn commit(&mut self, number: ReplicaNumber, now: Index) {
        self.ledger.on_commit(&self.members, number, now);
        let member = self.member_mut(number);
        let before = std::mem::replace(&mut member.commit_index, now);
        self.events.push((number, Event::Commit { before, now }));
    }

    fn change_role(
        &mut self,
        number: ReplicaNumber,
        now: Role,
        term: Term,
        leader: Option<ReplicaNumber>,
    ) {
        let member = self.member_mut(number);
        let before = std::mem::replace(&mut member.role, now);
        if now == Role::Leader && before != Role::Leader {
            self.ledger.on_leader(&self.members, number);
        }
        self.events.push((
            number,
            Event::Role {
                before,
                now,
                term,
                leader,
            },
        ));
    }

    fn inspect(&self, number: ReplicaNumber) {
        self.ledger.inspect(&self.members[&number]);
    }

    fn member_mut(&mut self, number: ReplicaNumber) -> &mut Member {
        self.members.get_mut(&number).expect("no such member")
    }
}
