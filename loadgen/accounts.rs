//! What each client has outstanding, and what becomes of it when answers come.
//!
//! Commands of one session complete in the order in which they were issued. So a queue of times per
//! client is enough to know how long each took, and a chain per client what each must have come to.
//!
//! Time counts from when an operation was issued in a closed loop, and from when it was meant to be in an
//! open one.

use crate::chain::Chain;
use crate::check::{Check, Place};
use crate::failure::{Exit, Failure};
use crate::histogram::Recorder;
use crate::workload::{Kind, Workload};
use margay_client::{Completion, Outcome, QueryKey, SessionKey};
use margay_machine::Decode;
use margay_resources::bench::{Appended, GrandTotal, Tally};
use margay_types::{GroupId, Index, SequenceNumber, SessionId};
use std::collections::{BTreeMap, VecDeque};

/// One client: a session in one group.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) key: SessionKey,
    pub(crate) group: GroupId,
    /// Once it is open.
    pub(crate) session: Option<SessionId>,
    /// From when the time of each command under way counts, in order.
    writes_ns: VecDeque<u64>,
    reads: usize,
    /// Commands issued so far: the number of the last one.
    issued: u64,
    chain: Chain,
    /// Greatest index that an answer named.
    seen: Index,
}

/// The newest state of a group that an answer told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// At this index.
    pub(crate) index: Index,
    /// So many commands of all sessions.
    pub(crate) total: u64,
}

/// A read under way.
#[derive(Clone, Copy, Debug)]
struct Read {
    client: usize,
    issued_ns: u64,
    /// Commands of the session that were complete when it was asked.
    completed: u64,
    /// What any client had seen of the group then.
    seen: Seen,
}

/// Operations that were not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    pub(crate) writes: u64,
    pub(crate) reads: u64,
}

impl Errors {
    /// Of all kinds.
    pub(crate) const fn count(self) -> u64 {
        self.writes + self.reads
    }
}

/// All clients.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) clients: Vec<Account>,
    pub(crate) workload: Workload,
    pub(crate) check: Check,
    /// There while it is measured.
    pub(crate) recorder: Option<Recorder>,
    /// Operations of earlier times are not measured: in an open loop those of the warm-up.
    pub(crate) measured_from_ns: u64,
    pub(crate) errors: Errors,
    /// Clients that may issue more, in the order in which they came free; one may be named several times.
    pub(crate) free: Vec<usize>,
    /// Clients whose session is gone.
    pub(crate) lost: Vec<usize>,
    /// Sessions that opened since this was last taken.
    pub(crate) opened: Vec<usize>,
    pub(crate) open_count: usize,
    by_slot: Vec<usize>,
    reads: Vec<Option<Read>>,
    reads_session: bool,
    /// Reads see whatever had been answered to anybody before.
    demands_newest: bool,
    /// By group, when reads are asked outside of sessions: whoever reads later sees no less.
    group_seen: BTreeMap<GroupId, Seen>,
    refused: Option<Failure>,
    scratch: Vec<u8>,
}

impl Account {
    pub(crate) fn new(key: SessionKey, group: GroupId, in_flight: usize) -> Self {
        Self {
            key,
            group,
            session: None,
            writes_ns: VecDeque::with_capacity(in_flight),
            reads: 0,
            issued: 0,
            chain: Chain::default(),
            seen: Index::ZERO,
        }
    }

    /// Operations under way.
    pub(crate) fn outstanding(&self) -> usize {
        self.writes_ns.len() + self.reads
    }

    /// The number of the next command.
    pub(crate) const fn next_sequence(&self) -> SequenceNumber {
        SequenceNumber::new(self.issued + 1)
    }

    /// Commands that were complete so far, from the first on.
    pub(crate) fn completed(&self) -> u64 {
        self.issued - self.writes_ns.len() as u64
    }

    /// Where the client's command of that number stands.
    pub(crate) fn place(&self, sequence: SequenceNumber, index: Index) -> Place {
        Place {
            group: self.group,
            session: self.session.unwrap_or_default(),
            sequence,
            index,
        }
    }

    pub(crate) fn on_write_issued(&mut self, now_ns: u64) {
        self.issued += 1;
        self.writes_ns.push_back(now_ns);
    }
}

impl Accounts {
    pub(crate) fn new(clients: Vec<Account>, workload: Workload, check: Check) -> Self {
        let mut accounts = Self {
            clients,
            workload,
            check,
            recorder: None,
            measured_from_ns: 0,
            errors: Errors::default(),
            free: Vec::new(),
            lost: Vec::new(),
            opened: Vec::new(),
            open_count: 0,
            by_slot: Vec::new(),
            reads: Vec::new(),
            reads_session: true,
            demands_newest: true,
            group_seen: BTreeMap::new(),
            refused: None,
            scratch: Vec::new(),
        };
        for client in 0..accounts.clients.len() {
            accounts.index(client);
        }
        accounts
    }

    /// Reads are asked outside of sessions: for the totals of the groups.
    pub(crate) fn read_totals(&mut self, is_linearizable: bool) {
        self.reads_session = false;
        self.demands_newest = is_linearizable;
    }

    /// The client has a new session.
    pub(crate) fn reopen(&mut self, client: usize, key: SessionKey) {
        let account = &mut self.clients[client];
        let capacity = account.writes_ns.capacity();
        *account = Account::new(key, account.group, capacity);
        self.index(client);
    }

    fn index(&mut self, client: usize) {
        let slot = self.clients[client].key.slot();
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, usize::MAX);
        }
        self.by_slot[slot] = client;
    }

    fn client(&self, key: SessionKey) -> Option<usize> {
        let client = self.by_slot.get(key.slot()).copied()?;
        (self.clients.get(client)?.key == key).then_some(client)
    }

    /// A read was asked.
    pub(crate) fn on_read_issued(&mut self, client: usize, query: QueryKey, now_ns: u64) {
        let slot = query.slot();
        if self.reads.len() <= slot {
            self.reads.resize(slot + 1, None);
        }
        let account = &mut self.clients[client];
        account.reads += 1;
        let seen = self.group_seen.get(&account.group);
        self.reads[slot] = Some(Read {
            client,
            issued_ns: now_ns,
            completed: account.completed(),
            seen: seen.copied().unwrap_or_default(),
        });
    }

    /// Operations under way, over all clients.
    pub(crate) fn outstanding(&self) -> usize {
        self.clients.iter().map(Account::outstanding).sum()
    }

    /// Commands applied, by group.
    pub(crate) fn counted(&self) -> BTreeMap<GroupId, u64> {
        let mut counted = BTreeMap::new();
        for account in &self.clients {
            *counted.entry(account.group).or_default() += account.chain.count();
        }
        counted
    }

    /// The greatest index that was seen in each group.
    pub(crate) fn seen(&self) -> BTreeMap<GroupId, Index> {
        let mut seen: BTreeMap<GroupId, Index> = BTreeMap::new();
        for account in &self.clients {
            let known = seen.entry(account.group).or_default();
            *known = account.seen.max(*known);
        }
        seen
    }

    /// An error when the cluster refuses what no repeating changes, or a rule of the check broke.
    pub(crate) fn verdict(&self, is_checked: bool) -> Result<(), Failure> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        if is_checked {
            self.check.verdict()?;
        }
        Ok(())
    }

    /// News of the client.
    pub(crate) fn on_completion(&mut self, completion: Completion<'_>, now_ns: u64) {
        match completion {
            Completion::Command {
                session,
                sequence,
                index,
                outcome,
            } => {
                if let Some(client) = self.client(session) {
                    self.on_command(client, (sequence, index), outcome, now_ns);
                }
            }
            Completion::Query {
                query,
                index,
                outcome,
            } => self.on_query(query, index, outcome, now_ns),
            Completion::Opened { session, id } => {
                if let Some(client) = self.client(session) {
                    self.clients[client].session = Some(id);
                    self.open_count += 1;
                    self.opened.push(client);
                    self.free.push(client);
                }
            }
            Completion::NotOpened { refusal, .. } => {
                let failure = Failure::new(Exit::Refused, "a session was not opened");
                self.refused.get_or_insert(failure.with("reason", refusal));
            }
            Completion::Lost { session, refusal } => {
                if let Some(client) = self.client(session) {
                    self.open_count -= 1;
                    let account = &self.clients[client];
                    let place = account.place(account.next_sequence(), account.seen);
                    self.check.on_lost(place, &refusal.to_string());
                    self.lost.push(client);
                }
            }
            Completion::Closed { session } => {
                if self.client(session).is_some() {
                    self.open_count -= 1;
                }
            }
            // Operations have no deadline here, and the machine publishes no events.
            Completion::Pending { .. }
            | Completion::QueryTimedOut { .. }
            | Completion::Event { .. } => {}
        }
    }

    fn on_command(
        &mut self,
        client: usize,
        (sequence, index): (SequenceNumber, Index),
        outcome: Outcome<'_>,
        now_ns: u64,
    ) {
        let account = &mut self.clients[client];
        let issued_ns = account.writes_ns.pop_front();
        let issued_ns = issued_ns.expect("a command completes after it was issued");
        account.seen = account.seen.max(index);
        self.free.push(client);
        if matches!(outcome, Outcome::Done(_) | Outcome::NoOutput(_)) {
            self.scratch.clear();
            self.workload
                .write_payload(client, sequence.number(), &mut self.scratch);
            account.chain.advance(&self.scratch);
        }
        if let Outcome::Done(output) = outcome {
            let place = account.place(sequence, index);
            self.check.on_output(place, account.chain, output);
            if !self.reads_session
                && let Ok(appended) = Appended::decode(output)
            {
                let total = appended.total.get();
                self.note_seen(place.group, Seen { index, total });
            }
            self.record(Kind::Write, (issued_ns, now_ns));
        } else {
            self.errors.writes += u64::from(self.is_measured(issued_ns));
        }
    }

    fn on_query(&mut self, query: QueryKey, index: Index, outcome: Outcome<'_>, now_ns: u64) {
        let found = self.reads.get_mut(query.slot()).and_then(Option::take);
        let Some(read) = found else { return };
        let account = &mut self.clients[read.client];
        account.reads -= 1;
        self.free.push(read.client);
        let Outcome::Done(output) = outcome else {
            self.errors.reads += u64::from(self.is_measured(read.issued_ns));
            return;
        };
        account.seen = account.seen.max(index);
        let place = account.place(SequenceNumber::new(account.issued), index);
        if self.reads_session {
            let tally = Tally::decode(output).map_or(u64::MAX, |tally| tally.count.get());
            self.check.on_tally(place, tally, read.completed);
        } else {
            let total = GrandTotal::decode(output).map_or(0, |answer| answer.total.get());
            let seen = Seen { index, total };
            if self.demands_newest {
                self.check.on_total(place, seen, read.seen);
            }
            self.note_seen(place.group, seen);
        }
        self.record(Kind::Read, (read.issued_ns, now_ns));
    }

    fn note_seen(&mut self, group: GroupId, seen: Seen) {
        let known = self.group_seen.entry(group).or_default();
        if seen.index > known.index {
            *known = seen;
        }
    }

    const fn is_measured(&self, issued_ns: u64) -> bool {
        self.recorder.is_some() && issued_ns >= self.measured_from_ns
    }

    fn record(&mut self, kind: Kind, (issued_ns, now_ns): (u64, u64)) {
        if issued_ns < self.measured_from_ns {
            return;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.record(kind, now_ns - issued_ns);
        }
    }
}
