//! `margay config`: what can be set, and what is set. Nobody is asked.

use super::Outcome;
use super::arguments::Globals;
use super::console::{Console, table};
use super::settings::SettingOptions;
use crate::codes::{Exit, Failure};
use crate::config::{self, Layers, Problems, Restart, SETTINGS, Setting, Source};
use clap::{Args, Subcommand};
use serde::Serialize;

/// Show what can be set, and what is set
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
    Show(Show),
}

/// Show the values that `run` would get, given the same options
#[derive(Args, Debug)]
struct Show {
    /// Show where each value comes from
    #[arg(long)]
    sources: bool,

    #[command(flatten)]
    settings: SettingOptions,
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

/// All values.
#[derive(Serialize)]
struct Values {
    schema: u32,
    settings: Vec<Value>,
}

/// What a setting is; without a value it must be given when a server starts.
#[derive(Serialize)]
struct Value {
    key: &'static str,
    value: Option<String>,
    /// As tables show it; null without a value.
    source: Option<String>,
    file: Option<String>,
    line: Option<usize>,
    unit: &'static str,
    least: Option<u64>,
    greatest: Option<u64>,
    restart_needed: bool,
}

impl Config {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        match &self.verb {
            ConfigVerb::Reference => {
                let reference = Reference {
                    schema: 1,
                    settings: SETTINGS.into_iter().map(row).collect(),
                };
                console.result(&reference, text);
            }
            ConfigVerb::Show(show) => show.execute(console, globals)?,
        }
        Ok(Exit::Done)
    }

    /// Does it look at the configuration of a node?
    pub(super) const fn reads_file(&self) -> bool {
        match self.verb {
            ConfigVerb::Reference => false,
            ConfigVerb::Show(_) => true,
        }
    }
}

impl Show {
    /// What cannot be taken has no effect to show; only what is missing may be given later.
    fn execute(&self, console: &Console, globals: &Globals) -> Result<(), Failure> {
        let layers = self.settings.layers(globals);
        let problems = config::Config::new(&layers).err();
        if let Some(problems) = problems.and_then(Problems::without_missing) {
            return Err(problems.into());
        }
        let values = Values {
            schema: 1,
            settings: SETTINGS
                .into_iter()
                .map(|setting| value(setting, &layers))
                .collect(),
        };
        console.result(&values, |values| values_text(values, self.sources));
        Ok(())
    }
}

fn row(setting: &Setting) -> Row {
    Row {
        key: setting.key,
        variable: setting.variable(),
        default: setting.default,
        unit: setting.unit,
        least: setting.range.map(config::Range::least),
        greatest: setting.range.map(config::Range::greatest),
        restart_needed: is_restart_needed(setting),
        consequence: setting.consequence,
    }
}

fn value(setting: &'static Setting, layers: &Layers) -> Value {
    let (text, source) = layers.get(setting.key).unzip();
    let place = source.and_then(Source::line);
    Value {
        key: setting.key,
        value: text.map(str::to_owned),
        source: source.map(Source::to_string),
        file: place.map(|(file, _)| file.to_owned()),
        line: place.map(|(_, line)| line),
        unit: setting.unit,
        least: setting.range.map(config::Range::least),
        greatest: setting.range.map(config::Range::greatest),
        restart_needed: is_restart_needed(setting),
    }
}

const fn is_restart_needed(setting: &Setting) -> bool {
    match setting.restart {
        Restart::Needed => true,
    }
}

const fn restart_word(is_needed: bool) -> &'static str {
    if is_needed { "yes" } else { "no" }
}

/// The table, and below it what follows from each setting: sentences do not fit into a column.
fn text(reference: &Reference) -> String {
    let rows = SETTINGS.into_iter().map(|setting| {
        let range = setting.range.map(|range| range.to_string());
        vec![
            setting.key.to_owned(),
            setting.default.unwrap_or("must be given").to_owned(),
            setting.unit.to_owned(),
            range.unwrap_or_else(|| "-".to_owned()),
            restart_word(is_restart_needed(setting)).to_owned(),
        ]
    });
    let mut lines = vec![table(&["KEY", "DEFAULT", "UNIT", "RANGE", "RESTART"], rows)];
    for row in &reference.settings {
        lines.push(format!("\n{}\n  {}", row.key, row.consequence));
    }
    lines.join("\n")
}

/// The table; the column of sources only for whoever asks for it.
fn values_text(values: &Values, has_sources: bool) -> String {
    let sources = has_sources.then_some("SOURCE");
    let header: Vec<&str> = ["KEY", "VALUE"]
        .into_iter()
        .chain(sources)
        .chain(["UNIT/RANGE", "RESTART"])
        .collect();
    let rows = SETTINGS
        .iter()
        .zip(&values.settings)
        .map(|(setting, shown)| {
            let value = shown.value.as_deref().unwrap_or("must be given");
            let source = has_sources.then(|| shown.source.as_deref().unwrap_or("-"));
            let unit = match setting.range {
                Some(range) => format!("{range} {}", setting.unit),
                None => setting.unit.to_owned(),
            };
            [setting.key, value]
                .into_iter()
                .chain(source)
                .chain([unit.as_str(), restart_word(shown.restart_needed)])
                .map(str::to_owned)
                .collect()
        });
    table(&header, rows)
}
