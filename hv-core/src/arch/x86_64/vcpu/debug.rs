//! The addresses of a guest's breakpoints, DR0 to DR3. They are in the CPU while the vCPU is loaded: with the host's DR7,
//! which has all breakpoints off, they mean nothing.

use super::super::insn::virt as insn;

/// DR0 to DR3.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::arch::x86_64) struct DebugAddresses([u64; 4]);

impl DebugAddresses {
    /// Puts them into this CPU.
    pub(in crate::arch::x86_64) fn load(&self) {
        let [dr0, dr1, dr2, dr3] = self.0;
        insn::dr0::write(dr0);
        insn::dr1::write(dr1);
        insn::dr2::write(dr2);
        insn::dr3::write(dr3);
    }

    /// Takes them out of it.
    pub(in crate::arch::x86_64) fn put(&mut self) {
        self.0 = [insn::dr0::read(), insn::dr1::read(), insn::dr2::read(), insn::dr3::read()];
    }
}
