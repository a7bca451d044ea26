//! The flat image of an ELF: what a boot loader copies to memory, from the lowest loaded address to
//! the last byte that the file holds.
//!
//! Zero-initialised data at the end is left out: a Linux `Image` header states the size in memory.

use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;

use crate::Error;

/// No image of this project is near this size: a larger one is a linker script gone wrong.
const MAX_IMAGE_BYTES: u64 = 256 << 20;

/// Lays the loadable segments out by their physical addresses; gaps are zero.
///
/// # Errors
/// When the bytes are no little-endian ELF, when nothing is loadable, or when the segments lie so
/// far apart that the image would exceed 256 MiB.
pub fn flatten(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)
        .map_err(|e| Error::new(format!("not an ELF file: {e}")))?;
    let segments: Vec<_> = file
        .segments()
        .into_iter()
        .flatten()
        .filter(|segment| segment.p_type == PT_LOAD && segment.p_filesz > 0)
        .collect();
    let ends: Option<Vec<u64>> =
        segments.iter().map(|segment| segment.p_paddr.checked_add(segment.p_filesz)).collect();
    let ends = ends.ok_or_else(|| Error::new("a segment's address range wraps around"))?;
    let base = segments.iter().map(|segment| segment.p_paddr).min();
    let (Some(base), Some(end)) = (base, ends.into_iter().max()) else {
        return Err(Error::new("the ELF file has nothing to load"));
    };
    let length = end - base;
    if length > MAX_IMAGE_BYTES {
        return Err(Error::new(format!(
            "the image would have {length} bytes: check the addresses"
        )));
    }
    let mut image = vec![0; length as usize];
    for segment in &segments {
        let data = file
            .segment_data(segment)
            .map_err(|e| Error::new(format!("a segment lies outside of the ELF file: {e}")))?;
        let start = (segment.p_paddr - base) as usize;
        let place = image
            .get_mut(start..start + data.len())
            .ok_or_else(|| Error::new("a segment is longer than its header says"))?;
        place.copy_from_slice(data);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::flatten;

    /// An ELF64 header followed by one program header per `(paddr, bytes)`, then the bytes.
    fn elf(segments: &[(u64, &[u8])]) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
        file.resize(16, 0);
        file.extend(2_u16.to_le_bytes());
        file.extend(183_u16.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend(64_u64.to_le_bytes());
        file.extend(0_u64.to_le_bytes());
        file.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, segments.len() as u16, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let mut offset = 64 + 56 * segments.len() as u64;
        for (address, bytes) in segments {
            file.extend(1_u32.to_le_bytes());
            file.extend(5_u32.to_le_bytes());
            let length = bytes.len() as u64;
            for word in [offset, *address, *address, length, length, 1] {
                file.extend(word.to_le_bytes());
            }
            offset += length;
        }
        for (_, bytes) in segments {
            file.extend(*bytes);
        }
        file
    }

    #[test]
    fn segments_lie_at_their_addresses_and_gaps_are_zero() {
        let file = elf(&[(0x4000_0010, b"tail"), (0x4000_0000, b"head")]);
        let mut expected = b"head".to_vec();
        expected.resize(16, 0);
        expected.extend(b"tail");
        assert_eq!(flatten(&file).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_no_elf_is_an_error() {
        assert!(flatten(b"#!/bin/sh\n").is_err());
        assert!(flatten(&elf(&[])).is_err());
    }

    #[test]
    fn segments_far_apart_are_an_error_not_a_huge_file() {
        let file = elf(&[(0, b"a"), (1 << 40, b"b")]);
        assert!(flatten(&file).is_err());
        assert!(flatten(&elf(&[(0, b"a"), (u64::MAX, b"bc")])).is_err());
    }
}
