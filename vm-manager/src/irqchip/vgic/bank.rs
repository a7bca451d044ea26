//! Thirty-two interrupts, one bit each: the unit in which the GIC's registers show them.
//!
//! ```text
//!                 latch (edge, SGI, write to ISPENDR) ─┐
//!   line ──(level-sensitive only)──────────────────────┴─ pending ─┐
//!   enabled, group enabled, not active, not resident ──────────────┴─ ready ─→ list register
//! ```
//!
//! An interrupt that is *resident* sits in a list register, and the hardware there knows better
//! whether it is pending or active: `lr_pending` and `active` are what was last seen. Only the CPU
//! that has the vCPU loaded can look; every other one leaves a request (`drop_pending`,
//! `drop_active`, `make_active`), which that CPU fulfils at its next flush or fold.

use hv_core::arch::aarch64::list_register::Group;
use hv_core::guest::Level;

/// The bits of a priority that the virtual CPU interfaces implement: at least five
/// (IHI 0069 `ICH_VTR_EL2.PRIbits`; IHI 0048 5.3.11, bits 27:23 of `GICH_LR<n>`).
const PRIORITY_MASK: u8 = 0xf8;

/// One of the 32 interrupts of a bank.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Bit(u8);

impl Bit {
    /// The place of interrupt `intid` in its bank.
    pub(super) const fn of(intid: u32) -> Self {
        Self((intid % 32) as u8)
    }

    /// The lowest set bit of `bits`.
    pub(super) const fn lowest(bits: u32) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits.trailing_zeros() as u8)) }
    }

    /// Its place, below 32.
    pub(super) const fn index(self) -> usize {
        (self.0 % 32) as usize
    }

    /// A word with only this bit set.
    pub(super) const fn mask(self) -> u32 {
        1 << (self.0 % 32)
    }
}

/// Which groups the distributor forwards (`GICD_CTLR.EnableGrp0`, `EnableGrp1`): all ones or zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Gates {
    group0: u32,
    group1: u32,
}

impl Gates {
    /// The gates for the low two bits of `GICD_CTLR`.
    pub(super) const fn from_control(control: u8) -> Self {
        Self {
            group0: if control & 1 == 0 { 0 } else { u32::MAX },
            group1: if control & 2 == 0 { 0 } else { u32::MAX },
        }
    }
}

/// What a list register holds of an interrupt.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Held {
    /// It is pending there.
    pub(super) is_pending: bool,
    /// It is active there.
    pub(super) is_active: bool,
}

/// The state of 32 interrupts. See the front of this file.
#[derive(Debug)]
pub(super) struct Bank {
    /// Those bits that exist.
    pub(super) valid: u32,
    /// `ISENABLER`.
    pub(super) enabled: u32,
    /// `IGROUPR`: set for Group 1.
    pub(super) group1: u32,
    /// `ICFGR`: set for edge-triggered.
    pub(super) edge: u32,
    /// The level of the wire.
    pub(super) line: u32,
    /// Pending by an edge, an SGI or a write to `ISPENDR`; not yet handed to a list register.
    pub(super) latch: u32,
    /// Active, as far as known.
    pub(super) active: u32,
    /// In a list register.
    pub(super) resident: u32,
    /// Resident, and pending there when last seen.
    pub(super) lr_pending: u32,
    /// Resident and pending there by a latch, not (only) by the wire.
    pub(super) handed: u32,
    /// Request: no longer pending in its list register.
    pub(super) drop_pending: u32,
    /// Request: no longer active in its list register.
    pub(super) drop_active: u32,
    /// Request: active in its list register.
    pub(super) make_active: u32,
    /// Request: its list register has to be written anew, because priority, group or trigger
    /// changed, or emptied, because it was disabled.
    pub(super) recast: u32,
    priority: [u8; 32],
}

impl Bank {
    /// A bank after power-on, in which `valid` exist, `edge` are edge-triggered and `group1` are in
    /// Group 1.
    pub(super) const fn new(valid: u32, edge: u32, group1: u32) -> Self {
        Self {
            valid,
            enabled: 0,
            group1: group1 & valid,
            edge: edge & valid,
            line: 0,
            latch: 0,
            active: 0,
            resident: 0,
            lr_pending: 0,
            handed: 0,
            drop_pending: 0,
            drop_active: 0,
            make_active: 0,
            recast: 0,
            priority: [0; 32],
        }
    }

    /// Those pending outside of list registers.
    pub(super) const fn pending(&self) -> u32 {
        self.latch | (self.line & !self.edge)
    }

    /// Those that may be signalled to a CPU.
    pub(super) const fn forwardable(&self, gates: Gates) -> u32 {
        self.enabled & ((self.group1 & gates.group1) | (!self.group1 & gates.group0))
    }

    /// Those that wait for a list register, to be signalled.
    pub(super) const fn ready(&self, gates: Gates) -> u32 {
        self.pending() & self.forwardable(gates) & !self.active & !self.resident
    }

    /// Active ones outside of list registers: they want one, so that the guest can deactivate them.
    pub(super) const fn stranded(&self) -> u32 {
        self.active & !self.resident
    }

    /// The order in which list registers are given, the least first: active ones, then by priority,
    /// then by number (IHI 0069 4.8).
    pub(super) fn rank(&self, bit: Bit, intid: u32) -> u32 {
        let waits = u32::from(self.active & bit.mask() == 0);
        (waits << 31) | (u32::from(self.priority(bit)) << 16) | (intid & 0xffff)
    }

    /// The one of `bits` that comes first, as rank and number; `base` is the number of the bank's
    /// first interrupt.
    pub(super) fn first(&self, mut bits: u32, base: u32) -> Option<(u32, u32)> {
        let mut best: Option<(u32, u32)> = None;
        while let Some(bit) = Bit::lowest(bits) {
            bits &= bits - 1;
            let intid = base + u32::from(bit.0);
            let rank = self.rank(bit, intid);
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, intid));
            }
        }
        best
    }

    /// The priority, 0 the highest.
    pub(super) const fn priority(&self, bit: Bit) -> u8 {
        self.priority[bit.index()]
    }

    /// Sets the priority, as far as its bits are implemented.
    pub(super) const fn set_priority(&mut self, bit: Bit, priority: u8) {
        if self.valid & bit.mask() != 0 {
            self.priority[bit.index()] = priority & PRIORITY_MASK;
            self.recast |= bit.mask() & self.resident;
        }
    }

    /// The group.
    pub(super) const fn group(&self, bit: Bit) -> Group {
        if self.group1 & bit.mask() == 0 { Group::Zero } else { Group::One }
    }

    /// Drives the wire of one interrupt. Returns whether its list register has to be looked at, or
    /// one has to be found for it.
    pub(super) const fn drive(&mut self, bit: Bit, level: Level, gates: Gates) -> bool {
        let mask = bit.mask() & self.valid;
        match level {
            Level::High if self.line & mask == 0 => {
                self.line |= mask;
                self.latch |= mask & self.edge;
                // A level-sensitive resident needs nothing: it is pending already, or its
                // end of interrupt gives a maintenance interrupt.
                (self.ready(gates) | (self.resident & self.edge)) & mask != 0
            }
            Level::Low if self.line & mask != 0 => {
                self.line &= !mask;
                // Perhaps the guest has not yet acknowledged it: then it is to be withdrawn.
                self.lr_pending & !self.handed & !self.edge & mask != 0
            }
            Level::High | Level::Low => false,
        }
    }

    /// Makes one interrupt pending by a latch. Returns as [`drive`](Self::drive) does.
    pub(super) const fn pend(&mut self, bit: Bit, gates: Gates) -> bool {
        let mask = bit.mask() & self.valid;
        // One that was latched already has been announced; a resident one may have been taken since.
        let fresh = mask & !self.latch;
        self.latch |= mask;
        (self.ready(gates) & fresh) | (self.resident & self.forwardable(gates) & mask) != 0
    }

    /// Notes what a list register holds of one interrupt.
    pub(super) const fn record(&mut self, bit: Bit, held: Held) {
        let mask = bit.mask();
        if held.is_pending {
            self.lr_pending |= mask;
        } else {
            self.lr_pending &= !mask;
        }
        if held.is_active {
            self.active |= mask;
        } else {
            self.active &= !mask;
        }
    }

    /// Forgets all about the list registers of `bits`, which hold them no more.
    pub(super) const fn vacate(&mut self, bits: u32) {
        let others = !bits;
        self.resident &= others;
        self.lr_pending &= others;
        self.handed &= others;
        self.drop_pending &= others;
        self.drop_active &= others;
        self.make_active &= others;
        self.recast &= others;
    }

    /// The guest has ended `bits`, and emptied their list registers.
    pub(super) const fn end(&mut self, bits: u32) {
        self.active = (self.active & !bits) | (self.make_active & bits);
        self.vacate(bits);
    }

    /// Whether something was asked for one interrupt that its list register does not show yet.
    pub(super) const fn has_request(&self, bit: Bit) -> bool {
        self.requests() & bit.mask() != 0
    }

    /// Those for which something was asked that their list registers do not show yet.
    pub(super) const fn requests(&self) -> u32 {
        self.drop_pending | self.drop_active | self.make_active | self.recast
    }
}
