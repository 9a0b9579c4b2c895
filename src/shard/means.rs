//! What all groups of a shard share while they work: the log, the ways out, the clock, and buffers used again.

use crate::shard::Seams;
use crate::shard::attachments::Attachments;
use crate::shard::cold::ColdInbox;
use crate::shard::outbox::Outbox;
use crate::shard::peers::Peers;
use crate::shard::responses::Responses;
use crate::shard::waiters::Requester;
use crate::storage::Log;
use margay_machine::Answers;
use margay_raft::Effect;
use margay_types::NodeId;
use margay_wire::client::ResponseHead;
use margay_wire::refusal::Refusal;

/// Shared by all groups of a shard; lent to one at a time.
pub(crate) struct Means<S: Seams> {
    /// This node.
    pub(crate) node: NodeId,
    /// The log that all groups write to.
    pub(crate) log: Log<S::Disk>,
    /// Where frames leave.
    pub(crate) outbox: S::Outbox,
    /// What tells time.
    pub(crate) clock: S::Clock,
    /// The time of this turn: every event of a turn happens at one time.
    pub(crate) now_ns: u64,
    /// The other nodes.
    pub(crate) peers: Peers,
    /// Sessions on connections.
    pub(crate) attachments: Attachments,
    /// Builds answers.
    pub(crate) responses: Responses,
    /// Where cold tasks leave what they found.
    pub(crate) cold: ColdInbox,
    /// Effects of the step under way; empty between steps.
    pub(crate) effects: Vec<Effect>,
    /// Answers of the entry being applied; empty between entries.
    pub(crate) answers: Answers,
}

impl<S: Seams> Means<S> {
    /// Answers a request with an output.
    pub(crate) fn answer(&mut self, to: Requester, head: ResponseHead, output: &[u8]) {
        self.responses.done(to, head, output, &mut self.outbox);
    }

    /// Answers a request with a refusal.
    pub(crate) fn refuse(&mut self, to: Requester, head: ResponseHead, refusal: &Refusal) {
        self.responses.refused(to, head, refusal, &mut self.outbox);
    }

    /// Hands what gathered for peers to the outbox.
    pub(crate) fn flush_peers(&mut self) {
        self.peers.flush(&mut self.outbox);
    }

    /// Bytes that wait to leave for a node; what is above the window waits for acknowledgements instead.
    pub(crate) fn can_append(&self, node: NodeId) -> bool {
        self.peers.can_append(node, &self.outbox)
    }
}
