//! Which pages of a disk are its own: a table of two levels, whose second exists only where something was written.

use super::DiskError;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Pages of a table of the second level: 2 MiB.
const TABLE_PAGES: u64 = 512;

/// What a page of a disk is.
#[derive(Debug)]
pub(super) enum Slot<P> {
    /// What the image has there.
    Image,
    /// Zeroes, whatever the image has there.
    Zero,
    /// What was written there.
    Own(P),
}

type Table<P> = Box<[Slot<P>]>;

/// The pages of a disk, all of them the image's at first.
pub(super) struct PageMap<P> {
    tables: Vec<Option<Table<P>>>,
    own: u64,
}

impl<P> PageMap<P> {
    /// A map of `pages` pages.
    pub(super) fn new(pages: u64) -> Result<Self, DiskError> {
        let count = usize::try_from(pages.div_ceil(TABLE_PAGES)).map_err(|_| DiskError::NoSpace)?;
        let mut tables = Vec::new();
        tables.try_reserve_exact(count).map_err(|_| DiskError::NoSpace)?;
        tables.resize_with(count, || None);
        Ok(Self { tables, own: 0 })
    }

    /// How many pages are the disk's own.
    pub(super) fn own(&self) -> u64 {
        self.own
    }

    /// What the page is.
    pub(super) fn get(&self, page: u64) -> &Slot<P> {
        let (table, index) = place(page);
        match self.tables.get(table) {
            Some(Some(slots)) => slots.get(index).unwrap_or(&Slot::Image),
            _ => &Slot::Image,
        }
    }

    /// The page's content, if it is the disk's own.
    pub(super) fn own_mut(&mut self, page: u64) -> Option<&mut P> {
        let (table, index) = place(page);
        match self.tables.get_mut(table)?.as_mut()?.get_mut(index)? {
            Slot::Own(page) => Some(page),
            Slot::Image | Slot::Zero => None,
        }
    }

    /// Says what the page is from now on. What it was is dropped.
    pub(super) fn set(&mut self, page: u64, slot: Slot<P>) -> Result<(), DiskError> {
        let (table, index) = place(page);
        let entry = self.tables.get_mut(table).ok_or(DiskError::OutOfRange)?;
        let slots = match entry {
            Some(slots) => slots,
            None if matches!(slot, Slot::Image) => return Ok(()),
            None => entry.insert(new_table()?),
        };
        let place = slots.get_mut(index).ok_or(DiskError::OutOfRange)?;
        self.own -= u64::from(matches!(place, Slot::Own(_)));
        self.own += u64::from(matches!(slot, Slot::Own(_)));
        *place = slot;
        Ok(())
    }
}

fn place(page: u64) -> (usize, usize) {
    // A page too far up for this CPU's words is as far as the last word, where no table is.
    let table = usize::try_from(page / TABLE_PAGES).unwrap_or(usize::MAX);
    (table, (page % TABLE_PAGES) as usize)
}

fn new_table<P>() -> Result<Table<P>, DiskError> {
    let mut slots = Vec::new();
    slots.try_reserve_exact(TABLE_PAGES as usize).map_err(|_| DiskError::NoSpace)?;
    slots.resize_with(TABLE_PAGES as usize, || Slot::Image);
    Ok(slots.into_boxed_slice())
}
