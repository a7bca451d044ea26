//! A multiboot image of an ELF file (Multiboot Specification 0.6.96): for what starts by another protocol too, because QEMU
//! refuses 64-bit ELF files that have the header themselves.

use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;

use crate::{Error, flatten};

const MAGIC: u32 = 0x1bad_b002;
/// Modules on page boundaries, a memory map, and addresses in this header.
const FLAGS: u32 = 1 << 16 | 0b11;
/// The header's room, in front of the image.
const ROOM: u32 = 4096;

/// The flat image with a header in front that says where it goes and where it starts.
///
/// # Errors
/// When the bytes are no ELF, or one that does not lie in the first 4 GiB.
pub fn image(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)
        .map_err(|e| Error::new(format!("not an ELF file: {e}")))?;
    let segments =
        || file.segments().into_iter().flatten().filter(|segment| segment.p_type == PT_LOAD);
    let start =
        segments().filter(|segment| segment.p_filesz > 0).map(|segment| segment.p_paddr).min();
    let end = segments().map(|segment| segment.p_paddr + segment.p_memsz).max();
    let low = |address: Option<u64>| {
        let address = address.and_then(|address| u32::try_from(address).ok());
        address.ok_or_else(|| Error::new("the ELF file does not lie in the first 4 GiB"))
    };
    let (start, end, entry) = (low(start)?, low(end)?, low(Some(file.ehdr.e_entry))?);
    let header = start.checked_sub(ROOM).ok_or_else(|| Error::new("no room for a header below"))?;
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(FLAGS);
    // Behind the checksum: the header's own address, what is loaded (from, to), where what starts as zero ends, the entry.
    let words = [MAGIC, FLAGS, checksum, header, header, 0, end, entry];
    let mut image: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    image.resize(ROOM as usize, 0);
    image.extend(flatten::flatten(bytes)?);
    Ok(image)
}
