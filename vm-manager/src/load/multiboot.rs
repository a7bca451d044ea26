//! Kernels that start by multiboot: their header, and what they are told (Multiboot Specification 0.6.96).

use super::Region;
use super::e820::Entry;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::GuestPhysAddr;

/// The header lies wholly within so many bytes (3.1).
pub(super) const SEARCH: usize = 8192;

const MAGIC: u32 = 0x1bad_b002;
/// Modules on page boundaries, memory map: both are done for all.
const PLAIN: u32 = 0b11;
/// A video mode: we have no graphics, and it is only a wish.
const VIDEO: u32 = 1 << 2;
/// Bits 15:0 are what a loader must understand (3.1.2).
const REQUIRED: u32 = 0xffff;
const HAS_ADDRESSES: u32 = 1 << 16;

/// What the header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// Where the file goes, if it is not for its ELF headers to say.
    pub(super) addresses: Option<Addresses>,
}

/// A part of the file, where it goes and where it starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Addresses {
    /// Its first byte in the file.
    pub(super) offset: u64,
    /// How many bytes of it are in the file.
    pub(super) file_bytes: u64,
    /// Where it goes.
    pub(super) to: GuestPhysAddr,
    /// How much memory it has.
    pub(super) memory_bytes: u64,
    /// Where it starts.
    pub(super) entry: GuestPhysAddr,
}

impl Header {
    /// Finds the header in the first bytes of a file of `file_bytes`, if it has one; says why it cannot be used.
    pub(super) fn find(head: &[u8], file_bytes: u64) -> Result<Option<Self>, String> {
        let head = head.get(..SEARCH.min(head.len())).unwrap_or_default();
        let Some((at, flags)) =
            (0..head.len()).step_by(4).find_map(|at| Some((at, header_at(head, at)?)))
        else {
            return Ok(None);
        };
        let unknown = flags & REQUIRED & !(PLAIN | VIDEO);
        if unknown != 0 {
            return Err(format!(
                "its multiboot header asks for something unknown, flags {unknown:#x}"
            ));
        }
        if flags & HAS_ADDRESSES == 0 {
            return Ok(Some(Self { addresses: None }));
        }
        let addresses = Addresses::read(head, at, file_bytes).ok_or_else(|| {
            String::from("its multiboot header has addresses that contradict each other")
        })?;
        Ok(Some(Self { addresses: Some(addresses) }))
    }
}

/// The flags of a header at `at`, if there is one: magic, flags and checksum add up to zero.
fn header_at(head: &[u8], at: usize) -> Option<u32> {
    let [magic, flags, checksum] = words(head, at)?;
    let is_one = magic == MAGIC && magic.wrapping_add(flags).wrapping_add(checksum) == 0;
    is_one.then_some(flags)
}

impl Addresses {
    /// The fields of 3.1.3: the address of the header itself, that of the first byte to load, the end of what is in the
    /// file, or 0 for all of it, the end of the memory behind, or 0 for none, the entry point.
    fn read(head: &[u8], at: usize, file_bytes: u64) -> Option<Self> {
        let [header, load, load_end, bss_end, entry] = words(head, at + 12)?.map(u64::from);
        let offset = (at as u64).checked_sub(header.checked_sub(load)?)?;
        let in_file = file_bytes.checked_sub(offset)?;
        let loaded = match load_end {
            0 => in_file,
            end => end.checked_sub(load).filter(|bytes| *bytes <= in_file)?,
        };
        let memory_bytes = match bss_end {
            0 => loaded,
            end => end.checked_sub(load).filter(|bytes| *bytes >= loaded)?,
        };
        Some(Self {
            offset,
            file_bytes: loaded,
            to: GuestPhysAddr(load),
            memory_bytes,
            entry: GuestPhysAddr(entry),
        })
    }
}

fn words<const N: usize>(head: &[u8], at: usize) -> Option<[u32; N]> {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(head.get(at..at.checked_add(4 * N)?)?.chunks_exact(4))
    {
        *word = u32::from_le_bytes(*bytes.first_chunk()?);
    }
    Some(words)
}

/// What a kernel is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Information<'a> {
    pub(super) cmdline: GuestPhysAddr,
    pub(super) initrd: Option<Region>,
    pub(super) memory: &'a [Entry],
    pub(super) low_ram: Region,
}

const INFORMATION_BYTES: u64 = 120;
const MODULE_BYTES: u64 = 16;
const NAME: &[u8; 8] = b"Roost\0\0\0";
/// An entry of the memory map: the length of the rest, start, length, kind.
const ENTRY_BYTES: u64 = 24;

impl Information<'_> {
    /// How long it is, with what it points to.
    pub(super) fn bytes(memory: &[Entry]) -> u64 {
        INFORMATION_BYTES + MODULE_BYTES + NAME.len() as u64 + ENTRY_BYTES * memory.len() as u64
    }

    /// The information (3.3) for address `at`, below 4 GiB; behind it the module, our name, and the memory map.
    pub(super) fn to_bytes(self, at: GuestPhysAddr) -> Vec<u8> {
        /// Memory, command line, memory map, name of the loader.
        const FLAGS: u32 = 1 | 1 << 2 | 1 << 6 | 1 << 9;
        const MODULES: u32 = 1 << 3;
        const KIB: u64 = 1024;
        let module = at.0 + INFORMATION_BYTES;
        let name = module + MODULE_BYTES;
        let map = name + NAME.len() as u64;
        let upper = self.low_ram.end.0.saturating_sub(1 << 20) / KIB;
        let mut fields = vec![0u32; (INFORMATION_BYTES / 4) as usize];
        let mut put = |at: usize, value: u64| {
            if let Some(field) = fields.get_mut(at / 4) {
                *field = value as u32;
            }
        };
        put(0, u64::from(if self.initrd.is_some() { FLAGS | MODULES } else { FLAGS }));
        put(4, 639);
        put(8, upper);
        put(16, self.cmdline.0);
        if self.initrd.is_some() {
            put(20, 1);
            put(24, module);
        }
        put(44, ENTRY_BYTES * self.memory.len() as u64);
        put(48, map);
        put(64, name);
        let initrd = self.initrd.unwrap_or_default();
        // First address, address behind the last, its command line: our name's end, an empty one.
        let nothing = name + NAME.len() as u64 - 1;
        fields.extend([initrd.start.0 as u32, initrd.end.0 as u32, nothing as u32, 0]);
        let mut out: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        out.extend_from_slice(NAME);
        for entry in self.memory {
            out.extend_from_slice(&(ENTRY_BYTES as u32 - 4).to_le_bytes());
            out.extend_from_slice(&entry.region.start.0.to_le_bytes());
            out.extend_from_slice(&entry.region.bytes().to_le_bytes());
            out.extend_from_slice(&(entry.kind as u32).to_le_bytes());
        }
        out
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::e820;
    use proptest::prelude::*;

    pub(in crate::load) fn header(flags: u32, addresses: &[u32]) -> Vec<u8> {
        let mut words = vec![MAGIC, flags, 0u32.wrapping_sub(MAGIC).wrapping_sub(flags)];
        words.extend(addresses);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn file(at: usize, header: &[u8], bytes: usize) -> Vec<u8> {
        let mut file = vec![0x90; bytes];
        file[at..at + header.len()].copy_from_slice(header);
        file
    }

    #[test]
    fn a_header_is_found_at_multiples_of_4_in_the_first_8_kib() {
        let found = |at, bytes| {
            let file = file(at, &header(3, &[]), bytes);
            Header::find(&file, file.len() as u64)
        };
        let plain = Ok(Some(Header { addresses: None }));
        assert_eq!(found(0, 12), plain);
        assert_eq!(found(0x40, 0x4000), plain);
        assert_eq!(found(8180, 0x4000), plain);
        assert_eq!(found(0x42, 0x4000), Ok(None));
        assert_eq!(found(8184, 0x4000), Ok(None));
        let mut wrong = header(3, &[]);
        wrong[8] ^= 1;
        assert_eq!(Header::find(&wrong, 12), Ok(None), "checksum");
    }

    #[test]
    fn addresses_say_what_goes_where() {
        let found = |words: [u32; 5]| {
            let file = file(0x10, &header(1 << 16, &words), 0x100);
            Header::find(&file, file.len() as u64).map(|header| header.unwrap().addresses.unwrap())
        };
        let all = Addresses {
            offset: 0,
            file_bytes: 0x100,
            to: GuestPhysAddr(0x10_0000),
            memory_bytes: 0x100,
            entry: GuestPhysAddr(0x10_0040),
        };
        assert_eq!(found([0x10_0010, 0x10_0000, 0, 0, 0x10_0040]), Ok(all));
        let part = Addresses {
            offset: 0x10,
            file_bytes: 0x20,
            to: GuestPhysAddr(0x10_0010),
            memory_bytes: 0x1000,
            ..all
        };
        assert_eq!(found([0x10_0010, 0x10_0010, 0x10_0030, 0x10_1010, 0x10_0040]), Ok(part));
        for wrong in [
            [0x10_0000, 0x10_0010, 0, 0, 0],
            [0x10_0011, 0x10_0000, 0, 0, 0],
            [0x10_0010, 0x10_0000, 0x10_0101, 0, 0],
            [0x10_0010, 0x10_0000, 0xf_0000, 0, 0],
            [0x10_0010, 0x10_0000, 0, 0x10_0080, 0],
        ] {
            assert!(found(wrong).unwrap_err().contains("contradict"));
        }
    }

    #[test]
    fn a_wish_that_is_not_known_is_refused() {
        let file = header(1 << 5, &[]);
        assert!(Header::find(&file, 12).unwrap_err().contains("flags 0x20"));
        assert!(Header::find(&header(1 << 2, &[]), 12).is_ok(), "a video mode may be refused");
    }

    #[test]
    fn the_information_points_to_what_is_behind_it() {
        let memory = e820::map(256 << 20);
        let information = Information {
            cmdline: GuestPhysAddr(0x5000),
            initrd: Region::new(GuestPhysAddr(0x100_0000), 0x123),
            memory: &memory,
            low_ram: Region::new(GuestPhysAddr(0), 256 << 20).unwrap(),
        };
        let bytes = information.to_bytes(GuestPhysAddr(0x6000));
        assert_eq!(bytes.len() as u64, Information::bytes(&memory));
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!([word(0), word(4), word(8)], [0x24d, 639, 255 * 1024]);
        assert_eq!([word(16), word(20), word(24)], [0x5000, 1, 0x6078]);
        assert_eq!([word(44), word(48), word(64)], [96, 0x6090, 0x6088]);
        assert_eq!([word(0x78), word(0x7c), word(0x80)], [0x100_0000, 0x100_0123, 0x608f]);
        assert_eq!(&bytes[0x88..0x90], b"Roost\0\0\0");
        assert_eq!([word(0x90), word(0x94), word(0x9c), word(0xa4)], [20, 0, 0x9_fc00, 1]);
    }

    proptest! {
        #[test]
        fn any_file_has_an_answer(flags: u32, at in 0..64usize, words: [u32; 5], bytes in 96..0x3000usize) {
            let file = file(at * 4 % 64, &header(flags, &words), bytes);
            if let Ok(Some(Header { addresses: Some(addresses) })) = Header::find(&file, bytes as u64) {
                prop_assert!(addresses.offset + addresses.file_bytes <= bytes as u64);
                prop_assert!(addresses.file_bytes <= addresses.memory_bytes);
            }
        }
    }
}
