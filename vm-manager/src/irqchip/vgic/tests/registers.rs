//! The registers: every offset and width has an answer, and the answers are the manual's.

use super::machine::Machine;
use crate::irqchip::vgic::{BadGeometry, Frame, MAX_SPIS, MAX_VCPUS, Version, Vgic};
use hv_core::arch::aarch64::list_register::Group;
use hv_core::guest::{Level, Width};
use proptest::prelude::{Just, any, prop_oneof, proptest};
use std::sync::Arc;

const WIDTHS: [Width; 4] = [Width::B1, Width::B2, Width::B4, Width::B8];

#[test]
fn a_geometry_that_no_gic_has_is_refused() {
    let new = |vcpus, spis| {
        let client = Arc::new(super::machine::Client::default());
        Vgic::new(Version::V3, vcpus, spis, client).err()
    };
    assert_eq!(new(0, 96), Some(BadGeometry::Vcpus(0)));
    assert_eq!(new(MAX_VCPUS + 1, 96), Some(BadGeometry::Vcpus(9)));
    assert_eq!(new(1, 33), Some(BadGeometry::Spis(33)));
    assert_eq!(new(1, 1024), Some(BadGeometry::Spis(1024)));
    assert_eq!(new(8, MAX_SPIS), None);
    assert_eq!(new(1, 0), None);
}

#[test]
fn every_access_has_an_answer_and_leaves_the_gic_working() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 2, 4);
        let frames = [
            Frame::Distributor,
            Frame::Redistributor(0),
            Frame::Redistributor(1),
            Frame::Redistributor(9),
        ];
        for frame in frames {
            for offset in (0..0x2_0100).chain(u64::MAX - 16..=u64::MAX) {
                for width in WIDTHS {
                    let value = machine.read(0, frame, offset, width);
                    assert_eq!(value & !width.ones(), 0, "{frame:?} {offset:#x} {width:?}");
                    machine.access(1, frame, offset, width, 0xa5a5_5a5a_ffff_0000);
                }
            }
        }
        for intid in 0..128 {
            machine.line(intid, Level::Low);
        }
        machine.vgic.reset();
        assert_eq!(machine.vgic.info().refused, 0);
    }
}

proptest! {
    #[test]
    fn random_writes_break_nothing(
        is_v2: bool,
        writes in proptest::collection::vec(
            (0..2_usize, prop_oneof![Just(Frame::Distributor), Just(Frame::Redistributor(0)),
                                     Just(Frame::Redistributor(1))],
             prop_oneof![0..0x1000_u64, 0x6000..0x6400_u64, 0x1_0000..0x1_0f00_u64],
             0..4_usize, any::<u64>(), any::<bool>()),
            1..200),
    ) {
        let version = if is_v2 { Version::V2 } else { Version::V3 };
        let mut machine = Machine::ready(version, 2, 4);
        for (vcpu, frame, offset, width, value, aligned) in writes {
            let width = WIDTHS[width];
            let offset = if aligned { offset & !(width.bytes() - 1) } else { offset };
            machine.access(vcpu, frame, offset, width, value);
            machine.read(vcpu, frame, offset, width);
            // `enter`, which this includes, panics when list registers are used wrongly.
            machine.acknowledge(0);
            machine.acknowledge(1);
            machine.end(0);
        }
    }
}

#[test]
fn identification_of_v3() {
    let mut machine = Machine::new(Version::V3, 3, 4);
    let mut word = |frame, offset| machine.read(0, frame, offset, Width::B4);
    assert_eq!(word(Frame::Distributor, 0x0), 0x50, "ARE and DS are always one");
    assert_eq!(word(Frame::Distributor, 0x4) & 0x1f, 3, "128 interrupts");
    assert_eq!(word(Frame::Distributor, 0x4) >> 19 & 0x1f, 9, "of ten bits");
    assert_eq!(word(Frame::Distributor, 0x4) & (1 << 10 | 1 << 17), 0, "one state, no LPIs");
    assert_eq!(word(Frame::Distributor, 0x8) & 0xfff, 0x43b);
    assert_eq!(word(Frame::Distributor, 0xc), 0);
    assert_eq!(word(Frame::Distributor, 0xffe8) >> 4 & 0xf, 3);
    assert_eq!(word(Frame::Distributor, 0xfff0), 0x0d);
    assert_eq!(word(Frame::Redistributor(0), 0xffe8) >> 4 & 0xf, 3);
    assert_eq!(word(Frame::Redistributor(2), 0x8), 2 << 8 | 1 << 4);
    assert_eq!(word(Frame::Redistributor(2), 0xc), 2);
    assert_eq!(word(Frame::Redistributor(1), 0x8), 1 << 8);
    let typer = machine.read(0, Frame::Redistributor(1), 0x8, Width::B8);
    assert_eq!(typer, 1 << 32 | 1 << 8);
}

#[test]
fn identification_of_v2() {
    let mut machine = Machine::new(Version::V2, 3, 4);
    let mut word = |offset| machine.read(0, Frame::Distributor, offset, Width::B4);
    assert_eq!(word(0x0), 0);
    assert_eq!(word(0x4), 2 << 5 | 3);
    assert_eq!(word(0xfe8) >> 4 & 0xf, 2);
    assert_eq!([word(0xff0), word(0xff4), word(0xff8), word(0xffc)], [0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!(machine.read(0, Frame::Redistributor(0), 0x8, Width::B8), 0);
    for vcpu in 0..3 {
        let mask = machine.read(vcpu, Frame::Distributor, 0x800, Width::B4);
        assert_eq!(mask, 0x0101_0101 << vcpu);
    }
}

#[test]
fn priorities_are_bytes_of_five_bits() {
    let mut machine = Machine::new(Version::V3, 2, 4);
    machine.access(0, Frame::Distributor, 0x429, Width::B1, 0xff);
    machine.access(0, Frame::Distributor, 0x42c, Width::B4, 0x8765_4321);
    machine.access(0, Frame::Distributor, 0x42c, Width::B2, 0xffff);
    assert_eq!(machine.read(0, Frame::Distributor, 0x428, Width::B4), 0xf800);
    assert_eq!(machine.read(0, Frame::Distributor, 0x42c, Width::B4), 0x8060_4020);
    assert_eq!(machine.read(0, Frame::Distributor, 0x42f, Width::B1), 0x80);
    // The private ones are in the redistributors.
    machine.access(0, Frame::Distributor, 0x41b, Width::B1, 0xf8);
    assert_eq!(machine.read(0, Frame::Distributor, 0x41b, Width::B1), 0);
    machine.access(0, Frame::Redistributor(1), 0x1_041b, Width::B1, 0xf8);
    assert_eq!(machine.read(1, Frame::Redistributor(1), 0x1_0418, Width::B4), 0xf8 << 24);
    assert_eq!(machine.read(1, Frame::Redistributor(0), 0x1_0418, Width::B4), 0);
}

#[test]
fn triggers_are_two_bits_of_which_one_counts_and_sgis_are_edges() {
    let mut machine = Machine::new(Version::V3, 1, 4);
    machine.write(0, 0xc08, 0xffff_fff5);
    assert_eq!(machine.read(0, Frame::Distributor, 0xc08, Width::B4), 0xaaaa_aaa0);
    machine.write(0, 0xc0c, 0x8000_0000);
    assert_eq!(machine.read(0, Frame::Distributor, 0xc0c, Width::B4), 0x8000_0000);
    machine.access(0, Frame::Redistributor(0), 0x1_0c00, Width::B4, 0);
    machine.access(0, Frame::Redistributor(0), 0x1_0c04, Width::B4, 2);
    assert_eq!(machine.read(0, Frame::Redistributor(0), 0x1_0c00, Width::B4), 0xaaaa_aaaa);
    assert_eq!(machine.read(0, Frame::Redistributor(0), 0x1_0c04, Width::B4), 2);
}

#[test]
fn routes_are_read_back_and_one_to_nowhere_delivers_nothing() {
    let mut machine = Machine::ready(Version::V3, 2, 4);
    let route = 0x6000 + 8 * 40;
    machine.access(0, Frame::Distributor, route, Width::B8, 0x12_8034_5601);
    assert_eq!(machine.read(0, Frame::Distributor, route, Width::B8), 0x34_5601);
    assert_eq!(machine.read(0, Frame::Distributor, route + 4, Width::B4), 0);
    machine.line(40, Level::High);
    assert_eq!((machine.acknowledge(0), machine.acknowledge(1)), (None, None));
    machine.access(0, Frame::Distributor, route, Width::B4, 1);
    assert_eq!((machine.acknowledge(0), machine.acknowledge(1)), (None, Some(40)));
}

#[test]
fn on_v2_the_first_of_several_targets_gets_an_spi_and_nobody_if_there_are_none() {
    let mut machine = Machine::ready(Version::V2, 4, 4);
    machine.access(0, Frame::Distributor, 0x828, Width::B4, 0xff0c_f000);
    assert_eq!(machine.read(0, Frame::Distributor, 0x828, Width::B4), 0x0f0c_0000);
    machine.line(42, Level::High);
    machine.line(41, Level::High);
    machine.line(40, Level::High);
    let taken = [0, 1, 2, 3].map(|vcpu| machine.acknowledge(vcpu));
    assert_eq!(taken, [None, None, Some(42), None]);
}

#[test]
fn on_v2_a_single_vcpu_gets_all_and_has_no_target_registers() {
    let mut machine = Machine::new(Version::V2, 1, 4);
    machine.write(0, 0, 1);
    machine.write(0, 0x828, 0);
    machine.enable(0, 1, 1 << 8);
    machine.line(40, Level::High);
    assert_eq!(machine.read(0, Frame::Distributor, 0x828, Width::B4), 0);
    assert_eq!(machine.acknowledge(0), Some(40));
}

#[test]
fn messages_are_edges_or_levels() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.set_edge(0, 50);
    machine.access(0, Frame::Distributor, 0x40, Width::B2, 50);
    assert_eq!(machine.handle_all(0, 9), [50]);
    machine.write(0, 0x40, 50);
    machine.write(0, 0x48, 50);
    assert_eq!(machine.handle_all(0, 9), [0_u32; 0]);
    machine.write(0, 0x40, 51);
    assert_eq!(machine.acknowledge(0), Some(51));
    machine.end(0);
    assert_eq!(machine.acknowledge(0), Some(51));
    machine.write(0, 0x48, 51);
    machine.end(0);
    assert_eq!(machine.acknowledge(0), None);
    machine.write(0, 0x40, 5);
    machine.write(0, 0x40, 1023);
    assert_eq!(machine.acknowledge(0), None);
}

#[test]
fn groups_reach_the_list_registers() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.line(40, Level::High);
    machine.enter(0);
    assert_eq!(machine.group(0), [Group::One]);
    machine.write_bits(0, 1, 0x080, 0);
    machine.enter(0);
    assert_eq!(machine.group(0), [Group::Zero]);
    machine.write(0, 0, 2);
    machine.enter(0);
    assert_eq!(machine.group(0), []);
    let mut machine = Machine::ready(Version::V2, 2, 4);
    machine.send(0, 1, 3);
    assert_eq!(machine.group(0), [Group::Zero]);
}

#[test]
fn a_redistributor_wakes_when_told() {
    let mut machine = Machine::new(Version::V3, 2, 4);
    let waker = Frame::Redistributor(1);
    assert_eq!(machine.read(1, waker, 0x14, Width::B4), 6);
    machine.access(1, waker, 0x14, Width::B4, 0);
    assert_eq!(machine.read(1, waker, 0x14, Width::B4), 0);
    assert_eq!(machine.read(1, Frame::Redistributor(0), 0x14, Width::B4), 6);
}

#[test]
fn the_last_bank_ends_with_the_last_number() {
    let client = Arc::new(super::machine::Client::default());
    let vgic = Vgic::new(Version::V3, 1, MAX_SPIS, client).unwrap();
    let mut machine = Machine::new(Version::V3, 1, 4);
    machine.vgic = vgic;
    assert_eq!(machine.read(0, Frame::Distributor, 4, Width::B4) & 0x1f, 31);
    for base in [0x100, 0x200, 0x300] {
        machine.write_bits(0, 31, base, u32::MAX);
        assert_eq!(machine.read_bits(0, 31, base), 0x0fff_ffff);
    }
    machine.access(0, Frame::Distributor, 0x7fc, Width::B4, u64::MAX);
    assert_eq!(machine.read(0, Frame::Distributor, 0x7fc, Width::B4), 0);
}

#[test]
fn reset_returns_to_power_on() {
    let mut machine = Machine::ready(Version::V3, 2, 4);
    let fresh = Machine::new(Version::V3, 2, 4).vgic.info();
    assert_ne!(machine.vgic.info(), fresh);
    machine.line(40, Level::High);
    machine.send(0, 2, 5);
    machine.acknowledge(0);
    machine.enter(1);
    let info = machine.vgic.info();
    assert_eq!(info.forwards, [true, true]);
    assert_eq!((info.shared.pending, info.cpus[1].private.pending), (1, 1));
    machine.migrate(0);
    machine.migrate(1);
    machine.vgic.reset();
    assert_eq!(machine.vgic.info(), fresh);
    assert!(!machine.vgic.has_pending(0, None));
}
