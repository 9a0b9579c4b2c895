//! A client of a cluster: opens sessions, and asks queries outside of any.

use super::call::Call;
use super::driver::Driver;
use super::limits::QUEUE_PLACES;
use super::request::{Answer, Request};
use super::session::Session;
use crate::blocking::{drawn, not_reached};
use crate::clock::now_ns;
use crate::error::{ClientError, SubmitError};
use crate::options::Options;
use crate::protocol::{Protocol, Question};
use margay_types::{GroupId, OperationId};
use margay_wire::admin::Map;
use margay_wire::client::QueryLevel;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// A handle to one client; clones are handles to the same. The driver's header tells what holds for all calls.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    endpoints: Arc<[String]>,
    options: Options,
    timeout_ns: u64,
}

impl Client {
    /// Reaches the cluster behind these addresses and takes its map. Every call waits for at most `timeout`.
    /// Starts the task of the client on the present runtime.
    ///
    /// # Errors
    /// `NotReached` when nobody gave a map in time.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or on one without IO and time.
    pub async fn connect(
        endpoints: &[String],
        options: Options,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let (client, seed) = drawn().map_err(|error| not_reached(endpoints, &error))?;
        let timeout_ns = nanoseconds(timeout);
        let protocol = Protocol::new(options, endpoints.to_vec(), client, seed);
        let (requests, queue) = mpsc::channel(QUEUE_PLACES);
        tokio::spawn(Driver::new(protocol, queue, endpoints.join(","), timeout_ns).run());
        let client = Self {
            requests,
            endpoints: endpoints.into(),
            options,
            timeout_ns,
        };
        client.refresh_map().await?;
        Ok(client)
    }

    /// The same client, whose calls, and those of sessions opened with it, wait for at most `timeout`.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        let mut client = self.clone();
        client.timeout_ns = nanoseconds(timeout);
        client
    }

    /// Takes a map from the cluster, for groups that were made since.
    ///
    /// # Errors
    /// `NotReached` when nobody gave one in time.
    pub async fn refresh_map(&self) -> Result<Map, ClientError> {
        self.map(None).await
    }

    /// The groups of a keyspace, in the order that keys map to. Takes a newer map when the present one has none.
    ///
    /// # Errors
    /// `NoKeyspace` when the newest map has none of this name either.
    pub async fn groups(&self, keyspace: &str) -> Result<Vec<GroupId>, ClientError> {
        let map = self.map(Some(keyspace.to_owned())).await?;
        map.keyspace(keyspace)
            .map(|found| found.groups.clone())
            .ok_or_else(|| ClientError::NoKeyspace(keyspace.to_owned()))
    }

    /// Opens a session in a group. If this future is dropped, the session that opens is closed.
    ///
    /// # Errors
    /// `Refused`, or `TimedOut`; a session that opens after that is closed.
    pub async fn open(&self, group: GroupId) -> Result<Session, ClientError> {
        let release = self
            .requests
            .clone()
            .try_reserve_owned()
            .map_err(|error| self.not_taken(&error))?;
        let deadline_ns = self.deadline_ns();
        let hold = self
            .request(|answer| Request::Open {
                group,
                deadline_ns,
                release,
                answer,
            })
            .await?;
        Ok(Session::new(self.clone(), group, hold))
    }

    /// Opens a session in the first group of a keyspace.
    ///
    /// # Errors
    /// See [`Self::groups`] and [`Self::open`].
    pub async fn open_in(&self, keyspace: &str) -> Result<Session, ClientError> {
        let groups = self.groups(keyspace).await?;
        let group = groups
            .first()
            .copied()
            .ok_or_else(|| ClientError::NoKeyspace(keyspace.to_owned()))?;
        self.open(group).await
    }

    /// Asks a query outside of any session. The call ends with `TimedOut`, or as it was refused.
    pub fn query(
        &self,
        group: GroupId,
        operation: OperationId,
        level: QueryLevel,
        bytes: impl Into<Vec<u8>>,
    ) -> Call {
        let question = Question {
            session: None,
            group,
            operation,
            level,
            deadline_ns: self.deadline_ns(),
        };
        self.ask(question, bytes.into())
    }

    /// Closes every session, behind its last command, and waits until the task has ended. Other handles of this client
    /// are of no more use; their calls end as on a session that is closed.
    ///
    /// # Errors
    /// `TimedOut` when a session's end was not confirmed; it ends by its timeout then.
    pub async fn close(self) -> Result<(), ClientError> {
        let deadline_ns = self.deadline_ns();
        let (answer, answered) = oneshot::channel();
        let end = Request::End {
            deadline_ns,
            answer,
        };
        // A task that is gone has nothing left to close.
        if self.requests.send(end).await.is_err() {
            return Ok(());
        }
        answered.await.unwrap_or(Ok(()))
    }

    async fn map(&self, keyspace: Option<String>) -> Result<Map, ClientError> {
        let deadline_ns = self.deadline_ns();
        self.request(|answer| Request::Map {
            keyspace,
            deadline_ns,
            answer,
        })
        .await
    }

    /// Puts a request into the queue and waits for its result.
    pub(super) async fn request<T>(
        &self,
        make: impl FnOnce(Answer<T>) -> Request,
    ) -> Result<T, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.post(make(answer))?;
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// Asks a query; it is under way when this returns.
    pub(super) fn ask(&self, question: Question, bytes: Vec<u8>) -> Call {
        let (answer, call) = Call::new(self.ended());
        let request = Request::Ask {
            question,
            bytes,
            answer,
        };
        match self.post(request) {
            Ok(()) => call,
            Err(error) => Call::refused(error),
        }
    }

    /// Puts a request into the queue, or says why it was not taken.
    pub(super) fn post(&self, request: Request) -> Result<(), ClientError> {
        self.requests
            .try_send(request)
            .map_err(|error| self.not_taken(&error))
    }

    fn not_taken<T>(&self, error: &TrySendError<T>) -> ClientError {
        match error {
            TrySendError::Full(_) => SubmitError::QueueFull.into(),
            TrySendError::Closed(_) => self.ended(),
        }
    }

    fn ended(&self) -> ClientError {
        not_reached(&self.endpoints, "the client was closed")
    }

    pub(super) const fn command_bytes_max(&self) -> usize {
        self.options.command_bytes_max
    }

    pub(super) fn deadline_ns(&self) -> u64 {
        now_ns().saturating_add(self.timeout_ns)
    }
}

fn nanoseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)
}
