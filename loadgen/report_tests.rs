//! The object of a made-up run, key by key.

use super::*;
use crate::facts::Disk;

/// A run with every part filled in.
pub(crate) fn report() -> Report {
    let latency_us = LatencyUs {
        min: 310.5,
        p50: 900.0,
        p90: 1_500.25,
        p99: 4_800.0,
        p999: 12_000.0,
        p9999: 48_000.0,
        max: 61_000.0,
    };
    let write = Operation {
        count: 1_000_000,
        errors: 0,
        per_s: 200_000.0,
        latency_us,
    };
    Report {
        schema: SCHEMA,
        margay: Margay::parse("0.1.0 (4be1c02)"),
        host: host(),
        cluster: Topology {
            spawned: true,
            nodes: 3,
            shards: 1,
            groups: 4,
            machine: "bench",
        },
        workload: Shape {
            clients: 64,
            in_flight: 16,
            size_bytes: 256,
            reads: 0.0,
            level: "linearizable",
            read_from: "leader",
            rate_per_s: None,
            arrival: None,
            warmup_s: 1.0,
            duration_s: 5.0,
        },
        operations: Operations {
            write: Some(write),
            read: None,
        },
        server_cpu_us_per_operation: Some(4.5),
        client_cpu_us_per_operation: Some(0.9),
        server_rss_bytes_max: Some(123_000_000),
        log_bytes_per_operation: Some(1_536.5),
        floor: Some(Floor {
            sync_write_us_p50: 380.0,
            round_trip_us_p50: 21.0,
        }),
        durable: Some("proven"),
        check: Some(Checked {
            commands: 1_200_345,
            applied_exactly_once: true,
            replicas_agree: true,
            index: 300_112,
            replicas: 3,
            effect_chain: "5c1e90a2b3c4d5e6".to_owned(),
            repeated: 1_199,
        }),
        generator: None,
        per_second: vec![PerSecond {
            second: 1,
            per_s: 200_000.0,
            p99_us: 4_800.0,
            max_us: 61_000.0,
        }],
    }
}

fn host() -> Host {
    Host {
        kernel: "6.18".to_owned(),
        cores: 2,
        cpu: "Fast 9000".to_owned(),
        disk: Some(Disk {
            path: "/tmp/margay-8k2f".to_owned(),
            file_system: "ext4".to_owned(),
            write_cache: Some("write back".to_owned()),
            fua: Some(false),
        }),
        is_virtual: true,
    }
}

#[test]
fn the_object_has_the_keys_that_scripts_rest_on() {
    let golden = concat!(
        r#"{"schema":1,"margay":{"version":"0.1.0","commit":"4be1c02"},"#,
        r#""host":{"kernel":"6.18","cores":2,"cpu":"Fast 9000","disk":{"path":"/tmp/margay-8k2f","#,
        r#""file_system":"ext4","write_cache":"write back","fua":false},"virtual":true},"#,
        r#""cluster":{"spawned":true,"nodes":3,"shards":1,"groups":4,"machine":"bench"},"#,
        r#""workload":{"clients":64,"in_flight":16,"size_bytes":256,"reads":0.0,"#,
        r#""level":"linearizable","read_from":"leader","rate_per_s":null,"arrival":null,"warmup_s":1.0,"#,
        r#""duration_s":5.0},"operations":{"write":{"count":1000000,"errors":0,"per_s":200000.0,"#,
        r#""latency_us":{"min":310.5,"p50":900.0,"p90":1500.25,"p99":4800.0,"p999":12000.0,"#,
        r#""p9999":48000.0,"max":61000.0}}},"server_cpu_us_per_operation":4.5,"#,
        r#""client_cpu_us_per_operation":0.9,"server_rss_bytes_max":123000000,"#,
        r#""log_bytes_per_operation":1536.5,"#,
        r#""floor":{"sync_write_us_p50":380.0,"round_trip_us_p50":21.0},"durable":"proven","#,
        r#""check":{"commands":1200345,"applied_exactly_once":true,"replicas_agree":true,"#,
        r#""index":300112,"replicas":3,"effect_chain":"5c1e90a2b3c4d5e6","repeated":1199},"#,
        r#""per_second":[{"second":1,"per_s":200000.0,"p99_us":4800.0,"max_us":61000.0}]}"#,
    );
    assert_eq!(report().json(), golden);
}

#[test]
fn a_key_that_cannot_be_filled_is_absent() {
    let mut report = report();
    report.floor = None;
    report.check = None;
    report.durable = None;
    report.server_cpu_us_per_operation = None;
    report.log_bytes_per_operation = None;
    let json = report.json();
    for key in [
        "floor",
        "check",
        "durable",
        "server_cpu",
        "generator",
        "log_bytes",
    ] {
        assert!(!json.contains(&format!("\"{key}")), "{key}");
    }
}

/// The same run in an open loop, with some reads.
pub(crate) fn open_report() -> Report {
    let mut report = report();
    report.workload.rate_per_s = Some(200_000);
    report.workload.arrival = Some("poisson");
    report.workload.reads = 0.25;
    report.operations.read = report.operations.write;
    let punctuality = Punctuality {
        late_us_p99: 62.5,
        late_count: 1_204,
        waited_count: 1_100,
        unsent_count: 0,
    };
    report.generator = Some(Generator::new(punctuality, 0, &report.operations));
    report
}

#[test]
fn an_open_loop_tells_its_rate_and_how_late_the_generator_was() {
    let json = open_report().json();
    for part in [
        r#""reads":0.25,"level":"linearizable","read_from":"leader","rate_per_s":200000,"arrival":"poisson","#,
        r#""generator":{"late_us_p99":62.5,"valid":true,"late_count":1204,"waited_count":1100,"#,
        r#""unsent_count":0,"refused_count":0},"#,
    ] {
        assert!(json.contains(part), "{part} is not in {json}");
    }
}

#[test]
fn a_kind_of_which_nothing_was_done_has_no_part_in_the_verdict() {
    let punctuality = Punctuality {
        late_us_p99: 62.5,
        late_count: 0,
        waited_count: 0,
        unsent_count: 0,
    };
    let mut operations = open_report().operations;
    operations.read = Some(Operation::new(Latencies::default(), 0, 1.0));
    assert!(Generator::new(punctuality, 0, &operations).valid);
    operations.write = None;
    assert!(!Generator::new(punctuality, 0, &operations).valid);
}

#[test]
fn a_version_may_come_without_a_commit() {
    let margay = Margay::parse("0.1.0");
    assert_eq!((margay.version.as_str(), margay.commit), ("0.1.0", None));
}
