//! A seeded world in which whole clusters run without Linux.
