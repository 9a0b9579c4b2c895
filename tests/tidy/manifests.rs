//! What stands in a `Cargo.toml`: every dependency has its reason, and the pure crates stay pure.

use crate::source::{Finding, Source, demand_nothing, manifest_files, rust_files};

/// Crates whose determinism the compiler guards: nothing in them can name a clock, a thread or a socket.
const PURE_CRATES: [&str; 4] = ["types", "raft", "machine", "resources"];

/// Packages that would bring back what `no_std` keeps out.
const IMPURE_PACKAGES: [&str; 10] = [
    "anyhow",
    "crossbeam",
    "getrandom",
    "glommio",
    "io-uring",
    "rand",
    "rustix",
    "tokio",
    "tracing",
    "tempfile",
];

fn name_of(line: &str) -> Option<&str> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let end = line.find(|letter| !is_name(letter))?;
    (end > 0 && line.contains('=')).then(|| &line[..end])
}

/// A dependency's reason stands in a comment right above it. It stands once: a crate that takes a dependency
/// from the workspace needs no second one, nor do our own crates, nor the packages of one family (`tracing`,
/// `tracing-subscriber`) behind the first.
fn reasons(manifest: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    let mut has_reason = false;
    let mut family = String::new();
    for (line, text) in manifest.lines() {
        if text.starts_with('[') {
            inside = text.trim_end_matches(']').ends_with("dependencies");
        }
        if text.starts_with('#') {
            has_reason = true;
            continue;
        }
        let Some(name) = name_of(text).filter(|_| inside) else {
            has_reason = false;
            continue;
        };
        let is_elsewhere = text.contains("workspace = true") || text.contains("path = ");
        let is_family = name.starts_with(&format!("{family}-"));
        if has_reason {
            family = name.to_owned();
        } else if !is_elsewhere && !is_family {
            let rule = format!("dependency `{name}` has no reason");
            findings.push(manifest.finding(line, rule, "say why in a comment right above it"));
        }
        has_reason = false;
    }
    findings
}

fn is_pure(path: &str, file: &str) -> bool {
    PURE_CRATES
        .iter()
        .any(|name| path == format!("src/{name}/{file}"))
}

/// A pure crate is `no_std`; one that is still empty proves nothing.
fn no_std(source: &Source) -> Vec<Finding> {
    let is_empty = source.code.trim().is_empty();
    if !is_pure(&source.path, "lib.rs") || is_empty || source.code.contains("#![no_std]") {
        return Vec::new();
    }
    let rule = "a pure crate is `#![no_std]`".to_owned();
    vec![source.finding(
        1,
        rule,
        "make time, threads and files an input or an effect",
    )]
}

/// Where a pure crate may name the standard library in production, and why.
const STD_FILES: [(&str, &str); 1] = [(
    "src/machine/guard.rs",
    "catching the panic of a machine needs it; behind the feature `std`",
)];

/// The standard library comes back for tests only.
fn no_extern_std(source: &Source) -> Vec<Finding> {
    let is_named = STD_FILES.iter().any(|(path, _)| *path == source.path);
    let is_pure_folder = !is_named
        && PURE_CRATES
            .iter()
            .any(|name| source.path.starts_with(&format!("src/{name}/")));
    let mut findings = Vec::new();
    let mut before = "";
    for (line, code) in source.code_lines() {
        let is_guarded = before.trim_start().starts_with("#[cfg(");
        if is_pure_folder && code.contains("extern crate std") && !is_guarded {
            let rule = "a pure crate takes the standard library for tests only".to_owned();
            findings.push(source.finding(line, rule, "put `#[cfg(test)]` above it"));
        }
        before = code;
    }
    findings
}

fn pure_dependencies(manifest: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    for (line, text) in manifest.lines() {
        if text.starts_with('[') {
            inside = text == "[dependencies]";
        }
        let name = name_of(text).unwrap_or_default();
        let is_impure = IMPURE_PACKAGES.contains(&name);
        if inside && is_impure && is_pure(&manifest.path, "Cargo.toml") {
            let rule = format!("a pure crate may not depend on `{name}`");
            findings.push(manifest.finding(line, rule, "make it an input or an effect"));
        }
    }
    findings
}

#[test]
fn every_dependency_has_its_reason() {
    let findings: Vec<Finding> = manifest_files().iter().flat_map(reasons).collect();
    demand_nothing(&findings);
}

#[test]
fn the_pure_crates_are_pure() {
    let sources = rust_files();
    let mut findings: Vec<Finding> = sources.iter().flat_map(no_std).collect();
    findings.extend(sources.iter().flat_map(no_extern_std));
    findings.extend(manifest_files().iter().flat_map(pure_dependencies));
    demand_nothing(&findings);
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let text = "[dependencies]\n# Why.\na = \"1\"\na-b = \"1\"\nc = \"1\"\nd.workspace = true\n";
    let findings = reasons(&Source::new("Cargo.toml", text));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].line, 5);
}

#[test]
fn a_pure_crate_with_the_standard_library_is_found() {
    let bare = Source::new("src/raft/lib.rs", "//! About.\npub mod role;\n");
    assert_eq!(no_std(&bare).len(), 1);
    let loud = Source::new("src/raft/role.rs", "extern crate std;\n");
    assert_eq!(no_extern_std(&loud).len(), 1);
    let guarded = Source::new("src/raft/role.rs", "#[cfg(test)]\nextern crate std;\n");
    assert_eq!(no_extern_std(&guarded), []);
}

#[test]
fn a_pure_crate_with_an_impure_dependency_is_found() {
    let text = "[dependencies]\nrand = \"1\"\n";
    let manifest = Source::new("src/raft/Cargo.toml", text);
    assert_eq!(pure_dependencies(&manifest).len(), 1);
}
