//! Nodes with several shards, and not all with as many: every group lives on the right one, before and after kills.

use crate::harness::{Cluster, Load, Node, Shape, margay, text};
use margay_machine::{Command as MachineCommand, CommandHeader};
use margay_resources::bench::{Append, Bench};
use margay_types::{ClientId, ClusterId, GroupId, SequenceNumber, ShardId};
use margay_wire::Splitter;
use margay_wire::client::{self, Answer, Attached, Command, KeepAlive, KeepAliveItem, Open};
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Two nodes alike, and one that is not: every pair of shards that shares a group has a connection.
const SHARDS: [usize; 3] = [2, 3, 2];
const GROUPS: u32 = 5;

/// A client that does not know the map: it names no shard.
struct Unnamed {
    socket: TcpStream,
    splitter: Splitter,
    /// Bodies of answers that were not looked at.
    arrived: VecDeque<Vec<u8>>,
    requests: u64,
}

impl Unnamed {
    fn connect(node: &Node, shard: ShardId) -> (Self, Hello) {
        let mut socket = TcpStream::connect(node.address()).expect("it listens");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let hello = Hello {
            to_shard: shard,
            ..Hello::of_client(HelloKind::Client, ClusterId::ZERO)
        };
        socket.write_all(&hello.encode()).expect("it reads");
        let mut answer = [0; HELLO_BYTES];
        socket.read_exact(&mut answer).expect("it answers");
        let client = Self {
            socket,
            splitter: Splitter::default(),
            arrived: VecDeque::new(),
            requests: 0,
        };
        (client, Hello::decode(&answer).expect("its hello"))
    }

    /// Sends a request, and takes its answer by `take`.
    fn ask<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
        take: impl Fn(Answer<'_>) -> T,
    ) -> T {
        self.requests += 1;
        let mut bytes = Vec::new();
        write(&mut bytes, self.requests);
        self.socket.write_all(&bytes).expect("it reads");
        self.answer(&take)
    }

    fn answer<T>(&mut self, take: &impl Fn(Answer<'_>) -> T) -> T {
        while self.arrived.is_empty() {
            let mut bytes = [0; 4096];
            let count = self.socket.read(&mut bytes).expect("it answers");
            assert!(count > 0, "it hung up");
            for frame in self.splitter.split(&bytes[..count]) {
                let frame = frame.expect("a good frame");
                assert_eq!(frame.request, self.requests, "one request is under way");
                self.arrived.push_back(frame.body.to_vec());
            }
        }
        let body = self.arrived.pop_front().expect("one has arrived");
        take(client::response(&body).expect("it decodes").answer)
    }

    fn open(&mut self, group: GroupId) -> Attached {
        let open = Open {
            client: ClientId::new([9; 16]),
            attempt: 1,
            group,
            timeout_ms: 60_000,
        };
        let take = |answer: Answer<'_>| match answer {
            Answer::Done(output) => client::attached(output).expect("a session"),
            Answer::Refused(refusal) => panic!("{group}: {refusal:?}"),
        };
        self.ask(|out, request| open.write(out, request), take)
    }

    fn append(&mut self, attached: &Attached, sequence: u64) {
        let header = CommandHeader::new(
            attached.session,
            SequenceNumber::new(sequence),
            SequenceNumber::new(sequence),
            <Append<'_> as MachineCommand<Bench>>::OPERATION,
        );
        let payload = [header.bytes(), &[7; 32]].concat();
        let command = Command {
            attachment: attached.attachment,
            payload: &payload,
        };
        let take = |answer: Answer<'_>| match answer {
            Answer::Done(_) => {}
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        };
        self.ask(|out, request| command.write(out, request), take);
    }
}

/// Requests of a node, and how many of them came in through another shard.
fn hops(node: &Node) -> (u64, u64) {
    let status = node.status().expect("it answers");
    let shards = status.shards.iter();
    shards.fold((0, 0), |(requests, hopped), shard| {
        (requests + shard.requests, hopped + shard.hopped_requests)
    })
}

#[test]
fn nodes_with_different_numbers_of_shards_serve_through_kills_and_clients_do_not_hop() {
    let mut cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(500);
    for place in 0..SHARDS.len() {
        cluster.nodes[place].kill();
        load.advance(100);
        cluster.nodes[place].start();
        load.advance(100);
    }
    load.advance(500);
    load.finish();
    for (node, shards) in cluster.nodes.iter().zip(SHARDS) {
        let status = node.status().expect("it answers");
        assert_eq!(status.shards.len(), shards);
        assert_eq!(status.health, []);
        for group in &status.groups {
            let count = u16::try_from(shards).expect("few");
            assert_eq!(group.shard, group.group.shard(count), "{}", node.address());
        }
        // Operators connect without a shard's name; the load knows the map.
        let (requests, hopped) = hops(node);
        assert!(hopped * 10 < requests, "{hopped} of {requests} hopped");
    }
    cluster.finish();
}

#[test]
fn a_connection_that_names_no_shard_reaches_all_groups_by_one_hop() {
    let cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    let groups = cluster.groups();
    for (place, node) in cluster.nodes.iter().enumerate() {
        let led = groups
            .iter()
            .filter(|group| cluster.leader(**group) == place);
        let (mut client, hello) = Unnamed::connect(node, ShardId::ANY);
        assert_eq!(
            hello.from_shard,
            ShardId::FIRST,
            "the well-known port is its"
        );
        let sessions: Vec<Attached> = led.map(|group| client.open(*group)).collect();
        for sequence in 1..=3 {
            for session in &sessions {
                client.append(session, sequence);
            }
        }
        let items = sessions.iter().map(|session| KeepAliveItem {
            attachment: session.attachment,
            acknowledged_below: SequenceNumber::new(4),
            events_received: 0,
        });
        let count = u32::try_from(SHARDS[place]).expect("few");
        let givers = sessions.iter().map(|it| it.attachment.0 % count);
        let givers: BTreeSet<u32> = givers.collect();
        let nobody_detached = |answer: Answer<'_>| match answer {
            Answer::Done(output) => assert_eq!(client::detached(output).count(), 0),
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        };
        if givers.is_empty() {
            continue;
        }
        // Each shard answers for what it gave out.
        client.ask(
            |out, request| KeepAlive::write(out, request, items),
            nobody_detached,
        );
        for _ in 1..givers.len() {
            client.answer(&nobody_detached);
        }
        let elsewhere = givers.iter().any(|shard| *shard != 0);
        assert!(!elsewhere || hops(node).1 > 0, "hops are counted");
    }
    cluster.finish();
}

#[test]
fn the_well_known_port_hands_a_connection_to_the_shard_that_it_names() {
    let cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    let node = &cluster.nodes[1];
    for shard in (0..3).map(ShardId::new) {
        let (_client, hello) = Unnamed::connect(node, shard);
        assert_eq!((hello.from_shard, hello.refusal), (shard, None));
        assert_eq!(hello.shard_count, 3);
    }
    let (_client, hello) = Unnamed::connect(node, ShardId::new(3));
    assert_eq!(hello.refusal, Some(margay_wire::Code::UnknownShard));
    cluster.finish();
}

#[test]
fn a_start_with_another_number_of_shards_is_refused_and_changes_nothing() {
    let mut cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    cluster.nodes[1].stop();
    for cores in ["anywhere:1", "anywhere:2", "anywhere:4"] {
        let data = text(cluster.nodes[1].data());
        let mut run = margay(&["run", "--data", data, "--cores", cores]);
        let ended = run.output().expect("the binary was built");
        let printed = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{printed}");
        assert!(printed.contains("M127"), "{printed}");
        assert!(printed.contains("anywhere:3"), "{printed}");
    }
    cluster.nodes[1].start();
    cluster.finish();
}
