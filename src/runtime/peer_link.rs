//! Keeps a connection to every peer that the shard wants: of two nodes the one with the smaller id dials.
//!
//! ```text
//!                     due                 address            connected
//!     Waiting(until) ─────> Resolving ──────────────> Dialing ────────> (hello) ──> Up
//!        ^                      │                        │                 │         │
//!        └── back-off doubles ──┴────────────────────────┴──── refused ────┘         │
//!        └── back-off from the start ────────────────────────────────── lost ────────┘
//!     Listening: the other side dials                      ── its hello ──> Up
//! ```
//!
//! The name of a peer is looked up before every dial, so that a peer may move, but for the first one after a loss:
//! that goes to where the peer was last, without waiting for a name service that may be as lost as the peer. When a
//! name does not resolve, the peer is dialed there, too; its hello tells whether it is the right one.
//!
//! The back-off has jitter, so that nodes that lost each other at the same moment do not meet at the same moments.

use super::limits::{REASONS_TOLD_MAX, REDIAL_MAX, REDIAL_MIN};
use super::slots::Key;
use crate::shard::{PeerAddress, PeerId};
use margay_types::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Dial when the time has come.
    Waiting { until_ns: u64 },
    /// The helper looks the name up.
    Resolving,
    /// A connection is being made, its hello included.
    Dialing(Key),
    /// Up.
    Up(Key),
}

/// One peer that the shard wants.
struct Link {
    wanted: PeerAddress,
    state: State,
    back_off_ns: u64,
    /// Where it is being dialed, or was.
    dialed: Option<SocketAddr>,
    /// Where it was last reached.
    last: Option<SocketAddr>,
    /// It was just lost: the next dial goes to where it was.
    is_just_lost: bool,
    /// Why it is not reached, as far as people were told since it was last up.
    told: Vec<String>,
}

/// A peer to dial now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Whom.
    pub(super) wanted: PeerAddress,
    /// Where, if its name need not be looked up.
    pub(super) at: Option<SocketAddr>,
}

/// All of them.
pub(super) struct PeerLinks {
    links: BTreeMap<PeerId, Link>,
    jitter: u64,
}

/// A connection that must end because the list of peers has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dropped(pub(super) Key);

impl PeerLinks {
    /// No peers yet; `seed` makes this process's jitter differ from others'.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            links: BTreeMap::new(),
            jitter: seed | 1,
        }
    }

    /// Replaces the list; gives the connections to whom it does not name any more, or by another address or
    /// data directory.
    pub(super) fn set(&mut self, wanted: Vec<PeerAddress>, now_ns: u64) -> Vec<Dropped> {
        let mut before = std::mem::take(&mut self.links);
        for wanted in wanted {
            let link = match before.remove(&wanted.peer) {
                Some(link) if link.wanted == wanted => link,
                other => {
                    if let Some(link) = other {
                        before.insert(wanted.peer, link);
                    }
                    Link::new(wanted.clone(), now_ns)
                }
            };
            self.links.insert(wanted.peer, link);
        }
        let keys = before
            .into_values()
            .filter_map(|link| link.state.connection());
        keys.map(Dropped).collect()
    }

    /// The addresses of all peers.
    pub(super) fn wanted(&self) -> Vec<PeerAddress> {
        self.links
            .values()
            .map(|link| link.wanted.clone())
            .collect()
    }

    /// The address of one peer.
    pub(super) fn address_of(&self, peer: PeerId) -> Option<&PeerAddress> {
        self.links.get(&peer).map(|link| &link.wanted)
    }

    /// Peers to dial now; each is looked up from here on.
    pub(super) fn take_due(&mut self, me: NodeId, now_ns: u64) -> Vec<Due> {
        let due = self.links.values_mut().filter(|link| {
            let is_time = matches!(link.state, State::Waiting { until_ns } if until_ns <= now_ns);
            is_time && me < link.wanted.peer.node
        });
        due.map(|link| {
            link.state = State::Resolving;
            let is_just_lost = std::mem::take(&mut link.is_just_lost);
            Due {
                wanted: link.wanted.clone(),
                at: link.last.filter(|_| is_just_lost),
            }
        })
        .collect()
    }

    /// Where the peer was last reached.
    pub(super) fn last_address(&self, peer: PeerId) -> Option<SocketAddr> {
        self.links.get(&peer)?.last
    }

    /// Is this another reason than those that were told since the peer was last up?
    pub(super) fn is_news(&self, peer: PeerId, reason: &str) -> bool {
        let link = self.links.get(&peer);
        link.is_some_and(|link| {
            link.told.len() < REASONS_TOLD_MAX && link.told.iter().all(|told| told != reason)
        })
    }

    /// The address of a peer of which something was told since it was last up.
    pub(super) fn missed(&self, peer: PeerId) -> Option<&str> {
        let link = self.links.get(&peer)?;
        (!link.told.is_empty()).then_some(link.wanted.address.as_str())
    }

    /// The reason was told.
    pub(super) fn on_told(&mut self, peer: PeerId, reason: String) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.told.push(reason);
        }
    }

    /// Is this the address that is being looked up for its peer?
    pub(super) fn is_resolving(&self, wanted: &PeerAddress) -> bool {
        let link = self.links.get(&wanted.peer);
        link.is_some_and(|link| link.state == State::Resolving && link.wanted == *wanted)
    }

    /// A connection to the peer is being made, at this address.
    pub(super) fn on_dialing(&mut self, peer: PeerId, key: Key, address: SocketAddr) {
        if let Some(link) = self.links.get_mut(&peer) {
            assert!(
                link.state == State::Resolving,
                "dialing {peer:?} while {:?}",
                link.state
            );
            link.state = State::Dialing(key);
            link.dialed = Some(address);
        }
    }

    /// The peer could not be looked up or reached, or refused us.
    pub(super) fn on_failed(&mut self, peer: PeerId, now_ns: u64) {
        self.jitter = next_random(self.jitter);
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let half = link.back_off_ns / 2;
        let wait_ns = half + self.jitter % (half + 1);
        link.state = State::Waiting {
            until_ns: now_ns + wait_ns,
        };
        link.back_off_ns = (link.back_off_ns * 2).min(REDIAL_MAX_NS);
    }

    /// Connection `key` to the peer stands. Gives the one that stood, or was being made, before.
    pub(super) fn on_up(&mut self, peer: PeerId, key: Key) -> Option<Dropped> {
        let link = self.links.get_mut(&peer)?;
        link.back_off_ns = REDIAL_MIN_NS;
        link.told.clear();
        if link.state == State::Dialing(key) {
            link.last = link.dialed;
        }
        let before = std::mem::replace(&mut link.state, State::Up(key)).connection();
        before.filter(|before| *before != key).map(Dropped)
    }

    /// Connection `key` is over. Another one of the same peer is not touched.
    pub(super) fn on_down(&mut self, peer: PeerId, key: Key, now_ns: u64) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.state.connection() == Some(key) {
            link.is_just_lost = link.state == State::Up(key);
            self.on_failed(peer, now_ns);
        }
    }
}

impl Link {
    fn new(wanted: PeerAddress, now_ns: u64) -> Self {
        Self {
            wanted,
            state: State::Waiting { until_ns: now_ns },
            back_off_ns: REDIAL_MIN_NS,
            dialed: None,
            last: None,
            is_just_lost: false,
            told: Vec::new(),
        }
    }
}

impl State {
    fn connection(self) -> Option<Key> {
        match self {
            Self::Dialing(key) | Self::Up(key) => Some(key),
            Self::Waiting { .. } | Self::Resolving => None,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
const REDIAL_MIN_NS: u64 = REDIAL_MIN.as_nanos() as u64;
#[expect(clippy::cast_possible_truncation, reason = "a second")]
const REDIAL_MAX_NS: u64 = REDIAL_MAX.as_nanos() as u64;
const _: () = assert!(REDIAL_MIN_NS < REDIAL_MAX_NS, "the back-off grows");

/// Marsaglia's xorshift: enough to spread dials.
fn next_random(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

#[cfg(test)]
mod tests {
    use super::super::slots::Slots;
    use super::*;
    use margay_types::{Incarnation, ShardId};

    fn address(node: u16) -> PeerAddress {
        PeerAddress {
            peer: PeerId {
                node: NodeId::new(node),
                shard: ShardId::new(0),
            },
            incarnation: Incarnation::new([1; 16]),
            address: "n:1".to_owned(),
        }
    }

    fn place(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn links(nodes: &[u16]) -> PeerLinks {
        let mut links = PeerLinks::new(7);
        links.set(nodes.iter().map(|node| address(*node)).collect(), 0);
        links
    }

    #[test]
    fn only_the_smaller_id_dials() {
        let mut links = links(&[1, 3]);
        let due = Due {
            wanted: address(3),
            at: None,
        };
        assert_eq!(links.take_due(NodeId::new(2), 0), [due]);
        assert!(
            links.take_due(NodeId::new(2), 0).is_empty(),
            "it is being looked up"
        );
    }

    #[test]
    fn the_back_off_doubles_up_to_a_second_and_starts_again_after_success() {
        let mut links = links(&[2]);
        let peer = address(2).peer;
        let mut now = 0;
        for _ in 0..20 {
            assert_eq!(links.take_due(NodeId::new(1), now).len(), 1);
            links.on_failed(peer, now);
            assert!(links.take_due(NodeId::new(1), now).is_empty());
            now += REDIAL_MAX_NS;
        }
        links.take_due(NodeId::new(1), now);
        let key = Slots::new().insert(());
        links.on_dialing(peer, key, place(1));
        assert_eq!(links.on_up(peer, key), None);
        links.on_down(peer, key, now);
        assert_eq!(links.take_due(NodeId::new(1), now + REDIAL_MIN_NS).len(), 1);
    }

    /// A name service that is lost together with a peer must not keep it away.
    #[test]
    fn a_peer_that_was_just_lost_is_dialed_where_it_was_and_looked_up_from_then_on() {
        let mut links = links(&[2]);
        let peer = address(2).peer;
        let key = Slots::new().insert(());
        let me = NodeId::new(1);
        assert_eq!(links.take_due(me, 0)[0].at, None);
        links.on_dialing(peer, key, place(1));
        assert_eq!(links.last_address(peer), None, "nobody answered there yet");
        links.on_up(peer, key);
        links.on_down(peer, key, 0);
        assert_eq!(links.take_due(me, REDIAL_MAX_NS)[0].at, Some(place(1)));
        links.on_dialing(peer, key, place(1));
        links.on_down(peer, key, REDIAL_MAX_NS);
        assert_eq!(links.take_due(me, 2 * REDIAL_MAX_NS)[0].at, None);
        assert_eq!(links.last_address(peer), Some(place(1)));
    }

    #[test]
    fn a_reason_is_news_once_while_a_peer_is_away() {
        let mut links = links(&[2]);
        let peer = address(2).peer;
        assert!(links.is_news(peer, "refused"));
        assert_eq!(links.missed(peer), None);
        links.on_told(peer, "refused".to_owned());
        assert!(!links.is_news(peer, "refused"));
        assert!(links.is_news(peer, "late"));
        for number in 1..REASONS_TOLD_MAX {
            links.on_told(peer, number.to_string());
        }
        assert!(!links.is_news(peer, "late"), "enough was told");
        assert_eq!(links.missed(peer), Some("n:1"));
        links.on_up(peer, Slots::new().insert(()));
        assert!(links.is_news(peer, "refused"), "it was up meanwhile");
    }

    #[test]
    fn the_newer_connection_of_a_peer_wins_and_the_end_of_the_older_changes_nothing() {
        let mut links = links(&[1]);
        let peer = address(1).peer;
        let mut slots = Slots::new();
        let (older, newer) = (slots.insert(()), slots.insert(()));
        assert_eq!(links.on_up(peer, older), None);
        assert_eq!(links.on_up(peer, newer), Some(Dropped(older)));
        links.on_down(peer, older, 0);
        assert_eq!(links.on_up(peer, newer), None, "still up by the newer one");
    }

    #[test]
    fn a_peer_that_is_not_wanted_any_more_is_dropped() {
        let mut links = links(&[1, 2]);
        let key = Slots::new().insert(());
        links.on_up(address(1).peer, key);
        assert_eq!(links.set(vec![address(2)], 0), [Dropped(key)]);
        assert!(links.address_of(address(1).peer).is_none());
    }
}
