//! What is remembered of instructions must not outlive them.

use super::*;
use hv_core::arch::x86_64::exit::Direction::{Read, Write};
use hv_core::arch::x86_64::register::general::{RBX, RCX, RDX};
use iced_x86::code_asm::{dword_ptr, eax, ecx, rbx, rdx};

/// A guest that has stored EAX at RDX, and is about to do so again.
fn guest() -> Guest {
    let mut guest = Guest::new(Mode::Bits64);
    guest.cpu.general[usize::from(RDX)] = WINDOW;
    guest.does(0, Write, |a| a.mov(dword_ptr(rdx), eax));
    again(&mut guest);
    guest
}

fn again(guest: &mut Guest) {
    guest.cpu.rip = CODE;
    guest.accesses.clear();
}

/// How often RAM is read.
struct Counting<'a>(&'a Ram, core::cell::Cell<u32>);

impl GuestMemory for Counting<'_> {
    fn read(&self, at: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.1.set(self.1.get() + 1);
        self.0.read(at, buf)
    }

    fn write(&self, at: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.0.write(at, buf)
    }
}

#[test]
fn an_instruction_that_is_known_is_only_compared() {
    let mut guest = guest();
    let ram = Counting(&guest.ram, 0.into());
    let addr = GuestPhysAddr(DEVICE);
    let access = MemoryAccess { addr, linear: None, direction: Write };
    let outcome = guest.emulator.memory(access, &mut guest.cpu, &ram, |_| 0);
    assert_eq!((outcome, ram.1.get()), (Outcome::Done, 1));
}

#[test]
fn other_code_at_the_same_address_is_found_by_what_it_accesses() {
    let mut guest = guest();
    // The code's page is another one now; the old one still holds what it held.
    guest.ram.put(0x3000, &0x5007_u64.to_le_bytes());
    guest.ram.put(0x5000 + 8 * 8, &0x6007_u64.to_le_bytes());
    guest.cpu.general[usize::from(RBX)] = WINDOW + 0x10;
    // MOV ECX, [RBX].
    guest.ram.put(0x6000, &[0x8b, 0x0b]);
    assert_eq!(guest.exit(0x10, Read), Outcome::Done);
    assert_eq!(guest.cpu.general[usize::from(RCX)], guest.register(0x10, Width::B4));
    again(&mut guest);
    assert_eq!(guest.exit(0x10, Read), Outcome::Done);
}

#[test]
fn an_operand_that_went_elsewhere_is_walked_to_again() {
    let mut guest = guest();
    guest.ram.put(0x3008, &0x5007_u64.to_le_bytes());
    guest.ram.put(0x5000, &(DEVICE + 0x7000 + 7).to_le_bytes());
    // The hardware tells of the new page.
    let addr = GuestPhysAddr(DEVICE + 0x7000);
    let access = MemoryAccess { addr, linear: None, direction: Write };
    let mut asked = Vec::new();
    let outcome = guest.emulator.memory(access, &mut guest.cpu, &guest.ram, |access| {
        asked.push(access.addr);
        0
    });
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(asked, [addr]);
    // It does not tell of the old one any more.
    again(&mut guest);
    assert_eq!(guest.exit(4, Write), Outcome::Retry);
}

#[test]
fn a_right_is_not_remembered_for_another_access() {
    let mut guest = Guest::new(Mode::Bits64);
    guest.cpu.general[usize::from(RDX)] = WINDOW;
    guest.does(0, Write, |a| a.add(dword_ptr(rdx), eax));
    again(&mut guest);
    // Where the first half of it makes the exit, the second half may still be forbidden.
    guest.ram.put(0x3008, &[0x85]);
    assert_eq!(guest.exit(0, Read), Outcome::Retry);
    assert!(guest.accesses.is_empty());
    // The kernel's right is not the user's.
    let mut guest = self::guest();
    guest.ram.put(0x3008, &[0x83]);
    guest.cpu.set_privilege(3);
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    // Nor is what one process maps what another does.
    let mut guest = self::guest();
    guest.cpu.set_system(SystemRegister::Cr3, 0x7000);
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
}

#[test]
fn more_instructions_than_are_remembered_are_no_harm() {
    let mut guest = Guest::new(Mode::Bits64);
    guest.cpu.general[usize::from(RBX)] = WINDOW;
    for _ in 0..3 {
        guest.cpu.rip = CODE;
        for index in 0..40 {
            guest.does(4 * index, Read, |a| a.mov(ecx, dword_ptr(rbx + 4 * index as u32)));
            let expected = guest.register(4 * index as usize, Width::B4);
            assert_eq!(guest.cpu.general[usize::from(RCX)], expected);
        }
    }
}
