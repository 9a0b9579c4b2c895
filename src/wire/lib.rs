//! Bytes between processes: hello, frames and their bodies, fixed layouts viewed in place.
