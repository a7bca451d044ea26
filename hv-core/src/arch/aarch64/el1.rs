//! The state of EL1 and EL0 that stays in the CPU while a vCPU is loaded, and changes hands with it.
//!
//! What traps instead is not here: debug and PMU registers, the physical timer.

use super::insn;

/// One vCPU's system registers, while it is not loaded.
#[derive(Clone, Debug)]
pub(super) struct El1State {
    plain: Plain,
    keys: Keys,
    /// `CNTV_CTL_EL0`.
    pub(super) timer_control: u64,
    /// `CNTV_CVAL_EL0`: ticks of the guest's virtual counter.
    pub(super) timer_value: u64,
}

/// A set of registers, read and written in straight lines: each is one instruction and one memory access.
macro_rules! bank {
    ($bank:ident: $($name:ident),* $(,)?) => {
        #[derive(Clone, Debug, Default)]
        struct $bank {
            $($name: u64,)*
        }

        impl $bank {
            #[inline]
            fn save(&mut self) {
                $(self.$name = insn::$name::read();)*
            }

            #[inline]
            fn restore(&self) {
                $(insn::$name::write(self.$name);)*
            }
        }
    };
}

bank!(Plain:
    sctlr_el1, actlr_el1, cpacr_el1, ttbr0_el1, ttbr1_el1, tcr_el1, esr_el1, afsr0_el1, afsr1_el1,
    far_el1, mair_el1, amair_el1, vbar_el1, contextidr_el1, tpidr_el0, tpidrro_el0, tpidr_el1,
    sp_el0, sp_el1, elr_el1, spsr_el1, par_el1, csselr_el1, cntkctl_el1,
);

// Present with FEAT_PAuth.
bank!(Keys:
    apia_key_lo, apia_key_hi, apib_key_lo, apib_key_hi, apda_key_lo, apda_key_hi, apdb_key_lo,
    apdb_key_hi, apga_key_lo, apga_key_hi,
);

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
        let plain = Plain { sctlr_el1: SCTLR_RESET, ..Plain::default() };
        Self { plain, keys: Keys::default(), timer_control: 0, timer_value: 0 }
    }

    /// Reads all from the CPU.
    pub(super) fn save(&mut self, keys: PointerKeys) {
        self.plain.save();
        if keys == PointerKeys::Present {
            self.keys.save();
        }
    }

    /// Writes all to the CPU. Takes effect at the ERET to the guest, which synchronizes the context.
    pub(super) fn restore(&self, keys: PointerKeys) {
        self.plain.restore();
        if keys == PointerKeys::Present {
            self.keys.restore();
        }
    }

    /// Name and value of the registers that a crash record shows.
    pub(super) fn describe(&self) -> [(&'static str, u64); 10] {
        let plain = &self.plain;
        [
            ("sctlr_el1", plain.sctlr_el1),
            ("ttbr0_el1", plain.ttbr0_el1),
            ("ttbr1_el1", plain.ttbr1_el1),
            ("tcr_el1", plain.tcr_el1),
            ("esr_el1", plain.esr_el1),
            ("far_el1", plain.far_el1),
            ("vbar_el1", plain.vbar_el1),
            ("sp_el0", plain.sp_el0),
            ("sp_el1", plain.sp_el1),
            ("elr_el1", plain.elr_el1),
        ]
    }
}
