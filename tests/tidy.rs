//! The house rules that neither rustfmt nor clippy knows, checked by an ordinary test.
//!
//! Each rule is a function from source text to findings; it is run twice: on the tree, where it must find
//! nothing, and on a small bad sample, where it must find something. A finding names file, line, rule and
//! remedy. An exception is a named line in a table of the rule's file, with its reason.
//!
//! * `source` — what is looked at: files of the tree, and their text with comments and literals blanked.
//! * `layers` — who may import whom: the table of the architecture, as data.
//! * `confined` — words that belong to one folder: sockets, files, clocks, `unsafe`.
//! * `layout` — headers, lengths, columns, leftovers.
//! * `codes` — a code in a message can be looked up.
//! * `manifests` — dependencies have reasons, pure crates stay pure.
//! * `reachable` — no file lies beside the tree of modules.
//! * `limits` — a limit is looked at.

#[path = "tidy/source.rs"]
mod source;

#[path = "tidy/layers.rs"]
mod layers;

#[path = "tidy/confined.rs"]
mod confined;

#[path = "tidy/layout.rs"]
mod layout;

#[path = "tidy/codes.rs"]
mod codes;

#[path = "tidy/manifests.rs"]
mod manifests;

#[path = "tidy/reachable.rs"]
mod reachable;

#[path = "tidy/limits.rs"]
mod limits;
