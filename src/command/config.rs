//! `margay config reference`: every setting with its default, unit, range and consequence. Nobody is asked.

use super::Outcome;
use super::console::{Console, table};
use crate::codes::Exit;
use crate::config::{Restart, SETTINGS, Setting};
use clap::{Args, Subcommand};
use serde::Serialize;

/// Show what can be set
#[derive(Args, Debug)]
pub(super) struct Config {
    #[command(subcommand)]
    verb: ConfigVerb,
}

/// What to show.
#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// List all settings with their defaults, units and ranges
    Reference,
}

/// All settings.
#[derive(Serialize)]
struct Reference {
    schema: u32,
    settings: Vec<Row>,
}

/// One setting; a number without a range has none, a default that is missing must be given.
#[derive(Serialize)]
struct Row {
    key: &'static str,
    variable: String,
    default: Option<&'static str>,
    unit: &'static str,
    least: Option<u64>,
    greatest: Option<u64>,
    restart_needed: bool,
    consequence: &'static str,
}

impl Config {
    pub(super) fn execute(&self, console: &Console) -> Outcome {
        match self.verb {
            ConfigVerb::Reference => {
                let reference = Reference {
                    schema: 1,
                    settings: SETTINGS.into_iter().map(row).collect(),
                };
                console.result(&reference, text);
            }
        }
        Ok(Exit::Done)
    }
}

fn row(setting: &Setting) -> Row {
    Row {
        key: setting.key,
        variable: setting.variable(),
        default: setting.default,
        unit: setting.unit,
        least: setting.range.map(|(least, _)| least),
        greatest: setting.range.map(|(_, greatest)| greatest),
        restart_needed: match setting.restart {
            Restart::Needed => true,
        },
        consequence: setting.consequence,
    }
}

/// The table, and below it what follows from each setting: sentences do not fit into a column.
fn text(reference: &Reference) -> String {
    let rows = reference.settings.iter().map(|row| {
        let range = match (row.least, row.greatest) {
            (Some(least), Some(greatest)) => format!("{least}..{greatest}"),
            (Some(_) | None, None) | (None, Some(_)) => "-".to_owned(),
        };
        let restart = if row.restart_needed { "yes" } else { "no" };
        vec![
            row.key.to_owned(),
            row.default.unwrap_or("must be given").to_owned(),
            row.unit.to_owned(),
            range,
            restart.to_owned(),
        ]
    });
    let mut lines = vec![table(&["KEY", "DEFAULT", "UNIT", "RANGE", "RESTART"], rows)];
    for row in &reference.settings {
        lines.push(format!("\n{}\n  {}", row.key, row.consequence));
    }
    lines.join("\n")
}
