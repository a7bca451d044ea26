//! What goes wrong in a shell: an answer to print, which names what was wrong and what would be
//! right.

use alloc::string::String;
use core::fmt;

/// Why a command failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// A sentence for the user, in lower case and without a full stop. It may have several lines.
    Message(String),
    /// The user may not. This says what would have to be.
    Forbidden(String),
}

impl Error {
    /// An error that says `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(text) | Self::Forbidden(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for Error {}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self::Message(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self::Message(text.into())
    }
}

impl From<fmt::Error> for Error {
    fn from(_: fmt::Error) -> Self {
        Self::Message("the answer cannot be formatted".into())
    }
}
