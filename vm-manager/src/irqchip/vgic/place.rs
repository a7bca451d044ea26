//! Who gets the list registers when several interrupts want one.
//!
//! An interrupt is in at most one list register. Those there are never the less important ones: a
//! newcomer displaces one that is pending and not yet acknowledged. Active ones are never
//! displaced, because the guest's end of interrupt would find nothing to end.

use super::Version;
use super::bank::{Bit, Held};
use super::cpu::{MAX_LIST_REGISTERS, Physical, SGIS, Slot};
use super::exchange::{Exchange, lowest};
use super::spi::FIRST_SPI;
use hv_core::arch::aarch64::list_register::{Backing, ListRegister, ListRegisters, Underflow};

/// Whether all found place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placed {
    /// All that wanted a list register have one.
    All,
    /// There were more than list registers.
    Some,
}

impl<L: ListRegisters + ?Sized> Exchange<'_, L> {
    /// Gives list registers to those that want one, the most important first.
    pub(super) fn place(&mut self) {
        let free = !self.cpu.used & self.all();
        let private = self.cpu.bank.ready(self.gates) | self.cpu.bank.stranded();
        let shared = match &self.spis {
            Some(spis) => spis.count_wanting(self.banks, self.gates, self.vcpu),
            None => 0,
        };
        let placed = if private.count_ones() + shared <= free.count_ones() {
            self.place_all(private, if shared == 0 { 0 } else { self.banks });
            Placed::All
        } else {
            self.place_by_rank()
        };
        self.await_room(placed);
    }

    /// Gives a list register to each that wants one: there are enough, so ranks do not matter.
    fn place_all(&mut self, mut private: u32, mut banks: u32) {
        while let Some(bit) = Bit::lowest(private) {
            private &= private - 1;
            let Some(index) = lowest(!self.cpu.used) else { return };
            self.fill(index, bit.index() as u32);
        }
        while let Some(bank) = lowest(banks) {
            banks &= banks - 1;
            let spis = self.spis.as_ref().and_then(|spis| spis.bank(bank));
            let mut wanting = spis.map_or(0, |spis| spis.wanting(self.gates, self.vcpu));
            while let Some(bit) = Bit::lowest(wanting) {
                wanting &= wanting - 1;
                let Some(index) = lowest(!self.cpu.used) else { return };
                self.fill(index, (bank * 32 + bit.index()) as u32);
            }
        }
    }

    fn place_by_rank(&mut self) -> Placed {
        loop {
            let Some((rank, intid)) = self.first() else { return Placed::All };
            let free = lowest(!self.cpu.used & self.all());
            let Some(index) = free.or_else(|| self.displace(rank)) else { return Placed::Some };
            if !self.fill(index, intid) {
                return Placed::All;
            }
        }
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
        let shared =
            self.spis.as_ref().and_then(|spis| spis.first(self.banks, self.gates, self.vcpu));
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
        let gates = self.gates;
        let is_private = intid < FIRST_SPI;
        let (vcpu, version) = (self.vcpu, self.version);
        let slot = Slot { intid: intid as u16, sender: None, physical: Physical::None };
        let Some(mut resident) = self.resident(slot) else { return false };
        let is_active = resident.bank.active & bit.mask() != 0;
        if let Some(private) = &mut resident.private {
            if is_active && private.hw_active & bit.mask() != 0 {
                private.hw_active &= !bit.mask();
                resident.slot.physical = Physical::Linked;
            }
            if version == Version::V2 && SGIS & bit.mask() != 0 {
                let sender =
                    if is_active { private.active_sender(bit) } else { private.first_sender(bit) };
                resident.slot.sender = Some(sender);
            }
        }
        let now = resident.enter(Held { is_pending: !is_active, is_active }, gates);
        let content = resident.compose(now);
        let slot = resident.slot;
        if is_private {
            self.cpu.slot_of[bit.index()] = index as u8;
        } else if let Some(spi) = self.spis.as_mut().and_then(|spis| spis.of(intid)) {
            spi.set_holder(bit, vcpu);
        }
        self.write(index, content);
        self.cpu.slots[index % MAX_LIST_REGISTERS] = slot;
        let mask = 1 << index;
        self.cpu.used |= mask;
        self.cpu.used_by_spis |= if is_private { 0 } else { mask };
        self.cpu.pending_only |= if now.is_active { 0 } else { mask };
        true
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
            self.write(index, Some(ListRegister { backing: Backing::SoftwareEoi, ..content }));
        }
    }
}
