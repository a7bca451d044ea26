//! How EL2 confines its guests: the registers that are the same for all of them.

use super::idregs::{self, HostIds};
use super::stage::IPA_BITS;
use super::{insn, percpu};
use aarch64_cpu::registers::{CNTHCTL_EL2, HCR_EL2, VTCR_EL2};

/// `HCR_EL2` while a guest runs, and in between. Arm ARM D19.2.48.
///
/// Beside stage 2 and the routing of interrupts: WFI and WFE trap, as do the identification registers, SMC,
/// implementation-defined registers, auxiliary control, and RAS records. Set/way operations invalidate no more
/// than they clean; barriers and TLB maintenance reach all CPUs, since vCPUs move. A page-table walk into
/// device memory faults.
fn hypervisor_control(ids: &HostIds) -> u64 {
    const TID3: u64 = 1 << 18;
    const TSC: u64 = 1 << 19;
    const TIDCP: u64 = 1 << 20;
    const TACR: u64 = 1 << 21;
    const TLOR: u64 = 1 << 35;
    const TERR: u64 = 1 << 36;
    const APK_API: u64 = 0b11 << 40;
    const PTW: u64 = 1 << 2;
    const BSU_INNER: u64 = 1 << 10;
    let fields = HCR_EL2::VM::Enable
        + HCR_EL2::SWIO::SET
        + HCR_EL2::FMO::EnableVirtualFIQ
        + HCR_EL2::IMO::EnableVirtualIRQ
        + HCR_EL2::AMO::SET
        + HCR_EL2::FB::SET
        + HCR_EL2::TWI::SET
        + HCR_EL2::TWE::SET
        + HCR_EL2::RW::EL1IsAarch64;
    let pauth = if idregs::has_pointer_authentication(ids) { APK_API } else { 0 };
    let has_lor = ids.mmfr1 >> 16 & 0xf != 0;
    let has_ras = ids.pfr0 >> 28 & 0xf != 0;
    fields.value
        | TID3
        | TSC
        | TIDCP
        | TACR
        | PTW
        | BSU_INNER
        | pauth
        | if has_lor { TLOR } else { 0 }
        | if has_ras { TERR } else { 0 }
}

/// `VTCR_EL2`: 4 KiB granule, from level 1 on, inner shareable write-back walks. D19.2.173.
fn translation_control(ids: &HostIds) -> u64 {
    const RES1: u64 = 1 << 31;
    let size = u64::from(64 - IPA_BITS);
    let fields = VTCR_EL2::SL0.val(1)
        + VTCR_EL2::T0SZ.val(size)
        + VTCR_EL2::IRGN0::NormalWBRAWA
        + VTCR_EL2::ORGN0::NormalWBRAWA
        + VTCR_EL2::SH0::Inner
        + VTCR_EL2::TG0::Granule4KB
        + VTCR_EL2::PS.val((ids.mmfr0 & 0xf).min(5));
    fields.value | RES1
}

/// Sets this CPU's EL2 up for guests. No guest is loaded.
pub(super) fn configure() {
    let Some(this) = percpu::this() else { return };
    let ids = this.ids();
    insn::hcr_el2::write(hypervisor_control(&ids));
    insn::vtcr_el2::write(translation_control(&ids));
    insn::vttbr_el2::write(0);
    insn::hstr_el2::write(0);
    // Traps: SVE (TZ), SME (TSM), trace (TTA), activity monitors (TAM); FP is the guest's own.
    const RES1: u64 = 0x22ff;
    const TRAPS: u64 = 1 << 30 | 1 << 20 | 1 << 12 | 1 << 8;
    insn::cptr_el2::write(RES1 | TRAPS);
    // Debug and PMU registers trap (TDA, TDOSA, TDRA, TPM, TPMCR), as do profiling (TPMS) and the trace filter (TTRF), whose
    // buffers are EL2's (E2PB, E2TB); no guest counters (HPMN stays).
    const DEBUG_TRAPS: u64 = 1 << 19 | 1 << 14 | 1 << 11 | 1 << 10 | 1 << 9 | 1 << 6 | 1 << 5;
    let counters = insn::mdcr_el2::read() & 0x1f;
    insn::mdcr_el2::write(DEBUG_TRAPS | counters);
    insn::mdscr_el1::write(0);
    // The physical counter and timer trap: guests see guest time in both. D19.12.2
    insn::cnthctl_el2::write((CNTHCTL_EL2::EL1PCEN::CLEAR + CNTHCTL_EL2::EL1PCTEN::CLEAR).value);
    insn::cntvoff_el2::write(0);
    insn::cntv_ctl_el0::write(0);
    if ids.mmfr0 >> 56 & 0xf != 0 {
        // FEAT_FGT: no trap beyond ours.
        insn::hfgrtr_el2::write(0);
        insn::hfgwtr_el2::write(0);
        insn::hfgitr_el2::write(0);
        insn::hdfgrtr_el2::write(0);
        insn::hdfgwtr_el2::write(0);
    }
    if ids.mmfr1 >> 40 & 0xf != 0 {
        insn::hcrx_el2::write(0);
    }
    if (ids.pfr0 >> 40 | ids.pfr1 >> 16) & 0xf != 0 {
        // FEAT_MPAM: guests choose no partitions (TRAPMPAM0EL1, TRAPMPAM1EL1).
        insn::mpam2_el2::write(0b11 << 48);
    }
    insn::vpidr_el2::write(insn::midr_el1::read());
    insn::isb();
    insn::tlbi_alle1is();
    insn::dsb_ish();
    insn::isb();
}

/// Zeroes `len` bytes at physical address `addr`, down to memory, so that guests with caches off see zeroes.
///
/// # Safety
///
/// The caller owns that memory.
// UNSAFETY: writes memory by address.
#[expect(unsafe_code)]
pub(crate) unsafe fn zero(addr: u64, len: u64) {
    const ZVA_PROHIBITED: u64 = 1 << 4;
    let dczid = insn::dczid_el0::read();
    let block = 4_u64 << (dczid & 0xf);
    if dczid & ZVA_PROHIBITED == 0 && (addr | len).is_multiple_of(block) {
        // SAFETY: our caller owns addr..addr + len.
        unsafe { insn::zero_blocks(addr, block, len / block) };
    } else {
        let target = core::ptr::with_exposed_provenance_mut::<u8>(addr as usize);
        // SAFETY: our caller owns addr..addr + len.
        unsafe { target.write_bytes(0, len as usize) };
    }
    clean(addr, len);
}

/// Copies `len` bytes. The compiler's own function moves eight bytes at a time: vector registers are the guests'.
///
/// # Safety
///
/// The caller owns both ranges, which do not overlap.
// UNSAFETY: writes memory by address.
#[expect(unsafe_code)]
pub(crate) unsafe fn copy(target: *mut u8, source: *const u8, len: usize) {
    const BLOCK: usize = 64;
    let done = len - len % BLOCK;
    if done != 0 {
        // SAFETY: our caller owns the ranges; the MMU is on since before there was a heap or a guest.
        unsafe { insn::copy_blocks(target, source, len / BLOCK) };
    }
    let (target, source) = (target.wrapping_add(done), source.wrapping_add(done));
    // SAFETY: likewise.
    unsafe { core::ptr::copy_nonoverlapping(source, target, len - done) };
}

/// Writes the data cache back over physical addresses `addr..addr + len`, and drops what it holds: who writes there with
/// caches off must not find an older line when they are switched on.
pub(crate) fn clean(addr: u64, len: u64) {
    let line = 4_u64 << (insn::ctr_el0::read() >> 16 & 0xf);
    insn::clean_to_coherency(addr, addr + len, line);
    insn::dsb_sy();
}

/// Drops the instruction caches of all CPUs.
pub(crate) fn forget_instructions() {
    insn::ic_ialluis();
    insn::dsb_ish();
    insn::isb();
}

/// Waits until an interrupt is pending.
#[inline]
pub(crate) fn sleep() {
    insn::dsb_sy();
    insn::wfi();
}
