//! What operators ask of a node, and what clients ask about the cluster: answered by the shard that is asked.

use crate::limits::{NOT_READY_RETRY_MS, OVERLOADED_RETRY_MS, WAITING_FOUNDERS_MAX};
use crate::shard::Seams;
use crate::shard::birth::Birth;
use crate::shard::outbox::ConnectionId;
use crate::shard::shard::Shard;
use crate::shard::surveys::Question;
use crate::shard::waiters::{Purpose, Requester};
use margay_machine::CommandHeader;
use margay_raft::EntryKind;
use margay_types::{GroupId, NodeId};
use margay_wire::admin::system::{Directory, DirectoryAnswer, SystemCommand, SystemQuery};
use margay_wire::admin::{
    Bootstrap, BootstrapAnswer, Chain, ChainLink, ChainRequest, Formation, KeyspaceCreate,
    KeyspaceCreated, KeyspaceList, KeyspaceListRequest, KeyspaceRefusal, LeaderHint, Map, MapGroup,
    MapRequest, NodeInfo, NodeInfoRequest, Request, StatusRequest, read_request, write_answer,
};
use margay_wire::client::ResponseHead;
use margay_wire::frame::{Frame, FrameKind};
use margay_wire::genesis::Genesis;
use margay_wire::refusal::Refusal;
use std::collections::BTreeMap;

impl<S: Seams> Shard<S> {
    /// A frame of an operator, or a client's question for the map.
    pub(crate) fn on_operator_frame(&mut self, connection: ConnectionId, frame: &Frame<'_>) {
        let to = Requester {
            connection,
            request: frame.request,
            purpose: Purpose::Output,
        };
        let answered = match frame.kind {
            FrameKind::NodeInfo => {
                self.answer_with(to, frame, |shard, NodeInfoRequest| Ok(shard.node_info()))
            }
            FrameKind::Bootstrap => self.on_bootstrap(to, frame),
            FrameKind::KeyspaceCreate => self.on_keyspace_create(to, frame),
            FrameKind::KeyspaceList => self.answer_with(to, frame, |shard, asked| {
                // At the leader: a keyspace that was just created is listed.
                shard.demand_system_leader()?;
                shard.ask_system::<KeyspaceListAsked>(&KeyspaceListAsked(asked))
            }),
            FrameKind::Status => read_request::<StatusRequest>(frame.body)
                .map_err(|_| Refusal::BadRequest)
                .and_then(|asked| self.survey(to, Question::Status(asked))),
            FrameKind::Chain => self.answer_with(to, frame, |shard, asked: ChainRequest| {
                shard.chain(asked.group)
            }),
            FrameKind::Map => self.on_map(to, frame),
            FrameKind::PeerAppend
            | FrameKind::PeerMessages
            | FrameKind::Open
            | FrameKind::Attach
            | FrameKind::Command
            | FrameKind::Query
            | FrameKind::KeepAlive
            | FrameKind::Close
            | FrameKind::Response
            | FrameKind::Event => Err(Refusal::BadRequest),
        };
        if let Err(refusal) = answered {
            self.means.refuse(to, ResponseHead::default(), &refusal);
        }
    }

    fn answer_with<R: Request>(
        &mut self,
        to: Requester,
        frame: &Frame<'_>,
        answer: impl FnOnce(&mut Self, R) -> Result<R::Answer, Refusal>,
    ) -> Result<(), Refusal> {
        let asked = read_request::<R>(frame.body).map_err(|_| Refusal::BadRequest)?;
        let answer = answer(self, asked)?;
        self.send_answer::<R>(to, &answer)
    }

    pub(crate) fn send_answer<R: Request>(
        &mut self,
        to: Requester,
        answer: &R::Answer,
    ) -> Result<(), Refusal> {
        let mut bytes = Vec::new();
        write_answer::<R>(&mut bytes, to.request, ResponseHead::default(), answer)
            .map_err(|_| Refusal::BadRequest)?;
        self.means.send_client(to.connection, &bytes);
        Ok(())
    }

    pub(crate) fn formation(&self) -> Formation {
        let manifest = &self.manifest;
        if manifest.cluster.is_zero() {
            return Formation::Blank;
        }
        Formation::Member {
            cluster: manifest.cluster,
            name: manifest.cluster_name.clone(),
            node: manifest.node,
        }
    }

    fn node_info(&self) -> NodeInfo {
        NodeInfo {
            version: self.facts.version.clone(),
            incarnation: self.facts.incarnation,
            life: self.facts.life,
            formation: self.formation(),
            address: self.facts.address.clone(),
            shards: self.facts.shard_count,
            shard_ports: self.facts.shard_ports.clone(),
        }
    }

    /// Forms a cluster: the genesis becomes this node's replica of group 0.
    fn on_bootstrap(&mut self, to: Requester, frame: &Frame<'_>) -> Result<(), Refusal> {
        let asked = read_request::<Bootstrap>(frame.body).map_err(|_| Refusal::BadRequest)?;
        let answer = match Genesis::decode(&asked.genesis) {
            Err(error) => BootstrapAnswer::NotAGenesis {
                reason: error.to_string(),
            },
            Ok(genesis) => match self.found(to, &genesis) {
                Some(answer) => answer,
                None => return Ok(()),
            },
        };
        self.send_answer::<Bootstrap>(to, &answer)
    }

    /// `None` when the answer comes once everything is durable.
    fn found(&mut self, to: Requester, genesis: &Genesis) -> Option<BootstrapAnswer> {
        let cluster = genesis.cluster_id();
        if !self.manifest.cluster.is_zero() {
            return Some(if self.manifest.cluster == cluster {
                BootstrapAnswer::SameAttempt
            } else {
                let name = self.manifest.cluster_name.clone();
                BootstrapAnswer::OtherCluster {
                    cluster: self.manifest.cluster,
                    name,
                }
            });
        }
        if let Some(under_way) = self.founding.as_ref().map(Genesis::cluster_id)
            && under_way != cluster
        {
            let name = self
                .founding
                .as_ref()
                .map_or_else(String::new, |it| it.name().to_owned());
            return Some(BootstrapAnswer::OtherCluster {
                cluster: under_way,
                name,
            });
        }
        let incarnation = self.facts.incarnation;
        let Some(birth) = Birth::of_genesis(genesis, incarnation) else {
            return Some(BootstrapAnswer::NotMe { incarnation });
        };
        if self.births.founders.len() >= WAITING_FOUNDERS_MAX {
            self.means.refuse(
                to,
                ResponseHead::default(),
                &Refusal::Overloaded {
                    retry_after_ms: OVERLOADED_RETRY_MS,
                },
            );
            return None;
        }
        self.births.founders.push(to);
        if self.founding.is_none() {
            self.founding = Some(genesis.clone());
            self.log_birth(birth);
        }
        None
    }

    /// The formation is durable: whoever asked for it is told.
    pub(crate) fn answer_founders(&mut self) {
        for to in std::mem::take(&mut self.births.founders) {
            if self
                .send_answer::<Bootstrap>(to, &BootstrapAnswer::Formed)
                .is_err()
            {
                self.means
                    .refuse(to, ResponseHead::default(), &Refusal::BadRequest);
            }
        }
    }

    /// Proposes the creation of a keyspace to group 0: its apply answers.
    fn on_keyspace_create(&mut self, to: Requester, frame: &Frame<'_>) -> Result<(), Refusal> {
        let asked = read_request::<KeyspaceCreate>(frame.body).map_err(|_| Refusal::BadRequest)?;
        let refused = |refusal| KeyspaceCreated::Refused(refusal);
        match self.registry.takes_options(&asked.machine, &asked.options) {
            Err(_) => {
                return self
                    .send_answer::<KeyspaceCreate>(to, &refused(KeyspaceRefusal::UnknownMachine));
            }
            Ok(false) => {
                return self
                    .send_answer::<KeyspaceCreate>(to, &refused(KeyspaceRefusal::BadOptions));
            }
            Ok(true) => {}
        }
        let log = &self.means.log;
        // The groups of a keyspace are spread over the shards evenly.
        let room = (log.groups_max() - log.group_count()) * usize::from(self.facts.shard_count);
        let max = u32::try_from(room).unwrap_or(u32::MAX);
        if asked.groups > max && !self.knows_keyspace(&asked.name)? {
            let refusal = KeyspaceRefusal::BadGroupCount { max };
            return self.send_answer::<KeyspaceCreate>(to, &refused(refusal));
        }
        let header = CommandHeader::without_session(KeyspaceCreate::OPERATION);
        let mut payload = header.bytes().to_vec();
        margay_wire::admin::encode(&mut payload, &asked).map_err(|_| Refusal::BadRequest)?;
        self.demand_system_leader()?;
        let (hosted, means) = self.system()?;
        hosted.admit(means, payload.len())?;
        let index = hosted.append(means, EntryKind::CommandPlain, &payload)?;
        let reign = hosted.reign.as_mut().expect("a replica that appends leads");
        reign.waiters.push(index, to, payload.len(), means.now_ns);
        Ok(())
    }

    /// Does group 0 lead here, and has it applied all that was committed before?
    fn demand_system_leader(&mut self) -> Result<(), Refusal> {
        let (hosted, _) = self.system()?;
        hosted.check_serving()?;
        if hosted.has_applied_own_term() {
            return Ok(());
        }
        Err(Refusal::NotReady {
            retry_after_ms: NOT_READY_RETRY_MS,
        })
    }

    fn knows_keyspace(&mut self, name: &str) -> Result<bool, Refusal> {
        let directory = self.ask_system(&Directory)?;
        let mut names = directory.keyspaces.iter().map(|keyspace| &keyspace.name);
        Ok(names.any(|known| known == name))
    }

    /// Asks this node's replica of group 0, as far as that has applied.
    pub(crate) fn ask_system<Q: SystemQuery>(&mut self, query: &Q) -> Result<Q::Output, Refusal> {
        let mut payload = Vec::new();
        margay_wire::admin::encode(&mut payload, query).map_err(|_| Refusal::BadRequest)?;
        let (hosted, _) = self.system()?;
        let mut output = Vec::new();
        hosted
            .host
            .answer(Q::OPERATION, &payload, None, &mut output)
            .map_err(|_| Refusal::StoppedMachine)?;
        margay_wire::admin::decode("answer of group 0", &output)
            .map_err(|_| Refusal::StoppedMachine)
    }

    fn chain(&mut self, group: GroupId) -> Result<Chain, Refusal> {
        let (hosted, _) = self.group(group)?;
        let link = |(index, hash)| ChainLink { index, hash };
        Ok(Chain {
            applied: link((hosted.host.applied_index(), hosted.host.chain())),
            samples: hosted.host.chain_history().map(link).collect(),
        })
    }

    /// Who is where is known here; who leads, by all shards together.
    fn on_map(&mut self, to: Requester, frame: &Frame<'_>) -> Result<(), Refusal> {
        read_request::<MapRequest>(frame.body).map_err(|_| Refusal::BadRequest)?;
        self.system()?;
        self.survey(to, Question::Leaders)
    }

    pub(crate) fn map(&mut self, leaders: &BTreeMap<GroupId, LeaderHint>) -> Result<Map, Refusal> {
        let directory: DirectoryAnswer = self.ask_system(&Directory)?;
        let version = self.system()?.0.host.applied_index();
        let all_nodes: Vec<NodeId> = directory.nodes.iter().map(|node| node.node).collect();
        let system = MapGroup {
            group: GroupId::SYSTEM,
            incarnation: 0,
            members: all_nodes,
            leader: leaders.get(&GroupId::SYSTEM).copied(),
        };
        let others = directory.groups.into_iter().map(|known| MapGroup {
            group: known.group,
            incarnation: known.incarnation,
            members: known.members,
            leader: leaders.get(&known.group).copied(),
        });
        Ok(Map {
            cluster: self.manifest.cluster,
            version,
            nodes: directory.nodes,
            keyspaces: directory.keyspaces,
            groups: std::iter::once(system).chain(others).collect(),
        })
    }

    /// The leaders that this shard knows.
    pub(crate) fn leader_hints(&self) -> Vec<(GroupId, LeaderHint)> {
        let hints = self.groups.iter().filter_map(|(group, hosted)| {
            let term = hosted.replica.term();
            let hint = |node| (*group, LeaderHint { node, term });
            hosted.leader_node().map(hint)
        });
        hints.collect()
    }
}

/// The list of keyspaces, asked of group 0's machine under the operator's request type.
#[derive(serde::Serialize, serde::Deserialize)]
struct KeyspaceListAsked(KeyspaceListRequest);

impl SystemQuery for KeyspaceListAsked {
    const OPERATION: margay_types::OperationId = margay_types::OperationId::new(3);
    type Output = KeyspaceList;
}
