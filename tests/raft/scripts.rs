//! Plays every `scripts/*.txt`: commands, `---`, and the trace that must come out.
//!
//! The expected traces are what the rules demand. After a deliberate change of the trace's form, write them anew with
//! `UPDATE_GOLDENFILES=1 cargo test -p margay-raft --test protocol scripts` and read every difference.

use crate::stage::Stage;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/raft/scripts");
    let files = std::fs::read_dir(&folder).expect("the folder of scripts is part of the tree");
    let mut paths: Vec<PathBuf> = files
        .map(|file| file.expect("a readable folder").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "txt"));
    if let Ok(wanted) = std::env::var("MARGAY_SCRIPT") {
        paths.retain(|path| path.to_string_lossy().contains(&wanted));
    }
    paths.sort();
    paths
}

#[test]
fn every_script_gives_its_trace() {
    let mut failed = Vec::new();
    for path in scripts() {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let played = catch_unwind(AssertUnwindSafe(|| {
            goldenscript::run(&mut Stage::default(), &path)
        }));
        match played {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failed.push(format!("{name}: {error}")),
            Err(_) => failed.push(format!("{name}: see the panic above")),
        }
    }
    assert!(
        failed.is_empty(),
        "{} scripts failed; repeat one with MARGAY_SCRIPT=<name> cargo test -p margay-raft --test \
         protocol scripts\n{}",
        failed.len(),
        failed.join("\n")
    );
}
