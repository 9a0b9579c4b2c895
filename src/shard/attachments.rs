//! Which sessions are attached to which connections.
//!
//! A session is checked once, when it is attached; every later frame carries the attachment's number, a plain
//! name in the connection's table. A connection that closes takes its attachments with it; the sessions live on.

use crate::limits::{ATTACHMENTS_MAX, SESSIONS_PER_CONNECTION_MAX};
use crate::shard::outbox::ConnectionId;
use margay_types::{ClientId, GroupId, SessionId, ShardId};
use margay_wire::client::Attachment as AttachmentNumber;
use std::collections::BTreeMap;

/// One session on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The session's group.
    pub(crate) group: GroupId,
    /// The session.
    pub(crate) session: SessionId,
    /// Whose it is.
    pub(crate) client: ClientId,
}

/// Why a session could not be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAttached {
    /// The connection's table is full.
    TooMany,
    /// The connection was closed meanwhile.
    Gone,
}

/// The sessions of one connection: by number, and the number of each. A number is not used again: what was sent before
/// its session was closed must not be taken for another's.
#[derive(Debug, Default)]
struct Table {
    attachments: BTreeMap<u32, Attachment>,
    numbers: BTreeMap<(GroupId, SessionId), u32>,
    next: u32,
}

/// The attachments of all client connections of a shard.
///
/// The shards of a node count in steps of their number, each from its own: so the number of an attachment says which
/// shard gave it out, whichever shard the connection is at.
#[derive(Debug)]
pub(crate) struct Attachments {
    connections: BTreeMap<ConnectionId, Table>,
    /// Of all connections.
    count: usize,
    shard: ShardId,
    shard_count: u16,
}

impl Attachments {
    /// Those of a shard of a node with so many.
    pub(crate) const fn new(shard: ShardId, shard_count: u16) -> Self {
        Self {
            connections: BTreeMap::new(),
            count: 0,
            shard,
            shard_count,
        }
    }

    /// A connection was made.
    pub(crate) fn on_open(&mut self, connection: ConnectionId) {
        let table = Table {
            next: u32::from(self.shard.number()),
            ..Table::default()
        };
        self.connections.insert(connection, table);
    }

    /// Is this connection known, and not gone?
    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Attaches a session and gives its number on this connection: the one that it has there already, if it has.
    pub(crate) fn attach(
        &mut self,
        connection: ConnectionId,
        attachment: Attachment,
    ) -> Result<u32, NotAttached> {
        let table = self
            .connections
            .get_mut(&connection)
            .ok_or(NotAttached::Gone)?;
        let key = (attachment.group, attachment.session);
        if let Some(number) = table.numbers.get(&key) {
            return Ok(*number);
        }
        let step = u32::from(self.shard_count);
        let is_used_up = table.next >= AttachmentNumber::NONE.0 - step;
        let is_full = table.attachments.len() >= SESSIONS_PER_CONNECTION_MAX;
        if is_used_up || is_full || self.count >= ATTACHMENTS_MAX {
            return Err(NotAttached::TooMany);
        }
        self.count += 1;
        let number = table.next;
        table.next += step;
        table.attachments.insert(number, attachment);
        table.numbers.insert(key, number);
        Ok(number)
    }

    /// The session ended, as this connection was told: it makes room for others.
    pub(crate) fn detach(&mut self, connection: ConnectionId, group: GroupId, session: SessionId) {
        if let Some(table) = self.connections.get_mut(&connection)
            && let Some(number) = table.numbers.remove(&(group, session))
        {
            table.attachments.remove(&number);
            self.count -= 1;
        }
    }

    /// The session behind a number, if the connection has one.
    pub(crate) fn find(&self, connection: ConnectionId, number: u32) -> Option<Attachment> {
        let table = self.connections.get(&connection)?;
        table.attachments.get(&number).copied()
    }

    /// The connection is gone.
    pub(crate) fn on_closed(&mut self, connection: ConnectionId) {
        if let Some(table) = self.connections.remove(&connection) {
            self.count -= table.attachments.len();
        }
    }

    /// Connections of clients and operators whose sockets are at this shard.
    pub(crate) fn connection_count(&self) -> usize {
        let own = self.shard;
        let here = self.connections.keys();
        here.filter(|connection| connection.shard == own).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(number: u64) -> ConnectionId {
        let shard = ShardId::FIRST;
        ConnectionId { shard, number }
    }

    /// A frame that names only an attachment must find its way.
    #[test]
    fn the_number_of_an_attachment_says_which_shard_gave_it_out() {
        let mut attachments = Attachments::new(ShardId::new(2), 3);
        attachments.on_open(connection(1));
        for session in 1..10 {
            let attachment = Attachment {
                group: GroupId::new(5),
                session: SessionId::new(session),
                client: ClientId::ZERO,
            };
            let number = attachments.attach(connection(1), attachment).unwrap();
            assert_eq!(number % 3, 2);
        }
    }

    #[test]
    fn numbers_count_per_connection_and_end_with_it() {
        let mut attachments = Attachments::new(ShardId::FIRST, 1);
        let attachment = Attachment {
            group: GroupId::new(3),
            session: SessionId::new(12),
            client: ClientId::ZERO,
        };
        let (one, two) = (connection(1), connection(2));
        attachments.on_open(one);
        attachments.on_open(two);
        assert_eq!(attachments.attach(one, attachment), Ok(0));
        assert_eq!(attachments.attach(one, attachment), Ok(0));
        assert_eq!(attachments.attach(two, attachment), Ok(0));
        attachments.on_closed(one);
        assert_eq!(attachments.find(one, 0), None);
        assert_eq!(attachments.attach(one, attachment), Err(NotAttached::Gone));
        assert_eq!(attachments.find(two, 0), Some(attachment));
    }

    #[test]
    fn a_connection_carries_so_many_sessions_and_no_more() {
        let mut attachments = Attachments::new(ShardId::FIRST, 1);
        let connection = connection(1);
        attachments.on_open(connection);
        let attachment = |number| Attachment {
            group: GroupId::new(3),
            session: SessionId::new(number),
            client: ClientId::ZERO,
        };
        let most = SESSIONS_PER_CONNECTION_MAX as u64;
        for number in 1..=most {
            assert!(attachments.attach(connection, attachment(number)).is_ok());
        }
        let beyond = attachments.attach(connection, attachment(most + 1));
        assert_eq!(beyond, Err(NotAttached::TooMany));
        attachments.detach(connection, GroupId::new(3), SessionId::new(1));
        assert!(attachments.attach(connection, attachment(most + 1)).is_ok());
    }

    /// Sixteen connections with as many sessions as one may carry fill a shard.
    #[test]
    fn all_connections_of_a_shard_carry_so_many_sessions_and_no_more() {
        let mut attachments = Attachments::new(ShardId::FIRST, 1);
        let attachment = |number| Attachment {
            group: GroupId::new(3),
            session: SessionId::new(number),
            client: ClientId::ZERO,
        };
        let most = (ATTACHMENTS_MAX / SESSIONS_PER_CONNECTION_MAX) as u64;
        for number in 1..=most + 1 {
            attachments.on_open(connection(number));
        }
        for number in 1..=most {
            for session in 1..=SESSIONS_PER_CONNECTION_MAX as u64 {
                let attached = attachments.attach(connection(number), attachment(session));
                assert!(attached.is_ok());
            }
        }
        let beyond = connection(most + 1);
        let refused = attachments.attach(beyond, attachment(1));
        assert_eq!(refused, Err(NotAttached::TooMany));
        attachments.detach(connection(1), GroupId::new(3), SessionId::new(1));
        assert!(attachments.attach(beyond, attachment(1)).is_ok());
        assert!(attachments.attach(beyond, attachment(2)).is_err());
        attachments.on_closed(connection(2));
        assert!(attachments.attach(beyond, attachment(2)).is_ok());
    }

    #[test]
    fn sessions_that_come_and_go_do_not_use_a_connection_up() {
        let mut attachments = Attachments::new(ShardId::FIRST, 1);
        let connection = connection(1);
        attachments.on_open(connection);
        let group = GroupId::new(3);
        for number in 1..=2 * SESSIONS_PER_CONNECTION_MAX as u64 {
            let session = SessionId::new(number);
            let attachment = Attachment {
                group,
                session,
                client: ClientId::ZERO,
            };
            let attached = attachments.attach(connection, attachment).unwrap();
            attachments.detach(connection, group, session);
            assert_eq!(attachments.find(connection, attached), None);
        }
    }
}
