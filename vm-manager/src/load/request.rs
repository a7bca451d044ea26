//! What is to be loaded, before it is known whether that is possible.

use super::Region;
use super::source::Source;
use crate::bundle::Bundle;
use crate::config::{self, Backing, ConfigError, ImageFormat, Key, VmConfig};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use hv_core::guest::GuestPhysAddr;
use hv_core::machine::Range;

/// A file, and what it is called in errors.
#[derive(Clone)]
pub struct File {
    /// Its path.
    pub name: String,
    /// Its bytes.
    pub source: Arc<dyn Source>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.source.len())
    }
}

/// Where images are found by their paths.
pub trait Images {
    /// The image at this path below `images/`.
    fn open(&self, path: &str) -> Option<Arc<dyn Source>>;
    /// The paths of all images.
    fn paths(&self) -> Vec<String>;
}

impl Images for Bundle<'static> {
    fn open(&self, path: &str) -> Option<Arc<dyn Source>> {
        let bytes: &'static [u8] = self.image(path)?;
        Some(Arc::new(bytes))
    }

    fn paths(&self) -> Vec<String> {
        self.images().map(|(path, _)| path.into()).collect()
    }
}

/// What is to be loaded for one VM. It is kept for as long as the VM, to load it again.
#[derive(Clone, Debug)]
pub struct Request {
    /// The guest's RAM: of several parts, the first, where everything goes.
    pub ram: Region,
    /// What it starts from.
    pub kernel: File,
    /// What that is.
    pub format: ImageFormat,
    /// Where a flat kernel goes, or the base address of a Linux kernel.
    pub load_address: Option<GuestPhysAddr>,
    /// Where a flat kernel starts.
    pub entry: Option<GuestPhysAddr>,
    /// The initial RAM disk.
    pub initrd: Option<File>,
    /// Further files and where they go.
    pub loads: Vec<(File, GuestPhysAddr)>,
}

impl Request {
    /// What `config` asks for, with the files from `images`, for a guest with this RAM.
    ///
    /// # Errors
    ///
    /// If an image does not exist.
    pub fn new(config: &VmConfig, ram: &[Range], images: &dyn Images) -> Result<Self, ConfigError> {
        let open = |path: &str| {
            let file = |source| File { name: path.into(), source };
            images.open(path).map(file).ok_or_else(|| missing(path, images))
        };
        let at_key = |key| move |problem: String| config.error(key, &problem);
        let boot = &config.boot;
        let initrd = boot.initrd.as_deref().map(open).transpose();
        let loads = config.loads.iter().map(|load| {
            let file = open(&load.file)
                .map_err(|problem| config.error_in(load, Key::LoadFile, &problem))?;
            Ok((file, load.address))
        });
        for disk in &config.disks {
            if let Backing::Image(path) = &disk.backing {
                open(path).map_err(|problem| config.error_in_disk(disk, &problem))?;
            }
        }
        Ok(Self {
            ram: ram.first().map_or_else(Region::default, |part| Region {
                start: GuestPhysAddr(part.start),
                end: GuestPhysAddr(part.end),
            }),
            kernel: open(&boot.kernel).map_err(at_key(Key::Kernel))?,
            format: boot.format,
            load_address: boot.load_address,
            entry: boot.entry,
            initrd: initrd.map_err(at_key(Key::Initrd))?,
            loads: loads.collect::<Result<_, _>>()?,
        })
    }

    /// No more is read of its files for now.
    pub(crate) fn release(&self) {
        let loads = self.loads.iter().map(|(file, _)| file);
        for file in loads.chain(&self.initrd).chain([&self.kernel]) {
            file.source.release();
        }
    }
}

/// Says that there is no such image, and which there are.
fn missing(path: &str, images: &dyn Images) -> String {
    const SHOWN: usize = 8;
    let paths = images.paths();
    let near = config::nearest(path, paths.iter().map(String::as_str));
    let mut text = format!("found '{}', which is not in images/; ", path.escape_debug());
    if let Some(near) = near {
        return text + &format!("did you mean '{near}'?");
    }
    if paths.is_empty() {
        return text + "nothing is";
    }
    text += "there are ";
    text += &paths.get(..SHOWN.min(paths.len())).unwrap_or_default().join(", ");
    if paths.len() > SHOWN {
        text += &format!(" and {} more", paths.len() - SHOWN);
    }
    text
}
