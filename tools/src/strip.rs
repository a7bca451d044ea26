//! An ELF file without its sections: what a loader needs, and nothing that only people need. GRUB would load the symbols
//! and debug information too.

use elf::ElfBytes;
use elf::endian::LittleEndian;

use crate::Error;

/// Offsets in the header of an ELF64 file: of the section headers, their number, the index of their names.
const SHOFF: usize = 0x28;
const SHNUM: usize = 0x3c;
const SHSTRNDX: usize = 0x3e;

/// The same file up to the end of its last segment.
///
/// # Errors
/// When the bytes are no little-endian ELF64 with segments.
pub fn strip(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)
        .map_err(|e| Error::new(format!("not an ELF file: {e}")))?;
    let headers =
        file.ehdr.e_phoff + u64::from(file.ehdr.e_phnum) * u64::from(file.ehdr.e_phentsize);
    let ends =
        file.segments().into_iter().flatten().map(|segment| segment.p_offset + segment.p_filesz);
    let end =
        ends.max().ok_or_else(|| Error::new("the ELF file has nothing to load"))?.max(headers);
    let mut out = usize::try_from(end)
        .ok()
        .and_then(|end| bytes.get(..end))
        .ok_or_else(|| Error::new("a segment lies outside of the ELF file"))?
        .to_vec();
    for (at, length) in [(SHOFF, 8), (SHNUM, 2), (SHSTRNDX, 2)] {
        let field = out.get_mut(at..at + length).ok_or_else(|| Error::new("no ELF64 file"))?;
        field.fill(0);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::strip;

    /// One segment at the end of the headers, and something behind it.
    fn elf() -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
        file.resize(64, 0);
        file[0x20..0x28].copy_from_slice(&64_u64.to_le_bytes());
        file[0x28..0x30].copy_from_slice(&200_u64.to_le_bytes());
        file[0x36..0x3a].copy_from_slice(&[56, 0, 1, 0]);
        file[0x3a..0x40].copy_from_slice(&[64, 0, 1, 0, 0, 0]);
        file.extend(1_u32.to_le_bytes());
        file.extend(5_u32.to_le_bytes());
        for word in [120_u64, 0x10_0000, 0x10_0000, 4, 4, 1] {
            file.extend(word.to_le_bytes());
        }
        file.extend(b"text");
        file.resize(300, 0xee);
        file
    }

    #[test]
    fn what_is_behind_the_segments_goes() {
        let stripped = strip(&elf()).unwrap();
        assert_eq!(stripped.len(), 124);
        assert!(stripped.ends_with(b"text"));
        assert_eq!(stripped[0x28..0x30], [0; 8]);
        assert_eq!(strip(&stripped).unwrap(), stripped);
    }

    #[test]
    fn a_file_that_is_no_elf_is_an_error() {
        assert!(strip(b"#!/bin/sh\n").is_err());
    }
}
