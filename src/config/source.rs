//! Where a value comes from, for tables and error messages.

use std::fmt;

/// The place that gave a setting its value. Later kinds stand above earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A profile, by name or path.
    Profile {
        /// As it was asked for.
        name: String,
        /// Line in it, from 1.
        line: usize,
    },
    /// The configuration file.
    File {
        /// As it was given.
        path: String,
        /// Line in it, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl Source {
    /// The file and the line, where it is one.
    #[must_use]
    pub fn line(&self) -> Option<(&str, usize)> {
        match self {
            Self::Profile { name, line } => Some((name, *line)),
            Self::File { path, line } => Some((path, *line)),
            Self::Default | Self::Variable(_) | Self::Flag(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::Profile { name, line } => write!(formatter, "profile {name}:{line}"),
            Self::File { path, line } => write!(formatter, "file {path}:{line}"),
            Self::Variable(name) => write!(formatter, "env {name}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}
