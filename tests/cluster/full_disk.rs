//! A node whose disk is full: a small file system of its own, in a file beside its data, which only its own process
//! sees mounted.

use crate::harness::{
    Cluster, Load, Node, Shape, after, eventually, is_root, name_spaces, replica, skip, text,
};
use margay_types::GroupId;
use margay_wire::admin::SpaceMark;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands that fill segments quickly, though not before a mark is seen.
const LARGE: Shape = Shape {
    sessions_per_group: 4,
    in_flight: 2,
    command_bytes: 64 << 10,
};

/// Room for a log of a few segments, and for little else.
const DISK_BYTES: u64 = 160 << 20;

/// Two segments in use, and the spare ones.
const LOG_BYTES: u64 = 5 * (8 << 20);

/// Makes the image `$0.img`, with the files of the directory `$0` in its folder `data`.
const MAKE: &str = "mkfs.ext4 -q -F -m 0 \"$0.img\" && mount -o loop \"$0.img\" \"$0.disk\" && mkdir \"$0.disk/data\" \
                    && cp -a --sparse=never \"$0/.\" \"$0.disk/data\"";
/// Puts that folder in the place of the directory.
const MOUNT: &str = "mount -o loop \"$0.img\" \"$0.disk\" && mount --bind \"$0.disk/data\" \"$0\"";

/// Where the file system of a node is mounted, for its process alone.
struct SmallDisk {
    mounted: PathBuf,
}

impl SmallDisk {
    /// Moves a node that does not run onto a small disk; nothing, and a line that says so, where the host has none.
    fn under(node: &mut Node) -> Option<Self> {
        if !is_root() {
            skip("a loop device takes root");
            return None;
        }
        let spaces = name_spaces(&["--mount"])?;
        let beside = |ending: &str| PathBuf::from(format!("{}.{ending}", text(node.data())));
        let image = File::create(beside("img")).expect("the directory is ours");
        image.set_len(DISK_BYTES).expect("a file may have holes");
        fs::create_dir(beside("disk")).expect("the directory is ours");
        let through = |shell: &str| {
            let mut words = spaces.clone();
            words.extend(after(shell, text(node.data())));
            words
        };
        let making = through(MAKE);
        let made = Command::new(&making[0])
            .args(&making[1..])
            .arg("true")
            .output();
        let made = made.expect("unshare is there");
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr).into_owned();
            skip(&format!("no file system in a file: {why}"));
            return None;
        }
        let mounted = beside("disk");
        node.start_through(through(MOUNT));
        Some(Self { mounted })
    }

    /// Bytes of the files of the node.
    fn used_bytes(&self, node: &Node) -> u64 {
        let ballast = self.ballast(node);
        let mounted = ballast.parent().expect("it lies in a directory");
        bytes_below(&mounted.join("data"))
    }

    /// As the node sees it.
    fn ballast(&self, node: &Node) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", node.process()));
        let inside = self.mounted.strip_prefix("/").expect("paths are absolute");
        root.join(inside).join("ballast")
    }

    /// Takes all that is left.
    fn fill(&self, node: &Node) {
        let mut ballast = File::create(self.ballast(node)).expect("the disk is mounted");
        for piece in [1 << 20, 4 << 10, 1] {
            while ballast.write_all(&vec![7; piece]).is_ok() {}
        }
        ballast.sync_all().expect("it has its blocks");
    }

    fn make_room(&self, node: &Node) {
        fs::remove_file(self.ballast(node)).expect("it was written");
    }
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn space(node: &Node) -> Result<SpaceMark, String> {
    let status = node.status()?;
    let shard = status.shards.first().ok_or("a node has a shard")?;
    Ok(shard.space)
}

fn applied(node: &Node, group: GroupId) -> Result<margay_types::Index, String> {
    Ok(replica(node, group)?.applied)
}

/// The other follower is away, so that nothing can be let go of: the full node takes no more entries and says why, is
/// killed, and starts again on the full disk. When the other one is back the cluster goes on, and the full node makes
/// room by itself, although nothing else on its disk goes: its log goes round in what it has, and grows when there is
/// room.
#[test]
fn a_node_on_a_full_disk_restarts_and_makes_room_by_itself() {
    let mut cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let leader = cluster.leader(group);
    let (full, away) = ((leader + 1) % 3, (leader + 2) % 3);
    assert!(cluster.nodes[full].stop().success());
    let Some(disk) = SmallDisk::under(&mut cluster.nodes[full]) else {
        return;
    };
    cluster.nodes[full].start();
    let mut load = Load::start(&cluster, LARGE);
    load.advance(100);
    // A log that never had more than two segments has nothing to make room of.
    eventually("some segments", || {
        match disk.used_bytes(&cluster.nodes[full]) {
            LOG_BYTES.. => Ok(()),
            too_few => {
                load.advance(10);
                Err(too_few)
            }
        }
    });
    disk.fill(&cluster.nodes[full]);
    cluster.nodes[away].kill();
    eventually("the last mark, and what it means", || {
        let health = cluster.operator(&["health"]);
        let said = String::from_utf8_lossy(&health.stdout).into_owned();
        let is_told = said.contains("M212") && said.contains("appends are refused");
        is_told.then_some(()).ok_or(said)
    });
    cluster.nodes[full].kill();
    cluster.nodes[full].start();
    cluster.nodes[away].start();
    load.advance(500);
    let wanted = applied(&cluster.nodes[cluster.leader(group)], group).expect("it answers");
    eventually("it goes on", || {
        let there = replica(&cluster.nodes[full], group)?;
        let led = replica(&cluster.nodes[cluster.leader(group)], group)?;
        (there.applied >= wanted)
            .then_some(())
            .ok_or(format!("{there:?} {led:?}"))
    });
    let small = disk.used_bytes(&cluster.nodes[full]);
    disk.make_room(&cluster.nodes[full]);
    cluster.nodes[away].kill();
    eventually("a log that grows", || {
        load.advance(10);
        let bytes = disk.used_bytes(&cluster.nodes[full]);
        (bytes > small).then_some(()).ok_or(bytes)
    });
    cluster.nodes[away].start();
    load.finish();
    eventually("room", || match space(&cluster.nodes[full])? {
        SpaceMark::Free => Ok(()),
        SpaceMark::Soft | SpaceMark::Hard => Err("not yet".to_owned()),
    });
    cluster.finish();
}
