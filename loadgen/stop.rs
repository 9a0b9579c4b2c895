//! Ctrl-C and SIGTERM as a flag: whoever waits looks at it, returns, and everything is removed on the
//! way out.

use crate::failure::{Exit, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Was the run asked to stop?
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that signals raise from now on.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&stop.0))
                .map_err(|error| Failure::of_io("watch for signals", &error))?;
        }
        Ok(stop)
    }

    /// An error once the run was asked to stop.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Failure::new(
                Exit::NotReached,
                "stopped by a signal, before the end",
            ));
        }
        Ok(())
    }

    /// Lets time pass between two looks at something, unless the run was asked to stop.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Failure> {
        self.check()?;
        std::thread::sleep(time);
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_flag_ends_every_wait() {
        let stop = Stop::default();
        assert_eq!(stop.check(), Ok(()));
        stop.0.store(true, Ordering::Relaxed);
        let ended = stop.pause(Duration::from_secs(3600));
        assert_eq!(
            ended.map_err(|failure| failure.exit()),
            Err(Exit::NotReached)
        );
    }
}
