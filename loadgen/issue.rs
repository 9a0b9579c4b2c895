//! What is sent in a turn: for each client that came free, or whatever is due.
//!
//! ```text
//!   closed loop   a client came free ──> fill its window
//!   open loop     what is due ──> the clients that have room, in turn; flushed at once, so that it is
//!                                 known when it left
//! ```

use crate::failure::{Exit, Failure};
use crate::options::Readers;
use crate::pacer::{Pacer, QUEUE_MAX, QueueFull};
use crate::repeat_link::Repeated;
use crate::worker::Worker;
use crate::workload::Kind;
use margay_client::protocol::Question;
use margay_machine::{Command, CommandHeader, Encode, Query};
use margay_resources::bench::{Append, Bench, Mine, Total};
use margay_types::{Index, OperationId, SequenceNumber};

/// One command of so many is sent twice.
const REPEAT_EVERY: u64 = 1_000;

/// Which one of them: not the first ones, when sessions are not attached on the other connection yet.
const REPEAT_AT: u64 = REPEAT_EVERY / 2;

/// Sends of an open loop that are encoded before they are flushed: the first one waits for so many.
const SENDS_PER_FLUSH: usize = 256;

const APPEND: OperationId = <Append<'_> as Command<Bench>>::OPERATION;
const MINE: OperationId = <Mine as Query<Bench>>::OPERATION;
const TOTAL: OperationId = <Total as Query<Bench>>::OPERATION;

impl Worker<'_> {
    /// Issues what may be issued now.
    pub(crate) fn issue_due(&mut self, now_ns: u64) -> Result<(), Failure> {
        if let Some(mut pacer) = self.pacer.take() {
            let paced = self.pace(&mut pacer, now_ns);
            self.pacer = Some(pacer);
            return paced.map_err(|QueueFull| self.too_far_behind());
        }
        let mut free = std::mem::take(&mut self.accounts.free);
        if self.is_issuing {
            for client in &free {
                self.refill_client(*client, now_ns);
            }
        }
        free.clear();
        self.accounts.free = free;
        Ok(())
    }

    fn refill_client(&mut self, client: usize, now_ns: u64) {
        while self.has_room(client) {
            let kind = self.accounts.workload.draw();
            // The next answer to this client brings it here again.
            if !self.issue(client, kind, now_ns) {
                return;
            }
        }
    }

    fn pace(&mut self, pacer: &mut Pacer, now_ns: u64) -> Result<(), QueueFull> {
        for client in self.accounts.free.drain(..) {
            pacer.on_room(client, now_ns);
        }
        pacer.on_time(now_ns, &mut self.accounts.workload)?;
        while let Some((intent, client)) = pacer.next() {
            // The next answer to a client without room brings it into the turn again.
            if !self.has_room(client) || !self.issue(client, intent.kind, intent.intended_ns) {
                continue;
            }
            pacer.on_issued();
            if self.has_room(client) {
                pacer.stays_in_turn(client);
            }
            if pacer.leaving_count() == SENDS_PER_FLUSH {
                self.flush(pacer);
            }
        }
        self.flush(pacer);
        Ok(())
    }

    fn flush(&mut self, pacer: &mut Pacer) {
        if pacer.leaving_count() > 0 {
            self.driver.flush();
            pacer.on_left(self.driver.now_ns());
        }
    }

    fn too_far_behind(&self) -> Failure {
        let title = "the run is invalid: the cluster is too far behind the offered rate";
        let failure = Failure::new(Exit::NotReached, title);
        let failure = match self.options.rate {
            Some(rate) => failure.with("offered", format!("{rate} per second")),
            None => failure,
        };
        failure
            .with(
                "waiting",
                format!("{QUEUE_MAX} sends, for clients that have room"),
            )
            .remedy("offer less by --rate, or give more room by --clients and --in-flight")
    }

    fn has_room(&self, client: usize) -> bool {
        let in_flight = usize::from(self.options.in_flight);
        self.accounts.clients[client].outstanding() < in_flight
    }

    /// Issues one operation, whose time counts from `from_ns`; says whether the client took it.
    fn issue(&mut self, client: usize, kind: Kind, from_ns: u64) -> bool {
        match kind {
            Kind::Write => self.write(client, from_ns),
            Kind::Read => self.read(client, from_ns),
        }
    }

    fn write(&mut self, client: usize, from_ns: u64) -> bool {
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
        self.accounts.clients[client].on_write_issued(from_ns);
        self.issued_count += 1;
        if self.issued_count % REPEAT_EVERY == REPEAT_AT {
            self.repeat(client, sequence);
        }
        true
    }

    fn read(&mut self, client: usize, from_ns: u64) -> bool {
        let account = &self.accounts.clients[client];
        if account.session.is_none() {
            return false;
        }
        // The leader is asked for what it has of the session; other members, outside of any, for the total.
        let is_of_session = self.options.readers() == Readers::Leader;
        let question = Question {
            session: is_of_session.then_some(account.key),
            group: account.group,
            operation: if is_of_session { MINE } else { TOTAL },
            level: self.options.level().query_level(),
            deadline_ns: u64::MAX,
        };
        let query = self
            .driver
            .protocol
            .ask(question, |out| match is_of_session {
                true => Mine {}.encode(out),
                false => Total {}.encode(out),
            });
        self.accounts.on_read_issued(client, query, from_ns);
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

    /// Compares the repeats that were answered.
    pub(crate) fn take_repeats(&mut self) {
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
}
