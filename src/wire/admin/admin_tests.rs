use super::*;
use crate::client::{Answer, response};
use crate::splitter::Splitter;
use margay_types::{ClusterId, GroupId, Incarnation, Index, NodeId, ProcessLife, ShardId, Term};
use proptest::prelude::*;
use system::{Creation, CreationList, CreationMember, SystemQuery};

fn keyspace() -> Keyspace {
    Keyspace {
        name: "orders".to_owned(),
        machine: "kv".to_owned(),
        machine_version: 1,
        created: Index::new(300),
        groups: vec![GroupId::new(1), GroupId::new(2)],
    }
}

fn map() -> Map {
    let node = |number: u16, shards| MapNode {
        node: NodeId::new(number),
        incarnation: Incarnation::new([7; 16]),
        address: format!("n{number}:7400"),
        shards,
        shard_ports: vec![7401],
    };
    Map {
        cluster: ClusterId::new([1; 16]),
        version: Index::new(9),
        nodes: vec![node(1, 4), node(2, 0)],
        keyspaces: vec![keyspace()],
        groups: vec![MapGroup {
            group: GroupId::new(6),
            incarnation: 0,
            members: vec![NodeId::new(1), NodeId::new(2)],
            leader: Some(LeaderHint {
                node: NodeId::new(2),
                term: Term::new(3),
            }),
        }],
    }
}

/// The body of the one frame in `stream`.
fn only_body(kind: FrameKind, stream: &[u8]) -> Vec<u8> {
    let mut splitter = Splitter::default();
    let frames: Vec<_> = splitter.split(stream).collect();
    let [Ok(frame)] = frames.as_slice() else {
        panic!("one frame, not {frames:?}")
    };
    assert_eq!(frame.kind, kind);
    frame.body.to_vec()
}

#[test]
fn a_request_travels_in_its_frame_and_its_answer_in_a_response() {
    let asked = KeyspaceCreate {
        name: "orders".to_owned(),
        machine: "kv".to_owned(),
        machine_version: 1,
        options: vec![1, 2],
        groups: 2,
        replicas: 3,
    };
    let mut out = Vec::new();
    write_request(&mut out, 1, &asked).expect("it fits");
    let body = only_body(FrameKind::KeyspaceCreate, &out);
    assert_eq!(read_request::<KeyspaceCreate>(&body), Ok(asked));

    out.clear();
    let answer = KeyspaceCreated::Created(keyspace());
    write_answer::<KeyspaceCreate>(&mut out, 1, ResponseHead::default(), &answer).expect("it fits");
    let body = only_body(FrameKind::Response, &out);
    let Ok(Answer::Done(output)) = response(&body).map(|response| response.answer) else {
        panic!("a done answer")
    };
    assert_eq!(read_answer::<KeyspaceCreate>(output), Ok(answer));
}

#[test]
fn what_does_not_fit_in_a_frame_is_refused_and_leaves_nothing() {
    let mut out = vec![1, 2, 3];
    let asked = Bootstrap {
        genesis: vec![0; FRAME_BYTES_MAX],
    };
    assert!(matches!(
        write_request(&mut out, 1, &asked),
        Err(WireError::TooLong { .. })
    ));
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn a_map_is_searched_by_id_and_name() {
    let map = map();
    assert_eq!(
        map.node(NodeId::new(2)).map(|node| node.address.as_str()),
        Some("n2:7400")
    );
    assert_eq!(map.node(NodeId::new(3)), None);
    assert_eq!(
        map.group(GroupId::new(6)).map(|group| group.members.len()),
        Some(2)
    );
    assert_eq!(
        map.keyspace("orders").map(|keyspace| keyspace.groups.len()),
        Some(2)
    );
    assert_eq!(map.nodes[0].shard_of(GroupId::new(6)), ShardId::new(2));
    assert_eq!(map.nodes[1].shard_of(GroupId::new(6)), ShardId::new(0));
}

#[test]
fn a_chain_is_compared_at_an_index_that_both_hold() {
    let link = |index, byte| ChainLink {
        index: Index::new(index),
        hash: [byte; 16],
    };
    let chain = Chain {
        applied: link(5_000, 1),
        samples: vec![link(4_096, 2)],
    };
    assert_eq!(chain.at(Index::new(5_000)), Some([1; 16]));
    assert_eq!(chain.at(Index::new(4_096)), Some([2; 16]));
    assert_eq!(chain.at(Index::new(8_192)), None);
}

/// Bytes that other versions write: they must never change.
#[test]
fn encodings_stay_what_they_are() {
    let mut out = Vec::new();
    encode(&mut out, &keyspace()).expect("it encodes");
    assert_eq!(out, b"\x06orders\x02kv\x01\xac\x02\x02\x01\x02");

    out.clear();
    let info = NodeInfo {
        version: "0.1.0".to_owned(),
        incarnation: Incarnation::new([7; 16]),
        life: ProcessLife::new(1),
        formation: Formation::Blank,
        address: "a:1".to_owned(),
        shards: 2,
        shard_ports: vec![],
    };
    encode(&mut out, &info).expect("it encodes");
    assert_eq!(
        out,
        [&b"\x050.1.0"[..], &[7; 16], b"\x01\x00\x03a:1\x02\x00"].concat()
    );
}

#[test]
fn creations_travel_whole() {
    let list = CreationList {
        creations: vec![Creation {
            group: GroupId::new(1),
            created: Index::new(3),
            keyspace: "orders".to_owned(),
            machine: "kv".to_owned(),
            machine_version: 1,
            options: vec![],
            members: vec![CreationMember {
                node: NodeId::new(1),
                replica: margay_types::ReplicaNumber::new(1),
                incarnation: Incarnation::new([7; 16]),
            }],
        }],
    };
    let mut out = Vec::new();
    encode(&mut out, &list).expect("it encodes");
    assert_eq!(
        decode::<<system::Creations as SystemQuery>::Output>("creations", &out),
        Ok(list)
    );
    out.push(0);
    assert_eq!(
        decode::<CreationList>("creations", &out),
        Err(WireError::Trailing {
            what: "creations",
            bytes: 1
        })
    );
}

proptest! {
    /// Lengths in the bytes are not believed: decoding neither panics nor allocates what is announced.
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_request::<KeyspaceCreate>(&body);
        let _ = read_request::<Bootstrap>(&body);
        let _ = read_answer::<NodeInfoRequest>(&body);
        let _ = read_answer::<StatusRequest>(&body);
        let _ = read_answer::<ChainRequest>(&body);
        let _ = read_answer::<MapRequest>(&body);
        let _ = decode::<CreationList>("creations", &body);
    }
}
