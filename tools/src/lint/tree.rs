//! The files that rules look at.

use std::fs;
use std::path::Path;

use super::source::Source;
use crate::Error;

/// Directories with nothing of ours in them.
const SKIPPED: &[&str] = &["target", "build", "node_modules"];

/// A work tree, read.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// All Rust sources.
    pub(super) sources: Vec<Source>,
    /// All documents: path and text.
    pub(super) documents: Vec<(String, String)>,
    /// All manifests of cargo: path and text.
    pub(super) manifests: Vec<(String, String)>,
    /// The paths of all files.
    pub(super) paths: Vec<String>,
}

impl Tree {
    /// Reads the tree at `root`.
    ///
    /// # Errors
    /// When a directory or a file cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        tree.paths.sort();
        tree.sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn walk(&mut self, directory: &Path, prefix: &str) -> Result<(), Error> {
        let failed = |e| Error::io(&directory.display().to_string(), &e);
        for entry in fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let inside = format!("{prefix}{name}");
            if path.is_dir() {
                // `.ci` and `.cargo` are ours, `.git` is not.
                if !SKIPPED.contains(&name) && name != ".git" {
                    self.walk(&path, &format!("{inside}/"))?;
                }
            } else {
                self.add(inside, &path)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, inside: String, path: &Path) -> Result<(), Error> {
        let text =
            || fs::read_to_string(path).map_err(|e| Error::io(&path.display().to_string(), &e));
        if inside.ends_with(".rs") {
            self.sources.push(Source::new(inside.clone(), text()?));
        } else if inside.ends_with(".md") {
            self.documents.push((inside.clone(), text()?));
        } else if inside.ends_with("Cargo.toml") {
            self.manifests.push((inside.clone(), text()?));
        }
        self.paths.push(inside);
        Ok(())
    }

    /// The text of the manifest at `path`.
    pub(super) fn manifest(&self, path: &str) -> Option<&str> {
        self.manifests.iter().find(|(other, _)| other == path).map(|(_, text)| text.as_str())
    }
}
