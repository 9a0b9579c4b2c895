//! Recovery: from the bytes of a crashed log to what every group may do.
//!
//! ```text
//!   manifest ──> live segments ──read──> bytes ──scan──> batches with good headers, dead and alive
//!                                                             │ chain: which of them are the log
//!                                                             v
//!   groups <──verdict── merged groups <──merge── facts <──── batches of the log, torn tail cut, damage named
//!                                                             │ restart
//!                                                             v
//!                        kept segments synced · manifest · restart batch durable ──> Log
//! ```
//!
//! Everything between reading and restarting is a pure function of the bytes, so neither the order of scanning nor
//! an interrupted recovery before this one can change what comes out.

pub(crate) mod chain;
pub(crate) mod merge;
pub(crate) mod read;
pub(crate) mod runs;
pub(crate) mod scan;
pub(crate) mod verdict;

pub use merge::{EntryFacts, FoundCheckpoint, Origin, Place};
pub use verdict::{Damage, GroupStatus, RecoveredGroup, TermRun};
