//! The operator: forms the cluster and creates keyspaces, by the frames that the command line sends.
//!
//! One request at a time, on a connection of its own, again and again until it is done: every step is safe to repeat.

use crate::network::{ConnectionNumber, Keep, Network, Order, Parcel, Place};
use margay_types::{ClusterId, GroupId};
use margay_wire::admin::{
    Bootstrap, BootstrapAnswer, KeyspaceCreate, KeyspaceCreated, Request, read_answer,
    write_request,
};
use margay_wire::client::{Answer, response};
use margay_wire::hello::HELLO_BYTES;
use margay_wire::{Hello, HelloKind, Splitter};
use std::collections::VecDeque;

/// How long an answer is waited for.
const PATIENCE_NS: u64 = 1_500_000_000;
/// How long to wait before a request is sent again.
const PAUSE_NS: u64 = 50_000_000;

/// Something to get done.
#[derive(Clone, Debug)]
pub enum Errand {
    /// This node takes the genesis.
    Bootstrap(Place),
    /// The cluster has this keyspace.
    Keyspace(KeyspaceCreate),
}

/// A keyspace that exists.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its machine.
    pub machine: String,
    /// Its groups.
    pub groups: Vec<GroupId>,
}

/// A connection with a question on it.
struct Call {
    connection: ConnectionNumber,
    until_ns: u64,
    hello: Vec<u8>,
    splitter: Splitter,
}

/// The operator.
pub struct Operator {
    place: Place,
    node_count: usize,
    genesis: Vec<u8>,
    errands: VecDeque<(u64, Errand)>,
    call: Option<Call>,
    next_node: Place,
    /// Keyspaces that were created since they were last taken.
    pub made: Vec<Made>,
    /// An answer that should not have come.
    pub complaint: Option<String>,
}

impl Operator {
    /// An operator who first forms a cluster of all nodes.
    #[must_use]
    pub fn new(place: Place, node_count: usize, genesis: Vec<u8>) -> Self {
        let errands = (0..node_count).map(|node| (0, Errand::Bootstrap(node)));
        Self {
            place,
            node_count,
            genesis,
            errands: errands.collect(),
            call: None,
            next_node: 0,
            made: Vec::new(),
            complaint: None,
        }
    }

    /// One more thing to do, not before this time.
    pub fn add(&mut self, at_ns: u64, errand: Errand) {
        self.errands.push_back((at_ns, errand));
    }

    /// Has everything been done?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.errands.is_empty()
    }

    /// When it wants to act.
    #[must_use]
    pub fn next_event_ns(&self) -> Option<u64> {
        let (at_ns, _) = self.errands.front()?;
        Some(self.call.as_ref().map_or(*at_ns, |call| call.until_ns))
    }

    /// Acts, if it is time. Gives the node that it dialed.
    pub fn act(&mut self, now_ns: u64, network: &mut Network) -> Option<(ConnectionNumber, Place)> {
        if let Some(call) = &self.call {
            if now_ns < call.until_ns {
                return None;
            }
            self.hang_up(now_ns, network);
        }
        let (at_ns, errand) = self.errands.front()?;
        if now_ns < *at_ns {
            return None;
        }
        let node = match errand {
            Errand::Bootstrap(node) => *node,
            Errand::Keyspace(_) => self.next_node,
        };
        let connection = network.open(Order::Stream, self.place, node);
        self.call = Some(Call {
            connection,
            until_ns: now_ns + PATIENCE_NS,
            hello: Vec::new(),
            splitter: Splitter::default(),
        });
        Some((connection, node))
    }

    fn hang_up(&mut self, now_ns: u64, network: &mut Network) {
        if let Some(call) = self.call.take() {
            network.close(now_ns, call.connection, self.place, Keep::AllBytes);
        }
        self.next_node = (self.next_node + 1) % self.node_count;
        if let Some((at_ns, _)) = self.errands.front_mut() {
            *at_ns = now_ns + PAUSE_NS;
        }
    }

    /// Something arrived.
    pub fn on_arrival(
        &mut self,
        now_ns: u64,
        connection: ConnectionNumber,
        parcel: &Parcel,
        network: &mut Network,
    ) {
        let Some(call) = &mut self.call else { return };
        if call.connection != connection {
            return;
        }
        match parcel {
            Parcel::Connected => {
                let hello = Hello::of_client(HelloKind::Admin, ClusterId::ZERO);
                let mut bytes = hello.encode().to_vec();
                let Some((_, errand)) = self.errands.front() else {
                    return;
                };
                let written = match errand {
                    Errand::Bootstrap(_) => {
                        let genesis = self.genesis.clone();
                        write_request(&mut bytes, 1, &Bootstrap { genesis })
                    }
                    Errand::Keyspace(create) => write_request(&mut bytes, 1, create),
                };
                written.expect("small requests fit in a frame");
                network.send(now_ns, connection, self.place, &bytes);
            }
            Parcel::Bytes(bytes) => {
                let missing = (HELLO_BYTES - call.hello.len()).min(bytes.len());
                let (head, rest) = bytes.split_at(missing);
                call.hello.extend_from_slice(head);
                let mut output = None;
                for frame in call.splitter.split(rest).flatten() {
                    let answer = response(frame.body).map(|response| response.answer);
                    output = match answer {
                        Ok(Answer::Done(output)) => Some(Some(output.to_vec())),
                        Ok(Answer::Refused(_)) | Err(_) => Some(None),
                    };
                }
                match output {
                    None => {}
                    Some(None) => self.hang_up(now_ns, network),
                    Some(Some(output)) => self.on_output(now_ns, &output, network),
                }
            }
            Parcel::End => self.hang_up(now_ns, network),
        }
    }

    fn on_output(&mut self, now_ns: u64, output: &[u8], network: &mut Network) {
        let Some((_, errand)) = self.errands.front().cloned() else {
            return;
        };
        let is_done = match errand {
            Errand::Bootstrap(node) => self.is_formed(node, output),
            Errand::Keyspace(create) => self.is_made(&create, output),
        };
        self.hang_up(now_ns, network);
        if is_done {
            self.errands.pop_front();
        }
    }

    fn is_formed(&mut self, node: Place, output: &[u8]) -> bool {
        match answer_of::<Bootstrap>(output) {
            Some(BootstrapAnswer::Formed | BootstrapAnswer::SameAttempt) => true,
            other => {
                self.complaint = Some(format!("node {node} answers the genesis with {other:?}"));
                false
            }
        }
    }

    fn is_made(&mut self, create: &KeyspaceCreate, output: &[u8]) -> bool {
        match answer_of::<KeyspaceCreate>(output) {
            Some(KeyspaceCreated::Created(keyspace) | KeyspaceCreated::Existed(keyspace)) => {
                self.made.push(Made {
                    machine: keyspace.machine,
                    groups: keyspace.groups,
                });
                true
            }
            other => {
                self.complaint = Some(format!("keyspace {} is answered {other:?}", create.name));
                false
            }
        }
    }
}

fn answer_of<R: Request>(output: &[u8]) -> Option<R::Answer> {
    read_answer::<R>(output).ok()
}
