//! The interface of replicated state machines, and the host that runs them deterministically.

#![no_std]
