//! One vote per term and replica, over all its lives; and one leader per term.
//!
//! Votes are counted where they leave: in the messages of peers. A candidate's request is its vote for itself, an
//! append or a heartbeat is a leader's.

use margay_raft::Message;
use margay_types::{GroupId, ReplicaNumber, Term};
use margay_wire::peer::{self, Envelope};
use margay_wire::{FrameKind, Splitter};
use std::collections::BTreeMap;

/// Who voted for whom, and who led.
#[derive(Debug, Default)]
pub struct Votes {
    votes: BTreeMap<(GroupId, ReplicaNumber, Term), ReplicaNumber>,
    leaders: BTreeMap<(GroupId, Term), ReplicaNumber>,
}

impl Votes {
    /// Bytes leave for a peer.
    ///
    /// # Errors
    /// A second vote, or a second leader.
    pub fn on_sent(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut splitter = Splitter::default();
        for frame in splitter.split(bytes) {
            let frame = frame.map_err(|error| format!("a shard sends a broken frame: {error}"))?;
            if frame.kind == FrameKind::PeerAppend {
                let (envelope, append, _) = peer::append(frame.body)
                    .map_err(|error| format!("a shard sends a broken append: {error}"))?;
                self.lead(&envelope, append.term)?;
                continue;
            }
            for message in peer::messages(frame.body) {
                let (envelope, message) =
                    message.map_err(|error| format!("a shard sends a broken message: {error}"))?;
                self.on_message(&envelope, &message)?;
            }
        }
        Ok(())
    }

    fn on_message(&mut self, envelope: &Envelope, message: &Message) -> Result<(), String> {
        match message {
            Message::RequestVote(asked) => self.vote(envelope, asked.term, envelope.from),
            Message::RequestVoteResponse(answer) if answer.granted => {
                self.vote(envelope, answer.term, envelope.to)
            }
            Message::Heartbeat(beat) => self.lead(envelope, beat.term),
            Message::RequestVoteResponse(_)
            | Message::PreVote(_)
            | Message::PreVoteResponse(_)
            | Message::AppendResponse(_)
            | Message::HeartbeatResponse(_)
            | Message::TimeoutNow(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexResponse(_) => Ok(()),
        }
    }

    fn vote(
        &mut self,
        envelope: &Envelope,
        term: Term,
        candidate: ReplicaNumber,
    ) -> Result<(), String> {
        let voter = (envelope.group, envelope.from, term);
        let known = *self.votes.entry(voter).or_insert(candidate);
        if known == candidate {
            return Ok(());
        }
        Err(format!(
            "replica {} of group {} votes for {candidate} in term {term}, after it voted for {known}",
            envelope.from, envelope.group
        ))
    }

    fn lead(&mut self, envelope: &Envelope, term: Term) -> Result<(), String> {
        let leader = envelope.from;
        let known = *self.leaders.entry((envelope.group, term)).or_insert(leader);
        if known == leader {
            return Ok(());
        }
        Err(format!(
            "replicas {known} and {leader} of group {} both lead in term {term}",
            envelope.group
        ))
    }
}
