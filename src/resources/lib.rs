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
