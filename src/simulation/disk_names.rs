//! The names of a virtual file system: those that are seen, and those that a power cut leaves.
//!
//! A name that was made or removed is durable only once its directory was synced. Until then a power cut decides
//! about each change by itself.

use crate::disk_fault::{Fate, Judge};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Names a file independent of its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(pub(crate) usize);

/// What stands behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(FileId),
    Directory,
}

/// All names of one disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    visible: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
}

impl Names {
    pub(crate) fn file(&self, path: &Path) -> io::Result<FileId> {
        match self.visible.get(path) {
            Some(Node::File(id)) => Ok(*id),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn create_file(&mut self, path: &Path, id: FileId) -> io::Result<()> {
        self.demand_parent(path)?;
        if self.visible.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.visible.insert(path.to_path_buf(), Node::File(id));
        Ok(())
    }

    pub(crate) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        match self.visible.get(path) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            None => {
                self.demand_parent(path)?;
                self.visible.insert(path.to_path_buf(), Node::Directory);
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.visible.remove(path);
        Ok(())
    }

    /// Names of the files and directories in `directory`, sorted.
    pub(crate) fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        if !matches!(self.visible.get(directory), Some(Node::Directory)) && !is_root(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let within = self
            .visible
            .keys()
            .filter(|path| path.parent() == Some(directory));
        let names = within.filter_map(|path| path.file_name());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    pub(crate) fn sync_directory(&mut self, directory: &Path) {
        let inside = |path: &PathBuf| path.parent() == Some(directory);
        self.durable.retain(|path, _| !inside(path));
        let seen = self.visible.iter().filter(|(path, _)| inside(path));
        self.durable
            .extend(seen.map(|(path, node)| (path.clone(), *node)));
    }

    /// The power goes off: every change that is not durable gets its fate, in the order of the paths.
    pub(crate) fn crash(&mut self, judge: &mut Judge) {
        let mut changed: Vec<PathBuf> = Vec::new();
        for path in self.visible.keys().chain(self.durable.keys()) {
            if self.visible.get(path) != self.durable.get(path) {
                changed.push(path.clone());
            }
        }
        changed.sort();
        changed.dedup();
        for path in changed {
            match judge.next_fate() {
                Fate::Kept => copy(&path, &self.visible, &mut self.durable),
                Fate::Lost => copy(&path, &self.durable, &mut self.visible),
                Fate::Readable => {}
            }
        }
        self.drop_orphans();
    }

    /// Ids of all files that have a name.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileId> + '_ {
        self.visible.values().filter_map(|node| match node {
            Node::File(id) => Some(*id),
            Node::Directory => None,
        })
    }

    fn demand_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if is_root(parent) => Ok(()),
            Some(parent) => match self.visible.get(parent) {
                Some(Node::Directory) => Ok(()),
                Some(Node::File(_)) | None => Err(io::ErrorKind::NotFound.into()),
            },
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What stood in a directory that is gone is gone with it.
    fn drop_orphans(&mut self) {
        for names in [&mut self.visible, &mut self.durable] {
            let before = names.clone();
            names.retain(|path, _| {
                path.ancestors()
                    .skip(1)
                    .all(|above| is_root(above) || before.get(above) == Some(&Node::Directory))
            });
        }
    }
}

fn is_root(path: &Path) -> bool {
    path == Path::new("") || path == Path::new("/")
}

fn copy(path: &Path, from: &BTreeMap<PathBuf, Node>, to: &mut BTreeMap<PathBuf, Node>) {
    match from.get(path) {
        Some(node) => to.insert(path.to_path_buf(), *node),
        None => to.remove(path),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk_fault::Loss;

    #[test]
    fn a_name_is_lost_until_its_directory_was_synced() {
        let mut names = Names::default();
        names.create_directory(Path::new("d")).unwrap();
        names.sync_directory(Path::new(""));
        names.create_file(Path::new("d/kept"), FileId(1)).unwrap();
        names.sync_directory(Path::new("d"));
        names.create_file(Path::new("d/lost"), FileId(2)).unwrap();
        names.crash(&mut Loss::All(Fate::Lost).judge());
        assert_eq!(names.list(Path::new("d")).unwrap(), vec!["kept"]);
    }

    #[test]
    fn a_removal_that_was_not_synced_may_be_undone() {
        let mut names = Names::default();
        names.create_file(Path::new("f"), FileId(1)).unwrap();
        names.sync_directory(Path::new(""));
        names.remove(Path::new("f")).unwrap();
        assert!(names.file(Path::new("f")).is_err());
        names.crash(&mut Loss::All(Fate::Lost).judge());
        assert_eq!(names.file(Path::new("f")).unwrap(), FileId(1));
    }

    #[test]
    fn a_lost_directory_takes_its_files_along() {
        let mut names = Names::default();
        names.create_directory(Path::new("d")).unwrap();
        names.create_file(Path::new("d/f"), FileId(1)).unwrap();
        names.sync_directory(Path::new("d"));
        names.crash(&mut Loss::All(Fate::Lost).judge());
        assert!(names.file(Path::new("d/f")).is_err());
        assert_eq!(names.files().count(), 0);
    }
}
