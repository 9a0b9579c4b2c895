//! What one durable write costs that carries an entry of each of many groups: append, submit, report.
//!
//! The disk costs nothing. One iteration appends one command of 256 bytes in every group.

mod ground;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ground::Stand;
use std::cell::RefCell;
use std::time::Duration;

const COMMAND_BYTES: usize = 256;

fn group_commit(criterion: &mut Criterion) {
    let payload = [7; COMMAND_BYTES];
    let mut benches = criterion.benchmark_group("group_commit");
    for groups in [1_u32, 32, 1_024] {
        let stand = RefCell::new(Stand::new(groups));
        benches.throughput(Throughput::Elements(u64::from(groups)));
        benches.bench_function(BenchmarkId::from_parameter(groups), |bencher| {
            bencher.iter_batched(
                || stand.borrow_mut().renew_when_full(),
                |()| {
                    let mut stand = stand.borrow_mut();
                    for number in 0..groups {
                        stand.append(number, &payload);
                    }
                    stand.settle()
                },
                BatchSize::PerIteration,
            );
        });
    }
    benches.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
}

criterion_group! { name = benches; config = short(); targets = group_commit }
criterion_main!(benches);
