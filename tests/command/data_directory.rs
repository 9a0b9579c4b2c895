//! What `format` makes, and what `format` and `run` refuse.

use super::{Run, margay, text};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory on a disk: the build's own folder, because `/tmp` may be memory.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build folder is writable")
}

fn format(data: &Path) -> Run {
    margay(&["format", "--data", text(data)])
}

/// Runs a node whose port is in use: when nothing else is refused, that is.
fn run(data: &Path) -> Run {
    let held = TcpListener::bind("127.0.0.1:0").expect("any free port");
    let listen = format!("listen={}", held.local_addr().expect("it listens"));
    margay(&["run", "--data", text(data), "--set", &listen])
}

/// A formatted data directory inside a temporary one.
fn formatted(parent: &TempDir) -> PathBuf {
    let data = parent.path().join("n1");
    format(&data).succeeds();
    data
}

#[test]
fn format_makes_the_directory_and_says_who_the_node_is() {
    let parent = directory();
    let data = parent.path().join("deep/n1");
    let run = margay(&["format", "--data", text(&data), "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(run.succeeds()).expect("JSON");
    assert_eq!(report["schema"], 1);
    assert_eq!(report["directory"], text(&data));
    let incarnation = report["incarnation"].as_str().expect("text");
    assert_eq!(incarnation.len(), 9, "{incarnation}");
    assert_eq!(
        fs::read(data.join("manifest.a")).expect("it was made"),
        fs::read(data.join("manifest.b")).expect("it was made"),
    );
}

#[test]
fn two_nodes_are_never_the_same() {
    let (one, two) = (directory(), directory());
    let (one, two) = (formatted(&one), formatted(&two));
    assert_ne!(
        fs::read(one.join("manifest.a")).expect("it was made"),
        fs::read(two.join("manifest.a")).expect("it was made"),
    );
}

#[test]
fn format_refuses_what_is_not_empty_and_names_what_is_in_it() {
    let parent = directory();
    fs::write(parent.path().join("thesis.pdf"), "").expect("it is writable");
    format(parent.path()).fails_with(3, &["M115", "thesis.pdf", "  do  "]);
    assert!(!parent.path().join("lock").exists(), "it was left alone");
}

#[test]
fn format_refuses_a_node_and_says_how_to_start_it() {
    let parent = directory();
    format(&formatted(&parent)).fails_with(3, &["M115", "manifest.a", "`run`"]);
}

#[test]
fn run_refuses_what_is_not_there_or_not_formatted() {
    let parent = directory();
    run(&parent.path().join("n1")).fails_with(3, &["M111", "margay format --data"]);
    run(parent.path()).fails_with(3, &["M111", "margay format --data"]);
}

#[test]
fn run_refuses_a_foreign_file_by_name() {
    let parent = directory();
    let data = formatted(&parent);
    fs::write(data.join("core.17"), "").expect("it is writable");
    run(&data).fails_with(20, &["M112", "core.17"]);
}

#[test]
fn run_goes_on_where_a_start_was_interrupted_while_it_tried_the_disk() {
    let parent = directory();
    let data = formatted(&parent);
    fs::write(data.join("probe"), "").expect("it is writable");
    run(&data).fails_with(3, &["M103", "port is in use"]);
    assert!(
        !data.join("probe").exists(),
        "it was written over, and removed"
    );
}

#[test]
fn run_refuses_a_locked_directory_and_names_the_process() {
    let parent = directory();
    let data = formatted(&parent);
    let lock = fs::File::open(data.join("lock")).expect("format left it");
    lock.try_lock().expect("nobody else holds it");
    fs::write(data.join("lock"), "4711\n").expect("it is writable");
    run(&data).fails_with(20, &["M110", "4711"]);
}

#[test]
fn run_refuses_a_newer_format_and_names_both_versions() {
    let parent = directory();
    let data = formatted(&parent);
    for name in ["manifest.a", "manifest.b"] {
        let mut bytes = fs::read(data.join(name)).expect("format made it");
        // The frame is the same in every format: checksum at 8, format at 12, length at 24, body from 32.
        bytes[12..14].copy_from_slice(&9_u16.to_le_bytes());
        let length = usize::try_from(u32::from_le_bytes(bytes[24..28].try_into().expect("4")));
        let end = 32 + length.expect("it fits");
        let checksum = crc32c::crc32c(&bytes[12..end]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        fs::write(data.join(name), bytes).expect("it is writable");
    }
    run(&data).fails_with(3, &["M113", "9", "up to 1"]);
}

#[test]
fn run_refuses_a_port_in_use_and_gives_the_lock_back() {
    let parent = directory();
    let data = formatted(&parent);
    run(&data).fails_with(3, &["M103", "127.0.0.1:", "port is in use"]);
    run(&data).fails_with(3, &["M103"]);
}

#[test]
fn run_goes_on_with_one_good_manifest_and_refuses_two_bad_ones() {
    let parent = directory();
    let data = formatted(&parent);
    fs::write(data.join("manifest.a"), "scrambled").expect("it is writable");
    run(&data).fails_with(3, &["M103", "port is in use"]);
    fs::write(data.join("manifest.b"), "scrambled").expect("it is writable");
    run(&data).fails_with(21, &["M118", "manifest"]);
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    if rustix::process::geteuid().is_root() {
        // Root may do everything, so there is nothing to see.
        return;
    }
    let parent = directory();
    let data = formatted(&parent);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o000)).expect("it is ours");
    let refused = run(&data);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("it is ours");
    refused.fails_with(3, &["M116"]);
}
