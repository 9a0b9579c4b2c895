//! Something per session, in chunks that are shared with copies until they change.
//!
//! Ids are log indexes, so new sessions always come last. Chunks are therefore filled in order and
//! only ever thin out; one that is empty goes, and neighbours that fit together are joined.
//!
//! ```text
//!   firsts   [ 3 | 97 | 160 ]          one array to search
//!   chunks   [ * | *  | *   ]          counted; a copy of these two arrays is a frozen map
//!              v
//!            ids 3 5 9 .. | values [ .. ]
//! ```
//!
//! A write to a chunk that a copy shares copies that chunk, once. A copy of 200,000 sessions is
//! some six thousand pointers: a tenth of a millisecond. In return a lookup costs two short
//! searches and three cache misses, where a persistent tree costs one per level, 17 and more.

use alloc::sync::Arc;
use alloc::vec::Vec;
use margay_types::SessionId;

/// Sessions in a full chunk: few enough to be copied by one apply, enough to keep copies cheap.
const CHUNK_SESSIONS_MAX: usize = 32;

/// Some neighbours, shared with copies of the map until one of them changes.
#[derive(Clone, Debug)]
struct Chunk<V> {
    /// The ids in use are as many as there are values.
    ids: [SessionId; CHUNK_SESSIONS_MAX],
    values: Vec<V>,
}

impl<V> Chunk<V> {
    fn new() -> Self {
        Self {
            ids: [SessionId::new(0); CHUNK_SESSIONS_MAX],
            values: Vec::new(),
        }
    }

    fn ids(&self) -> &[SessionId] {
        &self.ids[..self.values.len()]
    }

    fn push(&mut self, id: SessionId, value: V) {
        self.ids[self.values.len()] = id;
        self.values.push(value);
    }

    fn remove(&mut self, position: usize) -> V {
        let value = self.values.remove(position);
        self.ids.copy_within(position + 1.., position);
        value
    }
}

/// Where a session stands, until one is added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    chunk: usize,
    position: usize,
}

/// A value per session, by ascending id. Copies are cheap, so it may stand in a residual.
#[derive(Clone, Debug)]
pub struct SessionMap<V> {
    firsts: Vec<SessionId>,
    chunks: Vec<Arc<Chunk<V>>>,
    count: usize,
}

impl<V> Default for SessionMap<V> {
    fn default() -> Self {
        Self {
            firsts: Vec::new(),
            chunks: Vec::new(),
            count: 0,
        }
    }
}

impl<V: Clone> SessionMap<V> {
    /// A map without sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many sessions have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Has no session a value?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of a session.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<&V> {
        self.find(id).map(|slot| self.at(slot))
    }

    /// The value of a session, to be changed.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut V> {
        self.find(id).map(|slot| self.at_mut(slot))
    }

    /// The session with the highest id that has a value.
    #[must_use]
    pub fn last(&self) -> Option<SessionId> {
        self.chunks
            .last()
            .and_then(|chunk| chunk.ids().last())
            .copied()
    }

    /// All sessions and their values, by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &V)> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.ids().iter().copied().zip(&chunk.values))
    }

    /// Adds a session behind all others, which is where a new one belongs.
    ///
    /// # Panics
    /// When there is one with this id or a higher one.
    pub fn push(&mut self, id: SessionId, value: V) {
        let last = self.last();
        assert!(last < Some(id), "session {id} is added behind {last:?}");
        match self.chunks.last_mut() {
            Some(chunk) if chunk.values.len() < CHUNK_SESSIONS_MAX => {
                Arc::make_mut(chunk).push(id, value);
            }
            Some(_) | None => {
                let mut chunk = Chunk::new();
                chunk.push(id, value);
                self.firsts.push(id);
                self.chunks.push(Arc::new(chunk));
            }
        }
        self.count += 1;
    }

    /// Takes a session's value out.
    pub fn remove(&mut self, id: SessionId) -> Option<V> {
        self.find(id).map(|slot| self.remove_at(slot))
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<Slot> {
        let chunk = self
            .firsts
            .partition_point(|first| *first <= id)
            .checked_sub(1)?;
        let position = self.chunks[chunk].ids().binary_search(&id).ok()?;
        Some(Slot { chunk, position })
    }

    pub(crate) fn at(&self, slot: Slot) -> &V {
        &self.chunks[slot.chunk].values[slot.position]
    }

    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut V {
        &mut Arc::make_mut(&mut self.chunks[slot.chunk]).values[slot.position]
    }

    pub(crate) fn remove_at(&mut self, slot: Slot) -> V {
        let chunk = Arc::make_mut(&mut self.chunks[slot.chunk]);
        let value = chunk.remove(slot.position);
        self.count -= 1;
        if chunk.values.is_empty() {
            self.firsts.remove(slot.chunk);
            self.chunks.remove(slot.chunk);
        } else {
            self.firsts[slot.chunk] = chunk.ids[0];
            self.join(slot.chunk);
        }
        value
    }

    /// Joins a chunk with the one behind it if both fill at most half of one.
    fn join(&mut self, left: usize) {
        let Some(right) = self.chunks.get(left + 1) else {
            return;
        };
        if self.chunks[left].values.len() + right.values.len() > CHUNK_SESSIONS_MAX / 2 {
            return;
        }
        let right = Arc::unwrap_or_clone(self.chunks.remove(left + 1));
        self.firsts.remove(left + 1);
        let left = Arc::make_mut(&mut self.chunks[left]);
        for (id, value) in right.ids.into_iter().zip(right.values) {
            left.push(id, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn filled(ids: core::ops::Range<u64>) -> SessionMap<u64> {
        let mut map = SessionMap::new();
        for id in ids {
            map.push(SessionId::new(id), id * 10);
        }
        map
    }

    proptest! {
        #[test]
        fn it_holds_what_an_ordered_set_holds(
            removals in prop::collection::vec(0_u64..400, 0..380),
        ) {
            let mut map = filled(1..400);
            let mut model: BTreeSet<u64> = (1..400).collect();
            for id in removals {
                let expected = model.remove(&id).then_some(id * 10);
                prop_assert_eq!(map.remove(SessionId::new(id)), expected);
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(map.iter().map(|(id, _)| id.number()).eq(model.iter().copied()));
            for id in 0..400 {
                let expected = model.contains(&id).then_some(id * 10);
                prop_assert_eq!(map.get(SessionId::new(id)).copied(), expected);
            }
        }
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut map = filled(1..100);
        let copy = map.clone();
        let session = SessionId::new(50);
        *map.get_mut(session).unwrap() = 9;
        map.remove(SessionId::new(51));
        assert_eq!(copy.get(session), Some(&500));
        assert_eq!(copy.len(), 99);
        assert_eq!(map.get(session), Some(&9));
    }
}
