//! What an answer means: for a bind, a command, a close, a keep-alive, a map.
//!
//! | refusal of a command | what follows |
//! | --- | --- |
//! | not the leader, leadership lost | look for the leader, attach there, send everything unanswered again |
//! | not ready | wait, then send again from this command on |
//! | overloaded, no space, window full, stopped | the same, and less at a time: see `allowance` |
//! | next is n | send again from n on |
//! | too large, bad operation | completes so; its number is skipped |
//! | output gone, skipped, output too large | completes so, in whatever epoch it was asked |
//! | unknown attachment | attach again |
//! | session unknown, expired, replaced, closed | the session is lost |

use super::Protocol;
use super::completion::{Completion, Outcome};
use super::number::{GENERATION_MASK, Kind, Number, SEQUENCE_MASK};
use super::reaction::Reaction;
use crate::connection::ConnectionId;
use crate::sequencer::Due;
use crate::session::{Binding, Closing, SessionKey};
use margay_types::{Index, SequenceNumber};
use margay_wire::admin::{self, MapRequest};
use margay_wire::client::{self, Answer, Attachment, Response, ResponseHead};
use margay_wire::{Code, Refusal, WireError};

/// Repetitions at once that did not help; then they wait.
const REPEATS_AT_ONCE: u32 = 3;

/// A leader that does not know of its end finds out, or is out of reach of others, within about this time.
const STALE_LEADER_PAUSE_NS: u64 = 50_000_000;

impl Protocol {
    pub(super) fn on_response(
        &mut self,
        connection: ConnectionId,
        number: u64,
        body: &[u8],
    ) -> Result<(), WireError> {
        let response = client::response(body)?;
        let Some(number) = Number::unpack(number) else {
            return Err(WireError::BadNumber {
                what: "request number",
                number,
            });
        };
        match number.kind {
            Kind::Command => self.on_command_answer(number, response),
            Kind::Query => self.on_query_answer(number, response),
            Kind::Bind => self.on_bind_answer(connection, number, response)?,
            Kind::Close => self.on_close_answer(number, response),
            Kind::KeepAlive => self.on_keep_alive_answer(connection, response)?,
            Kind::Map => self.on_map_answer(response)?,
        }
        Ok(())
    }

    fn session_of(&self, number: Number) -> Option<SessionKey> {
        self.sessions
            .key(number.slot, number.generation, GENERATION_MASK)
    }

    fn on_command_answer(&mut self, number: Number, response: Response<'_>) {
        let Some(key) = self.session_of(number) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(sequence) = session
            .sequencer
            .in_flight_number(number.sequence, SEQUENCE_MASK)
        else {
            return;
        };
        match response.answer {
            Answer::Done(output) => {
                session.on_progress();
                session.allowance.on_answered(session.window);
                self.on_applied(key, sequence, response.head, output);
            }
            Answer::Refused(refusal) => {
                self.refused_count += 1;
                // What was decided stays decided; any other refusal speaks of its own sending only.
                let is_decided = Reaction::to(&refusal) == Reaction::Complete;
                if is_decided || session.sequencer.sent_in(sequence) == Some(number.epoch) {
                    self.on_command_refused(key, sequence, refusal);
                }
            }
        }
        self.send_held_back(key);
    }

    /// An answer makes a place on the wire for what was held back.
    fn send_held_back(&mut self, key: SessionKey) {
        let session = self.sessions.get(key);
        if session.is_some_and(|session| session.sequencer.has_unsent()) {
            self.transmit(key);
        }
    }

    fn on_applied(
        &mut self,
        key: SessionKey,
        sequence: SequenceNumber,
        head: ResponseHead,
        output: &[u8],
    ) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.seen = session.seen.max(head.index);
        if !session.sequencer.is_oldest(sequence) {
            session.sequencer.on_done(sequence, head.index, output);
            return;
        }
        match session.sequencer.complete_oldest() {
            Ok(()) => self
                .completions
                .push_output(key, sequence, head.index, output),
            Err(refusal) => self.push_refused(key, sequence, refusal),
        }
        self.complete_due(key);
    }

    /// Completes what is answered and no longer waits for an earlier command.
    pub(super) fn complete_due(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let completions = &mut self.completions;
        while session.sequencer.take_due(|sequence, due| match due {
            Due::Done { index, output } => completions.push_output(key, sequence, index, output),
            Due::Refused(refusal) => completions.push(refused(key, sequence, refusal)),
        }) {}
        if session.closing == Closing::Wanted && session.sequencer.len() == 0 {
            self.transmit(key);
        }
    }

    fn push_refused(&mut self, key: SessionKey, sequence: SequenceNumber, refusal: Refusal) {
        self.completions.push(refused(key, sequence, refusal));
    }

    fn on_command_refused(&mut self, key: SessionKey, sequence: SequenceNumber, refusal: Refusal) {
        let least_ns = u64::from(refusal.retry_after_ms().unwrap_or(0)) * 1_000_000;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        match Reaction::to(&refusal) {
            Reaction::Wait => {
                session.sequencer.rewind(sequence);
                if refusal.code() != Code::NotReady {
                    session.allowance.on_refused(session.sequencer.on_wire());
                }
                self.pause(key, least_ns);
            }
            Reaction::Repeat(next) => self.on_next_is(key, next),
            Reaction::Skip => self.skip(key, sequence, refusal),
            Reaction::Complete => {
                session.on_progress();
                session.allowance.on_answered(session.window);
                session.sequencer.on_decided(sequence, refusal);
                self.complete_due(key);
            }
            Reaction::Move => self.on_session_refused(key, refusal),
        }
    }

    /// The leader misses commands before this one.
    fn on_next_is(&mut self, key: SessionKey, next: SequenceNumber) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if next < session.sequencer.acknowledged_below() {
            // It misses commands that are done: its reign is over, and it does not know yet.
            self.rebind_later(key, STALE_LEADER_PAUSE_NS);
            return;
        }
        if next > session.sequencer.next() {
            self.lose(key, Refusal::UnknownSession);
            return;
        }
        session.sequencer.rewind(next);
        session.hops += 1;
        if session.hops > REPEATS_AT_ONCE {
            self.pause(key, 0);
        } else {
            session.begin_epoch();
            self.transmit(key);
        }
    }

    fn skip(&mut self, key: SessionKey, sequence: SequenceNumber, refusal: Refusal) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(identity) = session.identity else {
            return;
        };
        session.sequencer.skip(identity.session, sequence, refusal);
        session.begin_epoch();
        self.transmit(key);
    }

    /// What any request of a session may be refused with: it must move, wait, or is lost.
    fn on_session_refused(&mut self, key: SessionKey, refusal: Refusal) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let (group, asked) = (session.group, session.connection());
        let node = asked.and_then(|connection| self.node_of(connection));
        if refusal.ends_session() {
            self.lose(key, refusal);
            return;
        }
        if let Some(hint) = refusal.leader_hint() {
            self.follow_hint(group, hint, node);
            self.rebind_later(key, 0);
            return;
        }
        if refusal.code() == Code::UnknownGroup {
            if let Some(node) = node {
                self.router.on_unreachable(node);
            }
            self.want_map();
        }
        let least_ns = u64::from(refusal.retry_after_ms().unwrap_or(0)) * 1_000_000;
        self.rebind_later(key, least_ns);
    }

    fn on_bind_answer(
        &mut self,
        connection: ConnectionId,
        number: Number,
        response: Response<'_>,
    ) -> Result<(), WireError> {
        let Some(key) = self.session_of(number) else {
            return Ok(());
        };
        let node = self.node_of(connection);
        let Some(session) = self.sessions.get_mut(key) else {
            return Ok(());
        };
        if session.epoch != number.epoch || session.binding != Binding::Asked(connection) {
            return Ok(());
        }
        let output = match response.answer {
            Answer::Done(output) => output,
            Answer::Refused(refusal) => {
                self.on_bind_refused(key, refusal);
                return Ok(());
            }
        };
        let attached = client::attached(output)?;
        if attached.next < session.sequencer.acknowledged_below() {
            // It misses commands that are done: its reign is over, and it does not know yet.
            self.rebind_later(key, STALE_LEADER_PAUSE_NS);
            return Ok(());
        }
        session.window = attached.window.min(u32::from(u16::MAX));
        session.seen = session.seen.max(response.head.index);
        let is_new = session.identity.is_none();
        session.identity = Some(crate::session::Identity {
            session: attached.session,
            incarnation: attached.incarnation,
        });
        let group = session.group;
        let known = session.sequencer.acknowledged_below()..=session.sequencer.next();
        if !known.contains(&attached.next) {
            self.lose(key, Refusal::UnknownSession);
            return Ok(());
        }
        if let Some(node) = node {
            self.router.on_leader(group, node, response.head.term);
        }
        if is_new {
            self.completions.push(Completion::Opened {
                session: key,
                id: attached.session,
            });
        }
        self.become_bound(key, connection, &attached);
        Ok(())
    }

    fn on_bind_refused(&mut self, key: SessionKey, refusal: Refusal) {
        let is_final = matches!(
            refusal.code(),
            Code::AttemptTooLow | Code::BadRequest | Code::NotFound
        );
        if is_final {
            self.lose(key, refusal);
        } else {
            self.on_session_refused(key, refusal);
        }
    }

    fn on_close_answer(&mut self, number: Number, response: Response<'_>) {
        let Some(key) = self.session_of(number) else {
            return;
        };
        match response.answer {
            Answer::Done(_) => self.lose(key, Refusal::SessionClosed),
            Answer::Refused(refusal) => {
                let is_current = self
                    .sessions
                    .get(key)
                    .is_some_and(|session| session.epoch == number.epoch);
                if is_current {
                    self.on_session_refused(key, refusal);
                }
            }
        }
    }

    fn on_keep_alive_answer(
        &mut self,
        connection: ConnectionId,
        response: Response<'_>,
    ) -> Result<(), WireError> {
        let Answer::Done(output) = response.answer else {
            return Ok(());
        };
        for item in client::detached(output) {
            let item = item?;
            let Some(key) = self.session_at(connection, item.attachment) else {
                continue;
            };
            if item.code == Code::NotReady {
                continue;
            }
            let refusal = if matches!(item.code, Code::NotLeader | Code::LeadershipLost) {
                Refusal::NotLeader {
                    leader: item.leader,
                    term: item.term,
                }
            } else {
                Refusal::without_detail(item.code).unwrap_or(Refusal::UnknownAttachment)
            };
            self.on_session_refused(key, refusal);
        }
        Ok(())
    }

    fn session_at(&self, connection: ConnectionId, attachment: Attachment) -> Option<SessionKey> {
        self.link(connection)?
            .attachments
            .get(&attachment.0)
            .copied()
    }

    fn on_map_answer(&mut self, response: Response<'_>) -> Result<(), WireError> {
        let Answer::Done(output) = response.answer else {
            self.endpoint_cursor += 1;
            self.pause_map();
            return Ok(());
        };
        self.router
            .install(admin::read_answer::<MapRequest>(output)?);
        self.map_asked = None;
        self.map_wanted = false;
        self.map_backoff.reset();
        self.on_map();
        Ok(())
    }

    pub(super) fn on_event(
        &mut self,
        connection: ConnectionId,
        body: &[u8],
    ) -> Result<(), WireError> {
        let event = client::event(body)?;
        let Some(key) = self.session_at(connection, event.attachment) else {
            return Ok(());
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return Ok(());
        };
        if event.number != session.events_received + 1 {
            return Ok(());
        }
        session.events_received = event.number;
        session.seen = session.seen.max(event.index);
        self.completions
            .push_event(key, event.number, event.index, event.payload);
        Ok(())
    }
}

/// A command that is decided without an output.
fn refused(session: SessionKey, sequence: SequenceNumber, refusal: Refusal) -> Completion<'static> {
    let outcome = if refusal.is_known_not_applied() {
        Outcome::Refused(refusal)
    } else {
        Outcome::NoOutput(refusal)
    };
    Completion::Command {
        session,
        sequence,
        index: Index::ZERO,
        outcome,
    }
}
