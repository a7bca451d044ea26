//! Accesses to emulated devices.

use guest::arch::lapic::{self, Mode};
use guest::arch::{ioapic, port};
use guest::board::Board;
use guest::println;

use crate::batch::measure;

/// The mask of the first 8259.
const PIC_MASK: u16 = 0x21;
/// The CMOS clock's index.
const CMOS_INDEX: u16 = 0x70;

pub(super) fn port_read(_: &'static Board, name: &str) {
    measure(name, || {
        port::read8(PIC_MASK);
    });
}

pub(super) fn port_write(_: &'static Board, name: &str) {
    measure(name, || port::write8(CMOS_INDEX, 0));
}

/// The local APIC's version, by its page.
pub(super) fn lapic_read(_: &'static Board, name: &str) {
    if is_page(name) {
        measure(name, || {
            lapic::page().read32(lapic::VERSION.0);
        });
    }
}

/// The local APIC's timer is told by what to divide.
pub(super) fn lapic_write(_: &'static Board, name: &str) {
    if is_page(name) {
        measure(name, || lapic::page().write32(lapic::TIMER_DIVIDE.0, lapic::DIVIDE_BY_1));
    }
}

fn is_page(name: &str) -> bool {
    let is_page = lapic::mode() == Mode::Page;
    if !is_page {
        println!("probe: info {name} needs apic=x");
    }
    is_page
}

pub(super) fn ioapic_read(_: &'static Board, name: &str) {
    if let Some(ioapic) = ioapic::registers() {
        measure(name, || {
            ioapic.read32(ioapic::SELECT);
        });
    }
}

pub(super) fn ioapic_write(_: &'static Board, name: &str) {
    if let Some(ioapic) = ioapic::registers() {
        measure(name, || ioapic.write32(ioapic::SELECT, 0));
    }
}
