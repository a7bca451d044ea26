//! What a bundle on a disk has: the same files in the same places as one that the boot loader hands over.
//!
//! ```text
//! configs/linux.toml     a configuration: its text is kept
//! images/linux/Image     an image: where it is, is kept
//! autostart              shell commands that are run at boot
//! ```
//!
//! Reading one takes bounded time and memory, whatever is on the disk.

use super::file_system::{self, Entry, FileSystem, Handle, Kind};
use super::{FileMap, VolumeError};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use virtio::disk::reader::ReadAt;

/// More configurations, or more images, are left out.
const MOST_FILES: usize = 1024;
/// More directories are not looked into.
const MOST_DIRECTORIES: usize = 256;
/// Directories deeper than this below `images` are not looked into.
const MOST_DEPTH: usize = 8;
/// A configuration, or a script, that is longer is left out.
const MOST_TEXT_BYTES: u64 = 64 << 10;
/// When all texts together are longer, the rest is left out.
const MOST_TEXTS_BYTES: usize = 1 << 20;
/// When all images together are in more parts than this, the rest is left out.
const MOST_RUNS: usize = 32 << 10;
/// The longest path, as for the configurations that name them.
const MOST_PATH_BYTES: usize = 256;
/// How much of each image is read, to say what it is.
const HEAD_BYTES: u64 = 1 << 10;

/// An image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it is.
    pub map: Arc<FileMap>,
    /// Its first bytes.
    pub head: Vec<u8>,
}

/// What is on a disk.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The kind of its file system.
    pub file_system: &'static str,
    /// The texts of configurations, by name.
    pub configs: BTreeMap<String, Vec<u8>>,
    /// Images, by path below `images/`.
    pub images: BTreeMap<String, Image>,
    /// The commands to run at boot.
    pub autostart: Option<Vec<u8>>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl Catalogue {
    /// Reads what is on a disk, which is one partition.
    ///
    /// # Errors
    ///
    /// If there is no file system that can be read, or the disk cannot be. What is wrong with single files is in
    /// [`Self::notes`].
    pub fn read(disk: &mut dyn ReadAt) -> Result<Self, VolumeError> {
        let file_system = FileSystem::open(disk)?;
        let catalogue = Self {
            file_system: file_system.name(),
            configs: BTreeMap::new(),
            images: BTreeMap::new(),
            autostart: None,
            notes: Vec::new(),
        };
        let root = file_system.root(disk)?;
        let mut reader = Reader { disk, file_system, catalogue, texts: 0, runs: 0, directories: 0 };
        for entry in reader.list(&root)? {
            match (entry.name.as_str(), entry.handle.kind()) {
                ("configs", Kind::Directory) => reader.configs(&entry.handle)?,
                ("images", Kind::Directory) => reader.images("", &entry.handle, MOST_DEPTH)?,
                ("autostart", Kind::File) => {
                    let text = reader.text(&entry.handle);
                    reader.catalogue.autostart = reader.noted("autostart", text)?;
                }
                _ => {}
            }
        }
        Ok(reader.catalogue)
    }
}

struct Reader<'a> {
    disk: &'a mut dyn ReadAt,
    file_system: FileSystem,
    catalogue: Catalogue,
    texts: usize,
    runs: usize,
    directories: usize,
}

impl Reader<'_> {
    fn list(&mut self, directory: &Handle) -> Result<Vec<Entry>, VolumeError> {
        self.directories += 1;
        if self.directories > MOST_DIRECTORIES {
            return Err(VolumeError::TooLarge("more than 256 directories"));
        }
        self.file_system.list(self.disk, directory)
    }

    /// What is wrong with a file is a note; what is wrong with the disk is an error.
    fn noted<T>(
        &mut self,
        path: &str,
        result: Result<T, VolumeError>,
    ) -> Result<Option<T>, VolumeError> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(error @ VolumeError::Disk(_)) => Err(error),
            Err(error) => {
                // A damaged directory may name the same file again and again.
                if self.catalogue.notes.len() < 8 {
                    self.catalogue.notes.push(format!("{}: {error}", path.escape_debug()));
                }
                Ok(None)
            }
        }
    }

    fn configs(&mut self, directory: &Handle) -> Result<(), VolumeError> {
        let listed = self.list(directory);
        for entry in self.noted("configs", listed)?.unwrap_or_default() {
            let Some(name) = entry.name.strip_suffix(".toml") else { continue };
            if entry.handle.kind() != Kind::File {
                continue;
            }
            let text = self.text(&entry.handle).and_then(|text| {
                let is_full = self.catalogue.configs.len() >= MOST_FILES;
                if is_full { Err(VolumeError::TooLarge("configurations")) } else { Ok(text) }
            });
            if let Some(text) = self.noted(&entry.name, text)? {
                self.catalogue.configs.insert(name.into(), text);
            }
        }
        Ok(())
    }

    /// All of a small file.
    fn text(&mut self, file: &Handle) -> Result<Vec<u8>, VolumeError> {
        if file.bytes() > MOST_TEXT_BYTES {
            return Err(VolumeError::TooLarge("a text of more than 64 KiB"));
        }
        let map = self.file_system.map(self.disk, file)?;
        self.texts += map.bytes() as usize;
        // The file system may have said something else before.
        if map.bytes() > MOST_TEXT_BYTES || self.texts > MOST_TEXTS_BYTES {
            return Err(VolumeError::TooLarge("texts of more than 1 MiB"));
        }
        file_system::read(self.disk, &map)
    }

    /// The images in a directory, and in those below it. `above` is its path with a slash behind it.
    fn images(&mut self, above: &str, directory: &Handle, depth: usize) -> Result<(), VolumeError> {
        let listed = self.list(directory);
        for entry in self.noted(&format!("images/{above}"), listed)?.unwrap_or_default() {
            let path = format!("{above}{}", entry.name);
            if path.len() > MOST_PATH_BYTES || path.contains(char::is_control) {
                continue;
            }
            match entry.handle.kind() {
                Kind::Directory => {
                    if let Some(below) = depth.checked_sub(1) {
                        self.images(&format!("{path}/"), &entry.handle, below)?;
                    }
                }
                Kind::File => {
                    let image = self.image(&entry.handle);
                    if let Some(image) = self.noted(&format!("images/{path}"), image)? {
                        self.catalogue.images.insert(path, image);
                    }
                }
                Kind::Other => {}
            }
        }
        Ok(())
    }

    fn image(&mut self, file: &Handle) -> Result<Image, VolumeError> {
        if self.catalogue.images.len() >= MOST_FILES {
            return Err(VolumeError::TooLarge("images"));
        }
        let map = self.file_system.map(self.disk, file)?;
        self.runs += map.runs().len();
        if self.runs > MOST_RUNS {
            return Err(VolumeError::TooLarge("images in many parts"));
        }
        let head = file_system::read_head(self.disk, &map, HEAD_BYTES)?;
        Ok(Image { map: Arc::new(map), head })
    }
}

#[cfg(test)]
mod tests;
