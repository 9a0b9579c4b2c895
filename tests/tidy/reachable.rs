//! Every file under `src` and `loadgen` is part of a crate: a file that no `mod` reaches is not even compiled.

use crate::source::{Finding, Source, demand_nothing, manifest_files, rust_files};

/// Modules whose seams stand in the tree before the module does; left alone until `lib.rs` declares them.
const LANDING: [&str; 4] = ["src/admin/", "src/runtime/", "src/shard/", "src/storage/"];

/// Files that a manifest names or that Cargo finds by itself.
fn roots(manifests: &[Source]) -> Vec<String> {
    let mut roots = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    for manifest in manifests {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        roots.push(format!("{folder}tests/"));
        let mut inside = false;
        for (_, line) in manifest.lines() {
            if line.starts_with('[') {
                inside = matches!(
                    line,
                    "[lib]" | "[[bin]]" | "[[test]]" | "[[bench]]" | "[[example]]"
                );
            }
            let path = line
                .strip_prefix("path = \"")
                .map(|rest| rest.trim_end_matches('"'));
            if let Some(path) = path.filter(|_| inside) {
                roots.push(format!("{folder}{path}"));
            }
        }
    }
    roots
}

/// Where the files of `mod NAME;` lines may lie.
fn children(source: &Source, is_root: bool) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let inside = if is_root || stem == "mod" {
        folder.to_owned()
    } else {
        format!("{folder}/{stem}")
    };
    let mut found = Vec::new();
    let mut path_attribute = None;
    for ((_, text), (_, code)) in source.lines().zip(source.code_lines()) {
        if let Some(rest) = text.trim_start().strip_prefix("#[path = \"") {
            path_attribute = rest.split('"').next().map(str::to_owned);
        }
        let Some(name) = declared_module(code) else {
            continue;
        };
        match path_attribute.take() {
            Some(path) => found.push(format!("{folder}/{path}")),
            None => {
                found.push(format!("{inside}/{name}.rs"));
                found.push(format!("{inside}/{name}/mod.rs"));
            }
        }
    }
    found
}

/// The name in `mod NAME;`, whatever its visibility.
fn declared_module(code: &str) -> Option<&str> {
    let statement = code.trim().strip_suffix(';')?;
    let (before, name) = statement.rsplit_once("mod ")?;
    let before = before.trim();
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

fn unreachable_files(sources: &[Source], roots: &[String]) -> Vec<Finding> {
    let mut reached: Vec<String> = roots.to_vec();
    let mut next = 0;
    while let Some(path) = reached.get(next).cloned() {
        let source = sources.iter().find(|source| source.path == path);
        for child in source.map_or(Vec::new(), |source| children(source, next < roots.len())) {
            if !reached.contains(&child) {
                reached.push(child);
            }
        }
        next += 1;
    }
    sources
        .iter()
        .filter(|source| source.is_in(&["src/", "loadgen/"]) && !reached.contains(&source.path))
        .filter(|source| !is_crate_test(source, &reached))
        .filter(|source| !is_landing(source, &reached))
        .map(|source| {
            let rule = "no `mod` reaches this file".to_owned();
            source.finding(1, rule, "declare it where it belongs, or delete it")
        })
        .collect()
}

/// Cargo makes a program of every file right in a crate's folder `tests`.
fn is_crate_test(source: &Source, reached: &[String]) -> bool {
    let folder = source.path.rfind('/').map_or("", |at| &source.path[..=at]);
    folder.ends_with("tests/") && reached.iter().any(|root| root == folder)
}

fn is_landing(source: &Source, reached: &[String]) -> bool {
    let is_declared = |folder: &str| reached.iter().any(|path| path.starts_with(folder));
    LANDING
        .iter()
        .any(|folder| source.path.starts_with(folder) && !is_declared(folder))
}

#[test]
fn every_file_is_reached_by_a_mod() {
    let roots = roots(&manifest_files());
    demand_nothing(&unreachable_files(rust_files(), &roots));
}

#[test]
fn a_file_that_no_mod_reaches_is_found() {
    let sources = [
        Source::new("src/lib.rs", "pub(crate) mod a;\n// mod lost;\n"),
        Source::new("src/a.rs", "#[path = \"a_tests.rs\"]\nmod tests;\nmod b;\n"),
        Source::new("src/a/b.rs", ""),
        Source::new("src/a_tests.rs", ""),
        Source::new("src/lost.rs", ""),
    ];
    let findings = unreachable_files(&sources, &["src/lib.rs".to_owned()]);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].file, "src/lost.rs");
}

#[test]
fn manifests_name_the_roots_of_their_crates() {
    let manifest = Source::new("src/raft/Cargo.toml", "[lib]\npath = \"lib.rs\"\n");
    assert!(roots(&[manifest]).contains(&"src/raft/lib.rs".to_owned()));
}
