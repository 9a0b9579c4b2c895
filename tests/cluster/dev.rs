//! A cluster in the foreground, from one command: it serves, it survives a node, and it leaves nothing behind.

use crate::harness::{Dev, eventually, margay, text};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The endpoints of a cluster, as one argument.
fn endpoints(ready: &Value) -> String {
    let endpoints = ready["endpoints"].as_array().expect("a list").iter();
    let endpoints: Vec<&str> = endpoints.map(|it| it.as_str().expect("text")).collect();
    endpoints.join(",")
}

/// Runs an operator's command against it.
fn operator(ready: &Value, arguments: &[&str]) -> Output {
    let mut command = margay(arguments);
    command.args(["-e", &endpoints(ready), "--timeout", "30s"]);
    command.output().expect("the binary was built")
}

fn processes(ready: &Value) -> Vec<Pid> {
    let nodes = ready["nodes"].as_array().expect("a list").iter();
    nodes
        .map(|node| {
            let process = node["process"].as_i64().expect("it runs");
            let process = i32::try_from(process).expect("a process has a small number");
            Pid::from_raw(process).expect("and not 0")
        })
        .collect()
}

fn demand_gone(processes: &[Pid]) {
    for process in processes {
        let path = PathBuf::from(format!("/proc/{}", process.as_raw_nonzero()));
        eventually("the end of a node", || {
            (!path.exists()).then_some(()).ok_or(&path)
        });
    }
}

/// Folders of `dev` that lie below a directory.
fn folders(directory: &Path) -> Vec<String> {
    let entries = directory.read_dir().expect("it is ours");
    let names = entries.map(|entry| entry.expect("it is ours").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("margay-dev-"))
        .collect()
}

#[test]
fn a_cluster_in_the_foreground_serves_survives_a_node_and_leaves_nothing() {
    let mut dev = Dev::place(3);
    let port = dev.port();
    dev.start(&["-n", "3", "--port", &port]);
    let ready = dev.ready();
    let listed = operator(&ready, &["keyspace", "list"]);
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("kv"),
        "{listed:?}"
    );
    let healthy = operator(&ready, &["health", "--wait"]);
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");

    let nodes = processes(&ready);
    kill_process(nodes[1], Signal::KILL).expect("it runs");
    let killed = ready["nodes"][1]["address"].as_str().expect("text");
    let unhealthy = eventually("a node that is missed", || {
        let output = operator(&ready, &["health"]);
        (output.status.code() == Some(10))
            .then_some(output)
            .ok_or("healthy")
    });
    let told = String::from_utf8_lossy(&unhealthy.stdout).into_owned();
    assert!(
        told.starts_with("UNHEALTHY") && told.contains(killed),
        "{told}"
    );
    eventually("a word of dev about it", || {
        let printed = dev.printed();
        let is_told = printed.contains("M160") && printed.contains(killed);
        is_told.then_some(()).ok_or(printed)
    });

    dev.tell(Signal::TERM);
    assert_eq!(
        dev.wait().code(),
        Some(4),
        "a node had ended: {}",
        dev.printed()
    );
    demand_gone(&nodes);
    assert_eq!(folders(dev.directory()), Vec::<String>::new());
}

#[test]
fn a_kept_folder_finds_the_same_cluster_on_the_same_ports_again() {
    let mut dev = Dev::place(2);
    let port = dev.port();
    let folder = dev.directory().join("dev");
    dev.start(&["-n", "2", "--port", &port, "--data", text(&folder)]);
    let first = dev.ready();
    let made = operator(&first, &["keyspace", "create", "mine", "--machine", "map"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    dev.tell(Signal::INT);
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.printed());
    demand_gone(&processes(&first));

    dev.start(&["--data", text(&folder)]);
    let second = dev.ready();
    assert_eq!(first["cluster"], second["cluster"]);
    assert_eq!(first["endpoints"], second["endpoints"]);
    let listed = operator(&second, &["keyspace", "list"]);
    assert!(
        String::from_utf8_lossy(&listed.stdout).contains("mine"),
        "{listed:?}"
    );
    dev.tell(Signal::TERM);
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.printed());
    assert!(folder.join("n1/manifest.a").exists(), "it was kept");
}

#[test]
fn a_dev_that_is_killed_outright_takes_its_nodes_along() {
    let mut dev = Dev::place(1);
    let port = dev.port();
    dev.start(&["-n", "1", "--port", &port]);
    let nodes = processes(&dev.ready());
    dev.tell(Signal::KILL);
    dev.wait();
    demand_gone(&nodes);
}

/// Look at the second signal: whoever asks twice does not want to wait.
#[test]
fn a_second_signal_kills_a_node_that_does_not_stop() {
    let mut dev = Dev::place(2);
    let port = dev.port();
    dev.start(&["-n", "2", "--port", &port]);
    let nodes = processes(&dev.ready());
    kill_process(nodes[1], Signal::STOP).expect("it runs");
    dev.tell(Signal::INT);
    demand_gone(&nodes[..1]);
    dev.tell(Signal::INT);
    assert_eq!(dev.wait().code(), Some(4), "{}", dev.printed());
    let printed = dev.printed();
    assert!(
        printed.contains("M161") && printed.contains("second signal"),
        "{printed}"
    );
    demand_gone(&nodes);
}

#[test]
fn a_node_that_cannot_start_ends_the_whole_with_its_last_words() {
    let mut dev = Dev::place(1);
    let port = dev.port();
    let config = dev.directory().join("margay.toml");
    std::fs::write(&config, "log.spare = 2\n").expect("the directory is ours");
    dev.start(&["-n", "1", "--port", &port, "--config", text(&config)]);
    assert_eq!(dev.wait().code(), Some(4));
    let printed = dev.printed();
    for words in [
        "M160",
        "n1",
        "exit status: 3",
        "M122",
        "log.spares",
        "--keep",
    ] {
        assert!(printed.contains(words), "{words:?} is missing: {printed}");
    }
    assert_eq!(folders(dev.directory()), Vec::<String>::new());
}

#[test]
fn a_second_dev_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let mut dev = Dev::place(1);
    let port = dev.port();
    let folder = dev.directory().join("dev");
    dev.start(&["-n", "1", "--port", &port, "--data", text(&folder)]);
    let ready = dev.ready();
    let second = margay(&["dev", "--data", text(&folder)]).output();
    let second = second.expect("the binary was built");
    assert_eq!(second.status.code(), Some(20), "{second:?}");
    let healthy = operator(&ready, &["health", "--wait"]);
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
    dev.tell(Signal::TERM);
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.printed());
}
