//! `margay bootstrap`: makes one cluster of blank nodes that run.
//!
//! ```text
//!   who are you?   to all     every one blank, or part of this very attempt
//!   genesis        built here of the incarnations; its hash is the cluster's id
//!   form           to all     durable on a node before it votes
//!   who leads?     until group 0 has a leader
//! ```
//!
//! The coordinator keeps no state: the same list gives the same genesis, so repeating is safe from anywhere, at
//! any point where an attempt before may have stopped.

use super::Outcome;
use super::argument_value;
use super::arguments::Globals;
use super::console::Console;
use super::endpoint::Endpoint;
use super::operator_failure::{Named, operator_failure};
use crate::codes::{Code, Exit, Failure};
use clap::Args;
use margay_client::operator::{Deadline, PAUSE, Question, ask};
use margay_types::{ClusterId, GroupId, NodeId};
use margay_wire::admin::{
    Bootstrap as Form, BootstrapAnswer, Formation, MapRequest, NodeInfo, NodeInfoRequest,
};
use margay_wire::genesis::{Genesis, GenesisNode};
use serde::Serialize;

/// Form a cluster from blank nodes that run
#[derive(Args, Debug)]
pub(super) struct Bootstrap {
    /// What the cluster is called
    #[arg(long, value_parser = argument_value::name)]
    name: String,

    /// All nodes of the new cluster, by the addresses that they keep
    #[arg(
        long,
        value_name = "HOST:PORT,..",
        value_delimiter = ',',
        required = true
    )]
    nodes: Vec<Endpoint>,
}

/// What was formed.
#[derive(Serialize)]
struct Report {
    schema: u32,
    cluster: String,
    name: String,
    leader: String,
    nodes: Vec<ReportNode>,
    elapsed_ms: u128,
}

/// A node, for programs.
#[derive(Serialize)]
struct ReportNode {
    node: u16,
    address: String,
    incarnation: String,
}

/// One node of the list, and what it said of itself.
struct Candidate<'a> {
    endpoint: &'a Endpoint,
    info: NodeInfo,
}

/// A cluster that exists now.
pub(super) struct Formed {
    genesis: Genesis,
    leader: NodeId,
}

impl Formed {
    /// Its id.
    pub(super) fn cluster(&self) -> ClusterId {
        self.genesis.cluster_id()
    }
}

impl Bootstrap {
    /// The same verb, as another one needs it.
    ///
    /// # Errors
    /// When a node's name makes no sense.
    pub(super) fn of(name: &str, nodes: &[String]) -> Result<Self, Failure> {
        let endpoint = |text: &String| text.parse();
        let nodes: Result<Vec<Endpoint>, String> = nodes.iter().map(endpoint).collect();
        let nodes =
            nodes.map_err(|reason| Failure::new(Code::ValueRefused).with("reason", reason))?;
        let name = name.to_owned();
        Ok(Self { name, nodes })
    }

    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let deadline = Deadline::after(globals.timeout);
        let formed = self.form(console, deadline)?;
        report(console, &formed, deadline);
        Ok(Exit::Done)
    }

    /// Forms the cluster, and waits until group 0 has a leader.
    ///
    /// # Errors
    /// Which node is in the way, and why; or that nobody leads yet. Repeating it is safe.
    pub(super) fn form(&self, console: &Console, deadline: Deadline) -> Result<Formed, Failure> {
        self.demand_distinct_names()?;
        let candidates = self.candidates(console, deadline)?;
        let genesis = self.genesis(&candidates)?;
        let cluster = genesis.cluster_id();
        demand_blank_or_same(&candidates, cluster)?;
        for candidate in &candidates {
            form(candidate, &genesis, deadline)?;
            console.detail(&format!(
                "{} holds the genesis {cluster}",
                candidate.endpoint
            ));
        }
        let leader = self.wait_for_leader(cluster, deadline)?;
        Ok(Formed { genesis, leader })
    }

    fn demand_distinct_names(&self) -> Result<(), Failure> {
        let mut names: Vec<&Endpoint> = self.nodes.iter().collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Failure::new(Code::DuplicateNode)
                .with("node", pair[0])
                .remedy("name each node of the cluster once")),
            None => Ok(()),
        }
    }

    fn candidates(
        &self,
        console: &Console,
        deadline: Deadline,
    ) -> Result<Vec<Candidate<'_>>, Failure> {
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        for endpoint in &self.nodes {
            let info = insist(endpoint, &NodeInfoRequest, deadline)?;
            console.detail(&format!(
                "{endpoint} is node incarnation {}",
                info.incarnation
            ));
            let twin = candidates
                .iter()
                .find(|known| known.info.incarnation == info.incarnation);
            if let Some(twin) = twin {
                return Err(Failure::new(Code::DuplicateNode)
                    .with("node", format!("{} and {endpoint}", twin.endpoint))
                    .with("both are", format!("node incarnation {}", info.incarnation))
                    .remedy("name each node once; a copied data directory is not a second node"));
            }
            candidates.push(Candidate { endpoint, info });
        }
        Ok(candidates)
    }

    fn genesis(&self, candidates: &[Candidate<'_>]) -> Result<Genesis, Failure> {
        let nodes = candidates
            .iter()
            .map(|candidate| GenesisNode {
                incarnation: candidate.info.incarnation,
                address: candidate.endpoint.to_string(),
                shards: candidate.info.shards,
            })
            .collect();
        Genesis::new(self.name.clone(), nodes).map_err(|error| {
            Failure::new(Code::ValueRefused)
                .with("name", &self.name)
                .with("nodes", self.nodes.len())
                .with("reason", error)
        })
    }

    fn wait_for_leader(&self, cluster: ClusterId, deadline: Deadline) -> Result<NodeId, Failure> {
        loop {
            for endpoint in &self.nodes {
                if let Ok(map) = ask(&endpoint.to_string(), &MapRequest, deadline)
                    && let Some(leader) = map.group(GroupId::SYSTEM).and_then(|group| group.leader)
                {
                    return Ok(leader.node);
                }
            }
            if !deadline.pause(PAUSE) {
                return Err(Failure::new(Code::NoLeader)
                    .with("cluster", format!("{} {cluster}", self.name))
                    .remedy("see that the nodes reach each other, and repeat this very command"));
            }
        }
    }
}

/// A node in use by another cluster, or by another attempt, is left as it is.
fn demand_blank_or_same(candidates: &[Candidate<'_>], cluster: ClusterId) -> Result<(), Failure> {
    for candidate in candidates {
        match &candidate.info.formation {
            Formation::Blank => {}
            Formation::Member { cluster: other, .. } if *other == cluster => {}
            Formation::Member {
                cluster: other,
                name,
                ..
            } => return Err(taken(candidate.endpoint, name, *other)),
        }
    }
    Ok(())
}

fn taken(endpoint: &Endpoint, name: &str, cluster: ClusterId) -> Failure {
    Failure::new(Code::NodeNotBlank)
        .with("node", endpoint)
        .with("cluster", format!("{name} {cluster}"))
        .remedy("repeat a bootstrap with the name and the list of its first attempt,")
        .remedy("or start this node on an empty, formatted directory")
}

/// Gives a node the genesis; it is durable there when this returns.
fn form(candidate: &Candidate<'_>, genesis: &Genesis, deadline: Deadline) -> Result<(), Failure> {
    let request = Form {
        genesis: genesis.encode(),
    };
    let endpoint = candidate.endpoint;
    match insist(endpoint, &request, deadline)? {
        BootstrapAnswer::Formed | BootstrapAnswer::SameAttempt => Ok(()),
        BootstrapAnswer::OtherCluster { cluster, name } => Err(taken(endpoint, &name, cluster)),
        BootstrapAnswer::NotBlank => Err(Failure::new(Code::NodeNotBlank)
            .with("node", endpoint)
            .remedy("start this node on an empty, formatted directory")),
        BootstrapAnswer::NotMe { incarnation } => Err(Failure::new(Code::Refused)
            .with("node", endpoint)
            .with(
                "reason",
                format!("it is node incarnation {incarnation} now"),
            )
            .remedy("repeat this command")),
        BootstrapAnswer::NotAGenesis { reason } => Err(Failure::new(Code::Refused)
            .with("node", endpoint)
            .with("reason", reason)
            .remedy("use the binary of the nodes' version")),
    }
}

/// Asks one node until it answers. Every question of a bootstrap may be repeated.
fn insist<Q: Question>(
    endpoint: &Endpoint,
    question: &Q,
    deadline: Deadline,
) -> Result<Q::Answer, Failure> {
    loop {
        let error = match ask(&endpoint.to_string(), question, deadline) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !error.may_pass() || !deadline.pause(PAUSE) {
            return Err(operator_failure(error, Named::ByNodes));
        }
    }
}

fn report(console: &Console, formed: &Formed, deadline: Deadline) {
    let Formed { genesis, leader } = formed;
    let nodes: Vec<ReportNode> = genesis
        .members()
        .map(|member| ReportNode {
            node: member.node.number(),
            address: member.genesis.address.clone(),
            incarnation: member.genesis.incarnation.to_string(),
        })
        .collect();
    let leader = nodes.iter().find(|node| node.node == leader.number());
    let report = Report {
        schema: 1,
        cluster: genesis.cluster_id().to_string(),
        name: genesis.name().to_owned(),
        leader: leader.map_or_else(String::new, |node| node.address.clone()),
        nodes,
        elapsed_ms: deadline.elapsed().as_millis(),
    };
    console.result(&report, |report| {
        let addresses: Vec<&str> = report
            .nodes
            .iter()
            .map(|node| node.address.as_str())
            .collect();
        format!(
            "cluster {} {} formed: {} voters of group 0, {} leads   [{:.1} s]",
            report.name,
            report.cluster,
            addresses.join(" "),
            report.leader,
            deadline.elapsed().as_secs_f32()
        )
    });
}
