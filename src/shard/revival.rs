//! Replicas that an earlier life of the process left: each goes on where it ended, or is refused by name.

use crate::shard::Seams;
use crate::shard::birth::Birth;
use crate::shard::hosted::{Hosted, Identity};
use crate::shard::restore::{DamagedGroup, FoundGroup};
use crate::shard::shard::Shard;
use margay_machine::{Host, HostError};
use margay_raft::Replica;
use margay_types::GroupId;

impl<S: Seams> Shard<S> {
    /// A replica goes on where an earlier life of the process ended.
    pub(crate) fn revive(&mut self, found: FoundGroup) {
        let group = found.group;
        if found.description.created > self.manifest.created_up_to {
            self.births.on_interrupted(Birth {
                group,
                created: found.created,
                description: found.description,
            });
            return;
        }
        let host = match &found.host {
            Some(host) => Host::restore(&self.registry, host),
            None => {
                let (machine, options) = (&found.created.machine, &found.description.options);
                Host::new(&self.registry, machine, options, Birth::limits())
            }
        };
        let host = match host {
            Ok(host) => host,
            Err(error) => {
                // A binary that lacks what the group needs refuses the group, and serves the others.
                let reason = why_not_hosted(&error);
                let genesis = (group == GroupId::SYSTEM).then_some(found.description.options);
                self.damaged.push(DamagedGroup {
                    group,
                    reason,
                    genesis,
                });
                return;
            }
        };
        let checkpoint = host.applied_index();
        let applied_configuration = found
            .raft
            .configurations
            .iter()
            .rfind(|(index, _)| *index <= checkpoint)
            .cloned()
            .unwrap_or_default();
        let number = found.created.replica;
        let replica = Replica::new(number, self.facts.raft, found.raft, self.seed_of(group));
        let identity = Identity {
            group,
            created: found.created,
            description: found.description,
        };
        let mut hosted = Hosted::new(
            identity,
            replica,
            host,
            applied_configuration,
            found.log_time_max,
        );
        hosted
            .checkpoints
            .on_restored(checkpoint, found.checkpoint_bytes);
        self.adopt(hosted);
    }

    /// A replica joins the shard: its time begins, and the shard looks after it.
    pub(crate) fn adopt(&mut self, mut hosted: Hosted) {
        hosted.counted_tick = self.means.alarms.tick();
        if let Some(home) = hosted.home() {
            hosted.replica.prefer(home);
        }
        hosted.set_alarm(&mut self.means);
        hosted.arrange_upkeep(&mut self.means);
        self.groups.insert(hosted.group(), Box::new(hosted));
    }

    /// A seed that differs between the replicas of a group.
    pub(crate) fn seed_of(&self, group: GroupId) -> u64 {
        self.facts.seed ^ (u64::from(group.number()) << 32)
    }
}

/// Why this binary cannot run a group that its log holds.
fn why_not_hosted(error: &HostError) -> String {
    match error {
        HostError::UnknownMachine(unknown) => {
            format!("this binary has no machine `{}`", unknown.name)
        }
        HostError::Version { checkpoint, binary } => {
            format!("its machine is at version {checkpoint}, and this binary has version {binary}")
        }
        HostError::Options => "this binary's machine does not take its options".to_owned(),
        HostError::Limits => "its limits contradict themselves".to_owned(),
        HostError::Checkpoint => "its checkpoint cannot be read by this binary".to_owned(),
        HostError::Panicked { message } => format!("its machine panicked at the start: {message}"),
    }
}
