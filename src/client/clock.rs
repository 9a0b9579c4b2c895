//! The one place where a driver reads the machine's clock.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, suspension included; never goes back.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let rest = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
