//! `margay check`: looks at what a server would meet, and changes nothing.
//!
//! The condition asked for is *nothing is wrong*: a check that finds something ends with 10. One that cannot look, as
//! when a file cannot be read, ends with 3 like everything else that cannot be configured. Settings may be checked on
//! another machine than the server's: whether this one has the cores, the directory and the port is seen by `run`.

use super::Outcome;
use super::arguments::Globals;
use super::console::{Console, table};
use super::settings::SettingOptions;
use crate::codes::{Code, Exit};
use crate::config::{Config, Problem, Problems, SETTINGS, Source, Subject};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::collections::BTreeSet;

/// Look whether a server could start, and change nothing
#[derive(Args, Debug)]
pub(super) struct Check {
    #[command(subcommand)]
    verb: CheckVerb,
}

/// What to look at.
#[derive(Debug, Subcommand)]
enum CheckVerb {
    Config(CheckConfig),
}

/// Find everything that is wrong with the settings that `run` would get
#[derive(Args, Debug)]
#[command(
    after_help = "Exits with 10 when something is wrong, and with 3 when a file cannot be read."
)]
struct CheckConfig {
    #[command(flatten)]
    settings: SettingOptions,
}

/// What was found, for programs.
#[derive(Serialize)]
struct Report {
    schema: u32,
    good: bool,
    problems: Vec<Row>,
}

/// One thing that is wrong.
#[derive(Serialize)]
struct Row {
    code: u16,
    title: &'static str,
    /// `setting`, `file`, `profile` or `flag`.
    subject: &'static str,
    name: String,
    value: Option<String>,
    /// As tables show it; null when the value stands nowhere.
    source: Option<String>,
    file: Option<String>,
    line: Option<usize>,
    reason: Option<String>,
    nearest: Option<String>,
    remedy: Option<String>,
}

impl Check {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        match &self.verb {
            CheckVerb::Config(check) => Ok(check.execute(console, globals)),
        }
    }
}

impl CheckConfig {
    fn execute(&self, console: &Console, globals: &Globals) -> Exit {
        let found = Config::new(&self.settings.layers(globals));
        let problems = found.as_ref().err().map_or(&[][..], Problems::all);
        let report = Report {
            schema: 1,
            good: problems.is_empty(),
            problems: problems.iter().map(row).collect(),
        };
        console.result(&report, |_| text(problems));
        exit(problems)
    }
}

/// A file that cannot be read may be good or bad: whoever asks gets no answer.
fn exit(problems: &[Problem]) -> Exit {
    let is_unread = |problem: &Problem| problem.code == Code::FileUnreadable;
    if problems.is_empty() {
        Exit::Done
    } else if problems.iter().any(is_unread) {
        Exit::Configuration
    } else {
        Exit::ConditionFalse
    }
}

fn row(problem: &Problem) -> Row {
    let place = problem.source.as_ref().and_then(Source::line);
    let file = match (place, &problem.subject) {
        (Some((file, _)), _) => Some(file.to_owned()),
        (None, Subject::File(file)) => Some(file.clone()),
        (None, Subject::Setting(_) | Subject::Profile(_) | Subject::Flag(_)) => None,
    };
    Row {
        code: problem.code.number(),
        title: problem.code.title(),
        subject: problem.subject.kind(),
        name: problem.subject.name().to_owned(),
        value: problem.value.clone(),
        source: problem.source.as_ref().map(Source::to_string),
        file,
        line: place.map(|(_, line)| line),
        reason: problem.reason.clone(),
        nearest: problem.nearest.clone(),
        remedy: problem.remedy.clone(),
    }
}

/// One line for each problem, and one that counts them.
fn text(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return format!(
            "good: nothing is wrong with the {} settings; `margay config show --sources` lists them",
            SETTINGS.len()
        );
    }
    let rows = problems.iter().map(|problem| {
        vec![
            place(problem),
            problem.code.to_string(),
            what(problem),
            sentence(problem),
        ]
    });
    let codes: BTreeSet<Code> = problems.iter().map(|problem| problem.code).collect();
    let explained: Vec<String> = codes.iter().map(explained).collect();
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    format!(
        "{}\n{count}   {}",
        table(&["SOURCE", "CODE", "WHAT", "PROBLEM"], rows),
        explained.join("   ")
    )
}

fn explained(code: &Code) -> String {
    format!("margay explain {code}")
}

/// Where it stands: a line, a variable or a flag, or else a file as a whole.
fn place(problem: &Problem) -> String {
    let subject = &problem.subject;
    match (&problem.source, subject) {
        (Some(source), _) => source.to_string(),
        (None, Subject::File(name) | Subject::Profile(name)) => {
            format!("{} {name}", subject.kind())
        }
        (None, Subject::Setting(_) | Subject::Flag(_)) => NOTHING.to_owned(),
    }
}

/// The setting and its value, or what was typed.
fn what(problem: &Problem) -> String {
    match (&problem.subject, &problem.value) {
        (Subject::Setting(name), Some(value)) => format!("{name} = {value}"),
        (Subject::Setting(name) | Subject::Flag(name), _) => name.clone(),
        (Subject::File(_) | Subject::Profile(_), _) => NOTHING.to_owned(),
    }
}

/// What stands in a column that has nothing to say.
const NOTHING: &str = "-";

/// The situation, what is wrong and what to do, on one line.
fn sentence(problem: &Problem) -> String {
    let mut sentence = problem.code.title().to_owned();
    if let Some(reason) = &problem.reason {
        sentence += &format!(": {}", reason.replace('\n', " "));
    }
    if let Some(advice) = problem.advice() {
        sentence += &format!("; {advice}");
    }
    sentence
}
