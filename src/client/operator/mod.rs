//! What operators ask nodes: one connection, one request, one answer.
//!
//! ```text
//!   ask            one node, once                       ask_cluster    whoever can answer, while time lasts
//!    └─ name ──> link ──> hello ──> request ──> answer       └─ ask, of each; to the leader that one names
//! ```
//!
//! Requests that change nothing may be repeated anywhere. Those that change something are made so that repeating
//! them is safe; still, when one was sent and not answered, the error says that its outcome is unknown.

mod deadline;
mod error;
mod link;
mod name;
mod question;

pub use deadline::Deadline;
pub use error::OperatorError;
pub use question::{Effect, Question};

use link::{Link, REQUEST};
use margay_types::{GroupId, NodeId};
use margay_wire::admin::{
    Bootstrap, BootstrapAnswer, Chain, ChainRequest, KeyspaceCreate, KeyspaceCreated, KeyspaceList,
    KeyspaceListRequest, Map, MapRequest, NodeInfo, NodeInfoRequest, Status, StatusRequest,
    write_request,
};
use std::time::Duration;

/// Between two attempts at a cluster that is not ready.
pub const PAUSE: Duration = Duration::from_millis(50);

/// Asks a node who it is.
///
/// # Errors
/// See [`OperatorError`]; nothing is changed by it.
pub fn node_info(address: &str, timeout: Duration) -> Result<NodeInfo, OperatorError> {
    ask(address, &NodeInfoRequest, Deadline::after(timeout))
}

/// Gives a node a genesis.
///
/// # Errors
/// `OutcomeUnknown` when it was sent and not answered; repeating is safe.
pub fn bootstrap(
    address: &str,
    request: &Bootstrap,
    timeout: Duration,
) -> Result<BootstrapAnswer, OperatorError> {
    ask(address, request, Deadline::after(timeout))
}

/// The state of a node.
///
/// # Errors
/// See [`OperatorError`]; nothing is changed by it.
pub fn status(
    address: &str,
    request: &StatusRequest,
    timeout: Duration,
) -> Result<Status, OperatorError> {
    ask(address, request, Deadline::after(timeout))
}

/// The effect chain of a node's replica of a group.
///
/// # Errors
/// See [`OperatorError`]; nothing is changed by it.
pub fn chain(address: &str, group: GroupId, timeout: Duration) -> Result<Chain, OperatorError> {
    ask(address, &ChainRequest { group }, Deadline::after(timeout))
}

/// The map, from the first of these addresses that gives one.
///
/// # Errors
/// See [`OperatorError`]; nothing is changed by it.
pub fn map(endpoints: &[String], timeout: Duration) -> Result<Map, OperatorError> {
    ask_cluster(endpoints, &MapRequest, Deadline::after(timeout))
}

/// All keyspaces, as the leader of group 0 knows them.
///
/// # Errors
/// See [`OperatorError`]; nothing is changed by it.
pub fn keyspace_list(
    endpoints: &[String],
    timeout: Duration,
) -> Result<KeyspaceList, OperatorError> {
    ask_cluster(endpoints, &KeyspaceListRequest, Deadline::after(timeout))
}

/// Creates a keyspace, at the leader of group 0.
///
/// # Errors
/// `OutcomeUnknown` when it was sent and not answered; repeating it creates nothing twice.
pub fn keyspace_create(
    endpoints: &[String],
    request: &KeyspaceCreate,
    timeout: Duration,
) -> Result<KeyspaceCreated, OperatorError> {
    ask_cluster(endpoints, request, Deadline::after(timeout))
}

/// Asks one node once.
///
/// # Errors
/// See [`OperatorError`].
pub fn ask<Q: Question>(
    address: &str,
    question: &Q,
    deadline: Deadline,
) -> Result<Q::Answer, OperatorError> {
    ask_within(address, question, deadline, deadline)
}

/// Asks a cluster: whichever of these nodes can answer.
///
/// Nodes that cannot be reached are passed over. While a refusal may pass (an election is under way), all are asked
/// again until the deadline; a node that knows the leader sends us there.
///
/// # Errors
/// The last failure, when no node can be reached, time is over, or the cluster says no. Once the outcome is unknown
/// it stays so, whatever is answered behind it, except by an answer.
pub fn ask_cluster<Q: Question>(
    endpoints: &[String],
    question: &Q,
    deadline: Deadline,
) -> Result<Q::Answer, OperatorError> {
    let mut unknown = None;
    loop {
        let error = match round(endpoints, question, deadline) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if matches!(error, OperatorError::OutcomeUnknown { .. }) {
            unknown.get_or_insert(error.clone());
        }
        let is_settled = match &error {
            OperatorError::Refused { refusal, .. } => !refusal.is_transient(),
            OperatorError::OutcomeUnknown { .. } => false,
            OperatorError::NoAddress
            | OperatorError::NameNotResolved { .. }
            | OperatorError::NotReached { .. }
            | OperatorError::TimedOut { .. }
            | OperatorError::NotMargay { .. }
            | OperatorError::OtherProtocol { .. }
            | OperatorError::OtherCluster { .. }
            | OperatorError::TooLarge { .. } => unknown.is_none(),
        };
        if is_settled || !deadline.pause(PAUSE) {
            return Err(unknown.unwrap_or(error));
        }
    }
}

/// Asks each node once, until one answers. Of several failures the one that says most is told: an unknown outcome,
/// else a refusal, else silence, else the last.
fn round<Q: Question>(
    endpoints: &[String],
    question: &Q,
    deadline: Deadline,
) -> Result<Q::Answer, OperatorError> {
    let mut told = OperatorError::NoAddress;
    for (asked, address) in endpoints.iter().enumerate() {
        let reach = deadline.share(endpoints.len() - asked);
        let mut outcome = ask_within(address, question, reach, deadline);
        if let Some(leader) = leader_told(address, &outcome, deadline) {
            outcome = ask(&leader, question, deadline);
        }
        let error = match outcome {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let is_final = error
            .refusal()
            .is_some_and(|refusal| !refusal.is_transient());
        if weight(&error) >= weight(&told) {
            told = error;
        }
        if is_final {
            break;
        }
    }
    Err(told)
}

/// How much a failure says about the cluster.
const fn weight(error: &OperatorError) -> u8 {
    match error {
        OperatorError::OutcomeUnknown { .. } => 3,
        OperatorError::Refused { .. } => 2,
        // Somebody is there, and busy or stopped.
        OperatorError::TimedOut { .. } => 1,
        OperatorError::NoAddress
        | OperatorError::NameNotResolved { .. }
        | OperatorError::NotReached { .. }
        | OperatorError::NotMargay { .. }
        | OperatorError::OtherProtocol { .. }
        | OperatorError::OtherCluster { .. }
        | OperatorError::TooLarge { .. } => 0,
    }
}

/// Where the leader is that a refusal names, as the map of the node that named it says.
fn leader_told<T>(
    address: &str,
    outcome: &Result<T, OperatorError>,
    deadline: Deadline,
) -> Option<String> {
    let refusal = outcome.as_ref().err()?.refusal()?;
    let (leader, _) = refusal.leader_hint()?;
    let leader: NodeId = leader?;
    let map = ask(address, &MapRequest, deadline).ok()?;
    map.node(leader).map(|node| node.address.clone())
}

/// Asks one node, which must be reached by `reach` and answer by `deadline`.
fn ask_within<Q: Question>(
    address: &str,
    question: &Q,
    reach: Deadline,
    deadline: Deadline,
) -> Result<Q::Answer, OperatorError> {
    let mut frame = Vec::new();
    write_request(&mut frame, REQUEST, question).map_err(|error| OperatorError::TooLarge {
        reason: error.to_string(),
    })?;
    Link::open(address, reach)?.ask::<Q>(&frame, deadline)
}
