//! The stage on which protocol scripts are played: messages stand in a queue until the script delivers
//! them, and disks hold writes back when it says so. The trace is what happened, in the order in which it did.
//!
//! Commands (members are `n1`, `n2`, ...; `SELECT` is `n1 to n2`, `n1 n2` for both ways, `from n1`, `to n2`, or
//! nothing for all, with `kind=append` and `count=1` where wanted):
//!
//! | command | does |
//! | --- | --- |
//! | `cluster nodes=3 [learners=1] [window=..] [append_bytes=..] [seed=..]` | creates and starts a group |
//! | `elect n1` | n1 campaigns as soon as others may vote, and everything is delivered; short trace |
//! | `campaign n1` | the same without delivering: pre-votes stand in the queue |
//! | `tick n1 [30]`, `tick all [30]` | the clock of one, or of all, one after another |
//! | `run 30 [n1 n2]` | ticks (of those) with everything delivered in between; short trace |
//! | `propose n1 a [b ..]`, `read n1`, `transfer n1 n2` | asks a replica |
//! | `change n1 voters="1 2 4" [learners="3"] [expected=INDEX]` | asks for other members |
//! | `deliver SELECT`, `drop SELECT`, `duplicate SELECT` | what stands in the queue |
//! | `hold SELECT`, `release SELECT` | puts messages aside; brings them back behind all others |
//! | `cut n1 n3`, `cut n1 to n3`, `isolate n1`, `heal` | links; what is under way on a cut link is lost |
//! | `disk n1 hold`, `disk n1 auto` | do writes wait for the script? |
//! | `written n1 [count]`, `written n1 last` | writes return, from the front; or the last one first |
//! | `crash n1 [kept=1]`, `restart n1`, `add n4` | processes; `kept` writes under way survive |
//! | `reclaim n1 INDEX`, `refill n3 from n1` | the log up to there goes; n3 gets n1's checkpoint |
//! | `inject n1 to n2 KIND key=..` | a forged message of n1 |
//! | `status [n1 ..]`, `log n1`, `queue`, `progress n1` | shows |

mod arguments;
mod forge;
mod play;
mod show;

use crate::host::envelope::Envelope;
use crate::host::{Cluster, Event};
use arguments::{Answer, Arguments, Selector};
use margay_raft::Role;
use margay_types::ReplicaNumber;
use std::collections::BTreeSet;
use std::error::Error;

/// Delivering more than this at once means that the group talks to itself without end.
const DELIVERIES_MAX: usize = 5_000;

/// How much of what happens is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Messages, disks and all.
    Full,
    /// Roles, configurations and reads; entries and commits of leaders.
    Short,
}

/// One script's world.
#[derive(Default)]
pub(crate) struct Stage {
    cluster: Option<Cluster>,
    queue: Vec<Envelope>,
    held: Vec<Envelope>,
    cuts: BTreeSet<(ReplicaNumber, ReplicaNumber)>,
    held_disks: BTreeSet<ReplicaNumber>,
    trace: Vec<String>,
}

impl goldenscript::Runner for Stage {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &Self::Command,
        _context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let mut arguments = Arguments::new(command);
        self.play(&command.name, &mut arguments)?;
        arguments.finish()?;
        let lines = std::mem::take(&mut self.trace);
        Ok(lines.join("\n"))
    }
}

impl Stage {
    fn cluster(&mut self) -> Answer<&mut Cluster> {
        self.cluster
            .as_mut()
            .ok_or_else(|| "there is no cluster yet".into())
    }

    fn show(&mut self, line: String) {
        self.trace.push(line);
    }

    /// All members that run, in order.
    fn running(&self) -> Vec<ReplicaNumber> {
        let Some(cluster) = &self.cluster else {
            return Vec::new();
        };
        cluster
            .members
            .keys()
            .copied()
            .filter(|number| cluster.is_up(*number))
            .collect()
    }

    fn is_cut(&self, from: ReplicaNumber, to: ReplicaNumber) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// What must happen by itself after each input: connections, writes on disks that do not wait, and the trace.
    fn settle(&mut self, detail: Detail) -> Answer<()> {
        self.connect()?;
        loop {
            self.collect(detail)?;
            let auto = self.running().into_iter().find(|number| {
                !self.held_disks.contains(number)
                    && self
                        .cluster
                        .as_ref()
                        .is_some_and(|it| it.pending_writes(*number) > 0)
            });
            let Some(number) = auto else {
                return Ok(());
            };
            // From the back, so that the core hears of all of them at once.
            for place in (0..self.cluster()?.pending_writes(number)).rev() {
                self.cluster()?.return_write(number, place);
            }
        }
    }

    /// Whoever runs and can reach each other both ways is connected.
    fn connect(&mut self) -> Answer<()> {
        let running = self.running();
        for (place, one) in running.iter().enumerate() {
            for other in running.iter().skip(place + 1) {
                if !self.is_cut(*one, *other) && !self.is_cut(*other, *one) {
                    self.cluster()?.connect(*one, *other);
                }
            }
        }
        Ok(())
    }

    /// Takes what left and what happened out of the cluster.
    fn collect(&mut self, detail: Detail) -> Answer<()> {
        let cluster = self.cluster()?;
        let (sent, events) = (
            std::mem::take(&mut cluster.outbox),
            std::mem::take(&mut cluster.events),
        );
        for envelope in sent {
            if !self.is_cut(envelope.from, envelope.to) {
                self.queue.push(envelope);
            }
        }
        for (number, event) in events {
            let role = self.cluster()?.role(number);
            if detail == Detail::Full || is_short(&event, role) {
                self.show(format!("n{number} {event}"));
            }
        }
        Ok(())
    }

    /// Takes the first selected message from the queue.
    fn take(&mut self, selector: &Selector) -> Option<Envelope> {
        let place = self
            .queue
            .iter()
            .position(|it| selector.takes(it.from, it.to, it.content.kind()))?;
        Some(self.queue.remove(place))
    }

    /// Delivers selected messages, also those that the deliveries cause, until there is none.
    fn deliver(&mut self, selector: &Selector, detail: Detail) -> Answer<()> {
        let count_max = selector.count.unwrap_or(DELIVERIES_MAX);
        for _ in 0..count_max {
            let Some(envelope) = self.take(selector) else {
                return Ok(());
            };
            let line = envelope.to_string();
            let place = self.trace.len();
            let arrived = self.cluster()?.deliver(envelope);
            self.settle(detail)?;
            if detail == Detail::Full && arrived {
                self.trace.insert(place, line);
            }
        }
        if selector.count.is_none() {
            return Err(format!("no rest after {DELIVERIES_MAX} messages").into());
        }
        Ok(())
    }
}

/// Followers that only follow are not worth a line.
fn is_short(event: &Event, role: Option<Role>) -> bool {
    match event {
        Event::Role { before, now, .. } => before != now,
        Event::Appends(_) | Event::Commit { .. } => role == Some(Role::Leader),
        Event::Truncates(_)
        | Event::Configuration { .. }
        | Event::ReadReady { .. }
        | Event::ReadRefused { .. } => true,
        Event::Durable(_) | Event::Saved(_) => false,
    }
}
