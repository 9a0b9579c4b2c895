//! What holds between any two turns of a shard; called by tests and simulators, because it looks at every group.

use crate::limits::{WAITERS_MAX, WAITING_READS_MAX};
use crate::shard::Seams;
use crate::shard::hosted::{Hosted, Loading};
use crate::shard::means::Means;
use crate::shard::shard::Shard;

impl<S: Seams> Shard<S> {
    /// Checks this shard against itself. One that has failed promises nothing any more.
    ///
    /// # Panics
    /// When it contradicts itself: a mistake of ours.
    pub fn check(&self) {
        if self.has_failed() {
            return;
        }
        assert!(self.means.effects.is_empty(), "effects were not executed");
        assert!(
            self.ticks_to_tell == 0,
            "{} ticks were told to nobody",
            self.ticks_to_tell
        );
        let hosted = || self.groups.values().map(|hosted| &**hosted);
        let (sends, applies) = self.means.agenda.counts();
        let flagged = |is: fn(&Hosted) -> bool| hosted().filter(|hosted| is(hosted)).count();
        assert!(
            sends == flagged(|hosted| hosted.on_agenda.sends())
                && applies == flagged(|hosted| hosted.on_agenda.applies()),
            "{sends} groups are to send and {applies} to apply, and others believe they are"
        );
        for hosted in hosted() {
            hosted.check(&self.means);
        }
    }
}

impl Hosted {
    fn check<S: Seams>(&self, means: &Means<S>) {
        self.replica.check();
        self.host.check();
        self.check_indexes();
        self.check_reign();
        self.check_agenda(means);
        self.check_alarm(means);
        self.check_upkeep(means);
        assert!(
            self.reads.count() <= WAITING_READS_MAX,
            "{} reads of group {} wait",
            self.reads.count(),
            self.group()
        );
    }

    fn check_indexes(&self) {
        let group = self.group();
        let (applied, commit) = (self.host.applied_index(), self.replica.commit_index());
        assert!(
            applied <= commit,
            "group {group} applied {applied}, and {commit} is committed"
        );
        assert!(
            self.stored_last == self.replica.last_index(),
            "the log of group {group} ends at {}, and its core says {}",
            self.stored_last,
            self.replica.last_index()
        );
        assert!(
            self.host.log_time() <= self.log_time_max,
            "the machine of group {group} is at {}, behind all entries",
            self.host.log_time()
        );
        assert!(
            self.applied_configuration.0 <= applied,
            "the configuration at {} of group {group} is not applied",
            self.applied_configuration.0
        );
        assert!(
            self.replica.log_floor().index <= applied,
            "entries of group {group} went that are not applied"
        );
    }

    fn check_reign(&self) {
        let group = self.group();
        let led = self.replica.is_leader().then(|| self.replica.term());
        assert!(
            self.reign.as_ref().map(|reign| reign.term) == led,
            "group {group} is led in {led:?}, and nobody reigns"
        );
        let Some(reign) = &self.reign else { return };
        assert!(
            reign.waiters.count() <= WAITERS_MAX,
            "{} requests wait for entries of group {group}",
            reign.waiters.count()
        );
        assert!(
            reign.housekeeping <= self.stored_last,
            "the housekeeping of group {group} is at {}, behind its log",
            reign.housekeeping
        );
        let (Some(first), Some(last)) = (reign.waiters.first(), reign.waiters.last()) else {
            return;
        };
        assert!(
            last <= self.stored_last,
            "somebody waits for entry {last} of group {group}, which is not there"
        );
        assert!(
            first > self.host.applied_index(),
            "entry {first} of group {group} was applied, and somebody waits for it"
        );
    }

    /// Nothing that can go on is forgotten.
    fn check_agenda<S: Seams>(&self, means: &Means<S>) {
        let group = self.group();
        assert!(
            !self.can_apply() || self.on_agenda.applies(),
            "group {group} has committed entries, and nobody applies them"
        );
        assert!(
            self.loading == Loading::No || means.loads.count() > 0,
            "group {group} waits for entries that nobody reads"
        );
    }

    /// The core is told in time that time has passed.
    fn check_alarm<S: Seams>(&self, means: &Means<S>) {
        if self.on_agenda.sends() {
            return;
        }
        let (group, now) = (self.group(), means.alarms.tick());
        assert!(
            self.alarm_tick > now && self.alarm_tick != u64::MAX,
            "the alarm of group {group} is set to {}, and it is {now}",
            self.alarm_tick
        );
        let due = self.counted_tick + u64::from(self.replica.ticks_until_due());
        assert!(
            self.alarm_tick <= due,
            "the alarm of group {group} is set to {}, and its core is due at {due}",
            self.alarm_tick
        );
    }

    /// What must be looked after is looked after.
    fn check_upkeep<S: Seams>(&self, means: &Means<S>) {
        if self.on_agenda.applies() || self.host.applied_index() < self.stored_last {
            return;
        }
        let group = self.group();
        let due_ns = self.sessions_due(means.observed.ns());
        assert!(
            self.upkeep_ns <= due_ns,
            "sessions of group {group} are due at {due_ns} ns, and looked at {}",
            self.upkeep_ns
        );
        assert!(
            !self.wants_a_look() || means.upkeep.contains(group),
            "group {group} has something to keep, and nobody looks after it"
        );
    }
}
