//! What can go wrong in a tool: one sentence that names the thing.

use std::fmt;
use std::io;

/// A sentence for the person who runs the build.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error that says `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// An error of the file system about `name`.
    pub fn io(name: &str, error: &io::Error) -> Self {
        Self(format!("{name}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
