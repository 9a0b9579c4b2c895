//! A start that is interrupted, at whatever moment: it ends well, and the next one goes on.
//!
//! The moments are spread over the time that a whole start takes here, so that each phase is hit on a fast machine and
//! on a slow one: the making of a blank node's log, the wait for a bootstrap, the recovery of a log with data.

use crate::harness::{Cluster, Load, Node, Shape, margay, now, pass, text};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

/// Moments in a start.
const MOMENTS: u32 = 16;

/// Did the process take its directory? From here on it must end by itself; before, it may not even be Margay yet.
fn has_taken_its_directory(node: &Node) -> bool {
    let holder = fs::read_to_string(node.data().join("lock")).unwrap_or_default();
    holder.trim() == node.process().to_string()
}

/// Starts a node, stops it after `delay`, and demands that it ends well. False if it was killed before it began.
fn stop_after(node: &mut Node, delay: Duration) -> bool {
    node.begin();
    pass(delay);
    let must_end_well = has_taken_its_directory(node);
    let ended = node.stop();
    let was_killed = ended.signal() == Some(Signal::TERM.as_raw());
    assert!(
        ended.success() || (was_killed && !must_end_well),
        "stopped after {delay:?}: {ended} {}",
        node.printed()
    );
    ended.success()
}

/// How long a start takes until the node answers.
fn time_of_start(node: &mut Node) -> Duration {
    let begin = now();
    node.start();
    let taken = begin.elapsed();
    assert!(node.stop().success());
    taken
}

/// Stops nodes at moments from the first to the last of a start that takes `whole`, and a bit beyond.
fn stop_at_every_moment(whole: Duration, mut stop: impl FnMut(u32, Duration) -> bool) {
    let moments = 0..MOMENTS;
    let ended_well = moments.filter(|moment| stop(*moment, whole * 3 / 2 * *moment / MOMENTS));
    assert!(
        ended_well.count() > MOMENTS as usize / 2,
        "hardly one began"
    );
}

/// The signal is sent as soon as the directory is taken: nothing of a start is done before it is heard.
#[test]
fn a_node_is_stopped_in_good_order_from_the_moment_when_it_takes_its_directory() {
    let cluster = Cluster::blank(0);
    let mut node = cluster.stranger("n1");
    for _ in 0..MOMENTS {
        node.begin();
        while !has_taken_its_directory(&node) {
            assert!(node.is_running());
        }
        let ended = node.stop();
        assert!(ended.success(), "{ended} {}", node.printed());
    }
    node.start();
    assert!(node.stop().success());
}

#[test]
fn a_blank_node_that_is_stopped_while_it_makes_its_logs_ends_well_and_starts_again() {
    let cluster = Cluster::blank(0);
    for shards in [1, 3] {
        let name = |number: u32| format!("n{shards}-{number}");
        let fresh = |number| cluster.stranger(&name(number)).with_shards(shards);
        let whole = time_of_start(&mut fresh(MOMENTS));
        stop_at_every_moment(whole, |moment, delay| {
            let mut node = fresh(moment);
            let ended_well = stop_after(&mut node, delay);
            // What is left of the first start is good for another one.
            node.start();
            assert!(node.stop().success());
            ended_well
        });
    }
}

#[test]
fn a_member_that_is_stopped_while_it_recovers_ends_well_and_catches_up() {
    let mut cluster = Cluster::with_groups(2);
    let large = Shape {
        command_bytes: 32 << 10,
        ..Shape::default()
    };
    let mut load = Load::start(&cluster, large);
    load.advance(1_000);
    let node = &mut cluster.nodes[2];
    assert!(node.stop().success());
    let whole = time_of_start(node);
    stop_at_every_moment(whole, |_, delay| {
        let ended_well = stop_after(node, delay);
        load.advance(10);
        ended_well
    });
    node.start();
    load.advance(200);
    load.finish();
    cluster.finish();
}

/// Look at what the second `format` says: the directory is a node's, or becomes one, however the first one ended.
#[test]
fn a_format_that_is_killed_leaves_a_directory_that_can_be_formatted_or_run() {
    let cluster = Cluster::blank(0);
    let mut formatted = 0;
    for moment in 0..MOMENTS {
        let name = format!("n{moment}");
        let data = cluster.directory().join(&name);
        let arguments = ["format", "--data", text(&data)];
        let mut first = margay(&arguments);
        let first = first.stdout(Stdio::null()).spawn();
        let mut first = first.expect("the binary was built");
        pass(Duration::from_millis(1) * moment);
        kill_process(Pid::from_child(&first), Signal::KILL).expect("it was not waited for");
        first.wait().expect("it is our child");
        let again = margay(&arguments).output().expect("the binary was built");
        let said = String::from_utf8_lossy(&again.stderr);
        let is_node = said.contains("M115") && said.contains("a node lives there");
        assert!(again.status.success() || is_node, "{said}");
        formatted += u32::from(is_node);
        let mut node = cluster.existing(&name, 1);
        node.start();
        assert!(node.stop().success());
    }
    assert!(formatted < MOMENTS, "the first one was never interrupted");
}
