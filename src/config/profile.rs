//! Named sets of settings for a kind of machine. Those that come with Margay are part of the binary.
//!
//! A profile is a TOML file with a table `[node]`, and a reason beside each line.
//!
//! Not done: expectations of the host, cluster settings and proofs; there is nothing yet that would read them.

use super::file::{self, Entry};
use super::nearest::nearest;
use crate::codes::{Code, Failure};
use std::fs;
use std::path::Path;

/// Name and text of each profile that the binary brings.
const PROFILES: [(&str, &str); 1] = [("laptop", include_str!("../../tuning/profiles/laptop.toml"))];

/// The table whose keys are settings.
const NODE: &str = "node.";

/// The settings of a profile, given by name or as the path of a file.
///
/// # Errors
/// `UnknownProfile`, or what is wrong with the file.
pub(super) fn entries(name: &str) -> Result<Vec<Entry>, Failure> {
    let embedded = PROFILES.iter().find(|(known, _)| *known == name);
    let toml = match embedded {
        Some((_, toml)) => (*toml).to_owned(),
        None if Path::new(name).exists() => fs::read_to_string(name).map_err(|error| {
            Failure::new(Code::FileUnreadable)
                .with("file", name)
                .with("reason", error)
        })?,
        None => return Err(unknown(name)),
    };
    file::entries(name, &toml)?
        .into_iter()
        .map(|entry| settings_only(name, entry))
        .collect()
}

fn settings_only(name: &str, entry: Entry) -> Result<Entry, Failure> {
    match entry.key.strip_prefix(NODE) {
        Some(key) => Ok(Entry {
            key: key.to_owned(),
            ..entry
        }),
        None => Err(Failure::new(Code::UnknownSetting)
            .with("setting", &entry.key)
            .with("source", format!("profile {name}:{}", entry.line))
            .remedy("put settings of a profile below [node]")),
    }
}

fn unknown(name: &str) -> Failure {
    let names = PROFILES.iter().map(|(known, _)| *known);
    let failure = Failure::new(Code::UnknownProfile).with("profile", name);
    match nearest(name, names.clone()) {
        Some(meant) => failure.remedy(format!("did you mean `{meant}`?")),
        None => {
            let names: Vec<&str> = names.collect();
            failure.remedy(format!("give a file, or one of: {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting;
    use super::*;

    #[test]
    fn profiles_of_the_binary_hold_settings_that_exist() {
        for (name, _) in PROFILES {
            let entries = entries(name).expect("an embedded profile is good");
            assert!(!entries.is_empty(), "{name} says nothing");
            for entry in entries {
                assert!(setting::find(&entry.key).is_some(), "{}", entry.key);
            }
        }
    }

    #[test]
    fn a_profile_that_does_not_exist_is_named_with_the_one_that_was_meant() {
        let failure = entries("labtop").expect_err("there is none");
        assert_eq!(failure.code(), Code::UnknownProfile);
        assert!(failure.to_string().contains("`laptop`"), "{failure}");
    }
}
