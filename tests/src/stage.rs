//! A directory with the files of a bundle, to make a file system of.

use std::fs;
use std::path::{Path, PathBuf};

use crate::artifact::{Arch, Guests, built, workspace};
use crate::disk::scratch;

/// The directory. It is deleted when this is dropped.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
    arch: Arch,
}

impl Stage {
    /// An empty one.
    #[must_use]
    pub fn new(arch: Arch) -> Self {
        Self { path: scratch("stage"), arch }
    }

    /// One with all configurations of the architecture, and these guests.
    #[must_use]
    pub fn with_guests(arch: Arch, guests: Guests) -> Self {
        let mut stage = Self::new(arch);
        stage.copy(&workspace().join("configs").join(arch.name()), "configs");
        for guest in guests.directories(arch) {
            stage = stage.guest(guest);
        }
        stage
    }

    /// The images of a guest.
    #[must_use]
    pub fn guest(self, name: &str) -> Self {
        let prefix = format!("images/{name}");
        self.copy(&built(self.arch, &prefix), &prefix);
        self
    }

    /// One more file, such as `configs/other.toml`.
    #[must_use]
    pub fn file(self, path: &str, bytes: &[u8]) -> Self {
        let path = self.path.join(path);
        let written =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        must(&path, written);
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn copy(&self, from: &Path, to: &str) {
        let to = self.path.join(to);
        must(&to, fs::create_dir_all(&to));
        for entry in must(from, fs::read_dir(from)) {
            let file = must(from, entry).path();
            let name = file.file_name().unwrap_or_default();
            must(&file, fs::copy(&file, to.join(name)));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is left behind does no harm.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn must<T>(path: &Path, result: std::io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
