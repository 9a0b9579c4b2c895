//! What only all shards of a node know together: shard 0 asks the others, and answers for the node.
//!
//! ```text
//!   operator ──> shard 0 ── Asked ──> every sibling ── Told ──> shard 0: all are there, or time is up ──> answer
//! ```
//!
//! A shard that does not answer in time hangs: the answer comes without it, and its health says so. When it owes too
//! many answers it is asked no more, until it has given some.

use crate::codes::Code;
use crate::limits::{OVERLOADED_RETRY_MS, SURVEY_TICKS, SURVEYS_MAX};
use crate::shard::Seams;
use crate::shard::crossing::Crossing;
use crate::shard::health::reason;
use crate::shard::shard::Shard;
use crate::shard::siblings::{SiblingMessage, Word};
use crate::shard::waiters::Requester;
use margay_types::{GroupId, ShardId};
use margay_wire::admin::{
    GroupStatus, HealthReason, LeaderHint, MapRequest, ShardStatus, StatusRequest,
};
use margay_wire::client::ResponseHead;
use margay_wire::refusal::Refusal;
use std::collections::BTreeMap;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// The state of the node.
    Status(StatusRequest),
    /// Who leads.
    Leaders,
}

/// What one shard says.
#[derive(Debug)]
pub(crate) enum Part {
    /// Its state.
    Status(StatusPart),
    /// The leaders that it knows.
    Leaders(Vec<(GroupId, LeaderHint)>),
}

/// The state of one shard.
#[derive(Debug)]
pub(crate) struct StatusPart {
    /// Its numbers.
    pub(crate) shard: ShardStatus,
    /// Its replicas from the asked group on, by group, at most as many as asked.
    pub(crate) groups: Vec<GroupStatus>,
    /// Its first replica behind these.
    pub(crate) more_from: Option<GroupId>,
    /// What is wrong there.
    pub(crate) health: Vec<HealthReason>,
    /// Every group that it has a replica of, whole, damaged or being born.
    pub(crate) known: Vec<GroupId>,
}

/// A question under way.
#[derive(Debug)]
struct Survey {
    to: Requester,
    question: Question,
    parts: BTreeMap<ShardId, Part>,
    until_ticks: u64,
}

/// All questions under way.
#[derive(Debug)]
pub(crate) struct Surveys {
    next: u64,
    open: BTreeMap<u64, Survey>,
    /// Questions that siblings have not answered, late ones included.
    asked: Crossing,
}

impl Default for Surveys {
    fn default() -> Self {
        Self {
            next: 0,
            open: BTreeMap::new(),
            asked: Crossing::new(SURVEYS_MAX),
        }
    }
}

impl Surveys {
    /// A question is under way from now on, under this number.
    fn begin(&mut self, survey: Survey) -> Result<u64, Refusal> {
        if self.open.len() >= SURVEYS_MAX {
            return Err(Refusal::Overloaded {
                retry_after_ms: OVERLOADED_RETRY_MS,
            });
        }
        let number = self.next;
        self.next += 1;
        self.open.insert(number, survey);
        Ok(number)
    }
}

impl<S: Seams> Shard<S> {
    /// Begins a survey; its answer goes to `to`.
    ///
    /// # Errors
    /// When too many are under way.
    pub(crate) fn survey(&mut self, to: Requester, question: Question) -> Result<(), Refusal> {
        let survey = self.surveys.begin(Survey {
            to,
            question,
            parts: BTreeMap::new(),
            until_ticks: self.means.alarms.tick() + SURVEY_TICKS,
        })?;
        for shard in self.siblings() {
            if self.surveys.asked.try_cross(shard, 1) {
                let word = Word::Asked { survey, question };
                self.means.send_sibling(shard, SiblingMessage(word));
            }
        }
        let own = self.part_of(&question);
        self.on_part(survey, self.facts.shard, own);
        Ok(())
    }

    /// What this shard says to a question.
    pub(crate) fn part_of(&mut self, question: &Question) -> Part {
        match question {
            Question::Status(asked) => Part::Status(self.status_part(asked)),
            Question::Leaders => Part::Leaders(self.leader_hints()),
        }
    }

    /// A sibling answered.
    pub(crate) fn on_told(&mut self, survey: u64, from: ShardId, part: Part) {
        self.surveys.asked.on_taken(from, 1);
        self.on_part(survey, from, part);
    }

    fn on_part(&mut self, survey: u64, from: ShardId, part: Part) {
        if let Some(open) = self.surveys.open.get_mut(&survey) {
            open.parts.insert(from, part);
            self.end_if_complete(survey);
        }
    }

    /// Ends the surveys whose time is up.
    pub(crate) fn end_late_surveys(&mut self) {
        let now = self.means.alarms.tick();
        let late = self.surveys.open.iter();
        let late: Vec<u64> = late
            .filter(|(_, survey)| survey.until_ticks <= now)
            .map(|(number, _)| *number)
            .collect();
        late.into_iter().for_each(|number| self.end_survey(number));
    }

    fn end_if_complete(&mut self, number: u64) {
        let count = usize::from(self.facts.shard_count);
        let survey = self.surveys.open.get(&number);
        if survey.is_some_and(|survey| survey.parts.len() == count) {
            self.end_survey(number);
        }
    }

    fn end_survey(&mut self, number: u64) {
        let Some(survey) = self.surveys.open.remove(&number) else {
            return;
        };
        let silent: Vec<HealthReason> = self
            .siblings()
            .filter(|shard| !survey.parts.contains_key(shard))
            .map(|shard| reason(shard, Code::ShardSilent, None, SILENT.to_owned()))
            .collect();
        let answered = match survey.question {
            Question::Status(asked) => {
                let parts = survey.parts.into_values().filter_map(|part| match part {
                    Part::Status(part) => Some(part),
                    Part::Leaders(_) => None,
                });
                let status = self.merge_status(&asked, parts.collect(), silent);
                self.send_answer::<StatusRequest>(survey.to, &status)
            }
            Question::Leaders => {
                let parts = survey.parts.into_values().flat_map(|part| match part {
                    Part::Leaders(hints) => hints,
                    Part::Status(_) => Vec::new(),
                });
                let hints = parts.collect();
                self.map(&hints)
                    .and_then(|map| self.send_answer::<MapRequest>(survey.to, &map))
            }
        };
        if let Err(refusal) = answered {
            self.means
                .refuse(survey.to, ResponseHead::default(), &refusal);
        }
    }
}

/// What is said of a shard that does not answer.
const SILENT: &str = "it did not answer shard 0 for a second: its loop hangs, or it still recovers";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::outbox::ConnectionId;
    use crate::shard::waiters::Purpose;

    fn survey() -> Survey {
        let connection = ConnectionId {
            shard: ShardId::FIRST,
            number: 1,
        };
        Survey {
            to: Requester {
                connection,
                request: 1,
                purpose: Purpose::Output,
            },
            question: Question::Leaders,
            parts: BTreeMap::new(),
            until_ticks: 1,
        }
    }

    #[test]
    fn an_operator_who_asks_without_end_finds_an_end() {
        let mut surveys = Surveys::default();
        assert!((0..SURVEYS_MAX).all(|_| surveys.begin(survey()).is_ok()));
        let refused = surveys.begin(survey());
        assert!(matches!(refused, Err(Refusal::Overloaded { .. })));
        surveys.open.pop_first();
        assert!(surveys.begin(survey()).is_ok());
    }

    #[test]
    fn a_shard_that_hangs_is_not_asked_without_end() {
        let mut surveys = Surveys::default();
        let hung = ShardId::new(1);
        assert!((0..SURVEYS_MAX).all(|_| surveys.asked.try_cross(hung, 1)));
        assert!(!surveys.asked.try_cross(hung, 1));
    }
}
