//! Which mode the APIC is in, and what each has.

use super::machine::{
    CURRENT, DFR, ESR, ICR, ID, IRR, LDR, LVT_LINT0, LVT_TIMER, Machine, SVR, TPR,
};
use crate::irqchip::apic_message::{Delivery, Destination, Message, Trigger};
use crate::irqchip::lapic::{GeneralProtection, Mode};
use hv_core::guest::{GuestPhysAddr, Width};
use hv_core::time::Instant;
use proptest::prelude::*;

#[test]
fn after_power_on_it_is_as_the_manual_says() {
    let mut machine = Machine::new(2);
    assert_eq!(machine.apics[0].base(), 0xfee0_0900);
    assert_eq!(machine.apics[1].base(), 0xfee0_0800);
    assert_eq!(machine.apics[1].page(), Some(GuestPhysAddr(0xfee0_0000)));
    for (register, value) in [
        (ID, 1 << 24),
        (0x30, 0x0105_0014),
        (TPR, 0),
        (LDR, 0),
        (DFR, 0xffff_ffff),
        (SVR, 0xff),
        (IRR, 0),
        (ESR, 0),
        (ICR, 0),
        (LVT_TIMER, 0x1_0000),
        (LVT_LINT0, 0x1_0000),
        (CURRENT, 0),
    ] {
        assert_eq!(machine.read(1, register), value, "{register:#x}");
    }
}

#[test]
fn only_the_manuals_changes_of_mode_are_possible() {
    const MODES: [(u64, Mode); 3] =
        [(0, Mode::Disabled), (0x800, Mode::XApic), (0xc00, Mode::X2Apic)];
    for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))) {
        let mut machine = Machine::new(1);
        let apic = &mut machine.apics[0];
        for step in [0x800, MODES[from].0] {
            apic.set_base(0xfee0_0000 | step).unwrap();
        }
        assert_eq!(apic.mode(), MODES[from].1);
        let is_forbidden = matches!((from, to), (0, 2) | (2, 1));
        let result = apic.set_base(0xfee0_0000 | MODES[to].0);
        assert_eq!(result.is_err(), is_forbidden, "{from} to {to}");
        assert_eq!(apic.mode(), if is_forbidden { MODES[from].1 } else { MODES[to].1 });
        assert_eq!(apic.set_base(0xfee0_0400), Err(GeneralProtection), "x2APIC without enable");
        assert_eq!(apic.set_base(apic.base() | 1), Err(GeneralProtection));
        assert_eq!(apic.set_base(apic.base() | 1 << 63), Err(GeneralProtection));
    }
}

#[test]
fn disabling_it_forgets_all_and_the_page_is_gone() {
    let mut machine = Machine::enabled(1);
    machine.write(0, TPR, 0x50);
    machine.send(0, 0, 0x40f0);
    machine.apics[0].set_base(0xfee0_0100).unwrap();
    assert_eq!((machine.read(0, TPR), machine.apics[0].page()), (u32::MAX, None));
    assert_eq!(machine.take(0), None);
    machine.apics[0].set_base(0xfee0_0900).unwrap();
    assert_eq!((machine.read(0, TPR), machine.read(0, SVR)), (0, 0xff));
}

#[test]
fn the_page_moves_with_its_base() {
    let mut machine = Machine::enabled(1);
    machine.apics[0].set_base(0xfed0_0900).unwrap();
    assert_eq!(machine.apics[0].page(), Some(GuestPhysAddr(0xfed0_0000)));
    assert_eq!(machine.read(0, SVR), 0x1ff);
}

#[test]
fn switching_to_x2apic_keeps_what_is_under_way() {
    let mut machine = Machine::enabled(2);
    machine.send(0, 1, 0x40f0);
    let base = machine.apics[1].base();
    machine.apics[1].set_base(base | 0x400).unwrap();
    assert_eq!((machine.read_msr(1, 0x802), machine.read_msr(1, 0x80f)), (1, 0x1ff));
    assert_eq!(machine.drain(1), [0xf0]);
    assert_eq!(machine.read(1, SVR), u32::MAX, "no page any more");
}

#[test]
fn each_x2apic_register_may_be_read_or_written_as_the_manual_says() {
    let mut machine = Machine::x2apic(1);
    let readable: Vec<u32> =
        (0x800..0x900).filter(|&msr| machine.apics[0].read_msr(msr, Instant(0)).is_ok()).collect();
    let expected: Vec<u32> = [0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f]
        .into_iter()
        .chain(0x810..=0x828)
        .chain([0x830])
        .chain(0x832..=0x839)
        .chain([0x83e])
        .collect();
    assert_eq!(readable, expected);
    let writable: Vec<u32> = (0x800..0x900)
        .filter(|&msr| machine.apics[0].write_msr(msr, 0, Instant(0)).is_ok())
        .collect();
    let expected: Vec<u32> = [0x808, 0x80b, 0x80f, 0x828, 0x830]
        .into_iter()
        .chain(0x832..=0x838)
        .chain([0x83e, 0x83f])
        .collect();
    assert_eq!(writable, expected);
}

#[test]
fn a_reserved_bit_changes_nothing() {
    let mut machine = Machine::x2apic(1);
    for (msr, value) in [
        (0x808, 0x100),
        (0x80b, 1),
        (0x80f, 0x1_01ff),
        (0x828, 1),
        (0x830, 0x1000),
        (0x832, 0x100),
        (0x835, 0x2_0000),
        (0x838, 1 << 32),
        (0x83e, 4),
        (0x83f, 0x100),
    ] {
        assert_eq!(machine.apics[0].write_msr(msr, value, Instant(0)), Err(GeneralProtection));
    }
    assert_eq!(machine.read_msr(0, 0x80f), 0x1ff);
}

#[test]
fn without_x2apic_there_are_no_msrs() {
    let mut machine = Machine::enabled(1);
    for msr in 0..0x1000 {
        assert!(machine.apics[0].read_msr(msr, Instant(0)).is_err());
        assert!(machine.apics[0].write_msr(msr, 0, Instant(0)).is_err());
    }
}

#[test]
fn software_disabled_it_masks_its_local_vectors_and_takes_no_others() {
    let mut machine = Machine::enabled(1);
    machine.write(0, LVT_TIMER, 0x30);
    machine.send(0, 0, 0x40f0);
    machine.write(0, SVR, 0x0ff);
    assert_eq!(machine.read(0, LVT_TIMER), 0x1_0030);
    machine.write(0, LVT_TIMER, 0x30);
    assert_eq!(machine.read(0, LVT_TIMER), 0x1_0030, "it stays masked");
    machine.send(0, 0, 0x40f1);
    assert_eq!(machine.drain(0), [0xf0], "what waited before is still there");
}

#[test]
fn init_keeps_id_and_mode() {
    let mut machine = Machine::enabled(2);
    machine.write(1, ID, 9 << 24);
    machine.send(0, 9, 0x40f0);
    machine.apics[1].init();
    assert_eq!((machine.read(1, ID), machine.read(1, SVR), machine.take(1)), (9 << 24, 0xff, None));
    machine.apics[1].reset();
    assert_eq!(machine.read(1, ID), 1 << 24);
}

#[test]
fn narrow_writes_are_ignored_and_bytes_are_read_from_their_lane() {
    let mut machine = Machine::enabled(1);
    for width in [Width::B1, Width::B2] {
        let _ = machine.apics[0].write_page(TPR, width, 0x40, Instant(0));
    }
    assert_eq!(machine.read(0, TPR), 0x10);
    assert_eq!(machine.apics[0].read_page(0x31, Width::B1, Instant(0)), 0x00);
    assert_eq!(machine.apics[0].read_page(0x32, Width::B2, Instant(0)), 0x0105);
    assert_eq!(machine.apics[0].read_page(0x34, Width::B4, Instant(0)), 0);
}

proptest! {
    #[test]
    fn every_access_is_answered(
        is_x2apic: bool,
        steps in proptest::collection::vec((0..6u8, 0..0x100u32, any::<u64>()), 0..150),
    ) {
        let mut machine = if is_x2apic { Machine::x2apic(2) } else { Machine::enabled(2) };
        for (step, number, value) in steps {
            let now = machine.now;
            let apic = &mut machine.apics[0];
            match step {
                0 => { apic.read_page(u64::from(number) << 4 | value & 0xf, Width::B8, now); }
                1 => { let _ = apic.write_page(u64::from(number) << 4, Width::B4, value, now); }
                2 => { let _ = apic.read_msr(0x800 + number, now); }
                3 => { let _ = apic.write_msr(0x800 + number, value, now); }
                4 => {
                    machine.deliver(&Message {
                        destination: Destination::Broadcast,
                        delivery: Delivery::Fixed,
                        vector: value as u8,
                        trigger: if number & 1 == 0 { Trigger::Edge } else { Trigger::Level },
                    });
                }
                _ => machine.now = Instant(now.0 + value % 1_000_000_000_000),
            }
            machine.take(0);
        }
    }
}
