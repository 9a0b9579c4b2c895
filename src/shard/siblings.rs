//! The other shards of this node: what they say to each other, and the requests that hop.
//!
//! ```text
//!   client ──> shard a (has the socket) ── Frame ──> shard b (has the group)
//!                 ^──────────────────── Answer ──────────┘
//! ```
//!
//! A client that knows the map talks to the right shard, and nothing hops. Whoever does not is served all the same, by
//! at most one hop: a frame names its group, or an attachment, whose number says which shard gave it out.
//!
//! Shards share nothing. Shard 0 has group 0 and the node's manifest; what the others need to know of these it says.

use crate::limits::{
    HOP_ANSWER_BYTES_TOLD, HOP_BYTES_MAX, NOT_READY_RETRY_MS, OVERLOADED_RETRY_MS,
};
use crate::shard::Seams;
use crate::shard::birth::Birth;
use crate::shard::crossing::Crossing;
use crate::shard::outbox::{ConnectionId, Outbox};
use crate::shard::shard::Shard;
use crate::shard::surveys::{Part, Question};
use crate::storage::node_manifest::NodeManifest;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, ShardId};
use margay_wire::admin::{ChainRequest, MapNode, read_request};
use margay_wire::client::{
    Attachment as AttachmentNumber, KeepAlive, KeepAliveItem, attach, close, command, keep_alive,
    open, query,
};
use margay_wire::frame::{Frame, FrameKind, header};
use margay_wire::refusal::Refusal;
use margay_wire::splitter::Splitter;
use std::collections::{BTreeMap, BTreeSet};

/// What one shard of a node says to another. Drivers carry it, and do not look inside.
#[derive(Debug)]
pub struct SiblingMessage(pub(crate) Word);

/// What is said.
#[derive(Debug)]
pub(crate) enum Word {
    /// The sender serves: frames may hop to it.
    Ready,
    /// A frame of a client that is connected to the sender.
    Frame {
        /// On which connection it came.
        connection: ConnectionId,
        /// The whole frame.
        bytes: Vec<u8>,
    },
    /// So much was taken: more may cross.
    Taken(Taken),
    /// A client of the sender is gone.
    Gone(ConnectionId),
    /// Frames for a client that is connected to the receiver.
    Answer {
        /// On which connection they leave.
        connection: ConnectionId,
        /// Whole frames.
        bytes: Vec<u8>,
    },
    /// Close a client's connection once everything before has left.
    Close(ConnectionId),
    /// From shard 0: who this node is, and which others there are.
    Membership {
        /// What the manifest says.
        manifest: Box<NodeManifest>,
        /// All nodes of the cluster.
        nodes: Vec<MapNode>,
    },
    /// From shard 0: replicas to be born.
    Bear(Vec<Birth>),
    /// To shard 0: the records of these births are durable.
    Logged(Vec<GroupId>),
    /// From shard 0: the manifest knows of these births.
    Recorded(Vec<GroupId>),
    /// From shard 0: what it must know to answer an operator.
    Asked {
        /// Which survey.
        survey: u64,
        /// What.
        question: Question,
    },
    /// To shard 0: the answer.
    Told {
        /// Which survey.
        survey: u64,
        /// What.
        part: Box<Part>,
    },
}

/// Bytes that a shard took from another one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    requests: usize,
    answers: usize,
}

impl Taken {
    /// A request that hopped is waited for; answers are many.
    const fn must_be_told(&self) -> bool {
        self.requests > 0 || self.answers >= HOP_ANSWER_BYTES_TOLD
    }
}

/// What a shard knows of its siblings.
#[derive(Debug)]
pub(crate) struct Siblings {
    /// Those that serve.
    ready: BTreeSet<ShardId>,
    /// To which shards frames of a connection have hopped: they are told when it ends.
    hopped: BTreeMap<ConnectionId, BTreeSet<ShardId>>,
    /// Bytes of frames that hopped to a shard, and that it has not taken.
    requests: Crossing,
    /// What was taken and not told, by the shard that it came from.
    taken: BTreeMap<ShardId, Taken>,
    /// Requests that came in through another shard.
    pub(crate) hopped_requests: u64,
}

impl Default for Siblings {
    fn default() -> Self {
        Self {
            ready: BTreeSet::new(),
            hopped: BTreeMap::new(),
            requests: Crossing::new(HOP_BYTES_MAX),
            taken: BTreeMap::new(),
            hopped_requests: 0,
        }
    }
}

/// Where a frame belongs.
enum Home {
    /// To this shard.
    Here,
    /// To another one.
    At(ShardId),
    /// In parts to several.
    Spread(BTreeMap<ShardId, Vec<KeepAliveItem>>),
}

impl<S: Seams> Shard<S> {
    /// The shard of a group on this node.
    pub(crate) fn home_of(&self, group: GroupId) -> ShardId {
        group.shard(self.facts.shard_count)
    }

    /// All other shards of this node.
    pub(crate) fn siblings(&self) -> impl Iterator<Item = ShardId> + use<S> {
        let own = self.facts.shard;
        (0..self.facts.shard_count)
            .map(ShardId::new)
            .filter(move |shard| *shard != own)
    }

    /// Tells everyone on this node something.
    pub(crate) fn tell_siblings(&mut self, word: impl Fn() -> Word) {
        for shard in self.siblings() {
            self.means.send_sibling(shard, SiblingMessage(word()));
        }
    }

    /// Another shard of this node says something.
    pub fn on_sibling_message(&mut self, from: ShardId, message: SiblingMessage) {
        match message.0 {
            Word::Ready => {
                self.siblings.ready.insert(from);
            }
            Word::Frame { connection, bytes } => {
                self.siblings.taken.entry(from).or_default().requests += bytes.len();
                self.on_hopped(connection, &bytes);
            }
            Word::Taken(taken) => {
                self.siblings.requests.on_taken(from, taken.requests);
                self.means.outbox.on_answers_taken(from, taken.answers);
            }
            Word::Gone(connection) => self.means.attachments.on_closed(connection),
            Word::Answer { connection, bytes } => {
                self.siblings.taken.entry(from).or_default().answers += bytes.len();
                self.means.send_client(connection, &bytes);
            }
            Word::Close(connection) => self.means.outbox.close(connection),
            Word::Membership { manifest, nodes } => {
                self.means.node = manifest.node;
                self.manifest = *manifest;
                self.set_nodes(nodes);
            }
            Word::Bear(births) => self.on_bear(births),
            Word::Logged(groups) => self.on_logged(&groups),
            Word::Recorded(groups) => self.on_recorded(&groups),
            Word::Asked { survey, question } => {
                let part = Box::new(self.part_of(&question));
                let word = Word::Told { survey, part };
                self.means.send_sibling(from, SiblingMessage(word));
            }
            Word::Told { survey, part } => self.on_told(survey, from, *part),
        }
    }

    /// A frame that came in through another shard.
    fn on_hopped(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.siblings.hopped_requests += 1;
        if !self.means.attachments.is_open(connection) {
            self.means.attachments.on_open(connection);
        }
        for frame in Splitter::default().split(bytes).flatten() {
            self.take_client_frame(connection, &frame);
        }
    }

    /// The turn ends: whoever sent frames may send more.
    pub(crate) fn tell_taken(&mut self) {
        let taken = &mut self.siblings.taken;
        for (shard, taken) in taken.extract_if(.., |_, taken| taken.must_be_told()) {
            self.means
                .send_sibling(shard, SiblingMessage(Word::Taken(taken)));
        }
    }

    /// A client of this shard is gone: those to whom its frames hopped are told.
    pub(crate) fn on_hopper_gone(&mut self, connection: ConnectionId) {
        for shard in self.siblings.hopped.remove(&connection).unwrap_or_default() {
            self.means
                .send_sibling(shard, SiblingMessage(Word::Gone(connection)));
        }
    }

    /// Sends a frame to the shard that it belongs to. Says whether that is another one.
    ///
    /// # Errors
    /// When that shard cannot take it now.
    pub(crate) fn hop(
        &mut self,
        connection: ConnectionId,
        frame: &Frame<'_>,
    ) -> Result<bool, Refusal> {
        if self.facts.shard_count == 1 {
            return Ok(false);
        }
        match self.home_of_frame(frame) {
            Home::Here => Ok(false),
            Home::At(shard) => {
                let mut bytes = header(frame.kind, frame.request, frame.body.len()).to_vec();
                bytes.extend_from_slice(frame.body);
                self.hop_to(shard, connection, bytes)?;
                Ok(true)
            }
            Home::Spread(items) => {
                let mut refused = None;
                for (shard, items) in items {
                    let mut bytes = Vec::new();
                    KeepAlive::write(&mut bytes, frame.request, items.into_iter());
                    if shard == self.facts.shard {
                        for part in Splitter::default().split(&bytes).flatten() {
                            self.take_client_frame(connection, &part);
                        }
                    } else if let Err(refusal) = self.hop_to(shard, connection, bytes) {
                        // A shard that takes nothing must not cost the sessions of the others their lives.
                        refused.get_or_insert(refusal);
                    }
                }
                refused.map_or(Ok(true), Err)
            }
        }
    }

    fn hop_to(
        &mut self,
        shard: ShardId,
        connection: ConnectionId,
        bytes: Vec<u8>,
    ) -> Result<(), Refusal> {
        if !self.siblings.ready.contains(&shard) {
            return Err(Refusal::NotReady {
                retry_after_ms: NOT_READY_RETRY_MS,
            });
        }
        if !self.siblings.requests.try_cross(shard, bytes.len()) {
            return Err(Refusal::Overloaded {
                retry_after_ms: OVERLOADED_RETRY_MS,
            });
        }
        self.siblings
            .hopped
            .entry(connection)
            .or_default()
            .insert(shard);
        let word = Word::Frame { connection, bytes };
        self.means.send_sibling(shard, SiblingMessage(word));
        Ok(())
    }

    /// Where a frame belongs. One that makes no sense is refused here.
    fn home_of_frame(&self, frame: &Frame<'_>) -> Home {
        let of_group = |group: GroupId| Some(self.home_of(group));
        let of_attachment = |number: AttachmentNumber| self.home_of_attachment(number);
        let shard = match frame.kind {
            FrameKind::Command => command(frame.body)
                .ok()
                .and_then(|it| of_attachment(it.attachment)),
            FrameKind::Close => close(frame.body)
                .ok()
                .and_then(|it| of_attachment(it.attachment)),
            FrameKind::Query => query(frame.body).ok().and_then(|it| of_group(it.group)),
            FrameKind::Open => open(frame.body).ok().and_then(|it| of_group(it.group)),
            FrameKind::Attach => attach(frame.body).ok().and_then(|it| of_group(it.group)),
            FrameKind::Chain => read_request::<ChainRequest>(frame.body)
                .ok()
                .and_then(|it| of_group(it.group)),
            FrameKind::KeepAlive => return self.home_of_keep_alive(frame.body),
            FrameKind::Map
            | FrameKind::NodeInfo
            | FrameKind::Bootstrap
            | FrameKind::KeyspaceCreate
            | FrameKind::KeyspaceList
            | FrameKind::Status => Some(ShardId::FIRST),
            FrameKind::PeerAppend
            | FrameKind::PeerMessages
            | FrameKind::Response
            | FrameKind::Event => None,
        };
        match shard {
            Some(shard) if shard != self.facts.shard => Home::At(shard),
            Some(_) | None => Home::Here,
        }
    }

    /// Attachments of the shards count in steps of their number, each from its own: see `attachments`.
    fn home_of_attachment(&self, number: AttachmentNumber) -> Option<ShardId> {
        let shard = number.0 % u32::from(self.facts.shard_count);
        #[cfg(feature = "mutants")]
        let shard = if mutant::is(Mutant::AttachmentHomeWrong) {
            (shard + 1) % u32::from(self.facts.shard_count)
        } else {
            shard
        };
        u16::try_from(shard).ok().map(ShardId::new)
    }

    fn home_of_keep_alive(&self, body: &[u8]) -> Home {
        let mut spread: BTreeMap<ShardId, Vec<KeepAliveItem>> = BTreeMap::new();
        for item in keep_alive(body) {
            let Ok(item) = item else { return Home::Here };
            if let Some(shard) = self.home_of_attachment(item.attachment) {
                spread.entry(shard).or_default().push(item);
            }
        }
        let own = self.facts.shard;
        match spread.keys().all(|shard| *shard == own) {
            true => Home::Here,
            false => Home::Spread(spread),
        }
    }
}
