//! A TOML file as keys, texts and line numbers.

use crate::codes::{Code, Failure};
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

/// All values of the file called `name`, in the order of their keys.
///
/// # Errors
/// `FileMalformed` with the line, when it is not TOML or holds a value that no setting can have.
pub(super) fn entries(name: &str, toml: &str) -> Result<Vec<Entry>, Failure> {
    let table = DeTable::parse(toml).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        malformed(name, line(toml, start), error.message())
    })?;
    let mut reader = Reader {
        name,
        toml,
        entries: Vec::new(),
    };
    reader.table("", table.get_ref())?;
    Ok(reader.entries)
}

/// A file that is being read.
struct Reader<'a> {
    name: &'a str,
    toml: &'a str,
    entries: Vec<Entry>,
}

impl Reader<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) -> Result<(), Failure> {
        for (key, value) in table {
            self.value(prefix, key, value)?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        prefix: &str,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Failure> {
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
                return Err(malformed(self.name, line, &reason));
            }
        };
        self.entries.push(Entry { key, text, line });
        Ok(())
    }
}

fn line(toml: &str, at: usize) -> usize {
    toml.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn malformed(name: &str, line: usize, reason: &str) -> Failure {
    Failure::new(Code::FileMalformed)
        .with("file", format!("{name}:{line}"))
        .with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_dotted_keys_are_one_and_know_their_lines() {
        let toml = "listen = \"0.0.0.0:1\"\n\n[log]\nspares = 3\nsegment_bytes = \"8MiB\"\n";
        let entries = entries("m.toml", toml).expect("it is TOML");
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
    }

    #[test]
    fn what_is_not_toml_or_no_value_of_a_setting_is_refused_with_its_line() {
        for toml in [
            "a = 1\nb = ",
            "a = 1\nb = [1]",
            "a = 1\nb = 1.5",
            "a = 1\na = 2",
        ] {
            let failure = entries("m.toml", toml).expect_err("it is refused");
            assert_eq!(failure.code(), Code::FileMalformed);
            assert!(failure.to_string().contains("m.toml:2"), "{failure}");
        }
    }
}
