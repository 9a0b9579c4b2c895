//! `margay explain`: what a code means and what to do about it. It asks nobody: at three in the morning the network
//! may be what is broken.

use super::Outcome;
use super::argument_value;
use super::console::{Console, paragraphs, table};
use crate::codes::{Code, Exit, Explanation};
use clap::Args;
use serde::Serialize;

/// Explain a code: what it means, what to do, and what not to do
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// The code, such as M212; all codes are listed without it
    #[arg(value_parser = argument_value::code)]
    code: Option<Code>,
}

/// All codes.
#[derive(Serialize)]
struct List {
    schema: u32,
    codes: Vec<Row>,
}

/// One of them.
#[derive(Serialize)]
struct Row {
    code: u16,
    title: &'static str,
    /// What a process that stops for it exits with; null when it is only reported.
    exit: Option<u8>,
}

/// One code, in full.
#[derive(Serialize)]
struct Report {
    schema: u32,
    #[serde(flatten)]
    row: Row,
    #[serde(flatten)]
    explanation: &'static Explanation,
}

impl Explain {
    pub(super) fn execute(&self, console: &Console) -> Outcome {
        match self.code {
            Some(code) => {
                let report = Report {
                    schema: 1,
                    row: row(code),
                    explanation: code.explanation(),
                };
                console.result(&report, |report| text(code, report.explanation));
            }
            None => {
                let list = List {
                    schema: 1,
                    codes: Code::ALL.iter().copied().map(row).collect(),
                };
                console.result(&list, |_| list_text());
            }
        }
        Ok(Exit::Done)
    }
}

fn row(code: Code) -> Row {
    Row {
        code: code.number(),
        title: code.title(),
        exit: exit_number(code),
    }
}

fn exit_number(code: Code) -> Option<u8> {
    Some(code.exit())
        .filter(|exit| *exit != Exit::Done)
        .map(Exit::number)
}

/// The title, and each part beside its name.
fn text(code: Code, explanation: &Explanation) -> String {
    let exit = match exit_number(code) {
        Some(number) => format!("a process that stops for it exits with {number}"),
        None => "it is reported, and stops no process".to_owned(),
    };
    let concerns = explanation.concerns.join(", ");
    let parts = [
        ("meaning", explanation.meaning),
        ("danger", explanation.danger),
        ("Margay did", explanation.done),
        ("do", explanation.remedy),
        ("do not", explanation.avoid),
        ("concerns", &concerns),
        ("exit", &exit),
    ];
    format!("{code} {}\n\n{}", code.title(), paragraphs(&parts))
}

fn list_text() -> String {
    let rows = Code::ALL.iter().map(|code| {
        let exit = exit_number(*code).map_or_else(|| "-".to_owned(), |number| number.to_string());
        vec![code.to_string(), exit, code.title().to_owned()]
    });
    format!(
        "{}\nmargay explain CODE   tells what it means and what to do",
        table(&["CODE", "EXIT", "SITUATION"], rows)
    )
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Arguments;
    use super::*;
    use crate::config::SETTINGS;
    use clap::{Command, CommandFactory};

    /// Columns of `margay status` that a text may point to.
    const COLUMNS: [&str; 4] = ["LAG", "REPLICAS", "SESSIONS", "SPACE"];

    fn options(command: &Command, found: &mut Vec<String>) {
        let longs = command
            .get_arguments()
            .filter_map(|argument| argument.get_long());
        found.extend(longs.map(|long| format!("--{long}")));
        for verb in command.get_subcommands() {
            options(verb, found);
        }
    }

    /// Does the command line have the verb that `line` starts with? Words that are no verbs stand for arguments.
    fn has_verb(line: &str) -> bool {
        let tree = Arguments::command();
        let mut command = &tree;
        for word in line.split_whitespace().skip(1) {
            match command.find_subcommand(word) {
                Some(verb) => command = verb,
                None => return !command.has_subcommands() || word == "--version",
            }
        }
        !command.has_subcommands()
    }

    fn is_known(concern: &str, options: &[String]) -> bool {
        let is_code = |number: &str| number.parse().ok().and_then(Code::from_number).is_some();
        let is_variable = |name| SETTINGS.iter().any(|setting| setting.variable() == name);
        options.iter().any(|option| option == concern)
            || SETTINGS.iter().any(|setting| setting.key == concern)
            || concern.starts_with("margay ") && has_verb(concern)
            || concern.strip_prefix('M').is_some_and(is_code)
            || concern == "MARGAY_ENDPOINTS"
            || is_variable(concern)
            // A directive of a unit: what the service manager grants.
            || concern.ends_with('=')
            || COLUMNS.contains(&concern)
    }

    #[test]
    fn whatever_a_code_concerns_exists() {
        let mut all = vec!["--version".to_owned()];
        options(&Arguments::command(), &mut all);
        for code in Code::ALL {
            for concern in code.explanation().concerns {
                assert!(is_known(concern, &all), "{code}: {concern}");
            }
        }
        assert!(!is_known("log.spare", &all) && !is_known("M9999", &all));
        assert!(!is_known("margay fly", &all) && !is_known("--fly", &all));
    }

    #[test]
    fn verbs_codes_and_options_that_a_text_names_exist() {
        let mut all = vec!["--version".to_owned()];
        options(&Arguments::command(), &mut all);
        for code in Code::ALL {
            let explanation = code.explanation();
            for text in [
                explanation.meaning,
                explanation.danger,
                explanation.done,
                explanation.remedy,
                explanation.avoid,
            ] {
                for quoted in text.split('`').skip(1).step_by(2) {
                    let is_ours = quoted.starts_with("margay ");
                    assert!(!is_ours || has_verb(quoted), "{code}: {quoted}");
                }
                for word in text.split(|letter: char| !(letter.is_alphanumeric() || letter == '-'))
                {
                    let number = word
                        .strip_prefix('M')
                        .and_then(|number| number.parse().ok());
                    let is_good = number.is_none_or(|number| Code::from_number(number).is_some());
                    assert!(is_good, "{code}: {word}");
                    let is_option = word.starts_with("--");
                    let is_good = !is_option || all.iter().any(|option| option == word);
                    assert!(is_good, "{code}: {word}");
                }
            }
        }
    }

    #[test]
    fn an_explanation_fits_the_screen_and_names_its_parts() {
        for code in Code::ALL {
            let text = text(*code, code.explanation());
            for part in [
                "meaning",
                "danger",
                "Margay did",
                "do not",
                "concerns",
                "exit",
            ] {
                assert!(text.contains(&format!("\n{part} ")), "{part}: {text}");
            }
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
