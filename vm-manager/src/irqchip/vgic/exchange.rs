//! The exchange between a vCPU's interrupts and the list registers of the CPU that it is loaded on.
//!
//! An interrupt is in at most one list register. Those there are never the less important ones: a
//! newcomer displaces one that is pending and not yet acknowledged. Active ones are never
//! displaced, because the guest's end of interrupt would find nothing to end.

use super::bank::{Bit, Gates, Held};
use super::cpu::{Cpu, MAX_LIST_REGISTERS, Physical, SGIS, Slot};
use super::settle::{Resident, held};
use super::spi::{FIRST_SPI, Spis};
use super::{MAX_VCPUS, Version};
use hv_core::arch::aarch64::list_register::{Backing, ListRegister, ListRegisters, Underflow};

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
    /// Out: the vCPUs that have to look again because of what was found in the list registers.
    pub(super) concerned: u32,
}

/// Whether all found place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placed {
    /// All that wanted a list register have one.
    All,
    /// There were more than list registers.
    Some,
}

impl<L: ListRegisters + ?Sized> Exchange<'_, L> {
    /// Learns what the guest did, fulfils requests, withdraws what is no longer pending.
    pub(super) fn refresh(&mut self) {
        let empty = self.lrs.empty();
        let mut left = self.cpu.used;
        while let Some(index) = lowest(left) {
            left &= left - 1;
            let is_empty = empty >> index & 1 != 0;
            let seen = if is_empty { None } else { self.lrs.get(index) };
            let slot = self.cpu.slot(index);
            let Some((now, wanted)) = self.settle(index, slot, held(seen)) else { continue };
            // An end that is announced needlessly (see `await_room`) is not worth a write.
            let is_announced = seen.is_some_and(|seen| seen.backing == Backing::SoftwareEoi);
            let wanted = wanted.map(|register| match register.backing {
                Backing::Software if is_announced => {
                    ListRegister { backing: Backing::SoftwareEoi, ..register }
                }
                Backing::Software | Backing::SoftwareEoi | Backing::Hardware(_) => register,
            });
            // One that ended with a maintenance interrupt is not "empty" before it is written.
            if wanted != seen || (wanted.is_none() && !is_empty) {
                self.lrs.set(index, wanted);
            }
            self.note(index, now);
        }
    }

    /// Gives list registers to those that want one, the most important first.
    pub(super) fn place(&mut self) {
        let placed = loop {
            let Some((rank, intid)) = self.first() else { break Placed::All };
            let free = lowest(!self.cpu.used & self.all());
            let Some(index) = free.or_else(|| self.displace(rank)) else { break Placed::Some };
            if !self.fill(index, intid) {
                break Placed::All;
            }
        };
        self.await_room(placed);
    }

    /// Takes everything out of the list registers. Returns whether a shared interrupt was there.
    pub(super) fn take_out_all(&mut self) -> bool {
        self.refresh();
        let had_spis = self.cpu.used_by_spis != 0;
        let mut left = self.cpu.used;
        while let Some(index) = lowest(left) {
            left &= left - 1;
            self.take_out(index);
            self.lrs.set(index, None);
        }
        self.cpu.is_crowded = false;
        self.set_underflow(Underflow::Quiet);
        had_spis
    }

    /// The list registers that exist and are used.
    fn all(&self) -> u32 {
        let count = self.lrs.count().min(MAX_LIST_REGISTERS);
        (1 << count) - 1
    }

    /// The one that is to get a list register first, and its rank.
    fn first(&self) -> Option<(u32, u32)> {
        let bank = &self.cpu.bank;
        let private = bank.first(bank.ready(self.gates) | bank.stranded(), 0);
        let shared = self.spis.as_ref().and_then(|spis| spis.first(self.gates, self.vcpu));
        match (private, shared) {
            (Some(private), Some(shared)) => Some(private.min(shared)),
            (private, shared) => private.or(shared),
        }
    }

    /// Empties the list register with the least important pending interrupt, if that comes after
    /// `rank`, and returns its index.
    fn displace(&mut self, rank: u32) -> Option<usize> {
        let mut left = self.cpu.pending_only & self.all();
        let mut last = None;
        while let Some(index) = lowest(left) {
            left &= left - 1;
            last = last.max(self.rank_of(index).map(|rank| (rank, index)));
        }
        let (least, index) = last?;
        (least > rank).then(|| {
            self.take_out(index);
            index
        })
    }

    fn rank_of(&mut self, index: usize) -> Option<u32> {
        let slot = self.cpu.slot(index);
        let resident = self.resident(slot)?;
        Some(resident.bank.rank(Bit::of(u32::from(slot.intid)), u32::from(slot.intid)))
    }

    /// Puts one that is ready or stranded into the empty list register `index`. Returns whether it
    /// is there.
    fn fill(&mut self, index: usize, intid: u32) -> bool {
        let bit = Bit::of(intid);
        let mut slot = Slot { intid: intid as u16, sender: None, physical: Physical::None };
        let is_private = intid < FIRST_SPI;
        let has_sender = self.version == Version::V2 && is_private && SGIS & bit.mask() != 0;
        let private = &mut self.cpu.private;
        let Some(resident) = (if is_private {
            Some(&mut self.cpu.bank)
        } else {
            self.spis.as_mut().and_then(|spis| spis.of(intid)).map(|spi| {
                spi.set_holder(bit, self.vcpu);
                &mut spi.bank
            })
        }) else {
            return false;
        };
        resident.resident |= bit.mask();
        let is_active = resident.active & bit.mask() != 0;
        if is_private {
            if is_active {
                if private.hw_active & bit.mask() != 0 {
                    slot.physical = Physical::Linked;
                }
                private.hw_active &= !bit.mask();
            }
            if has_sender {
                let active = private.active_sender.get(bit.index()).copied().unwrap_or(0);
                let pending = private.sources(bit).trailing_zeros() as u8 % MAX_VCPUS as u8;
                slot.sender = Some(if is_active { active } else { pending });
            }
            self.cpu.slot_of[bit.index()] = index as u8;
        }
        let Some((now, wanted)) =
            self.settle(index, slot, Held { is_pending: !is_active, is_active })
        else {
            return false;
        };
        self.lrs.set(index, wanted);
        self.cpu.used |= 1 << index;
        self.cpu.used_by_spis |= u32::from(!is_private) << index;
        self.note(index, now);
        now != Held::default()
    }

    /// Settles the interrupt of list register `index`; see [`Resident::settle`].
    fn settle(
        &mut self,
        index: usize,
        slot: Slot,
        seen: Held,
    ) -> Option<(Held, Option<ListRegister>)> {
        let gates = self.gates;
        let mut resident = self.resident(slot)?;
        let now = resident.settle(seen, gates);
        let wanted = resident.compose(now);
        let slot = resident.slot;
        self.cpu.slots[index % MAX_LIST_REGISTERS] = slot;
        Some((now, wanted))
    }

    /// The interrupt that `slot` tells of.
    fn resident(&mut self, slot: Slot) -> Option<Resident<'_>> {
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
    fn take_out(&mut self, index: usize) {
        let slot = self.cpu.slot(index);
        let content = held(self.lrs.get(index));
        if let Some(mut resident) = self.resident(slot) {
            resident.take_out(content);
        }
        self.leave(index);
    }

    /// Strikes list register `index` from the book.
    fn leave(&mut self, index: usize) {
        let slot = self.cpu.slot(index);
        let bit = Bit::of(u32::from(slot.intid));
        let mask = 1 << index;
        let gates = self.gates;
        if let Some(resident) = self.resident(slot) {
            resident.bank.vacate(bit);
        }
        if let Some(spi) = self.spis.as_mut().and_then(|spis| spis.of(u32::from(slot.intid))) {
            self.concerned |= spi.concerned(bit.mask(), gates);
        }
        self.cpu.used &= !mask;
        self.cpu.used_by_spis &= !mask;
        self.cpu.pending_only &= !mask;
    }

    /// Has the hardware tell when there is room again for those that found none.
    ///
    /// The underflow interrupt comes when at most one list register is in use. That is enough while
    /// at most one is active: those that wait come after those pending in list registers, and these
    /// leave first. With several active the waiting ones may come before some of these, and with a
    /// single list register underflow would never be quiet: then each end of interrupt tells.
    fn await_room(&mut self, placed: Placed) {
        self.cpu.is_crowded = placed == Placed::Some;
        let is_single = self.all().count_ones() <= 1;
        if placed == Placed::All || is_single {
            self.set_underflow(Underflow::Quiet);
        } else {
            self.set_underflow(Underflow::Signalled);
        }
        let active = self.cpu.used & !self.cpu.pending_only;
        if placed == Placed::All || (!is_single && active.count_ones() < 2) {
            return;
        }
        let mut left = self.cpu.used;
        while let Some(index) = lowest(left) {
            left &= left - 1;
            let Some(content) = self.lrs.get(index) else { continue };
            if content.backing == Backing::SoftwareEoi {
                continue;
            }
            let slot = &mut self.cpu.slots[index % MAX_LIST_REGISTERS];
            if slot.physical == Physical::Linked {
                slot.physical = Physical::Owed;
            }
            self.lrs.set(index, Some(ListRegister { backing: Backing::SoftwareEoi, ..content }));
        }
    }

    fn set_underflow(&mut self, underflow: Underflow) {
        if self.cpu.underflow != underflow {
            self.cpu.underflow = underflow;
            self.lrs.set_underflow(underflow);
        }
    }
}

/// The index of the lowest set bit.
fn lowest(bits: u32) -> Option<usize> {
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}
