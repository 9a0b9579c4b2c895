//! Committed entries go to the machine, in order, at the shard's pace; what comes of them goes to whoever waits.
//!
//! Applying only computes. An answer leaves because a request is attached here in this process life, and for no
//! other reason; a follower, and a replay after a restart, answer nobody.

use crate::limits::{APPLY_BYTES_PER_TURN, OVERLOADED_RETRY_MS};
use crate::shard::Seams;
use crate::shard::attachments::Attachment;
use crate::shard::cold::{ColdDone, LoadFor};
use crate::shard::hosted::{Hosted, Loading};
use crate::shard::means::Means;
use crate::shard::waiters::{Purpose, Requester};
use crate::storage::record::{self, RecordView};
use crate::storage::{Disk, Lent};
use margay_machine::{Answers, Code, Host, HostAnswer, Input, Recipient, Stopped};
use margay_raft::{Applies, Configuration, EntryKind, Position};
use margay_types::{Index, SequenceNumber, SessionId};
use margay_wire::client::{Attached, Attachment as AttachmentNumber, ResponseHead};
use margay_wire::refusal::Refusal;

impl Hosted {
    /// Is something committed that the machine has not seen, and can it be applied now?
    pub(crate) fn can_apply(&self) -> bool {
        self.stopped.is_none()
            && self.loading == Loading::No
            && self.host.applied_index() < self.replica.commit_index()
    }

    /// Applies what is committed, as far as this turn allows, and answers the questions that waited for it.
    pub(crate) fn apply_committed<S: Seams>(&mut self, means: &mut Means<S>) {
        if self.can_apply() {
            self.apply_some(means);
        }
        self.reads
            .answer_ready(&self.host, self.replica.term(), means);
        if self.can_apply() {
            self.will_apply(means);
        }
    }

    fn apply_some<S: Seams>(&mut self, means: &mut Means<S>) {
        let (first, last) = (
            self.host.applied_index().next(),
            self.replica.commit_index(),
        );
        match means
            .log
            .entries(self.group(), first, last, APPLY_BYTES_PER_TURN)
        {
            Lent::Memory(lent) => {
                for piece in &lent.pieces {
                    self.apply_records(means, piece);
                }
            }
            Lent::OnDisk => self.load_committed(means, first, last),
            Lent::Absent => unreachable!("entry {first} is not applied, and yet released"),
        }
    }

    fn load_committed<S: Seams>(&mut self, means: &mut Means<S>, first: Index, last: Index) {
        self.loading = Loading::UnderWay;
        if !means.loads.try_begin() {
            means.loads.wait(self.group());
            return;
        }
        let load = means
            .log
            .load(self.group(), first, last, APPLY_BYTES_PER_TURN);
        let (group, inbox) = (self.group(), means.cold.clone());
        means.log.disk().spawn(Box::pin(async move {
            let result = load.await;
            inbox.push(ColdDone::Loaded {
                group,
                purpose: LoadFor::Apply,
                result,
            });
        }));
    }

    /// Entries to apply came from disk.
    pub(crate) fn on_committed_loaded<S: Seams>(&mut self, means: &mut Means<S>, records: &[u8]) {
        self.loading = Loading::No;
        self.apply_records(means, records);
        self.touch(means);
    }

    /// Applies whole records, which begin behind what is applied, up to the commit index.
    fn apply_records<S: Seams>(&mut self, means: &mut Means<S>, bytes: &[u8]) {
        means.apply_bytes_left = means.apply_bytes_left.saturating_sub(bytes.len());
        for entry in record::lent_records(bytes) {
            if entry.index() > self.replica.commit_index() || self.stopped.is_some() {
                return;
            }
            if entry.index() > self.host.applied_index() {
                self.apply_one(means, &entry);
            }
        }
    }

    fn apply_one<S: Seams>(&mut self, means: &mut Means<S>, entry: &RecordView<'_>) {
        let view = entry.entry().expect("the log lends entries");
        let log_time = entry.log_time().expect("an entry has a log time");
        let (index, term) = (entry.index(), entry.term());
        let mut answers = std::mem::take(&mut means.answers);
        answers.clear();
        let applied = match Input::decode(view.kind.number(), view.payload) {
            Ok(input) => self.host.apply(index, log_time, term, input, &mut answers),
            Err(_) => Err(self.host.stop_unfit(index)),
        };
        match applied {
            Ok(()) => {
                self.route_answers(means, index, &answers);
                self.after_apply(entry.position(), view.kind, view.payload);
            }
            Err(stopped) => self.on_stopped(means, stopped),
        }
        means.answers = answers;
    }

    /// The machine applies no more. Whoever waits is told so: what was appended may still be applied elsewhere, and the
    /// session's next leader knows.
    pub(crate) fn on_stopped<S: Seams>(&mut self, means: &mut Means<S>, stopped: Stopped) {
        self.stopped = Some(stopped);
        self.replica.set_applies(Applies::Stopped);
        let Some(reign) = &mut self.reign else { return };
        for requester in reign.waiters.take_all() {
            means.refuse(requester, self.head(), &Refusal::StoppedMachine);
        }
    }

    /// What entries mean to the host beside the machine.
    fn after_apply(&mut self, at: Position, kind: EntryKind, payload: &[u8]) {
        match kind {
            EntryKind::Checkpoint => self.begin_checkpoint(at),
            EntryKind::Configuration => {
                let configuration = Configuration::decode(payload);
                let configuration = configuration.expect("the core took it into force");
                self.applied_configuration = (at.index, configuration);
            }
            EntryKind::NoOp
            | EntryKind::CommandPlain
            | EntryKind::CommandKeeping
            | EntryKind::Open
            | EntryKind::Close
            | EntryKind::Expire
            | EntryKind::Refresh
            | EntryKind::Tick
            | EntryKind::Skip
            | EntryKind::Settings => {}
        }
    }

    /// Gives the answers of the entry at `index` to those who wait here.
    fn route_answers<S: Seams>(&mut self, means: &mut Means<S>, index: Index, answers: &Answers) {
        let term = self.replica.term();
        let Some(reign) = &mut self.reign else { return };
        let requester = reign.waiters.take_appended(index, |_| {
            unreachable!("every appended entry that somebody waits for is applied in order")
        });
        for answer in answers.iter() {
            let head = ResponseHead {
                term,
                index: answer.index,
                events: answer.event_counter,
            };
            match answer.recipient {
                Recipient::Command { session, sequence } => {
                    if leaves_number_free(answer.code) {
                        reign.sequencing.forget(session);
                    }
                    let attached = reign.waiters.take_attached((session, sequence));
                    for to in requester.into_iter().chain(attached) {
                        respond(means, to, head, &answer);
                    }
                }
                Recipient::WithoutSession => {
                    if let Some(to) = requester {
                        respond(means, to, head, &answer);
                    }
                }
                Recipient::Opening {
                    client, session, ..
                } => {
                    let Some(to) = requester else { continue };
                    let Some(session) = session else {
                        respond(means, to, head, &answer);
                        continue;
                    };
                    let attachment = Attachment {
                        group: self.identity.group,
                        session,
                        client,
                    };
                    let incarnation = self.identity.created.recovery_number;
                    let attached = opened(&self.host, session, incarnation);
                    means.attach(to, head, attachment, attached);
                }
                Recipient::Ended { session } => {
                    reign.sequencing.forget(session);
                    if let Some(to) = requester.filter(|to| to.purpose == Purpose::Close) {
                        let group = self.identity.group;
                        means.attachments.detach(to.connection, group, session);
                        means.answer(to, head, &[]);
                    }
                }
            }
        }
    }
}

/// What a client is told of the session that an entry opened for it. The number of its place in the connection comes
/// when it is attached.
fn opened(host: &Host, session: SessionId, incarnation: u32) -> Attached {
    let applied = host.session(session).map(|view| view.applied);
    Attached {
        session,
        next: applied.unwrap_or(SequenceNumber::new(0)).next(),
        attachment: AttachmentNumber::NONE,
        incarnation,
        window: u32::from(host.limits().window),
    }
}

/// Was the command not applied when its turn came, so that its number must be sent again? Then what was counted when it
/// was appended is wrong, and so is what was counted behind it.
fn leaves_number_free(code: Code) -> bool {
    match code {
        Code::NotNext | Code::WindowFull | Code::CacheFull => true,
        Code::Output
        | Code::OutputTooLarge
        | Code::Skipped
        | Code::SkippedByClient
        | Code::OutputGone
        | Code::UnknownSession
        | Code::SessionClosed
        | Code::SessionExpired
        | Code::SessionReplaced
        | Code::AttemptPassed
        | Code::SessionsFull => false,
    }
}

/// One answer of the machine's host, in the words of the wire.
pub(crate) fn respond<S: Seams>(
    means: &mut Means<S>,
    to: Requester,
    head: ResponseHead,
    answer: &HostAnswer<'_>,
) {
    match refusal_of(answer.code, answer.output) {
        None => means.answer(to, head, answer.output),
        Some(refusal) => means.refuse(to, head, &refusal),
    }
}

/// What a code of the machine's host is on the wire; `None` when the output itself is the answer.
pub(crate) fn refusal_of(code: Code, output: &[u8]) -> Option<Refusal> {
    Some(match code {
        Code::Output => return None,
        Code::OutputTooLarge => Refusal::OutputTooLarge,
        Code::Skipped | Code::SkippedByClient => Refusal::Skipped,
        Code::OutputGone => Refusal::OutputGone,
        Code::NotNext => {
            let next = output
                .first_chunk()
                .map_or(0, |bytes| u64::from_le_bytes(*bytes));
            Refusal::NextIs {
                sequence: SequenceNumber::new(next),
            }
        }
        Code::WindowFull => Refusal::WindowFull,
        Code::CacheFull => Refusal::Overloaded {
            retry_after_ms: OVERLOADED_RETRY_MS,
        },
        Code::UnknownSession => Refusal::UnknownSession,
        Code::SessionClosed => Refusal::SessionClosed,
        Code::SessionExpired => Refusal::SessionExpired,
        Code::SessionReplaced => Refusal::SessionReplaced,
        Code::AttemptPassed => Refusal::AttemptTooLow,
        Code::SessionsFull => Refusal::TooManySessions,
    })
}
