//! What goes wrong, and the exit status that says so.

use std::fmt;

/// Why there is no result.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The command failed: this is what the shell said.
    Command(String),
    /// The command line is wrong.
    Usage(String),
    /// Nobody is logged in, or the user may not.
    Login(String),
    /// The machine ends the connection.
    Closing(String),
    /// There is no connection, or none any more.
    Connection(String),
}

impl Failure {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Command(_) => 1,
            Self::Usage(_) => 2,
            Self::Login(_) => 3,
            Self::Closing(_) | Self::Connection(_) => 4,
        }
    }

    /// The same, of something that is named first.
    pub(crate) fn at(self, place: &str) -> Self {
        let with = |why: String| format!("{place}: {why}");
        match self {
            Self::Command(why) => Self::Command(with(why)),
            Self::Usage(why) => Self::Usage(with(why)),
            Self::Login(why) => Self::Login(with(why)),
            Self::Closing(why) => Self::Closing(with(why)),
            Self::Connection(why) => Self::Connection(with(why)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(why)
            | Self::Usage(why)
            | Self::Login(why)
            | Self::Closing(why)
            | Self::Connection(why) => f.write_str(why),
        }
    }
}
