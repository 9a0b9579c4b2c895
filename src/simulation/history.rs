//! What clients asked and what came of it, and what is judged at once when an answer comes.
//!
//! Every answer names the index of its entry, or of the state that it saw. So linearizability needs no search: the
//! order of the indexes must be one that real time allows (here, at once), and the outputs must be those of that
//! order (`checkers::replay`, at the end).

use margay_types::{GroupId, Index, SequenceNumber, SessionId};
use margay_wire::client::QueryLevel;
use std::collections::BTreeMap;

/// What a command asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Of `bench`: count this.
    Append(Vec<u8>),
    /// Of `map`: any of its commands, encoded.
    Map(u16, Vec<u8>),
}

/// What a query asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Of `bench`: the total.
    Total,
    /// Of `bench`: the tally of the session that asks.
    Mine,
    /// Of `map`: a key's value.
    Get(Vec<u8>),
}

/// A command that was done.
#[derive(Clone, Debug)]
pub struct DoneCommand {
    /// Whose.
    pub session: SessionId,
    /// Its number.
    pub sequence: SequenceNumber,
    /// What.
    pub asked: Asked,
    /// What came of it.
    pub output: Vec<u8>,
}

/// A query that was answered.
#[derive(Clone, Debug)]
pub struct AnsweredQuery {
    /// The index of the state that it saw.
    pub index: Index,
    /// Who asked.
    pub session: Option<SessionId>,
    /// What.
    pub question: Question,
    /// What came of it.
    pub output: Vec<u8>,
}

/// Everything of one group.
#[derive(Debug, Default)]
pub struct GroupHistory {
    /// The highest index at which anything is known to have happened, by answers that came already.
    pub floor: Index,
    /// Commands by index.
    pub commands: BTreeMap<Index, DoneCommand>,
    /// Queries.
    pub queries: Vec<AnsweredQuery>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct History {
    /// By group.
    pub groups: BTreeMap<GroupId, GroupHistory>,
    /// Commands that were done.
    pub done_count: u64,
    /// Queries that were answered.
    pub answered_count: u64,
    /// Sessions that were lost.
    pub lost_count: u64,
}

impl History {
    /// What anybody who asks now must see at least.
    #[must_use]
    pub fn floor(&self, group: GroupId) -> Index {
        self.groups
            .get(&group)
            .map_or(Index::ZERO, |group| group.floor)
    }

    /// A command was done.
    ///
    /// # Errors
    /// It stands before something that was over when it was submitted, or another stands there.
    pub fn on_command(
        &mut self,
        group: GroupId,
        (index, floor): (Index, Index),
        done: DoneCommand,
    ) -> Result<(), String> {
        self.done_count += 1;
        let known = self.groups.entry(group).or_default();
        if index <= floor {
            return Err(format!(
                "command {} of session {} of group {group} stands at {index}, though an answer told of {floor} before \
                 it was submitted",
                done.sequence, done.session
            ));
        }
        known.floor = known.floor.max(index);
        if let Some(other) = known.commands.insert(index, done.clone()) {
            return Err(format!(
                "two commands at index {index} of group {group}: {other:?}, {done:?}"
            ));
        }
        Ok(())
    }

    /// A query was answered.
    ///
    /// # Errors
    /// It saw a state older than its level allows.
    pub fn on_query(
        &mut self,
        group: GroupId,
        (level, at_least): (QueryLevel, Index),
        answered: AnsweredQuery,
    ) -> Result<(), String> {
        self.answered_count += 1;
        let known = self.groups.entry(group).or_default();
        let index = answered.index;
        if index < at_least {
            return Err(format!(
                "{level:?} query {:?} of group {group} saw index {index}, but had to see {at_least}",
                answered.question
            ));
        }
        if level == QueryLevel::Linearizable || level == QueryLevel::BoundedLinearizable {
            known.floor = known.floor.max(index);
        }
        known.queries.push(answered);
        Ok(())
    }
}
