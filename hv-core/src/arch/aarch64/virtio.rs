//! Where the host may have virtio devices outside of PCI, and the interrupts of those that we drive.

use super::discovery::Interrupt;
use super::{boot, gic};
use crate::machine::Range;
use crate::pci::Acknowledge;
use crate::sync::Mutex;
use alloc::vec::Vec;

/// How a device tells of what it has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line(pub(super) Interrupt);

/// The interrupts that devices of ours may share, and how each device is told that its own was seen.
static LISTENERS: Mutex<Vec<(u32, Acknowledge)>> = Mutex::new(Vec::new());

/// The windows in which there may be a device, in the order of their addresses.
pub(crate) fn windows() -> Vec<(Range, Option<Line>)> {
    let nodes = boot::platform().into_iter().flat_map(|platform| platform.virtio.iter().flatten());
    let mut windows: Vec<_> =
        nodes.map(|node| (node.registers, node.interrupt.map(Line))).collect();
    windows.sort_by_key(|(registers, _)| registers.start);
    windows
}

/// Has the interrupt come to the CPU that runs this.
pub(crate) fn listen(line: Line, acknowledge: Acknowledge) {
    LISTENERS.lock().push((line.0.intid, acknowledge));
    if let Some(gic) = gic::get() {
        gic.enable_shared(line.0);
    }
}

/// Tells the devices of this interrupt that it was seen, so that they take it back. `false` if it is not one of theirs.
pub(super) fn acknowledge(intid: u32) -> bool {
    let listeners = LISTENERS.lock();
    let mut is_ours = false;
    for (_, acknowledge) in listeners.iter().filter(|(listener, _)| *listener == intid) {
        acknowledge.perform();
        is_ours = true;
    }
    is_ours
}
