//! Who the node in a data directory is: its manifest, read before a server starts and written blank by `format`.

use super::data_directory::{MANIFEST_FILES, failed};
use crate::codes::{Code, Failure};
use crate::storage::manifest::{ManifestCopy, ManifestError, ManifestKind, choose};
use crate::storage::node_manifest::NodeManifest;
use margay_types::Incarnation;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The bytes of a manifest that says nothing but who the node is. Both copies are alike.
pub(super) fn blank(incarnation: Incarnation) -> Vec<u8> {
    let copy = ManifestCopy {
        counter: 1,
        body: NodeManifest::blank(incarnation).encode(),
    };
    copy.encode(ManifestKind::Node)
}

/// Reads who the node is.
///
/// # Errors
/// `NewerFormat` naming both versions, `IdentityDamaged` when neither copy can be used, or what the file system
/// refused.
pub(super) fn read(directory: &Path) -> Result<NodeManifest, Failure> {
    let [first, second] = MANIFEST_FILES.map(|name| read_copy(&directory.join(name)));
    let chosen = choose(first?, second?).map_err(|error| refused(directory, error))?;
    NodeManifest::parse(&chosen.copy.body).map_err(|error| refused(directory, error))
}

fn read_copy(path: &Path) -> Result<Result<ManifestCopy, ManifestError>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(ManifestCopy::parse(ManifestKind::Node, &bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Err(ManifestError::Absent)),
        Err(error) => Err(failed(path, &error)),
    }
}

fn refused(directory: &Path, error: ManifestError) -> Failure {
    let place = directory.display();
    match error {
        ManifestError::Newer { found, known } => Failure::new(Code::NewerFormat)
            .with("directory", place)
            .with("format", found)
            .with("known", format!("up to {known} by this binary"))
            .remedy("start the version that wrote it, or a later one"),
        ManifestError::Absent | ManifestError::Checksum { .. } | ManifestError::Body => {
            Failure::new(Code::IdentityDamaged)
                .with("directory", place)
                .with(
                    "reason",
                    format!("neither copy of the manifest can be used: {error}"),
                )
                .remedy("add this node anew with an empty directory; its data is on the others")
        }
    }
}
