//! The counter and the rate limiter of the manual, as their author would write and test them.

use margay_machine::testing::{self, Drawn, Host, Random, Workload};
use margay_machine::{
    Answer, Apply, Commit, Context, LogTime, Machine, Never, Residual, View, operations, shared,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Add {
    by: i64,
}

#[derive(Serialize, Deserialize)]
struct Get;

struct Counter {
    value: i64,
}

operations! { Counter { command 1 Add; query 1 Get; residual } }

impl Machine for Counter {
    type Options = ();
    type Event = Never;

    fn new((): ()) -> Self {
        Self { value: 0 }
    }
}

impl Apply<Add> for Counter {
    type Output = i64;

    fn apply(&mut self, commit: Commit<Add>, _: &mut Context<Self>) -> i64 {
        self.value = self.value.wrapping_add(commit.command.by);
        self.value
    }
}

impl Answer<Get> for Counter {
    type Output<'a> = i64;

    fn answer(&self, _: Get, _: &View) -> i64 {
        self.value
    }
}

impl Residual for Counter {
    type Frozen = i64;

    fn freeze(&self) -> i64 {
        self.value
    }

    fn restore((): (), value: i64) -> Self {
        Self { value }
    }
}

impl Workload for Counter {
    fn draw(random: &mut Random) -> Drawn<Self> {
        Drawn::command(&Add {
            by: random.below(100) as i64 - 50,
        })
    }
}

#[test]
fn a_counter_counts() {
    let mut host = Host::<Counter>::new();
    let session = host.open();
    assert_eq!(host.call(session, &Add { by: 2 }), 2);
    assert_eq!(host.call(session, &Add { by: 3 }), 5);
    host.rebuild();
    assert_eq!(host.query(session, &Get, |value| value), 5);
}

#[test]
fn the_law_holds_for_the_counter() {
    testing::check::<Counter>(testing::seeds(200));
}

const NANOS: u128 = 1_000_000_000;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Policy {
    per_second: u32,
    burst: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            per_second: 2,
            burst: 4,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Take<'a> {
    key: &'a str,
    tokens: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Bucket {
    nano_tokens: u128,
    filled_ns: u64,
}

struct Limiter {
    options: Policy,
    buckets: shared::Map<String, Bucket>,
}

operations! { Limiter { command 1 Take<'_>; residual } }

impl Machine for Limiter {
    type Options = Policy;
    type Event = Never;

    fn new(options: Policy) -> Self {
        Self {
            options,
            buckets: shared::Map::new(),
        }
    }
}

impl Apply<Take<'_>> for Limiter {
    type Output = bool;

    fn apply(&mut self, commit: Commit<Take<'_>>, _: &mut Context<Self>) -> bool {
        let full = u128::from(self.options.burst) * NANOS;
        let now = commit.time;
        let bucket = self
            .buckets
            .get_or_insert_with(commit.command.key, || Bucket {
                nano_tokens: full,
                filled_ns: now.number(),
            });
        let elapsed_ns = u128::from(now.since_ns(LogTime::new(bucket.filled_ns)));
        let refill = elapsed_ns * u128::from(self.options.per_second);
        bucket.nano_tokens = full.min(bucket.nano_tokens + refill);
        bucket.filled_ns = now.number();
        let price = u128::from(commit.command.tokens) * NANOS;
        let granted = bucket.nano_tokens >= price;
        if granted {
            bucket.nano_tokens -= price;
        }
        granted
    }
}

impl Residual for Limiter {
    type Frozen = shared::Map<String, Bucket>;

    fn freeze(&self) -> Self::Frozen {
        self.buckets.clone()
    }

    fn restore(options: Policy, buckets: Self::Frozen) -> Self {
        Self { options, buckets }
    }
}

impl Workload for Limiter {
    fn draw(random: &mut Random) -> Drawn<Self> {
        let key = *random.pick(&["a", "b", "a longer key"]);
        Drawn::command(&Take {
            key,
            tokens: random.below(6),
        })
    }
}

#[test]
fn a_burst_is_granted_and_then_tokens_come_with_log_time() {
    let mut host = Host::<Limiter>::new();
    let session = host.open();
    let take = Take {
        key: "k",
        tokens: 4,
    };
    assert!(host.call(session, &take));
    assert!(!host.call(session, &take));
    host.advance(Duration::from_secs(2));
    assert!(host.call(session, &take));
    assert!(!host.call(
        session,
        &Take {
            key: "k",
            tokens: 1
        }
    ));
}

#[test]
fn the_law_holds_for_the_limiter() {
    testing::check::<Limiter>(testing::seeds(200));
}

#[test]
fn no_bytes_make_their_decoding_panic() {
    testing::check_decoding::<Counter>(testing::seeds(1_000));
    testing::check_decoding::<Limiter>(testing::seeds(1_000));
}

struct Stateless;

operations! { Stateless { query 1 Get; stateless } }

impl Machine for Stateless {
    type Options = ();
    type Event = Never;

    fn new((): ()) -> Self {
        Self
    }
}

impl Answer<Get> for Stateless {
    type Output<'a> = u64;

    fn answer(&self, _: Get, view: &View) -> u64 {
        view.index.number()
    }
}

#[test]
fn a_machine_may_have_no_state() {
    let mut host = Host::<Stateless>::new();
    let session = host.open();
    host.rebuild();
    assert_eq!(host.query(session, &Get, |index| index), 1);
}
