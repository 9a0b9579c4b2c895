//! What only a leader knows of its group; it begins and ends with the term in which this replica leads.

use crate::shard::admission::Door;
use crate::shard::log_clock::{LogClock, Observed};
use crate::shard::sequencing::Sequencing;
use crate::shard::waiters::Waiters;
use margay_machine::KeepAlives;
use margay_types::{Index, LogTime, Term};

/// One term of leading.
#[derive(Debug)]
pub(crate) struct Reign {
    /// The term that is led.
    pub(crate) term: Term,
    /// Stamps entries.
    pub(crate) clock: LogClock,
    /// The next number of every session.
    pub(crate) sequencing: Sequencing,
    /// Who waits for outputs.
    pub(crate) waiters: Waiters,
    /// Who was let in, and who was sent away.
    pub(crate) door: Door,
    /// What idle sessions said since the last refresh entry.
    pub(crate) keep_alives: KeepAlives,
    /// The last entry that this reign appended on its own account (expiry, refresh, checkpoint): the next of its
    /// kind waits until it is applied.
    pub(crate) housekeeping: Index,
    /// A member whose log is short of room asked for a checkpoint.
    pub(crate) asked_for_checkpoint: bool,
}

impl Reign {
    /// A reign begins on top of a log whose last entry carries `inherited`.
    pub(crate) fn new(
        term: Term,
        inherited: LogTime,
        observed: Observed,
        sequencing: Sequencing,
    ) -> Self {
        Self {
            term,
            clock: LogClock::new(inherited, observed),
            sequencing,
            waiters: Waiters::default(),
            door: Door::default(),
            keep_alives: KeepAlives::new(),
            housekeeping: Index::ZERO,
            asked_for_checkpoint: false,
        }
    }
}
