//! Where the host may have virtio devices outside of PCI, and the interrupts of those that we drive.

use super::discovery::Interrupt;
use super::{boot, gic};
use crate::device::Kind;
use crate::machine::{HostEvent, Range};
use crate::pci::Acknowledge;
use crate::sync::Mutex;
use alloc::vec::Vec;

/// How a device tells of what it has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line(pub(super) Interrupt);

/// The interrupts that devices of ours may share, how each device is told that its own was seen, and what it is.
static LISTENERS: Mutex<Vec<(u32, Acknowledge, Kind)>> = Mutex::new(Vec::new());

/// The windows in which there may be a device, in the order of their addresses.
pub(crate) fn windows() -> Vec<(Range, Option<Line>)> {
    let nodes = boot::platform().into_iter().flat_map(|platform| platform.virtio.iter().flatten());
    let mut windows: Vec<_> =
        nodes.map(|node| (node.registers, node.interrupt.map(Line))).collect();
    windows.sort_by_key(|(registers, _)| registers.start);
    windows
}

/// Has the interrupt come to the CPU that runs this.
pub(crate) fn listen(line: Line, acknowledge: Acknowledge, kind: Kind) {
    LISTENERS.lock().push((line.0.intid, acknowledge, kind));
    if let Some(gic) = gic::get() {
        gic.enable_shared(line.0);
    }
}

/// Tells the devices of this interrupt that it was seen, so that they take it back. `None` if it is not one of theirs. A card
/// that shares it with disks is what it means then: who looks after cards looks after disks as well.
pub(super) fn acknowledge(intid: u32) -> Option<HostEvent> {
    let listeners = LISTENERS.lock();
    let mut event = None;
    for (_, acknowledge, kind) in listeners.iter().filter(|(listener, ..)| *listener == intid) {
        acknowledge.perform();
        if event != Some(HostEvent::Network) {
            event = Some(kind.event());
        }
    }
    event
}
