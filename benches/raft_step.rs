//! What an entry costs the leader's core of a group of three: propose, flush, own write, two answers, commit.
//!
//! One iteration is one turn with so many entries; its effects are made and thrown away.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use margay_raft::message::{AppendOutcome, AppendResponse, PreVoteResponse, RequestVoteResponse};
use margay_raft::{
    Configuration, Effect, EntryKind, Member, Message, Options, Replica, Restored, Role, Round,
    WriteId,
};
use margay_types::{Index, NodeId, ReplicaNumber};
use std::time::Duration;

const RECORD_BYTES: u32 = 288;
const OWN: u16 = 1;
const OTHERS: [u16; 2] = [2, 3];

/// The leader, and the effects of its last input.
struct Leader {
    replica: Replica,
    effects: Vec<Effect>,
}

impl Leader {
    fn elected() -> Self {
        let member = |number| Member {
            number: ReplicaNumber::new(number),
            node: NodeId::new(number),
        };
        let configuration = Configuration {
            voters: [OWN, OTHERS[0], OTHERS[1]].map(member).to_vec(),
            ..Configuration::default()
        };
        let restored = Restored {
            configurations: vec![(Index::ZERO, configuration)],
            ..Restored::default()
        };
        let replica = Replica::new(ReplicaNumber::new(OWN), Options::default(), restored, 1);
        let mut leader = Self {
            replica,
            effects: Vec::new(),
        };
        while leader.replica.role() != Role::PreCandidate {
            leader.replica.tick(&mut leader.effects);
        }
        let term = leader.replica.term().next();
        let granted = true;
        leader.step_all(Message::PreVoteResponse(PreVoteResponse { term, granted }));
        leader.write_all();
        leader.step_all(Message::RequestVoteResponse(RequestVoteResponse {
            term,
            granted,
        }));
        assert_eq!(leader.replica.role(), Role::Leader);
        leader.write_all();
        leader.prove();
        leader
    }

    fn step_all(&mut self, message: Message) {
        for other in OTHERS {
            let from = ReplicaNumber::new(other);
            self.replica.step(from, message, &mut self.effects);
        }
    }

    /// Lets the writes among the effects return.
    fn write_all(&mut self) {
        let writes = self.effects.iter().filter_map(|effect| {
            if let Effect::SaveHardState { write, .. } | Effect::StoreOwn { write, .. } = effect {
                Some(*write)
            } else {
                None
            }
        });
        if let Some(last) = writes.max() {
            self.replica.on_written(last, &mut self.effects);
        }
    }

    /// Both others hold everything.
    fn prove(&mut self) {
        let response = AppendResponse {
            term: self.replica.term(),
            outcome: AppendOutcome::Accepted {
                proven: self.replica.last_index(),
            },
            round: Round(0),
            honoured: Options::default().election_ticks_min,
            applies: true,
        };
        self.replica.flush(&mut self.effects);
        self.step_all(Message::AppendResponse(response));
    }

    /// A turn with so many entries, and the answers to it.
    fn turn(&mut self, entries: u64) {
        self.effects.clear();
        let mut last = WriteId(0);
        for _ in 0..entries {
            let proposed = self.replica.propose(EntryKind::CommandPlain, RECORD_BYTES);
            last = proposed.expect("it leads").write;
        }
        self.replica.flush(&mut self.effects);
        self.replica.on_written(last, &mut self.effects);
        self.prove();
    }
}

fn raft_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("raft_step");
    for entries in [1_u64, 64] {
        let mut leader = Leader::elected();
        group.throughput(Throughput::Elements(entries));
        group.bench_function(BenchmarkId::from_parameter(entries), |bencher| {
            bencher.iter(|| leader.turn(entries));
        });
        let (commit, last) = (leader.replica.commit_index(), leader.replica.last_index());
        assert_eq!(commit, last, "everything that was measured was committed");
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
}

criterion_group! { name = benches; config = short(); targets = raft_step }
criterion_main!(benches);
