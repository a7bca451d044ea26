use super::*;
use hv_core::arch::x86_64::event::EventKind;
use hv_core::arch::x86_64::exit::Direction::{Read, Write};
use hv_core::arch::x86_64::exit::Repeat;
use hv_core::arch::x86_64::register::general::{RAX, RCX, RDI, RSI};
use proptest::prelude::*;

const BUFFER: u64 = 0x1_0000;

/// A guest whose RSI, RDI and RCX are these, and whose RAM holds a pattern at [`BUFFER`].
fn guest(mode: Mode, source: u64, destination: u64, count: u64) -> Guest {
    let mut guest = Guest::new(mode);
    guest.cpu.general[usize::from(RSI)] = source;
    guest.cpu.general[usize::from(RDI)] = destination;
    guest.cpu.general[usize::from(RCX)] = count;
    for index in 0..0x2000 {
        guest.ram.put(BUFFER - 0x1000 + index, &[(index * 3 + 1) as u8]);
    }
    guest
}

fn registers(guest: &Guest) -> [u64; 3] {
    [RSI, RDI, RCX].map(|register| guest.cpu.general[usize::from(register)])
}

fn page_fault(error_code: u32) -> Outcome {
    let kind = EventKind::Exception;
    Outcome::Fault(Event { vector: 14, kind, error_code: Some(error_code) })
}

#[test]
fn an_element_goes_from_ram_to_the_device_and_back() {
    let mut out = guest(Mode::Bits64, BUFFER, WINDOW + 0x10, 9);
    out.does(0x10, Write, |a| a.movsd());
    assert_eq!(out.device[0x10..0x14], out.ram.get::<4>(BUFFER));
    assert_eq!(registers(&out), [BUFFER + 4, WINDOW + 0x14, 9]);
    let mut back = guest(Mode::Bits64, WINDOW + 0x10, BUFFER, 9);
    back.does(0x10, Read, |a| a.movsq());
    assert_eq!(back.ram.get::<8>(BUFFER), back.device[0x10..0x18]);
    assert_eq!(registers(&back), [WINDOW + 0x18, BUFFER + 8, 9]);
    let mut within = guest(Mode::Bits64, WINDOW + 0x10, WINDOW + 0x20, 9);
    within.does(0x10, Read, |a| a.movsb());
    assert_eq!(within.device[0x20], within.device[0x10]);
    assert_eq!(within.accesses.len(), 2);
}

#[test]
fn a_repeated_move_goes_on_to_its_end() {
    let mut guest = guest(Mode::Bits64, BUFFER, WINDOW + 0x100, 64);
    guest.does(0x100, Write, |a| a.rep().movsw());
    assert_eq!(guest.device[0x100..0x180], guest.ram.get::<128>(BUFFER));
    assert_eq!(registers(&guest), [BUFFER + 128, WINDOW + 0x180, 0]);
    assert_eq!(guest.accesses.len(), 64);
}

#[test]
fn a_string_may_go_down() {
    let mut guest = guest(Mode::Bits64, WINDOW + 0x40, BUFFER, 4);
    guest.cpu.rflags |= flags::DF;
    guest.does(0x40, Read, |a| a.rep().movsd());
    assert_eq!(guest.ram.get::<16>(BUFFER - 12), guest.device[0x34..0x44]);
    assert_eq!(registers(&guest), [WINDOW + 0x30, BUFFER - 16, 0]);
}

#[test]
fn one_exit_does_a_part_of_a_long_string() {
    let mut guest = guest(Mode::Bits64, 0, WINDOW, 1000);
    guest.cpu.general[usize::from(RAX)] = 0x99;
    guest.assemble(|a| a.rep().stosb());
    let mut exits = 0;
    while guest.cpu.rip == CODE {
        let done = guest.accesses.len() as u64;
        assert_eq!(registers(&guest), [0, WINDOW + done, 1000 - done]);
        assert_eq!(guest.exit(done, Write), Outcome::Done);
        exits += 1;
    }
    assert_eq!(exits, 4);
    assert_eq!(guest.device[..1000], [0x99; 1000]);
    assert_ne!(guest.device[1000], 0x99);
    assert_eq!(guest.accesses.len(), 1000);
}

#[test]
fn a_single_step_is_one_element() {
    let mut guest = guest(Mode::Bits64, 0, WINDOW, 3);
    guest.cpu.rflags |= flags::TF;
    let length = guest.assemble(|a| a.rep().stosd());
    for left in [2, 1, 0] {
        let done = guest.exit(4 * (2 - left), Write);
        assert!(matches!(done, Outcome::Fault(Event { vector: 1, .. })));
        assert_eq!(guest.cpu.general[usize::from(RCX)], left);
        assert_eq!(guest.cpu.rip, CODE + if left == 0 { length } else { 0 });
    }
}

#[test]
fn a_load_leaves_what_it_does_not_reach() {
    let mut guest = guest(Mode::Bits64, WINDOW + 8, 0, 3);
    guest.cpu.general[usize::from(RAX)] = u64::MAX;
    guest.does(8, Read, |a| a.lodsw());
    let loaded = guest.register(8, Width::B2);
    assert_eq!(guest.cpu.general[usize::from(RAX)], u64::MAX << 16 | loaded);
    assert_eq!(registers(&guest), [WINDOW + 10, 0, 3]);
    guest.does(10, Read, |a| a.rep().lodsd());
    assert_eq!(guest.cpu.general[usize::from(RAX)], guest.register(18, Width::B4));
}

#[test]
fn ram_may_be_used_across_pages() {
    let mut out = guest(Mode::Bits64, BUFFER - 2, WINDOW, 3);
    out.does(0, Write, |a| a.rep().movsd());
    assert_eq!(out.device[..12], out.ram.get::<12>(BUFFER - 2));
    let mut back = guest(Mode::Bits64, WINDOW, BUFFER - 1, 3);
    back.does(0, Read, |a| a.rep().movsq());
    assert_eq!(back.ram.get::<24>(BUFFER - 1), back.device[..24]);
}

#[test]
fn a_fault_stops_a_string_where_it_happens() {
    // 0x40_0000 is the last page of RAM; behind it nothing is mapped.
    let mut guest = guest(Mode::Bits64, WINDOW, 0x40_0ff0, 9);
    guest.assemble(|a| a.rep().movsd());
    assert_eq!(guest.exit(0, Read), page_fault(2));
    assert_eq!(guest.cpu.system(SystemRegister::Cr2), 0x40_1000);
    assert_eq!(registers(&guest), [WINDOW + 16, 0x40_1000, 5]);
    assert_eq!(guest.cpu.rip, CODE);
    assert_eq!(guest.accesses.len(), 4);
    // It is the byte behind the page that cannot be reached.
    guest.cpu.general[usize::from(RDI)] = 0x40_0ffe;
    guest.cpu.set_privilege(3);
    assert_eq!(guest.exit(16, Read), page_fault(6));
    assert_eq!(guest.cpu.system(SystemRegister::Cr2), 0x40_1000);
    assert_eq!(guest.accesses.len(), 4);
}

#[test]
fn a_source_that_is_not_canonical_is_a_general_protection_fault() {
    let mut guest = guest(Mode::Bits64, 1 << 60, WINDOW, 9);
    guest.assemble(|a| a.rep().movsd());
    assert_eq!(guest.exit(0, Write), Outcome::Fault(Event::PROTECTION));
    assert!(guest.accesses.is_empty());
}

#[test]
fn segments_end() {
    let mut guest = guest(Mode::Bits32, DEVICE, BUFFER, 4);
    guest.cpu.segments[SegmentName::Es as usize].limit = BUFFER as u32 + 6;
    guest.assemble(|a| a.rep().movsd());
    assert_eq!(guest.exit(0, Read), Outcome::Fault(Event::PROTECTION));
    assert_eq!(registers(&guest), [DEVICE + 4, BUFFER + 4, 3]);
    // Expand-down: only what is above the limit.
    let es = &mut guest.cpu.segments[SegmentName::Es as usize];
    es.attributes |= 1 << 2;
    es.limit = BUFFER as u32 + 3;
    guest.cpu.general[usize::from(RCX)] = 1;
    assert_eq!(guest.exit(4, Read), Outcome::Done);
    guest.cpu.rip = CODE;
    guest.cpu.general[usize::from(RCX)] = 1;
    guest.cpu.general[usize::from(RDI)] = BUFFER + 3;
    assert_eq!(guest.exit(8, Read), Outcome::Fault(Event::PROTECTION));
    // Not present, as a null selector leaves it.
    guest.cpu.segments[SegmentName::Es as usize].attributes = 0;
    assert_eq!(guest.exit(8, Read), Outcome::Fault(Event::PROTECTION));
    // The stack has a fault of its own.
    guest.cpu.segments[SegmentName::Ss as usize].limit = 0xff;
    guest.cpu.general[usize::from(RDI)] = DEVICE;
    guest.cpu.general[usize::from(RSI)] = 0x100;
    guest.cpu.segments[SegmentName::Es as usize] = guest.cpu.segments[SegmentName::Ds as usize];
    guest.ram.put(CODE, &[0x36, 0xa5]);
    let stack = Event { vector: 12, ..Event::PROTECTION };
    assert_eq!(guest.exit(0, Write), Outcome::Fault(stack));
}

#[test]
fn addresses_and_counts_are_as_wide_as_the_prefix_says() {
    let high = 0xabcd_0000_0000_0000;
    let mut guest = guest(Mode::Bits64, high | BUFFER, high | WINDOW, high | 2);
    // ADDR32 REP MOVSD.
    guest.ram.put(CODE, &[0x67, 0xf3, 0xa5]);
    assert_eq!(guest.exit(0, Write), Outcome::Done);
    assert_eq!(guest.cpu.rip, CODE + 3);
    assert_eq!(registers(&guest), [BUFFER + 8, WINDOW + 8, 0]);
    let mut real = self::guest(Mode::Bits16, 0xffff_fffe, 0xffff_0100, 0xffff_0003);
    real.cpu.segments[SegmentName::Es as usize].base = DEVICE;
    real.cpu.segments[SegmentName::Ds as usize].base = BUFFER - 0xfffe;
    real.assemble(|a| a.rep().movsw());
    // SI wraps around in its segment.
    real.cpu.segments[SegmentName::Ds as usize].base = 0x2_0000;
    real.ram.put(0x2_fffe, &[1, 2]);
    real.ram.put(0x2_0000, &[3, 4, 5, 6]);
    assert_eq!(real.exit(0x100, Write), Outcome::Done);
    assert_eq!(real.device[0x100..0x106], [1, 2, 3, 4, 5, 6]);
    assert_eq!(registers(&real), [0xffff_0004, 0xffff_0106, 0xffff_0000]);
}

#[test]
fn a_source_may_be_in_any_segment_and_a_destination_in_one() {
    let mut guest = guest(Mode::Bits64, BUFFER, WINDOW, 2);
    guest.cpu.segments[SegmentName::Gs as usize].base = 0x100;
    guest.cpu.segments[SegmentName::Es as usize].base = 0x100;
    guest.ram.put(CODE, &[0x65, 0xa5]);
    assert_eq!(guest.exit(0, Write), Outcome::Done);
    assert_eq!(guest.device[..4], guest.ram.get::<4>(BUFFER + 0x100));
}

fn port(width: Width, direction: Direction, repeat: Repeat) -> StringPort {
    StringPort { port: 0x1f0, width, direction, repeat, address_width: None, segment: None }
}

#[test]
fn strings_come_from_ports() {
    let mut guest = guest(Mode::Bits64, 0, BUFFER, 3);
    let length = guest.assemble(|a| a.rep().insw());
    assert_eq!(guest.string_port(port(Width::B2, Read, Repeat::Counted)), Outcome::Done);
    assert_eq!(guest.ram.get::<6>(BUFFER), [0x78, 0x56, 0x79, 0x56, 0x7a, 0x56]);
    assert_eq!(registers(&guest), [0, BUFFER + 6, 0]);
    assert_eq!(guest.cpu.rip, CODE + length);
    let addr = GuestPhysAddr(0x1f0);
    let read = Access { space: Space::Port, addr, width: Width::B2, op: Op::Read };
    assert_eq!(guest.accesses, [read; 3]);
}

#[test]
fn strings_go_to_ports() {
    let mut guest = guest(Mode::Bits32, BUFFER, 0, 3);
    guest.cpu.segments[SegmentName::Cs as usize].base = 0x10;
    guest.cpu.rflags |= flags::DF;
    // CS OUTSD.
    guest.ram.put(CODE + 0x10, &[0x2e, 0x6f]);
    assert_eq!(guest.string_port(port(Width::B4, Write, Repeat::Once)), Outcome::Done);
    let value = u32::from_le_bytes(guest.ram.get(BUFFER + 0x10));
    let addr = GuestPhysAddr(0x1f0);
    let op = Op::Write(value.into());
    assert_eq!(guest.accesses, [Access { space: Space::Port, addr, width: Width::B4, op }]);
    assert_eq!(registers(&guest), [BUFFER - 4, 0, 3]);
    assert_eq!(guest.cpu.rip, CODE + 2);
}

#[test]
fn a_port_is_not_read_for_a_destination_that_cannot_be_written() {
    let mut guest = guest(Mode::Bits64, 0, 0x40_0ffc, 3);
    guest.assemble(|a| a.rep().insd());
    assert_eq!(guest.string_port(port(Width::B4, Read, Repeat::Counted)), page_fault(2));
    assert_eq!(guest.accesses.len(), 1);
    assert_eq!(registers(&guest), [0, 0x40_1000, 2]);
    // A device is as good as RAM.
    guest.cpu.general[usize::from(RDI)] = WINDOW;
    assert_eq!(guest.string_port(port(Width::B4, Read, Repeat::Counted)), Outcome::Done);
    assert_eq!(guest.register(4, Width::B4), 0x1234_567a);
}

#[test]
fn a_string_that_is_not_the_one_of_the_exit_is_tried_again() {
    let mut guest = guest(Mode::Bits64, BUFFER, BUFFER, 3);
    guest.assemble(|a| a.rep().insd());
    for other in [
        port(Width::B4, Write, Repeat::Counted),
        port(Width::B2, Read, Repeat::Counted),
        port(Width::B4, Read, Repeat::Once),
    ] {
        assert_eq!(guest.string_port(other), Outcome::Retry);
    }
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    guest.assemble(|a| a.rep().movsd());
    assert_eq!(guest.string_port(port(Width::B4, Read, Repeat::Counted)), Outcome::Retry);
    // Both of its operands are RAM.
    assert_eq!(guest.exit(0, Write), Outcome::Retry);
    assert!(guest.accesses.is_empty());
    assert_eq!(registers(&guest), [BUFFER, BUFFER, 3]);
}

proptest! {
    #[test]
    fn a_string_moves_what_a_loop_would(
        count in 0_u64..300, source in 0_u64..0x200, destination in 0_u64..0x200, is_down: bool,
    ) {
        let (source, destination) = (BUFFER + source, WINDOW + 0x400 + destination);
        let mut guest = guest(Mode::Bits64, source, destination, count);
        if is_down {
            guest.cpu.rflags |= flags::DF;
        }
        let length = guest.assemble(|a| a.rep().movsw());
        let mut expected = guest.device;
        let step = if is_down { 2_u64.wrapping_neg() } else { 2 };
        for element in 0..count {
            let moved = step.wrapping_mul(element);
            let at = (destination - WINDOW).wrapping_add(moved) as usize;
            expected[at..at + 2].copy_from_slice(&guest.ram.get::<2>(source.wrapping_add(moved)));
        }
        for _ in 0..2 {
            if guest.cpu.rip == CODE {
                let at = guest.cpu.general[usize::from(RDI)] - WINDOW;
                prop_assert_eq!(guest.exit(at, Write), Outcome::Done);
            }
        }
        prop_assert_eq!(guest.cpu.rip, CODE + length);
        let moved = step.wrapping_mul(count);
        let ends = [source.wrapping_add(moved), destination.wrapping_add(moved), 0];
        prop_assert_eq!(registers(&guest), ends);
        prop_assert_eq!(guest.device.to_vec(), expected.to_vec());
    }
}
