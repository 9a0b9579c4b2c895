//! The machines that come with Margay, one file each.
