//! `margay keyspace`: named sets of groups.

use super::Outcome;
use super::argument_value;
use super::arguments::Globals;
use super::console::{Console, table};
use super::operator_failure::{Named, operator_failure};
use crate::codes::{Code, Exit, Failure};
use clap::{Args, Subcommand};
use margay_client::operator;
use margay_wire::admin::{Keyspace as Known, KeyspaceCreate, KeyspaceCreated, KeyspaceRefusal};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;

/// Named sets of groups
#[derive(Args, Debug)]
pub(super) struct Keyspace {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    List(List),
}

/// Create a keyspace; repeating the same command is safe
#[derive(Args, Debug)]
struct Create {
    /// What it is called
    #[arg(value_parser = argument_value::name)]
    name: String,

    /// The machine of its groups, as the servers know it
    #[arg(long, value_parser = argument_value::name)]
    machine: String,

    /// The version of the machine that its groups start with
    #[arg(long, value_name = "N", default_value_t = 1)]
    machine_version: u32,

    /// How many groups its keys are spread over
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    groups: u32,

    /// Members of each group; all nodes when it is left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    replicas: Option<u16>,

    /// Options of the machine, as its own codec encodes them
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
}

/// List all keyspaces
#[derive(Args, Debug)]
struct List {}

/// A keyspace, for programs.
#[derive(Serialize)]
struct ReportKeyspace {
    name: String,
    machine: String,
    machine_version: u32,
    groups: Vec<u32>,
}

/// What was created, for programs.
#[derive(Serialize)]
struct CreateReport {
    schema: u32,
    existed: bool,
    keyspace: ReportKeyspace,
}

/// All keyspaces, for programs.
#[derive(Serialize)]
struct ListReport {
    schema: u32,
    index: u64,
    keyspaces: Vec<ReportKeyspace>,
}

impl Keyspace {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        match &self.verb {
            Verb::Create(create) => create.execute(console, globals),
            Verb::List(list) => list.execute(console, globals),
        }
    }
}

impl Create {
    fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let request = KeyspaceCreate {
            name: self.name.clone(),
            machine: self.machine.clone(),
            machine_version: self.machine_version,
            options: self.options_bytes()?,
            groups: self.groups,
            // None stands for all nodes, whose number only the cluster knows.
            replicas: self.replicas.unwrap_or(0),
        };
        let answer = operator::keyspace_create(&globals.addresses(), &request, globals.timeout)
            .map_err(|error| operator_failure(error, Named::ByEndpoints))?;
        let (keyspace, existed) = match answer {
            KeyspaceCreated::Created(keyspace) => (keyspace, false),
            KeyspaceCreated::Existed(keyspace) => (keyspace, true),
            KeyspaceCreated::Refused(refusal) => return Err(self.refused(&refusal)),
        };
        let report = CreateReport {
            schema: 1,
            existed,
            keyspace: keyspace.into(),
        };
        console.result(&report, |report| {
            let verb = if report.existed { "exists" } else { "created" };
            let keyspace = &report.keyspace;
            format!(
                "keyspace {} {verb}: machine {} version {}, {} groups",
                keyspace.name,
                keyspace.machine,
                keyspace.machine_version,
                keyspace.groups.len()
            )
        });
        Ok(Exit::Done)
    }

    fn options_bytes(&self) -> Result<Vec<u8>, Failure> {
        let Some(path) = &self.options else {
            return Ok(Vec::new());
        };
        fs::read(path).map_err(|error| {
            Failure::new(Code::FileUnreadable)
                .with("file", path.display())
                .with("reason", error)
        })
    }

    fn refused(&self, refusal: &KeyspaceRefusal) -> Failure {
        let failure = Failure::new(Code::Refused).with("keyspace", &self.name);
        match refusal {
            KeyspaceRefusal::Exists => failure
                .with("reason", "one of this name exists, made otherwise")
                .remedy("margay keyspace list   shows it; take another name"),
            KeyspaceRefusal::BadName => {
                failure.with("reason", "a name has 1 to 64 of a-z A-Z 0-9 . _ -")
            }
            KeyspaceRefusal::UnknownMachine => failure
                .with(
                    "reason",
                    format!("no server knows the machine `{}`", self.machine),
                )
                .remedy("run servers with a binary that registers it"),
            KeyspaceRefusal::BadOptions => {
                failure.with("reason", "the machine does not decode its options")
            }
            KeyspaceRefusal::BadGroupCount { max } => failure.with(
                "reason",
                format!("the cluster takes 1 to {max} groups more"),
            ),
            KeyspaceRefusal::BadReplicaCount { max } => failure.with(
                "reason",
                format!("a group can have 1 to {max} members here"),
            ),
        }
    }
}

impl List {
    #[expect(
        clippy::unused_self,
        reason = "a verb without options is a verb all the same"
    )]
    fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let list = operator::keyspace_list(&globals.addresses(), globals.timeout)
            .map_err(|error| operator_failure(error, Named::ByEndpoints))?;
        let report = ListReport {
            schema: 1,
            index: list.index.number(),
            keyspaces: list.keyspaces.into_iter().map(Into::into).collect(),
        };
        console.result(&report, |report| {
            let rows = report.keyspaces.iter().map(|keyspace| {
                vec![
                    keyspace.name.clone(),
                    keyspace.machine.clone(),
                    keyspace.machine_version.to_string(),
                    keyspace.groups.len().to_string(),
                ]
            });
            table(&["KEYSPACE", "MACHINE", "VERSION", "GROUPS"], rows)
        });
        Ok(Exit::Done)
    }
}

impl From<Known> for ReportKeyspace {
    fn from(keyspace: Known) -> Self {
        Self {
            name: keyspace.name,
            machine: keyspace.machine,
            machine_version: keyspace.machine_version,
            groups: keyspace.groups.iter().map(|group| group.number()).collect(),
        }
    }
}
