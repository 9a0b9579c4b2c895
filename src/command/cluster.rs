//! One question to a cluster: to whichever of its nodes can answer it.
//!
//! Nodes that cannot be reached are passed over. A refusal that will go away by itself (an election is under
//! way) is waited out, as long as the deadline allows; a node that knows the leader sends us there.

use super::arguments::Globals;
use super::connection::{Effect, NoAnswer, ask};
use super::deadline::Deadline;
use super::endpoint::Endpoint;
use crate::codes::{Code, Failure};
use margay_types::NodeId;
use margay_wire::Refusal;
use margay_wire::admin::{MapRequest, Request};
use std::time::Duration;

/// Between two attempts while the cluster makes up its mind.
const PAUSE: Duration = Duration::from_millis(50);

/// The nodes that a command may ask.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    endpoints: &'a [Endpoint],
    deadline: Deadline,
}

/// What one round of asking came to.
enum Round<T> {
    Answered(T),
    /// Somebody will be able to answer soon.
    Later(Failure),
    Never(Failure),
}

impl<'a> Cluster<'a> {
    /// Behind the endpoints of the command line, for as long as its timeout.
    pub(super) fn new(globals: &'a Globals) -> Self {
        Self {
            endpoints: &globals.endpoints,
            deadline: Deadline::after(globals.timeout),
        }
    }

    /// Asks until somebody answers.
    ///
    /// # Errors
    /// The last failure, when nobody can be reached, time is over, or the cluster says no.
    pub(super) fn ask<R: Request>(
        &self,
        request: &R,
        effect: Effect,
    ) -> Result<R::Answer, Failure> {
        loop {
            match self.round(request, effect) {
                Round::Answered(answer) => return Ok(answer),
                Round::Never(failure) => return Err(failure),
                Round::Later(failure) => {
                    if !self.deadline.pause(PAUSE) {
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Asks one node once.
    ///
    /// # Errors
    /// Its refusal, or that it cannot be reached.
    pub(super) fn ask_node<R: Request>(
        &self,
        endpoint: &Endpoint,
        request: &R,
        effect: Effect,
    ) -> Result<R::Answer, NoAnswer> {
        ask(endpoint, request, effect, self.deadline)
    }

    fn round<R: Request>(&self, request: &R, effect: Effect) -> Round<R::Answer> {
        let mut last = Failure::new(Code::Unreachable).with("reason", "no endpoint was given");
        let mut is_transient = false;
        for endpoint in self.endpoints {
            let mut outcome = self.ask_node(endpoint, request, effect);
            if let Some(leader) = self.leader_told(endpoint, &outcome) {
                outcome = self.ask_node(&leader, request, effect);
            }
            match outcome {
                Ok(answer) => return Round::Answered(answer),
                Err(NoAnswer::Failed(failure)) => last = failure,
                Err(NoAnswer::Refused(refusal)) => {
                    last = refused(endpoint, &refusal);
                    if !refusal.is_transient() {
                        return Round::Never(last);
                    }
                    is_transient = true;
                }
            }
        }
        if is_transient {
            Round::Later(last)
        } else {
            Round::Never(last)
        }
    }

    /// Where the leader is that a refusal names.
    fn leader_told<T>(
        &self,
        endpoint: &Endpoint,
        outcome: &Result<T, NoAnswer>,
    ) -> Option<Endpoint> {
        let Err(NoAnswer::Refused(Refusal::NotLeader { leader, .. })) = outcome else {
            return None;
        };
        self.address_of(endpoint, (*leader)?)
    }

    fn address_of(&self, endpoint: &Endpoint, node: NodeId) -> Option<Endpoint> {
        let map = self.ask_node(endpoint, &MapRequest, Effect::Reads).ok()?;
        map.node(node)?.address.parse().ok()
    }
}

/// A node's no, as people look it up.
pub(super) fn refused(endpoint: &Endpoint, refusal: &Refusal) -> Failure {
    let reason = |code| {
        Failure::new(code)
            .with("node", endpoint)
            .with("reason", refusal)
    };
    if *refusal == Refusal::NotFormed {
        reason(Code::NotFormed).remedy("form a cluster: margay bootstrap --name NAME --nodes LIST")
    } else if *refusal == Refusal::VersionRefused {
        reason(Code::OtherProtocol).remedy("use the binary of the cluster's version")
    } else if refusal.is_transient() {
        reason(Code::TimedOut)
    } else {
        reason(Code::Refused)
    }
}
