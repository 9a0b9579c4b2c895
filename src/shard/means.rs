//! What all groups of a shard share while they work: the log, the ways out, the clock, and buffers used again.

use crate::shard::Seams;
use crate::shard::agenda::Agenda;
use crate::shard::alarms::Alarms;
use crate::shard::attachments::{Attachment, Attachments, NotAttached};
use crate::shard::cold::{ColdInbox, Loads};
use crate::shard::exit::Exit;
use crate::shard::log_clock::Observed;
use crate::shard::outbox::{ConnectionId, Outbox};
use crate::shard::peers::Peers;
use crate::shard::responses::Responses;
use crate::shard::siblings::SiblingMessage;
use crate::shard::upkeep::Upkeep;
use crate::shard::waiters::Requester;
use crate::storage::record::RecordView;
use crate::storage::{Log, Room, StorageError};
use margay_machine::Answers;
use margay_raft::Effect;
use margay_types::{GroupId, NodeId, ShardId};
use margay_wire::client::{Attached, Attachment as AttachmentNumber, ResponseHead};
use margay_wire::refusal::Refusal;

/// Shared by all groups of a shard; lent to one at a time.
pub(crate) struct Means<S: Seams> {
    /// This node.
    pub(crate) node: NodeId,
    /// The log that all groups write to.
    pub(crate) log: Log<S::Disk>,
    /// Where frames leave.
    pub(crate) outbox: Exit<S::Outbox>,
    /// What tells time.
    pub(crate) clock: S::Clock,
    /// The time of this turn: every event of a turn happens at one time.
    pub(crate) now_ns: u64,
    /// What log time grows by.
    pub(crate) observed: Observed,
    /// Which groups are told of which tick.
    pub(crate) alarms: Alarms,
    /// For so many ticks a leader that is not at home leads before it hands over.
    pub(crate) homing_ticks: u64,
    /// Which groups the shard looks after by itself.
    pub(crate) upkeep: Upkeep,
    /// The other nodes.
    pub(crate) peers: Peers,
    /// Sessions on connections.
    pub(crate) attachments: Attachments,
    /// Builds answers.
    pub(crate) responses: Responses,
    /// Where cold tasks leave what they found.
    pub(crate) cold: ColdInbox<S::Disk>,
    /// Reads of entries under way.
    pub(crate) loads: Loads,
    /// Effects of the step under way; empty between steps.
    pub(crate) effects: Vec<Effect>,
    /// Answers of the entry being applied; empty between entries.
    pub(crate) answers: Answers,
    /// Groups that the end of the turn looks at.
    pub(crate) agenda: Agenda,
    /// Bytes of entries that machines may still apply in this turn.
    pub(crate) apply_bytes_left: usize,
    /// The first failure of the log in this turn: the shard ends with it.
    pub(crate) failure: Option<StorageError>,
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

    /// Hands a frame to a client or an operator.
    pub(crate) fn send_client(&mut self, connection: ConnectionId, frame: &[u8]) {
        self.outbox.send_client(connection, frame);
    }

    /// Binds a session to the connection that asked, and says so. Nobody is told on a connection that is gone.
    pub(crate) fn attach(
        &mut self,
        to: Requester,
        head: ResponseHead,
        attachment: Attachment,
        attached: Attached,
    ) {
        match self.attachments.attach(to.connection, attachment) {
            Ok(number) => {
                let attached = Attached {
                    attachment: AttachmentNumber(number),
                    ..attached
                };
                self.responses
                    .attached(to, head, &attached, &mut self.outbox);
            }
            Err(NotAttached::TooMany) => self.refuse(to, head, &Refusal::TooManySessions),
            Err(NotAttached::Gone) => {}
        }
    }

    /// Says something to another shard of this node.
    pub(crate) fn send_sibling(&mut self, shard: ShardId, message: SiblingMessage) {
        self.outbox.send_sibling(shard, message);
    }

    /// Notes a write to the log: if it was refused, nothing that it was for may happen, and the shard ends.
    pub(crate) fn note<T>(&mut self, written: Result<T, StorageError>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    /// May entries of a leader be taken? None are at the hard mark: what is left is kept for what makes room.
    pub(crate) fn has_room_for_append(&mut self, records: &[RecordView<'_>]) -> bool {
        let bytes = records.iter().map(|record| record.bytes().len()).sum();
        records.is_empty() || (self.log.room() < Room::Hard && self.log.has_room(bytes))
    }

    /// Hands what gathered for peers to the outbox.
    pub(crate) fn flush_peers(&mut self) {
        self.peers.flush(&mut self.outbox);
    }

    /// Bytes that wait to leave for a node; what is above the window waits for acknowledgements instead.
    pub(crate) fn can_append(&self, node: NodeId, group: GroupId) -> bool {
        self.peers.can_append(node, group, &self.outbox)
    }
}
