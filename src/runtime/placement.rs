//! Which cores the shards run on.

use std::fs;

/// Where a shard's thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardPlacement {
    /// On this core only.
    Core(usize),
    /// Wherever the scheduler puts it: for laptops, tests and shared machines.
    Anywhere,
}

/// Cores that this process may use, ascending.
#[must_use]
pub fn allowed_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(|list| parse_core_list(list.trim()))
        .unwrap_or_default()
}

/// Reads a list as the kernel and people write it: `0-3,8,10-11`. Nothing when it is not one.
#[must_use]
pub fn parse_core_list(list: &str) -> Option<Vec<usize>> {
    /// More than any machine has; a typing error must not fill the memory.
    const CORES_MAX: usize = 4_096;
    let mut cores = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let first: usize = first.trim().parse().ok()?;
        let last: usize = last.trim().parse().ok()?;
        if first > last || last >= CORES_MAX {
            return None;
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_list_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse_core_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_core_list("3"), Some(vec![3]));
        for wrong in ["", "a", "3-1", "0-99999999"] {
            assert_eq!(parse_core_list(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_process_may_use_a_core() {
        assert!(!allowed_cores().is_empty());
    }
}
