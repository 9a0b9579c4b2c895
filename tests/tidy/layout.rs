//! What a file looks like: its header, its length, its columns, and what must not be left in it.

use crate::source::{Finding, Source, demand_nothing, manifest_files, rust_files, words};

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 500;
/// Lines of a file of tests: long ones want data, not more code.
const TEST_FILE_LINES_MAX: usize = 800;
/// Columns of a line of code.
const COLUMNS_MAX: usize = 100;
/// Columns of a comment or of a literal that sticks out: rustfmt leaves them, and a sentence cut in the middle
/// reads no better.
const COMMENT_COLUMNS_MAX: usize = 120;

/// Files that may be longer: path, lines, reason. The numbers only ever fall.
const LONG_FILES: [(&str, usize, &str); 1] = [(
    "src/storage/log_tests.rs",
    854,
    "every path of the log is driven over the same small disk",
)];

/// Signs of unfinished work, in pieces so that this file does not contain them.
const LEFTOVERS: [&str; 7] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("HA", "CK"),
    concat!("XX", "X"),
    concat!("db", "g!"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
];

fn header(source: &Source) -> Vec<Finding> {
    let first = source.text.lines().next().unwrap_or_default();
    let sentence = first.strip_prefix("//! ").unwrap_or_default();
    // The tests of a file that moved beside it are a part of it: its header is theirs.
    let is_part = source.path.ends_with("_tests.rs");
    if sentence.len() > 10 || is_part {
        return Vec::new();
    }
    let rule = "a file starts with `//!`, one sentence that says what it is for".to_owned();
    vec![source.finding(1, rule, "write it before the imports")]
}

fn length(source: &Source) -> Vec<Finding> {
    let long = LONG_FILES.iter().find(|(path, ..)| *path == source.path);
    let max = match long {
        Some((_, lines_max, _)) => *lines_max,
        None if source.is_test() => TEST_FILE_LINES_MAX,
        None => FILE_LINES_MAX,
    };
    let count = lines_without_tests(source);
    if count <= max {
        return Vec::new();
    }
    let rule = format!("{count} lines without its tests, at most {max}");
    vec![source.finding(max + 1, rule, "split it by topic, one concept per file")]
}

/// Lines before the module of tests at the end.
fn lines_without_tests(source: &Source) -> usize {
    let lines: Vec<&str> = source.text.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "))
        .unwrap_or(lines.len())
}

fn columns(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((line, text), (_, code)) in source.lines().zip(source.code_lines()) {
        let count = text.chars().count();
        let tail: String = code.chars().skip(COLUMNS_MAX).collect();
        // A literal may stick out with what closes it: `");`, for example.
        let is_code = tail.chars().any(char::is_alphanumeric);
        let max = if is_code {
            COLUMNS_MAX
        } else {
            COMMENT_COLUMNS_MAX
        };
        if count > max {
            let rule = format!("{count} columns, at most {max}");
            findings.push(source.finding(line, rule, "break the line"));
        }
    }
    findings
}

fn leftovers(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in source.lines() {
        for leftover in LEFTOVERS {
            if words(text, leftover).next().is_some() {
                let rule = format!("`{leftover}` is left in the tree");
                let remedy = "do it, or say in the header under `Not done` why it is left out";
                findings.push(source.finding(line, rule, remedy));
            }
        }
    }
    findings
}

fn ignored_tests(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, code) in source.code_lines() {
        if code.trim_start().starts_with("#[ignore") {
            let rule = "a test is never ignored".to_owned();
            findings.push(source.finding(line, rule, "make it pass, or delete it"));
        }
    }
    findings
}

fn all(rule: fn(&Source) -> Vec<Finding>) {
    let findings: Vec<Finding> = rust_files().iter().flat_map(rule).collect();
    demand_nothing(&findings);
}

#[test]
fn every_file_has_a_header() {
    all(header);
}

#[test]
fn no_file_is_too_long() {
    all(length);
}

#[test]
fn no_line_is_too_long() {
    all(columns);
}

#[test]
fn nothing_unfinished_is_left() {
    all(leftovers);
    let findings: Vec<Finding> = manifest_files().iter().flat_map(leftovers).collect();
    demand_nothing(&findings);
}

#[test]
fn no_test_is_ignored() {
    all(ignored_tests);
}

#[test]
fn a_missing_header_is_found() {
    for text in ["", "use std::fmt;\n", "//!\n", "//! Log.\n"] {
        assert_eq!(header(&Source::new("src/a.rs", text)).len(), 1, "{text:?}");
    }
    let good = Source::new("src/a.rs", "//! What this file is for.\n");
    assert_eq!(header(&good), []);
}

#[test]
fn a_long_file_is_found_and_its_tests_do_not_count() {
    let body = "fn f() {}\n".repeat(FILE_LINES_MAX);
    let tests = "#[cfg(test)]\nmod tests {}\n".to_owned() + &body;
    let fits = Source::new("src/a.rs", &format!("{body}{tests}"));
    assert_eq!(length(&fits), []);
    let long = Source::new("src/a.rs", &format!("{body}fn g() {{}}\n{tests}"));
    assert_eq!(length(&long).len(), 1);
    assert!(LONG_FILES.iter().all(|(_, _, reason)| !reason.is_empty()));
}

#[test]
fn a_wide_line_is_found_and_a_comment_may_be_wider() {
    let code = "x".repeat(COLUMNS_MAX + 1);
    assert_eq!(columns(&Source::new("src/a.rs", &code)).len(), 1);
    let comment = format!("// {}", "x".repeat(COLUMNS_MAX));
    assert_eq!(columns(&Source::new("src/a.rs", &comment)), []);
    let literal = format!("let a = \"{}\";", "x".repeat(COLUMNS_MAX));
    assert_eq!(columns(&Source::new("src/a.rs", &literal)), []);
    let wide = format!("// {}", "x".repeat(COMMENT_COLUMNS_MAX));
    assert_eq!(columns(&Source::new("src/a.rs", &wide)).len(), 1);
}

#[test]
fn a_leftover_is_found_also_in_a_comment() {
    for leftover in LEFTOVERS {
        let text = format!("fn f() {{}} // {leftover}(later)\n");
        let findings = leftovers(&Source::new("src/a.rs", &text));
        assert_eq!(findings.len(), 1, "{leftover}: {findings:?}");
    }
}

#[test]
fn an_ignored_test_is_found() {
    let text = concat!("    #[ign", "ore = \"slow\"]\n    fn a() {}\n");
    assert_eq!(ignored_tests(&Source::new("src/a.rs", text)).len(), 1);
}
