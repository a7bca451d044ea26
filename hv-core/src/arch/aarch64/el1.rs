//! The state of EL1 and EL0 that stays in the CPU while a vCPU is loaded, and changes hands with it.
//!
//! What traps instead is not here: debug and PMU registers, the physical timer.

use super::insn;

/// One vCPU's system registers, while it is not loaded.
#[derive(Clone, Debug)]
pub(super) struct El1State {
    plain: [u64; PLAIN.len()],
    keys: [u64; KEYS.len()],
    /// `CNTV_CTL_EL0`.
    pub(super) timer_control: u64,
    /// `CNTV_CVAL_EL0`: ticks of the guest's virtual counter.
    pub(super) timer_value: u64,
}

struct Register {
    read: fn() -> u64,
    write: fn(u64),
}

macro_rules! registers {
    ($($name:ident),* $(,)?) => {
        [$(Register { read: insn::$name::read, write: insn::$name::write }),*]
    };
}

/// SCTLR_EL1 comes first: see [`El1State::reset`].
const PLAIN: [Register; 23] = registers![
    sctlr_el1, actlr_el1, cpacr_el1, ttbr0_el1, ttbr1_el1, tcr_el1, esr_el1, afsr0_el1, afsr1_el1,
    far_el1, mair_el1, amair_el1, vbar_el1, contextidr_el1, tpidr_el0, tpidrro_el0, tpidr_el1,
    sp_el0, sp_el1, elr_el1, spsr_el1, par_el1, cntkctl_el1,
];

/// Present with FEAT_PAuth.
const KEYS: [Register; 10] = registers![
    apia_key_lo, apia_key_hi, apib_key_lo, apib_key_hi, apda_key_lo, apda_key_hi, apdb_key_lo,
    apdb_key_hi, apga_key_lo, apga_key_hi,
];

/// Whether the CPU has pointer authentication keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PointerKeys {
    Absent,
    Present,
}

/// The RES1 bits of `SCTLR_EL1` without the optional features; MMU and caches off. D19.2.118.
const SCTLR_RESET: u64 = 0x30d0_0800;

impl El1State {
    /// The state after a warm reset.
    pub(super) fn reset() -> Self {
        let mut plain = [0; PLAIN.len()];
        plain[0] = SCTLR_RESET;
        Self { plain, keys: [0; KEYS.len()], timer_control: 0, timer_value: 0 }
    }

    /// Reads all from the CPU.
    pub(super) fn save(&mut self, keys: PointerKeys) {
        for (slot, register) in self.plain.iter_mut().zip(&PLAIN) {
            *slot = (register.read)();
        }
        if keys == PointerKeys::Present {
            for (slot, register) in self.keys.iter_mut().zip(&KEYS) {
                *slot = (register.read)();
            }
        }
    }

    /// Writes all to the CPU. Takes effect at the ERET to the guest, which synchronizes the context.
    pub(super) fn restore(&self, keys: PointerKeys) {
        for (slot, register) in self.plain.iter().zip(&PLAIN) {
            (register.write)(*slot);
        }
        if keys == PointerKeys::Present {
            for (slot, register) in self.keys.iter().zip(&KEYS) {
                (register.write)(*slot);
            }
        }
    }

    /// Name and value of the registers that a crash record shows.
    pub(super) fn describe(&self) -> [(&'static str, u64); 10] {
        let at = |index: usize| self.plain.get(index).copied().unwrap_or(0);
        [
            ("sctlr_el1", at(0)),
            ("ttbr0_el1", at(3)),
            ("ttbr1_el1", at(4)),
            ("tcr_el1", at(5)),
            ("esr_el1", at(6)),
            ("far_el1", at(9)),
            ("vbar_el1", at(12)),
            ("sp_el0", at(17)),
            ("sp_el1", at(18)),
            ("elr_el1", at(19)),
        ]
    }
}
