//! From `HOST:PORT` to addresses, with a deadline.
//!
//! The system's resolver waits as long as its configuration says, and cannot be called back. It runs on a thread
//! of its own; when it is late, that thread ends by itself, and what it found is dropped.

use super::deadline::Deadline;
use super::error::OperatorError;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

/// All addresses behind a name, in the resolver's order. An address stands for itself and asks nobody.
///
/// # Errors
/// `NameNotResolved`, with what the resolver said or that it said nothing in time.
pub(super) fn resolve(name: &str, deadline: Deadline) -> Result<Vec<SocketAddr>, OperatorError> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let refused = |reason: String| OperatorError::NameNotResolved {
        address: name.to_owned(),
        reason,
    };
    let (sender, receiver) = channel();
    let asked = name.to_owned();
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let found = asked.to_socket_addrs().map(Vec::from_iter);
            // Whoever asked may be gone.
            let _ = sender.send(found);
        })
        .map_err(|error| refused(error.to_string()))?;
    match receiver.recv_timeout(deadline.left().unwrap_or_default()) {
        Ok(Ok(found)) if found.is_empty() => Err(refused("the name has no address".to_owned())),
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(refused(error.to_string())),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            Err(refused("the resolver did not answer in time".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_resolves_to_itself_and_needs_no_time() {
        let found = resolve("[::1]:7401", Deadline::after(Duration::ZERO));
        let itself = "[::1]:7401".parse().expect("an address");
        assert_eq!(found, Ok(vec![itself]));
    }

    #[test]
    fn a_name_that_has_no_time_is_not_resolved() {
        let refused = resolve("nowhere.invalid:7400", Deadline::after(Duration::ZERO));
        let error = refused.expect_err("nobody waits");
        assert!(
            matches!(&error, OperatorError::NameNotResolved { address, .. }
                if address == "nowhere.invalid:7400"),
            "{error:?}"
        );
    }
}
