//! The instructions that a vCPU met last, already decoded.
//!
//! As a TLB does, an entry remembers where its instruction and its operand were, and it is used while nothing that can be
//! seen from here has changed: the registers that walks depend on, and the bytes of the instruction. A guest that remaps its
//! code without changing any of them is found out by its operand, which is another one then.

use super::super::cpu::PcCpu;
use super::decode::{self, DecodeError, Decoded};
use super::operand::CodeSize;
use super::space::{self, OperandPage};
use super::{Attempt, Halt, Unknown};
use hv_core::arch::x86_64::walk::{self, LONGEST_INSTRUCTION, Paging, Purpose};
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use iced_x86::Mnemonic;

const ENTRIES: usize = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    at: u64,
    size: CodeSize,
    paging: Paging,
    /// Where it is, if it is all in one page.
    code: Option<GuestPhysAddr>,
    bytes: Padded,
    pub(super) decoded: Decoded,
    /// The page of its operand, once that was walked to.
    pub(super) operand: Option<OperandPage>,
}

/// Bytes of an instruction, and zeroes.
type Padded = [u8; 16];

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: [Option<Entry>; ENTRIES],
    /// What was decoded last, for the operator.
    bytes: [u8; LONGEST_INSTRUCTION],
    length: u8,
    size: CodeSize,
}

impl Cache {
    /// The instruction that the CPU is at, if it is one that was met before.
    #[inline]
    pub(super) fn known<M: GuestMemory + ?Sized>(
        &mut self,
        cpu: &impl PcCpu,
        ram: &M,
        paging: &Paging,
        size: CodeSize,
    ) -> Option<&mut Entry> {
        let at = size.linear(cpu.pc());
        let entry = self.entries.get_mut(slot(at))?.as_mut()?;
        if entry.at != at || entry.size != size || entry.paging != *paging {
            return None;
        }
        let mut bytes = Padded::default();
        ram.read(entry.code?, bytes.get_mut(..usize::from(entry.decoded.length))?).ok()?;
        (u128::from_le_bytes(bytes) == u128::from_le_bytes(entry.bytes)).then_some(entry)
    }

    /// Fetches and decodes the instruction that the CPU is at.
    #[cold]
    pub(super) fn fetch<M: GuestMemory + ?Sized>(
        &mut self,
        cpu: &impl PcCpu,
        ram: &M,
        paging: &Paging,
        size: CodeSize,
    ) -> Attempt<&mut Entry> {
        let at = size.linear(cpu.pc());
        let read = |from, bytes: &mut [u8]| ram.read(from, bytes);
        let length = walk::fetch(paging, at, &mut self.bytes, read);
        self.length = length as u8;
        self.size = size;
        let fetched = self.bytes.get(..length).unwrap_or_default();
        let decoded = decode::decode(fetched, size, cpu.rip()).map_err(|error| match error {
            // The CPU fetched all of it: so it was changed, or the tables were.
            DecodeError::TooShort => Halt::Mismatch,
            DecodeError::Elsewhere => Halt::Elsewhere,
            DecodeError::Unknown { length } => {
                self.length = length;
                Halt::Unknown
            }
        })?;
        self.length = decoded.length;
        let is_whole = !space::crosses_pages(at, decoded.length.into());
        let code = walk::translate(paging, at, Purpose::Fetch, read).ok().filter(|_| is_whole);
        let mut bytes = Padded::default();
        for (to, from) in bytes.iter_mut().zip(fetched).take(decoded.length.into()) {
            *to = *from;
        }
        let entry = Entry { at, size, paging: *paging, code, bytes, decoded, operand: None };
        let slot = self.entries.get_mut(slot(at)).ok_or(Halt::Mismatch)?;
        Ok(slot.insert(entry))
    }

    /// Names the instruction that was decoded last.
    pub(super) fn unknown(&self) -> Unknown {
        let mut unknown =
            Unknown { mnemonic: Mnemonic::INVALID, bytes: self.bytes, length: self.length };
        unknown.mnemonic = decode::mnemonic(unknown.bytes(), self.size);
        unknown
    }
}

const fn slot(at: u64) -> usize {
    (at ^ at >> 3) as usize % ENTRIES
}
