//! Margay: a replicated state machine server for bare-metal Linux.
