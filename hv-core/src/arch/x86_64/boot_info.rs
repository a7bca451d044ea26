//! What the boot loader tells: by PVH (Xen, xen/include/public/arch-x86/hvm/start_info.h) or by Multiboot2. It may be wrong, and
//! much of it is somewhere in RAM: it is copied before anything else is done.

// UNSAFETY: all of it arrives as addresses.
#![expect(unsafe_code)]

use crate::machine::Range;
use multiboot2::{BootInformation, BootInformationHeader, MemoryAreaType};

/// More areas of RAM than this are left out.
pub(super) const MAX_AREAS: usize = 64;
const MAX_COMMAND_LINE: usize = 4096;
/// What can be reached before there are tables of our own.
pub(super) const REACH: u64 = 1 << 32;

/// EBX points to something that begins so.
const PVH_MAGIC: u32 = 0x336e_c578;

/// What a boot loader tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct BootInfo {
    /// RAM that is free, but for what follows.
    pub(super) ram: [Option<Range>; MAX_AREAS],
    /// Areas that did not fit.
    pub(super) surplus_areas: usize,
    /// The bundle.
    pub(super) bundle: Option<Range>,
    /// Our command line.
    pub(super) command_line: &'static str,
    /// The address of the RSDP, if it is known.
    pub(super) rsdp: Option<u64>,
}

/// What makes it useless.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BootInfoError {
    /// Neither of the two.
    UnknownProtocol,
    /// It has no memory map.
    NoMemoryMap,
    /// It is damaged.
    Damaged,
}

impl core::fmt::Display for BootInfoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownProtocol => "the boot loader speaks neither PVH nor Multiboot2",
            Self::NoMemoryMap => "the boot loader gives no memory map",
            Self::Damaged => "what the boot loader says of the machine is damaged",
        })
    }
}

/// `hvm_start_info`, version 1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

/// `hvm_modlist_entry`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Module {
    address: u64,
    bytes: u64,
    command_line: u64,
    reserved: u64,
}

/// `hvm_memmap_table_entry`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct MemoryEntry {
    address: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

/// Reads plain data that the boot loader has left at `address`.
fn read<T: Copy>(address: u64) -> Option<T> {
    let is_aligned = address.is_multiple_of(4);
    if address == 0 || !is_aligned || address.checked_add(size_of::<T>() as u64)? > REACH {
        return None;
    }
    let pointer = core::ptr::with_exposed_provenance::<T>(address as usize);
    // SAFETY: the first 4 GiB are mapped, and reading them changes nothing that matters: the boot loader says that
    // its data is there. T is one of the structures above, which have no invalid values.
    Some(unsafe { pointer.read_unaligned() })
}

impl BootInfo {
    fn empty() -> Self {
        Self {
            ram: [None; MAX_AREAS],
            surplus_areas: 0,
            bundle: None,
            command_line: "",
            rsdp: None,
        }
    }

    /// Reads what `address` points to, which the boot loader has given together with `magic`.
    pub(super) fn read(magic: u32, address: u64) -> Result<Self, BootInfoError> {
        // EAX may be anything at a PVH entry, even the magic of another protocol.
        if read::<u32>(address) == Some(PVH_MAGIC) {
            Self::from_pvh(address)
        } else if magic == multiboot2::MAGIC {
            Self::from_multiboot(address)
        } else {
            Err(BootInfoError::UnknownProtocol)
        }
    }

    fn add_ram(&mut self, start: u64, bytes: u64) {
        let Some(end) = start.checked_add(bytes) else { return };
        if bytes == 0 {
            return;
        }
        match self.ram.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(Range { start, end }),
            None => self.surplus_areas += 1,
        }
    }

    fn from_pvh(address: u64) -> Result<Self, BootInfoError> {
        const MAX_ENTRIES: u32 = 1024;
        const RAM: u32 = 1;
        let start: StartInfo = read(address).ok_or(BootInfoError::Damaged)?;
        if start.version < 1 || start.memory_map == 0 {
            return Err(BootInfoError::NoMemoryMap);
        }
        let mut info = Self::empty();
        for index in 0..start.memory_map_entries.min(MAX_ENTRIES) {
            let at = start.memory_map + u64::from(index) * size_of::<MemoryEntry>() as u64;
            let entry: MemoryEntry = read(at).ok_or(BootInfoError::Damaged)?;
            if entry.kind == RAM {
                info.add_ram(entry.address, entry.bytes);
            }
        }
        if start.modules > 0 {
            let module: Module = read(start.module_list).ok_or(BootInfoError::Damaged)?;
            let end = module.address.checked_add(module.bytes).ok_or(BootInfoError::Damaged)?;
            info.bundle = Some(Range { start: module.address, end });
        }
        info.command_line = keep_command_line(start.command_line);
        info.rsdp = Some(start.rsdp).filter(|&rsdp| rsdp != 0);
        Ok(info)
    }

    fn from_multiboot(address: u64) -> Result<Self, BootInfoError> {
        let pointer = core::ptr::with_exposed_provenance::<BootInformationHeader>(address as usize);
        let total: u32 = read(address).ok_or(BootInfoError::Damaged)?;
        if address + u64::from(total) > REACH {
            return Err(BootInfoError::Damaged);
        }
        // SAFETY: the boot loader has put the information there, within what is mapped, and nobody writes to it.
        let found =
            unsafe { BootInformation::load(pointer) }.map_err(|_| BootInfoError::Damaged)?;
        let mut info = Self::empty();
        let map = found.memory_map_tag().ok_or(BootInfoError::NoMemoryMap)?;
        for area in map.memory_areas() {
            if area.typ() == MemoryAreaType::Available {
                info.add_ram(area.start_address(), area.size());
            }
        }
        if let Some(module) = found.module_tags().next() {
            let (start, end) = (module.start_address().into(), module.end_address().into());
            info.bundle = Some(Range { start, end });
        }
        let line = found.command_line_tag().and_then(|tag| tag.cmdline().ok()).unwrap_or("");
        info.command_line = keep(line.as_bytes());
        let tag_header = size_of::<multiboot2::TagHeader>() as u64;
        let behind = |tag: *const u8| tag.expose_provenance() as u64 + tag_header;
        info.rsdp = match (found.rsdp_v2_tag(), found.rsdp_v1_tag()) {
            (Some(tag), _) => Some(behind(core::ptr::from_ref(tag).cast())),
            (None, Some(tag)) => Some(behind(core::ptr::from_ref(tag).cast())),
            (None, None) => None,
        };
        Ok(info)
    }
}

/// A copy of the command line, which lies where it may be overwritten.
struct Kept(core::cell::UnsafeCell<[u8; MAX_COMMAND_LINE]>);
// SAFETY: only the boot CPU writes it, once, before anybody has a reference to it.
unsafe impl Sync for Kept {}
static KEPT: Kept = Kept(core::cell::UnsafeCell::new([0; MAX_COMMAND_LINE]));

fn keep_command_line(address: u64) -> &'static str {
    if address == 0 {
        return "";
    }
    let mut line = [0; MAX_COMMAND_LINE];
    let mut len = 0;
    for (at, slot) in (address..REACH).zip(&mut line) {
        let pointer = core::ptr::with_exposed_provenance::<u8>(at as usize);
        // SAFETY: within the first 4 GiB, which are mapped.
        match unsafe { pointer.read_volatile() } {
            0 => break,
            byte => *slot = byte,
        }
        len += 1;
    }
    keep(line.get(..len).unwrap_or_default())
}

fn keep(line: &[u8]) -> &'static str {
    let len = line.len().min(MAX_COMMAND_LINE);
    // SAFETY: the boot CPU is alone, and comes here once.
    let kept: &'static mut [u8] = unsafe { &mut *KEPT.0.get() };
    let Some((kept, _)) = kept.split_at_mut_checked(len) else { return "" };
    kept.copy_from_slice(line.get(..len).unwrap_or_default());
    core::str::from_utf8(kept).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_protocol() {
        assert_eq!(
            (size_of::<StartInfo>(), size_of::<Module>(), size_of::<MemoryEntry>()),
            (56, 32, 24)
        );
    }

    #[test]
    fn areas_that_do_not_fit_are_counted() {
        let mut info = BootInfo::empty();
        for index in 0..70_u64 {
            info.add_ram(index << 20, 1 << 20);
        }
        info.add_ram(u64::MAX, 2);
        assert_eq!((info.surplus_areas, info.ram.iter().flatten().count()), (6, MAX_AREAS));
    }
}
