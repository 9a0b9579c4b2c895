//! What operators ask nodes: one connection, one request, one answer.
//!
//! Requests that change nothing may be repeated anywhere. Those that change something are made so that repeating
//! them is safe; still, when one was sent and not answered, the error says that its outcome is unknown.

use crate::clock::now_ns;
use crate::error::ClientError;
use margay_types::{ClusterId, GroupId, NodeId};
use margay_wire::admin::{
    Bootstrap, BootstrapAnswer, Chain, ChainRequest, KeyspaceCreate, KeyspaceCreated, KeyspaceList,
    KeyspaceListRequest, Map, MapRequest, NodeInfo, NodeInfoRequest, Request, Status,
    StatusRequest, read_answer, write_request,
};
use margay_wire::client::{Answer, response};
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use margay_wire::{Frame, FrameKind, Splitter};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Between two attempts at a cluster that is not ready.
const PAUSE: Duration = Duration::from_millis(50);

/// Does the request leave anything behind?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Nothing,
    Something,
}

/// Asks a node who it is.
///
/// # Errors
/// See [`ClientError`]; nothing is changed by it.
pub fn node_info(address: &str, timeout: Duration) -> Result<NodeInfo, ClientError> {
    ask(
        address,
        &NodeInfoRequest,
        Effect::Nothing,
        deadline(timeout),
    )
}

/// Gives a node a genesis.
///
/// # Errors
/// `OutcomeUnknown` when it was sent and not answered; repeating is safe.
pub fn bootstrap(
    address: &str,
    request: &Bootstrap,
    timeout: Duration,
) -> Result<BootstrapAnswer, ClientError> {
    ask(address, request, Effect::Something, deadline(timeout))
}

/// The state of a node.
///
/// # Errors
/// See [`ClientError`]; nothing is changed by it.
pub fn status(
    address: &str,
    request: &StatusRequest,
    timeout: Duration,
) -> Result<Status, ClientError> {
    ask(address, request, Effect::Nothing, deadline(timeout))
}

/// The effect chain of a node's replica of a group.
///
/// # Errors
/// See [`ClientError`]; nothing is changed by it.
pub fn chain(address: &str, group: GroupId, timeout: Duration) -> Result<Chain, ClientError> {
    ask(
        address,
        &ChainRequest { group },
        Effect::Nothing,
        deadline(timeout),
    )
}

/// The map, from the first of these addresses that gives one.
///
/// # Errors
/// See [`ClientError`]; nothing is changed by it.
pub fn map(endpoints: &[String], timeout: Duration) -> Result<Map, ClientError> {
    ask_leader(endpoints, &MapRequest, Effect::Nothing, timeout)
}

/// All keyspaces.
///
/// # Errors
/// See [`ClientError`]; nothing is changed by it.
pub fn keyspace_list(endpoints: &[String], timeout: Duration) -> Result<KeyspaceList, ClientError> {
    ask_leader(endpoints, &KeyspaceListRequest, Effect::Nothing, timeout)
}

/// Creates a keyspace, at the leader of group 0.
///
/// # Errors
/// `OutcomeUnknown` when it was sent and not answered; repeating it creates nothing twice.
pub fn keyspace_create(
    endpoints: &[String],
    request: &KeyspaceCreate,
    timeout: Duration,
) -> Result<KeyspaceCreated, ClientError> {
    ask_leader(endpoints, request, Effect::Something, timeout)
}

/// Asks the addresses in turn, follows hints to the leader of group 0, and waits while there is none.
fn ask_leader<R: Request>(
    endpoints: &[String],
    request: &R,
    effect: Effect,
    timeout: Duration,
) -> Result<R::Answer, ClientError> {
    let deadline_ns = deadline(timeout);
    let mut hinted: Option<String> = None;
    let mut worst: Option<ClientError> = None;
    for attempt in 0_usize.. {
        let listed = attempt
            .checked_rem(endpoints.len())
            .and_then(|at| endpoints.get(at));
        let Some(address) = hinted.take().or_else(|| listed.cloned()) else {
            break;
        };
        let error = match ask(&address, request, effect, deadline_ns) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if let ClientError::Refused(refusal) = &error {
            if !refusal.is_transient() {
                return Err(error);
            }
            let leader = refusal.leader_hint().and_then(|(leader, _)| leader);
            hinted = leader.and_then(|leader| address_of(&address, leader, deadline_ns));
        } else if let ClientError::HelloRefused(_) | ClientError::BadAnswer(_) = &error {
            return Err(error);
        }
        let was_unknown = matches!(worst, Some(ClientError::OutcomeUnknown(_)));
        if !was_unknown {
            worst = Some(error);
        }
        if now_ns() >= deadline_ns {
            break;
        }
        if hinted.is_none() {
            std::thread::sleep(PAUSE);
        }
    }
    Err(worst.unwrap_or(ClientError::TimedOut))
}

/// Where a node is, as the map of the node at `address` says.
fn address_of(address: &str, node: NodeId, deadline_ns: u64) -> Option<String> {
    let map = ask(address, &MapRequest, Effect::Nothing, deadline_ns).ok()?;
    map.node(node).map(|place| place.address.clone())
}

/// One connection, one request, one answer.
fn ask<R: Request>(
    address: &str,
    request: &R,
    effect: Effect,
    deadline_ns: u64,
) -> Result<R::Answer, ClientError> {
    let mut stream = connect(address, deadline_ns)?;
    let mut bytes = Hello::of_client(HelloKind::Admin, ClusterId::ZERO)
        .encode()
        .to_vec();
    write_request(&mut bytes, 1, request)?;
    let not_applied = |error: std::io::Error| unreached(address, &error);
    greet(&mut stream, &bytes[..HELLO_BYTES], deadline_ns).map_err(not_applied)??;
    // From here on the server may have acted, whatever happens to the answer.
    let unanswered = |error: std::io::Error| match effect {
        Effect::Nothing if is_timeout(&error) => ClientError::TimedOut,
        Effect::Nothing => unreached(address, &error),
        Effect::Something => ClientError::OutcomeUnknown(format!("{address}: {error}")),
    };
    stream
        .write_all(&bytes[HELLO_BYTES..])
        .map_err(unanswered)?;
    receive::<R>(&mut stream, deadline_ns).map_err(unanswered)?
}

fn connect(address: &str, deadline_ns: u64) -> Result<TcpStream, ClientError> {
    let resolved = address
        .to_socket_addrs()
        .map_err(|error| unreached(address, &error))?;
    let mut last = std::io::Error::other("the name has no address");
    for place in resolved {
        let attempt = left(deadline_ns).and_then(|left| TcpStream::connect_timeout(&place, left));
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(unreached(address, &last))
}

/// Both hellos.
fn greet(
    stream: &mut TcpStream,
    hello: &[u8],
    deadline_ns: u64,
) -> std::io::Result<Result<(), ClientError>> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(left(deadline_ns)?))?;
    stream.set_read_timeout(Some(left(deadline_ns)?))?;
    stream.write_all(hello)?;
    let mut answer = [0; HELLO_BYTES];
    stream.read_exact(&mut answer)?;
    Ok(match Hello::decode(&answer) {
        Ok(hello) => hello
            .refusal
            .map_or(Ok(()), |code| Err(ClientError::HelloRefused(code))),
        Err(error) => Err(error.into()),
    })
}

/// The answer, once its frame is whole.
fn receive<R: Request>(
    stream: &mut TcpStream,
    deadline_ns: u64,
) -> std::io::Result<Result<R::Answer, ClientError>> {
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        stream.set_read_timeout(Some(left(deadline_ns)?))?;
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let first = splitter
            .split(buffer.get(..count).unwrap_or_default())
            .next();
        if let Some(frame) = first {
            return Ok(frame
                .map_err(|error| ClientError::BadAnswer(error.to_string()))
                .and_then(|frame| answer_in::<R>(frame)));
        }
    }
}

fn answer_in<R: Request>(frame: Frame<'_>) -> Result<R::Answer, ClientError> {
    if frame.kind != FrameKind::Response {
        let text = format!("a {:?} frame came for an answer", frame.kind);
        return Err(ClientError::BadAnswer(text));
    }
    match response(frame.body)?.answer {
        Answer::Done(output) => Ok(read_answer::<R>(output)?),
        Answer::Refused(refusal) => Err(ClientError::Refused(refusal)),
    }
}

fn deadline(timeout: Duration) -> u64 {
    now_ns().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
}

/// The time that is left; an error of the kind `TimedOut` when none is.
fn left(deadline_ns: u64) -> std::io::Result<Duration> {
    match deadline_ns.saturating_sub(now_ns()) {
        0 => Err(std::io::ErrorKind::TimedOut.into()),
        left_ns => Ok(Duration::from_nanos(left_ns)),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock
    )
}

fn unreached(address: &str, error: &std::io::Error) -> ClientError {
    ClientError::NotReached {
        addresses: address.to_owned(),
        reason: error.to_string(),
    }
}
