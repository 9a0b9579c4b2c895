//! Words that belong to one place: whoever needs a socket, a file, a clock or `unsafe` elsewhere needs a seam.

use crate::source::{Finding, Source, demand_nothing, rust_files, words};

/// A word, where it may stand, and why there.
struct Confined {
    word: &'static str,
    places: &'static [&'static str],
    reason: &'static str,
}

/// Why nobody looks at the wall clock: it is set, and jumps.
const WALL_CLOCK: &str = "no wall clock decides anything; folders of reports are named by it";

const CONFINED: [Confined; 13] = [
    Confined {
        word: "glommio::",
        places: &["src/runtime/", "src/client/glommio.rs"],
        reason: "executors are the runtime's; the client has a driver for users of glommio",
    },
    Confined {
        word: "io_uring::",
        places: &["src/runtime/", "loadgen/floor.rs"],
        reason: "one ring per core; the generator measures the bare device",
    },
    Confined {
        word: "std::fs",
        places: &[
            "src/runtime/",
            "src/command/",
            "src/config/",
            "loadgen/",
            "tests/",
        ],
        reason: "the server's files go through `storage::Disk`; commands are ordinary programs",
    },
    Confined {
        word: "std::net",
        places: &[
            "src/runtime/",
            "src/command/",
            "src/client/epoll.rs",
            "src/client/operator/",
            "src/client/fake_server.rs",
            "loadgen/",
            "tests/",
        ],
        reason: "sockets belong to drivers; everything else takes bytes",
    },
    Confined {
        word: "Instant::now",
        places: &["src/runtime/clock.rs", "loadgen/clock.rs", "tests/cluster/"],
        reason: "time is an input",
    },
    Confined {
        word: "SystemTime",
        places: &["loadgen/clock.rs"],
        reason: "no wall clock decides anything; reports carry a date",
    },
    Confined {
        word: "UNIX_EPOCH",
        places: &["loadgen/interval_log.rs"],
        reason: WALL_CLOCK,
    },
    Confined {
        word: "ClockId::Realtime",
        places: &["loadgen/directory.rs"],
        reason: WALL_CLOCK,
    },
    Confined {
        word: "ClockId::RealtimeCoarse",
        places: &[],
        reason: WALL_CLOCK,
    },
    Confined {
        word: "CLOCK_REALTIME",
        places: &[],
        reason: WALL_CLOCK,
    },
    Confined {
        word: "clock_gettime",
        places: &[
            "src/runtime/clock.rs",
            "src/client/clock.rs",
            "loadgen/directory.rs",
        ],
        reason: "each side has one clock, and time is an input to the rest",
    },
    Confined {
        word: "tokio",
        places: &[
            "src/admin/http.rs",
            "src/client/lib.rs",
            "src/client/tokio/",
            "src/client/examples/",
            "src/doors/",
        ],
        reason: "a shard never waits for another executor; the client has a driver for its users",
    },
    Confined {
        word: "unsafe",
        places: &[
            "src/storage/block.rs",
            "src/runtime/ring.rs",
            "src/runtime/buffers.rs",
            "loadgen/floor.rs",
        ],
        reason: "aligned memory, and what the kernel reads and writes behind the compiler's back",
    },
];

const REMEDY: &str = "use the seam, or name the file with its reason in tests/tidy/confined.rs";

fn confined_words(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for confined in &CONFINED {
        if source.is_in(confined.places) {
            continue;
        }
        for (line, code) in source.code_lines() {
            if words(code, confined.word).next().is_some() {
                let rule = format!("`{}` does not belong here", confined.word);
                findings.push(source.finding(line, rule, REMEDY));
            }
        }
    }
    findings
}

#[test]
fn confined_words_stay_where_they_belong() {
    let findings: Vec<Finding> = rust_files().iter().flat_map(confined_words).collect();
    demand_nothing(&findings);
}

#[test]
fn every_confined_word_is_found_elsewhere_and_only_in_code() {
    for confined in &CONFINED {
        assert!(!confined.reason.is_empty());
        let text = format!("//! {w}\nfn f() {{ {w} }}\n", w = confined.word);
        let findings = confined_words(&Source::new("src/raft/role.rs", &text));
        assert_eq!(findings.len(), 1, "{}: {findings:?}", confined.word);
        assert_eq!(findings[0].line, 2);
    }
}

#[test]
fn a_confined_word_is_left_alone_in_its_place() {
    let text = "use std::fs; use glommio::X;";
    assert_eq!(
        confined_words(&Source::new("src/runtime/disk.rs", text)),
        []
    );
}
