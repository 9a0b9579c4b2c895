//! Sessions find the leader of their group: map, link, open or attach; and again after every change.

use super::completion::{Completion, Outcome};
use super::number::{Kind, Number};
use super::{Protocol, Timer};
use crate::connection::{ConnectionId, Target};
use crate::session::{Binding, Closing, Session, SessionKey};
use margay_types::{GroupId, Index, NodeId, SequenceNumber, Term};
use margay_wire::Refusal;
use margay_wire::admin::{self, MapRequest};
use margay_wire::client::{Attach, Attached, Close, Command, Open};

/// Redirects that are followed at once; after that many in a row each one waits.
const HOPS_AT_ONCE: u32 = 2;

impl Protocol {
    /// Brings an unbound session on: asks its leader, or waits for what is missing.
    pub(super) fn bind(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.binding = Binding::Unbound;
        session.paused_until_ns = None;
        let (group, moves) = (session.group, session.moves);
        let Some(node) = self.router.target(group) else {
            if self.router.map().is_some() {
                self.rebind_later(key, 0);
            }
            self.want_map();
            return;
        };
        let shard = self.router.shard(node, group);
        let lane = key.slot.wrapping_add(moves);
        let number = self.shard_link(node, shard, lane);
        if let Some(connection) = self.ready(number) {
            self.ask_to_bind(key, connection);
            return;
        }
        if let (Some(session), Some(link)) = (
            self.sessions.get_mut(key),
            self.links.get_mut(number as usize),
        ) {
            session.binding = Binding::Waiting;
            link.waiting.push(key);
        }
        self.want_link(number);
    }

    fn ask_to_bind(&mut self, key: SessionKey, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.begin_epoch();
        session.binding = Binding::Asked(connection);
        let number = number_of(key, session, Kind::Bind, SequenceNumber::new(0)).pack();
        let (client, group) = (session.client, session.group);
        let (timeout_ms, events_received) = (session.timeout_ms, session.events_received);
        let identity = session.identity;
        self.write(connection, |out| match identity {
            // A session has a client id of its own, so the first attempt is the only one.
            None => Open {
                client,
                attempt: 1,
                group,
                timeout_ms,
            }
            .write(out, number),
            Some(identity) => Attach {
                client,
                session: identity.session,
                events_received,
                group,
                incarnation: identity.incarnation,
            }
            .write(out, number),
        });
    }

    /// The session leaves its binding and looks for its leader again: at once for the first hops, then with a delay.
    pub(super) fn rebind_later(&mut self, key: SessionKey, least_ns: u64) {
        let bounds = self.retry_bounds();
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if let Binding::Bound(connection, attachment) = session.binding
            && let Some(link) = self.links.get_mut(connection.link as usize)
        {
            link.attachments.remove(&attachment.0);
        }
        session.binding = Binding::Unbound;
        session.begin_epoch();
        // Whoever binds it sends everything; until then nothing is on the wire that a refusal could be of.
        session.sequencer.rewind_all();
        if session.closing == Closing::Asked {
            session.closing = Closing::Wanted;
        }
        session.hops += 1;
        if session.hops <= HOPS_AT_ONCE && least_ns == 0 && self.router.map().is_some() {
            self.bind(key);
            return;
        }
        let delay_ns = session.backoff.delay_ns(&mut self.random, bounds, least_ns);
        let due_ns = self.now_ns + delay_ns;
        session.paused_until_ns = Some(due_ns);
        self.timers.insert((due_ns, Timer::Session(key)));
    }

    /// Everything in flight is sent again, over the next of the connections to the shard where there are several.
    pub(super) fn send_twice(&mut self, key: SessionKey) {
        let has_one_lane = self.options.connections_per_shard <= 1;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if !matches!(session.binding, Binding::Bound(..)) {
            // Whoever binds it sends everything; another epoch now would make the answer to that a stranger's.
            return;
        }
        if has_one_lane {
            session.begin_epoch();
            session.sequencer.rewind_all();
            self.transmit(key);
        } else {
            session.moves = session.moves.wrapping_add(1);
            session.hops = 0;
            self.rebind_later(key, 0);
        }
    }

    /// Somebody named a node as the leader. One that cannot be reached just now leads no longer than an election:
    /// the members are asked instead of waiting for it.
    pub(super) fn follow_hint(
        &mut self,
        group: GroupId,
        (leader, term): (Option<NodeId>, Term),
        asked: Option<NodeId>,
    ) {
        self.router.on_hint(group, leader, term, asked);
        if let Some(leader) = leader
            && self.is_failing(leader, group)
        {
            self.router.on_unreachable(leader);
        }
    }

    fn is_failing(&self, node: NodeId, group: GroupId) -> bool {
        let shard = self.router.shard(node, group);
        (0..self.options.connections_per_shard.max(1)).any(|lane| {
            let number = self.link_of.get(&Target::Shard { node, shard, lane });
            number
                .and_then(|number| self.links.get(*number as usize))
                .is_some_and(|link| link.is_failing(self.now_ns))
        })
    }

    /// The session stays bound, and repeats what it has not been answered after a delay.
    pub(super) fn pause(&mut self, key: SessionKey, least_ns: u64) {
        let bounds = self.retry_bounds();
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.begin_epoch();
        let delay_ns = session.backoff.delay_ns(&mut self.random, bounds, least_ns);
        let due_ns = self.now_ns + delay_ns;
        session.paused_until_ns = Some(due_ns);
        self.timers.insert((due_ns, Timer::Session(key)));
    }

    /// A session's pause is over.
    pub(super) fn on_session_timer(&mut self, key: SessionKey, due_ns: u64) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.paused_until_ns != Some(due_ns) {
            return;
        }
        session.paused_until_ns = None;
        match session.binding {
            Binding::Unbound => self.bind(key),
            Binding::Bound(..) => self.transmit(key),
            Binding::Waiting | Binding::Asked(_) => {}
        }
    }

    /// Sends what a bound session has not sent yet, in order; and its end, when nothing is left.
    pub(super) fn transmit(&mut self, key: SessionKey) {
        let now_ns = self.now_ns;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Binding::Bound(connection, attachment) = session.binding else {
            self.close_unopened(key);
            return;
        };
        if session
            .paused_until_ns
            .is_some_and(|due_ns| due_ns > now_ns)
        {
            return;
        }
        let template = number_of(key, session, Kind::Command, SequenceNumber::new(0));
        // The two fields are borrowed apart: commands go straight from the session to the link.
        let Some(link) = self.links.get_mut(connection.link as usize) else {
            return;
        };
        let before_bytes = link.out.len();
        while session.allowance.has_place(session.sequencer.on_wire())
            && let Some((sequence, payload)) = session.sequencer.take_unsent(template.epoch)
        {
            let number = Number {
                sequence: sequence.number(),
                ..template
            }
            .pack();
            Command {
                attachment,
                payload,
            }
            .write(&mut link.out, number);
        }
        if session.closing == Closing::Wanted && session.sequencer.len() == 0 {
            session.closing = Closing::Asked;
            let number = Number {
                kind: Kind::Close,
                ..template
            }
            .pack();
            Close { attachment }.write(&mut link.out, number);
        }
        if link.out.len() > before_bytes {
            self.on_written(connection, before_bytes);
        }
    }

    /// A session that nobody knows yet needs no farewell.
    fn close_unopened(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let is_unknown = session.identity.is_none() && session.connection().is_none();
        if session.closing == Closing::Wanted && is_unknown {
            self.sessions.remove(key);
            self.completions.push(Completion::Closed { session: key });
        }
    }

    /// The session is bound: everything unanswered is sent again, in order.
    pub(super) fn become_bound(
        &mut self,
        key: SessionKey,
        connection: ConnectionId,
        attached: &Attached,
    ) {
        let attachment = attached.attachment;
        let interval_ns = self.keep_alive_interval_ns();
        let due_ns = self.now_ns + interval_ns;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.binding = Binding::Bound(connection, attachment);
        session.on_progress();
        session.sequencer.rewind_all();
        #[cfg(feature = "mutants")]
        session
            .sequencer
            .mistake_next(attached.session, attached.next);
        if let Some(link) = self.link_mut(connection) {
            link.attachments.insert(attachment.0, key);
            if link.keep_alive_at_ns == u64::MAX {
                link.keep_alive_at_ns = due_ns;
                self.timers.insert((due_ns, Timer::KeepAlive(connection)));
            }
        }
        self.transmit(key);
        self.send_waiting_queries();
    }

    /// The session is gone: what was in flight has an outcome that nobody can tell any more.
    pub(super) fn lose(&mut self, key: SessionKey, refusal: Refusal) {
        self.complete_due(key);
        let Some(mut session) = self.sessions.remove(key) else {
            return;
        };
        if let Binding::Bound(connection, attachment) = session.binding
            && let Some(link) = self.link_mut(connection)
        {
            link.attachments.remove(&attachment.0);
        }
        while let Some(sequence) = session.sequencer.abandon_oldest() {
            self.completions.push(Completion::Command {
                session: key,
                sequence,
                index: Index::ZERO,
                outcome: Outcome::Unknown,
            });
        }
        self.completions
            .push(match (session.identity, session.closing) {
                (_, Closing::Asked | Closing::Wanted) => Completion::Closed { session: key },
                (None, Closing::No) => Completion::NotOpened {
                    session: key,
                    refusal,
                },
                (Some(_), Closing::No) => Completion::Lost {
                    session: key,
                    refusal,
                },
            });
        self.fail_queries_of(key, refusal);
    }

    /// A quarter of the session timeout, and often enough to notice a silent connection.
    pub(super) fn keep_alive_interval_ns(&self) -> u64 {
        let quarter_ns = u64::from(self.options.session_timeout_ms) * 1_000_000 / 4;
        quarter_ns.min(self.options.silence_ns / 2).max(1)
    }

    /// The map is missing or wrong: asks for it where a connection is ready, or makes one.
    pub(super) fn want_map(&mut self) {
        self.map_wanted = true;
        self.ask_map();
    }

    pub(super) fn ask_map(&mut self) {
        if !self.map_wanted || self.map_asked.is_some() || self.map_paused_until_ns > self.now_ns {
            return;
        }
        // After a refusal another connection is asked, and the next address is tried beside.
        let count = self.links.len();
        let ready = (0..count).find_map(|at| {
            let number = at.wrapping_add(self.endpoint_cursor) % count;
            u32::try_from(number)
                .ok()
                .and_then(|number| self.ready(number))
        });
        if ready.is_none() || self.map_backoff.failures() > 0 {
            let place = self.endpoint_cursor % self.endpoints.len();
            let link = self.link_to(Target::Endpoint(place));
            self.want_link(link);
        }
        let Some(connection) = ready else { return };
        self.map_asked = Some(connection);
        let number = Number::plain(Kind::Map).pack();
        self.write(connection, |out| {
            admin::write_request(out, number, &MapRequest)
                .expect("a request without fields fits in a frame");
        });
    }

    /// The map did not come: asks again after a delay.
    pub(super) fn pause_map(&mut self) {
        let bounds = self.retry_bounds();
        self.map_asked = None;
        let due_ns = self.now_ns + self.map_backoff.delay_ns(&mut self.random, bounds, 0);
        self.map_paused_until_ns = due_ns;
        self.timers.insert((due_ns, Timer::Map));
    }

    pub(super) fn on_map_link_lost(&mut self, connection: ConnectionId) {
        if self.map_asked == Some(connection) {
            self.map_asked = None;
        }
        if self.map_wanted && self.map_asked.is_none() {
            self.pause_map();
        }
    }

    /// Everything that waited for a map goes on.
    pub(super) fn on_map(&mut self) {
        let unbound: Vec<_> = self
            .sessions
            .keys()
            .filter(|key| {
                self.sessions.get(*key).is_some_and(|session| {
                    session.binding == Binding::Unbound && session.paused_until_ns.is_none()
                })
            })
            .collect();
        for key in unbound {
            self.bind(key);
        }
        self.send_waiting_queries();
    }
}

/// The number of a request of a session.
pub(super) fn number_of(
    key: SessionKey,
    session: &Session,
    kind: Kind,
    sequence: SequenceNumber,
) -> Number {
    Number {
        kind,
        slot: key.slot,
        generation: key.generation & super::number::GENERATION_MASK,
        epoch: session.epoch,
        sequence: sequence.number(),
    }
}
