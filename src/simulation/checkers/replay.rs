//! Replays the committed log of a group through a model of its own, and holds every answer against it.
//!
//! The model knows sessions (open, replace, close, expire by log time, refresh), exactly-once by number, `bench` and
//! `map`, and nothing of the product's code for them. A command answered at index i must stand there, take effect
//! there, and have the model's output; a query that saw i must have the answer of the model after i.
//!
//! Invariants that this proves, given what `history` judged at once: every completed operation is linearizable, none
//! that was acknowledged is missing, none took effect twice, and a session expires only after its timeout of log time.

use crate::checkers::agreement::{Agreed, KnownEntry};
use crate::history::{AnsweredQuery, DoneCommand, GroupHistory, Question};
use crate::workload::{MachineKind, bench_output};
use margay_machine::CommandView;
use margay_raft::EntryKind;
use margay_resources::bench;
use margay_resources::map::{CompareAndSet, Compared, Delete, Found, Full, Put, Written};
use margay_types::{Index, LogTime, SequenceNumber, SessionId};
use std::collections::BTreeMap;

/// Commands given up are numbered by this operation.
const SKIP: u16 = u16::MAX;

/// A session, as the log alone makes it.
#[derive(Debug)]
struct ModelSession {
    client: [u8; 16],
    attempt: u64,
    timeout_ns: u64,
    heard: LogTime,
    applied: SequenceNumber,
    count: u64,
    hash: u64,
}

/// What a group is, computed from its log alone.
#[derive(Debug)]
struct Model {
    kind: MachineKind,
    sessions: BTreeMap<SessionId, ModelSession>,
    attempts: BTreeMap<[u8; 16], u64>,
    floor: LogTime,
    total: u64,
    keys: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
}

/// What the command at an index did.
struct Effect {
    session: SessionId,
    sequence: SequenceNumber,
    output: Vec<u8>,
}

/// Replays a group.
///
/// # Errors
/// The first promise that is broken, in words.
pub fn replay(kind: MachineKind, agreed: &Agreed, history: &GroupHistory) -> Result<(), String> {
    let mut model = Model {
        kind,
        sessions: BTreeMap::new(),
        attempts: BTreeMap::new(),
        floor: LogTime::ZERO,
        total: 0,
        keys: BTreeMap::new(),
    };
    let mut queries: Vec<&AnsweredQuery> = history.queries.iter().collect();
    queries.sort_by_key(|query| query.index);
    let mut queries = queries.into_iter().peekable();
    let mut commands = history.commands.iter().peekable();
    let mut expected = Index::ZERO.next();
    for (index, term) in &agreed.committed {
        if *index != expected {
            return Err(format!("no replica was seen to commit index {expected}"));
        }
        expected = index.next();
        let Some(entry) = agreed.entries.get(&(*index, *term)) else {
            return Err(format!(
                "no log was seen with the committed entry {index} of term {term}"
            ));
        };
        let effect = model.apply(*index, entry)?;
        if let Some((_, done)) = commands.next_if(|(at, _)| *at == index) {
            judge(*index, done, effect.as_ref())?;
        }
        while let Some(query) = queries.next_if(|query| query.index == *index) {
            model.judge_query(query)?;
        }
    }
    if let Some((index, _)) = commands.next() {
        return Err(format!("the command answered at {index} is not in the log"));
    }
    match queries.find(|query| query.index > Index::ZERO) {
        Some(query) => Err(format!(
            "a query saw index {}, which was never committed",
            query.index
        )),
        None => Ok(()),
    }
}

fn judge(index: Index, done: &DoneCommand, effect: Option<&Effect>) -> Result<(), String> {
    let Some(effect) = effect else {
        return Err(format!(
            "command {} of session {} was answered at {index}, where it had no effect",
            done.sequence, done.session
        ));
    };
    if (effect.session, effect.sequence) != (done.session, done.sequence) {
        return Err(format!(
            "command {} of session {} was answered at {index}, where {} of {} stands",
            done.sequence, done.session, effect.sequence, effect.session
        ));
    }
    if effect.output == done.output {
        return Ok(());
    }
    Err(format!(
        "command {} of session {} at {index} was answered {:?}; the model says {:?} (bench: {:?}, {:?})",
        done.sequence,
        done.session,
        done.output,
        effect.output,
        bench_output(&done.output),
        bench_output(&effect.output)
    ))
}

impl Model {
    fn apply(&mut self, index: Index, entry: &KnownEntry) -> Result<Option<Effect>, String> {
        let (now, payload) = (entry.log_time, entry.payload.as_slice());
        match entry.kind {
            EntryKind::NoOp => {
                self.floor = now;
                Ok(None)
            }
            EntryKind::CommandPlain => self.command(index, now, payload),
            EntryKind::Open => {
                self.open(index, now, payload);
                Ok(None)
            }
            EntryKind::Close => {
                self.sessions.remove(&SessionId::new(number(payload, 0)));
                Ok(None)
            }
            EntryKind::Expire => {
                for at in 0..payload.len() / 8 {
                    self.expire(now, SessionId::new(number(payload, 8 * at)));
                }
                Ok(None)
            }
            EntryKind::Refresh => {
                for at in 0..payload.len() / 24 {
                    let id = SessionId::new(number(payload, 24 * at));
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.heard = session.heard.max(now);
                    }
                }
                Ok(None)
            }
            EntryKind::Configuration | EntryKind::Tick | EntryKind::Checkpoint => Ok(None),
            EntryKind::CommandKeeping | EntryKind::Skip | EntryKind::Settings => Err(format!(
                "nobody in this world appends {:?} entries",
                entry.kind
            )),
        }
    }

    fn open(&mut self, index: Index, now: LogTime, payload: &[u8]) {
        let mut client = [0; 16];
        client.copy_from_slice(&payload[..16]);
        let attempt = number(payload, 16);
        let timeout_ms = number(payload, 24) & u64::from(u32::MAX);
        if self
            .attempts
            .get(&client)
            .is_some_and(|known| *known >= attempt)
        {
            return;
        }
        self.attempts.insert(client, attempt);
        self.sessions
            .retain(|_, session| session.client != client || session.attempt > attempt);
        let session = ModelSession {
            client,
            attempt,
            timeout_ns: timeout_ms * 1_000_000,
            heard: now,
            applied: SequenceNumber::new(0),
            count: 0,
            hash: 0,
        };
        self.sessions
            .insert(SessionId::new(index.number()), session);
    }

    fn expire(&mut self, now: LogTime, id: SessionId) {
        let floor = self.floor;
        let is_over =
            |session: &ModelSession| now.since_ns(session.heard.max(floor)) >= session.timeout_ns;
        if self.sessions.get(&id).is_some_and(is_over) {
            self.sessions.remove(&id);
        }
    }

    fn command(
        &mut self,
        index: Index,
        now: LogTime,
        payload: &[u8],
    ) -> Result<Option<Effect>, String> {
        let command = CommandView::decode(payload)
            .map_err(|error| format!("the command at {index} does not decode: {error}"))?;
        let Some(id) = command.session else {
            return Ok(None);
        };
        let Some(session) = self.sessions.get_mut(&id) else {
            return Ok(None);
        };
        session.heard = session.heard.max(now);
        if command.sequence != session.applied.next() {
            return Ok(None);
        }
        session.applied = command.sequence;
        if command.operation.number() == SKIP {
            return Ok(None);
        }
        let output = match self.kind {
            MachineKind::Bench => {
                self.total += 1;
                session.count += 1;
                session.hash = bench::next_hash(session.hash, command.bytes);
                let numbers = [session.count, session.hash, self.total];
                numbers
                    .iter()
                    .flat_map(|number| number.to_le_bytes())
                    .collect()
            }
            MachineKind::Map => self
                .map_command(index.number(), command.operation.number(), command.bytes)
                .map_err(|error| format!("the operation at {index} does not decode: {error}"))?,
        };
        Ok(Some(Effect {
            session: id,
            sequence: command.sequence,
            output,
        }))
    }

    fn map_command(
        &mut self,
        version: u64,
        operation: u16,
        bytes: &[u8],
    ) -> Result<Vec<u8>, postcard::Error> {
        let known = |model: &Self, key: &[u8]| model.keys.get(key).map(|(version, _)| *version);
        match operation {
            1 => {
                let put: Put<'_> = postcard::from_bytes(bytes)?;
                let replaced = known(self, put.key);
                self.keys
                    .insert(put.key.to_vec(), (version, put.value.to_vec()));
                postcard::to_allocvec(&Ok::<_, Full>(Written { version, replaced }))
            }
            2 => {
                let delete: Delete<'_> = postcard::from_bytes(bytes)?;
                let removed = self.keys.remove(delete.key).map(|(version, _)| version);
                postcard::to_allocvec(&removed)
            }
            _ => {
                let set: CompareAndSet<'_> = postcard::from_bytes(bytes)?;
                let found = known(self, set.key);
                if found != set.expected {
                    return postcard::to_allocvec(&Compared::Differs { version: found });
                }
                self.keys
                    .insert(set.key.to_vec(), (version, set.value.to_vec()));
                postcard::to_allocvec(&Compared::Set { version })
            }
        }
    }

    fn judge_query(&self, query: &AnsweredQuery) -> Result<(), String> {
        let expected = match &query.question {
            Question::Total => self.total.to_le_bytes().to_vec(),
            Question::Mine => {
                let session = query.session.and_then(|id| self.sessions.get(&id));
                let (count, hash) = session.map_or((0, 0), |it| (it.count, it.hash));
                [count.to_le_bytes(), hash.to_le_bytes()].concat()
            }
            Question::Get(key) => {
                let found = self.keys.get(key).map(|(version, value)| Found {
                    version: *version,
                    value,
                });
                postcard::to_allocvec(&found).expect("plain data encodes")
            }
        };
        if query.output == expected {
            return Ok(());
        }
        Err(format!(
            "{:?} of session {:?} at index {} was answered {:?}; the model says {expected:?}",
            query.question, query.session, query.index, query.output
        ))
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
