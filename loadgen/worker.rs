//! One thread drives every client, in a closed loop or in an open one.
//!
//! ```text
//!   open sessions ──> warm up ──> measure ──> drain ──> close
//!
//!   turn    send what is unsent, wait, take what came · one look at the clock
//!           each answer: record, check · issue (see `issue`): for each client that came free, or what is due
//! ```
//!
//! A closed loop reports service time: a client that waits issues nothing meanwhile. An open loop sends by
//! its schedule (see `pacer`), measures from the intended time, and waits for the answer to every send of
//! the measured time: the last ones are as long as the others.

use crate::accounts::{Account, Accounts};
use crate::check::Check;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::options::{Readers, Run};
use crate::pacer::Pacer;
use crate::repeat::{Members, Repeater};
use crate::report_text;
use crate::schedule::Schedule;
use crate::stop::Stop;
use crate::workload::{Workload, mix};
use margay_client::epoll::Driver;
use margay_client::{Options, Protocol};
use margay_types::{ClientId, GroupId, Index};
use margay_wire::client::QueryLevel;
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::thread::set_current_timer_slack;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

/// Sessions outlive pauses of the cluster and of this process.
const SESSION_TIMEOUT_MS: u32 = 30_000;

/// The longest wait in one turn, after which signals are looked at.
const TURN_NS_MAX: u64 = 100_000_000;

/// Between two looks at repeats.
const REPEATS_LOOK_NS: u64 = 1_000_000;

/// The longest that opening, draining and closing take.
const OPEN_TIME: Duration = Duration::from_secs(30);
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(20);
const REPEATS_TIME: Duration = Duration::from_secs(5);
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// How late the kernel may wake a thread that waits for a moment, instead of its 50 microseconds.
const TIMER_SLACK_NS: u64 = 1;

/// Clients over one cluster.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) options: &'a Run,
    pub(crate) console: Console,
    stop: &'a Stop,
    seed: u64,
    pub(crate) driver: Driver,
    pub(crate) accounts: Accounts,
    pub(crate) repeater: Option<Repeater>,
    /// There from the warm-up on, in an open loop.
    pub(crate) pacer: Option<Pacer>,
    pub(crate) issued_count: u64,
    pub(crate) is_issuing: bool,
}

/// What all commands of the run came to, warm-up included.
#[derive(Debug)]
pub(crate) struct Tallied {
    /// Applied, by group.
    pub(crate) counted: BTreeMap<GroupId, u64>,
    /// Greatest index, by group.
    pub(crate) seen: BTreeMap<GroupId, Index>,
    pub(crate) check: Check,
}

impl<'a> Worker<'a> {
    /// Opens a session for every client.
    pub(crate) fn open(
        cluster: &Cluster,
        options: &'a Run,
        console: Console,
        stop: &'a Stop,
    ) -> Result<Self, Failure> {
        let (client, seed) = drawn()?;
        let settings = Options {
            session_timeout_ms: SESSION_TIMEOUT_MS,
            connections_per_shard: options.connections(),
            read_from: options.readers().read_from(),
            ..Options::default()
        };
        let mut protocol = Protocol::new(settings, cluster.endpoints().to_vec(), client, seed);
        let in_flight = usize::from(options.in_flight);
        let groups = cluster.groups().iter().cycle();
        let clients = (0..options.clients)
            .zip(groups)
            .map(|(_, group)| Account::new(protocol.open_session(*group), *group, in_flight));
        let clients = clients.collect();
        let driver = Driver::new(protocol)
            .map_err(|error| Failure::of_io("wait for connections by epoll", &error))?;
        let workload = Workload::new(options.size, options.reads, seed);
        let check = Check::new(cluster.groups(), options.outstanding());
        let mut worker = Self {
            options,
            console,
            stop,
            seed,
            driver,
            accounts: Accounts::new(clients, workload, check),
            repeater: repeater(cluster, options)?,
            pacer: None,
            issued_count: 0,
            is_issuing: false,
        };
        if options.readers() != Readers::Leader {
            let level = options.level().query_level();
            let is_linearizable = level >= QueryLevel::BoundedLinearizable;
            worker.accounts.read_totals(is_linearizable);
        }
        worker.await_sessions()?;
        Ok(worker)
    }

    fn await_sessions(&mut self) -> Result<(), Failure> {
        let wanted = self.accounts.clients.len();
        if self.turn_until(OPEN_TIME, |worker| worker.accounts.open_count == wanted)? {
            return Ok(());
        }
        let open = format!("{} of {wanted}", self.accounts.open_count);
        Err(Failure::new(Exit::NotReached, "sessions are not open")
            .with("open", open)
            .with("reason", self.last_failure()))
    }

    /// Issues without measuring.
    pub(crate) fn warm_up(&mut self) -> Result<(), Failure> {
        self.is_issuing = true;
        let clients = self.accounts.clients.len();
        self.accounts.free = (0..clients).collect();
        let now_ns = self.driver.now_ns();
        if let Some(rate) = self.options.rate {
            // Without it sends are up to 50 microseconds later, and the report says so.
            let _ = set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS));
            let arrival = self.options.arrival();
            let schedule = Schedule::new(rate, arrival, now_ns, mix(self.seed));
            let patience_ns = self.options.patience.map_or(u64::MAX, nanoseconds);
            self.pacer = Some(Pacer::new(schedule, clients).give_up_after(patience_ns));
        }
        self.issue_due(now_ns)?;
        self.run_until(now_ns + nanoseconds(self.options.warmup))?;
        Ok(())
    }

    /// Issues nothing more, waits for what is outstanding, and closes all sessions.
    pub(crate) fn finish(mut self) -> Result<Tallied, Failure> {
        self.is_issuing = false;
        let is_drained =
            self.turn_until(DRAIN_TIME, |worker| worker.accounts.outstanding() == 0)?;
        if !is_drained {
            let (count, why) = (self.accounts.outstanding(), self.last_failure());
            self.accounts.check.on_pending(count, DRAIN_TIME, &why);
        }
        // Whoever answers nothing any more proves nothing; the first outputs are checked in any case.
        self.turn_until(REPEATS_TIME, |worker| worker.repeats_pending() == 0)?;
        let keys: Vec<_> = self
            .accounts
            .clients
            .iter()
            .map(|client| client.key)
            .collect();
        for key in keys {
            self.driver.protocol.close_session(key);
        }
        // A session that nobody confirms ends by its timeout.
        self.turn_until(CLOSE_TIME, |worker| worker.accounts.open_count == 0)?;
        Ok(Tallied {
            counted: self.accounts.counted(),
            seen: self.accounts.seen(),
            check: self.accounts.check,
        })
    }

    pub(crate) fn run_until(&mut self, until_ns: u64) -> Result<u64, Failure> {
        loop {
            let now_ns = self.turn(until_ns)?;
            if now_ns >= until_ns {
                return Ok(now_ns);
            }
        }
    }

    /// Repeats that are under way.
    fn repeats_pending(&self) -> usize {
        self.repeater.as_ref().map_or(0, Repeater::pending)
    }

    /// Turns until something is true, at most for a while; says whether it became true.
    pub(crate) fn turn_until(
        &mut self,
        time: Duration,
        is_true: impl Fn(&Self) -> bool,
    ) -> Result<bool, Failure> {
        let until_ns = self.driver.now_ns() + nanoseconds(time);
        loop {
            if is_true(self) {
                return Ok(true);
            }
            // Results of repeats come from another thread, without an event here.
            let wait_ns = match self.repeats_pending() {
                0 => TURN_NS_MAX,
                _ => REPEATS_LOOK_NS,
            };
            let soon_ns = self.driver.now_ns() + wait_ns;
            if self.turn(until_ns.min(soon_ns))? >= until_ns {
                return Ok(false);
            }
        }
    }

    fn turn(&mut self, until_ns: u64) -> Result<u64, Failure> {
        let due_ns = self.pacer.as_ref().map_or(u64::MAX, Pacer::due_ns);
        let until_ns = until_ns.min(due_ns).min(self.driver.now_ns() + TURN_NS_MAX);
        self.driver
            .turn(until_ns)
            .map_err(|error| Failure::of_io("wait for connections by epoll", &error))?;
        let now_ns = self.driver.now_ns();
        while let Some(completion) = self.driver.protocol.next_completion() {
            self.accounts.on_completion(completion, now_ns);
        }
        self.issue_due(now_ns)?;
        self.take_repeats();
        self.on_sessions();
        self.end_seconds(now_ns);
        self.stop.check()?;
        self.accounts.verdict(self.options.is_checked())?;
        Ok(now_ns)
    }

    fn end_seconds(&mut self, now_ns: u64) {
        let recorder = self.accounts.recorder.as_mut();
        if let Some(second) = recorder.and_then(|recorder| recorder.on_time(now_ns)) {
            let errors = self.accounts.errors.count();
            self.console
                .progress(&report_text::progress(second, errors));
        }
    }

    /// Sessions that opened are told to the repeater; those that were lost are opened anew.
    fn on_sessions(&mut self) {
        while let Some(client) = self.accounts.opened.pop() {
            let key = self.accounts.clients[client].key;
            let attach = self.driver.protocol.attach_elsewhere(key);
            if let (Some(repeater), Some(attach)) = (&self.repeater, attach) {
                repeater.on_session(attach);
            }
        }
        while let Some(client) = self.accounts.lost.pop() {
            let group = self.accounts.clients[client].group;
            let key = self.driver.protocol.open_session(group);
            self.accounts.reopen(client, key);
        }
    }

    pub(crate) fn last_failure(&self) -> String {
        let failure = self.driver.protocol.last_failure();
        failure.unwrap_or("no answer came").to_owned()
    }
}

/// The repeater, when the run is checked.
fn repeater(cluster: &Cluster, options: &Run) -> Result<Option<Repeater>, Failure> {
    if !options.is_checked() {
        return Ok(None);
    }
    let leaders = cluster.leaders();
    let groups = cluster.groups().iter().map(|group| {
        let members = Members {
            leader: leaders.get(group).copied(),
            addresses: cluster.members(*group),
        };
        (*group, members)
    });
    Repeater::start(groups.collect())
        .map(Some)
        .map_err(|error| Failure::of_io("start a thread", &error))
}

/// A client id that nobody else has, and a seed.
fn drawn() -> Result<(ClientId, u64), Failure> {
    let mut bytes = [0; 24];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|error| Failure::of_io("draw random bytes", &error.into()))?;
    let (client, seed) = bytes
        .split_first_chunk::<16>()
        .expect("24 bytes are more than 16");
    let seed = seed.first_chunk().expect("8 bytes are left");
    Ok((ClientId::new(*client), u64::from_le_bytes(*seed)))
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}
