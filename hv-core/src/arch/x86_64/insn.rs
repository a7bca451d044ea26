//! Instructions: the only x86-64 module with assembly, and the only one that asks for the target.
//!
//! On any other target each of these compiles and does nothing but zero memory, or reads zero, so that everything above
//! is compiled, and all but the instructions is tested, anywhere.

// UNSAFETY: instructions have no safe equivalent.
#![cfg_attr(all(target_os = "none", target_arch = "x86_64"), expect(unsafe_code))]

use crate::own_space::ImageLayout;
use raw_cpuid::{CpuId, CpuIdReader, CpuIdResult};

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod stubs {
    use super::super::{boot, fault, interrupts, smp};
    use core::mem::offset_of;

    core::arch::global_asm!(
        include_str!("boot.S"),
        prepare = sym boot::prepare,
        primary = sym boot::primary,
        secondary = sym smp::secondary,
        secondary_root = const offset_of!(smp::SecondaryBoot, root),
        secondary_stack = const offset_of!(smp::SecondaryBoot, stack_top),
        options(att_syntax)
    );
    core::arch::global_asm!(
        include_str!("entry.S"),
        interrupt = sym interrupts::arrived,
        nmi_count = sym interrupts::NMIS,
        host_exception = sym fault::host_exception,
        options(att_syntax)
    );

    unsafe extern "C" {
        pub(super) safe static roost_image_head: u8;
        pub(super) safe static __text_end: u8;
        pub(super) safe static __rodata_end: u8;
        pub(super) safe static __boot_guard: u8;
        pub(super) safe static __image_end: u8;
        pub(super) safe static roost_stubs: u8;
        pub(super) safe static roost_trampoline: u8;
        pub(super) safe static roost_trampoline_end: u8;
        pub(super) safe static roost_ap_record: u8;
    }
}

#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod virt_stubs {
    use super::super::svm::cpu::Block;
    use super::super::vcpu::registers::Registers;
    use super::super::vmx::vmcs;
    use core::mem::offset_of;

    core::arch::global_asm!(
        include_str!("virt.S"),
        svm_registers = const offset_of!(Block, registers),
        svm_shadow = const Block::SHADOW,
        host_rsp = const offset_of!(Registers, host_rsp),
        host_rsp_field = const vmcs::host::RSP,
    );

    unsafe extern "C" {
        pub(super) safe fn roost_vmx_exit();
    }
}

/// One block of assembly on the target; elsewhere `$otherwise`.
macro_rules! on_target {
    ({ $($target:tt)* } else { $($otherwise:tt)* }) => {{
        #[cfg(all(target_os = "none", target_arch = "x86_64"))]
        { $($target)* }
        #[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
        { $($otherwise)* }
    }};
}

pub(super) mod virt;

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

/// The address of the stub of vector 0; the others follow, 16 bytes apart.
pub(super) fn interrupt_stubs() -> u64 {
    on_target!({ (&raw const stubs::roost_stubs).addr() as u64 } else { 0 })
}

/// Where the code is that is copied for other CPUs to start with, and behind its last byte.
pub(super) fn trampoline() -> (u64, u64) {
    on_target!({
        let start = (&raw const stubs::roost_trampoline).addr() as u64;
        (start, (&raw const stubs::roost_trampoline_end).addr() as u64)
    } else { (0, 0) })
}

/// The address of the variable in which a CPU that starts finds the address of its record.
pub(super) fn secondary_record() -> u64 {
    on_target!({ (&raw const stubs::roost_ap_record).addr() as u64 } else { 0 })
}

/// Reads a byte from a port.
#[inline]
pub(super) fn in8(port: u16) -> u8 {
    // SAFETY: reading a port of a device that only the hypervisor drives has no effect on memory.
    on_target!({ unsafe { x86_64::instructions::port::Port::new(port).read() } } else { let _ = port; 0 })
}

/// Writes a byte to a port.
#[inline]
pub(super) fn out8(port: u16, value: u8) {
    // SAFETY: no device that is reached by ports masters the bus at our word.
    on_target!({ unsafe { x86_64::instructions::port::Port::new(port).write(value) } } else { let _ = (port, value); });
}

/// Reads two bytes from a port.
pub(super) fn in16(port: u16) -> u16 {
    // SAFETY: as for `in8`.
    on_target!({ unsafe { x86_64::instructions::port::Port::new(port).read() } } else { let _ = port; 0 })
}

/// Writes two bytes to a port.
pub(super) fn out16(port: u16, value: u16) {
    // SAFETY: as for `out8`.
    on_target!({ unsafe { x86_64::instructions::port::Port::new(port).write(value) } } else { let _ = (port, value); });
}

/// Reads four bytes from a port.
pub(super) fn in32(port: u16) -> u32 {
    // SAFETY: as for `in8`.
    on_target!({ unsafe { x86_64::instructions::port::Port::new(port).read() } } else { let _ = port; 0 })
}

/// Writes four bytes to a port.
pub(super) fn out32(port: u16, value: u32) {
    // SAFETY: as for `out8`.
    on_target!({ unsafe { x86_64::instructions::port::Port::new(port).write(value) } } else { let _ = (port, value); });
}

/// Reads a model-specific register, which must exist.
#[inline]
pub(super) fn rdmsr(index: u32) -> u64 {
    on_target!({
        let (low, high): (u32, u32);
        // SAFETY: reading has no effect on memory; of one that does not exist, it is a fault that says so.
        unsafe {
            core::arch::asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
        }
        u64::from(high) << 32 | u64::from(low)
    } else { let _ = index; 0 })
}

/// Writes a model-specific register, which must exist and take the value.
#[inline]
pub(super) fn wrmsr(index: u32, value: u64) {
    on_target!({
        // SAFETY: the callers, all in this architecture's modules, write registers of interrupts, clocks and virtualization,
        // as the manuals say. The asm is a compiler barrier, so program order holds.
        unsafe {
            core::arch::asm!("wrmsr", in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
        }
    } else { let _ = (index, value); });
}

/// CPUID: EAX, EBX, ECX, EDX.
pub(super) fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    on_target!({
        let answer = core::arch::x86_64::__cpuid_count(leaf, subleaf);
        [answer.eax, answer.ebx, answer.ecx, answer.edx]
    } else { let _ = (leaf, subleaf); [0; 4] })
}

/// CPUID with names for what it says.
pub(super) fn cpuid_reader() -> CpuId<impl CpuIdReader> {
    CpuId::with_cpuid_reader(|leaf, subleaf| {
        let [eax, ebx, ecx, edx] = cpuid(leaf, subleaf);
        CpuIdResult { eax, ebx, ecx, edx }
    })
}

/// The time-stamp counter.
#[inline(always)]
pub(super) fn rdtsc() -> u64 {
    on_target!({
        let (low, high): (u32, u32);
        // SAFETY: reading the counter has no effect on memory.
        unsafe { core::arch::asm!("rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
        u64::from(high) << 32 | u64::from(low)
    } else { 0 })
}

/// A random number, where there is RDRAND. `None` if there is none now: CF is clear then.
pub(super) fn random() -> Option<u64> {
    on_target!({
        let (number, is_there): (u64, u8);
        // SAFETY: the instruction writes a register and the flags.
        unsafe { core::arch::asm!("rdrand {}", "setc {}", out(reg) number, out(reg_byte) is_there, options(nomem, nostack)) };
        (is_there != 0).then_some(number)
    } else { None })
}

/// The stack pointer.
#[inline(always)]
pub(super) fn stack_pointer() -> u64 {
    on_target!({
        let value;
        // SAFETY: reading a register.
        unsafe { core::arch::asm!("mov {}, rsp", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    } else { 0 })
}

/// The frame pointer of the function that this is inlined into.
#[inline(always)]
pub(super) fn frame_pointer() -> u64 {
    on_target!({
        let value;
        // SAFETY: reading a register.
        unsafe { core::arch::asm!("mov {}, rbp", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    } else { 0 })
}

/// Lets interrupts that wait come in, for one instruction.
#[inline]
pub(super) fn interrupt_window() {
    on_target!({
        // SAFETY: our handlers preserve all registers, and touch only what is atomic.
        unsafe { core::arch::asm!("sti", "nop", "cli", options(nostack)) };
    } else {});
}

/// Sleeps until an interrupt comes in. One that waits already ends it at once: interrupts are let in with HLT itself.
pub(super) fn halt_with_interrupts() {
    on_target!({
        // SAFETY: as for `interrupt_window`.
        unsafe { core::arch::asm!("sti", "hlt", "cli", options(nostack)) };
    } else {});
}

/// Halts for good.
pub(super) fn halt() {
    on_target!({
        // SAFETY: it stops this CPU, with interrupts off.
        unsafe { core::arch::asm!("cli", "hlt", options(nomem, nostack)) };
    } else {});
}

/// Tells the CPU that another one is waited for.
#[inline(always)]
pub(super) fn pause() {
    on_target!({
        // SAFETY: a hint.
        unsafe { core::arch::asm!("pause", options(nomem, nostack, preserves_flags)) };
    } else {});
}

/// An invalid instruction in the page at 0, for when all else fails: with no handlers, a CPU that faults resets the machine.
pub(super) fn triple_fault() {
    on_target!({
        let none = [0_u16; 5];
        // SAFETY: it does not return.
        unsafe { core::arch::asm!("lidt [{}]", "ud2", in(reg) none.as_ptr(), options(nostack)) };
    } else {});
}

/// Loads tables of descriptors, the task register, and reloads CS and the data segments: 0x08 and 0x10.
pub(super) fn load_descriptors(gdt: &[u64], idt: &[u128], task: u16) {
    on_target!({
        let pointer = |base: u64, bytes: usize| {
            let mut pointer = [0_u8; 10];
            let (limit, address) = pointer.split_at_mut(2);
            limit.copy_from_slice(&(bytes as u16 - 1).to_le_bytes());
            address.copy_from_slice(&base.to_le_bytes());
            pointer
        };
        let gdt = pointer(gdt.as_ptr().expose_provenance() as u64, size_of_val(gdt));
        let idt = pointer(idt.as_ptr().expose_provenance() as u64, size_of_val(idt));
        // SAFETY: the callers' tables are never freed; they have our flat segments where boot.S has them, and stubs for all
        // vectors.
        unsafe {
            core::arch::asm!(
                "lgdt [{gdt}]", "lidt [{idt}]", "ltr {task:x}",
                "push 0x08", "lea {scratch}, [rip + 2f]", "push {scratch}", "retfq", "2:",
                "mov {scratch:e}, 0x10", "mov ds, {scratch:e}", "mov es, {scratch:e}", "mov ss, {scratch:e}",
                gdt = in(reg) gdt.as_ptr(), idt = in(reg) idt.as_ptr(), task = in(reg) task, scratch = out(reg) _,
            );
        }
    } else { let _ = (gdt, idt, task); });
}

macro_rules! control_registers {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            pub(super) mod $name {
                /// Reads the register.
                #[inline(always)]
                #[allow(dead_code, clippy::allow_attributes, reason = "some registers are only written")]
                pub(in super::super) fn read() -> u64 {
                    on_target!({
                        let value: u64;
                        // SAFETY: reading this register has no effect on memory.
                        unsafe {
                            core::arch::asm!(concat!("mov {}, ", stringify!($name)), out(reg) value, options(nomem, nostack, preserves_flags));
                        }
                        value
                    } else { 0 })
                }
                /// Writes the register.
                #[inline(always)]
                #[allow(dead_code, clippy::allow_attributes, reason = "some registers are only read")]
                pub(in super::super) fn write(value: u64) {
                    on_target!({
                        // SAFETY: the callers keep what our own code needs: paging, our tables, our segments.
                        unsafe {
                            core::arch::asm!(concat!("mov ", stringify!($name), ", {}"), in(reg) value, options(nostack, preserves_flags));
                        }
                    } else { let _ = value; });
                }
            }
        )*
    };
}

control_registers! {
    /// CR0.
    cr0;
    /// CR2.
    cr2;
    /// CR3.
    cr3;
    /// CR4.
    cr4;
}
