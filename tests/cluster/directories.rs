//! A data directory that is taken from under a running node, or that refuses what a node needs: the node ends with the
//! place and the remedy, and what it had acknowledged is on the others.

use crate::harness::{Cluster, Load, Node, Shape, after, is_root, margay, name_spaces, skip, text};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The node ends by itself, says which code it was and where.
fn demand_end(node: &mut Node, exit: i32, words: &[&str]) {
    let ended = node.wait();
    let printed = node.printed();
    assert_eq!(ended.code(), Some(exit), "{printed}");
    for word in words.iter().chain(&["  do  "]) {
        assert!(printed.contains(word), "{word:?} is missing: {printed}");
    }
}

/// A start that must be refused: it is ended after a while, should it not be.
fn run(node: &Node) -> Output {
    let command = node.command();
    let mut bounded = Command::new("timeout");
    bounded.arg("30").arg(command.get_program());
    bounded.args(command.get_args());
    for (name, _) in command.get_envs() {
        bounded.env_remove(name);
    }
    bounded.output().expect("timeout is there")
}

fn demand(output: &Output, exit: i32, words: &[&str]) {
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{printed}");
    for word in words.iter().chain(&["  do  "]) {
        assert!(printed.contains(word), "{word:?} is missing: {printed}");
    }
}

/// What is done to a directory, and what the node misses first.
type Harm = (fn(&Path), &'static str);

const HARMS: [Harm; 4] = [
    (|data| fs::remove_dir_all(data).expect("it is ours"), "lock"),
    (
        |data| fs::rename(data, data.with_extension("moved")).expect("it is ours"),
        "lock",
    ),
    (
        |data| fs::remove_dir_all(data.join("log-0")).expect("it is ours"),
        "log-0",
    ),
    (
        |data| fs::remove_file(data.join("manifest.a")).expect("it is ours"),
        "manifest.a",
    ),
];

/// Look at the node: nobody writes to it, so nothing but a look at the directory tells it.
#[test]
fn a_directory_that_is_taken_from_a_running_node_ends_it_with_the_place() {
    let cluster = Cluster::blank(0);
    for (number, (harm, missing)) in HARMS.iter().enumerate() {
        let mut node = cluster.stranger(&format!("n{number}"));
        node.start();
        harm(node.data());
        let data = node.data().to_owned();
        let place = data.join(missing);
        demand_end(&mut node, 22, &["M203", text(&data), text(&place)]);
    }
}

/// Look at the load: everything acknowledged is there, although one of the nodes lost its directory under it, and a
/// start on what is left makes no member out of nothing.
#[test]
fn a_member_whose_directory_is_deleted_stops_and_the_others_have_everything() {
    let mut cluster = Cluster::with_groups(2);
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(200);
    let group = cluster.groups()[0];
    let leader = cluster.leader(group);
    let node = &mut cluster.nodes[leader];
    let data = node.data().to_owned();
    fs::remove_dir_all(&data).expect("it is ours");
    demand_end(node, 22, &["M203", text(&data)]);
    demand(&run(node), 3, &["M111", text(node.data())]);
    assert_ne!(cluster.leader(group), leader);
    load.advance(200);
    load.finish();
    let lost = cluster.nodes.remove(leader);
    drop(lost);
    cluster.finish();
}

/// The lock is what keeps a second process out: a node without it must not go on.
#[test]
fn a_second_process_cannot_have_the_directory_for_long_when_the_lock_is_deleted() {
    let cluster = Cluster::blank(0);
    let mut first = cluster.stranger("n1");
    first.start();
    fs::remove_file(first.data().join("lock")).expect("it is ours");
    demand_end(&mut first, 22, &["M203", "lock"]);
    first.start();
    assert!(first.stop().success());
}

/// A log that was deleted while the node was down is named, and no new one is made in its place.
#[test]
fn a_log_that_is_missing_at_the_start_is_named() {
    let mut cluster = Cluster::with_groups(1);
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(50);
    let node = &mut cluster.nodes[1];
    assert!(node.stop().success());
    let log = node.data().join("log-0");
    fs::remove_dir_all(&log).expect("it is ours");
    for _ in 0..2 {
        demand(&run(node), 3, &["M119", text(&log)]);
    }
    assert!(!log.exists(), "no log was made in its place");
    load.advance(50);
    load.finish();
    cluster.nodes.remove(1);
    cluster.finish();
}

/// Words in front of a program that make it somebody else's.
fn as_nobody() -> Vec<String> {
    let words = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
    ];
    words.map(str::to_owned).to_vec()
}

fn give_away(path: &Path) {
    chown(path, Some(65534), Some(65534)).expect("we are root");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("it is ours") {
            give_away(&entry.expect("it is ours").path());
        }
    }
}

/// Files and folders that a start opens, and what it names when one is refused.
fn opened_by_a_start(data: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut places = vec![
        // No new file may be made, as by a mount option or a copy with the wrong owner.
        (data.to_owned(), data.join("probe")),
        (data.join("lock"), data.to_owned()),
    ];
    let named = [
        "manifest.a",
        "manifest.b",
        "log-0/manifest.a",
        "log-0/manifest.b",
        "log-0/00000001.segment",
        "log-0/00000004.segment",
    ];
    places.extend(named.map(|name| (data.join(name), data.join(name))));
    for (place, _) in &places {
        assert!(place.exists(), "{} is not there", place.display());
    }
    places
}

/// Look at the code and the path: what is refused is a file or a folder, and says nothing about the device or about
/// direct I/O.
#[test]
fn a_directory_that_refuses_a_file_is_told_from_a_bad_device() {
    if !is_root() {
        skip("becoming another user takes root");
        return;
    }
    let cluster = Cluster::blank(0);
    fs::set_permissions(cluster.directory(), Permissions::from_mode(0o755)).expect("it is ours");
    let mut node = cluster.stranger("n1");
    give_away(node.data());
    node.start_through(as_nobody());
    node.start();
    assert!(node.stop().success());
    let data = node.data().to_owned();
    let mut places = opened_by_a_start(&data);
    places.push((data.join("log-0"), data.join("log-0")));
    for (refused, named) in places {
        let before = fs::metadata(&refused).expect("it is there").permissions();
        let mode = if refused == data { 0o555 } else { 0o000 };
        fs::set_permissions(&refused, Permissions::from_mode(mode)).expect("we are root");
        let output = run(&node);
        fs::set_permissions(&refused, before).expect("we are root");
        demand(&output, 3, &["M116", text(&named), "65534"]);
    }
    node.start();
    assert!(node.stop().success());
}

/// Look at the code and the path, again: one file that nobody may write is neither missing nor damaged.
#[test]
fn a_file_that_is_read_only_is_told_from_a_bad_device() {
    let cluster = Cluster::blank(0);
    let mut node = cluster.stranger("n1");
    node.start();
    assert!(node.stop().success());
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    // The folder itself is seen to by the test of a whole file system.
    let files = opened_by_a_start(node.data()).into_iter().skip(1);
    for (refused, named) in files {
        let Some(mut words) = name_spaces(&["--mount"]) else {
            return;
        };
        words.extend(after(mount, text(&refused)));
        node.start_through(words);
        demand(&run(&node), 3, &["M117", text(&named), "for writing"]);
    }
    node.start_through(Vec::new());
    node.start();
    assert!(node.stop().success());
}

/// A node on a file system of its own, on a loop device, which turns read-only at its first error. What is mounted is
/// seen by the node alone, and goes with it.
fn node_on_its_own_device(cluster: &Cluster) -> Option<Node> {
    if !is_root() {
        skip("a file system on a loop device takes root");
        return None;
    }
    let (image, mounted) = (
        cluster.directory().join("image"),
        cluster.directory().join("m"),
    );
    fs::create_dir(&mounted).expect("it is ours");
    let made = Command::new("sh")
        .args(["-c", "truncate -s 256M \"$0\" && mkfs.ext4 -q \"$0\""])
        .arg(&image)
        .status();
    let mut node = Node::on(&mounted, "n1", &["log.segment_bytes=8388608"]);
    let (image, margay) = (text(&image), env!("CARGO_BIN_EXE_margay"));
    let shell = format!(
        "mount -o loop,errors=remount-ro {image} {} && {margay} format --data \"$0\"",
        text(&mounted)
    );
    let mut words = name_spaces(&["--mount"])?;
    words.extend(after(&shell, text(node.data())));
    node.start_through(words);
    if !made.is_ok_and(|made| made.success()) {
        skip("mkfs.ext4 makes no file system here");
        return None;
    }
    Some(node)
}

/// Tells the file system below a node that it has found an error.
fn break_file_system(node: &Node) {
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", node.process()));
    let mounts = mounts.expect("it runs");
    let line = mounts
        .lines()
        .find(|line| line.contains("errors=remount-ro"));
    let device = line.and_then(|line| line.strip_prefix("/dev/")?.split(' ').next());
    let device = device.expect("it is mounted");
    let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
    fs::write(trigger, "a test").expect("the kernel takes it");
}

/// The kernel takes a file system away from a running node: the next write fails, and nothing is promised on it.
#[test]
fn a_file_system_that_turns_read_only_under_a_running_node_ends_it_with_the_place() {
    let cluster = Cluster::blank(0);
    let Some(mut node) = node_on_its_own_device(&cluster) else {
        return;
    };
    node.start();
    break_file_system(&node);
    let mut bootstrap = margay(&["bootstrap", "--name", "prod", "--nodes", &node.address()]);
    let told = bootstrap.args(["--timeout", "2s"]).output();
    let told = told.expect("the binary was built");
    assert!(!told.status.success(), "{told:?}");
    let place = node.data().to_owned();
    demand_end(&mut node, 22, &["M201", text(&place), "Read-only"]);
}
