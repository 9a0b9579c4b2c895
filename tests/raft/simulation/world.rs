//! The world of one seed, tick by tick.
//!
//! ```text
//!   tick:  faults -> connections -> disks -> clocks -> messages that are due -> disks -> requests
//! ```
//!
//! First everything may fail, for as long as the seed says: nothing may go *wrong*. Then everything heals,
//! and the group must *work* within a bound: elect, commit a new entry, answer a read and agree.

use super::network::Network;
use super::random::Random;
use super::swarm::Swarm;
use crate::host::{Cluster, Envelope, Event, members};
use margay_raft::configuration::Configuration;
use margay_raft::{Position, ReadId};
use margay_types::ReplicaNumber;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Steps that a failing seed shows.
const TRACE_MAX: usize = 200;
/// Ticks after which a healed group must have agreed: some elections, a catch-up entry by entry, and a joint change.
const HEALED_TICKS_MAX: u64 = 4_000;

enum Line {
    Arrives(Envelope),
    Happens(ReplicaNumber, Event),
    Note(String),
}

/// What a run did, to see that it tests something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) committed: u64,
    pub(crate) terms: u64,
    pub(crate) truncations: u64,
    pub(crate) reads: u64,
    pub(crate) configurations: u64,
    pub(crate) refills: u64,
    pub(crate) healed_ticks_max: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.committed += other.committed;
        self.terms += other.terms;
        self.truncations += other.truncations;
        self.reads += other.reads;
        self.configurations += other.configurations;
        self.refills += other.refills;
        self.healed_ticks_max = self.healed_ticks_max.max(other.healed_ticks_max);
    }

    /// Did everything happen that the checkers look at?
    pub(crate) fn is_telling(&self) -> bool {
        let counts = [
            self.committed,
            self.terms,
            self.truncations,
            self.reads,
            self.configurations,
            self.refills,
        ];
        counts.iter().all(|count| *count > 20)
    }
}

pub(crate) struct World {
    pub(super) now: u64,
    pub(super) cluster: Cluster,
    pub(super) network: Network,
    pub(super) random: Random,
    pub(super) swarm: Swarm,
    pub(super) paused: BTreeMap<ReplicaNumber, u64>,
    pub(super) stuck: BTreeMap<ReplicaNumber, u64>,
    pub(super) full: BTreeMap<ReplicaNumber, u64>,
    pub(super) proposed: u64,
    slow: ReplicaNumber,
    last_reads: Vec<ReadId>,
    pub(super) tally: Tally,
    trace: VecDeque<(u64, Line)>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let swarm = Swarm::draw(&mut random);
        let numbers: Vec<u16> = (1..=swarm.voters + swarm.learners).collect();
        let (voters, learners) = numbers.split_at(usize::from(swarm.voters));
        let created = Configuration {
            voters: members(voters),
            outgoing_voters: Vec::new(),
            learners: members(learners),
        };
        let mut cluster = Cluster::new(swarm.options, seed, created);
        for number in &numbers {
            cluster.start(ReplicaNumber::new(*number));
        }
        let slow = ReplicaNumber::new(random.pick(&numbers).unwrap_or(1));
        Self {
            now: 0,
            cluster,
            network: Network::default(),
            random,
            swarm,
            paused: BTreeMap::new(),
            stuck: BTreeMap::new(),
            full: BTreeMap::new(),
            proposed: 0,
            slow,
            last_reads: Vec::new(),
            tally: Tally::default(),
            trace: VecDeque::new(),
        }
    }

    /// Both phases.
    pub(crate) fn run(&mut self) -> Tally {
        for _ in 0..self.swarm.safety_ticks {
            self.step();
        }
        self.heal();
        let healed_at = self.now;
        // What is there already must spread by itself: an idle group may not wait for the next proposal.
        while self.agreed_leader().is_none() {
            self.step_healed(healed_at);
        }
        let mut proposed = None;
        while !self.is_served(&mut proposed) {
            self.step_healed(healed_at);
        }
        self.tally.healed_ticks_max = self.now - healed_at;
        self.tally.committed = self.cluster.ledger.committed_index().number();
        self.tally.terms = self.cluster.ledger.term_count() as u64;
        self.tally
    }

    pub(super) fn numbers(&self) -> Vec<ReplicaNumber> {
        self.cluster.members.keys().copied().collect()
    }

    /// All that run and are not paused.
    pub(super) fn awake(&self) -> Vec<ReplicaNumber> {
        let mut numbers = self.numbers();
        numbers.retain(|number| self.cluster.is_up(*number) && !self.is_paused(*number));
        numbers
    }

    pub(super) fn note(&mut self, text: String) {
        self.push(Line::Note(text));
    }

    /// Takes what left and what happened out of the cluster.
    pub(super) fn settle(&mut self) {
        for envelope in std::mem::take(&mut self.cluster.outbox) {
            self.network
                .send(self.now, envelope, (&self.swarm, &mut self.random));
        }
        for (number, event) in std::mem::take(&mut self.cluster.events) {
            self.count(&event);
            self.push(Line::Happens(number, event));
        }
    }

    fn step(&mut self) {
        self.now += 1;
        self.fail();
        self.connect();
        self.return_writes();
        for number in self.awake() {
            let loses = number == self.slow && self.random.chance(self.swarm.slow_clock);
            if !loses {
                self.cluster.tick(number);
                self.settle();
            }
        }
        while let Some(envelope) = self.network.take(self.now) {
            self.deliver(envelope);
        }
        self.return_writes();
        self.refill();
        self.ask();
    }

    fn deliver(&mut self, envelope: Envelope) {
        if self.is_paused(envelope.to) {
            self.network.postpone(self.now, envelope);
            return;
        }
        let has_room = !self.is_full(envelope.to);
        if let Some(member) = self.cluster.members.get_mut(&envelope.to) {
            member.has_room = has_room;
        }
        self.push(Line::Arrives(envelope.clone()));
        self.cluster.deliver(envelope);
        self.settle();
    }

    /// A connection needs both directions.
    fn connect(&mut self) {
        let awake = self.awake();
        for (place, one) in awake.iter().enumerate() {
            for other in awake.iter().skip(place + 1) {
                let is_cut = self.network.is_cut(*one, *other) || self.network.is_cut(*other, *one);
                if !is_cut && self.random.chance(500) && self.cluster.connect(*one, *other) {
                    self.note(format!("n{one} and n{other} connect"));
                }
            }
        }
    }

    /// Writes come back in any order, while the disk answers at all.
    fn return_writes(&mut self) {
        for number in self.awake() {
            if self.is_stuck(number) {
                continue;
            }
            for place in (0..self.cluster.pending_writes(number)).rev() {
                if self.random.chance(self.swarm.write_returns) {
                    self.cluster.return_write(number, place);
                    self.settle();
                }
            }
        }
    }

    fn step_healed(&mut self, healed_at: u64) {
        self.step();
        let ticks = self.now - healed_at;
        assert!(
            ticks < HEALED_TICKS_MAX,
            "no agreement {ticks} ticks after everything healed"
        );
    }

    /// The one leader, if all members have its whole log, on disk, and know it to be committed.
    fn agreed_leader(&self) -> Option<ReplicaNumber> {
        let leaders = self.leaders();
        let [leader] = leaders.as_slice() else {
            return None;
        };
        let core = self.cluster.core(*leader);
        let agrees = |number: ReplicaNumber| {
            let member = &self.cluster.members[&number];
            member.commit_index == core.last_index()
                && member.log.last() == core.last_position()
                && member.core().durable_index() == core.last_index()
        };
        let configuration = core.configuration();
        let all_agree = configuration.members().all(|member| agrees(member.number));
        (all_agree && agrees(*leader) && !configuration.is_joint()).then_some(*leader)
    }

    /// A new entry of the agreed leader's term is committed, and two reads were answered that were asked after it.
    fn is_served(&mut self, proposed: &mut Option<Position>) -> bool {
        let Some(leader) = self.agreed_leader() else {
            return false;
        };
        let is_read = |read: &ReadId| {
            self.cluster
                .members
                .values()
                .all(|member| !member.reads.contains_key(read))
        };
        if let Some(position) = *proposed
            && position.term == self.cluster.core(leader).term()
        {
            return self.last_reads.iter().all(is_read);
        }
        *proposed = self.propose(leader);
        let awake = self.awake();
        let number = self.random.pick(&awake).unwrap_or(leader);
        self.last_reads = vec![self.cluster.read(leader), self.cluster.read(number)];
        self.settle();
        false
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Truncates(_) => self.tally.truncations += 1,
            Event::ReadReady { .. } => self.tally.reads += 1,
            Event::Configuration { .. } => self.tally.configurations += 1,
            Event::Role { .. }
            | Event::Appends(_)
            | Event::Durable(_)
            | Event::Saved(_)
            | Event::Commit { .. }
            | Event::ReadRefused { .. } => {}
        }
    }

    fn push(&mut self, line: Line) {
        if self.trace.len() == TRACE_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back((self.now, line));
    }
}

/// The last steps.
impl fmt::Display for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:?}", self.swarm)?;
        for (at, line) in &self.trace {
            match line {
                Line::Arrives(envelope) => writeln!(formatter, "{at:5}  {envelope}")?,
                Line::Happens(number, event) => writeln!(formatter, "{at:5}    n{number} {event}")?,
                Line::Note(text) => writeln!(formatter, "{at:5}  * {text}")?,
            }
        }
        for member in self.cluster.members.values() {
            let (paused, stuck) = (self.is_paused(member.number), self.is_stuck(member.number));
            let full = self.is_full(member.number);
            let pending = member.disk.pending_count();
            writeln!(
                formatter,
                "{member} paused={paused} stuck={stuck} full={full} writes={pending}"
            )?;
        }
        Ok(())
    }
}
