//! Room in the log and in memory: what takes it gives it back, and who has none says so and goes on.

use crate::client::{Client, GROUP, Session, Told, formed, group, leader_of};
use crate::world::World;
use margay::storage::Room;
use margay_types::{GroupId, Index};

/// A group that wrote once, long ago, holds the oldest segment by its checkpoint. It is asked for another one, although
/// nothing was applied since.
#[test]
fn an_idle_group_does_not_hold_the_oldest_segment_for_ever() {
    let mut world = formed(1, 2);
    let mut client = Client::connect(&mut world, 0, 1);
    client.group = GroupId::new(2);
    let session = client.open(&mut world);
    for sequence in 1..=130 {
        let request = client.count_large(&mut world, session, sequence, 200 << 10);
        let answer = client.wait(&mut world, request);
        assert!(
            matches!(answer, Told::Done(_)),
            "command {sequence}: {answer:?}"
        );
    }
}

/// The disk of a follower hangs while the leaders of several groups send it more than its memory takes. It lets go of
/// what it has no room for, and catches up when the disk goes on.
#[test]
fn a_follower_without_memory_refuses_entries_and_goes_on() {
    let groups = 12;
    let mut world = formed(3, groups);
    let mut led = [Vec::new(), Vec::new(), Vec::new()];
    for id in (1..=groups).map(GroupId::new) {
        led[leader_of(&mut world, id).unwrap()].push(id);
    }
    let slow = (0..3).min_by_key(|place| led[*place].len()).unwrap();
    led[slow].clear();
    world.node(slow).holds_writes = true;
    let led = || {
        led.iter()
            .enumerate()
            .flat_map(|(place, ids)| ids.iter().map(move |id| (place, *id)))
    };
    assert!(led().count() >= 8, "enough to fill the memory");
    for (leader, id) in led() {
        let mut client = Client::connect(&mut world, leader, 10 + u64::from(id.number()));
        client.group = id;
        let session = client.open(&mut world);
        for sequence in 1..=5 {
            let request = client.count_large(&mut world, session, sequence, 200 << 10);
            let answer = client.wait(&mut world, request);
            assert!(
                matches!(answer, Told::Done(_)),
                "command {sequence}: {answer:?}"
            );
        }
    }
    world.node(slow).holds_writes = false;
    for (_, id) in led() {
        world.until("the slow node has caught up", |world| {
            let leader = leader_of(world, id)?;
            let last = group(world, leader, id)?.last;
            (group(world, slow, id)?.durable == last).then_some(())
        });
    }
}

/// The disk hangs, and a client closes its session again and again: what cannot be taken is refused at the door.
#[test]
fn closing_without_end_does_not_bring_a_shard_down() {
    let mut world = formed(1, 1);
    let mut client = Client::connect(&mut world, 0, 1);
    let session = client.open(&mut world);
    world.node(0).holds_writes = true;
    client.close_again_and_again(&mut world, session, 200_000);
    world.steps(10);
    world.node(0).holds_writes = false;
    let request = client.send_open(&mut world, 60_000);
    client.wait(&mut world, request);
}

/// A cluster whose first group is led somewhere, a session there, and its two followers.
fn led() -> (World, Client, Session, [usize; 2]) {
    let mut world = formed(3, 1);
    let leader = leader_of(&mut world, GROUP).unwrap();
    let mut client = Client::connect(&mut world, leader, 1);
    let session = client.open(&mut world);
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    (world, client, session, others.try_into().unwrap())
}

/// A follower whose disk is full while the other follower is away, so that nothing can be let go of: it takes no more
/// entries.
struct Stuck {
    world: World,
    client: Client,
    session: Session,
    /// The newest command, which is not committed, and its request.
    sequence: u64,
    request: u64,
    /// The place of the full node, its last entry, and the place of the one that is away.
    full: usize,
    held: Index,
    away: usize,
}

impl Stuck {
    fn new() -> Self {
        let (mut world, mut client, session, [full, away]) = led();
        world.isolate(away);
        world.nodes[full].disk.set_capacity_bytes(0);
        let mut sequence = 0;
        let request = loop {
            sequence += 1;
            let request = client.count_large(&mut world, session, sequence, 200 << 10);
            let is_done = (0..100).any(|_| {
                world.step();
                matches!(client.answer(&world, request), Some(Told::Done(_)))
            });
            if !is_done {
                break request;
            }
        };
        let held = group(&mut world, full, GROUP).unwrap().last;
        Self {
            world,
            client,
            session,
            sequence,
            request,
            full,
            held,
            away,
        }
    }

    /// The same by so many commands at once that it has no time to let go of any, though nobody is away.
    fn by_a_burst() -> Self {
        let (mut world, mut client, session, [full, away]) = led();
        world.nodes[full].disk.set_capacity_bytes(0);
        for sequence in 1..=20 {
            let request = client.count_large(&mut world, session, sequence, 200 << 10);
            let answer = client.wait(&mut world, request);
            assert!(matches!(answer, Told::Done(_)), "{answer:?}");
        }
        world.until("room", |world| {
            (world.shard(full).room() == Room::Free).then_some(())
        });
        for sequence in 21..=28 {
            client.count_large(&mut world, session, sequence, 200 << 10);
        }
        world.until("no room", |world| {
            (world.shard(full).room() == Room::Hard).then_some(())
        });
        Self {
            held: group(&mut world, full, GROUP).unwrap().last,
            world,
            session,
            sequence: 28,
            request: client.last(),
            client,
            full,
            away,
        }
    }

    /// The full node starts again, and its disk has no room.
    fn restart(&mut self) {
        self.world.crash(self.full);
        self.world.nodes[self.full].disk.set_capacity_bytes(0);
        self.world.start(self.full);
    }

    /// The other follower is back: the cluster goes on, and so does the full node.
    fn demand_room(mut self) {
        self.world.cuts.clear();
        let answer = self.client.wait(&mut self.world, self.request);
        assert!(matches!(answer, Told::Done(_)), "{answer:?}");
        let caught_up = self.demand_progress();
        assert!(caught_up > self.held, "{caught_up} after {}", self.held);
    }

    /// More commands are done, and the full node takes them all. Gives its last entry.
    fn demand_progress(&mut self) -> Index {
        for _ in 0..20 {
            self.sequence += 1;
            let world = &mut self.world;
            let request = (self.client).count_large(world, self.session, self.sequence, 200 << 10);
            let answer = self.client.wait(world, request);
            assert!(matches!(answer, Told::Done(_)), "{answer:?}");
        }
        let (leader, full) = (self.client.place, self.full);
        self.world.until("the full node goes on", |world| {
            let last = group(world, leader, GROUP)?.last;
            let durable = group(world, full, GROUP)?.durable;
            (durable == last).then_some(durable)
        })
    }
}

/// When the other one is back, the full one makes room by a checkpoint of its own, because it cannot take the entry
/// that would ask for one.
#[test]
fn a_follower_on_a_full_disk_makes_room_once_nobody_needs_what_it_holds() {
    Stuck::new().demand_room();
}

/// The same, when it was started again in between: it learns what is committed although it takes no entries.
#[test]
fn a_follower_that_starts_on_a_full_disk_makes_room_once_nobody_needs_what_it_holds() {
    let mut stuck = Stuck::new();
    stuck.restart();
    stuck.world.steps(100);
    stuck.demand_room();
}

/// The same under a new leader, whose first entry finds no room either: it learns what the full node holds, although
/// that is no news to the full node, and so everybody learns what nobody needs any more.
#[test]
fn a_follower_on_a_full_disk_makes_room_under_a_new_leader() {
    let mut stuck = Stuck::new();
    let (leader, full, away) = (stuck.client.place, stuck.full, stuck.away);
    let world = &mut stuck.world;
    world.cuts.clear();
    world.node(full).is_paused = true;
    world.crash(leader);
    world.start(leader);
    let led = world.until("a leader", |world| leader_of(world, GROUP));
    assert_eq!(led, leader, "node {away} lacks entries");
    world.node(full).is_paused = false;
    stuck.client = Client::connect(world, leader, 2);
    stuck.session = stuck.client.open(world);
    stuck.sequence -= 1;
    let caught_up = stuck.demand_progress();
    assert!(caught_up > stuck.held, "{caught_up} after {}", stuck.held);
}

/// A node that has no room and hears nobody cannot know what is committed: no checkpoint would make room, and it takes
/// none. So its reserve is there for the one that will.
#[test]
fn a_follower_that_starts_alone_on_a_full_disk_keeps_its_reserve() {
    let mut stuck = Stuck::by_a_burst();
    let full = stuck.full;
    stuck.world.isolate(full);
    stuck.restart();
    stuck.world.steps(3_000);
    assert_eq!(stuck.world.shard(full).room(), Room::Hard);
    stuck.demand_room();
}
