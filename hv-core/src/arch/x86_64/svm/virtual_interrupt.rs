//! `V_TPR`, `V_IRQ` and their neighbours, at 0x060 of a VMCB. AMD APM vol. 2, 15.21 and 15.33.

/// The guest's task priority.
pub const TPR: u64 = 0xff;
/// A virtual interrupt is pending.
pub const PENDING: u64 = 1 << 8;
/// The guest's global interrupt flag, with VGIF.
pub const GLOBAL_FLAG: u64 = 1 << 9;
/// The priority does not matter.
pub const IGNORE_TPR: u64 = 1 << 20;
/// RFLAGS.IF masks virtual interrupts only, and CR8 is `V_TPR`.
pub const MASKING: u64 = 1 << 24;
/// STGI and CLGI act on the guest's own flag.
pub const GLOBAL_FLAG_ENABLE: u64 = 1 << 25;

/// The field with a virtual interrupt of this vector pending: once the guest can take it, the intercept tells.
#[must_use]
pub const fn pending(vector: u8) -> u64 {
    PENDING | (vector as u64 >> 4) << 16 | IGNORE_TPR | (vector as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_interrupt_has_its_priority_and_vector() {
        assert_eq!(pending(0x31), 0x31_0013_0100);
    }
}
