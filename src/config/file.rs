//! A TOML file as keys, texts and line numbers.

use super::problem::{Problem, Subject};
use super::source::Source;
use crate::codes::Code;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One value of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Tables and key, joined by dots.
    pub(super) key: String,
    /// The value as it would be written behind `--set`.
    pub(super) text: String,
    /// Where it stands, from 1.
    pub(super) line: usize,
}

/// All values of the file called `name`, in the order of their keys; `place` names a line of it. What is not TOML, or
/// a value that no setting can have, is added to `problems`, and the rest is read all the same.
pub(super) fn entries(
    name: &str,
    toml: &str,
    place: &dyn Fn(usize) -> Source,
    problems: &mut Vec<Problem>,
) -> Vec<Entry> {
    let mut reader = Reader {
        name,
        toml,
        place,
        entries: Vec::new(),
        problems,
    };
    let (table, errors) = DeTable::parse_recoverable(toml);
    let mut broken = Vec::new();
    for error in errors {
        let line = line(toml, error.span().map_or(0, |span| span.start));
        // Of one slip the parser may say several things.
        if broken.last() != Some(&line) {
            reader.refuse(line, error.message().to_owned());
            broken.push(line);
        }
    }
    reader.table("", table.get_ref());
    // What stands on a broken line is a guess of the parser.
    let mut entries = reader.entries;
    entries.retain(|entry| !broken.contains(&entry.line));
    entries
}

/// A file that is being read.
struct Reader<'a> {
    name: &'a str,
    toml: &'a str,
    place: &'a dyn Fn(usize) -> Source,
    entries: Vec<Entry>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            self.value(prefix, key, value);
        }
    }

    fn value(&mut self, prefix: &str, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let line = line(self.toml, key.span().start);
        let key = format!("{prefix}{}", key.get_ref());
        let text = match value.get_ref() {
            DeValue::Table(table) => return self.table(&format!("{key}."), table),
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            other @ (DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)) => {
                let reason = format!("`{key}` cannot be a value of type {}", other.type_str());
                return self.refuse(line, reason);
            }
        };
        self.entries.push(Entry { key, text, line });
    }

    fn refuse(&mut self, line: usize, reason: String) {
        let subject = Subject::File(self.name.to_owned());
        let problem = Problem::new(Code::FileMalformed, subject)
            .source((self.place)(line))
            .reason(reason);
        self.problems.push(problem);
    }
}

fn line(toml: &str, at: usize) -> usize {
    toml.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> (Vec<Entry>, Vec<Problem>) {
        let place = |line| Source::File {
            path: "m.toml".to_owned(),
            line,
        };
        let mut problems = Vec::new();
        let entries = entries("m.toml", toml, &place, &mut problems);
        (entries, problems)
    }

    #[test]
    fn nested_and_dotted_keys_are_one_and_know_their_lines() {
        let toml = "listen = \"0.0.0.0:1\"\n\n[log]\nspares = 3\nsegment_bytes = \"8MiB\"\n";
        let (entries, problems) = read(toml);
        let found: Vec<(&str, &str, usize)> = entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.text.as_str(), entry.line))
            .collect();
        assert_eq!(
            found,
            [
                ("listen", "0.0.0.0:1", 1),
                ("log.segment_bytes", "8MiB", 5),
                ("log.spares", "3", 4),
            ]
        );
        assert_eq!(problems, []);
    }

    #[test]
    fn what_is_not_toml_or_no_value_of_a_setting_is_refused_with_its_line() {
        for toml in [
            "a = 1\nb = ",
            "a = 1\nb = [1]",
            "a = 1\nb = 1.5",
            "a = 1\na = 2",
        ] {
            let (_, problems) = read(toml);
            let [problem] = &problems[..] else {
                panic!("one thing is wrong with {toml:?}: {problems:?}");
            };
            assert_eq!(problem.code, Code::FileMalformed);
            let place = problem.source.as_ref().and_then(Source::line);
            assert_eq!(place, Some(("m.toml", 2)));
        }
    }

    #[test]
    fn all_broken_lines_are_told_and_the_good_ones_are_read() {
        let (entries, problems) = read("a = \nb = 2\nc = [1]\nd = 4\ne 5\n");
        let lines = problems.iter().map(|problem| {
            let place = problem.source.as_ref().and_then(Source::line);
            place.expect("it stands in the file").1
        });
        let mut lines: Vec<usize> = lines.collect();
        lines.sort_unstable();
        assert_eq!(lines, [1, 3, 5], "{problems:?}");
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["b", "d"]);
    }
}
