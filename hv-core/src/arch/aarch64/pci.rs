//! PCI Express by the device tree: configuration space in memory (PCI Express base specification 5.0, 7.2.2), pins that are
//! interrupts of the GIC.

use super::boot;
use super::discovery::PciNode;
use super::mmu::map_device;
use super::virtio::Line;
use crate::device::Kind;
use crate::machine::Range;
use crate::pci::{Function, Message};

/// Configuration space of one bus.
const BUS_BYTES: u64 = 1 << 20;

fn node() -> Option<&'static PciNode> {
    boot::platform()?.pci.as_ref()
}

/// Makes the configuration space of a bus accessible. `false` if there is no such bus.
pub(crate) fn reach(bus: u8) -> bool {
    let Some(node) = node() else { return false };
    // Two buses at once, which one entry maps.
    let start = node.config.start + u64::from(bus & !1) * BUS_BYTES;
    let end = (start + 2 * BUS_BYTES).min(node.config.end);
    start + u64::from(bus & 1) * BUS_BYTES + BUS_BYTES <= end
        && map_device(Range { start, end }).is_ok()
}

fn offset(function: Function, register: u8) -> u64 {
    let Function { bus, device, function } = function;
    u64::from(bus) << 20
        | u64::from(device & 31) << 15
        | u64::from(function & 7) << 12
        | u64::from(register & !3)
}

/// Reads a register of configuration space, of a bus that can be reached.
pub(crate) fn read(function: Function, register: u8) -> u32 {
    node().map_or(u32::MAX, |node| node.config.device().read32(offset(function, register)))
}

/// Writes a register of configuration space, of a bus that can be reached.
pub(crate) fn write(function: Function, register: u8, value: u32) {
    if let Some(node) = node() {
        node.config.device().write32(offset(function, register), value);
    }
}

/// Where BARs can be that nobody has given a place.
pub(crate) fn free_window() -> Option<Range> {
    node()?.window
}

/// The interrupt of a pin, 1 to 4, of a device on the first bus.
pub(crate) fn line(function: Function, pin: u8) -> Option<Line> {
    if function.bus != 0 {
        return None;
    }
    node()?.interrupt(function.device, pin).map(Line)
}

/// What a device writes to interrupt by a message: pins are used instead.
pub(crate) fn message(_: Kind) -> Option<Message> {
    None
}
