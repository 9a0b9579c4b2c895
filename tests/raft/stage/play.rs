//! What each command of a script does.

use super::arguments::{Answer, Arguments, Selector, member_name};
use super::{Detail, Stage};
use crate::host::{Cluster, members};
use margay_raft::configuration::Configuration;
use margay_raft::options::Window;
use margay_raft::{Options, Role, Target};
use margay_types::{Index, ReplicaNumber, Ticks};

/// Ticks in scripts: few, so that a script can count them; a wide range, so that one waits while another asks.
const ELECTION_TICKS_MIN: u32 = 10;
const ELECTION_TICKS_MAX: u32 = 40;
const HEARTBEAT_TICKS: u32 = 2;

impl Stage {
    pub(super) fn play(&mut self, name: &str, arguments: &mut Arguments) -> Answer<()> {
        match name {
            "cluster" => self.found(arguments),
            "elect" => self.elect(arguments),
            "campaign" => {
                let number = arguments.member()?;
                self.campaign(number, Detail::Full)
            }
            "tick" => self.tick(arguments),
            "run" => self.pass_time(arguments),
            "propose" | "read" | "transfer" | "change" => self.ask(name, arguments),
            "deliver" => {
                let selector = arguments.selector()?;
                self.deliver(&selector, Detail::Full)
            }
            "drop" | "duplicate" | "hold" | "release" => self.move_messages(name, arguments),
            "cut" | "isolate" | "heal" => self.rewire(name, arguments),
            "disk" | "written" => self.drive_disk(name, arguments),
            "crash" | "restart" | "add" | "reclaim" | "refill" => {
                self.drive_process(name, arguments)
            }
            "inject" => self.inject(arguments),
            "status" | "log" | "queue" | "progress" => self.show_state(name, arguments),
            other => Err(format!("unknown command {other}").into()),
        }
    }

    fn found(&mut self, arguments: &mut Arguments) -> Answer<()> {
        let voters: u16 = arguments.number("nodes")?.unwrap_or(3);
        let learners: u16 = arguments.number("learners")?.unwrap_or(0);
        let numbers: Vec<u16> = (1..=voters + learners).collect();
        let (voters, learners) = numbers.split_at(usize::from(voters));
        let created = Configuration {
            voters: members(voters),
            outgoing_voters: Vec::new(),
            learners: members(learners),
        };
        let defaults = Options::default();
        let options = Options {
            election_ticks_min: Ticks::new(ELECTION_TICKS_MIN),
            election_ticks_max: Ticks::new(ELECTION_TICKS_MAX),
            election_slot_ticks: Ticks::new(0),
            heartbeat_ticks: Ticks::new(HEARTBEAT_TICKS),
            window: Window {
                messages_max: arguments.number("window")?.unwrap_or(16),
                bytes_max: defaults.window.bytes_max,
            },
            append_bytes_max: arguments.number("append_bytes")?.unwrap_or(1024),
            tail_entries_max: arguments.number("tail")?.unwrap_or(1024),
        };
        let seed = arguments.number("seed")?.unwrap_or(1);
        let mut cluster = Cluster::new(options, seed, created);
        for number in numbers {
            cluster.start(ReplicaNumber::new(number));
        }
        self.cluster = Some(cluster);
        self.settle(Detail::Full)
    }

    fn elect(&mut self, arguments: &mut Arguments) -> Answer<()> {
        let number = arguments.member()?;
        self.campaign(number, Detail::Short)?;
        // Only what belongs to the election, so that an old leader's traffic cannot get between.
        for kind in ["prevote", "prevote-response", "vote", "vote-response"] {
            let kind = Some(kind.to_owned());
            self.deliver(
                &Selector {
                    kind,
                    ..Selector::default()
                },
                Detail::Short,
            )?;
        }
        self.deliver(&Selector::default(), Detail::Short)?;
        if self.cluster()?.role(number) != Some(Role::Leader) {
            return Err(format!("n{number} was not elected").into());
        }
        Ok(())
    }

    /// Lets the others forget their leader or their start, and then n's patience end, until it asks.
    fn campaign(&mut self, number: ReplicaNumber, detail: Detail) -> Answer<()> {
        for other in self.running() {
            let waits = self.cluster()?.role(other) != Some(Role::Leader);
            if other != number && waits {
                for _ in 0..self.cluster()?.members[&other].sticky_ticks(ELECTION_TICKS_MIN) {
                    self.cluster()?.tick(other);
                }
            }
        }
        for _ in 0..ELECTION_TICKS_MAX * 2 {
            self.cluster()?.tick(number);
            self.settle(detail)?;
            let asks = |kind| kind == "prevote" || kind == "vote";
            if self
                .queue
                .iter()
                .any(|it| it.from == number && asks(it.content.kind()))
            {
                return Ok(());
            }
            if self.cluster()?.role(number) == Some(Role::Leader) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn tick(&mut self, arguments: &mut Arguments) -> Answer<()> {
        let who = arguments.word()?;
        let count: u32 = if arguments.has_words() {
            arguments.word()?.parse()?
        } else {
            1
        };
        let numbers = if who == "all" {
            self.running()
        } else {
            vec![member_name(&who)?]
        };
        for _ in 0..count {
            for number in &numbers {
                self.cluster()?.tick(*number);
                self.settle(Detail::Full)?;
            }
        }
        Ok(())
    }

    fn pass_time(&mut self, arguments: &mut Arguments) -> Answer<()> {
        let count: u32 = arguments.word()?.parse()?;
        let named: Vec<ReplicaNumber> = arguments
            .words()
            .iter()
            .map(|word| member_name(word))
            .collect::<Answer<_>>()?;
        for _ in 0..count {
            let numbers = if named.is_empty() {
                self.running()
            } else {
                named.clone()
            };
            for number in numbers {
                self.cluster()?.tick(number);
                self.settle(Detail::Short)?;
            }
            self.deliver(&Selector::default(), Detail::Short)?;
        }
        Ok(())
    }

    fn ask(&mut self, name: &str, arguments: &mut Arguments) -> Answer<()> {
        let number = arguments.member()?;
        match name {
            "propose" => {
                for payload in arguments.words() {
                    if let Err(error) = self.cluster()?.propose(number, payload.as_bytes()) {
                        self.show(format!("n{number} refuses \"{payload}\": {error:?}"));
                    }
                    self.settle(Detail::Full)?;
                }
            }
            "read" => {
                let read = self.cluster()?.read(number);
                self.show(format!("n{number} asked for read r{}", read.0));
            }
            "transfer" => {
                let to = arguments.member()?;
                if let Err(error) = self.cluster()?.transfer(number, to) {
                    self.show(format!("n{number} refuses: {error:?}"));
                }
            }
            _ => {
                let target = Target {
                    voters: members(&arguments.numbers("voters")?),
                    learners: members(&arguments.numbers("learners")?),
                };
                let expected = match arguments.number("expected")? {
                    Some(index) => Index::new(index),
                    None => self.cluster()?.core(number).configuration_index(),
                };
                if let Err(error) = self.cluster()?.change(number, expected, target) {
                    self.show(format!("n{number} refuses: {error:?}"));
                }
            }
        }
        self.settle(Detail::Full)
    }

    fn move_messages(&mut self, name: &str, arguments: &mut Arguments) -> Answer<()> {
        let selector = arguments.selector()?;
        let count_max = selector.count.unwrap_or(usize::MAX);
        let from = if name == "release" {
            &mut self.held
        } else {
            &mut self.queue
        };
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for it in std::mem::take(from) {
            let fits = selector.takes(it.from, it.to, it.content.kind());
            if fits && taken.len() < count_max {
                taken.push(it)
            } else {
                left.push(it)
            }
        }
        if taken.is_empty() {
            return Err("no such message stands there".into());
        }
        let shown = match name {
            "drop" => "dropped",
            "hold" => "held",
            "release" => "released",
            _ => "twice",
        };
        for it in &taken {
            self.trace.push(format!("{it} ({shown})"));
        }
        if name == "release" {
            self.held = left
        } else {
            self.queue = left
        }
        match name {
            "drop" => {}
            "hold" => self.held.extend(taken),
            "release" => self.queue.extend(taken),
            _ => self.queue.extend(taken.clone().into_iter().chain(taken)),
        }
        Ok(())
    }

    fn rewire(&mut self, name: &str, arguments: &mut Arguments) -> Answer<()> {
        match name {
            "heal" => self.cuts.clear(),
            "isolate" => {
                let number = arguments.member()?;
                for other in self.cluster()?.members.keys().copied().collect::<Vec<_>>() {
                    self.cuts.insert((number, other));
                    self.cuts.insert((other, number));
                }
            }
            _ => {
                let one = arguments.member()?;
                let one_way = arguments.take_word("to");
                let other = arguments.member()?;
                self.cuts.insert((one, other));
                if !one_way {
                    self.cuts.insert((other, one));
                }
            }
        }
        let cuts = &self.cuts;
        self.queue.retain(|it| !cuts.contains(&(it.from, it.to)));
        self.settle(Detail::Full)
    }

    fn drive_disk(&mut self, name: &str, arguments: &mut Arguments) -> Answer<()> {
        let number = arguments.member()?;
        if name == "disk" {
            if arguments.take_word("hold") {
                self.held_disks.insert(number);
            } else if arguments.take_word("auto") {
                self.held_disks.remove(&number);
            }
            return self.settle(Detail::Full);
        }
        let pending = self.cluster()?.pending_writes(number);
        if pending == 0 {
            return Err(format!("n{number} has no write under way").into());
        }
        if arguments.take_word("last") {
            self.cluster()?.return_write(number, pending - 1);
            return self.settle(Detail::Full);
        }
        let count = if arguments.has_words() {
            arguments.word()?.parse()?
        } else {
            pending
        };
        for _ in 0..count.min(pending) {
            self.cluster()?.return_write(number, 0);
            self.settle(Detail::Full)?;
        }
        Ok(())
    }

    fn drive_process(&mut self, name: &str, arguments: &mut Arguments) -> Answer<()> {
        let number = arguments.member()?;
        match name {
            "crash" => {
                let kept = arguments.number("kept")?.unwrap_or(0);
                self.cluster()?.crash(number, kept);
                self.queue.retain(|it| it.to != number);
            }
            "restart" => {
                self.cluster()?.start(number);
                self.show_status(number)?;
            }
            "add" => self.cluster()?.add(number),
            "refill" => {
                arguments.take_word("from");
                let source = arguments.member()?;
                self.cluster()?.refill(number, source);
                self.show_status(number)?;
            }
            _ => {
                let index = Index::new(arguments.word()?.parse()?);
                self.cluster()?.reclaim(number, index);
            }
        }
        self.settle(Detail::Full)
    }
}
