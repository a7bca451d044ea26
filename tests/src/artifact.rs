//! What the build made.

use std::path::{Path, PathBuf};

/// Which guests a bundle has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guests {
    /// hello and probe.
    Bare,
    /// Linux too.
    All,
}

impl Guests {
    /// Their directories below `images`.
    pub(crate) fn directories(self) -> &'static [&'static str] {
        match self {
            Self::Bare => &["hello", "probe"],
            Self::All => &["hello", "linux", "probe"],
        }
    }
}

/// Where the build put its results.
#[must_use]
pub fn build_directory() -> PathBuf {
    match std::env::var_os("ROOST_BUILD") {
        Some(path) => path.into(),
        None => workspace().join("build/aarch64"),
    }
}

/// The root of the sources.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A file of the build.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let path = build_directory().join(name);
    assert!(
        path.exists(),
        "{}: not built; `make test-machine` builds what these tests need",
        path.display()
    );
    path
}
