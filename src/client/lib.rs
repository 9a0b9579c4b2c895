//! The client: a pure protocol with thin drivers.
