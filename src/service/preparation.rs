//! Where the shards of a starting node wait for the first of them: it reads and writes the node's manifest, they need
//! what it says.
//!
//! ```text
//!   shard 0    prepare ──> publish ──────┐
//!   others     wait, before their loop ──┴──> boot
//! ```
//!
//! A shard waits on its own thread before its loop runs, so nothing of it stands still. When shard 0 ends without
//! having published, whoever waits is told.

use crate::storage::node_manifest::NodeManifest;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How far shard 0 is.
#[derive(Debug)]
enum Stage {
    Waiting,
    Published(NodeManifest),
    GivenUp,
}

/// Shared by the shards of a starting node.
#[derive(Clone, Debug)]
pub(crate) struct Preparation(Arc<(Mutex<Stage>, Condvar)>);

/// Shard 0's side. Dropped without a word, it gives up.
#[derive(Debug)]
pub(crate) struct Publisher(Preparation);

impl Preparation {
    /// Nothing is prepared.
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(Stage::Waiting), Condvar::new())))
    }

    /// For shard 0.
    pub(crate) fn publisher(&self) -> Publisher {
        Publisher(self.clone())
    }

    /// Blocks until shard 0 has the manifest; `None` when it gave up.
    pub(crate) fn wait(&self) -> Option<NodeManifest> {
        let (stage, changed) = &*self.0;
        let guard = stage.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = changed
            .wait_while(guard, |stage| matches!(stage, Stage::Waiting))
            .unwrap_or_else(PoisonError::into_inner);
        match &*guard {
            Stage::Published(manifest) => Some(manifest.clone()),
            Stage::Waiting | Stage::GivenUp => None,
        }
    }

    fn set(&self, next: Stage) {
        let (stage, changed) = &*self.0;
        let mut guard = stage.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*guard, Stage::Waiting) {
            *guard = next;
        }
        changed.notify_all();
    }
}

impl Publisher {
    /// Everything that others need is durable.
    pub(crate) fn publish(&self, manifest: &NodeManifest) {
        self.0.set(Stage::Published(manifest.clone()));
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.set(Stage::GivenUp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::Incarnation;

    #[test]
    fn whoever_waits_gets_what_was_published_however_late_it_asks() {
        let preparation = Preparation::new();
        let waiting = preparation.clone();
        let early = std::thread::spawn(move || waiting.wait());
        let manifest = NodeManifest::blank(Incarnation::new([7; 16]));
        let publisher = preparation.publisher();
        publisher.publish(&manifest);
        drop(publisher);
        assert_eq!(early.join().unwrap().as_ref(), Some(&manifest));
        assert_eq!(preparation.wait(), Some(manifest));
    }

    #[test]
    fn nobody_waits_for_a_first_shard_that_gave_up() {
        let preparation = Preparation::new();
        drop(preparation.publisher());
        assert_eq!(preparation.wait(), None);
    }
}
