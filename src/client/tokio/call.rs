//! A command or a query that is under way.

use super::request::Answer;
use crate::blocking::Reply;
use crate::error::ClientError;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// A command or a query under way; resolves to its reply. It is awaited once.
#[derive(Debug)]
#[must_use = "the call is under way in any case, but only this says what became of it"]
pub struct Call {
    answered: oneshot::Receiver<Result<Reply, ClientError>>,
    /// What is to be concluded when the task is gone.
    orphaned: Option<ClientError>,
}

impl Call {
    /// A call, and where its result goes. `orphaned` is the result when the task ends without another.
    pub(super) fn new(orphaned: ClientError) -> (Answer<Reply>, Self) {
        let (answer, answered) = oneshot::channel();
        let call = Self {
            answered,
            orphaned: Some(orphaned),
        };
        (answer, call)
    }

    /// A call that was not even taken.
    pub(super) fn refused(error: ClientError) -> Self {
        let (_, call) = Self::new(error);
        call
    }
}

impl Future for Call {
    type Output = Result<Reply, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(Pin::new(&mut self.answered).poll(context));
        Poll::Ready(answered.unwrap_or_else(|_| {
            Err(self
                .orphaned
                .take()
                .expect("a future is not polled after its result"))
        }))
    }
}
