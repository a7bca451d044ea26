//! The images that a configuration can name, and those that were opened for it.

use super::{Bundles, Origin};
use crate::disks;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use virtio::disk::{Access, DiskError};
use vm_manager::load::{Images, ReadError, Source};
use volume::stream::{Stream, StreamError};

/// What was opened, by path: what is tried again has the same sources, which meanwhile may have been answered.
#[derive(Default)]
pub(crate) struct Opened(RefCell<BTreeMap<String, Arc<dyn Source>>>);

/// The images of one bundle, and of others by their full paths.
pub(crate) struct Shelf<'a> {
    pub(crate) bundles: &'a Bundles,
    /// Where paths begin.
    pub(crate) origin: Origin,
    pub(crate) opened: &'a Opened,
    /// For whom.
    pub(crate) user: &'a str,
}

impl Shelf<'_> {
    fn open_new(&self, path: &str) -> Option<Arc<dyn Source>> {
        let (origin, path) = match self.bundles.elsewhere(path) {
            Some((index, path)) => (Origin::Stored(index), path),
            None => (self.origin, path),
        };
        let index = match origin {
            Origin::Initrd => return Images::open(&self.bundles.initrd, path),
            Origin::Stored(index) => index,
        };
        let stored = self.bundles.stored.get(index)?;
        let image = stored.catalogue.images.get(path)?;
        match disks::get().open_partition(&stored.label, Access::ReadOnly, self.user) {
            Ok(disk) => Some(Arc::new(OnDisk(Stream::new(disk, Arc::clone(&image.map))))),
            Err(why) => {
                log::error!("{}: {why}", stored.place);
                None
            }
        }
    }
}

impl Images for Shelf<'_> {
    fn open(&self, path: &str) -> Option<Arc<dyn Source>> {
        if let Some(source) = self.opened.0.borrow().get(path) {
            return Some(Arc::clone(source));
        }
        let source = self.open_new(path)?;
        self.opened.0.borrow_mut().insert(path.to_owned(), Arc::clone(&source));
        Some(source)
    }

    fn paths(&self) -> Vec<String> {
        match self.origin {
            Origin::Initrd => self.bundles.initrd.paths(),
            Origin::Stored(index) => {
                let stored = self.bundles.stored.get(index);
                stored.map_or_else(Vec::new, |of| of.catalogue.images.keys().cloned().collect())
            }
        }
    }
}

/// An image on a disk.
struct OnDisk(Arc<Stream>);

impl Source for OnDisk {
    fn len(&self) -> u64 {
        self.0.bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        self.0.read_at(offset, buf).map_err(|error| match error {
            StreamError::NotYet => ReadError::NotYet,
            StreamError::PastEnd => ReadError::PastEnd,
            StreamError::TooMany | StreamError::Disk(DiskError::NoSpace) => ReadError::NoMemory,
            StreamError::Disk(DiskError::Late) => ReadError::Late,
            StreamError::Disk(
                DiskError::Medium
                | DiskError::OutOfRange
                | DiskError::Unaligned
                | DiskError::ReadOnly
                | DiskError::Unsupported
                | DiskError::Busy
                | DiskError::Cancelled,
            ) => ReadError::Medium,
        })
    }

    fn release(&self) {
        self.0.release();
    }
}
