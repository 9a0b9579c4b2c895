//! A simple client: one call at a time, each with a deadline. For command lines and tests.
//!
//! A call whose deadline passes says what is known: a query is given up and changed nothing; a command that was sent
//! may still be applied, once, as long as its session lives.

use crate::clock::now_ns;
use crate::epoll::Driver;
use crate::error::ClientError;
use crate::options::Options;
use crate::protocol::{Completion, Outcome, Protocol, Question};
use crate::session::SessionKey;
use margay_types::{ClientId, GroupId, Index, OperationId};
use margay_wire::Refusal;
use margay_wire::admin::Map;
use margay_wire::client::QueryLevel;
use rustix::rand::{GetRandomFlags, getrandom};
use std::time::Duration;

/// An output, and where it stands in the log of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The entry of the command, or the state that a query saw.
    pub index: Index,
    /// The output, encoded.
    pub bytes: Vec<u8>,
}

/// A client that waits for each answer.
#[derive(Debug)]
pub struct Client {
    driver: Driver,
    endpoints: Vec<String>,
    timeout_ns: u64,
}

/// What a call waits for, taken out of the completions.
enum News {
    Done(Reply),
    Failed(ClientError),
}

impl Client {
    /// Reaches the cluster behind these addresses and takes its map. Every call waits for at most `timeout`.
    ///
    /// # Errors
    /// `NotReached` when nobody gave a map in time.
    pub fn connect(
        endpoints: &[String],
        options: Options,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let (client, seed) = drawn().map_err(|error| not_reached(endpoints, &error))?;
        let protocol = Protocol::new(options, endpoints.to_vec(), client, seed);
        let driver =
            Driver::new(protocol).map_err(|error| not_reached(endpoints, &error.to_string()))?;
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let mut client = Self {
            driver,
            endpoints: endpoints.to_vec(),
            timeout_ns,
        };
        client.refresh_map()?;
        Ok(client)
    }

    /// The map.
    ///
    /// # Panics
    /// Never: `connect` gives no client without one.
    #[must_use]
    pub fn map(&self) -> &Map {
        self.driver.protocol.map().expect("`connect` took a map")
    }

    /// Takes a map from the cluster, for groups that were made since.
    ///
    /// # Errors
    /// `NotReached` when nobody gave one in time.
    pub fn refresh_map(&mut self) -> Result<(), ClientError> {
        let deadline_ns = self.deadline_ns();
        self.driver.protocol.refresh_map();
        while self.driver.protocol.is_map_wanted() {
            self.turn(deadline_ns, || ClientError::TimedOut)
                .map_err(|_| self.not_reached())?;
        }
        Ok(())
    }

    /// The groups of a keyspace, in the order that keys map to. Takes a newer map when the present one has none.
    ///
    /// # Errors
    /// `NoKeyspace` when the newest map has none of this name either.
    pub fn groups(&mut self, keyspace: &str) -> Result<Vec<GroupId>, ClientError> {
        if self.map().keyspace(keyspace).is_none() {
            self.refresh_map()?;
        }
        self.map()
            .keyspace(keyspace)
            .map(|found| found.groups.clone())
            .ok_or_else(|| ClientError::NoKeyspace(keyspace.to_owned()))
    }

    /// Opens a session in a group.
    ///
    /// # Errors
    /// `Refused`, or `TimedOut`; a session that opens after that ends by its timeout.
    pub fn open(&mut self, group: GroupId) -> Result<SessionKey, ClientError> {
        let deadline_ns = self.deadline_ns();
        let wanted = self.driver.protocol.open_session(group);
        let found = self.wait(deadline_ns, |completion| {
            if let Completion::Opened { session, id } = completion
                && session == wanted
            {
                let index = Index::new(id.number());
                return Some(News::Done(Reply {
                    index,
                    bytes: Vec::new(),
                }));
            }
            if let Completion::NotOpened { session, refusal } = completion
                && session == wanted
            {
                return Some(News::Failed(ClientError::Refused(refusal)));
            }
            None
        });
        match found {
            Ok(_) => Ok(wanted),
            Err(error) => {
                self.driver.protocol.close_session(wanted);
                Err(error)
            }
        }
    }

    /// Runs a command to its output.
    ///
    /// # Errors
    /// `OutcomeUnknown` when it was not answered in time, or its session was lost meanwhile; else as it was refused.
    pub fn command(
        &mut self,
        session: SessionKey,
        operation: OperationId,
        bytes: &[u8],
    ) -> Result<Reply, ClientError> {
        let deadline_ns = self.deadline_ns();
        let number = self
            .driver
            .protocol
            .submit(session, operation, u64::MAX, |out| {
                out.extend_from_slice(bytes);
            })?;
        let found = self.wait(deadline_ns, |completion| {
            if let Completion::Command {
                session: whose,
                sequence,
                index,
                outcome,
            } = completion
                && whose == session
                && sequence == number
            {
                return Some(news(index, outcome));
            }
            None
        });
        if found == Err(ClientError::TimedOut) {
            return Err(ClientError::OutcomeUnknown(
                self.why("not answered in time"),
            ));
        }
        found
    }

    /// Asks a query, in a session or outside of any.
    ///
    /// # Errors
    /// `TimedOut`, or as it was refused.
    pub fn query(
        &mut self,
        (group, session): (GroupId, Option<SessionKey>),
        operation: OperationId,
        level: QueryLevel,
        bytes: &[u8],
    ) -> Result<Reply, ClientError> {
        let deadline_ns = self.deadline_ns();
        let question = Question {
            session,
            group,
            operation,
            level,
            deadline_ns,
        };
        let wanted = self
            .driver
            .protocol
            .ask(question, |out| out.extend_from_slice(bytes));
        self.wait(deadline_ns, |completion| {
            if let Completion::Query {
                query,
                index,
                outcome,
            } = completion
                && query == wanted
            {
                return Some(news(index, outcome));
            }
            let late = Completion::QueryTimedOut { query: wanted };
            (completion == late).then_some(News::Failed(ClientError::TimedOut))
        })
    }

    /// Closes a session.
    ///
    /// # Errors
    /// `TimedOut` when nobody confirmed it; the session ends by its timeout then.
    pub fn close(&mut self, session: SessionKey) -> Result<(), ClientError> {
        let deadline_ns = self.deadline_ns();
        self.driver.protocol.close_session(session);
        self.wait(deadline_ns, |completion| {
            let has_ended = matches!(
                completion,
                Completion::Closed { session: ended } | Completion::Lost { session: ended, .. }
                    if ended == session
            );
            has_ended.then(|| {
                News::Done(Reply {
                    index: Index::ZERO,
                    bytes: Vec::new(),
                })
            })
        })
        .map(|_| ())
    }

    /// Turns until the completion comes that `wanted` takes; others are of calls that were given up.
    fn wait(
        &mut self,
        deadline_ns: u64,
        wanted: impl Fn(Completion<'_>) -> Option<News>,
    ) -> Result<Reply, ClientError> {
        loop {
            while let Some(completion) = self.driver.protocol.next_completion() {
                match wanted(completion) {
                    Some(News::Done(reply)) => return Ok(reply),
                    Some(News::Failed(error)) => return Err(error),
                    None => {}
                }
            }
            self.turn(deadline_ns, || ClientError::TimedOut)?;
        }
    }

    fn turn(
        &mut self,
        deadline_ns: u64,
        late: impl FnOnce() -> ClientError,
    ) -> Result<(), ClientError> {
        if now_ns() >= deadline_ns {
            return Err(late());
        }
        self.driver
            .turn(deadline_ns)
            .map_err(|error| not_reached(&self.endpoints, &error.to_string()))
    }

    fn deadline_ns(&self) -> u64 {
        now_ns().saturating_add(self.timeout_ns)
    }

    fn not_reached(&self) -> ClientError {
        not_reached(&self.endpoints, &self.why("no map came in time"))
    }

    fn why(&self, otherwise: &str) -> String {
        self.driver
            .protocol
            .last_failure()
            .unwrap_or(otherwise)
            .to_owned()
    }
}

fn news(index: Index, outcome: Outcome<'_>) -> News {
    match reply(index, outcome) {
        Ok(reply) => News::Done(reply),
        Err(error) => News::Failed(error),
    }
}

/// What an outcome is to a caller who waits for a reply.
pub(crate) fn reply(index: Index, outcome: Outcome<'_>) -> Result<Reply, ClientError> {
    match outcome {
        Outcome::Done(bytes) => Ok(Reply {
            index,
            bytes: bytes.to_vec(),
        }),
        Outcome::Refused(refusal) => Err(ClientError::Refused(refusal)),
        Outcome::NoOutput(refusal) => Err(ClientError::NoOutput(refusal)),
        Outcome::Unknown => Err(ClientError::OutcomeUnknown(
            Refusal::UnknownSession.to_string(),
        )),
    }
}

pub(crate) fn not_reached(endpoints: &[String], reason: &str) -> ClientError {
    ClientError::NotReached {
        addresses: endpoints.join(","),
        reason: reason.to_owned(),
    }
}

/// A client id and a seed, from the kernel.
pub(crate) fn drawn() -> Result<(ClientId, u64), String> {
    let mut bytes = [0; 24];
    let filled =
        getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|error| error.to_string())?;
    if filled < bytes.len() {
        return Err("the kernel gave too few random bytes".to_owned());
    }
    let (id, seed) = bytes
        .split_first_chunk::<16>()
        .ok_or("24 bytes are at least 16")?;
    let seed = seed.first_chunk::<8>().copied().unwrap_or_default();
    Ok((ClientId::new(*id), u64::from_le_bytes(seed)))
}
