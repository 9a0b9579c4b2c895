//! A limit that nothing looks at promises a bound that is not there.

use crate::source::{Finding, Source, demand_nothing, rust_files, words};

/// Where limits stand.
const FILE_NAME: &str = "limits.rs";

/// One named constant of a file of limits: its name, its line, and its whole text up to the semicolon.
struct Limit {
    name: String,
    line: usize,
    text: String,
}

/// The constants of a file. Those without a name are relations between others, and use nothing.
fn limits(source: &Source) -> Vec<Limit> {
    let mut found: Vec<Limit> = Vec::new();
    let mut is_open = false;
    for (line, code) in source.code_lines() {
        let declared = code.split_once("const ").map(|(_, behind)| behind);
        let name = declared.and_then(|behind| behind.split_once(':'));
        if let Some((name, _)) = name.filter(|(name, _)| *name != "_") {
            found.push(Limit {
                name: name.to_owned(),
                line,
                text: String::new(),
            });
            is_open = true;
        }
        if let Some(limit) = found.last_mut().filter(|_| is_open) {
            limit.text.push_str(code);
            is_open = !code.contains(';');
        }
    }
    found
}

/// Limits that no other file looks at, and that no other limit is made of. In a file that has more than constants, its
/// own code may be the user.
fn unused_limits(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = sources.iter().filter(|source| {
        let name = source.path.rsplit('/').next();
        source.path.starts_with("src/") && name == Some(FILE_NAME)
    });
    for file in files {
        let limits = limits(file);
        for limit in &limits {
            let mentions = |code: &str| words(code, &limit.name).next().is_some();
            let is_used_elsewhere = sources
                .iter()
                .filter(|source| source.path != file.path && !source.is_test())
                .any(|source| mentions(&source.code));
            let is_part = limits
                .iter()
                .any(|other| other.name != limit.name && mentions(&other.text));
            let is_used_here = file
                .code_lines()
                .any(|(_, code)| mentions(code) && code.starts_with("    ") && is_code_of(code));
            if !is_used_elsewhere && !is_part && !is_used_here {
                let rule = format!("nothing looks at {}", limit.name);
                let remedy = "enforce it, with a test, or delete it";
                findings.push(file.finding(limit.line, rule, remedy));
            }
        }
    }
    findings
}

/// Is this a line of an expression with fields, such as a default? Relations compare.
fn is_code_of(code: &str) -> bool {
    code.trim_end().ends_with(',') && code.contains(": ")
}

#[test]
fn every_limit_is_looked_at() {
    demand_nothing(&unused_limits(rust_files()));
}

#[test]
fn a_limit_that_nothing_looks_at_is_found() {
    let text = "pub const USED: usize = 1;\npub const PART: usize = 2;\npub const WHOLE: usize =\n    PART * 2;\n\
                pub const LOST: usize = 3;\nconst _: () = assert!(\n    LOST > 2\n);\nconst KEPT: u8 = 1;\n\
                fn default() -> Kept {\n    Kept {\n        kept: KEPT,\n    }\n}\n";
    let sources = [
        Source::new("src/a/limits.rs", text),
        Source::new("src/a/b.rs", "use limits::{USED, WHOLE};\n// LOST\n"),
        Source::new("tests/c.rs", "use limits::LOST;\n"),
    ];
    let findings = unused_limits(&sources);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].rule, "nothing looks at LOST");
}
