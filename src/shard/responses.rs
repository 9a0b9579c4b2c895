//! Answers to clients: each is built once, in the frame that leaves.

use crate::shard::outbox::Outbox;
use crate::shard::waiters::Requester;
use margay_wire::client::{Attached, ResponseHead, write_attached, write_done, write_refusal};
use margay_wire::refusal::Refusal;

/// Builds frames of answers and hands them to the outbox.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    frame: Vec<u8>,
}

impl Responses {
    /// Done, with this output.
    pub(crate) fn done(
        &mut self,
        to: Requester,
        head: ResponseHead,
        output: &[u8],
        outbox: &mut impl Outbox,
    ) {
        self.frame.clear();
        write_done(&mut self.frame, to.request, head, output);
        outbox.send_client(to.connection, &self.frame);
    }

    /// Not done, and why.
    pub(crate) fn refused(
        &mut self,
        to: Requester,
        head: ResponseHead,
        refusal: &Refusal,
        outbox: &mut impl Outbox,
    ) {
        self.frame.clear();
        write_refusal(&mut self.frame, to.request, head, refusal);
        outbox.send_client(to.connection, &self.frame);
    }

    /// A session is bound to the connection.
    pub(crate) fn attached(
        &mut self,
        to: Requester,
        head: ResponseHead,
        attached: &Attached,
        outbox: &mut impl Outbox,
    ) {
        self.frame.clear();
        write_attached(&mut self.frame, to.request, head, attached);
        outbox.send_client(to.connection, &self.frame);
    }
}
