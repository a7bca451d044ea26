//! The header of an x86 Linux bzImage, and the page of parameters that it is started with (Linux,
//! Documentation/arch/x86/boot.rst and zero-page.rst).

use super::Region;
use super::e820::Entry;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::GuestPhysAddr;

/// How much of the file is looked at: the setup header ends before.
pub(super) const HEADER_SIZE: usize = 0x290;
/// The length of the parameters, the "zero page".
pub(super) const PARAMETERS_BYTES: u64 = 4096;
/// The 64-bit entry point is so far behind the kernel's first byte.
pub(super) const ENTRY_64: u64 = 0x200;

const SECTOR: u64 = 512;
const SETUP_SECTS: usize = 0x1f1;
const BOOT_FLAG: usize = 0x1fe;
const JUMP: usize = 0x200;
const MAGIC_AT: usize = 0x202;
const MAGIC: [u8; 4] = *b"HdrS";
const VERSION: usize = 0x206;
const TYPE_OF_LOADER: usize = 0x210;
const LOADFLAGS: usize = 0x211;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
const INITRD_ADDR_MAX: usize = 0x22c;
const KERNEL_ALIGNMENT: usize = 0x230;
const RELOCATABLE: usize = 0x234;
const XLOADFLAGS: usize = 0x236;
const CMDLINE_SIZE: usize = 0x238;
const PREF_ADDRESS: usize = 0x258;
const INIT_SIZE: usize = 0x260;
// Of the parameters, outside of the setup header.
const ACPI_RSDP_ADDR: usize = 0x070;
const E820_ENTRIES: usize = 0x1e8;
const VID_MODE: usize = 0x1fa;
const E820_TABLE: usize = 0x2d0;

/// Since 2.12 (Linux 3.8) there are flags that say whether there is a 64-bit entry point.
const VERSION_MIN: u16 = 0x020c;
const LOADED_HIGH: u8 = 1;
const HAS_64_BIT_ENTRY: u16 = 1;
const MAY_BE_ABOVE_4G: u16 = 1 << 1;
/// A loader without a number of its own.
const UNKNOWN_LOADER: u8 = 0xff;
/// "Ask for nothing": the normal text mode.
const NORMAL_MODE: u16 = 0xffff;

/// Where the kernel may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placement {
    /// Anywhere at multiples of this.
    Relocatable(u64),
    /// At its preferred address only.
    Fixed,
}

/// What the header says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// Where the kernel itself begins in the file.
    pub(super) kernel_offset: u64,
    /// How much memory it needs from its first byte on.
    pub(super) memory_bytes: u64,
    /// Where it would like to be.
    pub(super) preferred: GuestPhysAddr,
    pub(super) placement: Placement,
    /// The RAM disk ends at or before this address.
    pub(super) initrd_end: u64,
    /// The command line has at most so many characters.
    pub(super) cmdline_max: u64,
    /// The setup header, which goes into the parameters as it is.
    setup: Vec<u8>,
}

impl Header {
    /// Whether a file that begins so has such a header at all.
    pub(super) fn is_one(head: &[u8]) -> bool {
        head.get(MAGIC_AT..).is_some_and(|rest| rest.starts_with(&MAGIC))
    }

    /// Reads the header of a file of `file_bytes`; else says why it cannot be used.
    pub(super) fn parse(head: &[u8; HEADER_SIZE], file_bytes: u64) -> Result<Self, String> {
        let version = u16::from_le_bytes(bytes(head, VERSION));
        let flags = u16::from_le_bytes(bytes(head, XLOADFLAGS));
        if bytes(head, BOOT_FLAG) != [0x55, 0xaa] {
            return Err("a bzImage with a damaged header: no boot flag".into());
        }
        if version < VERSION_MIN {
            return Err(format!(
                "a bzImage of boot protocol {}.{:02}, 2.12 (Linux 3.8) and later are supported",
                version >> 8,
                version & 0xff
            ));
        }
        let [load_flags] = bytes(head, LOADFLAGS);
        if load_flags & LOADED_HIGH == 0 {
            return Err("a zImage, bzImages are supported".into());
        }
        if flags & HAS_64_BIT_ENTRY == 0 {
            return Err("a 32-bit kernel, those with a 64-bit entry point are supported".into());
        }
        // 0 stands for 4, for old loaders' sake.
        let [sectors] = bytes(head, SETUP_SECTS);
        let kernel_offset = (u64::from(if sectors == 0 { 4 } else { sectors }) + 1) * SECTOR;
        let kernel_bytes = file_bytes.saturating_sub(kernel_offset);
        if kernel_bytes <= ENTRY_64 {
            return Err("a bzImage that ends before its kernel begins".into());
        }
        let memory_bytes = u64::from(u32::from_le_bytes(bytes(head, INIT_SIZE)));
        let align = u64::from(u32::from_le_bytes(bytes(head, KERNEL_ALIGNMENT)));
        let [relocatable] = bytes(head, RELOCATABLE);
        let placement = match relocatable {
            0 => Placement::Fixed,
            _ if !align.is_power_of_two() => {
                return Err(format!(
                    "a bzImage with a damaged header: kernel_alignment {align:#x}"
                ));
            }
            _ => Placement::Relocatable(align),
        };
        let initrd_end = match flags & MAY_BE_ABOVE_4G {
            0 => u64::from(u32::from_le_bytes(bytes(head, INITRD_ADDR_MAX))) + 1,
            _ => u64::MAX,
        };
        // The byte behind the jump's opcode is its distance: the header ends where it goes.
        let [distance] = bytes(head, JUMP + 1);
        let end = (JUMP + 2 + usize::from(distance)).min(HEADER_SIZE);
        Ok(Self {
            kernel_offset,
            memory_bytes: memory_bytes.max(kernel_bytes),
            preferred: GuestPhysAddr(u64::from_le_bytes(bytes(head, PREF_ADDRESS))),
            placement,
            initrd_end,
            cmdline_max: u64::from(u32::from_le_bytes(bytes(head, CMDLINE_SIZE))),
            setup: head.get(SETUP_SECTS..end).unwrap_or_default().to_vec(),
        })
    }
}

/// What a kernel is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a> {
    pub(super) cmdline: GuestPhysAddr,
    pub(super) initrd: Option<Region>,
    pub(super) rsdp: GuestPhysAddr,
    pub(super) memory: &'a [Entry],
}

impl Parameters<'_> {
    /// The page of parameters for the kernel with this header.
    pub(super) fn to_bytes(self, header: &Header) -> Vec<u8> {
        let mut page = vec![0; PARAMETERS_BYTES as usize];
        put(&mut page, SETUP_SECTS, &header.setup);
        put(&mut page, VID_MODE, &NORMAL_MODE.to_le_bytes());
        put(&mut page, TYPE_OF_LOADER, &[UNKNOWN_LOADER]);
        // All of these are below 4 GiB, so that the fields for the upper halves stay zero.
        let low = |addr: u64| (addr as u32).to_le_bytes();
        put(&mut page, CMD_LINE_PTR, &low(self.cmdline.0));
        if let Some(initrd) = self.initrd {
            put(&mut page, RAMDISK_IMAGE, &low(initrd.start.0));
            put(&mut page, RAMDISK_SIZE, &low(initrd.bytes()));
        }
        put(&mut page, ACPI_RSDP_ADDR, &self.rsdp.0.to_le_bytes());
        put(&mut page, E820_ENTRIES, &[self.memory.len() as u8]);
        for (index, entry) in self.memory.iter().enumerate() {
            // Start, length, kind: 20 bytes, packed.
            let at = E820_TABLE + 20 * index;
            put(&mut page, at, &entry.region.start.0.to_le_bytes());
            put(&mut page, at + 8, &entry.region.bytes().to_le_bytes());
            put(&mut page, at + 16, &(entry.kind as u32).to_le_bytes());
        }
        page
    }
}

fn bytes<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
    head.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

fn put(page: &mut [u8], at: usize, field: &[u8]) {
    if let Some(slot) = page.get_mut(at..at + field.len()) {
        slot.copy_from_slice(field);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::e820;
    use proptest::prelude::*;

    /// A bzImage of so many bytes behind two sectors of setup, with the fields of a kernel of today.
    pub(in crate::load) fn bzimage(kernel_bytes: usize) -> Vec<u8> {
        let mut file = vec![0; 3 * 512];
        for (at, field) in [
            (SETUP_SECTS, &[2][..]),
            (BOOT_FLAG, &[0x55, 0xaa]),
            (JUMP, &[0xeb, 0x6a]),
            (MAGIC_AT, b"HdrS"),
            (VERSION, &[0x0f, 0x02]),
            (LOADFLAGS, &[1]),
            (INITRD_ADDR_MAX, &0x7fff_ffffu32.to_le_bytes()),
            (KERNEL_ALIGNMENT, &0x20_0000u32.to_le_bytes()),
            (RELOCATABLE, &[1]),
            (XLOADFLAGS, &[0x3f, 0]),
            (CMDLINE_SIZE, &2047u32.to_le_bytes()),
            (PREF_ADDRESS, &0x100_0000u64.to_le_bytes()),
            (INIT_SIZE, &0x20_0000u32.to_le_bytes()),
        ] {
            put(&mut file, at, field);
        }
        file.extend((0..kernel_bytes).map(|at| (at / 5) as u8));
        file
    }

    fn head(file: &[u8]) -> [u8; HEADER_SIZE] {
        *file.first_chunk().unwrap()
    }

    #[test]
    fn a_header_says_where_and_how_much() {
        let file = bzimage(0x1000);
        assert!(Header::is_one(&file));
        let header = Header::parse(&head(&file), file.len() as u64).unwrap();
        assert_eq!(header.kernel_offset, 0x600);
        assert_eq!(header.memory_bytes, 0x20_0000);
        assert_eq!(header.preferred, GuestPhysAddr(0x100_0000));
        assert_eq!(header.placement, Placement::Relocatable(0x20_0000));
        assert_eq!((header.initrd_end, header.cmdline_max), (u64::MAX, 2047));
        assert_eq!(header.setup.len(), 0x26c - 0x1f1);
    }

    #[test]
    fn headers_that_cannot_be_used_say_why() {
        for (at, field, problem) in [
            (BOOT_FLAG, &[0, 0][..], "no boot flag"),
            (VERSION, &[0x0b, 2], "protocol 2.11"),
            (LOADFLAGS, &[0], "a zImage"),
            (XLOADFLAGS, &[0], "a 32-bit kernel"),
            (KERNEL_ALIGNMENT, &[3], "kernel_alignment 0x200003"),
            (SETUP_SECTS, &[64], "ends before its kernel"),
        ] {
            let mut file = bzimage(0x1000);
            put(&mut file, at, field);
            let error = Header::parse(&head(&file), file.len() as u64).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn an_old_kernel_has_its_ram_disk_low_and_its_place_fixed() {
        let mut file = bzimage(0x1000);
        put(&mut file, XLOADFLAGS, &[1]);
        put(&mut file, RELOCATABLE, &[0]);
        put(&mut file, SETUP_SECTS, &[0]);
        let header = Header::parse(&head(&file), file.len() as u64).unwrap();
        assert_eq!((header.initrd_end, header.placement), (0x8000_0000, Placement::Fixed));
        assert_eq!(header.kernel_offset, 5 * 512);
    }

    #[test]
    fn parameters_are_where_the_kernel_looks() {
        let file = bzimage(0x1000);
        let header = Header::parse(&head(&file), file.len() as u64).unwrap();
        let parameters = Parameters {
            cmdline: GuestPhysAddr(0x2_0000),
            initrd: Region::new(GuestPhysAddr(0x300_0000), 0x1234),
            rsdp: GuestPhysAddr(0xe_0000),
            memory: &e820::map(256 << 20),
        };
        let page = parameters.to_bytes(&header);
        assert_eq!(page.len(), 4096);
        assert_eq!(page[0x1f1..0x1fa], file[0x1f1..0x1fa]);
        assert_eq!(page[0x212..0x218], file[0x212..0x218]);
        assert_eq!(page[0x22c..0x26c], file[0x22c..0x26c]);
        assert_eq!(bytes(&page, 0x070), 0xe_0000u64.to_le_bytes());
        assert_eq!(bytes(&page, 0x0c0), [0; 12], "upper halves");
        assert_eq!(bytes(&page, 0x210), [0xff]);
        assert_eq!(bytes(&page, 0x218), [0, 0, 0, 3, 0x34, 0x12, 0, 0]);
        assert_eq!(bytes(&page, 0x228), 0x2_0000u32.to_le_bytes());
        assert_eq!(bytes(&page, 0x1e8), [4]);
        assert_eq!(bytes(&page, 0x2d0 + 3 * 20), 0x10_0000u64.to_le_bytes());
        assert_eq!(bytes(&page, 0x2d0 + 3 * 20 + 8), 0xff0_0000u64.to_le_bytes());
        assert_eq!(bytes(&page, 0x2d0 + 3 * 20 + 16), 1u32.to_le_bytes());
    }

    proptest! {
        #[test]
        fn any_header_has_an_answer(
            fields in proptest::collection::vec((0x1f1..0x28fusize, any::<u8>()), 0..40), file_bytes: u64,
        ) {
            let mut head = head(&bzimage(0x1000));
            for (at, byte) in fields {
                head[at] = byte;
            }
            if let Ok(header) = Header::parse(&head, file_bytes) {
                prop_assert!(header.kernel_offset < file_bytes);
                prop_assert!(header.memory_bytes >= file_bytes - header.kernel_offset);
            }
        }
    }
}
