//! A group's state at one index, as bytes: the host's part and the machine's residual.
//!
//! ```text
//!  magic "MGCP" | format u16 | machine: name, version, options | limits
//!  | index u64, term u32, log time u64 | chain 16 | history: count u32, (index u64, 16)*
//!  | skipped: count u32, u64* | refresh floor u64
//!  | ended: count u32, (session, client, attempt, how)*            the longest ended first
//!  | open:  count u32, (session, client, .., outputs: count u32, ..)*   by ascending id
//!  | residual, length-prefixed
//! ```
//!
//! Freezing copies counts and pointers; encoding is for another thread. What is written here is the
//! same on every replica, byte for byte.

use crate::answers::Code;
use crate::codec::DecodeError;
use crate::cursor::{Cursor, put_bytes};
use crate::effect_chain::{CHAIN_HISTORY_COUNT, EffectChain};
use crate::expiry_queue::ExpiryQueue;
use crate::host::{Host, HostError, StopReason, Stopped};
use crate::limits::{ENDED_SESSIONS_MAX, Limits, LimitsLayout};
use crate::operations::Frozen;
use crate::registry::Registry;
use crate::session::{CachedOutput, Session};
use crate::session_table::{End, Ended, SessionTable};
use crate::shared;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use margay_types::{ClientId, Index, LogTime, SequenceNumber, SessionId, Term};
use zerocopy::{FromBytes, IntoBytes};

const MAGIC: [u8; 4] = *b"MGCP";
const FORMAT: u16 = 1;

/// A host as it was at one index, to be encoded wherever there is time for it.
pub struct FrozenHost {
    name: Arc<str>,
    version: u32,
    options: Arc<[u8]>,
    limits: Limits,
    position: Position,
    chain: [u8; 16],
    history: VecDeque<(Index, [u8; 16])>,
    skipped: shared::Map<u64, ()>,
    sessions: SessionTable,
    residual: Box<dyn Frozen>,
}

/// Where a host stands.
#[derive(Clone, Copy)]
struct Position {
    index: Index,
    term: Term,
    time: LogTime,
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<FrozenHost>();
};

impl Host {
    /// Takes the state as it is, in well under a millisecond.
    ///
    /// # Errors
    /// The host has stopped, or the machine panicked over it; nothing was taken.
    pub fn freeze(&self) -> Result<FrozenHost, Stopped> {
        if let Some(stopped) = self.stopped() {
            return Err(stopped.clone());
        }
        let machine = self
            .machine
            .as_ref()
            .expect("a host that has not stopped has its machine");
        let mut residual = None;
        (self.guard)(&mut || residual = Some(machine.freeze())).map_err(|message| Stopped {
            index: self.applied_index,
            operation: None,
            reason: StopReason::Panicked,
            message,
        })?;
        Ok(FrozenHost {
            name: self.name.clone(),
            version: self.kind.version,
            options: self.options.clone(),
            limits: self.limits,
            position: Position {
                index: self.applied_index,
                term: self.term,
                time: self.log_time,
            },
            chain: self.chain.value(),
            history: self.chain.history().clone(),
            skipped: self.skipped.clone(),
            sessions: self.sessions.clone(),
            residual: residual.expect("a guard calls what it is given"),
        })
    }

    /// The host behind a checkpoint. Limits and options are those in it: they are replicated.
    ///
    /// # Errors
    /// The group cannot live here; see [`HostError`].
    pub fn restore(registry: &Registry, bytes: &[u8]) -> Result<Self, HostError> {
        let parts = Parts::decode(bytes).map_err(|DecodeError| HostError::Checkpoint)?;
        let kind = registry.lookup(parts.name)?;
        if kind.version != parts.version {
            return Err(HostError::Version {
                checkpoint: parts.version,
                binary: kind.version,
            });
        }
        let mut machine = None;
        (registry.guard)(&mut || machine = Some((kind.restore)(parts.options, parts.residual)))
            .map_err(|message| HostError::Panicked { message })?;
        let machine = machine.expect("a guard calls what it is given");
        let mut host = Self {
            name: Arc::from(parts.name),
            kind,
            options: Arc::from(parts.options),
            limits: parts.limits,
            guard: registry.guard,
            machine: Some(machine.map_err(|DecodeError| HostError::Checkpoint)?),
            stopped: None,
            sessions: parts.sessions,
            expiry: ExpiryQueue::default(),
            chain: EffectChain::restore(parts.chain, parts.history),
            skipped: parts.skipped,
            applied_index: parts.position.index,
            log_time: parts.position.time,
            term: parts.position.term,
        };
        host.refill_expiry();
        Ok(host)
    }
}

impl FrozenHost {
    /// The index of the state.
    #[must_use]
    pub fn index(&self) -> Index {
        self.position.index
    }

    /// Appends the checkpoint's bytes to `out`. Panics of the machine's encoder are the caller's to
    /// catch: this runs wherever it likes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        put_bytes(out, self.name.as_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        put_bytes(out, &self.options);
        out.extend_from_slice(LimitsLayout::from(self.limits).as_bytes());
        put_u64(out, self.position.index.number());
        out.extend_from_slice(&self.position.term.number().to_le_bytes());
        put_u64(out, self.position.time.number());
        out.extend_from_slice(&self.chain);
        put_count(out, self.history.len());
        for (index, value) in &self.history {
            put_u64(out, index.number());
            out.extend_from_slice(value);
        }
        put_count(out, self.skipped.len());
        for (index, ()) in self.skipped.iter() {
            put_u64(out, *index);
        }
        encode_sessions(&self.sessions, out);
        let mut residual = Vec::new();
        self.residual.write(&mut residual);
        put_bytes(out, &residual);
    }
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("every list of a checkpoint is limited below 2^32");
    out.extend_from_slice(&count.to_le_bytes());
}

fn encode_sessions(sessions: &SessionTable, out: &mut Vec<u8>) {
    put_u64(out, sessions.refresh_floor().number());
    put_count(out, sessions.ended_count());
    for ended in sessions.ended() {
        put_u64(out, ended.session.number());
        out.extend_from_slice(&ended.client.bytes());
        put_u64(out, ended.attempt);
        out.push(ended.end as u8);
    }
    put_count(out, sessions.len());
    for session in sessions.iter() {
        put_u64(out, session.id.number());
        out.extend_from_slice(&session.client.bytes());
        put_u64(out, session.attempt);
        put_u64(out, session.timeout_ns);
        put_u64(out, session.refreshed.number());
        put_u64(out, session.events_received);
        put_u64(out, session.event_counter);
        put_u64(out, session.acknowledged_below().number());
        put_count(out, session.outputs().len());
        for output in session.outputs() {
            put_u64(out, output.index.number());
            put_u64(out, output.event_counter);
            out.extend_from_slice(&output.code.number().to_le_bytes());
            put_bytes(out, output.bytes());
        }
    }
}

/// A checkpoint taken apart; the residual is still bytes.
struct Parts<'a> {
    name: &'a str,
    version: u32,
    options: &'a [u8],
    limits: Limits,
    position: Position,
    chain: [u8; 16],
    history: VecDeque<(Index, [u8; 16])>,
    skipped: shared::Map<u64, ()>,
    sessions: SessionTable,
    residual: &'a [u8],
}

impl<'a> Parts<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.array()? != MAGIC || cursor.u16()? != FORMAT {
            return Err(DecodeError);
        }
        let name = core::str::from_utf8(cursor.bytes()?).map_err(|_| DecodeError)?;
        let version = cursor.u32()?;
        let options = cursor.bytes()?;
        let layout = LimitsLayout::read_from_bytes(cursor.take(size_of::<LimitsLayout>())?)
            .map_err(|_| DecodeError)?;
        let limits = layout.limits().ok_or(DecodeError)?;
        let position = Position {
            index: Index::new(cursor.u64()?),
            term: Term::new(cursor.u32()?),
            time: LogTime::new(cursor.u64()?),
        };
        let chain = cursor.array()?;
        let history = decode_history(&mut cursor)?;
        let mut skipped = shared::Map::new();
        for _ in 0..cursor.u32()? {
            skipped.insert(cursor.u64()?, ());
        }
        let sessions = decode_sessions(&mut cursor, position)?;
        let residual = cursor.bytes()?;
        cursor.end()?;
        Ok(Self {
            name,
            version,
            options,
            limits,
            position,
            chain,
            history,
            skipped,
            sessions,
            residual,
        })
    }
}

fn decode_history(cursor: &mut Cursor<'_>) -> Result<VecDeque<(Index, [u8; 16])>, DecodeError> {
    let mut history = VecDeque::new();
    for _ in 0..cursor.u32()? {
        history.push_back((Index::new(cursor.u64()?), cursor.array()?));
    }
    if history.len() > CHAIN_HISTORY_COUNT {
        Err(DecodeError)
    } else {
        Ok(history)
    }
}

fn decode_sessions(
    cursor: &mut Cursor<'_>,
    position: Position,
) -> Result<SessionTable, DecodeError> {
    let refresh_floor = LogTime::new(cursor.u64()?);
    let mut table = SessionTable::starting_at(refresh_floor);
    let ended_count = cursor.u32()?;
    if refresh_floor > position.time || ended_count as usize > ENDED_SESSIONS_MAX {
        return Err(DecodeError);
    }
    for _ in 0..ended_count {
        let ended = Ended {
            session: SessionId::new(cursor.u64()?),
            client: ClientId::new(cursor.array()?),
            attempt: cursor.u64()?,
            end: End::from_number(cursor.u8()?).ok_or(DecodeError)?,
        };
        if table.why_missing(ended.session) != Code::UnknownSession {
            return Err(DecodeError);
        }
        table.restore_ended(ended);
    }
    for _ in 0..cursor.u32()? {
        let session = decode_session(cursor)?;
        let is_in_order = table.last_id() < Some(session.id);
        let has_ended = table.why_missing(session.id) != Code::UnknownSession;
        if session.id.number() > position.index.number() || !is_in_order || has_ended {
            return Err(DecodeError);
        }
        table.restore_open(session);
    }
    Ok(table)
}

fn decode_session(cursor: &mut Cursor<'_>) -> Result<Session, DecodeError> {
    let id = SessionId::new(cursor.u64()?);
    let client = ClientId::new(cursor.array()?);
    let (attempt, timeout_ns) = (cursor.u64()?, cursor.u64()?);
    let refreshed = LogTime::new(cursor.u64()?);
    let mut session = Session::new(id, client, attempt, timeout_ns, refreshed);
    session.events_received = cursor.u64()?;
    session.event_counter = cursor.u64()?;
    let acknowledged_below = cursor.u64()?;
    let output_count = cursor.u32()?;
    let applied_next = acknowledged_below.checked_add(u64::from(output_count));
    if acknowledged_below == 0 || applied_next.is_none() {
        return Err(DecodeError);
    }
    let mut session = session.starting_at(SequenceNumber::new(acknowledged_below));
    for _ in 0..output_count {
        let (index, event_counter) = (Index::new(cursor.u64()?), cursor.u64()?);
        let code = Code::from_number(cursor.u16()?).ok_or(DecodeError)?;
        session.keep(CachedOutput::new(
            index,
            event_counter,
            code,
            cursor.bytes()?,
        ));
    }
    Ok(session)
}
