//! A machine whose author makes every mistake on request: it counts, answers at length, and panics.

use margay::admin::system::System;
use margay_machine::{
    Answer, Apply, Commit, Context, Decode, DecodeError, Encode, Machine, Never, Registry,
    Residual, View, operations,
};
use margay_wire::admin::system;
use serde::{Deserialize, Serialize};
use std::cell::Cell;

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(0) };
    static BROKEN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The node at this place has its turn.
pub(crate) fn enter(place: usize) {
    PLACE.set(place);
}

/// Machines of the node at this place panic at whatever they apply.
pub(crate) fn break_at(place: usize) {
    BROKEN.set(Some(place));
}

/// Counts once, and answers with so many bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) answer_bytes: u32,
    pub(crate) filler: Vec<u8>,
}

/// Brings the machine down.
#[derive(Serialize, Deserialize)]
pub(crate) struct Panic;

/// Asks how often it counted.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counted;

/// Options that only take room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filler(Vec<u8>);

impl Decode<'_> for Filler {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(bytes.to_vec()))
    }
}

impl Encode for Filler {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

pub(crate) struct Counter {
    counted: u64,
}

operations! { Counter { command 1 Count; command 2 Panic; query 1 Counted; residual } }

impl Machine for Counter {
    type Options = Filler;
    type Event = Never;

    fn new(_: Filler) -> Self {
        Self { counted: 0 }
    }
}

impl Apply<Count> for Counter {
    type Output = (u64, Vec<u8>);
    const OUTPUT_BYTES_MAX: usize = 64 << 10;

    fn apply(&mut self, commit: Commit<Count>, _: &mut Context<Self>) -> (u64, Vec<u8>) {
        assert!(BROKEN.get() != Some(PLACE.get()), "this node is broken");
        self.counted += 1;
        (self.counted, vec![0; commit.command.answer_bytes as usize])
    }
}

impl Apply<Panic> for Counter {
    type Output = u64;

    fn apply(&mut self, _: Commit<Panic>, _: &mut Context<Self>) -> u64 {
        panic!("as it was asked to");
    }
}

impl Answer<Counted> for Counter {
    type Output<'a> = u64;

    fn answer(&self, _: Counted, _: &View) -> u64 {
        self.counted
    }
}

impl Residual for Counter {
    type Frozen = u64;

    fn freeze(&self) -> u64 {
        self.counted
    }

    fn restore(_: Filler, counted: u64) -> Self {
        Self { counted }
    }
}

pub(crate) fn registry() -> Registry {
    Registry::new()
        .machine::<System>(system::MACHINE)
        .machine::<Counter>("counter")
}
