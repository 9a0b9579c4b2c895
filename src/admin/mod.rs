//! What the cluster knows of itself: the machine of group 0.

pub mod system;
