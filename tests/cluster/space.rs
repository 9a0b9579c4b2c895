//! Much data in small segments: checkpoints are taken, old segments are used again, and nothing depends on them.

use crate::harness::{Cluster, Load, Shape, eventually, replica};
use margay_types::{GroupId, Index};

/// Large commands, so that segments fill quickly.
const LARGE: Shape = Shape {
    sessions_per_group: 4,
    in_flight: 8,
    command_bytes: 64 << 10,
};

/// Bytes of `LARGE` commands in a mebibyte.
const COMMANDS_PER_MEBIBYTE: u64 = 16;

fn checkpoint(cluster: &Cluster, at: usize, group: GroupId) -> Result<Index, String> {
    Ok(replica(&cluster.nodes[at], group)?.checkpoint)
}

/// Look at the disk: 480 MiB were written, and each node keeps what lies behind its last checkpoint, and spares. A
/// machine that is busy with others lets more segments fill before a checkpoint lets go of the oldest: half of what was
/// written is still far from all of it.
#[test]
fn a_log_does_not_grow_with_what_was_ever_written_and_restarts_from_its_checkpoint() {
    const WRITTEN_MEBIBYTES: u64 = 480;
    const KEPT_BYTES_MAX: u64 = 240 << 20;
    let mut cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, LARGE);
    for _ in 0..WRITTEN_MEBIBYTES / 20 {
        load.advance(20 * COMMANDS_PER_MEBIBYTE);
        for node in &cluster.nodes {
            let bytes = node.disk_bytes();
            assert!(
                bytes <= KEPT_BYTES_MAX,
                "{bytes} bytes in {}",
                node.data().display()
            );
        }
    }
    for at in 0..cluster.nodes.len() {
        eventually("a checkpoint", || match checkpoint(&cluster, at, group)? {
            Index::ZERO => Err("none yet".to_owned()),
            taken => Ok(taken),
        });
    }
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    load.advance(COMMANDS_PER_MEBIBYTE);
    for at in 0..cluster.nodes.len() {
        let restored = checkpoint(&cluster, at, group).expect("it answers");
        assert!(restored > Index::ZERO, "it began from a checkpoint");
    }
    load.finish();
    cluster.finish();
}

/// Look at the leader: what it sends is no longer in its memory.
#[test]
fn a_node_that_was_away_catches_up_from_the_disks_of_the_others() {
    let mut cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, LARGE);
    load.advance(COMMANDS_PER_MEBIBYTE);
    let away = (cluster.leader(group) + 1) % cluster.nodes.len();
    cluster.nodes[away].kill();
    load.advance(40 * COMMANDS_PER_MEBIBYTE);
    cluster.nodes[away].start();
    load.advance(COMMANDS_PER_MEBIBYTE);
    load.finish();
    cluster.demand_agreement(group);
    cluster.finish();
}
