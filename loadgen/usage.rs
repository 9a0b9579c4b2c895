//! What processes have used, from `/proc`: processor time, memory, bytes written.

use std::fs;
use std::time::Duration;

/// `/proc` counts processor time in these, whatever the kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;

/// Fields of `/proc/PID/stat` behind the command's name, counted from 0: user and system time.
const USER_FIELD: usize = 11;
const SYSTEM_FIELD: usize = 12;

/// User and system time of a process, by its id, or by `self`. `None` when it is gone.
pub(crate) fn cpu_time(process: &str) -> Option<Duration> {
    parse_cpu_time(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The most memory that a process had resident.
pub(crate) fn resident_bytes_max(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    field(&status, "VmHWM:").map(|kib| kib * 1_024)
}

/// Bytes that a process gave to disks.
pub(crate) fn written_bytes(process: &str) -> Option<u64> {
    field(
        &fs::read_to_string(format!("/proc/{process}/io")).ok()?,
        "write_bytes:",
    )
}

fn parse_cpu_time(stat: &str) -> Option<Duration> {
    // The name of the command may hold blanks and brackets; everything behind the last one is numbers.
    let (_, behind) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    let ticks = ticks(USER_FIELD)? + ticks(SYSTEM_FIELD)?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 99";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(cpu_time("self").is_some());
        assert!(resident_bytes_max("self") > Some(0));
        assert!(written_bytes("self").is_some());
        assert_eq!(cpu_time("no such process"), None);
    }
}
