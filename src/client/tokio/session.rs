//! A session: its commands are applied in the order in which they are submitted, each once.

use super::call::Call;
use super::client::Client;
use super::request::{Command, Hold, Request};
use crate::error::{ClientError, SubmitError};
use crate::protocol::Question;
use crate::session::SessionKey;
use margay_types::{GroupId, OperationId};
use margay_wire::client::QueryLevel;
use std::sync::Arc;
use std::time::Duration;

/// A handle to a session; clones are handles to the same. When the last one is dropped, the session is closed behind
/// its last command.
#[derive(Clone, Debug)]
pub struct Session {
    client: Client,
    group: GroupId,
    hold: Arc<Hold>,
}

impl Session {
    pub(super) fn new(client: Client, group: GroupId, hold: Hold) -> Self {
        Self {
            client,
            group,
            hold: Arc::new(hold),
        }
    }

    /// The same session, whose calls wait for at most `timeout`.
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Self {
        Self {
            client: self.client.within(timeout),
            group: self.group,
            hold: Arc::clone(&self.hold),
        }
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// What names this session within its client.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.hold.key
    }

    /// Submits a command. It has its place in the session's order when this returns, and is carried out whether or not
    /// the call is awaited.
    ///
    /// The call ends with the output; with `Submit` when it was not taken; with `TimedOut` when it was not sent in
    /// time, and never will be; with `OutcomeUnknown` when it was not answered in time, or its session was lost; else
    /// as it was refused.
    pub fn submit(&self, operation: OperationId, bytes: impl Into<Vec<u8>>) -> Call {
        let bytes: Vec<u8> = bytes.into();
        let bytes_max = self.client.command_bytes_max();
        if bytes.len() > bytes_max {
            let bytes = bytes.len();
            return Call::refused(SubmitError::TooLarge { bytes, bytes_max }.into());
        }
        let (answer, call) = Call::new(ClientError::OutcomeUnknown(
            "the client ended before the answer".to_owned(),
        ));
        let command = Command {
            operation,
            bytes,
            deadline_ns: self.client.deadline_ns(),
            answer,
        };
        let session = self.hold.key;
        match self.client.post(Request::Submit { session, command }) {
            Ok(()) => call,
            Err(error) => Call::refused(error),
        }
    }

    /// Asks a query; its answer is at least as fresh as everything that this session has seen. It is asked when this
    /// returns. The call ends with `TimedOut`, or as it was refused.
    pub fn query(
        &self,
        operation: OperationId,
        level: QueryLevel,
        bytes: impl Into<Vec<u8>>,
    ) -> Call {
        let question = Question {
            session: Some(self.hold.key),
            group: self.group,
            operation,
            level,
            deadline_ns: self.client.deadline_ns(),
        };
        self.client.ask(question, bytes.into())
    }

    /// Closes the session, for all its handles, behind the commands that were submitted before.
    ///
    /// # Errors
    /// `TimedOut` when nobody confirmed it; the session ends by its timeout then.
    pub async fn close(self) -> Result<(), ClientError> {
        let (session, deadline_ns) = (self.hold.key, self.client.deadline_ns());
        self.client
            .request(|answer| Request::Close {
                session,
                deadline_ns,
                answer,
            })
            .await
    }
}
