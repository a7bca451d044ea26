use super::*;
use hv_core::arch::x86_64::exit::Direction::{Read, Write};
use hv_core::arch::x86_64::register::general::{RAX, RBX, RCX, RDX, RSI};
use iced_x86::code_asm::{
    ah, al, ax, bh, bl, bp, bx, byte_ptr, cx, di, dl, dword_ptr, eax, ebx, ecx, esi, qword_ptr, r9,
    r9b, r12d, r13, rax, rbx, rcx, rdi, rdx, rsi, si, sil, word_ptr,
};

const FULL: u64 = 0xfedc_ba98_7654_3210;

fn general(guest: &Guest, register: u8) -> u64 {
    guest.cpu.general[usize::from(register)]
}

fn set(guest: &mut Guest, register: u8, value: u64) {
    guest.cpu.general[usize::from(register)] = value;
}

#[test]
fn a_load_is_as_wide_as_its_register() {
    let mut guest = Guest::new(Mode::Bits64);
    guest.device[..8].copy_from_slice(&0x8877_6655_4433_2291_u64.to_le_bytes());
    let mut loads = |register, expected, assemble: fn(&mut CodeAssembler) -> _| {
        guest.cpu.general = [FULL; 16];
        guest.cpu.general[usize::from(RBX)] = WINDOW;
        guest.does(0, Read, assemble);
        assert_eq!(general(&guest, register), expected);
        guest.cpu.general[usize::from(register)] = FULL;
        guest.cpu.general[usize::from(RBX)] = FULL;
        assert_eq!(guest.cpu.general, [FULL; 16]);
    };
    loads(RAX, 0xfedc_ba98_7654_3291, |a| a.mov(al, byte_ptr(rbx)));
    loads(RAX, 0xfedc_ba98_7654_9110, |a| a.mov(ah, byte_ptr(rbx)));
    loads(RSI, 0xfedc_ba98_7654_3291, |a| a.mov(sil, byte_ptr(rbx)));
    loads(9, 0xfedc_ba98_7654_3291, |a| a.mov(r9b, byte_ptr(rbx)));
    loads(RCX, 0xfedc_ba98_7654_2291, |a| a.mov(cx, word_ptr(rbx)));
    loads(RCX, 0x4433_2291, |a| a.mov(ecx, dword_ptr(rbx)));
    loads(12, 0x4433_2291, |a| a.mov(r12d, dword_ptr(rbx)));
    loads(13, 0x8877_6655_4433_2291, |a| a.mov(r13, qword_ptr(rbx)));
    loads(RAX, 0x91, |a| a.movzx(eax, byte_ptr(rbx)));
    loads(RAX, 0x2291, |a| a.movzx(rax, word_ptr(rbx)));
    loads(RAX, 0xfedc_ba98_7654_0091, |a| a.movzx(ax, byte_ptr(rbx)));
    loads(RAX, 0xffff_ffff_ffff_ff91, |a| a.movsx(rax, byte_ptr(rbx)));
    loads(RAX, 0xffff_ff91, |a| a.movsx(eax, byte_ptr(rbx)));
    loads(RAX, 0xfedc_ba98_7654_ff91, |a| a.movsx(ax, byte_ptr(rbx)));
    loads(RAX, 0x2291, |a| a.movsx(eax, word_ptr(rbx)));
    loads(RDX, 0x4433_2291, |a| a.movsxd(rdx, dword_ptr(rbx)));
}

#[test]
fn a_store_is_as_wide_as_its_source() {
    let mut guest = Guest::new(Mode::Bits64);
    let mut stores = |width: Width, expected, assemble: fn(&mut CodeAssembler) -> _| {
        guest.device[0x20..0x28].fill(0x55);
        guest.cpu.general = [FULL; 16];
        guest.cpu.general[usize::from(RDX)] = WINDOW + 0x20;
        guest.accesses.clear();
        guest.does(0x20, Write, assemble);
        let addr = GuestPhysAddr(DEVICE + 0x20);
        let access = Access { space: Space::Mmio, addr, width, op: Op::Write(expected) };
        assert_eq!(guest.accesses, [access]);
    };
    stores(Width::B1, 0x10, |a| a.mov(byte_ptr(rdx), al));
    stores(Width::B1, 0x32, |a| a.mov(byte_ptr(rdx), bh));
    stores(Width::B2, 0x3210, |a| a.mov(word_ptr(rdx), cx));
    stores(Width::B4, 0x7654_3210, |a| a.mov(dword_ptr(rdx), ecx));
    stores(Width::B8, FULL, |a| a.mov(qword_ptr(rdx), r9));
    stores(Width::B8, FULL, |a| a.movnti(qword_ptr(rdx), rcx));
    stores(Width::B1, 0xfe, |a| a.mov(byte_ptr(rdx), 0xfe_u32 as i32));
    stores(Width::B2, 0xfffe, |a| a.mov(word_ptr(rdx), -2));
    stores(Width::B4, 0xffff_fffe, |a| a.mov(dword_ptr(rdx), -2));
    stores(Width::B8, 0xffff_ffff_ffff_fffe, |a| a.mov(qword_ptr(rdx), -2));
}

#[test]
fn addresses_are_made_of_base_index_scale_and_displacement() {
    let mut guest = Guest::new(Mode::Bits64);
    guest.cpu.segments[SegmentName::Gs as usize].base = WINDOW;
    guest.cpu.segments[SegmentName::Fs as usize].base = WINDOW.wrapping_sub(0x1_0000_0000);
    guest.cpu.segments[SegmentName::Ds as usize].base = 0x1234_5678;
    set(&mut guest, RBX, WINDOW + 0x100);
    set(&mut guest, RSI, 0x10);
    set(&mut guest, RCX, 0xffff_ffff_ffff_fff0);
    let mut reads = |offset, assemble: fn(&mut CodeAssembler) -> _| {
        guest.does(offset, Read, assemble);
        assert_eq!(general(&guest, RAX), guest.register(offset as usize, Width::B4));
    };
    reads(0x100, |a| a.mov(eax, dword_ptr(rbx)));
    reads(0xf8, |a| a.mov(eax, dword_ptr(rbx - 8)));
    reads(0x184, |a| a.mov(eax, dword_ptr(rbx + rsi * 8 + 4)));
    reads(0xc0, |a| a.mov(eax, dword_ptr(rbx + rcx * 4)));
    reads(0x30, |a| a.mov(eax, dword_ptr(rsi + (WINDOW as i32 + 0x20))));
    reads(0x80, |a| a.mov(eax, dword_ptr(rsi * 8 + WINDOW as i32)));
    reads(0x300, |a| a.mov(eax, dword_ptr(WINDOW + 0x300)));
    reads(0x10, |a| a.mov(eax, dword_ptr(rsi).gs()));
    reads(0x20, |a| a.mov(eax, dword_ptr(0x20).gs()));
    // An address of 32 bits: the sum is cut before the segment's base is added.
    reads(0xf0, |a| a.mov(eax, dword_ptr(ebx + ecx)));
    // 64 bits of address without any register.
    reads(0x28, |a| a.mov(eax, dword_ptr(0x1_0000_0028_u64).fs()));
}

#[test]
fn addresses_are_relative_to_the_next_instruction() {
    let mut guest = Guest::new(Mode::Bits64);
    // MOV EAX, [RIP + WINDOW - CODE + 0x40 - 6].
    let distance = (WINDOW + 0x40 - CODE - 6) as u32;
    let bytes = [&[0x8b, 5], &distance.to_le_bytes()[..]].concat();
    guest.ram.put(CODE, &bytes);
    guest.ram.put(CODE + 0x100, &bytes);
    assert_eq!(guest.exit(0x40, Read), Outcome::Done);
    assert_eq!(general(&guest, RAX), guest.register(0x40, Width::B4));
    guest.cpu.rip = CODE + 0x100;
    assert_eq!(guest.exit(0x140, Read), Outcome::Done);
    assert_eq!(general(&guest, RAX), guest.register(0x140, Width::B4));
}

#[test]
fn the_accumulator_has_addresses_of_its_own() {
    for mode in [Mode::Bits32, Mode::Bits64] {
        let base = if mode == Mode::Bits64 { WINDOW } else { DEVICE };
        let mut guest = Guest::new(mode);
        let bytes = base.to_le_bytes();
        let address = if mode == Mode::Bits64 { &bytes[..] } else { &bytes[..4] };
        guest.ram.put(CODE, &[&[0xa1], address].concat());
        assert_eq!(guest.exit(0, Read), Outcome::Done);
        assert_eq!(general(&guest, RAX), guest.register(0, Width::B4));
        guest.cpu.rip = CODE;
        guest.ram.put(CODE, &[&[0xa2], address].concat());
        set(&mut guest, RAX, 0x1ff);
        assert_eq!(guest.exit(0, Write), Outcome::Done);
        assert_eq!(guest.device[0], 0xff);
        assert_eq!(guest.cpu.rip, CODE + 1 + address.len() as u64);
    }
}

#[test]
fn protected_mode_adds_bases_and_cuts_at_32_bits() {
    let mut guest = Guest::new(Mode::Bits32);
    guest.cpu.segments[SegmentName::Gs as usize].base = 0xf000_0000;
    guest.cpu.segments[SegmentName::Cs as usize].base = 0x1000;
    set(&mut guest, RBX, 0xffff_ffff_fee0_0010);
    guest.does(0x10, Read, |a| a.mov(eax, dword_ptr(ebx)));
    assert_eq!(general(&guest, RAX), guest.register(0x10, Width::B4));
    guest.does(0x20, Write, |a| a.mov(word_ptr(ebx + 0x10), ax));
    // 0xf000_0000 + 0x0ee0_0000, and once around.
    set(&mut guest, RSI, 0xee0_0000 - 0x20);
    guest.does(0x40, Read, |a| a.mov(ecx, dword_ptr(esi + 0x60).gs()));
    assert_eq!(general(&guest, RCX), guest.register(0x40, Width::B4));
}

#[test]
fn compatibility_mode_is_32_bits_wide_with_tables_of_long_mode() {
    let mut guest = Guest::new(Mode::Bits64);
    let code = &mut guest.cpu.segments[SegmentName::Cs as usize];
    code.attributes ^= 3 << 9;
    assert_eq!(guest.size(), 32);
    set(&mut guest, RBX, 0x7_0000_0000 | WINDOW);
    guest.does(4, Read, |a| a.mov(eax, dword_ptr(ebx + 4)));
    assert_eq!(general(&guest, RAX), guest.register(4, Width::B4));
}

#[test]
fn real_mode_has_addresses_of_16_bits() {
    let mut guest = Guest::new(Mode::Bits16);
    set(&mut guest, RBX, 0xabcd_f000);
    set(&mut guest, RSI, 0x1010);
    guest.does(0x10, Read, |a| a.mov(ax, word_ptr(bx + si).fs()));
    assert_eq!(general(&guest, RAX), guest.register(0x10, Width::B2));
    guest.does(0x14, Read, |a| a.mov(eax, dword_ptr(bx + si + 4).fs()));
    assert_eq!(general(&guest, RAX), guest.register(0x14, Width::B4));
    guest.does(0x20, Write, |a| a.mov(byte_ptr(0x20).fs(), bl));
    assert_eq!(guest.device[0x20], 0);
    // With a prefix, addresses of 32 bits: what unreal mode is for.
    guest.cpu.segments[SegmentName::Fs as usize].base = 0;
    set(&mut guest, RSI, DEVICE + 0x30);
    guest.does(0x30, Read, |a| a.mov(dl, byte_ptr(esi).fs()));
    assert_eq!(general(&guest, RDX), guest.register(0x30, Width::B1));
}

#[test]
fn an_address_that_the_hardware_tells_is_not_walked() {
    let mut guest = Guest::new(Mode::Bits64);
    // Nothing is mapped at the address, any more.
    set(&mut guest, RDX, 0x123_4567_8008);
    guest.linear = Some(0x123_4567_8008);
    guest.does(8, Write, |a| a.mov(dword_ptr(rdx), eax));
    assert_eq!(guest.register(8, Width::B4), 0);
    guest.linear = Some(0x123_4567_9008);
    guest.assemble(|a| a.mov(dword_ptr(rdx), eax));
    assert_eq!(guest.exit(8, Write), Outcome::Retry);
}

#[test]
fn an_instruction_may_lie_across_pages() {
    let mut guest = Guest::new(Mode::Bits64);
    set(&mut guest, RDX, WINDOW);
    guest.cpu.rip = 0xafff;
    guest.does(0, Read, |a| a.mov(rdi, qword_ptr(rdx)));
    assert_eq!(general(&guest, 7), guest.register(0, Width::B8));
    // Nothing is mapped behind 0x40_0fff.
    for short in 1..10 {
        guest.cpu.rip = 0x40_1000 - short;
        let bytes = [0x48, 0x8b, 0x82, 0, 0, 0, 0];
        let page = RAM_BYTES as u64;
        let fits = (short as usize).min(bytes.len());
        guest.ram.put(page - short, &bytes[..fits]);
        let expected = if short < 7 { Outcome::Retry } else { Outcome::Done };
        assert_eq!(guest.exit(0, Read), expected, "{short}");
    }
}

#[test]
fn changed_code_is_seen_at_once() {
    let mut guest = Guest::new(Mode::Bits64);
    set(&mut guest, RDX, WINDOW);
    for round in 0..3 {
        guest.cpu.rip = CODE;
        guest.does(0, Read, |a| a.mov(rdi, qword_ptr(rdx)));
        guest.cpu.rip = CODE;
        guest.does(0, Write, |a| a.mov(dword_ptr(rdx), round));
        assert_eq!(guest.register(0, Width::B4), round as u64);
        // The same bytes are not the same instruction in code of another size.
        guest.ram.put(CODE, &[0x89, 0x02]);
        guest.cpu.rip = CODE;
        set(&mut guest, RAX, 0x1234_5678);
        assert_eq!(guest.exit(0, Write), Outcome::Done);
        assert_eq!(guest.register(0, Width::B4), 0x1234_5678);
    }
    let mut legacy = Guest::new(Mode::Bits32);
    legacy.emulator = guest.emulator;
    legacy.cpu.general[usize::from(RDX)] = DEVICE;
    legacy.ram.put(CODE, &[0x89, 0x02]);
    assert_eq!(legacy.exit(0, Write), Outcome::Done);
    legacy.cpu.set_mode(Mode::Bits16);
    legacy.cpu.segments[SegmentName::Ss as usize].base = DEVICE;
    legacy.cpu.rip = CODE;
    legacy.cpu.general[5] = 8;
    legacy.cpu.general[6] = 4;
    // MOV [BP+SI], AX.
    assert_eq!(legacy.exit(12, Write), Outcome::Done);
    assert_eq!(legacy.accesses.last().unwrap().width, Width::B2);
}

#[test]
fn the_stack_segment_goes_with_its_registers() {
    let mut guest = Guest::new(Mode::Bits16);
    guest.cpu.segments[SegmentName::Ss as usize].base = DEVICE;
    guest.cpu.general[5] = 0x40;
    guest.does(0x42, Read, |a| a.mov(di, word_ptr(bp + 2)));
    assert_eq!(general(&guest, 7), guest.register(0x42, Width::B2));
}
