//! Every code that a message carries stands in the table of codes: a number that nobody can look up helps nobody. And
//! its explanation says whether anything raises it: whoever looks for what he read must not find a fable.

use crate::source::{Finding, Source, demand_nothing, rust_files, words};

/// The table.
const TABLE: &str = "src/codes.rs";
/// What is told about each code.
const EXPLANATIONS: &str = "src/codes/explanation/";
/// What an explanation says when nothing raises its code.
const NOT_RAISED: &str = "does not raise";

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

/// Names that the table gives: `Name = 101, ...`, each with its line.
fn names(table: &Source) -> Vec<(usize, &str)> {
    let rows = table.code_lines().filter_map(|(line, code)| {
        let (name, behind) = code.trim().split_once(" = ")?;
        let number = behind.split(',').next()?;
        let is_row = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
        is_row.then_some((line, name))
    });
    rows.collect()
}

/// `LITTLE_SPACE` for `LittleSpace`.
fn constant(name: &str) -> String {
    let mut constant = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !constant.is_empty() {
            constant.push('_');
        }
        constant.extend(letter.to_uppercase());
    }
    constant
}

/// Is the code named outside of its own module? The wire has a `Code` of its own, so the path is looked at, too.
fn is_raised(name: &str, production: &[&Source]) -> bool {
    let word = format!("Code::{name}");
    let mut outside = production
        .iter()
        .filter(|source| !source.is_in(&[TABLE, "src/codes/"]) && !source.is_test());
    outside.any(|source| {
        source.code.contains("codes::") && words(&source.code, &word).next().is_some()
    })
}

/// Does the explanation of the code say that nothing raises it?
fn says_not_raised(name: &str, production: &[&Source]) -> bool {
    let start = format!("const {}: Explanation", constant(name));
    let texts = production
        .iter()
        .filter(|source| source.is_in(&[EXPLANATIONS]))
        .filter_map(|source| source.text.split_once(&start));
    let mut bodies = texts.map(|(_, behind)| behind.split("};").next().unwrap_or(behind));
    bodies.any(|body| {
        // A sentence may be broken over lines.
        let body = body.replace('\\', " ");
        let words: Vec<&str> = body.split_whitespace().collect();
        words.join(" ").contains(NOT_RAISED)
    })
}

fn untrue_explanations(table: &Source, production: &[&Source]) -> Vec<Finding> {
    let untrue = names(table).into_iter().filter_map(|(line, name)| {
        let (rule, remedy) = match (
            is_raised(name, production),
            says_not_raised(name, production),
        ) {
            (true, false) | (false, true) => return None,
            (true, true) => ("is raised", "say in its explanation what happens then"),
            (false, false) => (
                "is raised nowhere",
                "say so in its explanation, or delete it",
            ),
        };
        Some(table.finding(line, format!("`{name}` {rule}"), remedy))
    });
    untrue.collect()
}

#[test]
fn every_code_is_raised_or_its_explanation_says_that_it_is_not() {
    let sources = rust_files();
    let production: Vec<&Source> = sources
        .iter()
        .filter(|source| source.path.starts_with("src/"))
        .collect();
    let table = production.iter().find(|source| source.path == TABLE);
    let table = table.expect("the table is there");
    assert!(names(table).len() > 40, "{:?}", names(table));
    demand_nothing(&untrue_explanations(table, &production));
}

#[test]
fn a_code_whose_explanation_is_untrue_is_found() {
    let table = Source::new(
        TABLE,
        "    OneOf = 101, Done, \"a\";\n    Other = 102, Done, \"b\";\n",
    );
    let text = "const ONE_OF: Explanation = E {\n done: \"it does not \\\n raise it\" };\n\
                const OTHER: Explanation = E { done: \"-\" };\n";
    let explained = Source::new("src/codes/explanation/a.rs", text);
    let raising = Source::new(
        "src/a.rs",
        "use crate::codes::Code; Code::Other; Code::OneOff;",
    );
    assert_eq!(untrue_explanations(&table, &[&explained, &raising]), []);
    let wrong = Source::new("src/a.rs", "use crate::codes::Code; Code::OneOf;");
    let findings = untrue_explanations(&table, &[&explained, &wrong]);
    assert_eq!(findings.len(), 2, "{findings:?}");
}
