//! What the build made.

use std::path::{Path, PathBuf};

/// An architecture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arch {
    /// 64-bit Arm.
    Aarch64,
    /// PCs.
    X86_64,
}

impl Arch {
    /// Its name, as the build has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }

    /// How privileged the guest `hello` says that it is.
    #[must_use]
    pub fn privilege(self) -> &'static str {
        match self {
            Self::Aarch64 => "EL1",
            Self::X86_64 => "ring 0",
        }
    }

    /// What Linux calls its console.
    #[must_use]
    pub fn linux_console(self) -> &'static str {
        match self {
            Self::Aarch64 => "ttyAMA0",
            Self::X86_64 => "ttyS0",
        }
    }
}

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
    pub(crate) fn directories(self, arch: Arch) -> impl Iterator<Item = &'static str> {
        let linux = (self == Self::All).then_some("linux");
        let real = (arch == Arch::X86_64).then_some("real");
        ["hello", "probe"].into_iter().chain(linux).chain(real)
    }
}

/// Where the build put its results for this architecture.
#[must_use]
pub fn build_directory(arch: Arch) -> PathBuf {
    build_root().join(arch.name())
}

/// Where it put those for all architectures.
pub(crate) fn build_root() -> PathBuf {
    std::env::var_os("ROOST_BUILD").map_or_else(|| workspace().join("build"), PathBuf::from)
}

/// A program of the build, or one of the sources' `tools`, for the machine that the tests run on.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let places = [build_root().join(name), workspace().join("tools").join(name)];
    match places.into_iter().find(|path| path.exists()) {
        Some(path) => path,
        None => panic!("{name}: not built; `make test-machine` builds what these tests need"),
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
pub fn built(arch: Arch, name: &str) -> PathBuf {
    let path = build_directory(arch).join(name);
    assert!(
        path.exists(),
        "{}: not built; `make test-machine ARCH={}` builds what these tests need",
        path.display(),
        arch.name(),
    );
    path
}
