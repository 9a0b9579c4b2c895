//! What it costs to check a command and to apply it, with the session table around the machine `bench`.
//!
//! Sessions take turns, so that with many of them the table, not the processor's cache, holds the state. Writing the
//! 24 bytes of the header that differ from command to command is part of it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use margay_machine::{
    Answers, Command, CommandHeader, CommandView, Host, Input, Limits, Open, Registry,
};
use margay_resources::bench::{Append, Bench};
use margay_types::{ClientId, Index, LogTime, SequenceNumber, SessionId, Term};
use std::hint::black_box;
use std::time::Duration;

const COMMAND_BYTES: usize = 256;
const SESSION_TIMEOUT_MS: u32 = 5_000;

/// A group with sessions, and what comes next.
struct Stand {
    host: Host,
    answers: Answers,
    sessions: u64,
    applied: u64,
    payload: Vec<u8>,
}

impl Stand {
    fn new(sessions: u64) -> Self {
        let registry = Registry::new().machine::<Bench>("bench");
        let host = Host::new(&registry, "bench", &[], Limits::default());
        let header_bytes = margay_machine::COMMAND_HEADER_BYTES;
        let mut stand = Self {
            host: host.expect("a machine without options"),
            answers: Answers::new(),
            sessions,
            applied: 0,
            payload: vec![7; header_bytes + COMMAND_BYTES],
        };
        for number in 1..=sessions {
            let mut client = [0; 16];
            client[..8].copy_from_slice(&number.to_le_bytes());
            let open = Open::new(ClientId::new(client), 1, SESSION_TIMEOUT_MS);
            stand.apply(Input::Open(&open));
        }
        stand
    }

    fn apply(&mut self, input: Input<'_>) {
        let index = self.host.applied_index().next();
        self.answers.clear();
        let applied = self
            .host
            .apply(index, LogTime::ZERO, Term::new(1), input, &mut self.answers);
        applied.expect("the machine does not stop");
    }

    /// The next session's next command; ids of sessions are the indexes that they were opened at.
    fn command(&mut self) {
        let session = SessionId::new(self.applied % self.sessions + 1);
        let sequence = SequenceNumber::new(self.applied / self.sessions + 1);
        self.applied += 1;
        let operation = <Append<'_> as Command<Bench>>::OPERATION;
        let header = CommandHeader::new(session, sequence, sequence, operation);
        let mut payload = std::mem::take(&mut self.payload);
        payload[..header.bytes().len()].copy_from_slice(header.bytes());
        black_box(self.host.check_command(&payload).expect("a good command"));
        let view = CommandView::decode(&payload).expect("a good header");
        self.apply(Input::Command(view));
        self.payload = payload;
    }
}

fn session_apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session_apply");
    group.throughput(Throughput::Elements(1));
    for sessions in [1_u64, 1_000, 100_000] {
        let mut stand = Stand::new(sessions);
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            bencher.iter(|| stand.command());
        });
        assert!(stand.host.applied_index() > Index::new(sessions));
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
}

criterion_group! { name = benches; config = short(); targets = session_apply }
criterion_main!(benches);
