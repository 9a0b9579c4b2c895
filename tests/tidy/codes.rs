//! Every code that a message carries stands in the table of codes: a number that nobody can look up helps nobody.

use crate::source::{Finding, Source, demand_nothing, rust_files};

/// The table.
const TABLE: &str = "src/codes.rs";

/// Numbers that the table gives: `Name = 101, ...`.
fn known(table: &Source) -> Vec<String> {
    let numbers = table.code_lines().filter_map(|(_, code)| {
        let (_, behind) = code.split_once(" = ")?;
        let (number, _) = behind.split_once(',')?;
        number
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| number.to_owned())
    });
    numbers.collect()
}

/// Literals such as `"M101"`, with their lines.
fn unknown_codes(source: &Source, known: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in source.lines() {
        for (at, _) in text.match_indices("\"M") {
            let number: String = text[at + 2..]
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            let is_closed = text[at + 2 + number.len()..].starts_with('"');
            if number.len() == 3 && is_closed && !known.contains(&number) {
                let rule = format!("code M{number} is not in {TABLE}");
                findings.push(source.finding(line, rule, "give it a row there, with its title"));
            }
        }
    }
    findings
}

#[test]
fn every_code_in_a_message_is_in_the_table() {
    let sources = rust_files();
    let table = sources.iter().find(|source| source.path == TABLE);
    let known = known(table.expect("the table is there"));
    assert!(known.contains(&"101".to_owned()), "{known:?}");
    let production = sources
        .iter()
        .filter(|source| source.path.starts_with("src/"));
    let findings: Vec<Finding> = production
        .flat_map(|source| unknown_codes(source, &known))
        .collect();
    demand_nothing(&findings);
}

#[test]
fn a_code_without_a_row_is_found() {
    let table = Source::new(TABLE, "    A = 101, Done, \"a\";\n");
    let text = "warn(\"M101\"); warn(\"M999\"); name(\"M1\");";
    let findings = unknown_codes(&Source::new("src/a.rs", text), &known(&table));
    assert_eq!(findings.len(), 1, "{findings:?}");
}
