//! Values by key, the later source over the earlier, each with the place it came from.

use super::file::{self, Entry};
use super::nearest::{distance, nearest};
use super::problem::{Problem, Subject};
use super::profile;
use super::setting::{self, SETTINGS, Setting};
use super::source::Source;
use crate::codes::Code;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

/// What all variables of ours start with.
const VARIABLE_PREFIX: &str = "MARGAY_";
/// A variable that differs from one of ours by no more letters is a slip. Others are left alone: schedulers
/// of containers put variables with a service's name into its environment.
const VARIABLE_SLIP_MAX: usize = 2;

/// The texts of all settings that anyone gave, and what is wrong with how they were given. Add the sources in ascending
/// order of precedence.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, Vec<Given>>,
    problems: Vec<Problem>,
}

/// What one source says.
#[derive(Clone, Debug)]
struct Given {
    text: String,
    source: Source,
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
    pub fn add_profile(&mut self, name: &str) {
        for Entry { key, text, line } in profile::entries(name, &mut self.problems) {
            self.add(&key, text, profile::source(name, line));
        }
    }

    /// The configuration file.
    pub fn add_file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let toml = match fs::read_to_string(path) {
            Ok(toml) => toml,
            Err(error) => return self.problems.push(profile::unreadable(&name, &error)),
        };
        let place = |line| Source::File {
            path: name.clone(),
            line,
        };
        for Entry { key, text, line } in file::entries(&name, &toml, &place, &mut self.problems) {
            self.add(&key, text, place(line));
        }
    }

    /// The environment: names and values.
    pub fn add_environment(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        for (name, value) in variables {
            let Some(name) = name
                .to_str()
                .filter(|name| name.starts_with(VARIABLE_PREFIX))
            else {
                continue;
            };
            let known = SETTINGS.iter().find(|setting| setting.variable() == name);
            let source = Source::Variable(name.to_owned());
            match (known, value.into_string()) {
                (Some(setting), Ok(text)) => self.put(setting, text, source),
                (Some(setting), Err(value)) => self.problems.push(no_text(setting, &value, source)),
                (None, _) => self.problems.extend(slip(name, source)),
            }
        }
    }

    /// One `--set KEY=VALUE`.
    pub fn add_set(&mut self, assignment: &str) {
        let source = Source::Flag("--set".to_owned());
        match assignment.split_once('=') {
            Some((key, text)) => self.add(key.trim(), text.trim().to_owned(), source),
            None => {
                let subject = Subject::Flag(format!("--set {assignment}"));
                let problem = Problem::new(Code::ValueRefused, subject)
                    .source(source)
                    .reason("there is no `=` in it")
                    .remedy("write --set KEY=VALUE");
                self.problems.push(problem);
            }
        }
    }

    /// A flag that stands for a setting, such as `--data`.
    pub fn add_flag(&mut self, key: &str, text: String, flag: &str) {
        self.add(key, text, Source::Flag(flag.to_owned()));
    }

    /// Text and source of a setting, if it has a value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(&str, &Source)> {
        let given = self.values.get(key)?.last()?;
        Some((&given.text, &given.source))
    }

    /// What is wrong with how settings were given; their values are not looked at.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.problems.clone()
    }

    /// What the value of a setting means. Every source must make sense, also one that another stands above: a file does
    /// not become right because of a variable in somebody's environment.
    pub(super) fn value<T>(
        &self,
        setting: &Setting,
        parse: fn(&Setting, &str) -> Result<T, String>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let Some(all) = self.values.get(setting.key) else {
            problems.push(missing(setting));
            return None;
        };
        let mut value = None;
        for given in all {
            match parse(setting, &given.text) {
                Ok(parsed) => value = Some(parsed),
                Err(reason) => problems.push(
                    Problem::new(Code::ValueRefused, Subject::Setting(setting.key.to_owned()))
                        .value(&given.text)
                        .source(given.source.clone())
                        .reason(reason),
                ),
            }
        }
        value
    }

    fn add(&mut self, key: &str, text: String, source: Source) {
        match setting::find(key) {
            Some(setting) => self.put(setting, text, source),
            None => self.problems.push(unknown(key, source)),
        }
    }

    fn put(&mut self, setting: &Setting, text: String, source: Source) {
        let all = self.values.entry(setting.key).or_default();
        all.push(Given { text, source });
    }
}

fn unknown(key: &str, source: Source) -> Problem {
    let keys = SETTINGS.map(|setting| setting.key);
    Problem::new(Code::UnknownSetting, Subject::Setting(key.to_owned()))
        .source(source)
        .nearest_or(
            nearest(key, keys),
            format!("it is one of: {}", keys.join(", ")),
        )
}

fn missing(setting: &Setting) -> Problem {
    // Only `data` has no default, and it has a flag of its name.
    let remedy = format!(
        "give it as --{key}, as {variable} or in the file",
        key = setting.key,
        variable = setting.variable()
    );
    Problem::new(Code::ValueMissing, Subject::Setting(setting.key.to_owned())).remedy(remedy)
}

fn no_text(setting: &Setting, value: &OsStr, source: Source) -> Problem {
    Problem::new(Code::ValueRefused, Subject::Setting(setting.key.to_owned()))
        .value(&value.to_string_lossy())
        .source(source)
        .reason("it is not UTF-8")
}

/// A variable that is almost one of ours.
fn slip(name: &str, source: Source) -> Option<Problem> {
    let meant = SETTINGS
        .iter()
        .map(|setting| setting.variable())
        .find(|variable| distance(name, variable) <= VARIABLE_SLIP_MAX)?;
    let subject = Subject::Setting(name.to_owned());
    let problem = Problem::new(Code::UnknownSetting, subject)
        .source(source)
        .nearest_or(Some(&meant), "");
    Some(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn variable(name: &str, value: &str) -> [(OsString, OsString); 1] {
        [(name.into(), value.into())]
    }

    #[test]
    fn a_later_source_wins_and_is_remembered() {
        let mut layers = Layers::new();
        assert_eq!(layers.get("log.spares"), Some(("2", &Source::Default)));
        layers.add_environment(variable("MARGAY_LOG_SPARES", "3"));
        layers.add_set("log.spares = 4");
        let flag = Source::Flag("--set".to_owned());
        assert_eq!(layers.get("log.spares"), Some(("4", &flag)));
        assert_eq!(layers.problems(), []);
    }

    #[test]
    fn a_variable_that_is_almost_ours_is_refused_and_a_foreign_one_left_alone() {
        let mut layers = Layers::new();
        layers.add_environment(variable("MARGAY_SERVICE_HOST", "10.0.0.1"));
        assert_eq!(layers.problems(), []);
        layers.add_environment(variable("MARGAY_LISTN", ""));
        let problems = layers.problems();
        assert_eq!(problems[0].nearest.as_deref(), Some("MARGAY_LISTEN"));
    }

    #[test]
    fn a_variable_that_is_no_text_is_refused() {
        let mut layers = Layers::new();
        let value = OsString::from_vec(b"/data/\xff".to_vec());
        layers.add_environment([("MARGAY_DATA".into(), value)]);
        assert_eq!(layers.problems()[0].code, Code::ValueRefused);
    }

    #[test]
    fn an_assignment_without_a_value_is_refused() {
        let mut layers = Layers::new();
        layers.add_set("listen");
        assert_eq!(layers.problems()[0].code, Code::ValueRefused);
    }
}
