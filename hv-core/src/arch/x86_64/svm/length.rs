//! How long an instruction is that exited, on CPUs that do not tell where the next one is: QEMU 7.2 among them.
//!
//! The exit code says which instruction it was, so nothing is left to find out but its prefixes. Where it was, and what it
//! looked like, is remembered: an instruction that exits will do so again.

use super::code::{Code, Named};
use crate::ram::RamWord;

/// The longest instruction that is remembered: the bytes that are compared.
const REMEMBERED_BYTES: usize = 8;
const ENTRIES: usize = 16;

/// Whether bytes 0x40 to 0x4f are prefixes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CodeSize {
    /// They are: 64-bit code.
    Long,
    /// They are instructions.
    Legacy,
}

/// The opcodes of which an instruction with this exit code may be one, and how many bytes come after it.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else exits is not stepped over")]
const fn opcodes(code: Code) -> (&'static [&'static [u8]], usize) {
    match code {
        Code::Other(named) => match named {
            Named::Cpuid => (&[&[0x0f, 0xa2]], 0),
            Named::Hlt | Named::IdleHlt => (&[&[0xf4]], 0),
            Named::Pause => (&[&[0x90]], 0),
            Named::Msr => (&[&[0x0f, 0x30], &[0x0f, 0x32]], 0),
            Named::Vmmcall => (&[&[0x0f, 0x01, 0xd9]], 0),
            Named::Invd => (&[&[0x0f, 0x08]], 0),
            Named::Wbinvd => (&[&[0x0f, 0x09]], 0),
            Named::Xsetbv => (&[&[0x0f, 0x01, 0xd1]], 0),
            Named::Rdpmc => (&[&[0x0f, 0x33]], 0),
            _ => (&[], 0),
        },
        // With a ModRM byte that always means registers.
        Code::ControlRead(_) => (&[&[0x0f, 0x20]], 1),
        Code::ControlWrite(_) => (&[&[0x0f, 0x22]], 1),
        Code::DebugRead(_) => (&[&[0x0f, 0x21]], 1),
        Code::DebugWrite(_) => (&[&[0x0f, 0x23]], 1),
        Code::Exception(_) | Code::ControlWriteTrap(_) => (&[], 0),
    }
}

/// The length of the instruction at the beginning of `bytes`; `None` if it is not one that exits so.
fn length(code: Code, bytes: &[u8], size: CodeSize) -> Option<usize> {
    let is_prefix = |byte: &&u8| match **byte {
        0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => true,
        0x40..=0x4f => size == CodeSize::Long,
        _ => false,
    };
    let prefixes = bytes.iter().take_while(is_prefix).count();
    let rest = bytes.get(prefixes..)?;
    let (opcodes, operands) = opcodes(code);
    let opcode = opcodes.iter().find(|opcode| rest.starts_with(opcode))?;
    let length = prefixes + opcode.len() + operands;
    (length <= bytes.len()).then_some(length)
}

/// Where an instruction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// The base of CS and RIP, added.
    pub(super) at: u64,
    /// CR3.
    pub(super) cr3: u64,
}

/// An instruction as it was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Its bytes.
    pub(super) bytes: [u8; 15],
    /// How many could be fetched.
    pub(super) count: usize,
    /// Its first bytes in the guest's RAM, if all of those are in one page.
    pub(super) word: Option<RamWord>,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    word: RamWord,
    content: u64,
    /// The bytes of `content` that are the instruction's.
    mask: u64,
    length: u64,
}

/// Lengths of instructions that exited before.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    entries: [Option<Entry>; ENTRIES],
}

impl Lengths {
    /// The length of the instruction that exited there, if it is known, and still the same.
    #[inline(always)]
    pub(super) fn get(&self, place: Place) -> Option<u64> {
        let entry = self.entries[(place.at % ENTRIES as u64) as usize].as_ref()?;
        let is_same = entry.place == place && (entry.word.read() ^ entry.content) & entry.mask == 0;
        is_same.then_some(entry.length)
    }

    /// The length of the instruction that exited there with this code, from its bytes. `None`: it is not there any more, since
    /// another CPU of the guest has changed it meanwhile.
    pub(super) fn find(
        &mut self,
        place: Place,
        code: u32,
        size: CodeSize,
        fetched: Fetched,
    ) -> Option<u64> {
        let code = Code::from_exit_code(u64::from(code))?;
        let length = length(code, fetched.bytes.get(..fetched.count)?, size)?;
        let slot = &mut self.entries[(place.at % ENTRIES as u64) as usize];
        *slot = None;
        if let Some(word) = fetched.word
            && length <= REMEMBERED_BYTES
        {
            let mask = u64::MAX >> (64 - 8 * length);
            let first = fetched.bytes.first_chunk().copied().map_or(0, u64::from_le_bytes);
            *slot = Some(Entry { place, word, content: first & mask, mask, length: length as u64 });
        }
        Some(length as u64)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{GuestMemory, GuestPhysAddr};
    use crate::machine::Range;
    use crate::memory::tests::pool;
    use crate::ram::{GuestRam, Lending};
    use proptest::prelude::*;

    const CPUID: Code = Code::Other(Named::Cpuid);

    #[test]
    fn prefixes_count() {
        let long = |code, bytes: &[u8]| length(code, bytes, CodeSize::Long);
        assert_eq!(long(CPUID, &[0x0f, 0xa2, 0x90]), Some(2));
        assert_eq!(long(CPUID, &[0x48, 0x0f, 0xa2]), Some(3));
        assert_eq!(long(CPUID, &[0x66, 0xf3, 0x41, 0x0f, 0xa2]), Some(5));
        assert_eq!(long(Code::Other(Named::Pause), &[0xf3, 0x90]), Some(2));
        assert_eq!(long(Code::Other(Named::Hlt), &[0xf4]), Some(1));
        assert_eq!(long(Code::Other(Named::Msr), &[0x0f, 0x30]), Some(2));
        assert_eq!(long(Code::Other(Named::Wbinvd), &[0xf3, 0x0f, 0x09]), Some(3), "WBNOINVD");
        assert_eq!(long(Code::ControlWrite(8), &[0x44, 0x0f, 0x22, 0xc0]), Some(4));
    }

    #[test]
    fn outside_of_64_bit_code_there_is_no_rex() {
        assert_eq!(length(CPUID, &[0x48, 0x0f, 0xa2], CodeSize::Legacy), None);
        assert_eq!(length(CPUID, &[0x66, 0x0f, 0xa2], CodeSize::Legacy), Some(3));
    }

    #[test]
    fn another_instruction_has_no_length() {
        for bytes in [&[0x90][..], &[], &[0x0f], &[0x66; 15], &[0x0f, 0x20]] {
            assert_eq!(length(CPUID, bytes, CodeSize::Long), None);
            assert_eq!(length(Code::ControlRead(0), bytes, CodeSize::Long), None);
        }
    }

    #[test]
    fn what_has_changed_is_fetched_again() {
        let _turn = pool();
        let ram = GuestRam::new(&[Range { start: 0, end: 2 << 20 }], Lending::Never).unwrap();
        let frames = ram.frames();
        let put = |bytes: &[u8]| ram.write(GuestPhysAddr(0x1000), bytes).unwrap();
        let fetch = || {
            let mut bytes = [0; 15];
            ram.read(GuestPhysAddr(0x1000), &mut bytes).unwrap();
            Fetched { bytes, count: 15, word: frames.word(GuestPhysAddr(0x1000)) }
        };
        let place = Place { at: 0x1000, cr3: 0 };
        let mut lengths = Lengths::default();
        assert_eq!(lengths.get(place), None);
        put(&[0x0f, 0xa2, 1, 2, 3, 4, 5, 6]);
        assert_eq!(lengths.find(place, 0x72, CodeSize::Long, fetch()), Some(2));
        put(&[0x0f, 0xa2, 9, 9]);
        assert_eq!(lengths.get(place), Some(2), "what follows may change");
        assert_eq!(lengths.get(Place { cr3: 0x5000, ..place }), None);
        assert_eq!(lengths.get(Place { at: 0x1010, ..place }), None);
        put(&[0x48, 0x0f, 0xa2]);
        assert_eq!(lengths.get(place), None);
        assert_eq!(lengths.find(place, 0x72, CodeSize::Long, fetch()), Some(3));
        assert_eq!(lengths.get(place), Some(3));
        put(&[0x90]);
        assert_eq!(lengths.find(place, 0x72, CodeSize::Long, fetch()), None);
        assert_eq!(lengths.get(place), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_length_beyond_them(code in 0..0x90u64, bytes: [u8; 15], count in 0..16usize) {
            if let Some(code) = Code::from_exit_code(code) {
                for size in [CodeSize::Long, CodeSize::Legacy] {
                    let found = length(code, &bytes[..count], size);
                    prop_assert!(found.is_none_or(|length| (1..=count).contains(&length)));
                }
            }
        }
    }
}
