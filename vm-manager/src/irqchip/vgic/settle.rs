//! The transitions of one resident interrupt: what the guest did to it in its list register, what
//! was asked of it meanwhile, and what the list register shall hold from now on.

use super::bank::{Bank, Bit, Gates, Held};
use super::cpu::{Physical, Private, Slot};
use hv_core::arch::aarch64::list_register::{Backing, ListRegister, State};

/// One interrupt that is in a list register, or is just about to be put there.
pub(super) struct Resident<'a> {
    /// Its bank.
    pub(super) bank: &'a mut Bank,
    /// For a private interrupt: the rest of its state.
    pub(super) private: Option<&'a mut Private>,
    /// Those of the bank that go to this vCPU.
    pub(super) eligible: u32,
    /// What the list register was given.
    pub(super) slot: Slot,
}

impl Resident<'_> {
    const fn bit(&self) -> Bit {
        Bit::of(self.slot.intid as u32)
    }

    /// Brings the bank up to date with what the list register was seen to hold, fulfils requests,
    /// and returns what it shall hold.
    pub(super) fn settle(&mut self, seen: Held, gates: Gates) -> Held {
        let mask = self.bit().mask();
        let mut held = seen;
        if !held.is_pending {
            // The guest acknowledged it.
            self.bank.handed &= !mask;
        }
        if held == Held::default() {
            // The guest ended it, and with it the hardware the physical one that was linked.
            self.release(Physical::Owed);
        }
        if self.bank.has_request(self.bit()) {
            held = self.fulfil(held);
        }
        let may_signal = self.bank.forwardable(gates) & self.eligible & mask != 0;
        if may_signal && self.bank.latch & mask != 0 {
            held = self.absorb(held);
        }
        if held.is_pending {
            let is_asserted = (self.bank.handed | (self.bank.line & !self.bank.edge)) & mask != 0;
            // A list register with a physical interrupt cannot be pending and active at once
            // (IHI 0069 12.4.9, IHI 0048 5.3.11: State and HW).
            let is_impossible = self.slot.physical != Physical::None && held.is_active;
            if !may_signal || !is_asserted || is_impossible {
                self.give_back(held);
                held.is_pending = false;
            }
        }
        self.bank.record(self.bit(), held);
        held
    }

    /// Enters a list register, for the first time: as active one or as pending one.
    pub(super) fn enter(&mut self, is_first: Held, gates: Gates) -> Held {
        let mask = self.bit().mask();
        let mut held = is_first;
        if self.bank.latch & self.bank.forwardable(gates) & self.eligible & mask != 0 {
            held = self.absorb(held);
        }
        self.bank.resident |= mask;
        self.bank.record(self.bit(), held);
        held
    }

    /// Notes what was seen, if that leaves nothing to do. Returns whether it was so.
    pub(super) fn pass(&mut self, seen: State, gates: Gates) -> bool {
        let mask = self.bit().mask();
        if self.bank.latch & mask != 0 || self.bank.has_request(self.bit()) {
            return false;
        }
        match seen {
            State::Active => {
                self.bank.handed &= !mask;
                self.bank.lr_pending &= !mask;
                self.bank.active |= mask;
                true
            }
            State::Pending => {
                let is_asserted = self.bank.handed | (self.bank.line & !self.bank.edge);
                let may_signal = self.bank.forwardable(gates) & self.eligible;
                is_asserted & may_signal & self.bank.lr_pending & !self.bank.active & mask != 0
            }
            State::PendingAndActive => false,
        }
    }

    /// Does what other CPUs, or the guest's writes to the distributor, asked for.
    fn fulfil(&mut self, mut held: Held) -> Held {
        let mask = self.bit().mask();
        let was = held;
        if self.bank.drop_pending & mask != 0 {
            held.is_pending = false;
            self.bank.handed &= !mask;
        }
        if self.bank.drop_active & mask != 0 {
            held.is_active = false;
        }
        if was != held && held == Held::default() {
            self.release(self.slot.physical);
        }
        held.is_active |= self.bank.make_active & mask != 0;
        self.bank.drop_pending &= !mask;
        self.bank.drop_active &= !mask;
        self.bank.make_active &= !mask;
        self.bank.recast &= !mask;
        held
    }

    /// Nothing is left of what stood behind the interrupt: if that was as `condition` says, then the
    /// client has to deactivate it.
    fn release(&mut self, condition: Physical) {
        if self.slot.physical != Physical::None
            && self.slot.physical == condition
            && let Some(private) = &mut self.private
        {
            private.released |= Bit::of(u32::from(self.slot.intid)).mask();
        }
        self.slot.physical = Physical::None;
    }

    /// Moves a latch into the list register, if that can hold it beside what it holds.
    fn absorb(&mut self, mut held: Held) -> Held {
        let mask = self.bit().mask();
        let bit = self.bit();
        if let Some(private) = &mut self.private {
            if private.hw_latch & mask != 0 {
                if !held.is_pending || held.is_active {
                    return held;
                }
                private.hw_latch &= !mask;
                self.slot.physical = Physical::Linked;
            }
            if let Some(sender) = self.slot.sender {
                let own = 1 << sender;
                if held == Held::default() || private.sources(bit) & own == 0 {
                    return held;
                }
                if private.remove_sources(bit, own) == 0 {
                    self.bank.latch &= !mask;
                }
                self.bank.handed |= mask;
                held.is_pending = true;
                return held;
            }
        }
        let may_repeat =
            held.is_active && self.bank.edge & mask != 0 && self.slot.physical == Physical::None;
        if held.is_pending || may_repeat {
            self.bank.latch &= !mask;
            self.bank.handed |= mask;
            held.is_pending = true;
        }
        held
    }

    /// Takes the pending state out of a list register that holds `held`, back to where it came from.
    fn give_back(&mut self, held: Held) {
        let mask = self.bit().mask();
        let bit = self.bit();
        if self.bank.handed & mask == 0 {
            return;
        }
        self.bank.handed &= !mask;
        self.bank.latch |= mask;
        if let Some(private) = &mut self.private {
            // If it is active too, then the physical interrupt stands behind that.
            if self.slot.physical != Physical::None && !held.is_active {
                private.hw_latch |= mask;
            }
            if let Some(sender) = self.slot.sender {
                private.add_sources(bit, 1 << sender);
            }
        }
    }

    /// Takes the interrupt out of its list register, with all that `held` says.
    pub(super) fn take_out(&mut self, held: Held) {
        let mask = self.bit().mask();
        let index = self.bit().index();
        if held.is_pending {
            self.give_back(held);
        }
        if held.is_active
            && let Some(private) = &mut self.private
        {
            if self.slot.physical != Physical::None {
                private.hw_active |= mask;
            }
            if let Some(active) = private.active_sender.get_mut(index) {
                *active = self.slot.sender.unwrap_or(0);
            }
        }
        self.bank.record(self.bit(), held);
        self.bank.vacate(mask);
    }

    /// The list register for what [`settle`](Self::settle) returned; `None` if that is nothing.
    pub(super) fn compose(&mut self, held: Held) -> Option<ListRegister> {
        let state = match (held.is_pending, held.is_active) {
            (false, false) => return None,
            (true, false) => State::Pending,
            (false, true) => State::Active,
            (true, true) => State::PendingAndActive,
        };
        let mask = self.bit().mask();
        let has_successor = self.bank.latch & mask != 0;
        if has_successor && self.slot.physical == Physical::Linked {
            self.slot.physical = Physical::Owed;
        }
        let backing = if self.slot.physical == Physical::Linked {
            let physical = self.private.as_ref().map(|p| p.physical[self.bit().index()]);
            Backing::Hardware(u32::from(physical.unwrap_or_default()))
        } else if has_successor
            || self.slot.physical == Physical::Owed
            || !self.bank.edge & mask != 0
        {
            // At its end the wire has to be looked at, or the next of the same number to be put.
            Backing::SoftwareEoi
        } else {
            Backing::Software
        };
        Some(ListRegister {
            intid: u32::from(self.slot.intid),
            source: self.slot.sender.unwrap_or(0),
            priority: self.bank.priority(self.bit()),
            group: self.bank.group(self.bit()),
            state,
            backing,
        })
    }
}

/// What a list register holds.
pub(super) fn held(content: Option<ListRegister>) -> Held {
    match content.map(|register| register.state) {
        None => Held::default(),
        Some(State::Pending) => Held { is_pending: true, is_active: false },
        Some(State::Active) => Held { is_pending: false, is_active: true },
        Some(State::PendingAndActive) => Held { is_pending: true, is_active: true },
    }
}
