//! What must be true of a run, one promise per file.

pub mod agreement;
pub mod durability;
pub mod replay;
pub mod votes;
