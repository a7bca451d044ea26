//! Interrupts on the hot path, straight into a list register: the timer of a loaded vCPU, and SGIs
//! that a vCPU sends to itself.
//!
//! All that is not simple is left to the next flush: then these functions only note the interrupt.

use super::bank::{Bit, Gates};
use super::cpu::{Cpu, MAX_LIST_REGISTERS, Physical, Slot};
use super::spi::FIRST_SPI;
use super::{HwState, Vgic};
use hv_core::arch::aarch64::list_register::{Backing, ListRegister, ListRegisters, State};

impl Vgic {
    /// Makes the private interrupt `intid` (16 to 31) of `vcpu` pending, behind which the physical
    /// interrupt `physical` stands: acknowledged with priority drop only, and active until the guest
    /// deactivates `intid`. Other numbers are ignored. Called on the CPU that has `vcpu` loaded,
    /// whose list registers `lrs` are.
    pub fn inject_hw<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        intid: u32,
        physical: u32,
        lrs: &mut L,
    ) {
        let Some(shared) = self.cpus.get(vcpu) else { return };
        let (16..FIRST_SPI, Ok(number)) = (intid, u16::try_from(physical)) else { return };
        let bit = Bit::of(intid);
        let mut cpu = shared.peek();
        if cpu.private.physical[bit.index()] == number
            && cpu.repeat(bit, Backing::Hardware(physical), lrs)
        {
            return;
        }
        cpu.private.physical[bit.index()] = number;
        let slot = Slot { intid: intid as u16, sender: None, physical: Physical::Linked };
        let gates = self.gates();
        if cpu.deliver(bit, slot, Backing::Hardware(physical), gates, lrs) {
            return;
        }
        cpu.armed = 0;
        cpu.private.hw_latch |= bit.mask();
        let must_flush = cpu.bank.pend(bit, gates);
        drop(cpu);
        if must_flush {
            self.client.notify(vcpu);
        }
    }

    /// What has to become of the physical interrupt behind the private interrupt `intid` when `vcpu`
    /// is loaded. Exact after [`fold_all`](Vgic::fold_all); while it is in a list register it counts
    /// as pending or active.
    #[must_use]
    pub fn hw_state(&self, vcpu: usize, intid: u32) -> HwState {
        let Some(shared) = self.cpus.get(vcpu) else { return HwState::Inactive };
        if intid >= FIRST_SPI {
            return HwState::Inactive;
        }
        let bit = Bit::of(intid);
        let cpu = shared.peek();
        let is_resident = cpu.bank.resident & bit.mask() != 0;
        let is_loaded = is_resident && cpu.slot(cpu.slot_of(bit)).physical != Physical::None;
        if is_loaded || (cpu.private.hw_latch | cpu.private.hw_active) & bit.mask() != 0 {
            HwState::PendingOrActive
        } else {
            HwState::Inactive
        }
    }

    /// Has the physical interrupts behind these private ones deactivated; no lock is held.
    #[cold]
    pub(super) fn deactivate_all(&self, vcpu: usize, mut released: u32) {
        let Some(shared) = self.cpus.get(vcpu) else { return };
        while let Some(bit) = Bit::lowest(released) {
            released &= released - 1;
            let physical = shared.peek().private.physical[bit.index()];
            self.client.deactivate(vcpu, u32::from(physical));
        }
    }
}

impl Cpu {
    /// Fills the list register of a private interrupt once more, if it is
    /// [armed](Self::armed) and the guest has emptied it. `backing` is what it was. Returns whether
    /// it is there.
    #[inline]
    pub(super) fn repeat<L: ListRegisters + ?Sized>(
        &mut self,
        bit: Bit,
        backing: Backing,
        lrs: &mut L,
    ) -> bool {
        if self.armed & bit.mask() == 0 {
            return false;
        }
        let index = self.slot_of(bit);
        if lrs.empty() >> index & 1 == 0 {
            return false;
        }
        lrs.set(index, Some(self.compose_pending(bit, self.slot(index), backing)));
        true
    }

    const fn compose_pending(&self, bit: Bit, slot: Slot, backing: Backing) -> ListRegister {
        ListRegister {
            intid: slot.intid as u32,
            source: match slot.sender {
                Some(sender) => sender,
                None => 0,
            },
            priority: self.bank.priority(bit),
            group: self.bank.group(bit),
            state: State::Pending,
            backing,
        }
    }

    /// Puts a private interrupt that has just become pending into a list register, if nothing
    /// speaks against it: it may be signalled, it is not pending or active already, there is room,
    /// and nobody who might come first waits for that. Returns whether it is there.
    pub(super) fn deliver<L: ListRegisters + ?Sized>(
        &mut self,
        bit: Bit,
        slot: Slot,
        backing: Backing,
        gates: Gates,
        lrs: &mut L,
    ) -> bool {
        let mask = bit.mask();
        let is_idle = self.bank.pending() & mask == 0 && !self.bank.has_request(bit);
        let others_wait = self.bank.ready(gates) & !mask != 0;
        if self.is_crowded || others_wait || !is_idle || self.bank.forwardable(gates) & mask == 0 {
            return false;
        }
        let index = if self.bank.resident & mask != 0 {
            let index = self.slot_of(bit);
            if lrs.empty() >> index & 1 == 0 {
                return false;
            }
            // The guest is done with the last one, which nobody has noted yet.
            self.bank.active &= !mask;
            index
        } else if self.bank.active & mask != 0 {
            return false;
        } else {
            let Some(index) = self.room(lrs) else { return false };
            index
        };
        self.bank.resident |= mask;
        self.bank.lr_pending |= mask;
        self.bank.handed |= mask;
        self.slots[index % MAX_LIST_REGISTERS] = slot;
        self.slot_of[bit.index()] = index as u8;
        self.used |= 1 << index;
        self.pending_only |= 1 << index;
        self.announced &= !(1 << index);
        self.armed |= mask;
        lrs.set(index, Some(self.compose_pending(bit, slot, backing)));
        true
    }

    /// An unused list register, or one whose private interrupt the guest has ended.
    fn room<L: ListRegisters + ?Sized>(&mut self, lrs: &L) -> Option<usize> {
        let count = lrs.count().min(MAX_LIST_REGISTERS);
        let all = (1_u32 << count) - 1;
        let unused = !self.used & all;
        if unused != 0 {
            return Some(unused.trailing_zeros() as usize);
        }
        let ended = lrs.empty() as u32 & !self.used_by_spis & all;
        if ended == 0 {
            return None;
        }
        let index = ended.trailing_zeros() as usize;
        let last = Bit::of(u32::from(self.slot(index).intid));
        if self.bank.has_request(last) || self.bank.latch & last.mask() != 0 {
            return None;
        }
        self.armed &= !last.mask();
        self.bank.end(last.mask());
        Some(index)
    }
}
