//! What `dev` refuses before it starts anything. What it does is told by `tests/cluster`.

use super::{margay, text};
use std::fs;
use std::net::TcpListener;
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build folder is writable")
}

#[test]
fn a_folder_of_somebody_else_is_refused_and_named() {
    let folder = directory();
    fs::write(folder.path().join("thesis.pdf"), "").expect("it is writable");
    let run = margay(&["dev", "--data", text(folder.path())]);
    run.fails_with(3, &["M115", "thesis.pdf", "  do  "]);
}

#[test]
fn a_folder_of_a_node_is_refused_with_the_verb_that_runs_it() {
    let folder = directory();
    let data = folder.path().join("n1");
    margay(&["format", "--data", text(&data)]).succeeds();
    margay(&["dev", "--data", text(&data)]).fails_with(3, &["M115", "manifest.a", "`run`"]);
}

#[test]
fn a_port_in_use_is_refused_and_the_folder_stays_free_for_another() {
    let folder = directory();
    let held = TcpListener::bind("127.0.0.1:0").expect("any free port");
    let address = held.local_addr().expect("it listens");
    let port = address.port().to_string();
    let data = folder.path().join("dev");
    // Above the last port that can be the first of a row, it is another refusal.
    if address.port() > u16::MAX - 7 {
        return;
    }
    let run = margay(&["dev", "--data", text(&data), "--port", &port]);
    run.fails_with(
        3,
        &[
            "M103",
            &address.to_string(),
            "n1",
            "in use",
            "margay dev --port",
        ],
    );
    assert!(!data.join("dev.json").exists(), "nothing was decided yet");
}

#[test]
fn a_folder_that_keeps_another_cluster_says_what_it_has() {
    let folder = directory();
    fs::write(
        folder.path().join("dev.json"),
        r#"{"schema":1,"ports":[9000,9001]}"#,
    )
    .expect("it is writable");
    let data = text(folder.path());
    let run = margay(&["dev", "--data", data, "-n", "3"]);
    run.fails_with(3, &["M123", "-n 3", "2 nodes", "leave -n out"]);
    let run = margay(&["dev", "--data", data, "--port", "7400"]);
    run.fails_with(3, &["M123", "--port 7400", "9000 9001"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let run = margay(&["dev", "--data", "/proc/margay-dev"]);
    run.fails_with(3, &["/proc/margay-dev"]);
}

#[test]
fn a_process_whose_parent_has_ended_does_not_begin() {
    // Process 1 is nobody's child that a test could start.
    let run = margay(&["--parent", "1", "config", "reference"]);
    run.fails_with(4, &["M162"]);
}
