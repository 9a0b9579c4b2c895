//! `margay inspect verify`: reads all that a start would read, and says what it would make of it.
//!
//! ```text
//!   clean                     exit 0    a cut tail is clean: nobody was told of what stood there
//!   something is damaged      exit 10   named by place and by group, with what a start does
//! ```
//!
//! The verdicts are recovery's own: the same code reads the same bytes. What a start does beyond recovery (is the disk
//! full, does the binary have the machines) is not tried here.

use super::super::Outcome;
use super::super::arguments::Globals;
use super::super::console::Console;
use super::Place;
use super::data_directory::{DataDirectory, LogDirectory};
use super::manifest_view::{CopiesView, neither};
use super::read_only_disk::run;
use super::refusal::{demand_readable, unreadable};
use super::verdict::{GroupView, LogView};
use crate::codes::{Code, Exit, Failure};
use crate::storage::log_manifest::LogManifest;
use crate::storage::recovery::findings::find;
use crate::storage::recovery::flaws::flaws;
use crate::storage::recovery::outline::Outline;
use crate::storage::recovery::streams;
use crate::storage::recovery::window::Window;
use clap::Args;
use serde::Serialize;

/// Check all that is there, and say what a start would make of it
#[derive(Args, Debug)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
}

/// Everything that was found.
#[derive(Serialize)]
struct Report {
    schema: u32,
    directory: String,
    is_clean: bool,
    start: StartView,
    manifest: CopiesView,
    logs: Vec<LogView>,
    unlisted_logs: Vec<u32>,
}

/// What a start would do.
#[derive(Serialize)]
struct StartView {
    outcome: StartOutcome,
    /// Groups that would take no part.
    without: Vec<u32>,
    /// Why it refuses.
    reasons: Vec<String>,
}

/// How it would end.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StartOutcome {
    GoesOn,
    GoesOnWithoutSome,
    WaitsForBootstrap,
    Refuses,
}

impl Verify {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let found = self.place.open(console, globals)?;
        let logs = found.logs.iter().map(|log| verify(&found, log));
        let logs = logs.collect::<Result<Vec<LogView>, Failure>>()?;
        found.demand_unused()?;
        let report = Report {
            schema: 1,
            directory: found.path.display().to_string(),
            is_clean: found.node.said.is_ok() && logs.iter().all(LogView::is_clean),
            start: StartView::of(&found, &logs),
            manifest: CopiesView::of(&found.node),
            logs,
            unlisted_logs: found.unlisted.clone(),
        };
        console.result(&report, |report| text(&found, report));
        Ok(if report.is_clean {
            Exit::Done
        } else {
            Exit::ConditionFalse
        })
    }
}

fn verify(found: &DataDirectory, log: &LogDirectory) -> Result<LogView, Failure> {
    match &log.manifest.said {
        Ok(manifest) => read(found, log, manifest),
        Err(error) => Ok(LogView::unreadable(log, neither(*error))),
    }
}

fn read(
    found: &DataDirectory,
    log: &LogDirectory,
    manifest: &LogManifest,
) -> Result<LogView, Failure> {
    let disk = &found.disk;
    let findings = run(find(disk, &log.path, manifest));
    demand_readable(disk)?;
    let findings = findings.map_err(|error| unreadable(&log.path, &error))?;
    let outline = Outline::of(&findings.chain, findings.live);
    let mut window = Window::new(disk, &log.path, manifest);
    let damage = run(flaws(&outline, &mut window));
    let groups = findings.groups.iter().map(|group| {
        let checkpoint = group.checkpoint.as_ref();
        let is_intact =
            checkpoint.is_none_or(|checkpoint| run(streams::is_intact(checkpoint, &mut window)));
        GroupView::new(group, is_intact)
    });
    let groups = groups.collect();
    let damage = (&damage[..], &findings.unnamed[..]);
    Ok(LogView::new(log, &outline, damage, groups))
}

impl StartView {
    fn of(found: &DataDirectory, logs: &[LogView]) -> Self {
        let groups = logs.iter().flat_map(|log| log.groups.iter());
        let without = groups.filter(|group| !group.serves);
        let without: Vec<u32> = without.map(|group| group.group).collect();
        let is_unnamed = logs.iter().any(|log| log.unnamed_batches > 0);
        let reasons = reasons(found, logs, &without);
        let outcome = match (reasons.is_empty(), without.is_empty() && !is_unnamed) {
            (false, _) => StartOutcome::Refuses,
            (true, false) => StartOutcome::GoesOnWithoutSome,
            (true, true) if found.is_blank() => StartOutcome::WaitsForBootstrap,
            (true, true) => StartOutcome::GoesOn,
        };
        Self {
            outcome,
            without,
            reasons,
        }
    }

    /// What follows, and what to do about it.
    fn lines(&self, found: &DataDirectory, is_clean: bool) -> Vec<String> {
        let verdict = if is_clean { "clean" } else { "damaged" };
        let (follows, remedy) = match self.outcome {
            StartOutcome::Refuses => (
                self.reasons
                    .iter()
                    .map(|it| format!("a start refuses: {it}"))
                    .collect(),
                refused_remedy(found),
            ),
            StartOutcome::GoesOnWithoutSome => (
                vec![self.without_text()],
                "see that the other members of these groups run: they have what is lost here; \
                 and have the device checked",
            ),
            StartOutcome::GoesOn => (
                vec!["a start goes on from here, all groups serve".to_owned()],
                "have the device checked: it gave back other bytes than were written",
            ),
            StartOutcome::WaitsForBootstrap => (
                vec!["a start waits for a bootstrap".to_owned()],
                "have the device checked: it gave back other bytes than were written",
            ),
        };
        let mut lines: Vec<String> = follows
            .iter()
            .map(|it| format!("{verdict}: {it}"))
            .collect();
        if !is_clean {
            lines.push(format!("  do  {remedy}"));
        }
        lines
    }

    fn without_text(&self) -> String {
        match self.without.len() {
            0 => format!(
                "a start goes on; a replica that is not listed is named once group 0 tells of it ({})",
                Code::LostReplica
            ),
            1 => format!(
                "a start goes on, and 1 replica takes no part ({})",
                Code::DamagedReplica
            ),
            count => format!(
                "a start goes on, and {count} replicas take no part ({})",
                Code::DamagedReplica
            ),
        }
    }
}

const fn refused_remedy(found: &DataDirectory) -> &'static str {
    match &found.node.said {
        Ok(node) if node.founders == 1 => {
            "keep a copy of the directory before anything else: there is no other"
        }
        Ok(_) | Err(_) => {
            "keep a copy of the directory; then add this node anew with an empty one: its data is \
             on the others"
        }
    }
}

fn reasons(found: &DataDirectory, logs: &[LogView], without: &[u32]) -> Vec<String> {
    let mut reasons = Vec::new();
    match &found.node.said {
        Err(error) => reasons.push(format!("the node: {}", neither(*error))),
        Ok(node) if node.founders == 1 && !without.is_empty() => reasons
            .push("the cluster was formed of this node alone, nobody else has a copy".to_owned()),
        Ok(_) => {}
    }
    for log in &found.logs {
        if let Err(error) = &log.manifest.said {
            reasons.push(format!("log {}: {}", log.id, neither(*error)));
        }
    }
    let groups = logs.iter().flat_map(|log| log.groups.iter());
    let unfit = groups.filter(|group| group.serves && !group.has_intact_checkpoint());
    reasons.extend(unfit.map(|group| {
        format!(
            "the checkpoint of group {} is not what was written",
            group.group
        )
    }));
    reasons
}

fn text(found: &DataDirectory, report: &Report) -> String {
    let mut parts = vec![format!(
        "{}\nmanifest   {}",
        found.title(),
        report.manifest.summary()
    )];
    parts.extend(report.logs.iter().map(LogView::text));
    parts.extend(found.notes());
    parts.push(report.start.lines(found, report.is_clean).join("\n"));
    parts.join("\n\n")
}
