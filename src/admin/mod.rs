//! What the cluster knows of itself: the machine of group 0.
//!
//! Not done: members and placement that change, and the HTTP endpoint for health and metrics.

pub mod system;
