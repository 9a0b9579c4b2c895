//! From the command line to the configuration of the node.

use super::arguments::Globals;
use super::console::Console;
use crate::codes::Failure;
use crate::config::{Config, Layers, SETTINGS};
use clap::Args;

/// Options that give settings: those of a server, and of whoever looks at what a server would be told.
#[derive(Args, Debug)]
pub(super) struct SettingOptions {
    /// The node's data directory, made by `format`
    #[arg(long, value_name = "DIR")]
    data: Option<String>,

    /// Settings for a kind of machine: a name, or a file
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,

    /// Cores to run on, a shard on each: auto, 0,2-5, or anywhere:2
    #[arg(long, value_name = "LIST")]
    cores: Option<String>,

    /// One setting, above file and environment; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl SettingOptions {
    /// All that is said about the settings, and what is wrong with it.
    pub(super) fn layers(&self, globals: &Globals) -> Layers {
        let mut layers = ambient(globals, self.profile.as_deref());
        for assignment in &self.set {
            layers.add_set(assignment);
        }
        for (key, text, flag) in [
            ("data", &self.data, "--data"),
            ("shards.cores", &self.cores, "--cores"),
        ] {
            if let Some(text) = text {
                layers.add_flag(key, text.clone(), flag);
            }
        }
        layers
    }
}

/// Everything but the verb's own flags: defaults, profile, file, environment.
pub(super) fn ambient(globals: &Globals, profile: Option<&str>) -> Layers {
    let mut layers = Layers::new();
    if let Some(profile) = profile {
        layers.add_profile(profile);
    }
    if let Some(path) = &globals.config {
        layers.add_file(path);
    }
    layers.add_environment(std::env::vars_os());
    layers
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
    Ok(Config::new(layers)?)
}
