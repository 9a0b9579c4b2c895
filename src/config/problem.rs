//! What is wrong with the settings: every problem, with the place where it stands and what was probably meant.
//!
//! Whoever corrects a file wants to know all of it at once, so nothing stops at the first problem. A list of them is
//! in the order of the places, as one reads a file.

use super::source::Source;
use crate::codes::{Code, Failure};
use std::fmt::Display;

/// What a problem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A setting, as it was written.
    Setting(String),
    /// A file as a whole, or its form.
    File(String),
    /// A profile, as it was asked for.
    Profile(String),
    /// What was typed.
    Flag(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The situation.
    pub code: Code,
    /// What it is about.
    pub subject: Subject,
    /// The text that was refused, if it was one.
    pub value: Option<String>,
    /// Where it stands; nowhere, if it is missing.
    pub source: Option<Source>,
    /// What is wrong with it, where the situation does not say it.
    pub reason: Option<String>,
    /// The name that was probably meant.
    pub nearest: Option<String>,
    /// What to do, where no name comes near.
    pub remedy: Option<String>,
}

/// Everything that is wrong, at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Subject {
    /// The kind of it, in front of its name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Setting(_) => "setting",
            Self::File(_) => "file",
            Self::Profile(_) => "profile",
            Self::Flag(_) => "flag",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Setting(name) | Self::File(name) | Self::Profile(name) | Self::Flag(name) => name,
        }
    }
}

impl Problem {
    /// A situation and what it is about; the rest is added.
    pub(super) const fn new(code: Code, subject: Subject) -> Self {
        Self {
            code,
            subject,
            value: None,
            source: None,
            reason: None,
            nearest: None,
            remedy: None,
        }
    }

    pub(super) fn value(mut self, value: &str) -> Self {
        self.value = Some(value.to_owned());
        self
    }

    pub(super) fn source(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    pub(super) fn reason(mut self, reason: impl Display) -> Self {
        self.reason = Some(reason.to_string());
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Display) -> Self {
        self.remedy = Some(remedy.to_string());
        self
    }

    /// The name that comes nearest, or else what to do.
    pub(super) fn nearest_or(self, nearest: Option<&str>, remedy: impl Display) -> Self {
        match nearest {
            Some(nearest) => Self {
                nearest: Some(nearest.to_owned()),
                ..self
            },
            None => self.remedy(remedy),
        }
    }

    /// What to do about it, in words.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match &self.nearest {
            Some(nearest) => Some(format!("did you mean `{nearest}`?")),
            None => self.remedy.clone(),
        }
    }
}

impl Problems {
    /// All of `found` in the order of their places, or nothing when there is none.
    pub(super) fn sorted(mut found: Vec<Problem>) -> Option<Self> {
        // What is missing stands nowhere: it comes last.
        found.sort_by(|left, right| {
            let place = |problem: &Problem| (problem.source.is_none(), problem.source.clone());
            place(left).cmp(&place(right))
        });
        (!found.is_empty()).then_some(Self(found))
    }

    /// What is wrong even if whatever is missing will be given later.
    #[must_use]
    pub fn without_missing(mut self) -> Option<Self> {
        self.0.retain(|problem| problem.code != Code::ValueMissing);
        (!self.0.is_empty()).then_some(self)
    }

    /// Every problem, in order.
    #[must_use]
    pub fn all(&self) -> &[Problem] {
        &self.0
    }
}

impl From<&Problem> for Failure {
    fn from(problem: &Problem) -> Self {
        let subject = &problem.subject;
        let mut failure = Self::new(problem.code).with(subject.kind(), subject.name());
        if let Some(value) = &problem.value {
            failure = failure.with("value", value);
        }
        if let Some(source) = &problem.source {
            failure = failure.with("source", source);
        }
        if let Some(reason) = &problem.reason {
            failure = failure.with("reason", reason);
        }
        match problem.advice() {
            Some(advice) => failure.remedy(advice),
            None => failure,
        }
    }
}

/// For a verb that has something else to do than to list problems: the first, and how many more there are.
impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let (first, rest) = problems
            .0
            .split_first()
            .expect("at least one thing is wrong");
        let failure = Self::from(first);
        match rest.len() {
            0 => failure,
            more => failure
                .with(
                    "also",
                    format!("{more} more that is wrong with the settings"),
                )
                .remedy("margay check config   lists it all, given the same options"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(line: usize) -> Problem {
        let path = "m.toml".to_owned();
        Problem::new(Code::UnknownSetting, Subject::Setting(format!("k{line}")))
            .source(Source::File { path, line })
    }

    #[test]
    fn problems_stand_in_the_order_of_their_places_and_what_is_missing_comes_last() {
        let missing = Problem::new(Code::ValueMissing, Subject::Setting("data".to_owned()));
        let flag = unknown(1).source(Source::Flag("--set".to_owned()));
        let found = vec![missing.clone(), flag.clone(), unknown(10), unknown(9)];
        let problems = Problems::sorted(found).expect("there are some");
        let sorted: Vec<&Problem> = problems.all().iter().collect();
        assert_eq!(sorted, [&unknown(9), &unknown(10), &flag, &missing]);
        assert_eq!(Problems::sorted(Vec::new()), None);
        let rest = problems
            .without_missing()
            .expect("three do not only lack a value");
        assert_eq!(rest.all().len(), 3);
        let alone = Problems::sorted(vec![missing]).expect("there is one");
        assert_eq!(alone.without_missing(), None);
    }

    #[test]
    fn a_failure_tells_the_first_problem_and_counts_the_others() {
        let two = Problems::sorted(vec![unknown(2), unknown(1)]).expect("there are some");
        let text = Failure::from(two).to_string();
        assert!(text.contains("k1") && !text.contains("k2"), "{text}");
        assert!(
            text.contains("1 more") && text.contains("check config"),
            "{text}"
        );
        let one = Problems::sorted(vec![unknown(2)]).expect("there is one");
        let text = Failure::from(one).to_string();
        assert!(!text.contains("more of"), "{text}");
    }
}
