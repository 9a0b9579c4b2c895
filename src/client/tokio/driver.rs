//! The task of a client: one loop that takes requests, moves bytes and hands results on.
//!
//! A turn polls everything once. If something moved, the next turn follows at once; if nothing did, all that can change
//! anything (the queue, the sockets, the timer) has been polled and will wake the task.

use super::ledger::Ledger;
use super::limits::REQUESTS_PER_TURN;
use super::request::{Answer, Request};
use super::sockets::{Sockets, Turn};
use crate::clock::now_ns;
use crate::error::ClientError;
use crate::protocol::Protocol;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

/// How far the client is.
enum Life {
    Running,
    /// Its sessions are being closed; it ends without them at the deadline.
    Ending {
        deadline_ns: u64,
        answers: Vec<Answer<()>>,
    },
}

/// Wakes the task at a time of the protocol.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// What it is set to; `None` once it rang.
    due_ns: Option<u64>,
}

/// Everything that the task owns.
pub(super) struct Driver {
    protocol: Protocol,
    queue: mpsc::Receiver<Request>,
    /// Requests taken from the queue; empty between turns.
    taken: Vec<Request>,
    sockets: Sockets,
    ledger: Ledger,
    alarm: Alarm,
    life: Life,
    timeout_ns: u64,
}

impl Driver {
    /// A client that begins now. `timeout_ns` bounds its end after the last handle is gone.
    pub(super) fn new(
        mut protocol: Protocol,
        queue: mpsc::Receiver<Request>,
        addresses: String,
        timeout_ns: u64,
    ) -> Self {
        protocol.on_time(now_ns());
        Self {
            protocol,
            queue,
            taken: Vec::with_capacity(REQUESTS_PER_TURN),
            sockets: Sockets::new(),
            ledger: Ledger::new(addresses),
            alarm: Alarm {
                sleep: Box::pin(sleep(Duration::ZERO)),
                due_ns: None,
            },
            life: Life::Running,
            timeout_ns,
        }
    }

    /// Until the client is closed, or its last handle is gone, and its sessions are closed.
    pub(super) async fn run(mut self) {
        while !self.is_over() {
            poll_fn(|context| self.poll_turn(context)).await;
        }
        let is_settled = self.ledger.is_settled();
        // What was not sent never will be; whoever asked too late is told so.
        self.ledger.on_time(&mut self.protocol, u64::MAX);
        while let Ok(request) = self.queue.try_recv() {
            self.on_request(request);
        }
        let Life::Ending { answers, .. } = self.life else {
            return;
        };
        for answer in answers {
            let result = if is_settled {
                Ok(())
            } else {
                Err(ClientError::TimedOut)
            };
            let _ = answer.send(result);
        }
    }

    fn is_over(&self) -> bool {
        match self.life {
            Life::Running => false,
            Life::Ending { deadline_ns, .. } => self.ledger.is_settled() || deadline_ns <= now_ns(),
        }
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now_ns = now_ns();
        self.protocol.on_time(now_ns);
        self.ledger.on_time(&mut self.protocol, now_ns);
        let turn = self
            .poll_queue(context)
            .and(self.sockets.poll(&mut self.protocol, context))
            .and(self.ledger.deliver(&mut self.protocol));
        match turn {
            Turn::Moved => Poll::Ready(()),
            Turn::Idle => self.poll_alarm(context),
        }
    }

    fn poll_queue(&mut self, context: &mut Context<'_>) -> Turn {
        let polled = self
            .queue
            .poll_recv_many(context, &mut self.taken, REQUESTS_PER_TURN);
        match polled {
            Poll::Pending => Turn::Idle,
            // Nobody can ask any more.
            Poll::Ready(0) => self.begin_end(now_ns().saturating_add(self.timeout_ns)),
            Poll::Ready(_) => {
                let mut taken = core::mem::take(&mut self.taken);
                for request in taken.drain(..) {
                    self.on_request(request);
                }
                self.taken = taken;
                Turn::Moved
            }
        }
    }

    fn on_request(&mut self, request: Request) {
        let Self {
            protocol, ledger, ..
        } = self;
        match request {
            Request::Map {
                keyspace,
                deadline_ns,
                answer,
            } => ledger.map(protocol, keyspace.as_deref(), deadline_ns, answer),
            Request::Open {
                group,
                deadline_ns,
                release,
                answer,
            } => {
                // A client that ends opens nothing: the answer is dropped, and says so.
                if matches!(self.life, Life::Running) {
                    ledger.open(protocol, (group, deadline_ns), release, answer);
                }
            }
            Request::Submit { session, command } => ledger.submit(protocol, session, command),
            Request::Ask {
                question,
                bytes,
                answer,
            } => ledger.ask(protocol, question, &bytes, answer),
            Request::Close {
                session,
                deadline_ns,
                answer,
            } => ledger.close(protocol, session, deadline_ns, answer),
            Request::Release(session) => ledger.release(protocol, session),
            Request::End {
                deadline_ns,
                answer,
            } => {
                self.begin_end(deadline_ns);
                if let Life::Ending { answers, .. } = &mut self.life {
                    answers.push(answer);
                }
            }
        }
    }

    /// Closes the door and the sessions. The first deadline counts.
    fn begin_end(&mut self, deadline_ns: u64) -> Turn {
        match self.life {
            Life::Ending { .. } => Turn::Idle,
            Life::Running => {
                self.queue.close();
                self.ledger.release_all(&mut self.protocol);
                self.life = Life::Ending {
                    deadline_ns,
                    answers: Vec::new(),
                };
                Turn::Moved
            }
        }
    }

    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end_ns = match self.life {
            Life::Running => u64::MAX,
            Life::Ending { deadline_ns, .. } => deadline_ns,
        };
        let due_ns = self.protocol.due_ns().min(self.ledger.due_ns()).min(end_ns);
        let alarm = &mut self.alarm;
        if alarm.due_ns != Some(due_ns) {
            let wait = Duration::from_nanos(due_ns.saturating_sub(now_ns()));
            alarm.sleep.as_mut().set(sleep(wait));
            alarm.due_ns = Some(due_ns);
        }
        ready!(alarm.sleep.as_mut().poll(context));
        alarm.due_ns = None;
        Poll::Ready(())
    }
}
