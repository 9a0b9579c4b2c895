//! Named sets of settings for a kind of machine. Those that come with Margay are part of the binary.
//!
//! A profile is a TOML file with a table `[node]`, and a reason beside each line.
//!
//! Not done: expectations of the host, cluster settings and proofs; there is nothing yet that would read them.

use super::file::{self, Entry};
use super::nearest::nearest;
use super::problem::{Problem, Subject};
use super::source::Source;
use crate::codes::Code;
use std::fs;
use std::io;
use std::path::Path;

/// Name and text of each profile that the binary brings.
const PROFILES: [(&str, &str); 1] = [("laptop", include_str!("../../tuning/profiles/laptop.toml"))];

/// The table whose keys are settings.
const NODE: &str = "node.";

/// The settings of a profile, given by name or as the path of a file. What is wrong with it is added to `problems`.
pub(super) fn entries(name: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let embedded = PROFILES.iter().find(|(known, _)| *known == name);
    let toml = match embedded {
        Some((_, toml)) => (*toml).to_owned(),
        None if Path::new(name).exists() => match fs::read_to_string(name) {
            Ok(toml) => toml,
            Err(error) => {
                problems.push(unreadable(name, &error));
                return Vec::new();
            }
        },
        None => {
            problems.push(unknown(name));
            return Vec::new();
        }
    };
    let place = |line| source(name, line);
    let entries = file::entries(name, &toml, &place, problems);
    let mut settings = Vec::new();
    for Entry { key, text, line } in entries {
        match key.strip_prefix(NODE) {
            Some(key) => settings.push(Entry {
                key: key.to_owned(),
                text,
                line,
            }),
            None => problems.push(
                Problem::new(Code::UnknownSetting, Subject::Setting(key))
                    .source(place(line))
                    .remedy("put settings of a profile below [node]"),
            ),
        }
    }
    settings
}

/// A file that is there, and cannot be read.
pub(super) fn unreadable(name: &str, error: &io::Error) -> Problem {
    Problem::new(Code::FileUnreadable, Subject::File(name.to_owned())).reason(error)
}

/// A line of a profile.
pub(super) fn source(name: &str, line: usize) -> Source {
    Source::Profile {
        name: name.to_owned(),
        line,
    }
}

fn unknown(name: &str) -> Problem {
    let names = PROFILES.map(|(known, _)| known);
    let remedy = format!("give a file, or one of: {}", names.join(", "));
    Problem::new(Code::UnknownProfile, Subject::Profile(name.to_owned()))
        .nearest_or(nearest(name, names), remedy)
}

#[cfg(test)]
mod tests {
    use super::super::setting;
    use super::*;

    #[test]
    fn profiles_of_the_binary_hold_settings_that_exist() {
        for (name, _) in PROFILES {
            let mut problems = Vec::new();
            let entries = entries(name, &mut problems);
            assert_eq!(problems, [], "an embedded profile is good");
            assert!(!entries.is_empty(), "{name} says nothing");
            for entry in entries {
                assert!(setting::find(&entry.key).is_some(), "{}", entry.key);
            }
        }
    }

    #[test]
    fn a_profile_that_does_not_exist_is_named_with_the_one_that_was_meant() {
        let mut problems = Vec::new();
        assert_eq!(entries("labtop", &mut problems), []);
        let [problem] = &problems[..] else {
            panic!("there is none: {problems:?}");
        };
        assert_eq!(problem.code, Code::UnknownProfile);
        assert_eq!(problem.nearest.as_deref(), Some("laptop"));
    }
}
