//! What went wrong between this command and a node, as people look it up.

use crate::codes::{Code, Failure};
use margay_client::operator::OperatorError;
use margay_wire::Refusal;

/// Where the name of a node comes from, for the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The nodes to ask, of every verb.
    ByEndpoints,
    /// The list of a bootstrap.
    ByNodes,
}

impl Named {
    const fn remedy(self) -> &'static str {
        match self {
            Self::ByEndpoints => "or name nodes that run by --endpoints or MARGAY_ENDPOINTS",
            Self::ByNodes => "or correct its address in --nodes",
        }
    }
}

/// The situation behind an error of the operator's client, with its facts and its remedy.
pub(super) fn operator_failure(error: OperatorError, named: Named) -> Failure {
    match error {
        OperatorError::NoAddress => Failure::new(Code::Unreachable)
            .with("reason", "no node to ask was given")
            .remedy("name nodes that run by --endpoints or MARGAY_ENDPOINTS"),
        OperatorError::NameNotResolved { address, reason } => Failure::new(Code::NameNotResolved)
            .with("node", address)
            .with("reason", reason)
            .remedy("check the spelling, or give the IP address of the node"),
        OperatorError::NotReached { address, reason } => Failure::new(Code::Unreachable)
            .with("node", address)
            .with("reason", reason)
            .remedy("start the node,")
            .remedy(named.remedy()),
        OperatorError::TimedOut { address } => Failure::new(Code::TimedOut)
            .with("node", address)
            .with("changed", "nothing")
            .remedy("repeat the command, with a longer --timeout if the node is busy,")
            .remedy(named.remedy()),
        OperatorError::OutcomeUnknown { address, reason } => Failure::new(Code::OutcomeUnknown)
            .with("node", address)
            .with("reason", reason)
            .remedy("repeat the very same command: what was carried out is not done again"),
        OperatorError::NotMargay { address, reason } => Failure::new(Code::NotMargay)
            .with("node", address)
            .with("reason", reason)
            .remedy("give the address of a Margay node; its default port is 7400"),
        OperatorError::OtherProtocol {
            address,
            protocol_min,
            protocol_max,
        } => Failure::new(Code::OtherProtocol)
            .with("node", address)
            .with(
                "speaks",
                format!("protocol {protocol_min} to {protocol_max}"),
            )
            .remedy("use the binary of the cluster's version"),
        OperatorError::OtherCluster { address } => Failure::new(Code::Refused)
            .with("node", address)
            .with("reason", "it belongs to another cluster")
            .remedy("name nodes of one cluster only"),
        OperatorError::Refused { address, refusal } => refused(&address, &refusal),
        OperatorError::TooLarge { reason } => {
            Failure::new(Code::ValueRefused).with("reason", reason)
        }
    }
}

/// A node's no.
fn refused(address: &str, refusal: &Refusal) -> Failure {
    let reason = |code| {
        Failure::new(code)
            .with("node", address)
            .with("reason", refusal)
    };
    if *refusal == Refusal::NotFormed {
        reason(Code::NotFormed).remedy("form a cluster: margay bootstrap --name NAME --nodes LIST")
    } else if refusal.is_transient() && !refusal.is_known_not_applied() {
        reason(Code::OutcomeUnknown)
            .remedy("repeat the very same command: what was carried out is not done again")
    } else if refusal.is_transient() {
        reason(Code::TimedOut)
            .with("changed", "nothing")
            .remedy("repeat the command, with a longer --timeout;")
            .remedy("margay status   shows what the cluster waits for")
    } else {
        reason(Code::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::Term;

    const REFUSED: fn(Refusal) -> OperatorError = |refusal| OperatorError::Refused {
        address: "n1:7400".to_owned(),
        refusal,
    };

    #[test]
    fn each_error_has_the_exit_code_of_what_it_lets_conclude() {
        let address = || "n1:7400".to_owned();
        let reason = || "so".to_owned();
        let (leader, term) = (None, Term::new(2));
        for (error, exit) in [
            (OperatorError::NoAddress, 4),
            (
                OperatorError::NameNotResolved {
                    address: address(),
                    reason: reason(),
                },
                4,
            ),
            (OperatorError::TimedOut { address: address() }, 4),
            (
                OperatorError::OutcomeUnknown {
                    address: address(),
                    reason: reason(),
                },
                6,
            ),
            (OperatorError::OtherCluster { address: address() }, 5),
            (
                OperatorError::OtherProtocol {
                    address: address(),
                    protocol_min: 8,
                    protocol_max: 9,
                },
                3,
            ),
            (REFUSED(Refusal::NotLeader { leader, term }), 4),
            (REFUSED(Refusal::LeadershipLost { leader, term }), 6),
            (REFUSED(Refusal::NotFormed), 5),
            (REFUSED(Refusal::BadRequest), 5),
        ] {
            let failure = operator_failure(error.clone(), Named::ByEndpoints);
            assert_eq!(failure.exit().number(), exit, "{error:?}");
        }
    }
}
