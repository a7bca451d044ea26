//! A disk of a VM, as it is configured.

use super::found::Found;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// The most disks of a VM.
pub const MAX_DISKS: usize = 6;

/// Where the content of a disk is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Backing {
    /// Nowhere: the slot is empty until a disk is attached.
    None,
    /// In memory: so many bytes, zeroes at first. It survives a reset of its VM, and is gone with it.
    Ram(u64),
    /// In an image, by its path below `images/`. What the guest writes is kept in memory, and the image stays as it is.
    Image(String),
    /// All of a disk of the host, by its name, such as `vda`.
    Disk(String),
    /// The partition of a disk of the host that has this label.
    Partition(String),
}

impl Backing {
    /// What is to be attached, as it is written in a configuration.
    ///
    /// # Errors
    ///
    /// Says what was found, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Found::Word(text).backing() {
            Ok(Self::None) => Err("found \"none\", which is no disk".to_owned()),
            Ok(backing) => Ok(backing),
            Err(refusal) => Err(refusal.into_text()),
        }
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Ram(bytes) => {
                let units = [(30, "G"), (20, "M"), (10, "K")];
                let fitting = units.iter().find(|(shift, _)| bytes.trailing_zeros() >= *shift);
                let (shift, unit) = fitting.copied().unwrap_or((0, ""));
                f.write_str(&format!("ram:{}{unit}", bytes >> shift))
            }
            Self::Image(path) => write!(f, "image:{path}"),
            Self::Disk(name) => write!(f, "disk:{name}"),
            Self::Partition(label) => write!(f, "partition:{}", label.escape_debug()),
        }
    }
}

/// What a guest may do with a disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DiskAccess {
    /// Everything.
    #[default]
    ReadWrite,
    /// Read it.
    ReadOnly,
}

/// A disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DiskConfig {
    /// Where its content is.
    pub backing: Backing,
    /// What the guest may do with it.
    pub access: DiskAccess,
    /// The line of the configuration where its `[[disk]]` begins.
    pub line: u32,
}
