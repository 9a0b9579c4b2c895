//! The measured time: what is recorded of it, and when it is over.
//!
//! ```text
//!            start                             end of --duration
//!   warm up ──┼────────────────────────────────────┼───────────────> time
//!   closed    │ every answer that comes in here    │
//!   open      │ every send that is meant to leave in here, until its answer ──> end
//! ```

use crate::accounts::Errors;
use crate::cluster::Cluster;
use crate::failure::{Exit, Failure};
use crate::histogram::Recorder;
use crate::lateness::Punctuality;
use crate::pacer::Pacer;
use crate::usage;
use crate::worker::{DRAIN_TIME, Worker, nanoseconds};
use std::time::Duration;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) recorder: Recorder,
    pub(crate) elapsed_s: f64,
    pub(crate) errors: Errors,
    /// In an open loop.
    pub(crate) punctuality: Option<Punctuality>,
    /// Answers by which a command was refused for now.
    pub(crate) refused_count: u64,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) client_cpu: Option<Duration>,
    pub(crate) server_resident_bytes_max: Option<u64>,
    /// What all nodes gave to their disks meanwhile.
    pub(crate) server_written_bytes: Option<u64>,
}

impl Worker<'_> {
    /// Issues and measures.
    pub(crate) fn measure(&mut self, cluster: &Cluster) -> Result<Load, Failure> {
        let servers = || {
            cluster
                .processes()
                .and_then(|processes| processes.cpu_time())
        };
        let written = || {
            cluster
                .processes()
                .and_then(|processes| processes.written_bytes())
        };
        let (server_before, client_before) = (servers(), usage::cpu_time("self"));
        let written_before = written();
        let refused_before = self.driver.protocol.refused_count();
        let measured = self.record();
        self.console.end_progress();
        let (recorder, end_ns) = measured?;
        let (server_after, client_after) = (servers(), usage::cpu_time("self"));
        let written_after = written();
        let used = |after: Option<Duration>, before| Some(after?.saturating_sub(before?));
        Ok(Load {
            elapsed_s: recorder.elapsed_s(end_ns),
            recorder,
            errors: self.accounts.errors,
            refused_count: self.driver.protocol.refused_count() - refused_before,
            punctuality: self
                .pacer
                .as_ref()
                .map(|pacer| pacer.lateness.punctuality()),
            server_cpu: used(server_after, server_before),
            client_cpu: used(client_after, client_before),
            server_resident_bytes_max: cluster
                .processes()
                .and_then(|processes| processes.resident_bytes_max()),
            server_written_bytes: written_after
                .zip(written_before)
                .map(|(after, before)| after.saturating_sub(before)),
        })
    }

    /// Records for the measured time; in an open loop, until what was meant to be sent in it is answered.
    fn record(&mut self) -> Result<(Recorder, u64), Failure> {
        let start_ns = self.driver.now_ns();
        let until_ns = start_ns + nanoseconds(self.options.duration);
        self.accounts.recorder = Some(Recorder::new(start_ns));
        if let Some(pacer) = &mut self.pacer {
            pacer.measure(start_ns, until_ns);
            self.accounts.measured_from_ns = start_ns;
        }
        let mut end_ns = self.run_until(until_ns)?;
        if self.pacer.is_some() {
            end_ns = self.await_answers()?;
        }
        let recorder = self.accounts.recorder.take();
        let mut recorder = recorder.expect("it was put there above");
        recorder.finish(end_ns);
        Ok((recorder, end_ns))
    }

    /// Waits for everything that is due or under way, as long as answers come; returns when that was over.
    /// A cluster that is far behind takes its time, and the report shows how long.
    fn await_answers(&mut self) -> Result<u64, Failure> {
        loop {
            let (queued, outstanding) = self.unanswered();
            let left = queued + outstanding;
            if left == 0 {
                return Ok(self.driver.now_ns());
            }
            let is_less = |worker: &Self| {
                let (queued, outstanding) = worker.unanswered();
                queued + outstanding < left
            };
            if !self.turn_until(DRAIN_TIME, is_less)? {
                return Err(self.silence(queued, outstanding));
            }
        }
    }

    /// Sends that are due and wait, and those that are under way.
    fn unanswered(&self) -> (usize, usize) {
        let queued = self.pacer.as_ref().map_or(0, Pacer::waiting_count);
        (queued, self.accounts.outstanding())
    }

    fn silence(&self, queued: usize, outstanding: usize) -> Failure {
        let title = "the run is invalid: not everything was answered that was due";
        Failure::new(Exit::NotReached, title)
            .with("sent", outstanding)
            .with("not sent", queued)
            .with("no answer for", format!("{} s", DRAIN_TIME.as_secs()))
            .with("reason", self.last_failure())
    }
}
