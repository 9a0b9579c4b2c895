//! Links that lose, repeat, delay and reorder, and that can be cut in one direction only.

use super::random::Random;
use super::swarm::Swarm;
use crate::host::Envelope;
use margay_types::ReplicaNumber;
use std::collections::{BTreeMap, BTreeSet};

/// How late a very late message may be, in ticks.
const VERY_LATE_MAX: u64 = 400;

#[derive(Default)]
pub(crate) struct Network {
    /// By the tick of arrival; the second number gives every message a place of its own.
    under_way: BTreeMap<(u64, u64), Envelope>,
    cuts: BTreeSet<(ReplicaNumber, ReplicaNumber)>,
    sent_count: u64,
}

impl Network {
    pub(crate) fn send(&mut self, now: u64, envelope: Envelope, how: (&Swarm, &mut Random)) {
        let (swarm, random) = how;
        if self.is_cut(envelope.from, envelope.to) || random.chance(swarm.loss) {
            return;
        }
        if random.chance(swarm.duplicates) {
            self.put(now, envelope.clone(), (swarm, &mut *random));
        }
        self.put(now, envelope, (swarm, random));
    }

    /// Takes a message whose time has come.
    pub(crate) fn take(&mut self, now: u64) -> Option<Envelope> {
        let entry = self.under_way.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let envelope = entry.remove();
        if self.is_cut(envelope.from, envelope.to) {
            self.take(now)
        } else {
            Some(envelope)
        }
    }

    /// The receiver does not take messages now.
    pub(crate) fn postpone(&mut self, now: u64, envelope: Envelope) {
        self.sent_count += 1;
        self.under_way.insert((now + 1, self.sent_count), envelope);
    }

    pub(crate) fn cut(&mut self, from: ReplicaNumber, to: ReplicaNumber) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn is_cut(&self, from: ReplicaNumber, to: ReplicaNumber) -> bool {
        self.cuts.contains(&(from, to))
    }

    fn put(&mut self, now: u64, envelope: Envelope, how: (&Swarm, &mut Random)) {
        let (swarm, random) = how;
        let mut due = now + random.between(0, swarm.delay_max + 1);
        if random.chance(swarm.very_late) {
            due += random.between(1, VERY_LATE_MAX);
        }
        self.sent_count += 1;
        self.under_way.insert((due, self.sent_count), envelope);
    }
}
