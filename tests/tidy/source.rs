//! What the rules look at: the files of the tree, and what they say when they find something.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Folders that hold Rust of ours, from the top of the repository.
const RUST_FOLDERS: [&str; 4] = ["benches", "loadgen", "src", "tests"];

/// Something that a rule does not like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path from the top of the repository.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// What the rule demands.
    pub(crate) rule: String,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}; {}",
            self.file, self.line, self.rule, self.remedy
        )
    }
}

/// One text file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the top of the repository, with `/`.
    pub(crate) path: String,
    /// The file as it stands.
    pub(crate) text: String,
    /// The file with comments and literals replaced by spaces: same lines, same columns.
    pub(crate) code: String,
}

impl Source {
    /// A file of the tree, or a sample that a rule is tried on.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
        }
    }

    /// A finding in this file.
    pub(crate) fn finding(&self, line: usize, rule: String, remedy: &'static str) -> Finding {
        Finding {
            file: self.path.clone(),
            line,
            rule,
            remedy,
        }
    }

    /// Lines with their numbers, as they stand.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Lines with their numbers, comments and literals blanked.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// Is this a file of tests: in a folder of tests, or the tests of a file that moved beside it?
    pub(crate) fn is_test(&self) -> bool {
        let in_folder = self.path.starts_with("tests/") || self.path.contains("/tests/");
        in_folder || self.path.ends_with("_tests.rs")
    }

    /// Is this one of the files or folders (with a trailing `/`) named?
    pub(crate) fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path == *place || (place.ends_with('/') && self.path.starts_with(place))
        })
    }
}

/// Every Rust file of the tree, sorted by path; read once for all rules.
pub(crate) fn rust_files() -> &'static [Source] {
    static FILES: OnceLock<Vec<Source>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut paths = Vec::new();
        for folder in RUST_FOLDERS {
            gather(Path::new(folder), ".rs", &mut paths);
        }
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    })
}

/// Every `Cargo.toml` of the tree, sorted by path.
pub(crate) fn manifest_files() -> Vec<Source> {
    let mut paths = vec!["Cargo.toml".to_owned()];
    for folder in RUST_FOLDERS {
        gather(Path::new(folder), "Cargo.toml", &mut paths);
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// Fails with everything that was found, one line each.
pub(crate) fn demand_nothing(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} finding(s):\n{}",
        lines.len(),
        lines.join("\n")
    );
}

/// Where `word` stands in `code` as a whole word: no letter, digit or underscore touches its ends.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let before = code[..at].chars().next_back();
            let after = code[at + word.len()..].chars().next();
            let first = word.chars().next();
            let last = word.chars().next_back();
            let is_longer = is_word(before) && is_word(first) || is_word(last) && is_word(after);
            !is_longer
        })
}

fn is_word(letter: Option<char>) -> bool {
    letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

fn read(path: &str) -> Source {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Source::new(path, &text)
}

fn gather(folder: &Path, ending: &str, paths: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a folder of the tree can be listed").path();
        let name = path.to_str().expect("paths of the tree are UTF-8");
        if path.is_dir() {
            if !name.ends_with("/target") {
                gather(&path, ending, paths);
            }
        } else if name.ends_with(ending) {
            paths.push(name.to_owned());
        }
    }
}

/// Replaces comments and the inside of literals by spaces, keeping lines and columns.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, code.chars().next_back());
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(blank_letter));
            rest = &rest[length..];
        }
    }
    code
}

fn blank_letter(letter: char) -> char {
    if letter == '\n' { '\n' } else { ' ' }
}

/// Length in bytes of the comment or literal that `rest` starts with; 0 when it starts with code.
fn literal_length(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_length(rest);
    }
    if rest.starts_with('"') {
        return quoted_length(rest, '"');
    }
    if rest.starts_with('r') && !is_word(before) {
        return raw_string_length(rest);
    }
    if rest.starts_with('\'') {
        return character_length(rest);
    }
    0
}

fn block_comment_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == quote {
            return at + 1;
        }
    }
    rest.len()
}

fn raw_string_length(rest: &str) -> usize {
    let hashes = rest[1..]
        .chars()
        .take_while(|&letter| letter == '#')
        .count();
    let start = 1 + hashes;
    if !rest[start..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    rest[start + 1..]
        .find(&end)
        .map_or(rest.len(), |at| start + 1 + at + end.len())
}

/// A character literal, or 0 for a lifetime.
fn character_length(rest: &str) -> usize {
    let mut letters = rest.chars().skip(1);
    match (letters.next(), letters.next()) {
        (Some('\\'), _) => quoted_length(rest, '\''),
        (Some(letter), Some('\'')) => letter.len_utf8() + 2,
        _ => 0,
    }
}

#[test]
fn comments_and_literals_are_blanked_and_code_is_kept() {
    let text = "let a = \"x // y\"; // std::fs\n\
        let b = '\"'; /* a /* b */ c */ let c: &'a str = r#\"q\"w\"#;";
    let code = blank(text);
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>().join(" "),
        "let a = ; let b = ; let c: &'a str = ;"
    );
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn a_word_is_found_only_whole() {
    let code = "unsafe fn a() {} forbid(unsafe_code) std::fs::read std::fsx";
    assert_eq!(words(code, "unsafe").count(), 1);
    assert_eq!(words(code, "std::fs").count(), 1);
}
