//! A process that is refused io_uring, as in many containers.
//!
//! A seccomp filter belongs to a thread, and children inherit it: a thread that installs it, runs the child and ends
//! leaves the rest of the test as it was.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::process::{Command, Output};

/// Runs a program to its end; `io_uring_setup` fails with `EPERM` in it.
pub(crate) fn without_io_uring(mut command: Command) -> Output {
    let thread = std::thread::spawn(move || {
        let refused = u32::try_from(libc::EPERM).expect("a small number");
        let filter = SeccompFilter::new(
            BTreeMap::from([(libc::SYS_io_uring_setup, vec![])]),
            SeccompAction::Allow,
            SeccompAction::Errno(refused),
            std::env::consts::ARCH
                .try_into()
                .expect("a known processor"),
        );
        let program: BpfProgram = filter
            .and_then(TryInto::try_into)
            .expect("a filter of one rule");
        seccompiler::apply_filter(&program).expect("every process may bind itself");
        command.output().expect("the program is there")
    });
    thread.join().expect("no check is made there")
}
