//! General registers, as the world switch knows them.

use core::mem::offset_of;

/// General registers in the order of encodings. What the control block keeps of them is not here: RSP, and RAX with SVM.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(in crate::arch::x86_64) struct Registers {
    general: [u64; 16],
    /// VMX: what `HOST_RSP` of the VMCS is.
    pub(in crate::arch::x86_64) host_rsp: u64,
}

const _: () = assert!(offset_of!(Registers, general) == 0);
const _: () = assert!(offset_of!(Registers, host_rsp) == 128);

impl Registers {
    #[inline(always)]
    pub(in crate::arch::x86_64) fn get(&self, index: u8) -> u64 {
        self.general[usize::from(index & 15)]
    }

    #[inline(always)]
    pub(in crate::arch::x86_64) fn set(&mut self, index: u8, value: u64) {
        self.general[usize::from(index & 15)] = value;
    }
}
