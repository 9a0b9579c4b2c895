//! Cores of two nodes: they find each other, and whoever is not wanted is refused.

use super::*;

fn peers_of(node: u16, address: SocketAddr) -> Vec<PeerAddress> {
    vec![PeerAddress {
        peer: peer(node),
        incarnation: incarnation(node),
        address: address.to_string(),
    }]
}

fn introduce(first: &Server, second: &Server) {
    let to_second = peers_of(2, second.address());
    let to_first = peers_of(1, first.address());
    second.visit(move |core| core.outbox.set_peers(&to_first));
    first.visit(move |core| core.outbox.set_peers(&to_second));
}

#[test]
fn peers_find_each_other_and_notice_the_end() {
    let first = Server::start(1, config());
    let mut second = Server::start(2, config());
    introduce(&first, &second);
    assert_eq!(first.event(), Event::PeerUp(peer(2), ProcessLife::new(2)));
    assert_eq!(second.event(), Event::PeerUp(peer(1), ProcessLife::new(1)));
    first.visit(|core| {
        let records = Block::holding(&[3; 10_000]).whole();
        let head = margay_wire::frame::header(FrameKind::PeerAppend, 0, records.len() + 2);
        core.outbox.send_peer(peer(2), &head);
        core.outbox.send_peer(peer(2), b"ab");
        core.outbox.send_peer_records(peer(2), records);
    });
    let mut body = b"ab".to_vec();
    body.extend([3; 10_000]);
    assert_eq!(second.event(), Event::PeerFrame(peer(1), body));
    second.stop().unwrap();
    assert_eq!(first.event(), Event::PeerDown(peer(2)));
}

/// A peer that comes back before its old connection is noticed to be dead: down comes before up.
#[test]
fn a_second_connection_of_a_peer_takes_the_place_of_the_first() {
    let server = Server::start(2, config());
    let wanted = peers_of(1, SocketAddr::from(([127, 0, 0, 1], 1)));
    server.visit(move |core| core.outbox.set_peers(&wanted));
    let hello = |life| Hello {
        sender: incarnation(1),
        receiver: incarnation(2),
        life: ProcessLife::new(life),
        from_shard: ShardId::new(0),
        to_shard: ShardId::new(0),
        shard_count: 1,
        ..Hello::of_client(HelloKind::Peer, CLUSTER)
    };
    let mut older = Client::stranger(server.address());
    assert_eq!(older.greet(&hello(10)).refusal, None);
    assert_eq!(server.event(), Event::PeerUp(peer(1), ProcessLife::new(10)));
    let mut newer = Client::stranger(server.address());
    assert_eq!(newer.greet(&hello(11)).refusal, None);
    assert_eq!(server.event(), Event::PeerDown(peer(1)));
    assert_eq!(server.event(), Event::PeerUp(peer(1), ProcessLife::new(11)));
    assert_eq!(older.end(), b"");
    drop(newer);
    assert_eq!(server.event(), Event::PeerDown(peer(1)));
}

#[test]
fn an_unknown_peer_is_refused_with_the_code() {
    let server = Server::start(2, config());
    let mut stranger = Client::stranger(server.address());
    let hello = Hello {
        sender: incarnation(9),
        ..Hello::of_client(HelloKind::Peer, CLUSTER)
    };
    assert_eq!(stranger.greet(&hello).refusal, Some(Code::UnknownPeer));
    assert_eq!(stranger.end(), b"");
}
