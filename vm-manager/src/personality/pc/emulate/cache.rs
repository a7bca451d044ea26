//! The instructions that a vCPU met last, already decoded.
//!
//! Whether an entry still holds is seen by comparing the bytes, which are fetched each time: so nothing has to be forgotten
//! when the guest changes its code or its tables.

use super::super::cpu::PcCpu;
use super::decode::{self, DecodeError, Decoded};
use super::operand::CodeSize;
use super::{Attempt, Halt, Unknown};
use hv_core::arch::x86_64::walk::{self, LONGEST_INSTRUCTION, Paging};
use hv_core::guest::GuestMemory;
use iced_x86::Mnemonic;

const ENTRIES: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    size: CodeSize,
    /// The bytes of the instruction, the first the lowest.
    bytes: u128,
    /// Which of them are the instruction's.
    mask: u128,
    decoded: Decoded,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: [Option<Entry>; ENTRIES],
    /// What was fetched last, for the operator.
    bytes: [u8; LONGEST_INSTRUCTION],
    length: u8,
}

impl Cache {
    /// The instruction that the CPU is at.
    pub(super) fn fetch<M: GuestMemory + ?Sized>(
        &mut self,
        cpu: &impl PcCpu,
        ram: &M,
        paging: &Paging,
        size: CodeSize,
    ) -> Attempt<Decoded> {
        let at = size.linear(cpu.pc());
        let length = walk::fetch(paging, at, &mut self.bytes, |from, bytes| ram.read(from, bytes));
        let bytes = word(&self.bytes);
        let slot = self.entries.get_mut((at ^ at >> 3) as usize % ENTRIES);
        if let Some(Some(entry)) = &slot
            && entry.at == at
            && entry.size == size
            && entry.bytes == bytes & entry.mask
            && usize::from(entry.decoded.length) <= length
        {
            self.length = entry.decoded.length;
            return Ok(entry.decoded);
        }
        self.length = length as u8;
        let fetched = self.bytes.get(..length).unwrap_or_default();
        match decode::decode(fetched, size, cpu.rip()) {
            Ok(decoded) => {
                self.length = decoded.length;
                let mask = !(u128::MAX << (8 * u32::from(decoded.length)));
                if let Some(slot) = slot {
                    *slot = Some(Entry { at, size, bytes: bytes & mask, mask, decoded });
                }
                Ok(decoded)
            }
            // The CPU fetched all of it: so it was changed, or the tables were.
            Err(DecodeError::TooShort) => Err(Halt::Mismatch),
            Err(DecodeError::Unknown { mnemonic, length }) => {
                self.length = length;
                Err(Halt::Unknown(mnemonic))
            }
        }
    }

    /// Names the instruction that was fetched last.
    pub(super) fn unknown(&self, mnemonic: Mnemonic) -> Unknown {
        Unknown { mnemonic, bytes: self.bytes, length: self.length }
    }
}

fn word(bytes: &[u8; LONGEST_INSTRUCTION]) -> u128 {
    let mut word = [0; size_of::<u128>()];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u128::from_le_bytes(word)
}
