use super::*;
use hv_core::arch::x86_64::exit::Direction::{Read, Write};
use hv_core::arch::x86_64::exit::Repeat;
use hv_core::arch::x86_64::register::general::{RBX, RDX};
use iced_x86::code_asm::{ds, dword_ptr, eax, ecx, qword_ptr, rax, rbx, rdx, xmm0, xmmword_ptr};
use proptest::prelude::*;

type Assemble = fn(&mut CodeAssembler) -> Result<(), IcedError>;

fn guest() -> Guest {
    let mut guest = Guest::new(Mode::Bits64);
    guest.cpu.general[usize::from(RDX)] = WINDOW;
    guest
}

#[test]
fn what_cannot_be_emulated_is_named() {
    let rows: [(&str, Assemble); 8] = [
        ("Push ff 32", |a| a.push(qword_ptr(rdx))),
        ("Pop 8f 02", |a| a.pop(qword_ptr(rdx))),
        ("Call ff 12", |a| a.call(qword_ptr(rdx))),
        ("Jmp ff 22", |a| a.jmp(qword_ptr(rdx))),
        ("Movups 0f 10 02", |a| a.movups(xmm0, xmmword_ptr(rdx))),
        ("Fld dd 02", |a| a.fld(qword_ptr(rdx))),
        ("Mov 8e 1a", |a| a.mov(ds, qword_ptr(rdx))),
        ("Invlpg 0f 01 3a", |a| a.invlpg(qword_ptr(rdx))),
    ];
    for (name, assemble) in rows {
        let mut guest = guest();
        guest.assemble(assemble);
        let Outcome::Unknown(unknown) = guest.exit(0, Write) else { panic!("{name}") };
        assert_eq!(unknown.to_string(), name);
        assert_eq!(guest.cpu.rip, CODE);
        assert!(guest.accesses.is_empty());
    }
    let mut guest = guest();
    // MOV cannot be locked.
    guest.ram.put(CODE, &[0xf0, 0x89, 0x02]);
    let Outcome::Unknown(unknown) = guest.exit(0, Write) else { panic!("f0 89") };
    assert!(unknown.to_string().starts_with("no instruction f0 89 02"), "{unknown}");
}

#[test]
fn an_operand_across_pages_is_refused() {
    for linear in [WINDOW - 2, WINDOW + 0x1f_fffe] {
        let mut guest = guest();
        guest.cpu.general[usize::from(RDX)] = linear;
        guest.assemble(|a| a.mov(dword_ptr(rdx), eax));
        let Outcome::Unknown(unknown) = guest.exit(0, Write) else { panic!("{linear:#x}") };
        assert_eq!(unknown.to_string(), "Mov 89 02");
        assert!(guest.accesses.is_empty());
    }
}

#[test]
fn an_instruction_that_accesses_no_memory_was_written_since_and_is_tried() {
    let rows: [Assemble; 4] =
        [|a| a.mov(ecx, eax), |a| a.ud2(), |a| a.hlt(), |a| a.add(eax, 0x1234_5678)];
    for assemble in rows {
        let mut guest = guest();
        guest.assemble(assemble);
        assert_eq!(guest.exit(0, Write), Outcome::Retry);
    }
}

#[test]
fn what_is_not_the_access_of_the_exit_is_tried_again() {
    let mut guest = guest();
    guest.assemble(|a| a.mov(dword_ptr(rdx), eax));
    // Another address; not mapped; not for the user; not canonical.
    assert_eq!(guest.exit(4, Write), Outcome::Retry);
    guest.cpu.general[usize::from(RDX)] = 0x1234_5000;
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    guest.cpu.general[usize::from(RDX)] = 1 << 62;
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    guest.cpu.general[usize::from(RDX)] = WINDOW;
    guest.ram.put(0x3008, &[0x83]);
    guest.cpu.set_privilege(3);
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    guest.cpu.set_privilege(0);
    assert_eq!(guest.exit(0, Write), Outcome::Done);
    // Its code is gone.
    guest.cpu.rip = 0x123_4567;
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    // It accesses no memory any more, but a control register.
    guest.cpu.rip = CODE;
    guest.assemble(|a| a.mov(iced_x86::code_asm::cr0, rax));
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
}

#[test]
fn a_guest_that_never_does_what_made_the_exit_is_given_up() {
    let mut guest = guest();
    guest.assemble(|a| a.mov(dword_ptr(rdx), eax));
    for round in 0..3 {
        for _ in 0..PATIENCE {
            assert_eq!(guest.exit(4, Write), Outcome::Retry);
        }
        if round == 1 {
            assert_eq!(guest.exit(0, Write), Outcome::Done);
            guest.cpu.rip = CODE;
        } else {
            let Outcome::Unknown(unknown) = guest.exit(4, Write) else { panic!("patience") };
            assert_eq!(unknown.bytes(), [0x89, 2]);
        }
    }
}

#[test]
fn tables_that_lead_out_of_ram_are_told() {
    let mut guest = guest();
    guest.ram.put(0x2000 + 8, &0xfeed_f007_u64.to_le_bytes());
    guest.cpu.general[usize::from(RDX)] = 0x4000_0000;
    guest.assemble(|a| a.mov(dword_ptr(rdx), eax));
    // Nothing is wrong with a single access: the CPU will find out itself.
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    guest.cpu.general[6] = 0x4000_0000;
    guest.cpu.general[7] = WINDOW;
    guest.assemble(|a| a.movsd());
    assert_eq!(guest.exit(0, Write), Outcome::TableWalk(GuestPhysAddr(0xfeed_f000)));
}

#[test]
fn tables_in_a_circle_do_no_harm() {
    let mut guest = guest();
    // The root is its own entry, and every other one's.
    for index in 0..512 {
        guest.ram.put(0x1000 + 8 * index, &0x1007_u64.to_le_bytes());
    }
    guest.assemble(|a| a.mov(dword_ptr(rdx), eax));
    // All addresses are that page now: its first bytes are an instruction.
    guest.cpu.rip = 0;
    assert!(matches!(guest.exit(0, Write), Outcome::Unknown(_) | Outcome::Retry));
}

#[test]
fn no_instruction_is_looked_for_where_there_is_no_ram() {
    let mut guest = guest();
    guest.cpu.rip = WINDOW;
    assert_eq!(guest.exit(0, Read), Outcome::Retry);
    assert!(guest.accesses.is_empty());
}

#[test]
fn warming_up_decodes_in_all_sizes() {
    warm_up();
    let mut guest = guest();
    guest.cpu.general[usize::from(RBX)] = WINDOW;
    guest.does(0, Write, |a| a.mov(dword_ptr(rbx), eax));
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Bits16), Just(Mode::Bits32), Just(Mode::Bits64)]
}

/// Bytes that are mostly instructions of the kinds that matter.
fn hostile() -> impl Strategy<Value = [u8; 15]> {
    let opcodes = [
        0x00, 0x01, 0x09, 0x0f, 0x11, 0x20, 0x29, 0x31, 0x39, 0x63, 0x66, 0x67, 0x6c, 0x6f, 0x80,
        0x81, 0x83, 0x84, 0x86, 0x87, 0x88, 0x8b, 0x8e, 0xa0, 0xa3, 0xa4, 0xa5, 0xaa, 0xab, 0xac,
        0xad, 0xb0, 0xb6, 0xba, 0xbe, 0xc0, 0xc6, 0xc7, 0xf0, 0xf2, 0xf3, 0xf6, 0xf7, 0xfe, 0xff,
        0x48, 0x65, 0x2e,
    ];
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(opcodes.to_vec())];
    proptest::array::uniform15(byte)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn no_instruction_does_harm(
        bytes in hostile(), mode in modes(), general: [u64; 16], rflags: u64, near in 0_usize..16,
        is_write: bool, segments: [u32; 6], privilege in 0_u8..4,
    ) {
        let mut guest = Guest::new(mode);
        guest.cpu.general = general;
        let base = if mode == Mode::Bits64 { WINDOW } else { DEVICE };
        guest.cpu.general[near] = base;
        guest.cpu.general[(near + 1) % 16] &= 0xf;
        guest.cpu.rflags = rflags;
        guest.cpu.set_privilege(privilege);
        for (segment, random) in guest.cpu.segments.iter_mut().zip(segments) {
            if random & 1 != 0 {
                segment.limit = random;
                segment.base = DEVICE.wrapping_add(u64::from(random) << 32);
            }
        }
        let rip = guest.cpu.rip;
        guest.ram.put(guest.cpu.pc() & 0x1f_ffff, &bytes);
        let direction = if is_write { Write } else { Read };
        // Whatever it makes of it, the device is asked for no more than a part of a string.
        let Guest { cpu, ram, emulator, .. } = &mut guest;
        let mut asked = 0;
        let access = MemoryAccess { addr: GuestPhysAddr(DEVICE), linear: Some(base), direction };
        let outcome = emulator.memory(access, cpu, ram, |_| {
            asked += 1;
            u64::MAX
        });
        prop_assert!(asked <= 512);
        match outcome {
            Outcome::Retry | Outcome::Unknown(_) | Outcome::TableWalk(_) => {
                prop_assert_eq!(cpu.rip, rip);
            }
            Outcome::Done | Outcome::Fault(_) => {
                prop_assert!(cpu.rip.wrapping_sub(rip) & 0xffff_ffff <= 15);
            }
        }
        let width = if is_write { Width::B2 } else { Width::B1 };
        let repeat = if near % 2 == 0 { Repeat::Counted } else { Repeat::Once };
        let port =
            StringPort { port: 1, width, direction, repeat, address_width: None, segment: None };
        let _ = emulator.string_port(port, cpu, ram, |_| 0);
        let _ = emulator.register_access(Undecoded::ControlWrite(0), cpu, ram);
    }
}
