//! All replicas of one core: puts `raft`, `machine` and `storage` together, turn by turn.

pub mod clock;
pub mod outbox;

pub use clock::Clock;
pub use outbox::{ConnectionId, Outbox, PeerAddress, PeerId};
