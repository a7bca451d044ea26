//! What the loader says: PVH's start info (Xen, `start_info.h`), or multiboot's (Multiboot Specification 0.6.96, 3.3).

use core::cell::UnsafeCell;
use core::slice;
use core::str;

use crate::board::Range;

const PVH_MAGIC: u32 = 0x336e_c578;
const MULTIBOOT_EAX: u32 = 0x2bad_b002;
const MIB: u64 = 1 << 20;
const USABLE: u32 = 1;
const ARGUMENTS_BYTES: usize = 2048;

/// What it says.
pub(super) struct BootInfo {
    /// The end of the RAM that begins at 1 MiB.
    pub(super) ram_end: u64,
    pub(super) initrd: Option<Range>,
    /// Where ACPI's first table is, if the loader says.
    pub(super) rsdp: u64,
    pub(super) arguments: &'static str,
}

/// Memory that is the loader's, or firmware's: read only, before anything writes to low memory.
#[derive(Clone, Copy)]
pub(super) struct Physical(pub(super) u64);

impl Physical {
    pub(super) fn at(self, offset: u64) -> Self {
        Self(self.0 + offset)
    }

    pub(super) fn byte(self) -> u8 {
        let pointer: *const u8 = core::ptr::without_provenance(self.0 as usize);
        // SAFETY: the first 4 GiB are mapped, and nobody writes to what the loader left.
        unsafe { pointer.read_volatile() }
    }

    pub(super) fn half(self) -> u16 {
        u16::from_le_bytes([self.byte(), self.at(1).byte()])
    }

    pub(super) fn word(self) -> u32 {
        u32::from(self.half()) | u32::from(self.at(2).half()) << 16
    }

    pub(super) fn quad(self) -> u64 {
        u64::from(self.word()) | u64::from(self.at(4).word()) << 32
    }
}

struct Arguments(UnsafeCell<[u8; ARGUMENTS_BYTES]>);

// SAFETY: written by the first CPU before others start.
unsafe impl Sync for Arguments {}

/// A copy: the loader's is in memory that CPUs start in.
static ARGUMENTS: Arguments = Arguments(UnsafeCell::new([0; ARGUMENTS_BYTES]));

/// Reads the information at `address`; `magic` is what was in EAX.
pub(super) fn read(magic: u32, address: usize) -> Option<BootInfo> {
    let info = Physical(address as u64);
    // PVH leaves EAX alone, so that its own magic number is asked for first.
    if info.word() == PVH_MAGIC {
        return Some(pvh(info));
    }
    (magic == MULTIBOOT_EAX).then(|| multiboot(info))
}

fn pvh(info: Physical) -> BootInfo {
    let (modules, module) = (info.at(12).word(), Physical(info.at(16).quad()));
    let initrd = (modules > 0)
        .then(|| Range { start: module.quad() as usize, size: module.at(8).quad() as usize });
    let map = Physical(info.at(40).quad());
    let entries = (0..u64::from(info.at(48).word())).map(|index| {
        let entry = map.at(24 * index);
        (entry.quad(), entry.at(8).quad(), entry.at(16).word())
    });
    BootInfo {
        ram_end: ram_end(entries),
        initrd,
        rsdp: info.at(32).quad(),
        arguments: text(info.at(24).quad()),
    }
}

fn multiboot(info: Physical) -> BootInfo {
    let flags = info.word();
    let initrd = (flags & 1 << 3 != 0 && info.at(20).word() > 0).then(|| {
        let module = Physical(u64::from(info.at(24).word()));
        let start = module.word() as usize;
        Range { start, size: (module.at(4).word() as usize).saturating_sub(start) }
    });
    let map = Physical(u64::from(info.at(48).word()));
    let end = map.at(u64::from(info.at(44).word()));
    let mut next = map;
    let entries = core::iter::from_fn(|| {
        let entry = next;
        if entry.0 >= end.0 {
            return None;
        }
        next = entry.at(u64::from(entry.word()) + 4);
        Some((entry.at(4).quad(), entry.at(12).quad(), entry.at(20).word()))
    });
    let ram_end = if flags & 1 << 6 == 0 {
        MIB + u64::from(info.at(8).word()) * 1024
    } else {
        ram_end(entries)
    };
    let line = if flags & 1 << 2 == 0 { 0 } else { u64::from(info.at(16).word()) };
    BootInfo { ram_end, initrd, rsdp: 0, arguments: text(line) }
}

fn ram_end(mut entries: impl Iterator<Item = (u64, u64, u32)>) -> u64 {
    let found = entries
        .find(|(start, length, kind)| *kind == USABLE && *start <= MIB && start + length > MIB);
    found.map_or(2 * MIB, |(start, length, _)| start + length)
}

fn text(address: u64) -> &'static str {
    if address == 0 {
        return "";
    }
    let mut length = 0;
    while length < ARGUMENTS_BYTES {
        let byte = Physical(address).at(length as u64).byte();
        if byte == 0 {
            break;
        }
        // SAFETY: below the array's length; only the first CPU is here, and nobody has a reference yet.
        unsafe { ARGUMENTS.0.get().cast::<u8>().add(length).write(byte) };
        length += 1;
    }
    // SAFETY: that many bytes were written, and nobody writes them again.
    let bytes = unsafe { slice::from_raw_parts(ARGUMENTS.0.get().cast::<u8>(), length) };
    str::from_utf8(bytes).unwrap_or("")
}
