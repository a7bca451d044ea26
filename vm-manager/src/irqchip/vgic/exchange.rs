//! The exchange between a vCPU's interrupts and the list registers of the CPU that it is loaded on.
//!
//! This is the way back: what the guest did there, what is no longer to be there. The way there is
//! in [`place`](super::place).

use super::Version;
use super::bank::{Bit, Gates, Held};
use super::cpu::{Cpu, MAX_LIST_REGISTERS, Slot};
use super::settle::{Resident, held};
use super::spi::{FIRST_SPI, Spis};
use hv_core::arch::aarch64::list_register::{
    Backing, ListRegister, ListRegisters, State, Underflow,
};

/// Both sides, locked.
pub(super) struct Exchange<'a, L: ListRegisters + ?Sized> {
    /// The VM's version of the GIC.
    pub(super) version: Version,
    /// What the distributor forwards.
    pub(super) gates: Gates,
    /// The vCPU.
    pub(super) vcpu: usize,
    /// Its state.
    pub(super) cpu: &'a mut Cpu,
    /// The shared interrupts; they may be left out if no list register holds one and none changed.
    pub(super) spis: Option<&'a mut Spis>,
    /// The list registers.
    pub(super) lrs: &'a mut L,
    /// The banks in which shared interrupts may want a list register.
    pub(super) banks: u32,
    /// Out: the vCPUs that have to look again because of what was found in the list registers.
    pub(super) concerned: u32,
}

impl<L: ListRegisters + ?Sized> Exchange<'_, L> {
    /// Learns what the guest did, fulfils requests, withdraws what is no longer pending.
    pub(super) fn refresh(&mut self) {
        let empty = self.lrs.empty() as u32;
        self.retire(empty & self.cpu.used & !self.cpu.used_by_spis);
        let mut left = self.cpu.used;
        while let Some(index) = lowest(left) {
            left &= left - 1;
            let is_empty = empty >> index & 1 != 0;
            let seen = if is_empty { None } else { self.lrs.get(index) };
            let gates = self.gates;
            let slot = self.cpu.slot(index);
            let Some(mut resident) = self.resident(slot) else { continue };
            if let Some(seen) = seen
                && resident.pass(seen.state, gates)
            {
                let is_pending = seen.state == State::Pending;
                self.cpu.pending_only &= !(1 << index);
                self.cpu.pending_only |= u32::from(is_pending) << index;
                continue;
            }
            let now = resident.settle(held(seen), gates);
            let mut wanted = resident.compose(now);
            self.cpu.slots[index % MAX_LIST_REGISTERS] = resident.slot;
            if let (Some(seen), Some(wanted)) = (seen, &mut wanted)
                && (seen.backing, wanted.backing) == (Backing::SoftwareEoi, Backing::Software)
            {
                // An end that is announced needlessly (see `await_room`) is not worth a write.
                wanted.backing = Backing::SoftwareEoi;
            }
            // One that ended with a maintenance interrupt is not "empty" before it is written.
            if wanted != seen || (wanted.is_none() && !is_empty) {
                self.write(index, wanted);
            }
            self.note(index, now);
        }
    }

    /// Strikes list registers from the book whose private interrupts the guest has ended without
    /// further ado.
    fn retire(&mut self, ended: u32) {
        let mut left = ended;
        let mut bits = 0;
        while let Some(index) = lowest(left) {
            left &= left - 1;
            bits |= Bit::of(u32::from(self.cpu.slot(index).intid)).mask();
        }
        if bits != 0 {
            self.cpu.bank.end(bits);
            self.cpu.used &= !ended;
            self.cpu.pending_only &= !ended;
        }
    }

    /// Takes everything out of the list registers.
    pub(super) fn take_out_all(&mut self) {
        self.refresh();
        let mut left = self.cpu.used;
        while let Some(index) = lowest(left) {
            left &= left - 1;
            self.take_out(index);
            self.write(index, None);
        }
        self.cpu.is_crowded = false;
        self.set_underflow(Underflow::Quiet);
    }

    /// The interrupt that `slot` tells of.
    pub(super) fn resident(&mut self, slot: Slot) -> Option<Resident<'_>> {
        let intid = u32::from(slot.intid);
        if intid < FIRST_SPI {
            let Cpu { bank, private, .. } = &mut *self.cpu;
            return Some(Resident { bank, private: Some(private), eligible: u32::MAX, slot });
        }
        let spi = self.spis.as_mut()?.of(intid)?;
        let eligible = spi.targets(self.vcpu);
        Some(Resident { bank: &mut spi.bank, private: None, eligible, slot })
    }

    /// Keeps the book on list register `index`, which holds `now`.
    fn note(&mut self, index: usize, now: Held) {
        let mask = 1 << index;
        self.cpu.pending_only &= !mask;
        if now == Held::default() {
            self.leave(index);
        } else if !now.is_active {
            self.cpu.pending_only |= mask;
        }
    }

    /// Takes the interrupt of list register `index` out, with its state. The register itself is
    /// left to the caller.
    pub(super) fn take_out(&mut self, index: usize) {
        let slot = self.cpu.slot(index);
        let content = held(self.lrs.get(index));
        if let Some(mut resident) = self.resident(slot) {
            resident.take_out(content);
        }
        self.leave(index);
    }

    /// Strikes list register `index` from the book.
    fn leave(&mut self, index: usize) {
        let mask = 1 << index;
        self.cpu.used &= !mask;
        self.cpu.used_by_spis &= !mask;
        self.cpu.pending_only &= !mask;
        let intid = u32::from(self.cpu.slot(index).intid);
        let bit = Bit::of(intid);
        if intid < FIRST_SPI {
            self.cpu.bank.vacate(bit.mask());
            return;
        }
        self.banks |= 1 << (intid / 32 % 32);
        if let Some(spi) = self.spis.as_mut().and_then(|spis| spis.of(intid)) {
            spi.bank.vacate(bit.mask());
            if spi.bank.ready(self.gates) & bit.mask() != 0 {
                self.concerned |= spi.target_mask(bit);
            }
        }
    }

    /// Writes list register `index`.
    pub(super) fn write(&mut self, index: usize, content: Option<ListRegister>) {
        let mask = 1 << index;
        let is_announced = content.is_some_and(|content| content.backing == Backing::SoftwareEoi);
        self.cpu.announced &= !mask;
        self.cpu.announced |= if is_announced { mask } else { 0 };
        self.lrs.set(index, content);
    }

    /// Switches the underflow maintenance interrupt, unless it is so already.
    pub(super) fn set_underflow(&mut self, underflow: Underflow) {
        if self.cpu.underflow != underflow {
            self.cpu.underflow = underflow;
            self.lrs.set_underflow(underflow);
        }
    }
}

/// The index of the lowest set bit.
pub(super) fn lowest(bits: u32) -> Option<usize> {
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}
