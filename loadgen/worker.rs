//! The closed loop: one thread keeps every client's operations outstanding.
//!
//! ```text
//!   open sessions ──> warm up ──> measure ──> drain ──> close
//!
//!   turn    send what is unsent, wait, take what came · one look at the clock
//!           each answer: record, check · each client that came free: issue again
//! ```
//!
//! A closed loop reports service time: a client that waits issues nothing meanwhile.

use crate::accounts::{Account, Accounts, Errors};
use crate::check::Check;
use crate::cluster::Cluster;
use crate::failure::{Exit, Failure};
use crate::histogram::Recorder;
use crate::options::Run;
use crate::repeat::{Members, Repeater};
use crate::repeat_link::Repeated;
use crate::stop::Stop;
use crate::usage;
use crate::workload::{Kind, Workload};
use margay_client::epoll::Driver;
use margay_client::protocol::Question;
use margay_client::{Options, Protocol};
use margay_machine::{Command, CommandHeader, Encode, Query};
use margay_resources::bench::{Append, Bench, Mine};
use margay_types::{ClientId, GroupId, Index, OperationId, SequenceNumber};
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::BTreeMap;
use std::time::Duration;

/// One command of so many is sent twice.
const REPEAT_EVERY: u64 = 1_000;

/// Which one of them: not the first ones, when sessions are not attached on the other connection yet.
const REPEAT_AT: u64 = REPEAT_EVERY / 2;

/// Sessions outlive pauses of the cluster and of this process.
const SESSION_TIMEOUT_MS: u32 = 30_000;

/// The longest wait in one turn, after which signals are looked at.
const TURN_NS_MAX: u64 = 100_000_000;

/// The longest that opening, draining and closing take.
const OPEN_TIME: Duration = Duration::from_secs(30);
const DRAIN_TIME: Duration = Duration::from_secs(20);
const REPEATS_TIME: Duration = Duration::from_secs(5);
const CLOSE_TIME: Duration = Duration::from_secs(5);

const APPEND: OperationId = <Append<'_> as Command<Bench>>::OPERATION;
const MINE: OperationId = <Mine as Query<Bench>>::OPERATION;

/// Clients over one cluster.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    options: &'a Run,
    stop: &'a Stop,
    driver: Driver,
    accounts: Accounts,
    repeater: Option<Repeater>,
    issued_count: u64,
    is_issuing: bool,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) recorder: Recorder,
    pub(crate) elapsed_s: f64,
    pub(crate) errors: Errors,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) client_cpu: Option<Duration>,
    pub(crate) server_resident_bytes_max: Option<u64>,
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
        stop: &'a Stop,
    ) -> Result<Self, Failure> {
        let (client, seed) = drawn()?;
        let settings = Options {
            session_timeout_ms: SESSION_TIMEOUT_MS,
            connections_per_shard: options.connections(),
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
            stop,
            driver,
            accounts: Accounts::new(clients, workload, check),
            repeater: repeater(cluster, options)?,
            issued_count: 0,
            is_issuing: false,
        };
        let wanted = worker.accounts.clients.len();
        let is_open = worker.turn_until(OPEN_TIME, |accounts, _| accounts.open_count == wanted)?;
        if is_open {
            return Ok(worker);
        }
        Err(Failure::new(Exit::NotReached, "sessions are not open")
            .with(
                "open",
                format!("{} of {wanted}", worker.accounts.open_count),
            )
            .with("reason", worker.last_failure()))
    }

    /// Issues without measuring.
    pub(crate) fn warm_up(&mut self) -> Result<(), Failure> {
        self.is_issuing = true;
        self.accounts.free = (0..self.accounts.clients.len()).collect();
        let now_ns = self.driver.now_ns();
        self.refill(now_ns);
        self.run_until(now_ns + nanoseconds(self.options.warmup))?;
        Ok(())
    }

    /// Issues and measures.
    pub(crate) fn measure(&mut self, cluster: &Cluster) -> Result<Load, Failure> {
        let servers = || {
            cluster
                .processes()
                .and_then(|processes| processes.cpu_time())
        };
        let (server_before, client_before) = (servers(), usage::cpu_time("self"));
        let start_ns = self.driver.now_ns();
        self.accounts.recorder = Some(Recorder::new(start_ns));
        let end_ns = self.run_until(start_ns + nanoseconds(self.options.duration))?;
        let (server_after, client_after) = (servers(), usage::cpu_time("self"));
        let recorder = self.accounts.recorder.take();
        let mut recorder = recorder.expect("it was put there above");
        recorder.finish(end_ns);
        let used = |after: Option<Duration>, before| Some(after?.saturating_sub(before?));
        Ok(Load {
            elapsed_s: recorder.elapsed_s(end_ns),
            recorder,
            errors: self.accounts.errors,
            server_cpu: used(server_after, server_before),
            client_cpu: used(client_after, client_before),
            server_resident_bytes_max: cluster
                .processes()
                .and_then(|processes| processes.resident_bytes_max()),
        })
    }

    /// Issues nothing more, waits for what is outstanding, and closes all sessions.
    pub(crate) fn finish(mut self) -> Result<Tallied, Failure> {
        self.is_issuing = false;
        let is_drained = self.turn_until(DRAIN_TIME, |accounts, _| accounts.outstanding() == 0)?;
        if !is_drained {
            let (count, why) = (self.accounts.outstanding(), self.last_failure());
            self.accounts.check.on_pending(count, DRAIN_TIME, &why);
        }
        // Whoever answers nothing any more proves nothing; the first outputs are checked in any case.
        self.turn_until(REPEATS_TIME, |_, repeats| repeats == 0)?;
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
        self.turn_until(CLOSE_TIME, |accounts, _| accounts.open_count == 0)?;
        Ok(Tallied {
            counted: self.accounts.counted(),
            seen: self.accounts.seen(),
            check: self.accounts.check,
        })
    }

    fn run_until(&mut self, until_ns: u64) -> Result<u64, Failure> {
        loop {
            let now_ns = self.turn(until_ns)?;
            if let Some(recorder) = &mut self.accounts.recorder {
                recorder.on_time(now_ns);
            }
            if now_ns >= until_ns {
                return Ok(now_ns);
            }
        }
    }

    /// Turns until something is true, at most for a while; says whether it became true. The second number is that
    /// of the repeats that are under way.
    fn turn_until(
        &mut self,
        time: Duration,
        is_true: impl Fn(&Accounts, usize) -> bool,
    ) -> Result<bool, Failure> {
        let until_ns = self.driver.now_ns() + nanoseconds(time);
        loop {
            let repeats = self.repeater.as_ref().map_or(0, Repeater::pending);
            if is_true(&self.accounts, repeats) {
                return Ok(true);
            }
            // Results of repeats come from another thread, without an event here.
            let soon_ns = self.driver.now_ns() + if repeats > 0 { 1_000_000 } else { TURN_NS_MAX };
            if self.turn(until_ns.min(soon_ns))? >= until_ns {
                return Ok(false);
            }
        }
    }

    fn turn(&mut self, until_ns: u64) -> Result<u64, Failure> {
        let until_ns = until_ns.min(self.driver.now_ns() + TURN_NS_MAX);
        self.driver
            .turn(until_ns)
            .map_err(|error| Failure::of_io("wait for connections by epoll", &error))?;
        let now_ns = self.driver.now_ns();
        while let Some(completion) = self.driver.protocol.next_completion() {
            self.accounts.on_completion(completion, now_ns);
        }
        self.refill(now_ns);
        self.take_repeats();
        self.on_sessions();
        self.stop.check()?;
        self.accounts.verdict(self.options.is_checked())?;
        Ok(now_ns)
    }

    /// Issues for the clients that came free.
    fn refill(&mut self, now_ns: u64) {
        let mut free = std::mem::take(&mut self.accounts.free);
        if self.is_issuing {
            for client in &free {
                self.refill_client(*client, now_ns);
            }
        }
        free.clear();
        self.accounts.free = free;
    }

    fn refill_client(&mut self, client: usize, now_ns: u64) {
        let in_flight = usize::from(self.options.in_flight);
        while self.accounts.clients[client].outstanding() < in_flight {
            let is_issued = match self.accounts.workload.draw() {
                Kind::Write => self.write(client, now_ns),
                Kind::Read => self.read(client, now_ns),
            };
            // The next answer to this client brings it here again.
            if !is_issued {
                return;
            }
        }
    }

    fn write(&mut self, client: usize, now_ns: u64) -> bool {
        let account = &self.accounts.clients[client];
        let sequence = account.next_sequence();
        let workload = &self.accounts.workload;
        let submitted = self
            .driver
            .protocol
            .submit(account.key, APPEND, u64::MAX, |out| {
                workload.write_payload(client, sequence.number(), out);
            });
        let Ok(number) = submitted else {
            return false;
        };
        assert_eq!(
            number, sequence,
            "the numbers of a session are dense, and every one is issued here"
        );
        self.accounts.clients[client].on_write_issued(now_ns);
        self.issued_count += 1;
        if self.issued_count % REPEAT_EVERY == REPEAT_AT {
            self.repeat(client, sequence);
        }
        true
    }

    fn read(&mut self, client: usize, now_ns: u64) -> bool {
        let account = &self.accounts.clients[client];
        if account.session.is_none() {
            return false;
        }
        let question = Question {
            session: Some(account.key),
            group: account.group,
            operation: MINE,
            level: self.options.level().query_level(),
            deadline_ns: u64::MAX,
        };
        let query = self
            .driver
            .protocol
            .ask(question, |out| Mine {}.encode(out));
        self.accounts.on_read_issued(client, query, now_ns);
        true
    }

    /// Sends a command that was just issued a second time, on another connection.
    fn repeat(&mut self, client: usize, sequence: SequenceNumber) {
        let account = &self.accounts.clients[client];
        let (Some(repeater), Some(session)) = (&mut self.repeater, account.session) else {
            return;
        };
        let acknowledged_below = SequenceNumber::new(account.completed() + 1);
        let header = CommandHeader::new(session, sequence, acknowledged_below, APPEND);
        let mut payload = header.bytes().to_vec();
        let workload = &self.accounts.workload;
        workload.write_payload(client, sequence.number(), &mut payload);
        let place = account.place(sequence, Index::ZERO);
        self.accounts.check.expect_repeat(place);
        repeater.repeat(place, payload);
    }

    fn take_repeats(&mut self) {
        let Some(repeater) = &mut self.repeater else {
            return;
        };
        while let Some(repeated) = repeater.next() {
            match repeated {
                Repeated::Output(place, output) => self.accounts.check.on_repeat(place, &output),
                Repeated::GivenUp(place) => self.accounts.check.forget_repeat(place),
            }
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

    fn last_failure(&self) -> String {
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

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}
