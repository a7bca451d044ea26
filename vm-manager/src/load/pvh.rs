//! Kernels that start by PVH: how an ELF file says so, and what it is told (Xen, "x86/HVM direct boot ABI").

use super::Region;
use super::content::Content;
use super::e820::Entry;
use super::elf::Elf;
use super::error::LoadError;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::GuestPhysAddr;

/// The type of the note that has the entry point: `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: u32 = 18;
const OWNER: [u8; 4] = *b"Xen\0";
/// Kernels have less.
const NOTES_MAX: u64 = 64 << 10;
const START_INFO_MAGIC: u32 = 0x336e_c578;
const START_INFO_BYTES: u64 = 56;
const MODULE_BYTES: u64 = 32;

/// The 32-bit entry point, if the file has one.
pub(super) fn entry(elf: &Elf, content: &Content) -> Result<Option<GuestPhysAddr>, LoadError> {
    for (offset, bytes) in &elf.notes {
        let mut notes = vec![0; (*bytes).min(NOTES_MAX) as usize];
        content.read_at(*offset, &mut notes)?;
        if let Some(entry) = find(&notes) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// Each note has the lengths of its owner and of its content, its type, and then these two, each at a multiple of 4.
fn find(mut notes: &[u8]) -> Option<GuestPhysAddr> {
    loop {
        let (owner_bytes, rest) = word(notes)?;
        let (content_bytes, rest) = word(rest)?;
        let (kind, rest) = word(rest)?;
        let content_at = usize::try_from(owner_bytes).ok()?.checked_next_multiple_of(4)?;
        let content_bytes = usize::try_from(content_bytes).ok()?;
        let content = rest.get(content_at..content_at.checked_add(content_bytes)?)?;
        if kind == PHYS32_ENTRY && rest.starts_with(&OWNER) {
            // 4 or 8 bytes long; the address has 32 bits.
            return Some(GuestPhysAddr(u64::from(word(content)?.0)));
        }
        let next = content_at.checked_add(content_bytes.checked_next_multiple_of(4)?)?;
        notes = rest.get(next..)?;
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

/// What a kernel is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartInfo<'a> {
    pub(super) cmdline: GuestPhysAddr,
    pub(super) initrd: Option<Region>,
    pub(super) rsdp: GuestPhysAddr,
    pub(super) memory: &'a [Entry],
}

impl StartInfo<'_> {
    /// How long it is, with what it points to.
    pub(super) fn bytes(memory: &[Entry]) -> u64 {
        START_INFO_BYTES + MODULE_BYTES + 24 * memory.len() as u64
    }

    /// `hvm_start_info` of version 1 for address `at`; behind it the list of modules, behind that the memory map.
    pub(super) fn to_bytes(self, at: GuestPhysAddr) -> Vec<u8> {
        let mut out = Vec::new();
        let modules_at = at.0 + START_INFO_BYTES;
        let [version, flags, modules] = [1, 0, u32::from(self.initrd.is_some())];
        for word in [START_INFO_MAGIC, version, flags, modules] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for quad in [modules_at, self.cmdline.0, self.rsdp.0, modules_at + MODULE_BYTES] {
            out.extend_from_slice(&quad.to_le_bytes());
        }
        out.extend_from_slice(&(self.memory.len() as u64).to_le_bytes());
        let initrd = self.initrd.unwrap_or_default();
        // Address, length, command line, reserved.
        for quad in [initrd.start.0, initrd.bytes(), 0, 0] {
            out.extend_from_slice(&quad.to_le_bytes());
        }
        for entry in self.memory {
            for quad in [entry.region.start.0, entry.region.bytes(), entry.kind as u64] {
                out.extend_from_slice(&quad.to_le_bytes());
            }
        }
        out
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::e820;
    use proptest::prelude::*;

    pub(in crate::load) fn note(owner: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [owner.len() as u32, content.len() as u32, kind] {
            out.extend(word.to_le_bytes());
        }
        for part in [owner, content] {
            out.extend(part);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    #[test]
    fn the_entry_is_found_among_other_notes() {
        let entry = |notes: &[Vec<u8>]| find(&notes.concat()).map(|entry| entry.0);
        let xen = note(b"Xen\0", 18, &0x10_0080u64.to_le_bytes());
        assert_eq!(
            entry(&[note(b"GNU\0", 3, &[1; 20]), note(b"Xen\0", 6, b"linux"), xen]),
            Some(0x10_0080)
        );
        assert_eq!(entry(&[note(b"Xen\0", 18, &[0x80, 0, 0x10, 0])]), Some(0x10_0080));
        assert_eq!(entry(&[note(b"GNU\0", 18, &[0x80, 0, 0x10, 0])]), None);
        assert_eq!(entry(&[note(b"Xen\0", 18, &[0x80])]), None);
    }

    #[test]
    fn start_info_points_to_what_is_behind_it() {
        let memory = e820::map(256 << 20);
        let info = StartInfo {
            cmdline: GuestPhysAddr(0x5000),
            initrd: Region::new(GuestPhysAddr(0x100_0000), 0x123),
            rsdp: GuestPhysAddr(0xe_0000),
            memory: &memory,
        };
        let bytes = info.to_bytes(GuestPhysAddr(0x6000));
        assert_eq!(bytes.len() as u64, StartInfo::bytes(&memory));
        let quad = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(quad(0), 1 << 32 | 0x336e_c578);
        assert_eq!([quad(8), quad(16), quad(24), quad(32)], [1 << 32, 0x6038, 0x5000, 0xe_0000]);
        assert_eq!([quad(40), quad(48)], [0x6058, 4]);
        assert_eq!([quad(56), quad(64)], [0x100_0000, 0x123]);
        assert_eq!([quad(0x58), quad(0x60), quad(0x68)], [0, 0x9_fc00, 1]);
    }

    proptest! {
        #[test]
        fn any_notes_have_an_answer(mut words in proptest::collection::vec(0..30u32, 0..40), wild: u32) {
            words.push(wild);
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let _ = find(&bytes);
        }
    }
}
