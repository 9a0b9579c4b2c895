//! What it costs to cut what a socket received into frames, and to look into them.
//!
//! * `commands`: 200 commands of 256 bytes in one piece: frames, attachments, command headers.
//! * `append`: one append of 64 records of 256 bytes: the frame, its head, each record with its checksum.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use margay::storage::record::{self, RecordFields, RecordKind};
use margay_machine::{CommandHeader, CommandView};
use margay_raft::{AppendEntries, EntryKind, Position, Round};
use margay_types::{GroupId, Index, OperationId, ReplicaNumber, SequenceNumber, SessionId, Term};
use margay_wire::Splitter;
use margay_wire::client::{Attachment, Command, command};
use margay_wire::peer::{AppendHead, Envelope, append};
use std::hint::black_box;
use std::time::Duration;

const COMMANDS: u64 = 200;
const RECORDS: u64 = 64;
const COMMAND_BYTES: usize = 256;

fn payload(sequence: u64) -> Vec<u8> {
    let sequence = SequenceNumber::new(sequence);
    let header = CommandHeader::new(SessionId::new(9), sequence, sequence, OperationId::new(1));
    [header.bytes(), &[7; COMMAND_BYTES]].concat()
}

fn commands() -> Vec<u8> {
    let mut out = Vec::new();
    for number in 1..=COMMANDS {
        let payload = payload(number);
        let attachment = Attachment(3);
        Command {
            attachment,
            payload: &payload,
        }
        .write(&mut out, number);
    }
    out
}

fn appended() -> Vec<u8> {
    let term = Term::new(2);
    let records: Vec<u8> = (1..=RECORDS)
        .flat_map(|index| {
            let fields = RecordFields {
                kind: RecordKind::Entry(EntryKind::CommandPlain),
                group: GroupId::new(7),
                term,
                index: Index::new(index),
                time: index,
            };
            record::encode(&fields, &payload(index))
        })
        .collect();
    let envelope = Envelope {
        group: GroupId::new(7),
        from: ReplicaNumber::new(1),
        to: ReplicaNumber::new(2),
    };
    let entries = AppendEntries {
        term,
        previous: Position::default(),
        last: Index::new(RECORDS),
        may_shorten: false,
        commit_index: Index::ZERO,
        stable_index: Index::ZERO,
        round: Round(1),
    };
    let mut out = Vec::new();
    AppendHead::new(envelope, &entries).write(&mut out, records.len());
    out.extend_from_slice(&records);
    out
}

fn frame_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame_decode");
    let (piece, mut splitter) = (commands(), Splitter::default());
    group.throughput(Throughput::Elements(COMMANDS));
    group.bench_function("commands", |bencher| {
        bencher.iter(|| {
            for frame in splitter.split(black_box(&piece)) {
                let taken = command(frame.expect("frames").body).expect("commands");
                black_box(CommandView::decode(taken.payload).expect("command headers"));
            }
        });
    });
    let (piece, mut splitter) = (appended(), Splitter::default());
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("append", |bencher| {
        bencher.iter(|| {
            for frame in splitter.split(black_box(&piece)) {
                let (_, entries, records) =
                    append(frame.expect("a frame").body).expect("an append");
                black_box(entries);
                for found in record::records(records) {
                    black_box(found.expect("records").entry());
                }
            }
        });
    });
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
}

criterion_group! { name = benches; config = short(); targets = frame_decode }
criterion_main!(benches);
