//! What `inspect` says of directories that no server ever ran on, and of those that it refuses to look at.

use super::{Run, margay, text};
use margay::storage::manifest::{ManifestCopy, ManifestKind};
use margay::storage::node_manifest::{LogEntry, NodeManifest};
use margay::storage::segment::log_directory;
use margay::storage::{Disk, LogOptions, format_log};
use margay_simulation::disk::{DiskOptions, VirtualDisk};
use margay_types::Incarnation;
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const VERBS: [&str; 3] = ["manifest", "log", "verify"];

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build folder is writable")
}

fn inspect(verb: &str, data: &Path) -> Run {
    margay(&["inspect", verb, "--data", text(data)])
}

fn json(verb: &str, data: &Path) -> Value {
    let run = margay(&["inspect", verb, "--data", text(data), "-o", "json"]);
    serde_json::from_str(run.succeeds()).expect("JSON")
}

/// A formatted data directory inside a temporary one.
fn formatted(parent: &TempDir) -> PathBuf {
    let data = parent.path().join("n1");
    margay(&["format", "--data", text(&data)]).succeeds();
    data
}

/// Names, contents and times of change of everything below.
fn everything(below: &Path) -> Vec<(PathBuf, Vec<u8>, i64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).expect("it is ours") {
        let path = entry.expect("it is ours").path();
        let state = fs::metadata(&path).expect("it is ours");
        let bytes = if state.is_dir() {
            found.extend(everything(&path));
            Vec::new()
        } else {
            fs::read(&path).expect("it is ours")
        };
        found.push((path, bytes, state.mtime(), state.mtime_nsec()));
    }
    found.sort();
    found
}

/// Two logs, as a node with two shards has them.
fn with_logs(parent: &TempDir, ids: &[u32]) -> PathBuf {
    let data = formatted(parent);
    let logs = ids.iter().map(|id| LogEntry {
        id: *id,
        placement_epoch: 0,
    });
    let manifest = NodeManifest {
        logs: logs.collect(),
        shard_count: u16::try_from(ids.len()).expect("a few"),
        ..NodeManifest::blank(Incarnation::new([7; 16]))
    };
    let copy = ManifestCopy {
        counter: 2,
        body: manifest.encode(),
    };
    for name in ["manifest.a", "manifest.b"] {
        fs::write(data.join(name), copy.encode(ManifestKind::Node)).expect("it is ours");
    }
    for id in ids {
        write_log(&data, *id);
    }
    data
}

/// A log that was made and never written to.
fn write_log(data: &Path, id: u32) {
    let disk = VirtualDisk::new(DiskOptions::default());
    let (made, directory) = (
        log_directory(Path::new("data"), id),
        log_directory(data, id),
    );
    let making = async {
        disk.create_directory(Path::new("data")).await?;
        disk.create_directory(&made).await
    };
    disk.run(making).expect("an empty disk");
    let options = LogOptions::small();
    disk.run(format_log(&disk, &made, id, &options))
        .expect("there is room");
    fs::create_dir(&directory).expect("it is ours");
    for name in disk.run(disk.list(&made)).expect("it was made") {
        let bytes = disk.bytes(&made.join(&name)).expect("it is listed");
        fs::write(directory.join(name), bytes).expect("it is ours");
    }
}

#[test]
fn a_blank_node_is_shown_as_one() {
    let parent = directory();
    let data = formatted(&parent);
    let manifest = json("manifest", &data);
    assert_eq!(manifest["schema"], 1);
    assert_eq!(manifest["manifest"]["agree"], true);
    assert_eq!(manifest["node"]["cluster"], Value::Null);
    assert_eq!(manifest["node"]["process_life"], Value::Null);
    let log = json("log", &data);
    assert_eq!(log["logs"], Value::Array(Vec::new()));
    let verify = json("verify", &data);
    assert_eq!(verify["is_clean"], true);
    assert_eq!(verify["start"]["outcome"], "waits_for_bootstrap");
    for verb in VERBS {
        let run = inspect(verb, &data);
        assert!(run.succeeds().contains("no log yet"), "{run:?}");
    }
}

#[test]
fn looking_changes_no_byte_and_no_time() {
    let parent = directory();
    let data = with_logs(&parent, &[0, 1]);
    fs::write(data.join("manifest.b"), "scrambled").expect("it is ours");
    fs::write(data.join("log-1/manifest.a"), "scrambled").expect("it is ours");
    let before = everything(parent.path());
    for verb in VERBS {
        inspect(verb, &data).succeeds();
        json(verb, &data);
        assert!(before == everything(parent.path()), "`{verb}` wrote");
    }
}

#[test]
fn every_log_that_the_node_lists_is_walked_and_others_are_named() {
    let parent = directory();
    let data = with_logs(&parent, &[0, 1, 5]);
    fs::create_dir(data.join("log-9")).expect("it is ours");
    for verb in VERBS {
        let report = json(verb, &data);
        let logs = report["logs"].as_array().expect("a list").iter();
        let ids: Vec<u64> = logs.filter_map(|log| log["log"].as_u64()).collect();
        assert_eq!(ids, [0, 1, 5], "{verb}");
        let table = inspect(verb, &data);
        assert!(table.succeeds().contains("log 9 is there"), "{table:?}");
    }
    let verify = json("verify", &data);
    assert_eq!(verify["unlisted_logs"][0], 9);
    assert_eq!(verify["logs"][2]["segments"][0]["state"], "spare");
}

#[test]
fn what_is_not_a_node_is_refused_and_nothing_is_made() {
    let parent = directory();
    let missing = parent.path().join("n1");
    let file = parent.path().join("file");
    fs::write(&file, "").expect("it is ours");
    for verb in VERBS {
        inspect(verb, &missing).fails_with(3, &["M111", text(&missing), "not exist", "  do  "]);
        inspect(verb, parent.path()).fails_with(3, &["M111", "manifest.a", "  do  "]);
        inspect(verb, &file).fails_with(3, &["M119", text(&file), "  do  "]);
        margay(&["inspect", verb]).fails_with(3, &["M125", "data"]);
        assert!(!missing.exists());
    }
}

#[test]
fn a_foreign_file_is_named() {
    let parent = directory();
    let data = formatted(&parent);
    fs::write(data.join("core.17"), "").expect("it is ours");
    for verb in VERBS {
        inspect(verb, &data).fails_with(20, &["M112", "core.17", "  do  "]);
    }
}

/// Nobody shall be told to move the segments out of there.
#[test]
fn the_folder_of_one_log_is_not_taken_for_a_node() {
    let parent = directory();
    let data = with_logs(&parent, &[0]);
    for verb in VERBS {
        let above = format!("--data {}", text(&data));
        inspect(verb, &data.join("log-0")).fails_with(3, &["M111", "one log", &above]);
    }
}

#[test]
fn a_directory_in_use_is_refused_and_the_lock_stays_where_it_is() {
    let parent = directory();
    let data = formatted(&parent);
    let lock = File::open(data.join("lock")).expect("format left it");
    lock.try_lock().expect("nobody else holds it");
    let own = std::process::id().to_string();
    for verb in VERBS {
        inspect(verb, &data).fails_with(20, &["M110", &own, "margay status"]);
    }
    drop(lock);
    for verb in VERBS {
        inspect(verb, &data).succeeds();
    }
}

/// The file alone says nothing: it stays when its server ends.
#[test]
fn a_lock_file_that_nobody_holds_does_not_stand_in_the_way() {
    let parent = directory();
    let data = formatted(&parent);
    fs::write(data.join("lock"), "1\n").expect("it is ours");
    inspect("verify", &data).succeeds();
    fs::remove_file(data.join("lock")).expect("it is ours");
    inspect("verify", &data).succeeds();
    assert!(!data.join("lock").exists(), "none was made");
}

#[test]
fn one_bad_copy_of_a_manifest_is_told_and_two_are_damage() {
    let parent = directory();
    let data = with_logs(&parent, &[0]);
    for (folder, code) in [(data.join("log-0"), "M119"), (data.clone(), "M118")] {
        let good = fs::read(folder.join("manifest.a")).expect("it is there");
        fs::write(folder.join("manifest.a"), "scrambled").expect("it is ours");
        let table = inspect("manifest", &data);
        assert!(
            table
                .succeeds()
                .contains("manifest.a  -       -        damaged")
        );
        assert!(inspect("verify", &data).succeeds().contains("counts"));
        inspect("log", &data).succeeds();
        fs::write(folder.join("manifest.b"), &good[..40]).expect("it is ours");
        inspect("manifest", &data).fails_with(10, &[code, text(&folder), "  do  "]);
        let verify = inspect("verify", &data);
        verify.fails_with(10, &[]);
        assert!(verify.stdout.contains("a start refuses"), "{verify:?}");
        for name in ["manifest.a", "manifest.b"] {
            fs::write(folder.join(name), &good).expect("it is ours");
        }
    }
    inspect("verify", &data).succeeds();
}

/// Without the node's manifest nobody knows which logs count, so all that are there are shown.
#[test]
fn logs_are_shown_without_the_manifest_of_the_node() {
    let parent = directory();
    let data = with_logs(&parent, &[0, 1]);
    for name in ["manifest.a", "manifest.b"] {
        fs::write(data.join(name), "scrambled").expect("it is ours");
    }
    let log = inspect("log", &data);
    let text = log.succeeds();
    assert!(text.contains("log 0 ") && text.contains("log 1 "), "{text}");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let parent = directory();
    let data = with_logs(&parent, &[0]);
    for folder in [data.join("log-0"), data.clone()] {
        let path = folder.join("manifest.b");
        let mut bytes = fs::read(&path).expect("it is there");
        // The frame is the same in every format: checksum at 8, format at 12, length at 24, body from 32.
        bytes[12..14].copy_from_slice(&9_u16.to_le_bytes());
        let length = u32::from_le_bytes(bytes[24..28].try_into().expect("4"));
        let end = 32 + usize::try_from(length).expect("it fits");
        let checksum = crc32c::crc32c(&bytes[12..end]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&path, bytes).expect("it is ours");
        for verb in VERBS {
            inspect(verb, &data).fails_with(3, &["M113", text(&folder), "9", "up to 1"]);
        }
    }
}

#[test]
fn a_missing_segment_is_damage_with_its_name() {
    let parent = directory();
    let data = with_logs(&parent, &[0]);
    fs::remove_file(data.join("log-0/00000002.segment")).expect("it is there");
    let verify = inspect("verify", &data);
    verify.fails_with(10, &[]);
    let words = "segment 00000002: the file is missing or short";
    assert!(verify.stdout.contains(words), "{verify:?}");
    let log = inspect("log", &data);
    assert!(
        log.succeeds().contains("00000002  1           missing"),
        "{log:?}"
    );
}

#[test]
fn a_range_that_is_empty_or_of_no_group_is_usage() {
    let parent = directory();
    let data = formatted(&parent);
    let reversed = [
        "inspect",
        "log",
        "--data",
        text(&data),
        "--group",
        "1",
        "--from",
        "9",
        "--to",
        "3",
    ];
    margay(&reversed).fails_with(2, &["--from 9 lies behind --to 3"]);
    let alone = ["inspect", "log", "--data", text(&data), "--from", "9"];
    margay(&alone).fails_with(2, &["--group"]);
}
