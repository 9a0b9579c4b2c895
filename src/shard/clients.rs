//! Frames of clients: each is for one session, or one group; what is wrong with it is said at once.

use crate::shard::Seams;
use crate::shard::outbox::ConnectionId;
use crate::shard::shard::Shard;
use crate::shard::waiters::{Purpose, Requester};
use margay_types::Term;
use margay_wire::client::{
    Attachment as AttachmentNumber, Detached, ResponseHead, attach, close, command, keep_alive,
    open, query, write_detached,
};
use margay_wire::code::Code;
use margay_wire::frame::{Frame, FrameKind};
use margay_wire::refusal::Refusal;

impl<S: Seams> Shard<S> {
    /// A client or an operator connected.
    pub fn on_client_open(&mut self, connection: ConnectionId) {
        self.means.attachments.on_open(connection);
    }

    /// The connection is gone.
    pub fn on_client_closed(&mut self, connection: ConnectionId) {
        self.means.attachments.on_closed(connection);
        self.on_hopper_gone(connection);
    }

    /// A frame of a client or an operator, for whichever shard of this node.
    pub fn on_client_frame(&mut self, connection: ConnectionId, frame: &Frame<'_>) {
        match self.hop(connection, frame) {
            Ok(true) => {}
            Ok(false) => self.take_client_frame(connection, frame),
            Err(refusal) => {
                let to = Requester {
                    connection,
                    request: frame.request,
                    purpose: Purpose::Output,
                };
                self.means.refuse(to, ResponseHead::default(), &refusal);
            }
        }
    }

    /// A frame for this shard.
    pub(crate) fn take_client_frame(&mut self, connection: ConnectionId, frame: &Frame<'_>) {
        self.requests += 1;
        let purpose = if frame.kind == FrameKind::Open {
            Purpose::Open
        } else if frame.kind == FrameKind::Close {
            Purpose::Close
        } else {
            Purpose::Output
        };
        let to = Requester {
            connection,
            request: frame.request,
            purpose,
        };
        let taken = match frame.kind {
            FrameKind::Command => self.on_command(to, frame.body),
            FrameKind::Query => self.on_query(to, frame.body),
            FrameKind::Open => self.on_open(to, frame.body),
            FrameKind::Attach => self.on_attach(to, frame.body),
            FrameKind::KeepAlive => self.on_keep_alive(to, frame.body),
            FrameKind::Close => self.on_close(to, frame.body),
            FrameKind::Map
            | FrameKind::NodeInfo
            | FrameKind::Bootstrap
            | FrameKind::KeyspaceCreate
            | FrameKind::KeyspaceList
            | FrameKind::Status
            | FrameKind::Chain => {
                self.on_operator_frame(connection, frame);
                Ok(())
            }
            FrameKind::PeerAppend
            | FrameKind::PeerMessages
            | FrameKind::Response
            | FrameKind::Event => Err(Refusal::BadRequest),
        };
        if let Err(refusal) = taken {
            self.means.refuse(to, ResponseHead::default(), &refusal);
        }
    }

    fn on_command(&mut self, to: Requester, body: &[u8]) -> Result<(), Refusal> {
        let command = command(body).map_err(|_| Refusal::BadRequest)?;
        let attachment = self
            .means
            .attachments
            .find(to.connection, command.attachment.0);
        let attachment = attachment.ok_or(Refusal::UnknownAttachment)?;
        let (hosted, means) = self.group(attachment.group)?;
        hosted.on_command(means, to, &attachment, command.payload);
        Ok(())
    }

    fn on_query(&mut self, to: Requester, body: &[u8]) -> Result<(), Refusal> {
        let query = query(body).map_err(|_| Refusal::BadRequest)?;
        let session = if query.attachment == AttachmentNumber::NONE {
            None
        } else {
            let attachment = self
                .means
                .attachments
                .find(to.connection, query.attachment.0);
            let attachment = attachment.ok_or(Refusal::UnknownAttachment)?;
            (attachment.group == query.group)
                .then_some(Some(attachment.session))
                .ok_or(Refusal::BadRequest)?
        };
        let (hosted, means) = self.group(query.group)?;
        hosted.on_query(means, to, session, &query);
        Ok(())
    }

    fn on_open(&mut self, to: Requester, body: &[u8]) -> Result<(), Refusal> {
        let open = open(body).map_err(|_| Refusal::BadRequest)?;
        let (hosted, means) = self.group(open.group)?;
        hosted.on_open(means, to, &open);
        Ok(())
    }

    fn on_attach(&mut self, to: Requester, body: &[u8]) -> Result<(), Refusal> {
        let attach = attach(body).map_err(|_| Refusal::BadRequest)?;
        let (hosted, means) = self.group(attach.group)?;
        hosted.on_attach(means, to, &attach);
        Ok(())
    }

    fn on_close(&mut self, to: Requester, body: &[u8]) -> Result<(), Refusal> {
        let close = close(body).map_err(|_| Refusal::BadRequest)?;
        let attachment = self
            .means
            .attachments
            .find(to.connection, close.attachment.0);
        let attachment = attachment.ok_or(Refusal::UnknownAttachment)?;
        let (hosted, means) = self.group(attachment.group)?;
        hosted.on_close(means, to, &attachment);
        Ok(())
    }

    fn on_keep_alive(&mut self, to: Requester, body: &[u8]) -> Result<(), Refusal> {
        let mut detached: Vec<Detached> = Vec::new();
        for item in keep_alive(body) {
            let item = item.map_err(|_| Refusal::BadRequest)?;
            let known = self
                .means
                .attachments
                .find(to.connection, item.attachment.0);
            let Some(attachment) = known else {
                detached.push(Detached {
                    attachment: item.attachment,
                    code: Code::UnknownAttachment,
                    leader: None,
                    term: Term::ZERO,
                });
                continue;
            };
            let (hosted, means) = self.group(attachment.group)?;
            if let Err(code) = hosted.on_keep_alive(means, &attachment, &item) {
                detached.push(Detached {
                    attachment: item.attachment,
                    code,
                    leader: hosted.leader_node(),
                    term: hosted.replica.term(),
                });
            }
        }
        let mut frame = Vec::new();
        write_detached(&mut frame, to.request, detached.into_iter());
        self.means.send_client(to.connection, &frame);
        Ok(())
    }
}
