//! What the threads of a node tell each other, by mailboxes: siblings' messages, sockets, answers of helpers, visits.
//!
//! ```text
//!   core 0 ── Socket, Sibling ──> mailbox of core 1 ──> on_letter ──> its shard, or kept until there is one
//!   helper ── Answer ───────────>        │
//!   others ── Visit, Stop ──────>        └ a full one: siblings' messages wait here, sockets are closed
//! ```

use super::core_loop::{CoreLoop, Parts, Stage};
use super::driven::Core;
use super::handover::HandedSocket;
use super::helper::JobAnswer;
use super::limits::LETTERS_MAX;
use super::network::Surroundings;
use super::slots::Key;
use crate::shard::SiblingMessage;
use margay_types::ShardId;

/// What other threads can put into a core's mailbox.
pub(super) enum Letter<C> {
    /// A helper thread has an answer for a cold task.
    Answer(Key, JobAnswer),
    /// Another core accepted a socket that is for this one.
    Socket(HandedSocket),
    /// Another core's shard says something to this one's.
    Sibling(ShardId, SiblingMessage),
    /// Stop.
    Stop,
    /// Look at the shard, or ask it something, between two events.
    Visit(Visit<C>),
}

/// What another thread wants to see or to ask of a shard.
pub(super) type Visit<C> = Box<dyn FnOnce(&mut C) + Send>;

impl<C> From<(Key, JobAnswer)> for Letter<C> {
    fn from((key, answer): (Key, JobAnswer)) -> Self {
        Self::Answer(key, answer)
    }
}

impl<C: Core + 'static> CoreLoop<C> {
    /// What the shard says to others on this node leaves by their mailboxes.
    pub(super) fn tell_siblings(&mut self) {
        let Parts {
            network,
            shards,
            shard,
            ..
        } = &self.parts;
        let own = *shard;
        let mut outgoing = network.outgoing.borrow_mut();
        // A sibling that is gone stops the node; what it was told does not matter any more.
        self.has_undelivered = !matches!(self.stage, Stage::Draining)
            && outgoing.deliver_to_siblings(|to, message| {
                match shards.send(to, Letter::Sibling(own, message)) {
                    Ok(()) | Err(Letter::Answer(..) | Letter::Socket(_)) => Ok(()),
                    Err(Letter::Stop | Letter::Visit(_)) => Ok(()),
                    Err(Letter::Sibling(_, message)) => Err(message),
                }
            });
    }

    /// Sockets whose hello named another core go there.
    pub(super) fn hand_sockets_over(&mut self, now_ns: u64) {
        let Parts {
            network, shards, ..
        } = &mut self.parts;
        while let Some((to, handed)) = network.handed.pop_front() {
            if let Err(Letter::Socket(handed)) = shards.send(to, Letter::Socket(handed)) {
                network.on_not_handed(&handed, now_ns);
            }
        }
    }

    /// A letter came for this core.
    pub(super) fn on_letter(&mut self, letter: Letter<C>, now_ns: u64) {
        match letter {
            Letter::Answer(key, answer) => self.parts.io.answer(key, answer),
            Letter::Socket(handed) => self.on_handed(handed, now_ns),
            Letter::Sibling(from, message) => match &mut self.core {
                Some(core) => core.on_sibling_message(from, message),
                // Few: nobody lets a request hop to a shard that does not serve.
                None => self.early_messages.push((from, message)),
            },
            Letter::Stop => self.request_stop(now_ns),
            Letter::Visit(visit) => match &mut self.core {
                Some(core) => visit(core),
                // Whoever visits waits with a deadline; past the limit it finds nobody.
                None if self.early_visits.len() < LETTERS_MAX => self.early_visits.push(visit),
                None => {}
            },
        }
    }

    fn on_handed(&mut self, handed: HandedSocket, now_ns: u64) {
        let Parts { ring, network, .. } = &mut self.parts;
        match (&self.stage, &mut self.core) {
            (Stage::Running, Some(core)) => {
                network.on_handed(ring, handed, &mut Surroundings { core, now_ns });
            }
            (Stage::Starting, _) if network.may_wait(self.early_sockets.len()) => {
                self.early_sockets.push(handed);
            }
            (
                Stage::Starting | Stage::Running | Stage::Leaving { .. } | Stage::Draining,
                Some(_) | None,
            ) => network.on_not_handed(&handed, now_ns),
        }
    }
}
