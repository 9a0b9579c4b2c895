//! Judges hellos: who may talk to this core, and why not.
//!
//! Pure functions of the hello, of who we are and of whom the shard wants to talk to.

use super::driven::Identity;
use crate::shard::{PeerAddress, PeerId};
use margay_types::{ClusterId, ProcessLife, ShardId};
use margay_wire::hello::{PROTOCOL_MAX, PROTOCOL_MIN};
use margay_wire::{Code, FRAME_BYTES_MAX, Hello, HelloKind};

/// Who has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A client or an operator.
    Client,
    /// A core of another node.
    Peer(PeerId, ProcessLife),
}

/// Our side of a hello.
pub(super) fn own_hello(me: &Identity, kind: HelloKind) -> Hello {
    Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        kind,
        sender: me.incarnation,
        life: me.life,
        from_shard: me.shard,
        shard_count: me.shard_count,
        ..Hello::of_client(kind, me.cluster)
    }
}

/// The hello by which we dial `wanted`.
pub(super) fn dialing_hello(me: &Identity, wanted: &PeerAddress) -> Hello {
    Hello {
        receiver: wanted.incarnation,
        to_shard: wanted.peer.shard,
        ..own_hello(me, HelloKind::Peer)
    }
}

/// The other core of this node that a hello asks for.
pub(super) fn other_shard(hello: &Hello, me: &Identity) -> Option<ShardId> {
    let is_other = hello.to_shard != me.shard && hello.to_shard.number() < me.shard_count;
    is_other.then_some(hello.to_shard)
}

/// Judges the hello of whoever connected to us.
pub(super) fn judge_arrival(
    hello: &Hello,
    me: &Identity,
    wanted: &[PeerAddress],
) -> Result<Arrival, Code> {
    judge_common(hello, me)?;
    if hello.to_shard != ShardId::ANY && hello.to_shard != me.shard {
        return Err(Code::UnknownShard);
    }
    match hello.kind {
        HelloKind::Client | HelloKind::Admin => {
            if !hello.cluster.is_zero() && hello.cluster != me.cluster {
                return Err(Code::OtherCluster);
            }
            Ok(Arrival::Client)
        }
        HelloKind::Peer => {
            if hello.cluster.is_zero() || hello.cluster != me.cluster {
                return Err(Code::OtherCluster);
            }
            let known = wanted.iter().find(|address| {
                address.incarnation == hello.sender && address.peer.shard == hello.from_shard
            });
            known.map_or(Err(Code::UnknownPeer), |address| {
                Ok(Arrival::Peer(address.peer, hello.life))
            })
        }
    }
}

/// Judges the answer to a hello by which we dialed `wanted`.
pub(super) fn judge_answer(
    hello: &Hello,
    me: &Identity,
    wanted: &PeerAddress,
) -> Result<ProcessLife, Code> {
    if let Some(refusal) = hello.refusal {
        return Err(refusal);
    }
    judge_common(hello, me)?;
    if hello.cluster != me.cluster {
        return Err(Code::OtherCluster);
    }
    if hello.kind != HelloKind::Peer || hello.sender != wanted.incarnation {
        return Err(Code::OtherNode);
    }
    if hello.from_shard != wanted.peer.shard {
        return Err(Code::UnknownShard);
    }
    Ok(hello.life)
}

/// Why a hello was refused, by us or by its sender, in words that let both sides be found.
pub(super) fn describe(code: Code, hello: &Hello, me: &Identity) -> String {
    let text = code.text();
    if code == Code::VersionRefused {
        let (oldest, newest) = (hello.protocol_min, hello.protocol_max);
        format!(
            "{text}: it speaks {oldest} to {newest}, this node {PROTOCOL_MIN} to {PROTOCOL_MAX}"
        )
    } else if code == Code::OtherCluster {
        let (other, own) = (cluster(hello.cluster), cluster(me.cluster));
        format!("{text}: it is of {other}, this node of {own}")
    } else if code == Code::OtherNode || code == Code::UnknownPeer {
        let (sender, receiver) = (hello.sender, hello.receiver);
        format!("{text}: it is node incarnation {sender}, and means {receiver}")
    } else {
        text.to_owned()
    }
}

fn cluster(id: ClusterId) -> String {
    if id.is_zero() {
        "none".to_owned()
    } else {
        id.to_string()
    }
}

/// Our answer to a hello of a version that we cannot read.
pub(super) fn unread_answer(me: &Identity) -> Hello {
    Hello {
        refusal: Some(Code::VersionRefused),
        ..own_hello(me, HelloKind::Client)
    }
}

fn judge_common(hello: &Hello, me: &Identity) -> Result<(), Code> {
    if hello.common_version().is_none() {
        return Err(Code::VersionRefused);
    }
    if !hello.receiver.is_zero() && hello.receiver != me.incarnation {
        return Err(Code::OtherNode);
    }
    let frame_bytes_max = usize::try_from(hello.frame_bytes_max).unwrap_or(usize::MAX);
    if frame_bytes_max < FRAME_BYTES_MAX {
        return Err(Code::FrameTooSmall);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::{Incarnation, NodeId};

    fn identity(node: u8) -> Identity {
        Identity {
            cluster: ClusterId::new([7; 16]),
            node: NodeId::new(u16::from(node)),
            incarnation: Incarnation::new([node; 16]),
            life: ProcessLife::new(u64::from(node) + 100),
            shard: ShardId::new(0),
            shard_count: 1,
        }
    }

    fn address(node: u8) -> PeerAddress {
        PeerAddress {
            peer: PeerId {
                node: NodeId::new(u16::from(node)),
                shard: ShardId::new(0),
            },
            incarnation: Incarnation::new([node; 16]),
            address: "127.0.0.1:1".to_owned(),
        }
    }

    fn judged(hello: Hello) -> Result<Arrival, Code> {
        judge_arrival(&hello, &identity(2), &[address(1)])
    }

    #[test]
    fn a_known_peer_is_let_in_and_its_answer_too() {
        let hello = dialing_hello(&identity(1), &address(2));
        let arrival = judged(hello);
        assert_eq!(
            arrival,
            Ok(Arrival::Peer(address(1).peer, ProcessLife::new(101)))
        );
        let answer = hello.answer(own_hello(&identity(2), HelloKind::Peer), None);
        assert_eq!(
            judge_answer(&answer, &identity(1), &address(2)),
            Ok(ProcessLife::new(102))
        );
    }

    #[test]
    fn a_peer_that_does_not_match_is_refused_with_the_reason() {
        let good = dialing_hello(&identity(1), &address(2));
        let cases = [
            (
                Hello {
                    cluster: ClusterId::new([8; 16]),
                    ..good
                },
                Code::OtherCluster,
            ),
            (
                Hello {
                    cluster: ClusterId::ZERO,
                    ..good
                },
                Code::OtherCluster,
            ),
            (
                Hello {
                    receiver: Incarnation::new([9; 16]),
                    ..good
                },
                Code::OtherNode,
            ),
            (
                Hello {
                    sender: Incarnation::new([9; 16]),
                    ..good
                },
                Code::UnknownPeer,
            ),
            (
                Hello {
                    to_shard: ShardId::new(1),
                    ..good
                },
                Code::UnknownShard,
            ),
            (
                Hello {
                    protocol_min: 9,
                    protocol_max: 9,
                    ..good
                },
                Code::VersionRefused,
            ),
            (
                Hello {
                    frame_bytes_max: 1,
                    ..good
                },
                Code::FrameTooSmall,
            ),
        ];
        for (hello, refusal) in cases {
            assert_eq!(judged(hello), Err(refusal));
        }
    }

    #[test]
    fn a_client_may_know_no_cluster_but_not_another_one() {
        let hello = Hello::of_client(HelloKind::Client, ClusterId::ZERO);
        assert_eq!(judged(hello), Ok(Arrival::Client));
        let hello = Hello::of_client(HelloKind::Admin, ClusterId::new([8; 16]));
        assert_eq!(judged(hello), Err(Code::OtherCluster));
    }

    #[test]
    fn a_refusal_names_both_sides() {
        let me = identity(2);
        let hello = Hello {
            protocol_min: 8,
            protocol_max: 9,
            cluster: ClusterId::ZERO,
            ..dialing_hello(&identity(1), &address(3))
        };
        let said = |code| describe(code, &hello, &me);
        assert!(said(Code::VersionRefused).ends_with("it speaks 8 to 9, this node 1 to 1"));
        let other = said(Code::OtherCluster);
        assert!(other.ends_with(&format!("of none, this node of {}", me.cluster)));
        for code in [Code::OtherNode, Code::UnknownPeer] {
            let told = said(code);
            assert!(told.contains(&hello.sender.to_string()), "{told}");
            assert!(told.ends_with(&hello.receiver.to_string()), "{told}");
        }
        assert_eq!(said(Code::UnknownShard), "unknown shard");
    }

    #[test]
    fn an_answer_of_another_data_directory_is_not_taken() {
        let hello = dialing_hello(&identity(1), &address(2));
        let answer = hello.answer(own_hello(&identity(3), HelloKind::Peer), None);
        assert_eq!(
            judge_answer(&answer, &identity(1), &address(2)),
            Err(Code::OtherNode)
        );
        let refused = hello.answer(
            own_hello(&identity(2), HelloKind::Peer),
            Some(Code::UnknownPeer),
        );
        assert_eq!(
            judge_answer(&refused, &identity(1), &address(2)),
            Err(Code::UnknownPeer)
        );
    }
}
