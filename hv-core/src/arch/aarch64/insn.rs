//! Instructions: the only AArch64 module with assembly, and the only one that asks for the target.
//!
//! On any other target each of these compiles and does nothing but zero memory, or reads zero, so that everything above
//! is compiled, and all but the instructions is tested, anywhere.

// UNSAFETY: instructions have no safe equivalent.
#![cfg_attr(all(target_os = "none", target_arch = "aarch64"), expect(unsafe_code))]

use super::vcpu::{FpState, Registers};
use crate::own_space::ImageLayout;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod stubs {
    use super::super::{boot, fault, mmu, percpu, stage};
    use core::mem::offset_of;

    core::arch::global_asm!(
        include_str!("boot.S"),
        prepare = sym boot::prepare,
        primary = sym boot::primary,
        secondary = sym boot::secondary,
        secondary_root = const offset_of!(boot::SecondaryBoot, root),
        secondary_stack = const offset_of!(boot::SecondaryBoot, stack_top),
        mair = const stage::MAIR,
        tcr = const mmu::TCR,
        sctlr_res1 = const mmu::SCTLR_RES1,
        sctlr_on = const mmu::SCTLR_ON,
    );
    core::arch::global_asm!(
        include_str!("entry.S"),
        percpu_emergency_stack = const offset_of!(percpu::PerCpu, emergency_stack_top),
        host_exception = sym fault::host_exception,
    );

    unsafe extern "C" {
        pub(super) fn roost_fp_save(state: *mut super::FpState);
        pub(super) fn roost_fp_restore(state: *const super::FpState);
        pub(super) safe static roost_image_head: u8;
        pub(super) fn roost_secondary_boot();
        pub(super) safe static __text_end: u8;
        pub(super) safe static __rodata_end: u8;
        pub(super) safe static __boot_guard: u8;
        pub(super) safe static __image_end: u8;
    }
}

/// One block of assembly on the target; elsewhere `$otherwise`.
macro_rules! on_target {
    ({ $($target:tt)* } else { $($otherwise:tt)* }) => {{
        #[cfg(all(target_os = "none", target_arch = "aarch64"))]
        { $($target)* }
        #[cfg(not(all(target_os = "none", target_arch = "aarch64")))]
        { $($otherwise)* }
    }};
}

/// Runs the guest until it exits; the number of the vector: 0 synchronous, 1 IRQ, 2 FIQ, 3 SError.
#[inline(always)]
pub(super) fn enter(registers: &mut Registers) -> u64 {
    on_target!({
        let kind;
        // SAFETY: the stub reads and writes `registers`; of ours it keeps x19 and x29, and all others are declared lost. What
        // the guest does is confined by its stage 2, which maps its own RAM only.
        unsafe {
            core::arch::asm!("bl roost_enter", inout("x0") core::ptr::from_mut(registers) => kind,
                out("x20") _, out("x21") _, out("x22") _, out("x23") _, out("x24") _, out("x25") _, out("x26") _,
                out("x27") _, out("x28") _, clobber_abi("C"));
        }
        kind
    } else { let _ = registers; 3 })
}

/// Saves the vector registers of the CPU.
pub(super) fn fp_save(state: &mut FpState) {
    on_target!({
        // SAFETY: the stub writes `state`, all of it; EL2 itself uses no vector registers.
        unsafe { stubs::roost_fp_save(state) }
    } else { let _ = state; });
}

/// Loads the vector registers of the CPU.
pub(super) fn fp_restore(state: &FpState) {
    on_target!({
        // SAFETY: the stub reads `state`; EL2 itself uses no vector registers.
        unsafe { stubs::roost_fp_restore(state) }
    } else { let _ = state; });
}

/// Where our image lies.
pub(super) fn image_layout() -> ImageLayout {
    on_target!({
        ImageLayout {
            start: (&raw const stubs::roost_image_head).addr() as u64,
            text_end: (&raw const stubs::__text_end).addr() as u64,
            rodata_end: (&raw const stubs::__rodata_end).addr() as u64,
            guard: (&raw const stubs::__boot_guard).addr() as u64,
            end: (&raw const stubs::__image_end).addr() as u64,
        }
    } else { ImageLayout::default() })
}

/// The physical address at which PSCI starts our other CPUs.
pub(super) fn secondary_entry() -> u64 {
    on_target!({ (stubs::roost_secondary_boot as *const ()).addr() as u64 } else { 0 })
}

macro_rules! system_registers {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            #[expect(clippy::allow_attributes, reason = "for some, nothing is there to expect")]
            pub(super) mod $name {
                /// Reads the register.
                #[inline(always)]
                #[allow(dead_code, reason = "some registers are only written")]
                pub(in super::super) fn read() -> u64 {
                    on_target!({
                        let value: u64;
                        // SAFETY: reading this register has no effect on memory.
                        unsafe {
                            core::arch::asm!(concat!("mrs {}, ", $asm), out(reg) value,
                                options(nomem, nostack, preserves_flags));
                        }
                        value
                    } else { 0 })
                }
                /// Writes the register.
                #[inline(always)]
                #[allow(dead_code, reason = "some registers are only read")]
                pub(in super::super) fn write(value: u64) {
                    on_target!({
                        // SAFETY: this register acts on the guest or on interrupts, not on the
                        // memory of EL2. The asm is a compiler barrier, so program order holds.
                        unsafe {
                            core::arch::asm!(concat!("msr ", $asm, ", {}"), in(reg) value,
                                options(nostack, preserves_flags));
                        }
                    } else { let _ = value; });
                }
            }
        )*
    };
}

system_registers! {
    // The state of EL1 and EL0, which changes hands with the vCPU.
    sctlr_el1 = "sctlr_el1";
    actlr_el1 = "actlr_el1";
    cpacr_el1 = "cpacr_el1";
    ttbr0_el1 = "ttbr0_el1";
    ttbr1_el1 = "ttbr1_el1";
    tcr_el1 = "tcr_el1";
    esr_el1 = "esr_el1";
    afsr0_el1 = "afsr0_el1";
    afsr1_el1 = "afsr1_el1";
    far_el1 = "far_el1";
    mair_el1 = "mair_el1";
    amair_el1 = "amair_el1";
    vbar_el1 = "vbar_el1";
    contextidr_el1 = "contextidr_el1";
    tpidr_el0 = "tpidr_el0";
    tpidrro_el0 = "tpidrro_el0";
    tpidr_el1 = "tpidr_el1";
    sp_el0 = "sp_el0";
    sp_el1 = "sp_el1";
    elr_el1 = "elr_el1";
    spsr_el1 = "spsr_el1";
    par_el1 = "par_el1";
    csselr_el1 = "csselr_el1";
    mdscr_el1 = "mdscr_el1";
    cntkctl_el1 = "cntkctl_el1";
    cntv_ctl_el0 = "cntv_ctl_el0";
    cntv_cval_el0 = "cntv_cval_el0";
    // Pointer authentication keys, by encoding: the assembler of the base architecture has no names.
    apia_key_lo = "s3_0_c2_c1_0";
    apia_key_hi = "s3_0_c2_c1_1";
    apib_key_lo = "s3_0_c2_c1_2";
    apib_key_hi = "s3_0_c2_c1_3";
    apda_key_lo = "s3_0_c2_c2_0";
    apda_key_hi = "s3_0_c2_c2_1";
    apdb_key_lo = "s3_0_c2_c2_2";
    apdb_key_hi = "s3_0_c2_c2_3";
    apga_key_lo = "s3_0_c2_c3_0";
    apga_key_hi = "s3_0_c2_c3_1";
    // What describes an exit.
    esr_el2 = "esr_el2";
    far_el2 = "far_el2";
    hpfar_el2 = "hpfar_el2";
    elr_el2 = "elr_el2";
    spsr_el2 = "spsr_el2";
    // How the guest is confined.
    hcr_el2 = "hcr_el2";
    hcrx_el2 = "s3_4_c1_c2_2";
    cptr_el2 = "cptr_el2";
    mdcr_el2 = "mdcr_el2";
    hstr_el2 = "hstr_el2";
    hfgrtr_el2 = "s3_4_c1_c1_4";
    hfgwtr_el2 = "s3_4_c1_c1_5";
    hfgitr_el2 = "s3_4_c1_c1_6";
    hdfgrtr_el2 = "s3_4_c3_c1_4";
    hdfgwtr_el2 = "s3_4_c3_c1_5";
    mpam2_el2 = "s3_4_c10_c5_0";
    vtcr_el2 = "vtcr_el2";
    vttbr_el2 = "vttbr_el2";
    vpidr_el2 = "vpidr_el2";
    vmpidr_el2 = "vmpidr_el2";
    // Time.
    cntfrq_el0 = "cntfrq_el0";
    cntvoff_el2 = "cntvoff_el2";
    cnthctl_el2 = "cnthctl_el2";
    cnthp_ctl_el2 = "cnthp_ctl_el2";
    cnthp_cval_el2 = "cnthp_cval_el2";
    // GICv3: CPU interface, then virtual interface control.
    icc_sre_el2 = "s3_4_c12_c9_5";
    icc_sre_el1 = "s3_0_c12_c12_5";
    icc_iar1_el1 = "s3_0_c12_c12_0";
    icc_eoir1_el1 = "s3_0_c12_c12_1";
    icc_dir_el1 = "s3_0_c12_c11_1";
    icc_pmr_el1 = "s3_0_c4_c6_0";
    icc_bpr1_el1 = "s3_0_c12_c12_3";
    icc_ctlr_el1 = "s3_0_c12_c12_4";
    icc_igrpen1_el1 = "s3_0_c12_c12_7";
    icc_sgi1r_el1 = "s3_0_c12_c11_5";
    ich_hcr_el2 = "s3_4_c12_c11_0";
    ich_vtr_el2 = "s3_4_c12_c11_1";
    ich_misr_el2 = "s3_4_c12_c11_2";
    ich_elrsr_el2 = "s3_4_c12_c11_5";
    ich_vmcr_el2 = "s3_4_c12_c11_7";
    ich_ap0r0_el2 = "s3_4_c12_c8_0";
    ich_ap0r1_el2 = "s3_4_c12_c8_1";
    ich_ap0r2_el2 = "s3_4_c12_c8_2";
    ich_ap0r3_el2 = "s3_4_c12_c8_3";
    ich_ap1r0_el2 = "s3_4_c12_c9_0";
    ich_ap1r1_el2 = "s3_4_c12_c9_1";
    ich_ap1r2_el2 = "s3_4_c12_c9_2";
    ich_ap1r3_el2 = "s3_4_c12_c9_3";
    ich_lr0_el2 = "s3_4_c12_c12_0";
    ich_lr1_el2 = "s3_4_c12_c12_1";
    ich_lr2_el2 = "s3_4_c12_c12_2";
    ich_lr3_el2 = "s3_4_c12_c12_3";
    ich_lr4_el2 = "s3_4_c12_c12_4";
    ich_lr5_el2 = "s3_4_c12_c12_5";
    ich_lr6_el2 = "s3_4_c12_c12_6";
    ich_lr7_el2 = "s3_4_c12_c12_7";
    ich_lr8_el2 = "s3_4_c12_c13_0";
    ich_lr9_el2 = "s3_4_c12_c13_1";
    ich_lr10_el2 = "s3_4_c12_c13_2";
    ich_lr11_el2 = "s3_4_c12_c13_3";
    ich_lr12_el2 = "s3_4_c12_c13_4";
    ich_lr13_el2 = "s3_4_c12_c13_5";
    ich_lr14_el2 = "s3_4_c12_c13_6";
    ich_lr15_el2 = "s3_4_c12_c13_7";
    // What this CPU is.
    current_el = "currentel";
    midr_el1 = "midr_el1";
    mpidr_el1 = "mpidr_el1";
    ctr_el0 = "ctr_el0";
    dczid_el0 = "dczid_el0";
    id_aa64pfr0_el1 = "id_aa64pfr0_el1";
    id_aa64pfr1_el1 = "id_aa64pfr1_el1";
    id_aa64dfr0_el1 = "id_aa64dfr0_el1";
    id_aa64isar0_el1 = "id_aa64isar0_el1";
    id_aa64isar1_el1 = "id_aa64isar1_el1";
    id_aa64isar2_el1 = "s3_0_c0_c6_2";
    id_aa64mmfr0_el1 = "id_aa64mmfr0_el1";
    id_aa64mmfr1_el1 = "id_aa64mmfr1_el1";
    id_aa64mmfr2_el1 = "s3_0_c0_c7_2";
    tpidr_el2 = "tpidr_el2";
}

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub(super) fn $name() {
                on_target!({
                    // SAFETY: a barrier, a hint or a maintenance operation; it changes no data.
                    unsafe { core::arch::asm!($asm, options(nostack, preserves_flags)) };
                } else {});
            }
        )*
    };
}

instructions! {
    /// Context synchronization.
    isb = "isb";
    /// Waits until all memory accesses have completed, in the inner shareable domain.
    dsb_ish = "dsb ish";
    /// Waits until all stores have completed, in the inner shareable domain.
    dsb_ishst = "dsb ishst";
    /// Waits until all memory accesses have completed, everywhere.
    dsb_sy = "dsb sy";
    /// Sleeps until an interrupt is pending, masked or not.
    wfi = "wfi";
    /// Tells the CPU, or the emulator, that another one is waited for.
    pause = "yield";
    /// Forgets EL1&0 translations of all VMIDs, on all CPUs.
    tlbi_alle1is = "tlbi alle1is";
    /// Forgets stage 1 and 2 translations of the VMID in VTTBR_EL2, on all CPUs.
    tlbi_vmalls12e1is = "tlbi vmalls12e1is";
    /// Forgets stage 1 translations of the VMID in VTTBR_EL2, on this CPU.
    tlbi_vmalle1 = "tlbi vmalle1";
    /// Waits until all memory accesses and maintenance of this CPU have completed.
    dsb_nsh = "dsb nsh";
    /// Drops the instruction cache of this CPU.
    ic_iallu = "ic iallu";
    /// Drops the instruction caches of all CPUs.
    ic_ialluis = "ic ialluis";
}

/// The physical counter, read in order.
#[inline(always)]
pub(super) fn counter() -> u64 {
    on_target!({
        let value: u64;
        // SAFETY: reading the counter has no effect on memory.
        unsafe {
            core::arch::asm!("isb", "mrs {}, cntpct_el0", out(reg) value, options(nostack, preserves_flags));
        }
        value
    } else { 0 })
}

/// Zeroes `blocks` blocks of the size that DCZID_EL0 gives, from `addr`.
///
/// # Safety
///
/// The caller owns that memory.
#[cfg_attr(not(all(target_os = "none", target_arch = "aarch64")), expect(unsafe_code))]
pub(super) unsafe fn zero_blocks(addr: u64, block_bytes: u64, blocks: u64) {
    on_target!({
        let (mut addr, end) = (addr, addr + block_bytes * blocks);
        while addr < end {
            // SAFETY: our caller owns addr..end.
            unsafe { core::arch::asm!("dc zva, {}", in(reg) addr, options(nostack, preserves_flags)) };
            addr += block_bytes;
        }
    } else {
        let target = core::ptr::with_exposed_provenance_mut::<u8>(addr as usize);
        // SAFETY: our caller owns that memory.
        unsafe { target.write_bytes(0, (block_bytes * blocks) as usize) };
    });
}

/// Copies `blocks` times 64 bytes, at least once: two registers an instruction, of those that calls may change.
///
/// # Safety
///
/// The caller owns both ranges, which do not overlap, and the MMU is on: no address need be aligned.
#[cfg_attr(not(all(target_os = "none", target_arch = "aarch64")), expect(unsafe_code))]
pub(super) unsafe fn copy_blocks(target: *mut u8, source: *const u8, blocks: usize) {
    on_target!({
        // SAFETY: our caller owns the ranges; there is at least one block.
        unsafe {
            core::arch::asm!(
                "2:",
                "ldp x8, x9, [{source}], #64",
                "ldp x10, x11, [{source}, #-48]",
                "ldp x12, x13, [{source}, #-32]",
                "ldp x14, x15, [{source}, #-16]",
                "stp x8, x9, [{target}], #64",
                "stp x10, x11, [{target}, #-48]",
                "stp x12, x13, [{target}, #-32]",
                "stp x14, x15, [{target}, #-16]",
                "subs {blocks}, {blocks}, #1",
                "b.ne 2b",
                source = inout(reg) source => _,
                target = inout(reg) target => _,
                blocks = inout(reg) blocks => _,
                out("x8") _, out("x9") _, out("x10") _, out("x11") _,
                out("x12") _, out("x13") _, out("x14") _, out("x15") _,
                options(nostack),
            );
        }
    } else {
        // SAFETY: our caller owns the ranges.
        unsafe { core::ptr::copy_nonoverlapping(source, target, blocks * 64) };
    });
}

/// Writes the data cache back to the point of coherency over `addr..end`, a line at a time, and drops the lines.
pub(super) fn clean_to_coherency(addr: u64, end: u64, line_bytes: u64) {
    on_target!({
        let mut addr = addr & !(line_bytes - 1);
        while addr < end {
            // SAFETY: cleaning changes no data, and what is clean can be dropped.
            unsafe { core::arch::asm!("dc civac, {}", in(reg) addr, options(nostack, preserves_flags)) };
            addr += line_bytes;
        }
    } else { let _ = (addr, end, line_bytes); });
}

/// A random number, where there is `FEAT_RNG` (RNDR; Arm ARM, D19.13.1). `None` if there is none now: Z is set then.
pub(super) fn random() -> Option<u64> {
    on_target!({
        let (number, is_there): (u64, u64);
        // SAFETY: reading this register writes the flags, and nothing else.
        unsafe {
            core::arch::asm!("mrs {}, s3_3_c2_c4_0", "cset {}, ne", out(reg) number, out(reg) is_there,
                options(nomem, nostack));
        }
        (is_there != 0).then_some(number)
    } else { None })
}

/// A semihosting call by HLT (Arm semihosting specification, 3.1). Where no debugger or emulator takes
/// it, the instruction is undefined; the handler of EL2's own exceptions skips it then, and the result
/// is the operation number still in `x0`.
pub(super) fn semihosting(operation: u64, block: &[u64; 2]) -> u64 {
    on_target!({
        let result;
        // SAFETY: SYS_EXIT_EXTENDED, our only operation, reads the block and nothing else.
        unsafe {
            core::arch::asm!("hlt #0xf000", inout("x0") operation => result, in("x1") block.as_ptr(), options(nostack));
        }
        result
    } else { let _ = block; operation })
}

/// The intermediate physical address to which the loaded guest's EL1 translates `address` for reading: the instruction AT
/// S1E1R, Arm ARM C6.2.22.
pub(super) fn translate_guest(address: u64) -> Option<u64> {
    on_target!({
        let result: u64;
        // SAFETY: translating reads the guest's tables and writes PAR_EL1, which is restored.
        unsafe {
            core::arch::asm!("mrs {saved}, par_el1", "at s1e1r, {address}", "isb", "mrs {result}, par_el1",
                "msr par_el1, {saved}", saved = out(reg) _, address = in(reg) address, result = out(reg) result,
                options(nostack));
        }
        const FAULT: u64 = 1;
        (result & FAULT == 0).then_some(result & 0x000f_ffff_ffff_f000 | address & 0xfff)
    } else { let _ = address; None })
}

/// The frame pointer of the function that this is inlined into.
#[inline(always)]
pub(super) fn frame_pointer() -> u64 {
    on_target!({
        let value;
        // SAFETY: reading a register.
        unsafe { core::arch::asm!("mov {}, x29", out(reg) value, options(nomem, nostack)) };
        value
    } else { 0 })
}

/// The instruction of [`semihosting`], as a word.
pub(super) const HLT_SEMIHOSTING: u32 = 0xd45e_0000;

/// The firmware's answer to a call by the SMC calling convention with three arguments.
pub(super) fn firmware_call(conduit: super::psci::Conduit, function: u64, args: [u64; 3]) -> u64 {
    on_target!({
        use smccc::Call;
        let [a, b, c] = args;
        let function = function as u32;
        let args = [a, b, c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        match conduit {
            super::psci::Conduit::Hvc => smccc::Hvc::call64(function, args)[0],
            super::psci::Conduit::Smc => smccc::Smc::call64(function, args)[0],
        }
    } else { let _ = (conduit, function, args); u64::MAX })
}
