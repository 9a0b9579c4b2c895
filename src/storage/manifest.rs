//! A manifest: two copies of a few numbers that tell what else there is to read.
//!
//! ```text
//!  0             8        12       14       16               24       28      32
//!  ┌─────────────┬────────┬────────┬────────┬────────────────┬────────┬───────┬──────┬──────┐
//!  │ magic       │checksum│ format │ kind   │ counter        │ length │ zero  │ body │ zero │
//!  │ "MARGAYMF"  │ u32    │ u16    │ u16    │ u64            │ u32    │ u32   │      │      │
//!  └─────────────┴────────┴────────┴────────┴────────────────┴────────┴───────┴──────┴──────┘
//! ```
//!
//! A change goes to one copy, synced, then to the other, synced, and only then does anything rest on it. Of two
//! copies the one with the greater counter and a good checksum counts. Files have their largest size from the
//! start and are rewritten in place, so that a full disk can free. This frame is the same in every format, so
//! that an older version recognises a newer file and refuses it by name.

use super::block::Block;
use super::disk::{Disk, OpenMode};
use super::error::StorageError;
use std::io;
use std::path::{Path, PathBuf};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What the two copies are called, in the folder of a node or of a log.
pub const FILE_NAMES: [&str; 2] = ["manifest.a", "manifest.b"];
/// Bytes of a copy before its body.
pub const MANIFEST_HEADER_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"MARGAYMF";
const CHECKED_FROM: usize = 12;
const _: () = assert!(size_of::<Layout>() == MANIFEST_HEADER_BYTES);

/// What a manifest is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ManifestKind {
    /// A node: see [`super::node_manifest`].
    Node = 1,
    /// A log: see [`super::log_manifest`].
    Log = 2,
}

impl ManifestKind {
    /// Size of a copy; a multiple of the write unit.
    #[must_use]
    pub const fn file_bytes(self) -> usize {
        match self {
            Self::Node => super::node_manifest::FILE_BYTES,
            Self::Log => super::log_manifest::FILE_BYTES,
        }
    }

    /// The newest format that this version reads, and the one that it writes.
    #[must_use]
    pub const fn format(self) -> u16 {
        match self {
            Self::Node => super::node_manifest::FORMAT,
            Self::Log => super::log_manifest::FORMAT,
        }
    }
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    magic: [u8; 8],
    checksum: U32,
    format: U16,
    kind: U16,
    counter: U64,
    length: U32,
    zero: U32,
}

/// Why a copy of a manifest cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is missing, short, or holds something else.
    #[error("not a manifest")]
    Absent,
    /// Not what was written, or written halfway.
    #[error("manifest checksum {stored:#010x}, computed {computed:#010x}")]
    Checksum {
        /// What stands there.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Written by a newer version: run that one.
    #[error("manifest format {found}, this version reads up to {known}")]
    Newer {
        /// Its format.
        found: u16,
        /// The newest known here.
        known: u16,
    },
    /// Intact, but about something else, or it does not say what it must.
    #[error("the manifest's body makes no sense")]
    Body,
}

/// One copy, checked as far as the frame goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestCopy {
    /// Counts the changes.
    pub counter: u64,
    /// What it says, in its kind's layout.
    pub body: Vec<u8>,
}

impl ManifestCopy {
    /// The bytes of the whole file.
    ///
    /// # Panics
    /// If the body does not fit into the file.
    #[must_use]
    pub fn encode(&self, kind: ManifestKind) -> Vec<u8> {
        let whole = MANIFEST_HEADER_BYTES + self.body.len();
        assert!(
            whole <= kind.file_bytes(),
            "a manifest of {whole} bytes does not fit its file"
        );
        let layout = Layout {
            magic: MAGIC,
            checksum: U32::ZERO,
            format: U16::new(kind.format()),
            kind: U16::new(kind as u16),
            counter: U64::new(self.counter),
            length: U32::new(u32::try_from(self.body.len()).expect("smaller than its file")),
            zero: U32::ZERO,
        };
        let mut bytes = layout.as_bytes().to_vec();
        bytes.extend_from_slice(&self.body);
        bytes.resize(kind.file_bytes(), 0);
        let checksum = crc32c::crc32c(&bytes[CHECKED_FROM..whole]);
        bytes[8..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The copy in a file's bytes.
    ///
    /// # Errors
    /// If it is damaged, newer, or of another kind.
    pub fn parse(kind: ManifestKind, bytes: &[u8]) -> Result<Self, ManifestError> {
        let (layout, behind) = Layout::ref_from_prefix(bytes).map_err(|_| ManifestError::Absent)?;
        if layout.magic != MAGIC {
            return Err(ManifestError::Absent);
        }
        let length = usize::try_from(layout.length.get()).map_err(|_| ManifestError::Absent)?;
        let body = behind.get(..length).ok_or(ManifestError::Absent)?;
        let framed = bytes
            .get(CHECKED_FROM..MANIFEST_HEADER_BYTES)
            .ok_or(ManifestError::Absent)?;
        let computed = crc32c::crc32c_append(crc32c::crc32c(framed), body);
        let stored = layout.checksum.get();
        if stored != computed {
            return Err(ManifestError::Checksum { stored, computed });
        }
        if layout.format.get() > kind.format() {
            let found = layout.format.get();
            return Err(ManifestError::Newer {
                found,
                known: kind.format(),
            });
        }
        if layout.kind.get() != kind as u16 {
            return Err(ManifestError::Body);
        }
        Ok(Self {
            counter: layout.counter.get(),
            body: body.to_vec(),
        })
    }
}

/// Which of two copies counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The one that counts.
    pub copy: ManifestCopy,
    /// Are both the same? If not, write it again before anything rests on it.
    pub agree: bool,
}

/// A copy as it lies in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCopy {
    /// Its file.
    pub path: PathBuf,
    /// The format that it was written in; unknown of one that is damaged.
    pub format: Option<u16>,
    /// The copy, or why it cannot be used.
    pub copy: Result<ManifestCopy, ManifestError>,
}

/// Reads both copies of the manifest in `directory`, and changes neither.
///
/// # Errors
/// If one is there and cannot be opened: what is refused to us says nothing about itself.
pub async fn read_copies<D: Disk>(
    disk: &D,
    directory: &Path,
    kind: ManifestKind,
) -> Result<[FoundCopy; 2], StorageError> {
    let [first, second] = paths(directory);
    Ok([
        read_copy(disk, first, kind).await?,
        read_copy(disk, second, kind).await?,
    ])
}

async fn read_copy<D: Disk>(
    disk: &D,
    path: PathBuf,
    kind: ManifestKind,
) -> Result<FoundCopy, StorageError> {
    let bytes = read_file(disk, &path, kind.file_bytes()).await?;
    let copy = bytes
        .as_ref()
        .ok_or(ManifestError::Absent)
        .and_then(|bytes| ManifestCopy::parse(kind, bytes));
    let format = match (&copy, &bytes) {
        (Ok(_), Some(bytes)) => Layout::ref_from_prefix(bytes)
            .ok()
            .map(|(layout, _)| layout.format.get()),
        (Err(ManifestError::Newer { found, .. }), _) => Some(*found),
        (Ok(_), None) | (Err(_), _) => None,
    };
    Ok(FoundCopy { path, format, copy })
}

/// What a file holds; nothing when it is not there, or the disk does not give it back.
async fn read_file<D: Disk>(
    disk: &D,
    path: &Path,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, StorageError> {
    let file = match disk.open(path, OpenMode::Existing).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("open", path, error)),
    };
    let buffer = Block::for_reading(bytes_max);
    let (result, buffer) = disk.read(&file, 0, buffer).await;
    let read = result.ok().and_then(|bytes| buffer.bytes().get(..bytes));
    Ok(read.map(<[u8]>::to_vec))
}

/// Where the copies of the manifest in `directory` lie.
fn paths(directory: &Path) -> [PathBuf; 2] {
    FILE_NAMES.map(|name| directory.join(name))
}

/// Chooses between the copies as they were read.
///
/// # Errors
/// If a copy is of a newer format, or neither is usable; then that of the first copy.
pub fn choose(
    first: Result<ManifestCopy, ManifestError>,
    second: Result<ManifestCopy, ManifestError>,
) -> Result<Chosen, ManifestError> {
    if let (Err(newer @ ManifestError::Newer { .. }), _)
    | (_, Err(newer @ ManifestError::Newer { .. })) = (&first, &second)
    {
        return Err(*newer);
    }
    match (first, second) {
        (Ok(first), Ok(second)) => {
            let agree = first == second;
            let copy = if second.counter > first.counter {
                second
            } else {
                first
            };
            Ok(Chosen { copy, agree })
        }
        (Ok(copy), Err(_)) | (Err(_), Ok(copy)) => Ok(Chosen { copy, agree: false }),
        (Err(error), Err(_)) => Err(error),
    }
}

/// The two files of a manifest.
#[derive(Clone, Debug)]
pub struct ManifestFiles<D: Disk> {
    disk: D,
    directory: PathBuf,
    kind: ManifestKind,
    counter: u64,
}

impl<D: Disk> ManifestFiles<D> {
    /// Makes the files of a new manifest, with their largest size, and the folder's names durable.
    ///
    /// # Errors
    /// If one exists already, or the disk fails or is full. Blank files, which an interrupted creation leaves, are
    /// used.
    pub async fn create(
        disk: D,
        directory: &Path,
        kind: ManifestKind,
        body: Vec<u8>,
    ) -> Result<Self, StorageError> {
        let mut files = Self {
            disk,
            directory: directory.to_owned(),
            kind,
            counter: 0,
        };
        for path in paths(directory) {
            let opened = files.disk.open(&path, OpenMode::New).await;
            let found = read_copy(&files.disk, path, kind).await?;
            let is_blank = found.copy == Err(ManifestError::Absent);
            match opened {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !is_blank => {
                    return Err(StorageError::io("create", &found.path, error));
                }
                Ok(_) | Err(_) => {}
            }
        }
        files.replace(body).await?;
        files.sync_names().await?;
        Ok(files)
    }

    /// Reads both copies; if they differ, the one that counts is written to both again.
    ///
    /// # Errors
    /// If neither copy is usable, or one is of a newer format, or the disk fails.
    pub async fn open(
        disk: D,
        directory: &Path,
        kind: ManifestKind,
    ) -> Result<(Self, Vec<u8>), StorageError> {
        let mut files = Self {
            disk,
            directory: directory.to_owned(),
            kind,
            counter: 0,
        };
        let [first, second] = read_copies(&files.disk, directory, kind).await?;
        let chosen = choose(first.copy, second.copy).map_err(|cause| StorageError::Manifest {
            directory: directory.to_owned(),
            cause,
        })?;
        files.counter = chosen.copy.counter;
        if !chosen.agree {
            files.make_missing().await?;
            files.replace(chosen.copy.body.clone()).await?;
            files.sync_names().await?;
        }
        Ok((files, chosen.copy.body))
    }

    /// A copy may be missing altogether: whoever made the files was interrupted between them.
    async fn make_missing(&self) -> Result<(), StorageError> {
        for path in paths(&self.directory) {
            match self.disk.open(&path, OpenMode::New).await {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(StorageError::io("create", &path, error));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn sync_names(&self) -> Result<(), StorageError> {
        let synced = self.disk.sync_directory(&self.directory).await;
        synced.map_err(|error| StorageError::io("sync", &self.directory, error))
    }

    /// Replaces what it says, in both copies, one durable before the other is touched.
    ///
    /// # Errors
    /// If the disk fails: nothing may rest on the change then, nor on its absence.
    pub async fn replace(&mut self, body: Vec<u8>) -> Result<(), StorageError> {
        self.counter += 1;
        let bytes = ManifestCopy {
            counter: self.counter,
            body,
        }
        .encode(self.kind);
        for path in paths(&self.directory) {
            self.write(&path, &bytes)
                .await
                .map_err(|error| StorageError::io("write", &path, error))?;
        }
        Ok(())
    }

    /// How often it was changed.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.counter
    }

    async fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, OpenMode::Existing).await?;
        let written = self
            .disk
            .write(&file, 0, Block::holding(bytes).whole())
            .await?;
        if written != bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.disk.sync(&file).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(counter: u64) -> ManifestCopy {
        ManifestCopy {
            counter,
            body: vec![7; 3],
        }
    }

    #[test]
    fn the_bytes_of_a_copy_stay_as_they_were_first_written() {
        let bytes = copy(5).encode(ManifestKind::Node);
        let golden = [
            1, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7,
        ];
        assert_eq!(bytes.len(), ManifestKind::Node.file_bytes());
        assert_eq!(bytes[..8], *b"MARGAYMF");
        assert_eq!(bytes[12..35], golden);
        assert_eq!(bytes[8..12], crc32c::crc32c(&golden).to_le_bytes());
    }

    #[test]
    fn the_greater_counter_with_a_good_checksum_counts() {
        let chosen = choose(Ok(copy(4)), Ok(copy(5))).unwrap();
        assert_eq!((chosen.copy.counter, chosen.agree), (5, false));
        let chosen = choose(Ok(copy(4)), Err(ManifestError::Absent)).unwrap();
        assert_eq!((chosen.copy.counter, chosen.agree), (4, false));
        assert!(choose(Ok(copy(4)), Ok(copy(4))).unwrap().agree);
        assert_eq!(
            choose(Err(ManifestError::Absent), Err(ManifestError::Body)),
            Err(ManifestError::Absent)
        );
    }

    #[test]
    fn a_newer_copy_is_refused_even_beside_a_good_old_one() {
        let newer = ManifestError::Newer { found: 9, known: 1 };
        assert_eq!(choose(Ok(copy(4)), Err(newer)), Err(newer));
    }

    #[test]
    fn damage_and_other_kinds_are_refused() {
        let mut bytes = copy(5).encode(ManifestKind::Log);
        assert_eq!(ManifestCopy::parse(ManifestKind::Log, &bytes), Ok(copy(5)));
        assert_eq!(
            ManifestCopy::parse(ManifestKind::Node, &bytes),
            Err(ManifestError::Body)
        );
        bytes[33] ^= 1;
        assert!(matches!(
            ManifestCopy::parse(ManifestKind::Log, &bytes),
            Err(ManifestError::Checksum { .. })
        ));
        assert_eq!(
            ManifestCopy::parse(ManifestKind::Log, &[0; 4096]),
            Err(ManifestError::Absent)
        );
    }
}
