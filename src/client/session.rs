//! One session: who it is in its group, where it is bound, and what it has under way.
//!
//! ```text
//!            map, link ready             answer
//!   Unbound ────────────────> Asked ────────────> Bound ──commands──>
//!      ▲ │                      │                   │
//!      │ └─ Waiting for a link  │                   │
//!      └── not the leader, connection lost ─────────┘       expired, replaced, unknown ──> lost
//! ```
//!
//! Every ask and every repetition begins a new *epoch*. A refusal counts only for the last sending of the request that
//! it answers, and not when that is to be sent again anyway: hundreds of commands in flight get as many refusals from
//! a leader that steps down, and the first one says it all.

use crate::allowance::Allowance;
use crate::connection::ConnectionId;
use crate::retry::Backoff;
use crate::sequencer::Sequencer;
use margay_types::{ClientId, GroupId, Index, SessionId};
use margay_wire::client::Attachment;

/// Names a session to the application; never names another one afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl SessionKey {
    /// A small number, dense over the sessions that are open at a time: an index for tables beside.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// Where a session is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nowhere; a timer or a map will bring it on.
    Unbound,
    /// Waits for a link to become ready.
    Waiting,
    /// Asked to be opened or attached.
    Asked(ConnectionId),
    /// Bound.
    Bound(ConnectionId, Attachment),
}

/// How far its end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    No,
    /// Wanted; everything in flight comes first.
    Wanted,
    /// Asked for.
    Asked,
}

/// The session as its group knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) session: SessionId,
    pub(crate) incarnation: u32,
}

/// One session: where it is bound, and what it has under way.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) group: GroupId,
    pub(crate) client: ClientId,
    pub(crate) timeout_ms: u32,
    pub(crate) identity: Option<Identity>,
    pub(crate) binding: Binding,
    pub(crate) closing: Closing,
    pub(crate) sequencer: Sequencer,
    /// How many of its commands may be on the wire.
    pub(crate) allowance: Allowance,
    pub(crate) epoch: u8,
    /// Nothing is sent before; also names the timer that is valid.
    pub(crate) paused_until_ns: Option<u64>,
    pub(crate) backoff: Backoff,
    /// Redirects and repetitions since something worked.
    pub(crate) hops: u32,
    /// How often it went to the next of the connections to its shard.
    pub(crate) moves: u32,
    pub(crate) window: u32,
    /// Highest index seen.
    pub(crate) seen: Index,
    /// Events received, without gaps.
    pub(crate) events_received: u64,
}

impl Session {
    pub(crate) fn new(group: GroupId, client: ClientId, timeout_ms: u32) -> Self {
        Self {
            group,
            client,
            timeout_ms,
            identity: None,
            binding: Binding::Unbound,
            closing: Closing::No,
            sequencer: Sequencer::new(),
            allowance: Allowance::new(),
            epoch: 0,
            paused_until_ns: None,
            backoff: Backoff::default(),
            hops: 0,
            moves: 0,
            window: 1,
            seen: Index::ZERO,
            events_received: 0,
        }
    }

    /// What was sent before counts no longer, but for what it did.
    pub(crate) const fn begin_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Something worked.
    pub(crate) const fn on_progress(&mut self) {
        self.backoff.reset();
        self.hops = 0;
    }

    /// The connection of its binding, asked or bound.
    pub(crate) const fn connection(&self) -> Option<ConnectionId> {
        match self.binding {
            Binding::Unbound | Binding::Waiting => None,
            Binding::Asked(connection) | Binding::Bound(connection, _) => Some(connection),
        }
    }

    /// May another command be submitted?
    pub(crate) fn has_room(&self, bytes_max: usize) -> bool {
        self.sequencer.len() < self.window as usize && self.sequencer.bytes() < bytes_max
    }
}

/// The sessions of a client, by slot.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    slots: Vec<(u32, Option<Session>)>,
    free: Vec<u32>,
}

impl Sessions {
    pub(crate) fn insert(&mut self, session: Session) -> SessionKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).expect("a client has fewer sessions than 2^22")
        });
        let (generation, place) = &mut self.slots[slot as usize];
        *place = Some(session);
        SessionKey {
            slot,
            generation: *generation,
        }
    }

    pub(crate) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        let (generation, session) = self.slots.get_mut(key.slot as usize)?;
        session.as_mut().filter(|_| *generation == key.generation)
    }

    pub(crate) fn get(&self, key: SessionKey) -> Option<&Session> {
        let (generation, session) = self.slots.get(key.slot as usize)?;
        session.as_ref().filter(|_| *generation == key.generation)
    }

    /// The session in a slot, if the low bits of its generation are these.
    pub(crate) fn key(&self, slot: u32, low: u32, mask: u32) -> Option<SessionKey> {
        let (generation, session) = self.slots.get(slot as usize)?;
        let matches = session.is_some() && generation & mask == low;
        matches.then_some(SessionKey {
            slot,
            generation: *generation,
        })
    }

    pub(crate) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        self.get(key)?;
        let (generation, session) = &mut self.slots[key.slot as usize];
        *generation += 1;
        self.free.push(key.slot);
        session.take()
    }

    /// All keys, in order of their slots.
    pub(crate) fn keys(&self) -> impl Iterator<Item = SessionKey> + '_ {
        (0_u32..)
            .zip(&self.slots)
            .filter_map(|(slot, (generation, session))| {
                session.as_ref().map(|_| SessionKey {
                    slot,
                    generation: *generation,
                })
            })
    }
}
