//! Where the report of a run is kept: `run.json`, and the latencies of each kind in a log of their own.

use crate::failure::Failure;
use crate::histogram::Recorder;
use crate::options::{Output, Run};
use crate::report::Report;
use crate::workload::Kind;
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where reports for people go when no directory is named.
const OUT_DEFAULT: &str = "loadgen-out";

/// A directory that is there.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// The directory of the report, made before the run: what cannot be kept is not measured.
    pub(crate) fn of(options: &Run) -> Result<Option<Self>, Failure> {
        let directory = match (&options.out, options.output) {
            (Some(directory), _) => directory.clone(),
            (None, Output::Json) => return Ok(None),
            (None, Output::Table) => {
                Path::new(OUT_DEFAULT).join(date_and_time(wall_time().as_secs()))
            }
        };
        fs::create_dir_all(&directory)
            .map_err(|error| Failure::of_path("make a directory", &directory, &error))?;
        Ok(Some(Self(directory)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Keeps everything of a run whose measured time started so long after the epoch.
    pub(crate) fn keep(
        &self,
        report: &Report,
        recorder: &Recorder,
        started: Duration,
    ) -> Result<(), Failure> {
        self.file("run.json", |out| writeln!(out, "{}", report.json()))?;
        let kinds = [
            ("write.hlog", report.operations.write, Kind::Write),
            ("read.hlog", report.operations.read, Kind::Read),
        ];
        for (name, operation, kind) in kinds {
            if operation.is_some() {
                self.file(name, |out| recorder.log(kind).write(started, out))?;
            }
        }
        Ok(())
    }

    fn file(
        &self,
        name: &str,
        fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let path = self.0.join(name);
        let write = || {
            let mut out = BufWriter::new(File::create(&path)?);
            fill(&mut out)?;
            out.flush()
        };
        write().map_err(|error| Failure::of_path("keep the report", &path, &error))
    }
}

/// Time since the epoch, by the wall: for names and dates, and for nothing that is measured.
pub(crate) fn wall_time() -> Duration {
    let now = clock_gettime(ClockId::Realtime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// `20251125-0012`, in universal time: a name that sorts.
fn date_and_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March have their odd day at the end (days from civil, Hinnant).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (rest / 3_600, rest % 3_600 / 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_named_by_date_and_time() {
        for (seconds, name) in [
            (0, "19700101-0000"),
            (951_782_400, "20000229-0000"),
            (1_764_029_520, "20251125-0012"),
            (4_107_542_399, "21000228-2359"),
        ] {
            assert_eq!(date_and_time(seconds), name);
        }
    }
}
