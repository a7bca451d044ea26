//! Page tables: one walker, safe code, over the formats of all architectures.
//!
//! Every format here has 512 entries of eight bytes in a table of 4 KiB, and leaves of 4 KiB, 2 MiB
//! and 1 GiB. Levels are counted from the leaves: level 0 entries map 4 KiB, level 1 2 MiB, level 2
//! 1 GiB. Where a format starts is its own affair ([`Format::ROOT_LEVEL`]).

use core::fmt;

/// What may be done with a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Perms {
    /// Load.
    pub read: bool,
    /// Store.
    pub write: bool,
    /// Fetch.
    pub execute: bool,
}

impl Perms {
    /// Everything.
    pub const RWX: Self = Self { read: true, write: true, execute: true };
    /// Data.
    pub const RW: Self = Self { read: true, write: true, execute: false };
    /// Code.
    pub const RX: Self = Self { read: true, write: false, execute: true };
    /// Constants.
    pub const R: Self = Self { read: true, write: false, execute: false };
}

/// What kind of memory is mapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Memory {
    /// RAM: write-back cacheable.
    Normal,
    /// Registers: neither cached nor reordered.
    Device,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Nothing is mapped.
    Hole,
    /// It points to a table of the next lower level.
    Table,
    /// It maps a page or a block.
    Leaf,
}

/// How one kind of table spells an entry.
pub trait Format {
    /// The level of the root table.
    const ROOT_LEVEL: u32;
    /// The highest level of which this CPU has leaves: 2 is 1 GiB.
    #[must_use]
    fn largest_leaf() -> u32 {
        2
    }
    /// An entry that points to the table at physical address `addr`.
    fn table(addr: u64) -> u64;
    /// An entry of level `level` that maps the page or block at physical address `addr`.
    fn leaf(addr: u64, perms: Perms, memory: Memory, level: u32) -> u64;
    /// What `entry` is in a table of level `level`.
    fn kind(entry: u64, level: u32) -> Kind;
}

/// Where tables live: the frame pool on the machine, a map in tests.
pub trait Tables {
    /// The physical address of a fresh zeroed table, or `None` when memory is out.
    fn alloc(&mut self) -> Option<u64>;
    /// Reads entry `index` of the table at `addr`.
    fn read(&self, addr: u64, index: usize) -> u64;
    /// Writes entry `index` of the table at `addr`.
    fn write(&mut self, addr: u64, index: usize, entry: u64);
}

/// Why a mapping failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MapError {
    /// There is no memory for a table.
    NoMemory,
    /// Something is mapped there already.
    Mapped,
    /// An address or the length is not a multiple of 4 KiB, or is outside of the address space.
    BadRange,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMemory => "no memory for a page table",
            Self::Mapped => "the address is mapped already",
            Self::BadRange => "the range is not aligned or outside of the address space",
        })
    }
}

/// Bytes in a page and in a table.
pub const PAGE_SIZE: u64 = 4096;
/// The physical address in an entry: bits 47:12.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
const INDEX_BITS: u32 = 9;

/// The number of bytes that an entry of level `level` maps.
#[must_use]
pub const fn level_size(level: u32) -> u64 {
    PAGE_SIZE << (INDEX_BITS * level)
}

/// The physical address in a table or leaf entry.
#[must_use]
pub const fn entry_address(entry: u64) -> u64 {
    entry & ADDRESS
}

const fn index(virt: u64, level: u32) -> usize {
    ((virt >> (12 + INDEX_BITS * level)) & 511) as usize
}

/// One range to map.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Where it appears: a virtual address, or a guest physical one.
    pub virt: u64,
    /// What appears there: a physical address.
    pub phys: u64,
    /// How many bytes, a multiple of 4 KiB.
    pub len: u64,
    /// What may be done with it.
    pub perms: Perms,
    /// What it is.
    pub memory: Memory,
}

/// Maps a range with the largest leaves that alignment allows.
///
/// # Errors
///
/// [`MapError::BadRange`] changes nothing. The others may leave a part mapped: the caller throws
/// the tables away, or maps only where it knows that nothing is.
pub fn map<F: Format>(
    tables: &mut impl Tables,
    root: u64,
    mapping: Mapping,
) -> Result<(), MapError> {
    let Mapping { virt, phys, len, perms, memory } = mapping;
    let space = level_size(F::ROOT_LEVEL + 1);
    let unaligned = (virt | phys | len) & (PAGE_SIZE - 1) != 0;
    if unaligned || virt.checked_add(len).is_none_or(|end| end > space) {
        return Err(MapError::BadRange);
    }
    let mut done = 0;
    while done < len {
        let (virt, phys) = (virt + done, phys + done);
        let level = largest_leaf(virt, phys, len - done, F::largest_leaf().min(F::ROOT_LEVEL));
        map_leaf::<F>(tables, root, virt, F::leaf(phys, perms, memory, level), level)?;
        done += level_size(level);
    }
    Ok(())
}

fn largest_leaf(virt: u64, phys: u64, len: u64, largest: u32) -> u32 {
    let fits = |&level: &u32| {
        let size = level_size(level);
        (virt | phys) & (size - 1) == 0 && len >= size
    };
    (0..=largest).rev().find(fits).unwrap_or(0)
}

fn map_leaf<F: Format>(
    tables: &mut impl Tables,
    root: u64,
    virt: u64,
    leaf: u64,
    leaf_level: u32,
) -> Result<(), MapError> {
    let mut table = root;
    for level in (leaf_level + 1..=F::ROOT_LEVEL).rev() {
        let entry = tables.read(table, index(virt, level));
        table = match F::kind(entry, level) {
            Kind::Leaf => return Err(MapError::Mapped),
            Kind::Table => entry_address(entry),
            Kind::Hole => {
                let next = tables.alloc().ok_or(MapError::NoMemory)?;
                tables.write(table, index(virt, level), F::table(next));
                next
            }
        };
    }
    let slot = index(virt, leaf_level);
    if F::kind(tables.read(table, slot), leaf_level) != Kind::Hole {
        return Err(MapError::Mapped);
    }
    tables.write(table, slot, leaf);
    Ok(())
}

/// What is mapped at `virt`: the leaf entry and its level, or `None` for a hole.
#[must_use]
pub fn lookup<F: Format>(tables: &impl Tables, root: u64, virt: u64) -> Option<(u64, u32)> {
    if virt >= level_size(F::ROOT_LEVEL + 1) {
        return None;
    }
    let mut table = root;
    for level in (0..=F::ROOT_LEVEL).rev() {
        let entry = tables.read(table, index(virt, level));
        match F::kind(entry, level) {
            Kind::Hole => return None,
            Kind::Leaf => return Some((entry, level)),
            Kind::Table => table = entry_address(entry),
        }
    }
    None
}

/// Takes the page at `virt` out, and returns the physical address that it showed; `None` if there was a hole. A larger leaf
/// that the page is in, mapped with `perms` and `memory`, is split first.
///
/// Nothing walks these tables meanwhile, and what was known of them is forgotten before that happens again: a leaf becomes a
/// table in one step, which break-before-make (Arm ARM D8.16.1) forbids otherwise.
///
/// # Errors
///
/// [`MapError`]. A leaf may have been split.
pub fn unmap_page<F: Format>(
    tables: &mut impl Tables,
    root: u64,
    virt: u64,
    perms: Perms,
    memory: Memory,
) -> Result<Option<u64>, MapError> {
    if virt & (PAGE_SIZE - 1) != 0 || virt >= level_size(F::ROOT_LEVEL + 1) {
        return Err(MapError::BadRange);
    }
    let mut table = root;
    for level in (1..=F::ROOT_LEVEL).rev() {
        let slot = index(virt, level);
        let entry = tables.read(table, slot);
        table = match F::kind(entry, level) {
            Kind::Hole => return Ok(None),
            Kind::Table => entry_address(entry),
            Kind::Leaf => {
                let next = tables.alloc().ok_or(MapError::NoMemory)?;
                let start = entry_address(entry) & !(level_size(level) - 1);
                for (part, place) in (0..1 << INDEX_BITS).zip(0..) {
                    let phys = start + part * level_size(level - 1);
                    tables.write(next, place, F::leaf(phys, perms, memory, level - 1));
                }
                tables.write(table, slot, F::table(next));
                next
            }
        };
    }
    let slot = index(virt, 0);
    let entry = tables.read(table, slot);
    if F::kind(entry, 0) == Kind::Hole {
        return Ok(None);
    }
    tables.write(table, slot, 0);
    Ok(Some(entry_address(entry)))
}

/// The physical address that `virt` is mapped to, and how many bytes from there on are.
#[must_use]
pub fn translate<F: Format>(tables: &impl Tables, root: u64, virt: u64) -> Option<(u64, u64)> {
    let (entry, level) = lookup::<F>(tables, root, virt)?;
    let within = virt & (level_size(level) - 1);
    let start = entry_address(entry) & !(level_size(level) - 1);
    Some((start + within, level_size(level) - within))
}

#[cfg(test)]
mod tests;
