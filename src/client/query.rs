//! Queries under way: they change nothing, so they may be asked again anywhere until their deadline.

use crate::connection::ConnectionId;
use crate::retry::Backoff;
use crate::session::SessionKey;
use margay_types::{GroupId, NodeId, OperationId};
use margay_wire::client::QueryLevel;

/// Names a query to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl QueryKey {
    /// A small number, dense over the queries that are under way at a time: an index for tables beside.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A query that has no answer yet.
#[derive(Debug)]
pub(crate) struct PendingQuery {
    pub(crate) session: Option<SessionKey>,
    pub(crate) group: GroupId,
    pub(crate) level: QueryLevel,
    pub(crate) operation: OperationId,
    pub(crate) payload: Vec<u8>,
    pub(crate) deadline_ns: u64,
    /// Where it was sent and not answered yet; `None` while it waits.
    pub(crate) sent_on: Option<ConnectionId>,
    /// The node that could not answer when it was asked last: others come first.
    pub(crate) passed_over: Option<NodeId>,
    pub(crate) backoff: Backoff,
    /// Not sent again before.
    pub(crate) retry_at_ns: u64,
}

/// The queries of a client, by slot.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    slots: Vec<(u32, Option<PendingQuery>)>,
    free: Vec<u32>,
    spare: Vec<Vec<u8>>,
    /// Those that wait to be sent.
    pub(crate) waiting: Vec<QueryKey>,
}

impl Queries {
    /// An empty buffer for a payload.
    pub(crate) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub(crate) fn insert(&mut self, query: PendingQuery) -> QueryKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).expect("a client has fewer queries than 2^22")
        });
        let (generation, place) = &mut self.slots[slot as usize];
        *place = Some(query);
        QueryKey {
            slot,
            generation: *generation,
        }
    }

    pub(crate) fn get_mut(&mut self, key: QueryKey) -> Option<&mut PendingQuery> {
        let (generation, query) = self.slots.get_mut(key.slot as usize)?;
        query.as_mut().filter(|_| *generation == key.generation)
    }

    /// The query in a slot, if the low bits of its generation are these.
    pub(crate) fn key(&self, slot: u32, low: u32, mask: u32) -> Option<QueryKey> {
        let (generation, query) = self.slots.get(slot as usize)?;
        let matches = query.is_some() && generation & mask == low;
        matches.then_some(QueryKey {
            slot,
            generation: *generation,
        })
    }

    pub(crate) fn remove(&mut self, key: QueryKey) {
        if self.get_mut(key).is_none() {
            return;
        }
        let (generation, query) = &mut self.slots[key.slot as usize];
        *generation += 1;
        self.free.push(key.slot);
        if let Some(mut query) = query.take() {
            query.payload.clear();
            self.spare.push(query.payload);
        }
    }

    /// All keys, in order of their slots.
    pub(crate) fn keys(&self) -> Vec<QueryKey> {
        (0_u32..)
            .zip(&self.slots)
            .filter_map(|(slot, (generation, query))| {
                query.as_ref().map(|_| QueryKey {
                    slot,
                    generation: *generation,
                })
            })
            .collect()
    }
}
