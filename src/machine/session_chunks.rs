//! Sessions by id, in chunks that are shared with frozen copies until they change.
//!
//! Ids are log indexes, so new sessions always come last. Chunks are therefore filled in order and only
//! ever thin out; one that is empty goes, and neighbours that fit together are joined.
//!
//! ```text
//!   firsts   [ 3 | 97 | 160 ]          one array to search
//!   chunks   [ * | *  | *   ]          counted; a copy of this array is a frozen table
//!              v
//!            ids [ 3 5 9 .. ]  sessions [ .. ]
//! ```
//!
//! A write to a chunk that a frozen copy shares copies that chunk, once. This costs an apply two short
//! binary searches, where a persistent tree of 200,000 sessions costs 17 or more cache misses.

use crate::session::Session;
use alloc::sync::Arc;
use alloc::vec::Vec;
use margay_types::SessionId;

/// Sessions in a full chunk: small enough to be copied by one apply, large enough that freezing 200,000
/// sessions copies some six thousand pointers.
const CHUNK_SESSIONS_MAX: usize = 32;

#[derive(Clone, Debug)]
struct Chunk {
    ids: Vec<SessionId>,
    sessions: Vec<Session>,
}

/// Where a session stands, until one is added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    chunk: usize,
    position: usize,
}

/// All open sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionChunks {
    firsts: Vec<SessionId>,
    chunks: Vec<Arc<Chunk>>,
    count: usize,
}

impl SessionChunks {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Finds a session.
    pub(crate) fn find(&self, id: SessionId) -> Option<Slot> {
        let chunk = self
            .firsts
            .partition_point(|first| *first <= id)
            .checked_sub(1)?;
        let position = self.chunks[chunk].ids.binary_search(&id).ok()?;
        Some(Slot { chunk, position })
    }

    pub(crate) fn at(&self, slot: Slot) -> &Session {
        &self.chunks[slot.chunk].sessions[slot.position]
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Session {
        &mut Arc::make_mut(&mut self.chunks[slot.chunk]).sessions[slot.position]
    }

    /// All sessions, by ascending id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.chunks.iter().flat_map(|chunk| &chunk.sessions)
    }

    /// Adds a session behind all others.
    pub(crate) fn push(&mut self, session: Session) {
        let id = session.id;
        let last = self
            .chunks
            .last()
            .and_then(|chunk| chunk.ids.last())
            .copied();
        assert!(last < Some(id), "session {id} is added behind {last:?}");
        match self.chunks.last_mut() {
            Some(chunk) if chunk.ids.len() < CHUNK_SESSIONS_MAX => {
                let chunk = Arc::make_mut(chunk);
                chunk.ids.push(id);
                chunk.sessions.push(session);
            }
            Some(_) | None => {
                self.firsts.push(id);
                self.chunks.push(Arc::new(Chunk {
                    ids: alloc::vec![id],
                    sessions: alloc::vec![session],
                }));
            }
        }
        self.count += 1;
    }

    /// Takes a session out.
    pub(crate) fn remove(&mut self, slot: Slot) -> Session {
        let chunk = Arc::make_mut(&mut self.chunks[slot.chunk]);
        chunk.ids.remove(slot.position);
        let session = chunk.sessions.remove(slot.position);
        self.count -= 1;
        if chunk.ids.is_empty() {
            self.firsts.remove(slot.chunk);
            self.chunks.remove(slot.chunk);
        } else {
            self.firsts[slot.chunk] = chunk.ids[0];
            self.join(slot.chunk);
        }
        session
    }

    /// Joins a chunk with the one behind it if both fill at most half of one.
    fn join(&mut self, left: usize) {
        let Some(right) = self.chunks.get(left + 1) else {
            return;
        };
        if self.chunks[left].ids.len() + right.ids.len() > CHUNK_SESSIONS_MAX / 2 {
            return;
        }
        let mut right = self.chunks.remove(left + 1);
        self.firsts.remove(left + 1);
        let right = Arc::make_mut(&mut right);
        let left = Arc::make_mut(&mut self.chunks[left]);
        left.ids.append(&mut right.ids);
        left.sessions.append(&mut right.sessions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use margay_types::{ClientId, LogTime};
    use proptest::prelude::*;

    fn session(id: u64) -> Session {
        Session::new(SessionId::new(id), ClientId::ZERO, 1, 1, LogTime::ZERO)
    }

    proptest! {
        #[test]
        fn chunks_hold_what_an_ordered_set_holds(removals in prop::collection::vec(0_u64..400, 0..380)) {
            let mut chunks = SessionChunks::default();
            let mut model = BTreeSet::new();
            for id in 1..400 {
                chunks.push(session(id));
                model.insert(id);
            }
            for id in removals {
                let slot = chunks.find(SessionId::new(id));
                prop_assert_eq!(slot.is_some(), model.remove(&id));
                if let Some(slot) = slot {
                    prop_assert_eq!(chunks.remove(slot).id, SessionId::new(id));
                }
            }
            prop_assert_eq!(chunks.len(), model.len());
            prop_assert!(chunks.iter().map(|session| session.id.number()).eq(model.iter().copied()));
            for id in 0..400 {
                prop_assert_eq!(chunks.find(SessionId::new(id)).is_some(), model.contains(&id));
            }
        }
    }

    #[test]
    fn a_frozen_copy_does_not_see_later_changes() {
        let mut chunks = SessionChunks::default();
        for id in 1..100 {
            chunks.push(session(id));
        }
        let frozen = chunks.clone();
        let slot = chunks.find(SessionId::new(50)).unwrap();
        chunks.at_mut(slot).event_counter = 9;
        assert_eq!(frozen.at(slot).event_counter, 0);
        assert_eq!(chunks.at(slot).event_counter, 9);
    }
}
