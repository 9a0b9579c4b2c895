//! Carries faults out, and sets them right again.

use crate::disk_fault::{Fate, Fault, FaultPlan, Loss};
use crate::faults::{FaultKind, Schedule, calm_network};
use crate::network::Place;
use crate::node::Phase;
use crate::world::{Repair, World};
use std::time::Duration;

const MS: u64 = 1_000_000;

impl World {
    /// Faults and repairs whose time has come.
    pub(crate) fn inject(&mut self) {
        while let Some(entry) = self.repairs.first_entry() {
            let (at_ns, _) = *entry.key();
            if at_ns > self.now_ns {
                break;
            }
            let repair = entry.remove();
            self.repair(repair);
        }
        for kind in self.schedule.take_due(self.now_ns) {
            self.carry_out(kind);
        }
    }

    fn repair(&mut self, repair: Repair) {
        let now_ns = self.now_ns;
        match repair {
            Repair::Start(place) => {
                if matches!(self.nodes[place].phase, Phase::Down) {
                    self.nodes[place].start(now_ns);
                    self.trace.note(now_ns, &format!("node {place} starts"));
                }
            }
            Repair::Room(place) => self.give_room(place),
            Repair::PowerCut(place) => {
                let loss = self.draw_loss();
                let pause_ns = (10 + self.random.below(500)) * MS;
                self.lose(place, &loss, pause_ns);
            }
            Repair::Mend(paths) => {
                for (from, to) in paths {
                    self.network.mend(from, to);
                }
            }
        }
    }

    /// A disk has room again. What its present life met with is excused.
    fn give_room(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        node.disk.set_capacity_bytes(1 << 30);
        node.is_disk_faulty |= std::mem::take(&mut node.is_disk_full);
    }

    /// Nothing goes wrong any more, and what went wrong is set right.
    pub fn heal(&mut self) {
        self.schedule = Schedule::none();
        self.network.set_options(calm_network());
        self.network.mend_all();
        for repair in std::mem::take(&mut self.repairs).into_values() {
            self.repair(repair);
        }
        let now_ns = self.now_ns;
        for place in 0..self.nodes.len() {
            let node = &mut self.nodes[place];
            node.paused_until_ns = 0;
            node.disk.set_plan(FaultPlan::none());
            if matches!(node.phase, Phase::Down) && !node.disk.is_crashed() {
                node.start(now_ns);
            }
        }
        for client in &mut self.clients {
            client.paused_until_ns = 0;
        }
        self.trace.note(now_ns, "the world is healed");
    }

    fn carry_out(&mut self, kind: FaultKind) {
        let now_ns = self.now_ns;
        let place = self.draw_place();
        let long_ns = (10 + self.random.below(1_500)) * MS;
        self.trace.note(
            now_ns,
            &format!("{kind:?} at node {place} for {} ms", long_ns / MS),
        );
        match kind {
            FaultKind::Kill => self.lose(place, &Loss::All(Fate::Readable), long_ns),
            FaultKind::PowerCut => {
                let loss = self.draw_loss();
                self.lose(place, &loss, long_ns);
            }
            FaultKind::TotalPowerCut => {
                for place in 0..self.nodes.len() {
                    let loss = self.draw_loss();
                    let pause_ns = long_ns / 2 + self.random.below(long_ns);
                    self.lose(place, &loss, pause_ns);
                }
            }
            FaultKind::Pause => self.nodes[place].paused_until_ns = now_ns + long_ns,
            FaultKind::ClientPause => {
                let count = self.clients.len() as u64;
                let at = usize::try_from(self.random.below(count.max(1))).unwrap_or(0);
                if let Some(client) = self.clients.get_mut(at) {
                    client.paused_until_ns = now_ns + 3 * long_ns;
                }
            }
            FaultKind::ClockJump => self.nodes[place].clock_ahead_ns += long_ns,
            FaultKind::Cut => {
                let paths = self.paths_to_some(place);
                self.cut_for(paths, 2 * long_ns);
            }
            FaultKind::OneWayCut => {
                let paths = self.path_to_one(place);
                self.cut_for(paths, 2 * long_ns);
            }
            FaultKind::ClientCut => {
                let paths = self.paths_to_clients(place);
                self.cut_for(paths, 2 * long_ns);
            }
            FaultKind::Clog => {
                for (from, to) in self.path_to_one(place) {
                    self.network.clog(from, to, now_ns + long_ns);
                }
            }
            FaultKind::Break => self.break_some(place),
            FaultKind::SlowDisk => self.plan_soon(place, slow(long_ns / 20)),
            FaultKind::HungDisk => self.plan_soon(place, slow(long_ns)),
            FaultKind::CrashAtOperation => self.plan_soon(place, Fault::Crash),
            FaultKind::Brownout => self.slow_all_until_dark(long_ns),
            FaultKind::FullDisk => {
                self.nodes[place].is_disk_full = true;
                self.nodes[place].disk.set_capacity_bytes(0);
                self.repair_after(2 * long_ns, Repair::Room(place));
            }
        }
    }

    /// The connections between a node and another, or the last client, break.
    fn break_some(&mut self, place: Place) {
        let other = self.draw_place();
        let last_client = self.nodes.len() + self.clients.len() - 1;
        let other = if self.random.chance(1, 2) {
            other
        } else {
            last_client
        };
        for connection in self.network.between(place, other) {
            self.network.break_off(self.now_ns, connection);
        }
    }

    /// All disks hang in their next operation, and the power goes while they do.
    fn slow_all_until_dark(&mut self, long_ns: u64) {
        for place in 0..self.nodes.len() {
            let next = self.nodes[place].disk.operation_count();
            let plan = FaultPlan::none().with(next, slow(2 * long_ns));
            self.nodes[place].disk.set_plan(plan);
            self.repair_after(long_ns, Repair::PowerCut(place));
        }
    }

    fn draw_place(&mut self) -> Place {
        usize::try_from(self.random.below(self.nodes.len() as u64)).unwrap_or(0)
    }

    fn draw_loss(&mut self) -> Loss {
        match self.random.below(4) {
            0 => Loss::All(Fate::Lost),
            1 => Loss::All(Fate::Kept),
            _ => Loss::Drawn(self.random.next_number()),
        }
    }

    fn lose(&mut self, place: Place, loss: &Loss, pause_ns: u64) {
        if matches!(self.nodes[place].phase, Phase::Down) {
            return;
        }
        self.crash(place, loss);
        self.repair_after(pause_ns, Repair::Start(place));
    }

    /// Both ways between a node and most of the others.
    fn paths_to_some(&mut self, place: Place) -> Vec<(Place, Place)> {
        let mut paths = Vec::new();
        for other in (0..self.nodes.len()).filter(|other| *other != place) {
            if self.random.chance(3, 4) {
                paths.extend([(place, other), (other, place)]);
            }
        }
        paths
    }

    /// Both ways between a node and everybody who is none.
    fn paths_to_clients(&self, place: Place) -> Vec<(Place, Place)> {
        let nodes = self.nodes.len();
        let others = nodes..=nodes + self.clients.len();
        others
            .flat_map(|other| [(place, other), (other, place)])
            .collect()
    }

    /// From a node to one other.
    fn path_to_one(&mut self, place: Place) -> Vec<(Place, Place)> {
        let other = self.draw_place();
        let path = (other != place).then_some((place, other));
        path.into_iter().collect()
    }

    fn cut_for(&mut self, paths: Vec<(Place, Place)>, pause_ns: u64) {
        for (from, to) in &paths {
            self.network.cut(*from, *to);
        }
        self.repair_after(pause_ns, Repair::Mend(paths));
    }

    /// One of the next operations of a disk goes wrong.
    fn plan_soon(&mut self, place: Place, fault: Fault) {
        let disk = &self.nodes[place].disk;
        let at = disk.operation_count() + self.random.below(20);
        disk.set_plan(FaultPlan::none().with(at, fault));
    }
}

fn slow(longer_ns: u64) -> Fault {
    Fault::Slow(Duration::from_nanos(longer_ns))
}
