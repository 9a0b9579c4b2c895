//! Which Margay this is.

use std::sync::OnceLock;

/// Version and, where whoever built it said so, commit: `0.1.0 (4be1c02)`.
///
/// The commit comes from `MARGAY_COMMIT` in the environment of the build, so that a source archive without its
/// history builds all the same.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    let version = env!("CARGO_PKG_VERSION");
    VERSION.get_or_init(|| match option_env!("MARGAY_COMMIT") {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    })
}
