//! What only all shards of a node know together: shard 0 asks the others, and answers for the node.
//!
//! ```text
//!   operator ──> shard 0 ── Asked ──> every sibling ── Told ──> shard 0: all are there, or time is up ──> answer
//! ```
//!
//! A shard that does not answer in time hangs: the answer comes without it, and its health says so.

use crate::codes::Code;
use crate::limits::{OVERLOADED_RETRY_MS, SURVEY_TICKS, SURVEYS_MAX};
use crate::shard::Seams;
use crate::shard::health::reason;
use crate::shard::shard::Shard;
use crate::shard::siblings::Word;
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
#[derive(Debug, Default)]
pub(crate) struct Surveys {
    next: u64,
    open: BTreeMap<u64, Survey>,
}

impl<S: Seams> Shard<S> {
    /// Begins a survey; its answer goes to `to`.
    ///
    /// # Errors
    /// When too many are under way.
    pub(crate) fn survey(&mut self, to: Requester, question: Question) -> Result<(), Refusal> {
        if self.surveys.open.len() >= SURVEYS_MAX {
            return Err(Refusal::Overloaded {
                retry_after_ms: OVERLOADED_RETRY_MS,
            });
        }
        let number = self.surveys.next;
        self.surveys.next += 1;
        let own = self.part_of(&question);
        let survey = Survey {
            to,
            question,
            parts: BTreeMap::from([(self.facts.shard, own)]),
            until_ticks: self.means.alarms.tick() + SURVEY_TICKS,
        };
        self.surveys.open.insert(number, survey);
        self.tell_siblings(|| Word::Asked {
            survey: number,
            question,
        });
        self.end_if_complete(number);
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
