//! Calls typed by the operation: the output's type follows from the command's or the query's.
//!
//! ```text
//!   session.call(&mut client, &Add { by: 1 })? : i64
//! ```

use crate::blocking::{Client, Reply};
use crate::error::ClientError;
use crate::session::SessionKey;
use core::marker::PhantomData;
use margay_machine::{Command, Decode, Machine, Query};
use margay_types::{GroupId, Index};
use margay_wire::client::QueryLevel;

/// A session in a group whose machine is `M`.
#[derive(Debug)]
pub struct Session<M> {
    group: GroupId,
    key: SessionKey,
    machine: PhantomData<fn() -> M>,
}

/// The answer to a query: owns the bytes, and lends the value.
#[derive(Debug)]
pub struct Answered<M, Q> {
    reply: Reply,
    query: PhantomData<fn() -> (M, Q)>,
}

impl<M: Machine> Session<M> {
    /// Opens a session in the first group of a keyspace.
    ///
    /// # Errors
    /// See [`Client::groups`] and [`Client::open`].
    pub fn open(client: &mut Client, keyspace: &str) -> Result<Self, ClientError> {
        let groups = client.groups(keyspace)?;
        let group = groups
            .first()
            .copied()
            .ok_or_else(|| ClientError::NoKeyspace(keyspace.to_owned()))?;
        Self::open_in(client, group)
    }

    /// Opens a session in a group.
    ///
    /// # Errors
    /// See [`Client::open`].
    pub fn open_in(client: &mut Client, group: GroupId) -> Result<Self, ClientError> {
        let key = client.open(group)?;
        Ok(Self {
            group,
            key,
            machine: PhantomData,
        })
    }

    /// The session without its type.
    #[must_use]
    pub const fn key(&self) -> SessionKey {
        self.key
    }

    /// Runs a command to its output.
    ///
    /// # Errors
    /// See [`Client::command`]; `BadAnswer` when the output is not of the command's type.
    pub fn call<C: Command<M>>(
        &self,
        client: &mut Client,
        command: &C,
    ) -> Result<C::Output, ClientError> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        let reply = client.command(self.key, C::OPERATION, &bytes)?;
        C::Output::decode(&reply.bytes).map_err(|error| ClientError::BadAnswer(error.to_string()))
    }

    /// Asks a query; its answer is at least as fresh as everything that this session has seen.
    ///
    /// # Errors
    /// See [`Client::query`].
    pub fn ask<Q: Query<M>>(
        &self,
        client: &mut Client,
        query: &Q,
        level: QueryLevel,
    ) -> Result<Answered<M, Q>, ClientError> {
        let mut bytes = Vec::new();
        query.encode(&mut bytes);
        let place = (self.group, Some(self.key));
        let reply = client.query(place, Q::OPERATION, level, &bytes)?;
        Ok(Answered::new(reply))
    }

    /// Closes the session.
    ///
    /// # Errors
    /// See [`Client::close`].
    pub fn close(self, client: &mut Client) -> Result<(), ClientError> {
        client.close(self.key)
    }
}

impl<M, Q> Answered<M, Q> {
    pub(crate) const fn new(reply: Reply) -> Self {
        Self {
            reply,
            query: PhantomData,
        }
    }
}

impl<M: Machine, Q: Query<M>> Answered<M, Q> {
    /// The index of the state that the query saw.
    #[must_use]
    pub const fn index(&self) -> Index {
        self.reply.index
    }

    /// The value.
    ///
    /// # Errors
    /// `BadAnswer` when the bytes are not of the query's type.
    pub fn value(&self) -> Result<Q::Output<'_>, ClientError> {
        Q::Output::decode(&self.reply.bytes)
            .map_err(|error| ClientError::BadAnswer(error.to_string()))
    }
}
