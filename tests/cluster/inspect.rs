//! The files of nodes that real servers wrote, looked at while these do not run: whole, torn and damaged.

use crate::harness::is_root;
use crate::harness::{Cluster, Load, Node, Shape, eventually, margay, replica, text};
use crate::refusals::{behind_mount, demand};
use margay_types::GroupId;
use serde_json::Value;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VERBS: [&str; 3] = ["manifest", "log", "verify"];

/// Large commands, so that segments fill and checkpoints are taken.
const LARGE: Shape = Shape {
    sessions_per_group: 4,
    in_flight: 8,
    command_bytes: 64 << 10,
};
/// Enough of them for more segments than a log keeps without a checkpoint.
const LARGE_COMMANDS: u64 = 64 * 16;

fn inspect(verb: &str, data: &Path, options: &[&str]) -> Output {
    let mut command = margay(&["inspect", verb, "--data", text(data)]);
    command
        .args(options)
        .output()
        .expect("the binary was built")
}

/// The report of a verb that ends with `exit`.
fn json(verb: &str, data: &Path, exit: i32) -> Value {
    let output = inspect(verb, data, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn table(verb: &str, data: &Path) -> String {
    let output = inspect(verb, data, &[]);
    String::from_utf8(output.stdout).expect("it prints text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// All batches of the one log of a node, in order.
fn batches(data: &Path) -> Vec<Value> {
    let report = json("log", data, 0);
    list(&report["logs"][0]["batches"]).to_vec()
}

/// All records of a group that have a kind, with the batch of each.
fn records<'a>(
    batches: &'a [Value],
    group: GroupId,
    kind: &'a str,
) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let all = batches.iter().flat_map(|batch| {
        let records = list(&batch["records"]).iter();
        records.map(move |record| (batch, record))
    });
    all.filter(move |(_, record)| record["group"] == group.number() && record["kind"] == kind)
}

/// Flips a bit of the byte at `offset` of a segment.
fn flip(data: &Path, segment: &Value, offset: u64) {
    let name = format!("log-0/{:08}.segment", number(segment));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(data.join(name));
    let file = file.expect("it is ours");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("it is there");
    file.write_all_at(&[byte[0] ^ 1], offset)
        .expect("it is ours");
}

/// Names, hashes and times of change of everything below.
fn everything(below: &Path) -> Vec<(PathBuf, u32, i64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).expect("it is ours") {
        let path = entry.expect("it is ours").path();
        let state = fs::metadata(&path).expect("it is ours");
        let hash = if state.is_dir() {
            found.extend(everything(&path));
            0
        } else {
            crc32c::crc32c(&fs::read(&path).expect("it is ours"))
        };
        found.push((path, hash, state.mtime(), state.mtime_nsec()));
    }
    found.sort();
    found
}

/// A cluster with a keyspace of one group that took some commands.
fn written() -> (Cluster, GroupId) {
    let cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(200);
    load.finish();
    (cluster, group)
}

#[test]
fn a_node_that_runs_is_refused_by_its_process_and_goes_on() {
    let cluster = Cluster::blank(1);
    let node = &cluster.nodes[0];
    let process = fs::read_to_string(node.data().join("lock")).expect("it holds it");
    for verb in VERBS {
        let refused = inspect(verb, node.data(), &[]);
        demand(&refused, 20, &["M110", process.trim(), "margay status"]);
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
    node.status().expect("it goes on");
}

/// Look at the end: the nodes go on with the same files as if nobody had looked.
#[test]
fn what_stopped_nodes_wrote_is_shown_and_nothing_of_it_changes() {
    let mut cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, LARGE);
    load.advance(LARGE_COMMANDS);
    load.finish();
    let data = cluster.nodes[0].data().to_owned();
    cluster.nodes[0].kill();
    let before = everything(&data);
    for verb in VERBS {
        assert!(inspect(verb, &data, &[]).status.success(), "{verb}");
        json(verb, &data, 0);
        assert!(everything(&data) == before, "`{verb}` wrote");
    }

    let manifest = json("manifest", &data, 0);
    assert_eq!(manifest["node"]["cluster_name"], "prod");
    assert_eq!(manifest["node"]["founders"], 3);
    assert!(list(&manifest["logs"][0]["segments"]).len() > 3);

    demand_log_in_order(&data, group);
    demand_clean_with_checkpoint(&data, group);
    cluster.nodes[0].start();
    cluster.finish();
}

/// Batches follow each other, and so do the entries of a group: without a truncation none is written twice.
fn demand_log_in_order(data: &Path, group: GroupId) {
    let batches = batches(data);
    let sequences: Vec<u64> = batches.iter().map(|it| number(&it["batch"])).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert!(batches.iter().all(|it| it["state"] != "damaged"));
    let commands: Vec<u64> = records(&batches, group, "command")
        .map(|(_, record)| number(&record["index"]))
        .collect();
    assert!(commands.is_sorted(), "{commands:?}");
    assert!(
        records(&batches, group, "checkpoint_pointer")
            .next()
            .is_some()
    );

    let [from, to] = [commands[2], commands[9]];
    let (id, first, last) = (group.to_string(), from.to_string(), to.to_string());
    let range = [
        "--group", &id, "--from", &first, "--to", &last, "-o", "json",
    ];
    let shown = inspect("log", data, &range);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let shown = list(&shown["logs"][0]["batches"]).iter();
    let shown = shown.flat_map(|batch| list(&batch["records"]).iter());
    let shown: Vec<&Value> = shown.collect();
    assert!(shown.len() >= 8, "{shown:?}");
    for record in shown {
        assert_eq!(record["group"], group.number());
        assert!((from..=to).contains(&number(&record["index"])), "{record}");
    }
}

fn demand_clean_with_checkpoint(data: &Path, group: GroupId) {
    let verify = json("verify", data, 0);
    assert_eq!(verify["is_clean"], true);
    assert_eq!(verify["start"]["outcome"], "goes_on");
    let log = &verify["logs"][0];
    assert_eq!(list(&log["damage"]).len(), 0);
    let mut groups = list(&log["groups"]).iter();
    let found = groups.find(|found| found["group"] == group.number());
    let found = found.expect("it lives here");
    assert_eq!(found["serves"], true);
    assert_eq!(found["checkpoint"]["is_intact"], true);
    assert!(number(&found["last_index"]) >= number(&found["checkpoint"]["index"]));
}

#[test]
fn a_flipped_byte_in_the_middle_is_named_and_a_start_says_the_same() {
    let (mut cluster, group) = written();
    let data = cluster.nodes[1].data().to_owned();
    cluster.nodes[1].kill();
    let whole = batches(&data);
    let commands: Vec<_> = records(&whole, group, "command").collect();
    let (batch, record) = commands[commands.len() / 2];
    // Behind the record's header stands its payload.
    flip(&data, &batch["segment"], number(&record["offset"]) + 40);

    let verify = json("verify", &data, 10);
    assert_eq!(verify["start"]["outcome"], "goes_on_without_some");
    assert_eq!(verify["start"]["without"][0], group.number());
    let damage = list(&verify["logs"][0]["damage"]);
    assert_eq!(damage.len(), 1, "{damage:?}");
    for key in ["group", "index", "offset", "term"] {
        assert_eq!(damage[0][key], record[key], "{key}: {damage:?}");
    }
    assert_eq!(damage[0]["batch"], batch["batch"]);
    let index = number(&record["index"]);
    let named = format!("entry {index} of group {group} is damaged");
    for (verb, words) in [("verify", named.as_str()), ("log", "damaged")] {
        let printed = table(verb, &data);
        assert!(printed.contains(words), "{printed}");
    }

    cluster.nodes[1].start();
    eventually("a named replica", || {
        let status = cluster.nodes[1].status()?;
        let mut named = status.health.iter();
        let is_named = named.any(|it| it.code == 210 && it.group == Some(group));
        is_named.then_some(()).ok_or(format!("{:?}", status.health))
    });
}

/// Group 0 names the nodes; one that lost a record of it must find them all the same, or none of its other groups,
/// which lost nothing, would have a quorum when the next node fails.
#[test]
fn a_node_whose_group_0_is_damaged_goes_on_with_its_other_groups() {
    let (mut cluster, group) = written();
    let data = cluster.nodes[1].data().to_owned();
    cluster.nodes[1].kill();
    let whole = batches(&data);
    let (batch, record) = records(&whole, GroupId::SYSTEM, "command")
        .next()
        .expect("a keyspace was made");
    flip(&data, &batch["segment"], number(&record["offset"]) + 40);
    let verify = json("verify", &data, 10);
    assert_eq!(verify["start"]["without"][0], 0);

    cluster.nodes[1].start();
    eventually("a replica beside a damaged group 0", || {
        replica(&cluster.nodes[1], group).map(|_| ())
    });
    cluster.nodes[2].kill();
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(200);
    load.finish();
}

#[test]
fn a_torn_end_is_normal_and_a_start_goes_on_behind_it() {
    let (mut cluster, _) = written();
    let data = cluster.nodes[2].data().to_owned();
    cluster.nodes[2].kill();
    let whole = batches(&data);
    let last = whole.last().expect("it was written");
    // The first record, or the witness of a batch without any; its header has 96 bytes.
    flip(&data, &last["segment"], number(&last["offset"]) + 96 + 20);

    let verify = json("verify", &data, 0);
    assert_eq!(verify["is_clean"], true);
    assert_eq!(verify["logs"][0]["cut_batches"], 1);
    assert_eq!(verify["logs"][0]["next_batch"], last["batch"]);
    let printed = table("verify", &data);
    assert!(printed.contains("normal after a crash"), "{printed}");
    let torn = batches(&data);
    let torn = torn.last().expect("it is shown");
    assert_eq!(
        (&torn["state"], &torn["batch"]),
        (&Value::from("cut"), &last["batch"])
    );

    cluster.nodes[2].start();
    cluster.finish();
}

/// Nobody else has a copy, so a start changes nothing and refuses; whoever looks is told so before.
#[test]
fn damage_in_a_cluster_of_one_is_told_as_what_a_start_refuses() {
    let mut cluster = Cluster::blank(1);
    let address = cluster.nodes[0].address();
    cluster.succeeds(&["bootstrap", "--name", "solo", "--nodes", &address]);
    cluster.succeeds(&["keyspace", "create", "solo", "--machine", "bench"]);
    let data = cluster.nodes[0].data().to_owned();
    cluster.nodes[0].kill();
    let whole = batches(&data);
    let mut entries = records(&whole, GroupId::SYSTEM, "command");
    let (batch, record) = entries.next().expect("a keyspace was created");
    flip(&data, &batch["segment"], number(&record["offset"]) + 40);

    let verify = json("verify", &data, 10);
    assert_eq!(verify["start"]["outcome"], "refuses");
    let printed = table("verify", &data);
    assert!(printed.contains("nobody else has a copy"), "{printed}");
    let before = everything(&data.join("log-0"));
    let refused = cluster.nodes[0].command().output();
    let refused = refused.expect("setpriv is there");
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(before == everything(&data.join("log-0")), "the start wrote");
}

#[test]
fn a_read_only_file_system_is_looked_at_like_any_other() {
    let (mut cluster, _) = written();
    let data = cluster.nodes[0].data().to_owned();
    cluster.nodes[0].kill();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    for verb in VERBS {
        let arguments = ["inspect", verb, "--data", text(&data)];
        if let Some(output) = behind_mount(mount, &data, &arguments) {
            assert!(output.status.success(), "{output:?}");
        }
    }
    cluster.nodes[0].start();
    cluster.finish();
}

/// What may not be read is not lost.
#[test]
fn a_file_of_another_user_is_named_and_not_taken_for_damage() {
    if !is_root() {
        eprintln!("SKIPPED: becoming another user takes root");
        return;
    }
    let mut cluster = Cluster::blank(1);
    let data = cluster.nodes[0].data().to_owned();
    cluster.nodes[0].kill();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    };
    for open in ["", "log-0", "manifest.a", "manifest.b", "lock"] {
        mode(&data.join(open), 0o755);
    }
    mode(cluster.directory(), 0o755);
    for name in ["manifest.a", "manifest.b"] {
        mode(&data.join("log-0").join(name), 0o644);
    }
    let as_nobody = |verb: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.args([env!("CARGO_BIN_EXE_margay"), "inspect", verb, "--data"]);
        command.arg(&data).output().expect("setpriv is there")
    };
    for segment in fs::read_dir(data.join("log-0")).expect("it is ours") {
        mode(&segment.expect("it is ours").path(), 0o644);
    }
    for verb in VERBS {
        let output = as_nobody(verb);
        assert!(output.status.success(), "{output:?}");
    }
    let segment = data.join("log-0/00000002.segment");
    mode(&segment, 0o600);
    assert!(as_nobody("manifest").status.success());
    for verb in ["log", "verify"] {
        demand(&as_nobody(verb), 3, &["M116", text(&segment), "65534"]);
    }
    mode(&data.join("log-0"), 0o700);
    for verb in VERBS {
        demand(&as_nobody(verb), 3, &["M116", "log-0", "65534"]);
    }
    mode(&data, 0o700);
    for verb in VERBS {
        demand(&as_nobody(verb), 3, &["M116", text(&data), "65534"]);
    }
}

/// The lock is on the directory of the node, and says nothing about copies of it.
#[test]
fn a_copy_of_a_directory_is_looked_at_while_its_node_runs_again() {
    let (mut cluster, _) = written();
    let data = cluster.nodes[0].data().to_owned();
    cluster.nodes[0].kill();
    let copy = cluster.directory().join("copy");
    let copied = Command::new("cp").arg("-a").arg(&data).arg(&copy).status();
    assert!(copied.expect("it is there").success());
    cluster.nodes[0].start();
    assert_eq!(json("verify", &copy, 0)["is_clean"], true);
    demand_running(&cluster.nodes[0]);
    cluster.finish();
}

fn demand_running(node: &Node) {
    demand(&inspect("verify", node.data(), &[]), 20, &["M110"]);
}
