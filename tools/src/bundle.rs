//! Bundles: what the boot loader hands to Roost as initrd.
//!
//! ```text
//! configs/NAME.toml     configurations
//! images/GUEST/...      what they name
//! autostart             shell commands to run at boot, when there is such a script
//! ```

use std::fs;
use std::path::Path;

use crate::Error;
use crate::cpio::{self, Member};

/// What goes into a bundle.
#[derive(Debug, Default)]
pub struct Bundle {
    members: Vec<Member>,
}

impl Bundle {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, such as `configs/linux.toml`.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.members.push(Member::file(path, 0o644, bytes.into()));
        self
    }

    /// Adds a file in place of the one of this path, if there is one.
    #[must_use]
    pub fn replace(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.members.retain(|member| member.path() != path);
        self.file(path, bytes)
    }

    /// Adds all files of a directory of the host and those below it, under `prefix`. Hidden files are
    /// left out, and those that a build has not finished.
    ///
    /// # Errors
    /// When the directory or a file cannot be read.
    pub fn directory(mut self, prefix: &str, directory: &Path) -> Result<Self, Error> {
        let name = |path: &Path| path.display().to_string();
        let entries = fs::read_dir(directory).map_err(|e| Error::io(&name(directory), &e))?;
        for entry in entries {
            let path = entry.map_err(|e| Error::io(&name(directory), &e))?.path();
            let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if file_name.starts_with('.') || file_name.ends_with(".partial") {
                continue;
            }
            let inside = format!("{prefix}/{file_name}");
            if path.is_dir() {
                self = self.directory(&inside, &path)?;
            } else {
                let bytes = fs::read(&path).map_err(|e| Error::io(&name(&path), &e))?;
                self = self.file(&inside, bytes);
            }
        }
        Ok(self)
    }

    /// The archive, which repeats byte by byte.
    ///
    /// # Errors
    /// When a path is there twice, or a file is too large for the format.
    pub fn archive(self) -> Result<Vec<u8>, Error> {
        cpio::archive(self.members)
    }
}

#[cfg(test)]
mod tests {
    use super::Bundle;

    #[test]
    fn files_are_in_the_order_of_their_paths() {
        let one = Bundle::new().file("b", "2").file("a", "1").archive().unwrap();
        let other = Bundle::new().file("a", "1").file("b", "2").archive().unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_that_names_it() {
        let error = Bundle::new().directory("configs", "/no/such".as_ref()).unwrap_err();
        assert!(error.to_string().contains("/no/such"), "{error}");
    }
}
