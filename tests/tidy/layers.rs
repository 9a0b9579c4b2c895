//! Who may import whom.
//!
//! ```text
//!            command ──> client, runtime
//!            runtime ──> admin ──> shard ──> storage        arrows point down, never both ways
//!              shard ──> raft, machine, wire                `raft` and `machine` do not know each other
//!                raft, machine, wire, ... ──> types
//! ```
//!
//! A module is a folder or file right under `src`, or `loadgen`. Imports are seen as paths in the code
//! (`crate::shard`, `margay_raft`, `super::super::wire`) and as dependencies of manifests. A module that does
//! not exist yet breaks no rule.

use crate::source::{Finding, Source, demand_nothing, manifest_files, rust_files, words};

/// One row of the table.
struct Layer {
    module: &'static str,
    may_import: &'static [&'static str],
}

/// Where everything may be named: the table of contents, the binary, and what makes a node of all parts.
const ROOTS: [&str; 4] = ["lib", "main", "server", "service"];

/// What every module of the library may import: a code and an exit code stand in one place, so whoever notices a
/// situation names it there instead of copying its number. The module imports nothing, so no arrow can turn round.
const LEAVES: [&str; 1] = ["codes"];

/// The architecture's table. `types` holds ids without behaviour, so all may import it; its `lib.rs` says why.
const LAYERS: [Layer; 17] = [
    layer("types", &[]),
    layer("raft", &["types"]),
    layer("machine", &["types"]),
    layer("resources", &["machine", "types"]),
    layer("wire", &["raft", "types"]),
    layer("client", &["wire", "machine", "types"]),
    layer("limits", &["types"]),
    layer("codes", &[]),
    layer("config", &["limits", "types"]),
    layer("storage", &["raft", "limits", "types"]),
    layer(
        "shard",
        &["raft", "machine", "wire", "storage", "limits", "types"],
    ),
    // Group 0's machine lives in `admin`.
    layer("admin", &["shard", "wire", "machine", "limits", "types"]),
    // The trait's machines are handed through to the shards, so their names pass by.
    layer(
        "runtime",
        &[
            "shard", "storage", "wire", "admin", "machine", "config", "limits", "types",
        ],
    ),
    layer(
        "command",
        &[
            "client",
            "wire",
            "resources",
            "machine",
            "config",
            "admin",
            "runtime",
            "limits",
            "types",
        ],
    ),
    layer(
        "simulation",
        &[
            "margay",
            "raft",
            "machine",
            "resources",
            "wire",
            "client",
            "types",
        ],
    ),
    layer(
        "loadgen",
        &["client", "wire", "resources", "machine", "types"],
    ),
    layer(
        "doors",
        &["client", "wire", "resources", "machine", "types"],
    ),
];

/// A file, or a folder with a trailing `/`, that may import what its module may not.
struct Grant {
    file: &'static str,
    import: &'static str,
    reason: &'static str,
}

const GRANTS: [Grant; 4] = [
    Grant {
        file: "src/command/identity.rs",
        import: "storage",
        reason: "a manifest is written and read where no server runs",
    },
    Grant {
        file: "src/command/inspect/",
        import: "storage",
        reason: "shows the files of a node by the code that a start reads them with",
    },
    Grant {
        file: "src/command/run.rs",
        import: "storage",
        reason: "says who starts, by the manifest that was read",
    },
    Grant {
        file: "src/client/examples/first.rs",
        import: "resources",
        reason: "a first program needs a machine that every server has",
    },
];

const REMEDY: &str =
    "turn the arrow round or move the code to the module that may, see tests/tidy/layers.rs";

const fn layer(module: &'static str, may_import: &'static [&'static str]) -> Layer {
    Layer { module, may_import }
}

/// The module a file belongs to, if the table rules it.
fn module_of(path: &str) -> Option<&str> {
    if path.starts_with("loadgen/") {
        return Some("loadgen");
    }
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next().unwrap_or(inside);
    Some(name.strip_suffix(".rs").unwrap_or(name))
}

fn row(module: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.module == module)
}

fn may_import(path: &str, layer: &Layer, import: &str) -> bool {
    import == layer.module
        || layer.may_import.contains(&import)
        || LEAVES.contains(&import)
        || GRANTS
            .iter()
            .any(|grant| is_granted(grant.file, path) && grant.import == import)
}

/// Is `path` this file, or in this folder?
fn is_granted(file: &str, path: &str) -> bool {
    file == path || (file.ends_with('/') && path.starts_with(file))
}

/// Looks at the paths of one file.
fn imports_of_file(source: &Source) -> Vec<Finding> {
    let Some(module) = module_of(&source.path) else {
        return Vec::new();
    };
    if ROOTS.contains(&module) {
        return Vec::new();
    }
    let Some(layer) = row(module) else {
        let rule = format!("module `{module}` is not in the layer table");
        return vec![source.finding(1, rule, "give it a row in tests/tidy/layers.rs")];
    };
    imports(source)
        .into_iter()
        .filter(|(_, import)| !may_import(&source.path, layer, import))
        .map(|(line, import)| {
            let rule = format!("`{module}` may not import `{import}`");
            source.finding(line, rule, REMEDY)
        })
        .collect()
}

/// Modules named by a file, with the line of each.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, name) in crates_named(&source.code) {
        found.push((line_of(&source.code, at), name));
    }
    let inside_library = row_is_module(&source.path);
    for root in roots_named(source).filter(|_| inside_library) {
        for name in names_behind(&source.code[root..]) {
            if row(&name).is_some() || ROOTS.contains(&name.as_str()) {
                found.push((line_of(&source.code, root), name));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Is the file a module of the root package, so that `crate::` means the library?
fn row_is_module(path: &str) -> bool {
    const CRATES: [&str; 9] = [
        "types",
        "raft",
        "machine",
        "resources",
        "wire",
        "client",
        "simulation",
        "doors",
        "loadgen",
    ];
    module_of(path).is_some_and(|module| !CRATES.contains(&module))
}

/// `margay_raft` names `raft`; `margay` alone names the library.
fn crates_named(code: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = words(code, "margay")
        .filter(|&at| code[at..].starts_with("margay::"))
        .map(|at| (at, "margay".to_owned()))
        .collect();
    for (at, _) in code.match_indices("margay_") {
        let name = identifier(&code[at + "margay_".len()..]);
        if row(name).is_some() && words(&code[at..], &format!("margay_{name}")).next() == Some(0) {
            found.push((at, name.to_owned()));
        }
    }
    found
}

/// Places behind `crate::`, and behind as many `super::` as lead out of the module.
fn roots_named(source: &Source) -> impl Iterator<Item = usize> + '_ {
    let depth = source.path.matches('/').count() - usize::from(source.path.ends_with("/mod.rs"));
    let climb = "super::".repeat(depth.max(1));
    let direct = words(&source.code, "crate::").map(|at| at + "crate::".len());
    let climbed: Vec<usize> = source
        .code
        .match_indices(&climb)
        .map(|(at, _)| at + climb.len())
        .collect();
    direct.chain(climbed)
}

/// First names of a path: one, or those of a group in braces.
fn names_behind(rest: &str) -> Vec<String> {
    if !rest.starts_with('{') {
        return vec![identifier(rest).to_owned()];
    }
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for (at, letter) in rest.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (letter == '{' || letter == ',') {
            names.push(identifier(rest[at + 1..].trim_start()).to_owned());
        }
    }
    names
}

fn identifier(rest: &str) -> &str {
    let end = rest
        .find(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .unwrap_or(rest.len());
    &rest[..end]
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Looks at the `[dependencies]` of one crate; what only its tests use is its own affair.
fn imports_of_manifest(manifest: &Source) -> Vec<Finding> {
    let folder = manifest.path.trim_end_matches("Cargo.toml");
    let Some(layer) = module_of(folder).and_then(row) else {
        return Vec::new();
    };
    let mut inside = false;
    let mut findings = Vec::new();
    for (line, text) in manifest.lines() {
        if text.starts_with('[') {
            inside = text == "[dependencies]";
        }
        let name = text.split(['.', ' ', '=']).next().unwrap_or_default();
        let import = name.strip_prefix("margay-").unwrap_or(name);
        let is_ours = name == "margay" || row(import).is_some() && name != import;
        if inside && is_ours && !may_import(&manifest.path, layer, import) {
            let rule = format!("`{}` may not depend on `{name}`", layer.module);
            findings.push(manifest.finding(line, rule, REMEDY));
        }
    }
    findings
}

#[test]
fn modules_import_only_what_the_architecture_grants() {
    let mut findings: Vec<Finding> = rust_files().iter().flat_map(imports_of_file).collect();
    findings.extend(manifest_files().iter().flat_map(imports_of_manifest));
    demand_nothing(&findings);
}

#[test]
fn the_table_itself_has_no_cycle() {
    // A module's depth grows along every arrow; a cycle would never come to an end.
    for layer in &LAYERS {
        let mut reached: Vec<&str> = layer.may_import.to_vec();
        let mut next = 0;
        while let Some(&import) = reached.get(next) {
            assert_ne!(import, layer.module, "`{}` reaches itself", layer.module);
            for further in row(import).map_or(&[][..], |row| row.may_import) {
                if !reached.contains(further) {
                    reached.push(further);
                }
            }
            next += 1;
        }
    }
    assert!(GRANTS.iter().all(|grant| !grant.reason.is_empty()));
}

#[test]
fn an_import_against_the_arrows_is_found_however_it_is_written() {
    for text in [
        "use crate::runtime::Ring;",
        "use crate::{limits, runtime::Ring};",
        "fn f() { crate::runtime::go() }",
        "use super::super::runtime::Ring;",
        "use margay_client::Session;",
    ] {
        let findings = imports_of_file(&Source::new("src/storage/log.rs", text));
        assert_eq!(findings.len(), 1, "{text}: {findings:?}");
    }
    let folder = Source::new("src/storage/mod.rs", "use super::shard::Event;");
    assert_eq!(imports_of_file(&folder).len(), 1);
}

#[test]
fn an_import_along_the_arrows_is_left_alone() {
    let text =
        "use crate::limits::X; use super::block::B; use margay_raft::Term; // crate::runtime";
    assert_eq!(
        imports_of_file(&Source::new("src/storage/log.rs", text)),
        []
    );
    let own = Source::new("src/raft/role.rs", "use crate::storage::X;");
    assert_eq!(imports_of_file(&own), [], "a crate's own module");
}

#[test]
fn a_grant_holds_for_its_file_or_folder_and_nowhere_else() {
    let text = "use crate::storage::X;";
    let found = |path| imports_of_file(&Source::new(path, text)).len();
    assert_eq!(found("src/command/identity.rs"), 0);
    assert_eq!(found("src/command/inspect/verify.rs"), 0);
    assert_eq!(found("src/command/inspect.rs"), 1);
    assert_eq!(found("src/command/status.rs"), 1);
}

#[test]
fn a_leaf_may_be_imported_anywhere_and_imports_nothing() {
    let text = "use crate::codes::Code;";
    assert_eq!(
        imports_of_file(&Source::new("src/shard/health.rs", text)),
        []
    );
    for leaf in LEAVES {
        assert!(row(leaf).is_some_and(|layer| layer.may_import.is_empty()));
    }
}

#[test]
fn a_module_without_a_row_is_found() {
    assert_eq!(imports_of_file(&Source::new("src/utils/a.rs", "")).len(), 1);
}

#[test]
fn a_dependency_against_the_arrows_is_found() {
    let text =
        "[dependencies]\nmargay-machine.workspace = true\n[dev-dependencies]\nmargay-wire = 1";
    let findings = imports_of_manifest(&Source::new("src/raft/Cargo.toml", text));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].line, 2);
}
