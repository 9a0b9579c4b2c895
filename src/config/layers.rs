//! Values by key, the later source over the earlier, each with the place it came from.

use super::file::{self, Entry};
use super::nearest::{distance, nearest};
use super::profile;
use super::setting::{self, SETTINGS, Setting};
use super::source::Source;
use crate::codes::{Code, Failure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What all variables of ours start with.
const VARIABLE_PREFIX: &str = "MARGAY_";
/// A variable that differs from one of ours by no more letters is a slip. Others are left alone: schedulers
/// of containers put variables with a service's name into its environment.
const VARIABLE_SLIP_MAX: usize = 2;

/// The texts of all settings that anyone gave. Add the sources in ascending order of precedence.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, (String, Source)>,
}

impl Layers {
    /// The defaults alone.
    #[must_use]
    pub fn new() -> Self {
        let mut layers = Self::default();
        for setting in SETTINGS {
            if let Some(text) = setting.default {
                layers.put(setting, text.to_owned(), Source::Default);
            }
        }
        layers
    }

    /// A profile, by name or path.
    ///
    /// # Errors
    /// What is wrong with the profile.
    pub fn add_profile(&mut self, name: &str) -> Result<(), Failure> {
        for Entry { key, text, line } in profile::entries(name)? {
            let name = name.to_owned();
            self.add(&key, text, Source::Profile { name, line })?;
        }
        Ok(())
    }

    /// The configuration file.
    ///
    /// # Errors
    /// `FileUnreadable`, `FileMalformed`, or `UnknownSetting`.
    pub fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display().to_string();
        let toml = fs::read_to_string(path).map_err(|error| {
            Failure::new(Code::FileUnreadable)
                .with("file", &name)
                .with("reason", error)
        })?;
        for Entry { key, text, line } in file::entries(&name, &toml)? {
            let path = name.clone();
            self.add(&key, text, Source::File { path, line })?;
        }
        Ok(())
    }

    /// The environment: names and values.
    ///
    /// # Errors
    /// `UnknownSetting` for a variable that is almost one of ours.
    pub fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), Failure> {
        for (name, text) in variables {
            if !name.starts_with(VARIABLE_PREFIX) {
                continue;
            }
            match SETTINGS.iter().find(|setting| setting.variable() == name) {
                Some(setting) => self.put(setting, text, Source::Variable(name)),
                None => refuse_slip(&name)?,
            }
        }
        Ok(())
    }

    /// One `--set KEY=VALUE`.
    ///
    /// # Errors
    /// `ValueRefused` without a `=`, `UnknownSetting` when there is no such key.
    pub fn add_set(&mut self, assignment: &str) -> Result<(), Failure> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(Failure::new(Code::ValueRefused)
                .with("flag", format!("--set {assignment}"))
                .remedy("write --set KEY=VALUE"));
        };
        let source = Source::Flag("--set".to_owned());
        self.add(key.trim(), text.trim().to_owned(), source)
    }

    /// A flag that stands for a setting, such as `--data`.
    ///
    /// # Errors
    /// `UnknownSetting` when there is no such key.
    pub fn add_flag(&mut self, key: &str, text: String, flag: &str) -> Result<(), Failure> {
        self.add(key, text, Source::Flag(flag.to_owned()))
    }

    /// Text and source of a setting, if it has a value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(&str, &Source)> {
        let (text, source) = self.values.get(key)?;
        Some((text, source))
    }

    /// What the value of a setting means.
    pub(super) fn value<T>(
        &self,
        setting: &Setting,
        parse: fn(&Setting, &str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let Some((text, source)) = self.get(setting.key) else {
            // Only `data` has no default, and it has a flag of its name.
            return Err(Failure::new(Code::ValueMissing)
                .with("setting", format!("{} ({})", setting.key, setting.unit))
                .remedy(format!(
                    "give it as --{key}, as {variable} or in the file",
                    key = setting.key,
                    variable = setting.variable()
                )));
        };
        parse(setting, text).map_err(|reason| {
            Failure::new(Code::ValueRefused)
                .with("setting", setting.key)
                .with("value", text)
                .with("source", source)
                .with("reason", reason)
        })
    }

    fn add(&mut self, key: &str, text: String, source: Source) -> Result<(), Failure> {
        match setting::find(key) {
            Some(setting) => {
                self.put(setting, text, source);
                Ok(())
            }
            None => Err(unknown(key, &source)),
        }
    }

    fn put(&mut self, setting: &Setting, text: String, source: Source) {
        self.values.insert(setting.key, (text, source));
    }
}

fn unknown(key: &str, source: &Source) -> Failure {
    let keys = SETTINGS.map(|setting| setting.key);
    let failure = Failure::new(Code::UnknownSetting)
        .with("setting", key)
        .with("source", source);
    match nearest(key, keys) {
        Some(meant) => failure.remedy(format!("did you mean `{meant}`?")),
        None => failure.remedy(format!("it is one of: {}", keys.join(", "))),
    }
}

fn refuse_slip(name: &str) -> Result<(), Failure> {
    let meant = SETTINGS
        .iter()
        .map(|setting| setting.variable())
        .find(|variable| distance(name, variable) <= VARIABLE_SLIP_MAX);
    match meant {
        Some(meant) => Err(Failure::new(Code::UnknownSetting)
            .with("setting", format!("env {name}"))
            .remedy(format!("did you mean `{meant}`?"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_source_wins_and_is_remembered() {
        let mut layers = Layers::new();
        assert_eq!(layers.get("log.spares"), Some(("2", &Source::Default)));
        layers
            .add_environment([("MARGAY_LOG_SPARES".to_owned(), "3".to_owned())])
            .expect("the variable exists");
        layers.add_set("log.spares = 4").expect("the key exists");
        let flag = Source::Flag("--set".to_owned());
        assert_eq!(layers.get("log.spares"), Some(("4", &flag)));
    }

    #[test]
    fn a_variable_that_is_almost_ours_is_refused_and_a_foreign_one_left_alone() {
        let mut layers = Layers::new();
        let slip = [("MARGAY_LISTN".to_owned(), String::new())];
        let failure = layers.add_environment(slip).expect_err("it is a slip");
        assert!(failure.to_string().contains("`MARGAY_LISTEN`"), "{failure}");
        let service = [("MARGAY_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned())];
        assert_eq!(layers.add_environment(service), Ok(()));
    }

    #[test]
    fn an_assignment_without_a_value_is_refused() {
        let failure = Layers::new()
            .add_set("listen")
            .expect_err("there is no value");
        assert_eq!(failure.code(), Code::ValueRefused);
    }
}
