//! The machines that come with Margay, one file each, with the types of their operations.
//!
//! * `bench` — what the load generator drives; its outputs prove exactly-once.
//! * `map` — byte keys and values with versions, for compare-and-set.

#![no_std]

extern crate alloc;

pub mod bench;
pub mod map;

use margay_machine::Registry;

/// Adds the ready machines, under the names that keyspaces know them by.
#[must_use]
pub fn ready_machines(registry: Registry) -> Registry {
    registry
        .machine::<bench::Bench>("bench")
        .machine::<map::Map>("map")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_ready_machines_are_known_by_name() {
        let registry = ready_machines(Registry::new());
        assert_eq!(registry.names().collect::<Vec<_>>(), ["bench", "map"]);
        assert_eq!(registry.takes_options("bench", &[]), Ok(true));
        assert!(registry.takes_options("lock", &[]).is_err());
    }
}
