//! A process that is stopped for a while knows nothing of it: its clocks must.

use crate::harness::{Cluster, Load, Shape, now, pass};
use margay_client::clock::now_ns;
use margay_client::{Completion, Driver, Options, Outcome, Protocol, Question};
use margay_machine::{Decode, Query};
use margay_resources::bench::{Bench, GrandTotal, Total};
use margay_types::{ClientId, GroupId};
use margay_wire::client::QueryLevel;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(3);

/// A client whose questions lie in the socket of a leader that does not run.
struct Reader {
    driver: Driver,
    group: GroupId,
}

impl Reader {
    fn new(cluster: &Cluster, group: GroupId) -> Self {
        // It must not give the connection up while the leader is stopped.
        let options = Options {
            silence_ns: u64::MAX / 2,
            ..Options::default()
        };
        let client = ClientId::new(*b"a reader of old ");
        let mut protocol = Protocol::new(options, cluster.endpoints(), client, 1);
        protocol.on_time(now_ns());
        let driver = Driver::new(protocol).expect("the kernel has an epoll");
        Self { driver, group }
    }

    fn ask(&mut self, level: QueryLevel) {
        let question = Question {
            session: None,
            group: self.group,
            operation: <Total as Query<Bench>>::OPERATION,
            level,
            deadline_ns: u64::MAX,
        };
        self.driver.protocol.ask(question, |_| {});
        self.driver.flush();
    }

    /// The totals that so many questions were answered with.
    fn answers(&mut self, count: usize) -> Vec<u64> {
        let end = now() + Duration::from_secs(60);
        let mut totals = Vec::new();
        while totals.len() < count {
            assert!(now() < end, "no answer in time");
            self.driver
                .turn(now_ns() + 20_000_000)
                .expect("epoll works");
            while let Some(completion) = self.driver.protocol.next_completion() {
                let Completion::Query {
                    outcome: Outcome::Done(bytes),
                    ..
                } = completion
                else {
                    panic!("a query without an answer: {completion:?}");
                };
                totals.push(GrandTotal::decode(bytes).expect("a total").total.get());
            }
        }
        totals
    }
}

/// Look at the answers of the old leader: its lease ran out while it did not run, and it cannot know that others
/// wrote meanwhile.
#[test]
fn a_leader_that_was_stopped_answers_nothing_old() {
    let cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, Shape::default());
    let stopped = cluster.leader(group);
    let mut reader = Reader::new(&cluster, group);
    for level in [QueryLevel::Linearizable, QueryLevel::BoundedLinearizable] {
        // The connection to the leader stands, and is warm.
        reader.ask(level);
        assert!(reader.answers(1)[0] > 0);
    }
    cluster.nodes[stopped].freeze();
    cluster.leader_among(group, |at| at != stopped);
    pass(PAUSE);
    load.advance(200);
    let acknowledged = load.answered();
    for level in [QueryLevel::Linearizable, QueryLevel::BoundedLinearizable] {
        reader.ask(level);
    }
    cluster.nodes[stopped].thaw();
    for total in reader.answers(2) {
        assert!(
            total >= acknowledged,
            "{total} is older than {acknowledged}"
        );
    }
    load.advance(200);
    load.finish();
    cluster.finish();
}

#[test]
fn a_follower_that_was_stopped_catches_up() {
    let cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, Shape::default());
    let stopped = (cluster.leader(group) + 1) % cluster.nodes.len();
    cluster.nodes[stopped].freeze();
    pass(PAUSE / 2);
    load.advance(200);
    cluster.nodes[stopped].thaw();
    load.advance(200);
    load.finish();
    cluster.finish();
}
