//! All sessions of a group: the open ones, who has which, and how the last ended ones ended.
//!
//! ```text
//!              open, higher attempt            close, expire
//!     no session ───────────────> open ──────────────────────────> ended ───> forgotten
//!                                  │ open, higher attempt            ^      (limit reached)
//!                                  └──────── replaced ───────────────┘
//! ```
//!
//! * A client has at most one open session. The same attempt opens the same session, a lower one is
//!   refused, a higher one replaces the session before.
//! * The first entry of a term refreshes all sessions. That is one number, the floor under every
//!   session's last refresh, and no walk.
//! * Ended sessions are remembered, so that a late client is told how its session ended and a late
//!   repetition of its opening opens nothing. The longest ended are forgotten first.
//! * Everything here is copied in (nearly) constant time, which is how a checkpoint freezes it.

use crate::answers::Code;
use crate::digest::Digest;
use crate::limits::{ENDED_SESSIONS_MAX, Limits};
use crate::payload::{Open, Refresh};
use crate::session::{CachedOutput, Session};
use crate::session_map::{SessionMap, Slot};
use crate::shared;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{ClientId, LogTime, SequenceNumber, SessionId};

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// Its client closed it.
    Closed = 0,
    /// Its client was not heard from.
    Expired = 1,
    /// Its client opened another one.
    Replaced = 2,
}

impl End {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Closed),
            1 => Some(Self::Expired),
            2 => Some(Self::Replaced),
            _ => None,
        }
    }

    pub(crate) fn code(self) -> Code {
        match self {
            Self::Closed => Code::SessionClosed,
            Self::Expired => Code::SessionExpired,
            Self::Replaced => Code::SessionReplaced,
        }
    }
}

/// The latest session of a client.
#[derive(Clone, Copy, Debug)]
struct Latest {
    attempt: u64,
    session: SessionId,
}

/// A session that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) session: SessionId,
    pub(crate) client: ClientId,
    pub(crate) attempt: u64,
    pub(crate) end: End,
}

/// What opening came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// A session begins; one of the same client may have ended by it.
    New { replaced: Option<SessionId> },
    /// The client has it already.
    Same(SessionId),
    /// No session, for this reason.
    Refused(Code),
}

/// The sessions of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionTable {
    open: SessionMap<Session>,
    clients: shared::Map<ClientId, Latest>,
    ended: shared::Map<SessionId, (u64, Ended)>,
    endings: shared::Map<u64, SessionId>,
    endings_count: u64,
    refresh_floor: LogTime,
    cached_bytes: u64,
}

impl SessionTable {
    /// Ids of the open sessions, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.open.iter().map(|(id, _)| id)
    }

    /// The open sessions, by ascending id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.open.iter().map(|(_, session)| session)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// What all kept outputs take.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.cached_bytes
    }

    /// Finds an open session. The slot holds until a session opens or ends.
    pub(crate) fn find(&self, id: SessionId) -> Option<Slot> {
        self.open.find(id)
    }

    pub(crate) fn at(&self, slot: Slot) -> &Session {
        self.open.at(slot)
    }

    /// The open session of a client.
    pub(crate) fn of_client(&self, client: ClientId) -> Option<SessionId> {
        let latest = self.clients.get(&client)?;
        self.find(latest.session).map(|_| latest.session)
    }

    /// What to tell someone whose session is not open.
    pub(crate) fn why_missing(&self, id: SessionId) -> Code {
        self.ended
            .get(&id)
            .map_or(Code::UnknownSession, |(_, ended)| ended.end.code())
    }

    /// When a session was heard from last.
    pub(crate) fn refreshed(&self, session: &Session) -> LogTime {
        session.refreshed.max(self.refresh_floor)
    }

    pub(crate) fn refresh_floor(&self) -> LogTime {
        self.refresh_floor
    }

    /// The first entry of a term: all sessions count as heard from.
    pub(crate) fn refresh_all(&mut self, now: LogTime) {
        assert!(
            self.refresh_floor <= now,
            "all were refreshed at {} already",
            self.refresh_floor
        );
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::NewTermRefreshesNobody) {
            return;
        }
        self.refresh_floor = now;
    }

    /// A client asks for a session. `id` is the index of its entry.
    pub(crate) fn on_open(
        &mut self,
        id: SessionId,
        open: &Open,
        now: LogTime,
        limits: &Limits,
    ) -> Opened {
        let latest = self.clients.get(&open.client()).copied();
        let before = latest.filter(|latest| self.find(latest.session).is_some());
        if let Some(latest) = latest {
            if open.attempt() < latest.attempt {
                return Opened::Refused(Code::AttemptPassed);
            }
            if open.attempt() == latest.attempt {
                return match before {
                    Some(same) => Opened::Same(same.session),
                    None => Opened::Refused(self.why_missing(latest.session)),
                };
            }
        }
        if before.is_none() && self.len() as u64 >= u64::from(limits.sessions_max) {
            return Opened::Refused(Code::SessionsFull);
        }
        let replaced = before.map(|before| before.session);
        if let Some(replaced) = replaced {
            let slot = self.find(replaced).expect("it was found just now");
            self.end(slot, End::Replaced);
        }
        self.clients.insert(
            open.client(),
            Latest {
                attempt: open.attempt(),
                session: id,
            },
        );
        let session = Session::new(id, open.client(), open.attempt(), open.timeout_ns(), now);
        self.open.push(id, session);
        Opened::New { replaced }
    }

    /// Ends an open session.
    pub(crate) fn end(&mut self, slot: Slot, end: End) {
        let session = self.open.remove_at(slot);
        self.cached_bytes -= session.cached_bytes();
        self.remember(Ended {
            session: session.id,
            client: session.client,
            attempt: session.attempt,
            end,
        });
    }

    /// Is it time to end this session?
    pub(crate) fn is_expired(&self, slot: Slot, now: LogTime) -> bool {
        let session = self.at(slot);
        now.since_ns(self.refreshed(session)) >= session.timeout_ns
    }

    /// A keep-alive of this session was committed.
    pub(crate) fn on_refresh(&mut self, slot: Slot, refresh: &Refresh, now: LogTime) {
        self.on_heard(
            slot,
            now,
            refresh.acknowledged_below(),
            Some(refresh.events_received()),
        );
    }

    /// The client of this session was heard from.
    pub(crate) fn on_heard(
        &mut self,
        slot: Slot,
        now: LogTime,
        acknowledged_below: SequenceNumber,
        events_received: Option<u64>,
    ) {
        let session = self.open.at_mut(slot);
        session.on_heard(now, events_received);
        self.cached_bytes -= session.acknowledge(acknowledged_below);
    }

    /// The next command of this session was applied, or decided otherwise for ever.
    pub(crate) fn keep(&mut self, slot: Slot, output: CachedOutput) {
        self.cached_bytes += self.open.at_mut(slot).keep(output);
    }

    /// Adds what all of this says to a digest.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(self.refresh_floor.number());
        digest.number(self.cached_bytes);
        for session in self.iter() {
            digest.number(session.id.number());
            digest.bytes(&session.client.bytes());
            digest.number(session.attempt);
            digest.number(session.timeout_ns);
            digest.number(session.refreshed.number());
            digest.number(session.applied().number());
            digest.number(session.acknowledged_below().number());
            for output in session.outputs() {
                digest.number(output.index.number());
                digest.number(u64::from(output.code.number()));
                digest.bytes(output.bytes());
            }
        }
        for ended in self.ended() {
            digest.number(ended.session.number());
            digest.number(u64::from(ended.end as u8));
        }
    }

    /// The ended sessions that are remembered, the longest ended first.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &Ended> {
        self.endings.iter().map(|(_, session)| {
            let (_, ended) = self
                .ended
                .get(session)
                .expect("every ending has its session");
            ended
        })
    }

    pub(crate) fn ended_count(&self) -> usize {
        self.endings.len()
    }

    /// Remembers how a session ended, and forgets the one that ended first when there are too many.
    fn remember(&mut self, ended: Ended) {
        self.endings.insert(self.endings_count, ended.session);
        self.ended
            .insert(ended.session, (self.endings_count, ended));
        self.endings_count += 1;
        if self.endings.len() <= ENDED_SESSIONS_MAX {
            return;
        }
        let (&count, &session) = self.endings.first().expect("there are too many");
        let (_, forgotten) = *self
            .ended
            .get(&session)
            .expect("every ending has its session");
        self.endings.remove(&count);
        self.ended.remove(&session);
        let latest = self.clients.get(&forgotten.client);
        if latest.is_some_and(|latest| latest.session == session) {
            self.clients.remove(&forgotten.client);
        }
    }
}

/// How a checkpoint puts a table back, in the order in which it wrote it.
impl SessionTable {
    pub(crate) fn starting_at(refresh_floor: LogTime) -> Self {
        Self {
            refresh_floor,
            ..Self::default()
        }
    }

    /// Puts an ended session back; before the open ones, since those are their clients' latest.
    pub(crate) fn restore_ended(&mut self, ended: Ended) {
        let latest = Latest {
            attempt: ended.attempt,
            session: ended.session,
        };
        let known = self.clients.get(&ended.client);
        if known.is_none_or(|known| known.attempt < latest.attempt) {
            self.clients.insert(ended.client, latest);
        }
        self.remember(ended);
    }

    /// Puts an open session back, behind those with lower ids.
    pub(crate) fn restore_open(&mut self, session: Session) {
        let latest = Latest {
            attempt: session.attempt,
            session: session.id,
        };
        self.clients.insert(session.client, latest);
        self.cached_bytes += session.cached_bytes();
        self.open.push(session.id, session);
    }

    /// The highest id of an open session.
    pub(crate) fn last_id(&self) -> Option<SessionId> {
        self.open.last()
    }
}
