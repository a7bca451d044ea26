//! Where the host may have virtio devices outside of PCI: nowhere. Interrupts are messages, which ask for nothing here.

use crate::device::Kind;
use crate::machine::Range;
use crate::pci::Acknowledge;
use alloc::vec::Vec;

/// How a device tells of what it has done: there is no other way than messages.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line {}

/// The windows in which there may be a device.
pub(crate) fn windows() -> Vec<(Range, Option<Line>)> {
    Vec::new()
}

/// Has the interrupt come to the CPU that runs this.
pub(crate) fn listen(line: Line, _: Acknowledge, _: Kind) {
    match line {}
}
