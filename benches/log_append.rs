//! What it costs to put commands of 256 bytes into batches: one copy, one checksum, the directory.
//!
//! The disk costs nothing. One iteration appends 1,000 entries of one group and lets their writes return.

mod ground;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ground::Stand;
use std::cell::RefCell;
use std::time::Duration;

const ENTRIES: u64 = 1_000;
const COMMAND_BYTES: usize = 256;

fn log_append(criterion: &mut Criterion) {
    let stand = RefCell::new(Stand::new(1));
    let payload = [7; COMMAND_BYTES];
    let mut group = criterion.benchmark_group("log_append");
    group.throughput(Throughput::Elements(ENTRIES));
    group.bench_function("256_bytes", |bencher| {
        bencher.iter_batched(
            || stand.borrow_mut().renew_when_full(),
            |()| {
                let mut stand = stand.borrow_mut();
                for _ in 0..ENTRIES {
                    stand.append(0, &payload);
                }
                stand.settle()
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
}

criterion_group! { name = benches; config = short(); targets = log_append }
criterion_main!(benches);
