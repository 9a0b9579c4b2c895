//! The world: nodes, clients and an operator on one network, in one virtual time, from one seed.
//!
//! ```text
//!   step   time moves to the next event
//!          what arrives is delivered   operator, clients   faults   turns of the nodes   dials
//! ```
//!
//! Nothing happens between two events, and everything at one moment happens in one order: equal seeds are equal runs.

use crate::checkers::agreement::Agreement;
use crate::checkers::durability::Durability;
use crate::checkers::votes::Votes;
use crate::clients::{Client, Offered};
use crate::disk_fault::{Fate, Loss};
use crate::faults::Schedule;
use crate::history::History;
use crate::network::{Arrival, ConnectionNumber, Keep, Network, Order, Parcel, Place};
use crate::node::{Node, Phase};
use crate::operator::Operator;
use crate::seams::Outgoing;
use crate::sockets::Own;
use crate::trace::Trace;
use crate::workload::MachineKind;
use margay::admin::system::System;
use margay::shard::PeerId;
use margay_machine::Registry;
use margay_types::{ClusterId, Random, ShardId};
use margay_wire::admin::system::MACHINE;
use std::collections::BTreeMap;

/// Pause before a peer is dialed again.
const REDIAL_NS: u64 = 100_000_000;
/// A dialed connection whose hello is not answered for so long is given up.
const HANDSHAKE_NS: u64 = 2_000_000_000;

/// All machines of the simulated binary.
#[must_use]
pub fn registry() -> Registry {
    margay_resources::ready_machines(Registry::new()).machine::<System>(MACHINE)
}

/// Everything.
pub struct World {
    /// Virtual time.
    pub now_ns: u64,
    /// The nodes, by place.
    pub nodes: Vec<Node>,
    /// What joins them.
    pub network: Network,
    /// The clients; their places follow those of the nodes.
    pub clients: Vec<Client>,
    /// The operator, at the last place.
    pub operator: Operator,
    /// Groups that clients may use.
    pub offered: Vec<Offered>,
    /// What clients were told.
    pub history: History,
    /// Votes and leaders.
    pub votes: Votes,
    /// What ended processes took for durable.
    pub durability: Durability,
    /// Logs and machines.
    pub agreement: Agreement,
    /// The story.
    pub trace: Trace,
    /// Decides what no part of the world decides for itself.
    pub random: Random,
    /// How connections between peers behave.
    pub peer_order: Order,
    /// What goes wrong.
    pub schedule: Schedule,
    /// What is set right later: time, node, what.
    pub repairs: BTreeMap<(u64, u64), Repair>,
    /// Counts repairs, so that two at one time have an order.
    pub repair_count: u64,
    pub(crate) held: Vec<Vec<(ConnectionNumber, Parcel)>>,
    pub(crate) dials: BTreeMap<(Place, ShardId, PeerId), (u64, ConnectionNumber)>,
    pub(crate) roles: BTreeMap<(Place, u32), String>,
}

/// The end of a fault.
#[derive(Clone, Debug)]
pub enum Repair {
    /// A node's process starts.
    Start(Place),
    /// A disk has room again.
    Room(Place),
    /// A machine whose disk hangs loses power.
    PowerCut(Place),
    /// Paths are open again.
    Mend(Vec<(Place, Place)>),
}

impl World {
    /// Moves to the next event, at most to `until_ns`, and lets everything happen.
    ///
    /// # Errors
    /// A promise is broken.
    pub fn step(&mut self, until_ns: u64) -> Result<(), String> {
        let next_ns = self.next_event_ns().min(until_ns);
        self.now_ns = self.now_ns.max(next_ns);
        self.deliver()?;
        self.drive_operator();
        self.drive_clients()?;
        self.inject();
        for place in 0..self.nodes.len() {
            self.turn(place)?;
        }
        self.dial_peers();
        Ok(())
    }

    fn next_event_ns(&self) -> u64 {
        let network_ns = self.network.next_event_ns();
        let nodes_ns = self.nodes.iter().filter_map(Node::next_event_ns).min();
        let clients_ns = self.clients.iter().map(Client::next_event_ns).min();
        let faults_ns = self.schedule.next_event_ns();
        let repairs_ns = self.repairs.first_key_value().map(|((at_ns, _), _)| *at_ns);
        [
            network_ns,
            nodes_ns,
            clients_ns,
            self.operator.next_event_ns(),
            faults_ns,
            repairs_ns,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(u64::MAX)
    }

    fn deliver(&mut self) -> Result<(), String> {
        for arrival in self.network.take_arrivals(self.now_ns) {
            let Arrival {
                connection,
                at,
                parcel,
            } = arrival;
            if at < self.nodes.len() {
                self.held[at].push((connection, parcel));
            } else if let Some(client) = self.clients.get_mut(at - self.nodes.len()) {
                client.on_arrival(self.now_ns, connection, &parcel);
            } else {
                self.operator
                    .on_arrival(self.now_ns, connection, &parcel, &mut self.network);
            }
        }
        if let Some(complaint) = self.operator.complaint.take() {
            return Err(complaint);
        }
        Ok(())
    }

    fn drive_operator(&mut self) {
        if let Some((connection, node)) = self.operator.act(self.now_ns, &mut self.network) {
            self.connect(connection, node);
        }
        for made in std::mem::take(&mut self.operator.made) {
            let machine = match made.machine.as_str() {
                "bench" => MachineKind::Bench,
                _ => MachineKind::Map,
            };
            self.trace.note(
                self.now_ns,
                &format!("keyspace of {} is {:?}", made.machine, made.groups),
            );
            self.offered
                .extend(made.groups.into_iter().map(|group| (group, machine)));
        }
    }

    fn drive_clients(&mut self) -> Result<(), String> {
        let mut dialed = Vec::new();
        for client in &mut self.clients {
            let more = client.drive(
                self.now_ns,
                &mut self.network,
                &mut self.history,
                &self.offered,
            )?;
            dialed.extend(more);
        }
        for (connection, node) in dialed {
            self.connect(connection, node);
        }
        Ok(())
    }

    /// Somebody dialed a node: its kernel takes the connection if its process listens, even while it is stopped.
    fn connect(&mut self, connection: ConnectionNumber, node: Place) {
        if self.nodes[node].is_listening() {
            self.nodes[node].sockets.accept(connection);
            self.network
                .post(self.now_ns, connection, node, Parcel::Connected);
        } else {
            self.network
                .close(self.now_ns, connection, node, Keep::AllBytes);
        }
    }

    fn own(&self, place: Place) -> Own {
        let node = &self.nodes[place];
        let cluster = node
            .membership()
            .map_or(ClusterId::ZERO, |(cluster, _)| cluster);
        Own {
            cluster,
            incarnation: node.incarnation,
            life: node.process_life(),
            wanted: node.wanted(),
        }
    }

    /// Gives a node what arrived at it while it could not look.
    fn take_held(&mut self, place: Place) {
        if self.held[place].is_empty() {
            return;
        }
        let own = self.own(place);
        for (connection, parcel) in std::mem::take(&mut self.held[place]) {
            let node = &mut self.nodes[place];
            match parcel {
                Parcel::Connected => {}
                Parcel::Bytes(bytes) => {
                    let reaction = node.sockets.on_bytes(connection, &bytes, &own);
                    node.inputs.extend(reaction.inputs);
                    if !reaction.answer.is_empty() {
                        let answer = Parcel::Bytes(reaction.answer);
                        self.network.post(self.now_ns, connection, place, answer);
                    }
                    for closed in reaction.close {
                        self.network
                            .close(self.now_ns, closed, place, Keep::AllBytes);
                    }
                }
                Parcel::End => {
                    let inputs = node.sockets.on_end(connection);
                    node.inputs.extend(inputs);
                    self.network
                        .close(self.now_ns, connection, place, Keep::AllBytes);
                }
            }
        }
    }

    fn turn(&mut self, place: Place) -> Result<(), String> {
        let now_ns = self.now_ns;
        let node = &mut self.nodes[place];
        match node.phase {
            Phase::Down => {
                self.held[place].clear();
                return Ok(());
            }
            Phase::Booting(_) | Phase::Running(_) if now_ns < node.paused_until_ns => return Ok(()),
            Phase::Booting(_) | Phase::Running(_) => {}
        }
        self.take_held(place);
        let node = &mut self.nodes[place];
        let is_due = node.next_event_ns().is_some_and(|at_ns| at_ns <= now_ns);
        if node.inputs.is_empty() && !is_due {
            return Ok(());
        }
        let was_running = node.is_listening();
        let outgoing = match node.turn(now_ns, registry) {
            Ok(outgoing) => outgoing,
            Err(ended) => {
                self.trace
                    .note(now_ns, &format!("node {place} ends: {}", ended.reason));
                if !ended.is_excused {
                    return Err(format!("node {place} ends by itself: {}", ended.reason));
                }
                for shard in self.nodes[place].shards() {
                    self.agreement.note_logs(place, shard)?;
                }
                self.end_process(place);
                return Ok(());
            }
        };
        if !was_running && self.nodes[place].is_listening() {
            self.trace.note(
                now_ns,
                &format!("node {place} serves, life {}", self.nodes[place].life),
            );
            self.durability
                .on_start(place, self.nodes[place].replicas())?;
        }
        for (shard, outgoing) in outgoing {
            self.send(place, shard, outgoing)?;
        }
        self.set_backlogs(place);
        self.look(place)
    }

    /// A process ended by itself: its machine goes on, and starts it again soon.
    fn end_process(&mut self, place: Place) {
        let loss = if self.nodes[place].disk.is_crashed() {
            Loss::Drawn(self.random.next_number())
        } else {
            Loss::All(Fate::Readable)
        };
        self.crash(place, &loss);
        let pause_ns = 20_000_000 + self.random.below(500_000_000);
        self.repair_after(pause_ns, Repair::Start(place));
    }

    /// A process dies.
    pub fn crash(&mut self, place: Place, loss: &Loss) {
        let now_ns = self.now_ns;
        self.durability.on_end(place, self.nodes[place].replicas());
        self.nodes[place].crash(now_ns, loss, &mut self.network);
        self.held[place].clear();
        self.agreement.on_crash(place);
        self.dials.retain(|(node, _, _), _| *node != place);
        self.roles.retain(|(node, _), _| *node != place);
    }

    /// Something is set right later.
    pub fn repair_after(&mut self, pause_ns: u64, repair: Repair) {
        self.repair_count += 1;
        self.repairs
            .insert((self.now_ns + pause_ns, self.repair_count), repair);
    }

    fn send(&mut self, place: Place, shard: ShardId, outgoing: Outgoing) -> Result<(), String> {
        let now_ns = self.now_ns;
        for (peer, bytes) in outgoing.peers {
            self.votes.on_sent(&bytes)?;
            if let Some(connection) = self.nodes[place].sockets.peer(shard, peer) {
                self.network.send(now_ns, connection, place, &bytes);
            }
        }
        for (connection, bytes) in outgoing.clients {
            self.network.send(now_ns, connection.number, place, &bytes);
        }
        for connection in outgoing.closing {
            let inputs = self.nodes[place].sockets.on_end(connection.number);
            self.nodes[place].inputs.extend(inputs);
            self.network
                .close(now_ns, connection.number, place, Keep::AllBytes);
        }
        Ok(())
    }

    fn set_backlogs(&self, place: Place) {
        for (pair, connection) in self.nodes[place].sockets.peers() {
            self.nodes[place].set_backlog(pair, connection, &self.network);
        }
    }

    fn look(&mut self, place: Place) -> Result<(), String> {
        for shard in self.nodes[place].shards() {
            self.agreement.look(place, shard)?;
        }
        for view in self.nodes[place].replicas() {
            let replica = view.replica;
            let role = format!("{:?} in term {}", replica.role(), replica.term());
            let known = self.roles.entry((place, view.group.number())).or_default();
            let floor = replica.log_floor().index;
            let role = format!("{role}, floor {floor}");
            if *known != role {
                let text = format!(
                    "node {place} group {}: {role}, commit {}, applied {}, last {}",
                    view.group,
                    replica.commit_index(),
                    view.host.applied_index(),
                    replica.last_index()
                );
                self.trace.note(self.now_ns, &text);
                *known = role;
            }
        }
        Ok(())
    }

    /// Of two nodes the one with the smaller id dials.
    fn dial_peers(&mut self) {
        for place in 0..self.nodes.len() {
            let node = &self.nodes[place];
            let Some((_, own)) = node.membership() else {
                continue;
            };
            if self.now_ns < node.paused_until_ns {
                continue;
            }
            for (shard, wanted) in node.shards_by_number().zip(node.wanted()) {
                for wanted in wanted.iter().filter(|wanted| wanted.peer.node > own) {
                    self.dial_peer(place, shard, wanted);
                }
            }
        }
    }

    fn dial_peer(&mut self, place: Place, shard: ShardId, wanted: &margay::shard::PeerAddress) {
        let now_ns = self.now_ns;
        let known = self.dials.get(&(place, shard, wanted.peer)).copied();
        if self.nodes[place].sockets.has_peer(shard, wanted.peer) {
            let is_up = self.nodes[place].sockets.peer(shard, wanted.peer).is_some();
            if let Some((since_ns, connection)) = known
                && !is_up
                && now_ns > since_ns + HANDSHAKE_NS
            {
                let inputs = self.nodes[place].sockets.on_end(connection);
                self.nodes[place].inputs.extend(inputs);
                self.network
                    .close(now_ns, connection, place, Keep::AllBytes);
            }
            return;
        }
        if known.is_some_and(|(since_ns, _)| now_ns < since_ns + REDIAL_NS) {
            return;
        }
        let found = self
            .nodes
            .iter()
            .position(|node| node.incarnation == wanted.incarnation);
        let Some(to) = found else { return };
        let own = self.own(place);
        let connection = self.network.open(self.peer_order, place, to);
        self.dials
            .insert((place, shard, wanted.peer), (now_ns, connection));
        let hello = self.nodes[place]
            .sockets
            .dial(connection, (shard, wanted), &own);
        self.connect(connection, to);
        self.network
            .post(now_ns, connection, place, Parcel::Bytes(hello));
    }
}
