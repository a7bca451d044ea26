//! The guest's own page tables, walked as its CPU does: SDM vol. 3A, chapter 4; APM vol. 2, chapter 5.
//!
//! Nothing is written: the accessed and dirty bits stay as they are. The hardware has set those of the access that made it
//! exit. No table can lead the walk in a circle: each step goes down one level.

use super::register::{cr0, cr4, efer, flags};
use crate::guest::{BadAddress, GuestPhysAddr};

/// Bytes of the longest instruction (SDM vol. 2A, 2.3.11).
pub const LONGEST_INSTRUCTION: usize = 15;

const PAGE: u64 = 1 << 12;
const LOW_32: u64 = 0xffff_ffff;
/// Bits 51:12.
const FRAME: u64 = 0x000f_ffff_ffff_f000;

/// Entries.
mod entry {
    pub(super) const PRESENT: u64 = 1;
    pub(super) const WRITABLE: u64 = 1 << 1;
    pub(super) const USER: u64 = 1 << 2;
    /// It maps a page itself: not in tables of the lowest level.
    pub(super) const LARGE: u64 = 1 << 7;
    pub(super) const NO_EXECUTE: u64 = 1 << 63;
}

/// Bits of a page fault's error code (SDM vol. 3A, 4.7).
mod error_code {
    pub(super) const PROTECTION: u32 = 1;
    pub(super) const WRITE: u32 = 1 << 1;
    pub(super) const USER: u32 = 1 << 2;
    pub(super) const RESERVED: u32 = 1 << 3;
    pub(super) const FETCH: u32 = 1 << 4;
}

/// What a walk depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Paging {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.
    pub efer: u64,
    /// RFLAGS: its AC lets the supervisor access what is the user's.
    pub rflags: u64,
    /// The privilege level, 0 to 3.
    pub privilege: u8,
}

/// What the address is wanted for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To load data.
    Read,
    /// To store data.
    Write,
    /// To fetch an instruction.
    Fetch,
}

/// Why there is no physical address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WalkError {
    /// The guest's tables do not allow it: #PF.
    PageFault {
        /// The error code.
        error_code: u32,
    },
    /// The linear address is not canonical: #GP(0), or #SS(0) if it is for the stack.
    NotCanonical,
    /// An entry at this address is wanted, and there is no RAM.
    Outside(GuestPhysAddr),
}

/// How the tables are laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Layout {
    /// 32-bit paging: two levels of 1024 entries of four bytes.
    Legacy,
    /// PAE paging: four entries in front of two levels of 512 entries of eight bytes.
    Extended,
    /// 4-level paging.
    Long,
}

impl Layout {
    const fn of(paging: &Paging) -> Option<Self> {
        if paging.cr0 & cr0::PG == 0 {
            None
        } else if paging.efer & efer::LMA != 0 {
            Some(Self::Long)
        } else if paging.cr4 & cr4::PAE != 0 {
            Some(Self::Extended)
        } else {
            Some(Self::Legacy)
        }
    }

    /// Levels, the lowest being 0.
    const fn levels(self) -> u32 {
        match self {
            Self::Legacy => 2,
            Self::Extended => 3,
            Self::Long => 4,
        }
    }

    /// Bits of the linear address that choose an entry.
    const fn index_bits(self) -> u32 {
        match self {
            Self::Legacy => 10,
            Self::Extended | Self::Long => 9,
        }
    }

    const fn entry_bytes(self) -> u64 {
        match self {
            Self::Legacy => 4,
            Self::Extended | Self::Long => 8,
        }
    }

    /// The address of the root table, as CR3 has it.
    const fn root(self, cr3: u64) -> u64 {
        match self {
            Self::Legacy => cr3 & 0xffff_f000,
            Self::Extended => cr3 & 0xffff_ffe0,
            Self::Long => cr3 & FRAME,
        }
    }
}

impl Paging {
    const fn is_user(&self) -> bool {
        self.privilege == 3
    }

    const fn has_no_execute(&self) -> bool {
        self.efer & efer::NXE != 0 && self.cr4 & cr4::PAE != 0
    }

    /// The error code of a fault, but for whether it is one of protection.
    const fn error_code(&self, purpose: Purpose) -> u32 {
        let code = match purpose {
            Purpose::Read => 0,
            Purpose::Write => error_code::WRITE,
            Purpose::Fetch if self.has_no_execute() || self.cr4 & cr4::SMEP != 0 => {
                error_code::FETCH
            }
            Purpose::Fetch => 0,
        };
        if self.is_user() { code | error_code::USER } else { code }
    }

    /// Whether an entry of level `level` maps a page itself.
    const fn is_leaf(&self, layout: Layout, level: u32, entry: u64) -> bool {
        match (layout, level) {
            (_, 0) => true,
            (Layout::Legacy, _) => entry & entry::LARGE != 0 && self.cr4 & cr4::PSE != 0,
            (Layout::Extended, 1) | (Layout::Long, 1 | 2) => entry & entry::LARGE != 0,
            (Layout::Extended | Layout::Long, _) => false,
        }
    }

    /// The bits of an entry that must be zero.
    const fn reserved(&self, layout: Layout, level: u32, entry: u64) -> u64 {
        let no_execute = if self.has_no_execute() { 0 } else { entry::NO_EXECUTE };
        let is_large = level > 0 && self.is_leaf(layout, level, entry);
        match (layout, level) {
            // Bits 20:13 are bits 39:32 of the address: PSE-36.
            (Layout::Legacy, _) => {
                if is_large {
                    1 << 21
                } else {
                    0
                }
            }
            (Layout::Extended, 2) => 0xfff0_0000_0000_01e6,
            (Layout::Extended, _) => {
                no_execute | 0x7ff0_0000_0000_0000 | if is_large { 0x1f_e000 } else { 0 }
            }
            (Layout::Long, 3) => no_execute | entry::LARGE,
            (Layout::Long, 2) if is_large => no_execute | 0x3fff_e000,
            (Layout::Long, 1) if is_large => no_execute | 0x1f_e000,
            (Layout::Long, _) => no_execute,
        }
    }

    /// Whether an access through entries that all have `rights`, inverted for no-execute, is allowed: SDM vol. 3A, 4.6.1.
    const fn allows(&self, purpose: Purpose, rights: u64) -> bool {
        let is_user_page = rights & entry::USER != 0;
        let is_writable = rights & entry::WRITABLE != 0;
        let is_executable = rights & entry::NO_EXECUTE != 0;
        if self.is_user() {
            return is_user_page
                && match purpose {
                    Purpose::Read => true,
                    Purpose::Write => is_writable,
                    Purpose::Fetch => is_executable,
                };
        }
        let is_barred = is_user_page && self.cr4 & cr4::SMAP != 0 && self.rflags & flags::AC == 0;
        match purpose {
            Purpose::Read => !is_barred,
            Purpose::Write => !is_barred && (is_writable || self.cr0 & cr0::WP == 0),
            Purpose::Fetch => is_executable && !(is_user_page && self.cr4 & cr4::SMEP != 0),
        }
    }
}

/// The physical address of `linear`. Outside of long mode only its low 32 bits count. `read` reads the guest's RAM.
///
/// # Errors
///
/// [`WalkError`], with the error code that the guest is to see.
pub fn translate(
    paging: &Paging,
    linear: u64,
    purpose: Purpose,
    mut read: impl FnMut(GuestPhysAddr, &mut [u8]) -> Result<(), BadAddress>,
) -> Result<GuestPhysAddr, WalkError> {
    let Some(layout) = Layout::of(paging) else { return Ok(GuestPhysAddr(linear & LOW_32)) };
    let linear = match layout {
        Layout::Long if !is_canonical(linear) => return Err(WalkError::NotCanonical),
        Layout::Long => linear,
        Layout::Legacy | Layout::Extended => linear & LOW_32,
    };
    let code = paging.error_code(purpose);
    let mut table = layout.root(paging.cr3);
    let mut rights = entry::WRITABLE | entry::USER | entry::NO_EXECUTE;
    let mut size = PAGE << (layout.index_bits() * layout.levels());
    for level in (0..layout.levels()).rev() {
        let index = linear & (size - 1);
        size >>= layout.index_bits();
        let at = GuestPhysAddr(table + index / size * layout.entry_bytes());
        let entry = read_entry(layout, at, &mut read)?;
        if entry & entry::PRESENT == 0 {
            return Err(WalkError::PageFault { error_code: code });
        }
        if entry & paging.reserved(layout, level, entry) != 0 {
            let error_code = code | error_code::PROTECTION | error_code::RESERVED;
            return Err(WalkError::PageFault { error_code });
        }
        // The entries at the root of PAE paging give no rights, and take none.
        if (layout, level) != (Layout::Extended, 2) {
            rights &= entry ^ entry::NO_EXECUTE;
        }
        if paging.is_leaf(layout, level, entry) {
            if !paging.allows(purpose, rights) {
                let error_code = code | error_code::PROTECTION;
                return Err(WalkError::PageFault { error_code });
            }
            return Ok(GuestPhysAddr(frame(layout, level, entry, size) | linear & (size - 1)));
        }
        table = entry & FRAME;
    }
    // Not reached: an entry of level 0 is a leaf.
    Err(WalkError::PageFault { error_code: code })
}

/// Fetches the bytes at `linear`, as many as there are: fewer where the next page is not the guest's to execute, or not RAM.
/// The address is linear: the base of CS is added already.
pub fn fetch(
    paging: &Paging,
    linear: u64,
    bytes: &mut [u8; LONGEST_INSTRUCTION],
    mut read: impl FnMut(GuestPhysAddr, &mut [u8]) -> Result<(), BadAddress>,
) -> usize {
    let here = usize::try_from(PAGE - linear % PAGE).unwrap_or(usize::MAX);
    let (head, tail) = bytes.split_at_mut(here.min(LONGEST_INSTRUCTION));
    let mut part = |linear, bytes: &mut [u8]| {
        let from = translate(paging, linear, Purpose::Fetch, &mut read).ok()?;
        read(from, bytes).ok()
    };
    if part(linear, head).is_none() {
        return 0;
    }
    if tail.is_empty() || part(linear.wrapping_add(here as u64), tail).is_none() {
        return head.len();
    }
    LONGEST_INSTRUCTION
}

const fn is_canonical(linear: u64) -> bool {
    let top = linear.cast_signed() >> 47;
    top == 0 || top == -1
}

/// The first address of a page that `entry` maps.
const fn frame(layout: Layout, level: u32, entry: u64, size: u64) -> u64 {
    match (layout, level) {
        (Layout::Legacy, 1) => entry & 0xffc0_0000 | (entry & 0x1f_e000) << 19,
        _ => entry & FRAME & !(size - 1),
    }
}

fn read_entry(
    layout: Layout,
    at: GuestPhysAddr,
    read: &mut impl FnMut(GuestPhysAddr, &mut [u8]) -> Result<(), BadAddress>,
) -> Result<u64, WalkError> {
    match layout {
        Layout::Legacy => {
            let mut bytes = [0; 4];
            read(at, &mut bytes).map(|()| u64::from(u32::from_le_bytes(bytes)))
        }
        Layout::Extended | Layout::Long => {
            let mut bytes = [0; 8];
            read(at, &mut bytes).map(|()| u64::from_le_bytes(bytes))
        }
    }
    .map_err(|BadAddress| WalkError::Outside(at))
}

#[cfg(test)]
mod tests;
