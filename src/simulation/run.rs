//! One run: a world from a seed, a phase in which anything may fail, and a phase in which everything must end well.

use crate::checkers::replay::replay;
use crate::clients::Client;
use crate::disk::DiskOptions;
use crate::faults::{Schedule, draw_network};
use crate::history::{GroupHistory, History};
use crate::network::{Network, Order, Place, between};
use crate::node::Node;
use crate::operator::{Errand, Operator};
use crate::trace::{Echo, Trace};
use crate::workload::WorkloadOptions;
use crate::world::{Repair, World};
use margay::shard::ReplicaView;
use margay_types::{GroupId, Random};
use margay_wire::admin::KeyspaceCreate;
use margay_wire::genesis::{Genesis, GenesisNode};
use std::collections::BTreeMap;
use std::time::Duration;

const MS: u64 = 1_000_000;
/// Everything must end well within this time after the world is healed.
const HEALED_NS: u64 = 60_000 * MS;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Decides everything.
    pub seed: u64,
    /// Nodes; drawn when not said.
    pub node_count: Option<usize>,
    /// Shards of each node; drawn when not said.
    pub shard_count: Option<u16>,
    /// How long anything may fail.
    pub faulty_ns: u64,
    /// Are faults injected?
    pub has_faults: bool,
    /// Is the story shown as it goes?
    pub echo: Echo,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Commands that were done.
    pub commands: u64,
    /// Queries that were answered.
    pub queries: u64,
    /// Sessions that were lost.
    pub lost_sessions: u64,
    /// Entries that were committed.
    pub entries: u64,
    /// Equal for equal runs.
    pub fingerprint: u64,
    /// Virtual time.
    pub virtual_ms: u64,
}

/// Makes the world of a seed.
#[must_use]
pub fn make_world(options: &RunOptions, trace: Trace) -> World {
    let mut random = Random::new(options.seed ^ 0x4D61_7267_6179);
    let node_count = options.node_count.unwrap_or_else(|| match random.below(8) {
        0 => 1,
        1 | 2 => 5,
        _ => 3,
    });
    let workload = draw_workload(&mut random);
    let network = draw_network(&mut random);
    let peer_order = if random.chance(1, 4) {
        Order::Datagram
    } else {
        Order::Stream
    };
    let nodes = make_nodes(&mut random, node_count, options.shard_count);
    let members = nodes.iter().map(|node| GenesisNode {
        incarnation: node.incarnation,
        address: node.address.clone(),
        shards: node.shard_count,
    });
    let genesis = Genesis::new("simulated".to_owned(), members.collect()).expect("legal names");
    let endpoints: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
    let clients = make_clients(&mut random, workload, &endpoints, &trace);
    let place = node_count + clients.len();
    let mut operator = Operator::new(place, node_count, genesis.encode());
    plan_keyspaces(&mut operator, &mut random, options.faulty_ns);
    let schedule = if options.has_faults {
        Schedule::draw(&mut random, 0)
    } else {
        Schedule::none()
    };
    trace.note(
        0,
        &format!(
            "seed {}: {node_count} nodes, {peer_order:?}, {:?}",
            options.seed,
            schedule.kinds()
        ),
    );
    trace.note(0, &format!("{network:?} {workload:?}"));
    let mut world = World {
        now_ns: 0,
        held: nodes.iter().map(|_| Vec::new()).collect(),
        network: Network::new(network, random.next_number()),
        nodes,
        clients,
        operator,
        offered: Vec::new(),
        history: History::default(),
        votes: crate::checkers::votes::Votes::default(),
        durability: crate::checkers::durability::Durability::default(),
        agreement: crate::checkers::agreement::Agreement::default(),
        trace,
        peer_order,
        schedule,
        repairs: BTreeMap::new(),
        repair_count: 0,
        dials: BTreeMap::new(),
        roles: BTreeMap::new(),
        random,
    };
    for place in 0..world.nodes.len() {
        let pause_ns = world.random.below(100 * MS);
        world.repair_after(pause_ns, Repair::Start(place));
    }
    world
}

fn make_nodes(random: &mut Random, count: usize, shard_count: Option<u16>) -> Vec<Node> {
    let latency_ns = between(random, MS / 20, 5 * MS);
    let make = |place| {
        let disk = DiskOptions {
            seed: random.next_number(),
            latency_min: Duration::from_nanos(MS / 50),
            latency_max: Duration::from_nanos(latency_ns),
            ..DiskOptions::default()
        };
        let drawn = draw_shard_count(random);
        let shard_count = shard_count.unwrap_or(drawn);
        let mut node = Node::format(place, random.next_number(), shard_count, disk);
        node.clock_fast_ppm = random.below(200);
        node
    };
    (0..count).map(make).collect()
}

/// Shards of a node: nodes need not have equal numbers.
fn draw_shard_count(random: &mut Random) -> u16 {
    match random.below(4) {
        0 => 2,
        1 => 3,
        _ => 1,
    }
}

/// The clients; their places follow those of the nodes.
fn make_clients(
    random: &mut Random,
    workload: WorkloadOptions,
    endpoints: &[String],
    trace: &Trace,
) -> Vec<Client> {
    let make = |at| {
        let (place, seed) = (endpoints.len() + at, random.next_number());
        Client::new(place, seed, workload, endpoints.to_vec(), trace.clone())
    };
    (0..workload.client_count).map(make).collect()
}

fn draw_workload(random: &mut Random) -> WorkloadOptions {
    let think_ns_min = between(random, MS, 20 * MS);
    WorkloadOptions {
        client_count: usize::try_from(between(random, 1, 4)).unwrap_or(1),
        sessions_per_client: usize::try_from(between(random, 1, 4)).unwrap_or(1),
        in_flight_max: usize::try_from(between(random, 1, 16)).unwrap_or(1),
        think_ns_min,
        think_ns_max: think_ns_min + between(random, MS, 100 * MS),
        close_permille: random.below(20),
        repeat_permille: random.below(50),
        query_permille: random.below(600),
        key_count: between(random, 1, 10),
        filler_bytes_max: if random.chance(1, 4) { 4_000 } else { 64 },
        connections_per_node: if random.chance(1, 2) { 2 } else { 1 },
        session_timeout_ms: u32::try_from(between(random, 1_000, 5_000)).unwrap_or(1_000),
    }
}

fn plan_keyspaces(operator: &mut Operator, random: &mut Random, faulty_ns: u64) {
    for (name, machine) in [("first", "bench"), ("second", "map"), ("late", "bench")] {
        let at_ns = if name == "late" {
            random.below(faulty_ns.max(1))
        } else {
            0
        };
        let create = KeyspaceCreate {
            name: name.to_owned(),
            machine: machine.to_owned(),
            machine_version: 1,
            options: Vec::new(),
            groups: u32::try_from(between(random, 1, 2)).unwrap_or(1),
            replicas: 0,
        };
        operator.add(at_ns, Errand::Keyspace(create));
    }
}

/// Runs a seed to its end.
///
/// # Errors
/// What is wrong, in words.
pub fn run(options: &RunOptions, trace: &Trace) -> Result<Report, String> {
    let mut world = make_world(options, trace.clone());
    while world.now_ns < options.faulty_ns {
        world.step(options.faulty_ns)?;
    }
    world.settle()?;
    Ok(Report {
        commands: world.history.done_count,
        queries: world.history.answered_count,
        lost_sessions: world.history.lost_count,
        entries: world
            .agreement
            .groups
            .values()
            .map(|group| group.commit_index().number())
            .sum(),
        fingerprint: trace.fingerprint(),
        virtual_ms: world.now_ns / MS,
    })
}

impl World {
    /// Heals the world: everything must end well in it, every group must take one more command, and all that was
    /// answered must be right.
    ///
    /// # Errors
    /// A promise is broken.
    pub fn settle(&mut self) -> Result<(), String> {
        self.heal();
        for client in &mut self.clients {
            client.is_finishing = true;
        }
        self.finish()?;
        self.prove_every_group()?;
        self.judge()
    }

    /// Lets everything end that is under way.
    fn finish(&mut self) -> Result<(), String> {
        let end_ns = self.now_ns + HEALED_NS;
        loop {
            let left = self.unfinished();
            if left.is_empty() {
                return Ok(());
            }
            if self.now_ns >= end_ns {
                return Err(format!("not finished in the healed world: {left:?}"));
            }
            let next_ns = self.now_ns + 20 * MS;
            while self.now_ns < next_ns {
                self.step(next_ns)?;
            }
        }
    }

    /// Every group that clients may use does one more command.
    fn prove_every_group(&mut self) -> Result<(), String> {
        let before: Vec<_> = self
            .offered
            .iter()
            .map(|(group, _)| (*group, self.history.floor(*group)))
            .collect();
        for offered in &self.offered {
            self.clients[0].open_one(*offered);
        }
        self.finish()?;
        let count = self.offered.len();
        self.clients[0].submit_last(self.now_ns, count, &self.history);
        self.finish()?;
        match before
            .into_iter()
            .find(|(group, floor)| self.history.floor(*group) <= *floor)
        {
            Some((group, _)) => Err(format!("the healed group {group} takes no command")),
            None => Ok(()),
        }
    }

    /// What is still under way in a healed world, in words.
    #[must_use]
    pub fn unfinished(&self) -> Vec<String> {
        let mut left: Vec<String> = self.clients.iter().flat_map(Client::unfinished).collect();
        if !self.operator.is_idle() {
            left.push("the operator is not done".to_owned());
        }
        for (group, agreed) in &self.agreement.groups {
            for place in self.member_places(*group) {
                let view = self.replica(place, *group);
                let applied = view.map(|view| view.host.applied_index());
                if applied != Some(agreed.commit_index()) {
                    left.push(format!(
                        "node {place} has applied {applied:?} of {} of group {group}",
                        agreed.commit_index()
                    ));
                }
            }
        }
        left
    }

    /// Holds everything that was answered against the committed logs.
    ///
    /// # Errors
    /// A promise is broken.
    pub fn judge(&self) -> Result<(), String> {
        let none = GroupHistory::default();
        for (group, kind) in &self.offered {
            let Some(agreed) = self.agreement.groups.get(group) else {
                continue;
            };
            let history = self.history.groups.get(group).unwrap_or(&none);
            replay(*kind, agreed, history).map_err(|what| format!("group {group}: {what}"))?;
        }
        Ok(())
    }

    fn replica(&self, place: Place, group: GroupId) -> Option<ReplicaView<'_>> {
        let mut replicas = self.nodes[place].replicas();
        replicas.find(|view| view.group == group)
    }

    /// Where the members of a group are, by any replica's configuration.
    fn member_places(&self, group: GroupId) -> Vec<Place> {
        let places = 0..self.nodes.len();
        let Some(view) = places.clone().find_map(|place| self.replica(place, group)) else {
            return Vec::new();
        };
        let members: Vec<_> = view.replica.configuration().members().collect();
        let is_member = |place: &Place| {
            let number = self.nodes[*place].membership().map(|(_, number)| number);
            members.iter().any(|member| Some(member.node) == number)
        };
        places.filter(is_member).collect()
    }
}
