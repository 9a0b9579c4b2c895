//! Keeps the kernel from backing this process with huge pages that it did not ask for.
//!
//! A huge page is filled with zeros as a whole when its first byte is touched: two megabytes at once, for which a
//! virtual machine took 3 to 5 ms, in the middle of a turn, with every group of the shard waiting. The memory of a
//! shard is many small things that come and go, so a page of that size is seldom used whole either: a node with one
//! group took 83 MiB without them, and 110 MiB with them.
//!
//! What is asked for by hand, as pages that were set aside for a process, is another matter and not touched.

use rustix::thread::disable_transparent_huge_pages;

/// From here on memory comes in pages of the usual size. To be called before a process takes much of it.
///
/// A kernel that cannot do it serves as well, with longer pauses while memory grows.
pub fn refuse() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages are not refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::transparent_huge_pages_are_disabled;

    #[test]
    fn memory_comes_in_pages_of_the_usual_size() {
        refuse();
        assert_eq!(transparent_huge_pages_are_disabled(), Ok(true));
    }
}
