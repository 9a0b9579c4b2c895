//! From the command line to the configuration of the node.

use super::arguments::Globals;
use super::console::Console;
use crate::codes::Failure;
use crate::config::{Config, Layers, SETTINGS};
use std::path::Path;

/// Everything but the verb's own flags: defaults, profile, file, environment.
///
/// # Errors
/// What is wrong with one of them.
pub(super) fn ambient(globals: &Globals, profile: Option<&str>) -> Result<Layers, Failure> {
    let mut layers = Layers::new();
    if let Some(profile) = profile {
        layers.add_profile(profile)?;
    }
    if let Some(path) = &globals.config {
        layers.add_file(path)?;
    }
    layers.add_environment(std::env::vars_os().filter_map(|(name, value)| {
        // What is not text is no setting.
        Some((name.into_string().ok()?, value.into_string().ok()?))
    }))?;
    Ok(layers)
}

/// A flag of the verb that names a path.
pub(super) fn add_path(
    layers: &mut Layers,
    key: &str,
    path: Option<&Path>,
    flag: &str,
) -> Result<(), Failure> {
    match path {
        Some(path) => layers.add_flag(key, path.display().to_string(), flag),
        None => Ok(()),
    }
}

/// What the layers mean; with `-v`, prints where each value comes from.
///
/// # Errors
/// What is wrong with a value.
pub(super) fn resolve(console: &Console, layers: &Layers) -> Result<Config, Failure> {
    for setting in SETTINGS {
        if let Some((text, source)) = layers.get(setting.key) {
            console.detail(&format!("{:<22}{text:<22}{source}", setting.key));
        }
    }
    Config::new(layers)
}
