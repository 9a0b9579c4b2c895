//! Who gets a place when there are fewer places than connections.
//!
//! ```text
//!   clients_max          clients                 refused with a code when these are taken
//!   OPERATORS_RESERVED   operators beyond them   so that somebody can look why
//!   PEERS_RESERVED       greetings, and peers    a newcomer takes the place of whoever has been silent longest
//! ```
//!
//! Without the last rule strangers that connect and say nothing would keep peers out as long as they come again.

use super::connection::{Greeting, Phase};
use super::driven::Core;
use super::limits::{DISPLACED_MAX, EARLY_SOCKETS_MAX, OPERATORS_RESERVED, PEERS_RESERVED};
use super::network::{Network, Surroundings};
use super::notice::Notice;
use super::slots::Key;
use margay_wire::HelloKind;

impl Network {
    /// Makes a place for a connection that was just made, if need be at the cost of the one whose hello has been
    /// awaited longest; tells whoever had to go. False when there is none to be made.
    pub(super) fn make_place<C: Core>(&mut self, around: &mut Surroundings<'_, C>) -> bool {
        let taken = self.connections.len();
        let places = self.limits.clients_max + PEERS_RESERVED;
        if taken < places {
            return true;
        }
        let is_soon_free = taken < places + DISPLACED_MAX;
        let victim = is_soon_free.then(|| self.longest_greeting()).flatten();
        let (text, is_made) = match victim {
            Some(key) => (format!("{} said nothing", self.remote(key)), true),
            None => ("nobody is silent".to_owned(), false),
        };
        let text = format!("{} clients at most, {text}", self.limits.clients_max);
        self.notices
            .tell(Notice::TooManyConnections, around.now_ns, &text);
        if let Some(key) = victim {
            self.end(key, around);
        }
        is_made
    }

    /// May one more connection, beside so many, wait for the shard to be there?
    pub(super) fn may_wait(&self, waiting: usize) -> bool {
        waiting < EARLY_SOCKETS_MAX.min(self.limits.clients_max + PEERS_RESERVED)
    }

    /// Is there a place for one that has said what it is?
    pub(super) fn has_place_for(&self, kind: HelloKind) -> bool {
        match kind {
            HelloKind::Client => self.clients < self.limits.clients_max,
            HelloKind::Admin => self.clients < self.limits.clients_max + OPERATORS_RESERVED,
            HelloKind::Peer => true,
        }
    }

    /// The stranger that has been silent longest.
    fn longest_greeting(&self) -> Option<Key> {
        let is_silent = |key: &Key| {
            let phase = self.connections.find(*key).map(|found| &found.phase);
            matches!(phase, Some(Phase::Greeting(Greeting { dialed: None, .. })))
        };
        let mut oldest_first = self.deadlines.iter().map(|(_, key)| *key);
        oldest_first.find(is_silent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::NetworkLimits;
    use super::super::outbox::Outgoing;
    use super::*;
    use margay_types::ShardId;

    #[test]
    fn so_many_sockets_wait_for_a_shard_that_recovers_and_no_more() {
        let limits = |clients_max| NetworkLimits {
            clients_max,
            handshake_timeout_ns: 1,
        };
        let network = |limits| Network::new(ShardId::FIRST, Outgoing::new(1), limits, 1);
        let many = network(limits(8_192));
        assert!(many.may_wait(EARLY_SOCKETS_MAX - 1));
        assert!(!many.may_wait(EARLY_SOCKETS_MAX));
    }
}
