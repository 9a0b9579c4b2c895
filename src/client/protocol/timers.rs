//! What is due: pauses that end, keep-alives, silent connections, deadlines.
//!
//! Deadlines of commands are many and rarely pass, so they are not timers: one lower bound says when to look at all
//! of them, and looking finds the next bound.

use super::Protocol;
use super::completion::Completion;
use super::number::{Kind, Number};
use crate::connection::ConnectionId;
use crate::session::SessionKey;
use margay_wire::client::{Attachment, KeepAlive, KeepAliveItem};

/// Something to look at, at some time. One that is out of date finds nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A session's pause ends.
    Session(SessionKey),
    /// A link may be dialed.
    Dial(u32),
    /// A connection may be silent.
    Silence(ConnectionId),
    /// A keep-alive is due.
    KeepAlive(ConnectionId),
    /// The map may be asked for.
    Map,
    /// A query may be sent again.
    Queries,
}

impl Protocol {
    /// When to call [`Self::on_time`] at the latest; `u64::MAX` for never.
    #[must_use]
    pub fn due_ns(&self) -> u64 {
        let timer_ns = self.timers.first().map_or(u64::MAX, |(due_ns, _)| *due_ns);
        timer_ns.min(self.deadline_ns)
    }

    /// Time went on: does everything that is due.
    pub fn on_time(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        while let Some((due_ns, timer)) = self.timers.first().copied() {
            if due_ns > self.now_ns {
                break;
            }
            self.timers.remove(&(due_ns, timer));
            match timer {
                Timer::Session(key) => self.on_session_timer(key, due_ns),
                Timer::Dial(link) => self.on_dial_timer(link),
                Timer::Silence(connection) => self.on_silence_timer(connection),
                Timer::KeepAlive(connection) => self.on_keep_alive_timer(connection),
                Timer::Map => self.ask_map(),
                Timer::Queries => self.send_waiting_queries(),
            }
        }
        if self.deadline_ns <= self.now_ns {
            self.report_overdue();
        }
    }

    fn report_overdue(&mut self) {
        let now_ns = self.now_ns;
        let mut earliest_ns = self.expire_queries();
        let keys: Vec<_> = self.sessions.keys().collect();
        for key in keys {
            let Some(session) = self.sessions.get_mut(key) else {
                continue;
            };
            let completions = &mut self.completions;
            if session.sequencer.deadline_ns() <= now_ns {
                session.sequencer.take_overdue(now_ns, |sequence| {
                    completions.push(Completion::Pending {
                        session: key,
                        sequence,
                    });
                });
            }
            earliest_ns = earliest_ns.min(session.sequencer.deadline_ns());
        }
        self.deadline_ns = earliest_ns;
    }

    fn on_dial_timer(&mut self, link: u32) {
        let is_wanted = self
            .links
            .get(link as usize)
            .is_some_and(|link| !link.waiting.is_empty())
            || !self.queries.waiting.is_empty()
            || self.map_wanted;
        if is_wanted {
            self.want_link(link);
        }
    }

    fn on_silence_timer(&mut self, connection: ConnectionId) {
        let (now_ns, silence_ns) = (self.now_ns, self.options.silence_ns);
        let Some(link) = self.link_mut(connection) else {
            return;
        };
        let Some(asked_at_ns) = link.asked_at_ns else {
            link.is_silence_armed = false;
            return;
        };
        let due_ns = asked_at_ns + silence_ns;
        if due_ns > now_ns {
            self.timers.insert((due_ns, Timer::Silence(connection)));
        } else {
            self.hang_up(connection, "no answer for too long");
        }
    }

    fn on_keep_alive_timer(&mut self, connection: ConnectionId) {
        let due_ns = self.now_ns + self.keep_alive_interval_ns();
        let Some(link) = self.link_mut(connection) else {
            return;
        };
        if link.attachments.is_empty() {
            link.keep_alive_at_ns = u64::MAX;
            return;
        }
        link.keep_alive_at_ns = due_ns;
        let attachments = core::mem::take(&mut link.attachments);
        let items: Vec<_> = attachments
            .iter()
            .filter_map(|(number, key)| {
                self.sessions.get(*key).map(|session| KeepAliveItem {
                    attachment: Attachment(*number),
                    acknowledged_below: session.sequencer.acknowledged_below(),
                    events_received: session.events_received,
                })
            })
            .collect();
        if let Some(link) = self.link_mut(connection) {
            link.attachments = attachments;
        }
        self.timers.insert((due_ns, Timer::KeepAlive(connection)));
        let number = Number::plain(Kind::KeepAlive).pack();
        self.write(connection, |out| {
            for chunk in items.chunks(KeepAlive::ITEMS_MAX) {
                KeepAlive::write(out, number, chunk.iter().copied());
            }
        });
    }
}
