use super::*;
use hv_core::arch::x86_64::exit::Direction::{Read, Write};
use hv_core::arch::x86_64::register::general::{RAX, RBX, RDX};
use iced_x86::code_asm::{
    ax, cr0, cr3, cr4, cr8, dr0, dr7, eax, r8, r9, rax, rbx, rcx, rdx, word_ptr,
};

type Assemble = fn(&mut CodeAssembler) -> Result<(), IcedError>;

impl Guest {
    fn register_access(&mut self, exit: Undecoded) -> Result<RegisterAccess, Outcome> {
        self.emulator.register_access(exit, &mut self.cpu, &self.ram)
    }
}

const fn control(register: u8, general: u8, direction: Direction) -> RegisterAccess {
    RegisterAccess::Control(ControlAccess::Move { register, general, direction })
}

const fn debug(register: u8, general: u8, direction: Direction) -> RegisterAccess {
    RegisterAccess::Debug(DebugAccess { register, general, direction })
}

#[test]
fn moves_of_control_and_debug_registers_are_decoded() {
    let rows: [(Undecoded, RegisterAccess, Assemble); 8] = [
        (Undecoded::ControlWrite(0), control(0, RAX, Write), |a| a.mov(cr0, rax)),
        (Undecoded::ControlRead(0), control(0, 8, Read), |a| a.mov(r8, cr0)),
        (Undecoded::ControlWrite(3), control(3, RBX, Write), |a| a.mov(cr3, rbx)),
        (Undecoded::ControlRead(4), control(4, RDX, Read), |a| a.mov(rdx, cr4)),
        (Undecoded::ControlWrite(8), control(8, 9, Write), |a| a.mov(cr8, r9)),
        (Undecoded::ControlRead(0), control(0, RAX, Read), |a| a.smsw(eax)),
        (Undecoded::DebugWrite(7), debug(7, 1, Write), |a| a.mov(dr7, rcx)),
        (Undecoded::DebugRead(0), debug(0, RAX, Read), |a| a.mov(rax, dr0)),
    ];
    for (exit, expected, assemble) in rows {
        let mut guest = Guest::new(Mode::Bits64);
        guest.assemble(assemble);
        assert_eq!(guest.register_access(exit), Ok(expected));
        assert_eq!(guest.cpu.rip, CODE);
        assert_eq!(guest.register_access(Undecoded::ControlWrite(2)), Err(Outcome::Retry));
    }
}

#[test]
fn cr0_is_written_by_three_more() {
    let write = Undecoded::ControlWrite(0);
    let mut guest = Guest::new(Mode::Bits64);
    guest.assemble(|a| a.clts());
    let expected = RegisterAccess::Control(ControlAccess::ClearTaskSwitched);
    assert_eq!(guest.register_access(write), Ok(expected));
    guest.assemble(|a| a.lmsw(ax));
    guest.cpu.general[usize::from(RAX)] = 0xabcd_1234;
    let expected = RegisterAccess::Control(ControlAccess::LoadStatusWord(0x1234));
    assert_eq!(guest.register_access(write), Ok(expected));
    guest.assemble(|a| a.lmsw(word_ptr(rbx)));
    guest.cpu.general[usize::from(RBX)] = 0x1_0fff;
    guest.ram.put(0x1_0fff, &[0xb, 0]);
    let expected = RegisterAccess::Control(ControlAccess::LoadStatusWord(0xb));
    assert_eq!(guest.register_access(write), Ok(expected));
    guest.cpu.general[usize::from(RBX)] = 0x40_0fff;
    assert!(matches!(guest.register_access(write), Err(Outcome::Fault(Event { vector: 14, .. }))));
    assert_eq!(guest.cpu.system(SystemRegister::Cr2), 0x40_1000);
}

#[test]
fn other_instructions_access_no_register() {
    let mut guest = Guest::new(Mode::Bits64);
    guest.assemble(|a| a.mov(word_ptr(rbx), ax));
    assert_eq!(guest.register_access(Undecoded::ControlWrite(0)), Err(Outcome::Retry));
    guest.assemble(|a| a.smsw(ax));
    let found = guest.register_access(Undecoded::ControlRead(0));
    assert!(matches!(found, Err(Outcome::Unknown(_))));
}
