//! What every CPU sets up for itself, and what memory needs of it.

use super::insn;

const CR4_GLOBAL: u64 = 1 << 7;
const CR4_FXSAVE: u64 = 1 << 9;
const CR4_SIMD_EXCEPTIONS: u64 = 1 << 10;
const CR4_XSAVE: u64 = 1 << 18;

/// Sets control registers up: the state of guests' floating point can be saved and restored. The hypervisor itself has none.
pub(super) fn configure() {
    let mut cr4 = insn::cr4::read() | CR4_GLOBAL | CR4_FXSAVE | CR4_SIMD_EXCEPTIONS;
    if insn::cpuid_reader().get_feature_info().is_some_and(|features| features.has_xsave()) {
        cr4 |= CR4_XSAVE;
    }
    insn::cr4::write(cr4);
}

/// Zeroes `len` bytes at physical address `addr`.
///
/// # Safety
///
/// The caller owns that memory.
// UNSAFETY: writes memory by address.
#[expect(unsafe_code)]
pub(crate) unsafe fn zero(addr: u64, len: u64) {
    let target = core::ptr::with_exposed_provenance_mut::<u8>(addr as usize);
    // SAFETY: our caller owns addr..addr + len.
    unsafe { target.write_bytes(0, len as usize) };
}

/// Copies `len` bytes: the compiler's own function is a string instruction.
///
/// # Safety
///
/// The caller owns both ranges, which do not overlap.
// UNSAFETY: writes memory by address.
#[expect(unsafe_code)]
pub(crate) unsafe fn copy(target: *mut u8, source: *const u8, len: usize) {
    // SAFETY: our caller says so.
    unsafe { core::ptr::copy_nonoverlapping(source, target, len) };
}

/// Caches are coherent, for data and for instructions: SDM vol. 3A, 12.3.
pub(crate) fn clean(_addr: u64, _len: u64) {}

/// Likewise.
pub(crate) fn forget_instructions() {}
