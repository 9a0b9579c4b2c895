//! What this host allows a test to do to a process: name spaces of its own, devices, other users.
//!
//! A name space takes root, or a user name space in which the process is called root. Where neither is allowed a test
//! says `SKIPPED` with the reason and passes: it has shown nothing there, and says so.

use std::process::{Command, Stdio};

/// Are we root outside of any name space of our own?
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a test shows nothing on this host, and why.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// The words in front of a program that give it name spaces of its own, such as `--mount`; nothing, and a line that
/// says so, where the host does not allow them.
pub(crate) fn name_spaces(wanted: &[&str]) -> Option<Vec<String>> {
    let mut words = vec!["unshare"];
    if !is_root() {
        words.push("--map-root-user");
    }
    words.extend(wanted);
    let mut tried = Command::new(words[0]);
    tried.args(&words[1..]).arg("true").stderr(Stdio::null());
    if tried.status().is_ok_and(|ended| ended.success()) {
        return Some(words.into_iter().map(str::to_owned).collect());
    }
    skip(&format!(
        "name spaces {wanted:?} take root, or user name spaces"
    ));
    None
}

/// The words in front of a program that run a line of shell first, and then become the program. `$0` is `argument`.
pub(crate) fn after(shell: &str, argument: &str) -> Vec<String> {
    let script = format!("{shell} && exec \"$@\"");
    ["sh", "-c", &script, argument].map(str::to_owned).to_vec()
}
