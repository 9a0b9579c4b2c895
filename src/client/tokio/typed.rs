//! Calls typed by the operation: the output's type follows from the command's or the query's.
//!
//! ```text
//!   let hits = Session::<Counter>::open(&client, "hits").await?;
//!   hits.call(&Add { by: 1 }).await? : i64
//! ```

use super::client::Client;
use crate::error::ClientError;
use crate::typed::Answered;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use margay_machine::{Command, DecodeOwned, Machine, Query};
use margay_types::GroupId;
use margay_wire::client::QueryLevel;

/// A handle to a session in a group whose machine is `M`.
#[derive(Debug)]
pub struct Session<M> {
    session: super::Session,
    machine: PhantomData<fn() -> M>,
}

/// A command under way; resolves to its output. What is told of [`super::Call`] holds for it.
#[derive(Debug)]
#[must_use = "the command is under way in any case, but only this says what became of it"]
pub struct Call<O> {
    call: super::Call,
    output: PhantomData<fn() -> O>,
}

/// A query under way; resolves to its answer. What is told of [`super::Call`] holds for it.
#[derive(Debug)]
#[must_use = "only this has the answer"]
pub struct Asked<M, Q> {
    call: super::Call,
    query: PhantomData<fn() -> (M, Q)>,
}

impl<M> Clone for Session<M> {
    fn clone(&self) -> Self {
        Self::of(self.session.clone())
    }
}

impl<M> Session<M> {
    /// Gives a session its type.
    #[must_use]
    pub const fn of(session: super::Session) -> Self {
        Self {
            session,
            machine: PhantomData,
        }
    }

    /// The session without its type.
    #[must_use]
    pub const fn untyped(&self) -> &super::Session {
        &self.session
    }
}

impl<M: Machine> Session<M> {
    /// Opens a session in the first group of a keyspace.
    ///
    /// # Errors
    /// See [`Client::groups`] and [`Client::open`].
    pub async fn open(client: &Client, keyspace: &str) -> Result<Self, ClientError> {
        client.open_in(keyspace).await.map(Self::of)
    }

    /// Opens a session in a group.
    ///
    /// # Errors
    /// See [`Client::open`].
    pub async fn open_in(client: &Client, group: GroupId) -> Result<Self, ClientError> {
        client.open(group).await.map(Self::of)
    }

    /// Submits a command. The call ends as that of [`super::Session::submit`], or with `BadAnswer` when the output is
    /// not of the command's type.
    pub fn call<C: Command<M>>(&self, command: &C) -> Call<C::Output> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        Call {
            call: self.session.submit(C::OPERATION, bytes),
            output: PhantomData,
        }
    }

    /// Asks a query; its answer is at least as fresh as everything that this session has seen.
    pub fn ask<Q: Query<M>>(&self, query: &Q, level: QueryLevel) -> Asked<M, Q> {
        let mut bytes = Vec::new();
        query.encode(&mut bytes);
        Asked {
            call: self.session.query(Q::OPERATION, level, bytes),
            query: PhantomData,
        }
    }

    /// Closes the session, for all its handles, behind the commands that were submitted before.
    ///
    /// # Errors
    /// See [`super::Session::close`].
    pub async fn close(self) -> Result<(), ClientError> {
        self.session.close().await
    }
}

impl<O: DecodeOwned> Future for Call<O> {
    type Output = Result<O, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(Pin::new(&mut self.call).poll(context))?;
        let output = O::decode(&reply.bytes);
        Poll::Ready(output.map_err(|error| ClientError::BadAnswer(error.to_string())))
    }
}

impl<M, Q> Future for Asked<M, Q> {
    type Output = Result<Answered<M, Q>, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(Pin::new(&mut self.call).poll(context))?;
        Poll::Ready(Ok(Answered::new(reply)))
    }
}
