//! What handles say to the task of their client.

use crate::blocking::Reply;
use crate::error::ClientError;
use crate::protocol::Question;
use crate::session::SessionKey;
use margay_types::{GroupId, OperationId};
use margay_wire::admin::Map;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::oneshot;

/// Where a result goes. Nobody may be there any more; that changes nothing.
pub(super) type Answer<T> = oneshot::Sender<Result<T, ClientError>>;

/// A command that has no number yet.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operation: OperationId,
    pub(super) bytes: Vec<u8>,
    pub(super) deadline_ns: u64,
    pub(super) answer: Answer<Reply>,
}

/// One request.
#[derive(Debug)]
pub(super) enum Request {
    /// The map: the present one if it has this keyspace, else a newer one.
    Map {
        keyspace: Option<String>,
        deadline_ns: u64,
        answer: Answer<Map>,
    },
    Open {
        group: GroupId,
        deadline_ns: u64,
        release: OwnedPermit<Request>,
        answer: Answer<Hold>,
    },
    Submit {
        session: SessionKey,
        command: Command,
    },
    Ask {
        question: Question,
        bytes: Vec<u8>,
        answer: Answer<Reply>,
    },
    Close {
        session: SessionKey,
        deadline_ns: u64,
        answer: Answer<()>,
    },
    /// The last handle of a session is gone.
    Release(SessionKey),
    /// Closes all sessions and ends the task.
    End {
        deadline_ns: u64,
        answer: Answer<()>,
    },
}

/// The right to use a session. It goes from the task to a handle; wherever it is dropped, the session is closed.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) key: SessionKey,
    /// A place in the queue, kept for this. Taken only when it is dropped.
    release: Option<OwnedPermit<Request>>,
}

impl Hold {
    pub(super) const fn new(key: SessionKey, release: OwnedPermit<Request>) -> Self {
        Self {
            key,
            release: Some(release),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release.send(Request::Release(self.key));
        }
    }
}
