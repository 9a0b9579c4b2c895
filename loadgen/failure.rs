//! What a person reads when a run gave up: what, where, what to do; and the exit code for scripts.
//!
//! ```text
//! loadgen: the check failed: a hash differs
//!   session   17 of group 3
//!   expected  count 4,711 and hash 5c1e90a2b3c4d5e6
//! ```

use margay_client::ClientError;
use margay_client::error::Conclusion;
use margay_client::operator::OperatorError;
use std::fmt;
use std::io;
use std::path::Path;

/// What the process ends with when it did not do what it was asked. The numbers are an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// This machine or this installation lacks what the run needs.
    Configuration = 3,
    /// Not reached in time, or stopped before the end.
    NotReached = 4,
    /// Refused by the cluster.
    Refused = 5,
    /// It may have happened or not.
    OutcomeUnknown = 6,
    /// The check failed.
    ConditionFalse = 10,
    /// The generator itself was late: the report is there, and its latencies show the generator too.
    Invalid = 11,
}

impl Exit {
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

/// Why a run gave up, with its facts; printed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    title: String,
    facts: Vec<(&'static str, String)>,
}

impl Failure {
    /// The situation alone; facts follow by [`Self::with`].
    pub(crate) fn new(exit: Exit, title: impl Into<String>) -> Self {
        Self {
            exit,
            title: title.into(),
            facts: Vec::new(),
        }
    }

    /// Something of this machine's did not work.
    pub(crate) fn of_io(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::Configuration, format!("cannot {what}")).with("reason", error)
    }

    /// A file or a directory did not work.
    pub(crate) fn of_path(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Configuration, format!("cannot {what}"))
            .with("path", path.display())
            .with("reason", error)
    }

    /// A request to the cluster has no result.
    pub(crate) fn of_client(what: &str, error: &ClientError) -> Self {
        Self::new(exit(error.conclusion()), format!("cannot {what}")).with("reason", error)
    }

    /// An operator's question has no answer.
    pub(crate) fn of_operator(what: &str, error: &OperatorError) -> Self {
        Self::new(exit(error.conclusion()), format!("cannot {what}")).with("reason", error)
    }

    /// Adds a fact; facts are printed in the order in which they are added.
    #[must_use]
    pub(crate) fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.facts.push((key, value.to_string()));
        self
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn remedy(self, remedy: impl fmt::Display) -> Self {
        self.with("do", remedy)
    }

    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }
}

/// What a process says of what its user may conclude.
const fn exit(conclusion: Conclusion) -> Exit {
    match conclusion {
        Conclusion::NotApplied => Exit::NotReached,
        Conclusion::Refused => Exit::Refused,
        Conclusion::Unknown => Exit::OutcomeUnknown,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "loadgen: {}", self.title)?;
        let width = self.facts.iter().map(|(key, _)| key.len()).max();
        let width = width.unwrap_or_default();
        for (key, value) in &self.facts {
            for (number, line) in value.lines().enumerate() {
                let key = if number == 0 { key } else { "" };
                write!(formatter, "\n  {key:width$}  {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_one_column_below_the_title() {
        let failure = Failure::new(Exit::Refused, "no")
            .with("session", 7)
            .remedy("this\nor that");
        assert_eq!(
            failure.to_string(),
            "loadgen: no\n  session  7\n  do       this\n           or that"
        );
        assert_eq!(failure.exit().number(), 5);
    }

    #[test]
    fn the_exit_code_follows_from_what_is_known_about_the_request() {
        let exit = |error| Failure::of_client("ask", &error).exit();
        assert_eq!(exit(ClientError::TimedOut), Exit::NotReached);
        assert_eq!(exit(ClientError::NoKeyspace("x".into())), Exit::Refused);
        let unknown = ClientError::OutcomeUnknown("silence".into());
        assert_eq!(exit(unknown), Exit::OutcomeUnknown);
    }
}
