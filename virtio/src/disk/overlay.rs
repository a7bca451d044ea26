//! A disk in memory: pages that were written, over an image that is never touched, or over nothing (a RAM disk).
//!
//! ```text
//!   page     0       1       2       3       4
//!   own              ████                              written: a page of the store
//!   zero                     ····                      discarded: the page went back to the store
//!   image  ▒▒▒▒▒▒▒ ▒▒▒▒▒▒▒ ▒▒▒▒▒▒▒ ▒▒▒                 behind its end there are zeroes
//!   reads    ▒▒▒     ████    ····    ▒▒··    ····
//! ```

use super::geometry::Limits;
use super::image::{Image, NoImage};
use super::page::{PAGE_BYTES, PAGE_SECTORS, PageStore};
use super::page_map::{PageMap, Slot};
use super::{
    Access, Cache, Completed, Disk, DiskError, Geometry, Operation, Request, SECTOR_BYTES,
    SectorRange, Submitted, Transfer, Unmap,
};
use hv_core::sync::Mutex;

/// How many sectors are zeroed or discarded at once, so that no CPU is held for long: 1 MiB.
const PIECE: Limits = Limits { sectors: 2048, alignment_sectors: PAGE_SECTORS as u32 };

static ZEROES: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// A disk in memory.
pub struct Overlay<S: PageStore, I> {
    store: S,
    image: I,
    geometry: Geometry,
    /// Taken by the client's device with its own lock held; the store is called with it held.
    pages: Mutex<PageMap<S::Page>>,
}

/// A disk that begins empty.
pub type RamDisk<S> = Overlay<S, NoImage>;

/// How much memory a disk in memory has taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverlayUsage {
    /// In pages that were written.
    pub bytes: u64,
}

impl<S: PageStore> RamDisk<S> {
    /// An empty disk of `sectors` sectors, whose pages are taken from `store` as they are written.
    ///
    /// # Errors
    ///
    /// [`DiskError::NoSpace`] if there is no memory for its tables, [`DiskError::OutOfRange`] if no disk can be so large.
    pub fn empty(store: S, sectors: u64) -> Result<Self, DiskError> {
        Self::with_image(store, NoImage, sectors)
    }
}

impl<S: PageStore, I: Image> Overlay<S, I> {
    /// A disk as large as `image`, which can be written without changing it.
    ///
    /// # Errors
    ///
    /// As of [`Self::with_image`].
    pub fn new(store: S, image: I) -> Result<Self, DiskError> {
        let sectors = image.bytes().div_ceil(SECTOR_BYTES);
        Self::with_image(store, image, sectors)
    }

    /// A disk of `sectors` sectors, of which `image` is the beginning. What of the image does not fit is not seen.
    ///
    /// # Errors
    ///
    /// [`DiskError::NoSpace`] if there is no memory for its tables, [`DiskError::OutOfRange`] if no disk can be so large.
    pub fn with_image(store: S, image: I, sectors: u64) -> Result<Self, DiskError> {
        SectorRange::new(0, sectors).ok_or(DiskError::OutOfRange)?;
        let pages = PageMap::new(sectors.div_ceil(PAGE_SECTORS))?;
        let geometry = Geometry {
            sectors,
            block_bytes: SECTOR_BYTES as u32,
            physical_exponent: PAGE_SECTORS.trailing_zeros() as u8,
            minimum_blocks: PAGE_SECTORS as u16,
            optimal_blocks: 0,
            access: Access::ReadWrite,
            cache: Cache::WriteThrough,
            discard: Some(PIECE),
            write_zeroes: Some(PIECE),
        };
        Ok(Self { store, image, geometry, pages: Mutex::new(pages) })
    }

    /// The same disk, to be read only.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.geometry.access = Access::ReadOnly;
        self
    }

    /// How much memory it has taken.
    #[must_use]
    pub fn usage(&self) -> OverlayUsage {
        OverlayUsage { bytes: self.pages.lock().own() * PAGE_BYTES as u64 }
    }

    fn perform(&self, operation: &mut Operation) -> Result<(), DiskError> {
        let range = self.geometry.check(operation)?;
        let mut pages = self.pages.lock();
        match operation {
            Operation::Read { buffer, .. } => {
                let mut rest = &mut **buffer;
                self.read(&pages, range, &mut |bytes| {
                    let room = rest.split_off_mut(..bytes.len()).ok_or(DiskError::OutOfRange)?;
                    room.copy_from_slice(bytes);
                    Ok(())
                })
            }
            Operation::Write { buffer, .. } => {
                let mut rest = &**buffer;
                self.write(&mut pages, range, &mut |place| {
                    let bytes = rest.split_off(..place.len()).ok_or(DiskError::OutOfRange)?;
                    place.copy_from_slice(bytes);
                    Ok(())
                })
            }
            Operation::Flush => Ok(()),
            Operation::Discard(_) => self.zero(&mut pages, range, Unmap::Allowed),
            Operation::WriteZeroes(_, unmap) => self.zero(&mut pages, range, *unmap),
        }
    }

    fn read(
        &self,
        pages: &PageMap<S::Page>,
        range: SectorRange,
        take: &mut dyn FnMut(&[u8]) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        for part in parts(range) {
            match pages.get(part.page) {
                Slot::Own(page) => take(part.of(page.as_ref())?)?,
                Slot::Zero => take(part.of(&ZEROES)?)?,
                Slot::Image => {
                    let mut page = [0; PAGE_BYTES];
                    let bytes = part.of_mut(&mut page)?;
                    self.read_image(part.offset(), bytes)?;
                    take(bytes)?;
                }
            }
        }
        Ok(())
    }

    fn write(
        &self,
        pages: &mut PageMap<S::Page>,
        range: SectorRange,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        parts(range).try_for_each(|part| self.write_part(pages, part, fill))
    }

    fn write_part(
        &self,
        pages: &mut PageMap<S::Page>,
        part: Part,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        if let Some(page) = pages.own_mut(part.page) {
            return fill(part.of_mut(page.as_mut())?);
        }
        let mut page = self.store.take_zeroed().ok_or(DiskError::NoSpace)?;
        let whole = page.as_mut();
        if !part.is_whole() && matches!(pages.get(part.page), Slot::Image) {
            self.read_image(part.page * PAGE_BYTES as u64, whole)?;
        }
        fill(part.of_mut(whole)?)?;
        pages.set(part.page, Slot::Own(page))
    }

    fn zero(
        &self,
        pages: &mut PageMap<S::Page>,
        range: SectorRange,
        unmap: Unmap,
    ) -> Result<(), DiskError> {
        for part in parts(range) {
            match (pages.get(part.page), unmap) {
                (Slot::Zero, _) => {}
                (Slot::Image, _) if part.offset() >= self.image.bytes() => {}
                (Slot::Image, _) if part.is_whole() => pages.set(part.page, Slot::Zero)?,
                (Slot::Own(_), Unmap::Allowed) if part.is_whole() => {
                    pages.set(part.page, Slot::Zero)?;
                }
                // The rest of the page stays.
                (Slot::Image | Slot::Own(_), _) => {
                    self.write_part(pages, part, &mut |place| {
                        place.fill(0);
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Fills `buf` from the image, and with zeroes behind its end.
    fn read_image(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let there = self.image.bytes().saturating_sub(offset).min(buf.len() as u64) as usize;
        let (image, behind) = buf.split_at_mut_checked(there).ok_or(DiskError::OutOfRange)?;
        behind.fill(0);
        if image.is_empty() { Ok(()) } else { self.image.read_at(offset, image) }
    }
}

impl<S: PageStore, I: Image> Disk for Overlay<S, I> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn submit(&self, request: Request) -> Submitted {
        let Request { id, mut operation } = request;
        let result = self.perform(&mut operation);
        Submitted::Done(Completed::new(id, result, operation))
    }

    fn transfer(
        &self,
        sector: u64,
        bytes: usize,
        transfer: Transfer<'_>,
    ) -> Option<Result<(), DiskError>> {
        let range = SectorRange::of_bytes(sector, bytes as u64).ok_or(DiskError::Unaligned);
        let check = |wanted| self.geometry.check_range(range?, wanted);
        Some(match transfer {
            Transfer::Read(take) => {
                check(Access::ReadOnly).and_then(|range| self.read(&self.pages.lock(), range, take))
            }
            Transfer::Write(fill) => check(Access::ReadWrite)
                .and_then(|range| self.write(&mut self.pages.lock(), range, fill)),
        })
    }
}

/// The part of one page that a request touches.
#[derive(Clone, Copy)]
struct Part {
    page: u64,
    start: usize,
    bytes: usize,
}

impl Part {
    fn offset(self) -> u64 {
        self.page * PAGE_BYTES as u64 + self.start as u64
    }

    fn is_whole(self) -> bool {
        self.bytes == PAGE_BYTES
    }

    fn of(self, page: &[u8]) -> Result<&[u8], DiskError> {
        page.get(self.start..self.start + self.bytes).ok_or(DiskError::OutOfRange)
    }

    fn of_mut(self, page: &mut [u8]) -> Result<&mut [u8], DiskError> {
        page.get_mut(self.start..self.start + self.bytes).ok_or(DiskError::OutOfRange)
    }
}

fn parts(range: SectorRange) -> impl Iterator<Item = Part> {
    let end = range.end();
    let mut sector = range.start();
    core::iter::from_fn(move || {
        if sector >= end {
            return None;
        }
        let next = (sector / PAGE_SECTORS + 1).saturating_mul(PAGE_SECTORS).min(end);
        let part = Part {
            page: sector / PAGE_SECTORS,
            start: ((sector % PAGE_SECTORS) * SECTOR_BYTES) as usize,
            bytes: ((next - sector) * SECTOR_BYTES) as usize,
        };
        sector = next;
        Some(part)
    })
}

#[cfg(test)]
mod tests;
