//! The command line as people and scripts meet it: the binary is run, and its text and exit code are looked at.

mod check;
mod cluster;
mod config;
mod data_directory;
mod dev;
mod explain;
mod inspect;
mod parsing;
mod settings;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// How a run of `margay` ended.
#[derive(Debug)]
struct Run {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Demands an exit code, and that standard error has all of `words`.
    fn fails_with(&self, exit: i32, words: &[&str]) {
        assert_eq!(self.exit, exit, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing: {self:?}");
        }
    }

    /// Demands success, and gives what was printed.
    fn succeeds(&self) -> &str {
        assert_eq!(self.exit, 0, "{self:?}");
        &self.stdout
    }
}

/// Runs `margay` in an environment without any of its variables.
fn margay<A: AsRef<OsStr>>(arguments: &[A]) -> Run {
    margay_with(arguments, &[])
}

/// Runs `margay` with variables.
fn margay_with<A: AsRef<OsStr>>(arguments: &[A], variables: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_margay"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MARGAY_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the binary was built");
    Run {
        exit: status.code().expect("no signal ended it"),
        stdout: String::from_utf8(stdout).expect("it prints text"),
        stderr: String::from_utf8(stderr).expect("it prints text"),
    }
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
