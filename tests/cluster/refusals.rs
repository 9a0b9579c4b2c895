//! Hosts that are not fit, and operators who err: each is told what is wrong, where, and what to do.
//!
//! Mounts are made in a name space of the child's own, so that nothing of them stays. Where the host allows no mount,
//! or no other user, the test says so and passes.

use crate::harness::{Cluster, Node, after, is_root, margay, name_spaces, skip, text};
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Demands an exit code, and that what was printed has all of `words` and a remedy.
fn demand(output: &Output, exit: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stderr);
    for word in words.iter().chain(&["  do  "]) {
        assert!(printed.contains(word), "{word:?} is missing: {printed}");
    }
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    directory.expect("the build folder is writable")
}

/// A program with arguments, and what it ended with.
fn output(command: &mut Command) -> Output {
    command.output().expect("the program is there")
}

/// A run of the binary in a mount name space of its own, behind a mount.
fn behind_mount(mount: &str, directory: &Path, then: &[&str]) -> Option<Output> {
    let mut words = name_spaces(&["--mount"])?;
    words.extend(after(mount, text(directory)));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command.arg(env!("CARGO_BIN_EXE_margay")).args(then);
    Some(output(&mut command))
}

#[test]
fn a_file_system_without_direct_io_is_refused() {
    let directory = directory();
    let data = directory.path().join("n1");
    let arguments = ["format", "--data", text(&data)];
    let mount = "mount -t ramfs none \"$0\"";
    if let Some(refused) = behind_mount(mount, directory.path(), &arguments) {
        demand(&refused, 3, &["M102", text(&data), "ext4"]);
    }
}

#[test]
fn a_read_only_file_system_is_refused() {
    let directory = directory();
    let node = Node::format(directory.path(), "n1", &[]);
    let new = directory.path().join("n2");
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";
    for arguments in [
        ["format", "--data", text(&new)],
        ["run", "--data", text(node.data())],
    ] {
        if let Some(refused) = behind_mount(mount, directory.path(), &arguments) {
            demand(&refused, 3, &["M117", arguments[2], "for writing"]);
        }
    }
}

/// A directory that may not be entered is not called blank, and one that may be read is not used.
#[test]
fn a_directory_of_another_user_is_refused() {
    if !is_root() {
        skip("becoming another user takes root");
        return;
    }
    let directory = directory();
    let node = Node::format(directory.path(), "n1", &[]);
    let new = directory.path().join("n2");
    let as_nobody = |verb: &str, data: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.arg(env!("CARGO_BIN_EXE_margay"));
        output(command.args([verb, "--data", text(data)]))
    };
    for mode in [0o755, 0o700] {
        let mode = Permissions::from_mode(mode);
        fs::set_permissions(directory.path(), mode).expect("it is ours");
        demand(
            &as_nobody("format", &new),
            3,
            &["M116", text(&new), "65534"],
        );
        demand(
            &as_nobody("run", node.data()),
            3,
            &["M116", text(node.data()), "65534"],
        );
    }
}

#[test]
fn a_process_without_io_uring_is_told_so() {
    let directory = directory();
    let node = Node::format(directory.path(), "n1", &[]);
    let refused = super::sandbox::without_io_uring(node.command());
    demand(&refused, 23, &["M101", "seccomp"]);
}

#[test]
fn a_directory_in_use_is_refused_and_the_owner_goes_on() {
    let cluster = Cluster::blank(1);
    let node = &cluster.nodes[0];
    let arguments = [
        "run",
        "--data",
        text(node.data()),
        "--set",
        "listen=127.0.0.1:1",
    ];
    demand(
        &output(&mut margay(&arguments)),
        20,
        &["M110", text(node.data())],
    );
    node.status().expect("the owner goes on");
}

#[test]
fn a_port_in_use_is_refused_whoever_has_it() {
    let cluster = Cluster::blank(1);
    let other = cluster.stranger("n2");
    let program = TcpListener::bind("127.0.0.1:0").expect("any free port");
    let program = program.local_addr().map(|it| (program, it.to_string()));
    let (_held, program) = program.expect("it listens");
    for address in [program, cluster.nodes[0].address()] {
        let listen = format!("listen={address}");
        let arguments = ["run", "--data", text(other.data()), "--set", &listen];
        demand(
            &output(&mut margay(&arguments)),
            3,
            &["M103", &address, "in use"],
        );
    }
    cluster.nodes[0].status().expect("the other node goes on");
}

#[test]
fn a_bootstrap_is_safe_to_repeat_and_refuses_another_list() {
    let cluster = Cluster::with_groups(1);
    let nodes = cluster.endpoints();
    let again = ["bootstrap", "--name", "prod", "--nodes", &nodes.join(",")];
    let formed = cluster.succeeds(&again);
    let turned = [nodes[2].as_str(), &nodes[0], &nodes[1]].join(",");
    let order = cluster.succeeds(&["bootstrap", "--name", "prod", "--nodes", &turned]);
    let id = |text: &str| text.split_whitespace().nth(2).map(str::to_owned);
    assert_eq!(id(&formed), id(&order), "{formed} {order}");

    let other_name = ["bootstrap", "--name", "test", "--nodes", &nodes.join(",")];
    demand(
        &cluster.operator(&other_name),
        5,
        &["M150", &nodes[0], "prod"],
    );
    let fewer = nodes[..2].join(",");
    let other_list = ["bootstrap", "--name", "prod", "--nodes", &fewer];
    demand(
        &cluster.operator(&other_list),
        5,
        &["M150", &nodes[0], "prod"],
    );
    cluster.finish();
}

#[test]
fn a_bootstrap_that_meets_a_taken_or_missing_node_leaves_the_blank_ones_blank() {
    let cluster = Cluster::with_groups(1);
    let mut blank = cluster.stranger("n4");
    blank.start();
    let mixed = format!("{},{}", blank.address(), cluster.nodes[0].address());
    let taken = ["bootstrap", "--name", "other", "--nodes", &mixed];
    let refused = cluster.operator(&taken);
    demand(&refused, 5, &["M150", &cluster.nodes[0].address(), "prod"]);

    let gone = cluster.stranger("n5");
    let partly = format!("{},{}", blank.address(), gone.address());
    let mut missing = margay(&["bootstrap", "--name", "other", "--nodes", &partly]);
    missing.args(["--timeout", "300ms"]);
    let refused = output(&mut missing);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let printed = String::from_utf8_lossy(&refused.stderr);
    assert!(
        printed.contains("M141") && printed.contains(&gone.address()),
        "{printed}"
    );

    let alone = blank.address();
    cluster.succeeds(&["bootstrap", "--name", "other", "--nodes", &alone]);
    assert!(blank.stop().success());
    cluster.finish();
}
