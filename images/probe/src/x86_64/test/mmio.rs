//! Accesses to devices by all kinds of instructions: who emulates them must decode them.

use core::arch::asm;

use guest::arch::ioapic;
use guest::arch::lapic;
use guest::arch::mmio::Registers;
use guest::board::Board;
use guest::{println, trap};

use crate::report::{Failure, Outcome, check};

/// The IOAPIC's register of select, which keeps what is written.
fn select() -> Result<Registers, Failure> {
    ioapic::registers().ok_or(Failure { what: "no IOAPIC", value: 0 })
}

/// Plain forms, each with its result.
pub(super) fn run(_: &'static Board) -> Outcome {
    let registers = select()?;
    let address = registers.address();
    let mut problem = Ok(());
    let trap = trap::expect(|| problem = forms(registers, address));
    if let Some(trap) = trap {
        println!("probe: info mmio {trap}");
        return Err(Failure { what: "a trap, at", value: trap.rip });
    }
    problem
}

fn forms(registers: Registers, address: usize) -> Outcome {
    let value: u64;
    registers.write32(0, 0x21);
    // SAFETY: all of these access the IOAPIC's first register only.
    unsafe {
        asm!("movzx {0:e}, byte ptr [{1}]", out(reg) value, in(reg) address, options(nostack));
    }
    check(value == 0x21, "movzx", value)?;
    let value: u64;
    // SAFETY: as above.
    unsafe { asm!("movsx {0}, byte ptr [{1}]", out(reg) value, in(reg) address, options(nostack)) };
    check(value == 0x21, "movsx", value)?;
    // SAFETY: as above.
    unsafe { asm!("mov dword ptr [{0}], 0x12", in(reg) address, options(nostack)) };
    check(registers.read32(0) == 0x12, "mov of a constant", u64::from(registers.read32(0)))?;
    // SAFETY: as above.
    unsafe { asm!("or dword ptr [{0}], 1", in(reg) address, options(nostack)) };
    check(registers.read32(0) == 0x13, "or", u64::from(registers.read32(0)))?;
    // SAFETY: as above.
    unsafe { asm!("and dword ptr [{0}], {1:e}", in(reg) address, in(reg) 0x11, options(nostack)) };
    check(registers.read32(0) == 0x11, "and", u64::from(registers.read32(0)))?;
    let is_equal: u8;
    // SAFETY: as above.
    unsafe {
        asm!("cmp dword ptr [{0}], 0x11", "sete {1}", in(reg) address, out(reg_byte) is_equal, options(nostack));
    }
    check(is_equal == 1, "cmp", 0)?;
    let is_zero: u8;
    // SAFETY: as above.
    unsafe {
        asm!("test byte ptr [{0}], 0x10", "setz {1}", in(reg) address, out(reg_byte) is_zero, options(nostack));
    }
    check(is_zero == 0, "test", 0)?;
    let mut value = 0x17_u64;
    // SAFETY: as above.
    unsafe { asm!("xchg [{0}], {1:e}", in(reg) address, inout(reg) value, options(nostack)) };
    check(value == 0x11, "xchg", value)?;
    check(registers.read32(0) == 0x17, "xchg, to memory", u64::from(registers.read32(0)))?;
    let mut eax = 0xffff_ffff_u64;
    // SAFETY: as above; this is the form with a plain offset, and a displacement that counts down.
    unsafe {
        asm!("mov eax, [{0} + 4 * {1} - 4]", in(reg) address, in(reg) 1_u64, inout("rax") eax, options(nostack))
    };
    check(eax == 0x17, "mov with base, index and displacement", eax)
}

/// String instructions between memory and devices.
pub(super) fn string(_: &'static Board) -> Outcome {
    let registers = select()?;
    let from = [0x15_u32];
    let trap = trap::expect(|| {
        // SAFETY: one element each; the IOAPIC's first register is no memory.
        unsafe {
            asm!("movsd", inout("rsi") from.as_ptr() => _, inout("rdi") registers.address() => _, options(nostack));
        }
    });
    println!("probe: info mmio-string movsd to a device: {:?}", trap.map(|trap| trap.vector));
    check(trap.is_some() || registers.read32(0) == 0x15, "movsd", u64::from(registers.read32(0)))?;
    let mut to = [0_u32; 4];
    let trap = trap::expect(|| {
        // SAFETY: `to` has room; the page has no side effects where this reads.
        unsafe {
            asm!("rep movsd", inout("rcx") 4_u64 => _, inout("rsi") registers.address() => _,
                inout("rdi") to.as_mut_ptr() => _, options(nostack));
        }
    });
    println!("probe: info mmio-string rep movsd from a device: {:?}", trap.map(|trap| trap.vector));
    check(trap.is_some() || to[0] == 0x15, "rep movsd", u64::from(to[0]))?;
    let trap = trap::expect(|| {
        // SAFETY: the IOAPIC's page is no memory.
        unsafe {
            asm!("rep stosb", inout("rcx") 4_u64 => _, in("al") 0_u8, inout("rdi") registers.address() => _,
                options(nostack));
        }
    });
    println!("probe: info mmio-string rep stosb to a device: {:?}", trap.map(|trap| trap.vector));
    Ok(())
}

/// Accesses across the ends of pages and registers.
pub(super) fn edge(_: &'static Board) -> Outcome {
    for page in [select()?, lapic::page()] {
        for offset in [0xffc, 0xffd, 0xffe, 0xfff, 0x1, 0x3e, 0x22] {
            let mut value = 0;
            let read = trap::expect(|| value = page.read32(offset));
            let wide = trap::expect(|| value ^= page.read64(offset) as u32);
            let write = trap::expect(|| page.write16(offset, 0));
            let vectors = [read, wide, write].map(|trap| trap.map(|trap| trap.vector));
            println!("probe: info mmio-edge {:#x}: {vectors:?}", page.address() + offset);
        }
    }
    Ok(())
}

/// By a vector register, which nobody does in earnest.
pub(super) fn vector(_: &'static Board) -> Outcome {
    let address = select()?.address();
    println!("probe: info reading a device by movdqu");
    // SAFETY: a read; Rust uses no vector registers on this target.
    let trap = trap::expect(|| unsafe {
        asm!("movdqu xmm0, [{0}]", in(reg) address, options(nostack));
    });
    println!("probe: info mmio-vector {:?}", trap.map(|trap| trap.vector));
    Ok(())
}
