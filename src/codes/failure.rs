//! What a person reads when something was refused: what, where, what to do, and the code.
//!
//! ```text
//! margay: M114 the data directory belongs to another cluster
//!   directory  data/n2 (cluster 9f3c-11d0)
//!   expected   cluster 41aa-0c2e, as told by 127.0.0.1:7400
//!   do         start this node with its own cluster's addresses, or give it an empty directory
//!   more       margay explain M114
//! ```

use super::{Code, Exit};
use std::error::Error;
use std::fmt;

/// A situation with its facts and its remedy. It is printed once, by whoever gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: Code,
    facts: Vec<(&'static str, String)>,
}

/// The key in front of a remedy.
const REMEDY: &str = "do";

/// The key in front of where everything stands that is known about the situation.
const MORE: &str = "more";

/// The key in front of what somebody else said about it.
const REASON: &str = "reason";

impl Failure {
    /// The situation alone; facts follow by [`Self::with`].
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self {
            code,
            facts: Vec::new(),
        }
    }

    /// Adds a fact; facts are printed in the order in which they are added.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.facts.push((key, value.to_string()));
        self
    }

    /// Adds what to do; of several remedies each has its line.
    #[must_use]
    pub fn remedy(self, remedy: impl fmt::Display) -> Self {
        self.with(REMEDY, remedy)
    }

    /// The situation and its reasons on one line, where a list has a line for it.
    #[must_use]
    pub fn summary(&self) -> String {
        let reasons = self.facts.iter().filter(|(key, _)| *key == REASON);
        let mut summary = self.code.title().to_owned();
        for (_, reason) in reasons {
            summary += &format!(": {}", reason.replace('\n', " "));
        }
        summary
    }

    /// Which situation.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the process exits with.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.code.exit()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "margay: {} {}", self.code, self.code.title())?;
        let explain = format!("margay explain {}", self.code);
        let more = (MORE, explain.as_str());
        let facts = self.facts.iter().map(|(key, value)| (*key, value.as_str()));
        let rows: Vec<(&str, &str)> = facts.chain([more]).collect();
        let width = rows.iter().map(|(key, _)| key.len()).max();
        let width = width.unwrap_or_default();
        for (key, value) in rows {
            for (number, line) in value.lines().enumerate() {
                let key = if number == 0 { key } else { "" };
                write!(formatter, "\n  {key:width$}  {line}")?;
            }
        }
        Ok(())
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_stand_in_one_column_below_the_title() {
        let failure = Failure::new(Code::OtherCluster)
            .with("directory", "data/n2")
            .remedy("give it\nan empty one");
        assert_eq!(
            failure.to_string(),
            "margay: M114 the data directory belongs to another cluster\n  \
             directory  data/n2\n  \
             do         give it\n             \
             an empty one\n  \
             more       margay explain M114"
        );
        assert_eq!(failure.exit().number(), 20);
    }
}
