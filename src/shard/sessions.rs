//! Sessions at the leader's door: opening, attaching, keeping alive, closing, and the end of those not heard from.
//!
//! Opening and closing go through the log. A keep-alive does not: the leader gathers them and writes one refresh entry
//! per quarter of the shortest timeout. An expiry is a proposal, decided when it is applied.

use crate::shard::Seams;
use crate::shard::attachments::Attachment;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::shard::reign::Reign;
use crate::shard::upkeep;
use crate::shard::waiters::Requester;
use crate::storage::record;
use margay_machine::{
    EXPIRIES_PER_ENTRY_MAX, Open, REFRESHES_PER_ENTRY_MAX, Refresh, SESSION_TIMEOUT_MS_MAX,
    SESSION_TIMEOUT_MS_MIN, SessionNumber,
};
use margay_raft::EntryKind;
use margay_types::SequenceNumber;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_wire::client::{Attach, Attached, Attachment as AttachmentNumber, KeepAliveItem};
use margay_wire::code::Code;
use margay_wire::refusal::Refusal;
use zerocopy::IntoBytes;

impl Hosted {
    /// A client wants a session.
    pub(crate) fn on_open<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        open: &margay_wire::client::Open,
    ) {
        if let Err(refusal) = self.try_open(means, to, open) {
            means.refuse(to, self.head(), &refusal);
        }
    }

    fn try_open<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        open: &margay_wire::client::Open,
    ) -> Result<(), Refusal> {
        self.check_serving()?;
        if !(SESSION_TIMEOUT_MS_MIN..=SESSION_TIMEOUT_MS_MAX).contains(&open.timeout_ms) {
            return Err(Refusal::BadRequest);
        }
        let payload = Open::new(open.client, open.attempt, open.timeout_ms);
        self.admit_upkeep(means, payload.as_bytes().len())?;
        let index = self.append(means, EntryKind::Open, payload.as_bytes())?;
        let reign = self.reign.as_mut().expect("a replica that appends leads");
        reign
            .waiters
            .push(index, to, payload.as_bytes().len(), means.now_ns);
        Ok(())
    }

    /// A client binds a session that it opened before to another connection.
    pub(crate) fn on_attach<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        attach: &Attach,
    ) {
        match self.try_attach(attach) {
            Ok((attachment, attached)) => means.attach(to, self.head(), attachment, attached),
            Err(refusal) => means.refuse(to, self.head(), &refusal),
        }
    }

    fn try_attach(&mut self, attach: &Attach) -> Result<(Attachment, Attached), Refusal> {
        self.check_serving()?;
        let not_ready = Refusal::NotReady {
            retry_after_ms: crate::limits::NOT_READY_RETRY_MS,
        };
        let applied = self.host.applied_index();
        let has_applied_own_term = self.has_applied_own_term();
        let session = attach.session;
        let Some(view) = self.host.session(session) else {
            // A session begins at the index that it is called by. Behind what is applied here there may be one,
            // whatever this leader thinks: its successor may have opened it.
            let is_behind = session.number() <= applied.number();
            return Err(if has_applied_own_term && is_behind {
                self.why_missing(session)
            } else {
                not_ready
            });
        };
        if attach.incarnation != self.recovery_number() || view.client != attach.client {
            return Err(Refusal::UnknownSession);
        }
        let window = u32::from(self.host.limits().window);
        let reign = self.reign.as_mut().expect("a replica that serves leads");
        if !reign.sequencing.is_ready(applied) {
            return Err(not_ready);
        }
        let attached = Attached {
            session,
            next: reign.sequencing.next(session, view.applied),
            attachment: AttachmentNumber::NONE,
            incarnation: self.recovery_number(),
            window,
        };
        let attachment = Attachment {
            group: self.group(),
            session,
            client: attach.client,
        };
        Ok((attachment, attached))
    }

    /// One session of a connection's keep-alive; the code of a refusal if it was not taken.
    pub(crate) fn on_keep_alive<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        attachment: &Attachment,
        item: &KeepAliveItem,
    ) -> Result<(), Code> {
        let has_applied_own_term = self.has_applied_own_term();
        let session = attachment.session;
        let Some(reign) = &mut self.reign else {
            return Err(Code::NotLeader);
        };
        let Some(view) = self.host.session(session) else {
            return if has_applied_own_term {
                Err(self.why_missing(session).code())
            } else {
                Err(Code::NotReady)
            };
        };
        let acknowledged_below = item.acknowledged_below.min(view.applied.next());
        let acknowledged_below = acknowledged_below.max(SequenceNumber::new(1));
        let refresh = Refresh::new(session, acknowledged_below, item.events_received);
        let now = reign.clock.now(means.observed);
        reign.keep_alives.on_keep_alive(&self.host, refresh, now);
        self.arrange_upkeep(means);
        Ok(())
    }

    /// A client ends a session.
    pub(crate) fn on_close<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        attachment: &Attachment,
    ) {
        if let Err(refusal) = self.try_close(means, to, attachment) {
            means.refuse(to, self.head(), &refusal);
        }
    }

    fn try_close<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        attachment: &Attachment,
    ) -> Result<(), Refusal> {
        self.check_serving()?;
        let payload = SessionNumber::new(attachment.session);
        self.admit_upkeep(means, payload.as_bytes().len())?;
        let index = self.append(means, EntryKind::Close, payload.as_bytes())?;
        let reign = self.reign.as_mut().expect("a replica that appends leads");
        reign
            .waiters
            .push(index, to, payload.as_bytes().len(), means.now_ns);
        Ok(())
    }

    /// Sees to it that the group is looked after when it next has something to keep.
    pub(crate) fn arrange_upkeep<S: Seams>(&mut self, means: &mut Means<S>) {
        let at = self.sessions_due(means.observed.ns());
        if at < self.upkeep_ns {
            means.upkeep.set_time(self.group(), self.upkeep_ns, at);
            self.upkeep_ns = at;
        }
        if self.wants_a_look() {
            means.upkeep.add(self.group());
        }
    }

    /// May this leader see to its sessions now? While an entry about them is not applied, its outcome is not known.
    fn may_keep_house(&self) -> bool {
        let applied = self.host.applied_index();
        let is_free = |reign: &Reign| reign.housekeeping <= applied;
        self.reign.as_ref().is_some_and(is_free)
            && self.has_applied_own_term()
            && self.stopped.is_none()
    }

    /// When a refresh or an expiry is due, in observed time, but in a later turn than this.
    pub(crate) fn sessions_due(&self, observed_ns: u64) -> u64 {
        let Some(reign) = self.reign.as_ref().filter(|_| self.may_keep_house()) else {
            return upkeep::NEVER;
        };
        let due = [reign.keep_alives.due_at(), self.host.next_expiry_at()];
        let due = due.into_iter().flatten().min();
        due.map_or(upkeep::NEVER, |due| {
            reign.clock.observed_at(due).max(observed_ns + 1)
        })
    }

    /// What a leader owes its sessions: refreshes that are due, and the end of those not heard from. Called when all
    /// input of the turn was handled, so that nobody expires whose word had arrived.
    pub(crate) fn keep_house<S: Seams>(&mut self, means: &mut Means<S>) {
        self.upkeep_ns = upkeep::NEVER;
        self.keep_sessions(means);
        self.arrange_upkeep(means);
    }

    fn keep_sessions<S: Seams>(&mut self, means: &mut Means<S>) {
        if !self.may_keep_house() {
            return;
        }
        self.catch_up(means);
        let Some(reign) = &mut self.reign else { return };
        let now = reign.clock.now(means.observed);
        let due_at = reign.keep_alives.due_at();
        // What was heard is taken from where it waits only when it can be written down.
        if due_at.is_some_and(|at| at <= now) && !self.can_refresh(means) {
            return;
        }
        let Some(reign) = &mut self.reign else { return };
        let mut refreshes = Vec::new();
        reign
            .keep_alives
            .take_due(&self.host, now, REFRESHES_PER_ENTRY_MAX, &mut refreshes);
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::KeepAlivesUnwritten) {
            refreshes.clear();
        }
        let mut due = Vec::new();
        self.host
            .due_for_expiry(now, EXPIRIES_PER_ENTRY_MAX, &reign.keep_alives, &mut due);
        let expired: Vec<SessionNumber> = due.into_iter().map(SessionNumber::new).collect();
        if !refreshes.is_empty() {
            self.append_housekeeping(means, EntryKind::Refresh, refreshes.as_bytes());
        }
        if !expired.is_empty() {
            self.append_housekeeping(means, EntryKind::Expire, expired.as_bytes());
        }
    }

    fn can_refresh<S: Seams>(&self, means: &mut Means<S>) -> bool {
        let bytes_max = REFRESHES_PER_ENTRY_MAX * size_of::<Refresh>();
        !self.replica.is_transferring() && self.admit_upkeep(means, bytes_max).is_ok()
    }

    /// Appends an entry on the leader's own account. What cannot be appended now is due again at the next tick.
    pub(crate) fn append_housekeeping<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        kind: EntryKind,
        payload: &[u8],
    ) {
        if !means.log.has_room(record::record_bytes(payload.len())) {
            return;
        }
        if let Ok(index) = self.append(means, kind, payload)
            && let Some(reign) = &mut self.reign
        {
            reign.housekeeping = index;
        }
    }
}
