//! The connections of one node: hellos in, hellos out, and bytes split into frames.
//!
//! Whoever accepts judges the hello as the runtime does; whoever dials a peer judges the answer. What is wrong ends the
//! connection.

use crate::network::ConnectionNumber;
use crate::node::Input;
use margay::shard::{ConnectionId, PeerAddress, PeerId};
use margay_types::{ClusterId, Incarnation, ProcessLife, ShardId};
use margay_wire::hello::HELLO_BYTES;
use margay_wire::{Code, Frame, FrameKind, Hello, HelloKind, Splitter};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A frame that owns its bytes.
#[derive(Clone, Debug)]
pub struct WholeFrame {
    /// What it is.
    pub kind: FrameKind,
    /// The request that it is, or answers.
    pub request: u64,
    /// Its body.
    pub body: Vec<u8>,
}

impl WholeFrame {
    fn of(frame: &Frame<'_>) -> Self {
        Self {
            kind: frame.kind,
            request: frame.request,
            body: frame.body.to_vec(),
        }
    }

    /// The frame, lent.
    #[must_use]
    pub fn lend(&self) -> Frame<'_> {
        Frame {
            kind: self.kind,
            flags: 0,
            request: self.request,
            body: &self.body,
        }
    }
}

/// Who a node is in its hellos.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its cluster; zero while it is blank.
    pub cluster: ClusterId,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// Its process.
    pub life: ProcessLife,
    /// The peers that each of its shards wants.
    pub wanted: Vec<Rc<[PeerAddress]>>,
}

impl Own {
    fn hello(&self, kind: HelloKind, shard: ShardId) -> Hello {
        Hello {
            sender: self.incarnation,
            life: self.life,
            from_shard: shard,
            shard_count: u16::try_from(self.wanted.len()).expect("a node has few shards"),
            ..Hello::of_client(kind, self.cluster)
        }
    }

    fn wanted_by(&self, shard: ShardId) -> &[PeerAddress] {
        let wanted = self.wanted.get(usize::from(shard.number()));
        wanted.map_or(&[], Rc::as_ref)
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    /// It connected, and its hello is not whole.
    Unknown,
    /// We dialed this peer, and its answer is not whole.
    Dialed(PeerId),
    /// A client, or an operator.
    Client,
    /// A peer that is up.
    Peer(PeerId),
}

/// One end of a connection, until and after its hello.
#[derive(Debug)]
struct Socket {
    /// The shard that has it: the one that dialed, or the one that the hello named.
    shard: ShardId,
    other: Other,
    hello: Vec<u8>,
    splitter: Splitter,
}

/// What to do about bytes that arrived.
#[derive(Debug, Default)]
pub struct Reaction {
    /// For the shards.
    pub inputs: Vec<(ShardId, Input)>,
    /// Bytes to answer with.
    pub answer: Vec<u8>,
    /// Connections to close after that.
    pub close: Vec<ConnectionNumber>,
}

/// All connections of a node.
#[derive(Debug, Default)]
pub struct Sockets {
    sockets: BTreeMap<ConnectionNumber, Socket>,
    peers: BTreeMap<(ShardId, PeerId), ConnectionNumber>,
}

impl Sockets {
    /// Somebody connected.
    pub fn accept(&mut self, connection: ConnectionNumber) {
        self.add(connection, ShardId::FIRST, Other::Unknown);
    }

    /// A shard dialed a peer; gives the hello to send.
    pub fn dial(
        &mut self,
        connection: ConnectionNumber,
        (shard, to): (ShardId, &PeerAddress),
        own: &Own,
    ) -> Vec<u8> {
        self.add(connection, shard, Other::Dialed(to.peer));
        let hello = Hello {
            receiver: to.incarnation,
            to_shard: to.peer.shard,
            ..own.hello(HelloKind::Peer, shard)
        };
        hello.encode().to_vec()
    }

    fn add(&mut self, connection: ConnectionNumber, shard: ShardId, other: Other) {
        let socket = Socket {
            shard,
            other,
            hello: Vec::new(),
            splitter: Splitter::default(),
        };
        self.sockets.insert(connection, socket);
    }

    /// Is a connection to this peer up, or on its way?
    #[must_use]
    pub fn has_peer(&self, shard: ShardId, peer: PeerId) -> bool {
        self.peers.contains_key(&(shard, peer))
            || self
                .sockets
                .values()
                .any(|socket| socket.shard == shard && socket.other == Other::Dialed(peer))
    }

    /// The connection on which a peer is up.
    #[must_use]
    pub fn peer(&self, shard: ShardId, peer: PeerId) -> Option<ConnectionNumber> {
        self.peers.get(&(shard, peer)).copied()
    }

    /// All peers that are up.
    #[must_use]
    pub fn peers(&self) -> Vec<((ShardId, PeerId), ConnectionNumber)> {
        self.peers
            .iter()
            .map(|(pair, number)| (*pair, *number))
            .collect()
    }

    /// Forgets everything: the process is gone.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<ConnectionNumber> {
        self.peers.clear();
        std::mem::take(&mut self.sockets).into_keys().collect()
    }

    /// A connection is over.
    pub fn on_end(&mut self, connection: ConnectionNumber) -> Vec<(ShardId, Input)> {
        let Some(socket) = self.sockets.remove(&connection) else {
            return Vec::new();
        };
        let shard = socket.shard;
        match socket.other {
            Other::Unknown | Other::Dialed(_) => Vec::new(),
            Other::Client => vec![(shard, Input::ClientClosed(name_of(shard, connection)))],
            Other::Peer(peer) => {
                self.peers.remove(&(shard, peer));
                vec![(shard, Input::PeerDown(peer))]
            }
        }
    }

    /// Bytes arrived. Those of a datagram are whole frames of their own.
    pub fn on_bytes(&mut self, connection: ConnectionNumber, bytes: &[u8], own: &Own) -> Reaction {
        let mut reaction = Reaction::default();
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return reaction;
        };
        let mut rest = bytes;
        if matches!(socket.other, Other::Unknown | Other::Dialed(_)) {
            let missing = (HELLO_BYTES - socket.hello.len()).min(rest.len());
            let (head, behind) = rest.split_at(missing);
            socket.hello.extend_from_slice(head);
            rest = behind;
            let Ok(hello) = <[u8; HELLO_BYTES]>::try_from(socket.hello.as_slice()) else {
                return reaction;
            };
            let dialed = socket.other;
            self.on_hello((connection, dialed), &hello, own, &mut reaction);
        }
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return reaction;
        };
        for frame in socket.splitter.split(rest) {
            let Ok(frame) = frame else {
                reaction.close.push(connection);
                break;
            };
            let whole = WholeFrame::of(&frame);
            let shard = socket.shard;
            let input = match socket.other {
                Other::Client => Input::ClientFrame(name_of(shard, connection), whole),
                Other::Peer(peer) => Input::PeerFrame(peer, whole),
                Other::Unknown | Other::Dialed(_) => continue,
            };
            reaction.inputs.push((shard, input));
        }
        if reaction.close.contains(&connection) {
            reaction.inputs.extend(self.on_end(connection));
        }
        reaction
    }

    fn on_hello(
        &mut self,
        (connection, dialed): (ConnectionNumber, Other),
        bytes: &[u8; HELLO_BYTES],
        own: &Own,
        reaction: &mut Reaction,
    ) {
        let judged = Hello::decode(bytes).ok().ok_or(Code::BadRequest);
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return;
        };
        if let Ok(hello) = &judged
            && dialed == Other::Unknown
            && hello.to_shard != ShardId::ANY
        {
            // The kernel's accept is at shard 0; the socket goes to the shard that the hello names.
            socket.shard = hello.to_shard;
        }
        let shard = socket.shard;
        let arrived = judged.and_then(|hello| {
            match dialed {
                Other::Dialed(peer) => judge_answer(&hello, (shard, peer), own),
                Other::Unknown | Other::Client | Other::Peer(_) => {
                    judge_arrival(&hello, shard, own)
                }
            }
            .map(|peer| (hello, peer))
        });
        if let Ok(hello) = Hello::decode(bytes)
            && dialed == Other::Unknown
        {
            let answer = hello.answer(
                own.hello(hello.kind, shard),
                arrived.as_ref().err().copied(),
            );
            reaction.answer = answer.encode().to_vec();
        }
        let (hello, peer) = match arrived {
            Ok(arrived) => arrived,
            Err(_) => {
                self.sockets.remove(&connection);
                reaction.close.push(connection);
                return;
            }
        };
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return;
        };
        let Some(peer) = peer else {
            socket.other = Other::Client;
            let open = Input::ClientOpen(name_of(shard, connection));
            reaction.inputs.push((shard, open));
            return;
        };
        socket.other = Other::Peer(peer);
        if let Some(old) = self.peers.insert((shard, peer), connection) {
            self.sockets.remove(&old);
            reaction.close.push(old);
            reaction.inputs.push((shard, Input::PeerDown(peer)));
        }
        let up = Input::PeerUp(peer, hello.life);
        reaction.inputs.push((shard, up));
    }
}

/// What the shards call a connection.
const fn name_of(shard: ShardId, number: ConnectionNumber) -> ConnectionId {
    ConnectionId { shard, number }
}

fn judge_arrival(hello: &Hello, shard: ShardId, own: &Own) -> Result<Option<PeerId>, Code> {
    if hello.common_version().is_none() {
        return Err(Code::VersionRefused);
    }
    if !hello.receiver.is_zero() && hello.receiver != own.incarnation {
        return Err(Code::OtherNode);
    }
    if usize::from(shard.number()) >= own.wanted.len() {
        return Err(Code::UnknownShard);
    }
    if hello.kind != HelloKind::Peer {
        let is_ours = hello.cluster.is_zero() || hello.cluster == own.cluster;
        return is_ours.then_some(None).ok_or(Code::OtherCluster);
    }
    if hello.cluster.is_zero() || hello.cluster != own.cluster {
        return Err(Code::OtherCluster);
    }
    let known = own.wanted_by(shard).iter().find(|address| {
        address.incarnation == hello.sender && address.peer.shard == hello.from_shard
    });
    known
        .map(|address| Some(address.peer))
        .ok_or(Code::UnknownPeer)
}

fn judge_answer(
    hello: &Hello,
    (shard, dialed): (ShardId, PeerId),
    own: &Own,
) -> Result<Option<PeerId>, Code> {
    if let Some(refusal) = hello.refusal {
        return Err(refusal);
    }
    let mut wanted = own.wanted_by(shard).iter();
    let wanted = wanted.find(|address| address.peer == dialed);
    let is_it = wanted.is_some_and(|address| address.incarnation == hello.sender)
        && hello.cluster == own.cluster
        && hello.from_shard == dialed.shard;
    is_it.then_some(Some(dialed)).ok_or(Code::OtherNode)
}

/// The hello that a client begins a connection with asks for whichever shard.
pub(crate) fn forget_shard(bytes: &mut [u8]) {
    let hello = bytes.first_chunk::<HELLO_BYTES>();
    if let Some(Ok(hello)) = hello.map(Hello::decode) {
        let any = Hello {
            to_shard: ShardId::ANY,
            ..hello
        };
        bytes[..HELLO_BYTES].copy_from_slice(&any.encode());
    }
}
