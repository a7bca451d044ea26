//! The virtio devices of a VM: made here of what its configuration says, since the machines of guests and the devices do not
//! know each other.

mod balloon;
mod console;
pub(crate) mod disk;
mod entropy;
mod net;

pub(crate) use entropy::{Random, seed};

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hv_core::sync::Mutex;
use virtio::record::Record;
use virtio::transport::mmio::MmioDevice;
use virtio::transport::{Layouts, Wiring};
use virtio::{More, VirtioDevice};
use vm_manager::config::{ConsoleKind, VirtioRing};
use vm_manager::plug::{Activity, Again, Handle, Order, Plug, Plugged, Socket};
use vm_manager::sink;

/// What a VM's configuration asks for, in the order of their slots.
///
/// # Errors
///
/// Says what is missing.
pub(crate) fn of(order: &Order<'_>) -> Result<Vec<Box<dyn Plug>>, String> {
    let mut plugs: Vec<Box<dyn Plug>> = Vec::new();
    if order.config.console == ConsoleKind::Virtio {
        plugs.push(Box::new(console::ConsolePlug::new(order)));
    }
    for disk in &order.config.disks {
        plugs.push(Box::new(disk::DiskPlug::new(order, disk)?));
    }
    for (index, net) in order.config.nets.iter().enumerate() {
        plugs.push(Box::new(net::NetPlug::new(order, net, index)?));
    }
    if order.config.has_rng {
        plugs.push(Box::new(entropy::EntropyPlug::new(order)));
    }
    if order.config.has_balloon {
        plugs.push(Box::new(balloon::BalloonPlug::new(order)));
    }
    Ok(plugs)
}

/// A bell, as devices know it.
struct Ring(Arc<dyn sink::Bell>);

impl virtio::device::Bell for Ring {
    fn ring(&self) {
        self.0.ring();
    }
}

/// What all devices of a VM are connected to.
struct Wires {
    bell: Arc<dyn sink::Bell>,
    layouts: Layouts,
}

impl Wires {
    fn new(order: &Order<'_>) -> Self {
        let layouts = match order.config.virtio_ring {
            VirtioRing::Split => Layouts::Split,
            VirtioRing::Packed => Layouts::SplitAndPacked,
        };
        Self { bell: Arc::clone(&order.bell), layouts }
    }

    /// The same, with what a device has for itself.
    fn with(&self, socket: Socket) -> Wiring {
        let Socket { memory, line, .. } = socket;
        let bell = Arc::new(Ring(Arc::clone(&self.bell)));
        Wiring { memory, line, bell, layouts: self.layouts }
    }
}

/// Any device in its slot.
struct Slot<D> {
    device: Arc<Mutex<MmioDevice<D>>>,
    record: Arc<Record>,
}

impl<D: VirtioDevice + 'static> Slot<D> {
    fn new(device: D, wiring: Wiring) -> Self {
        let device = MmioDevice::new(device, wiring);
        let record = device.record();
        Self { device: Arc::new(Mutex::new(device)), record }
    }

    fn plugged(self) -> Plugged {
        Plugged { device: Arc::<Mutex<MmioDevice<D>>>::clone(&self.device), handle: Arc::new(self) }
    }
}

impl<D: VirtioDevice> Handle for Slot<D> {
    fn go_on(&self) -> Again {
        again(self.device.lock().poll())
    }

    fn activity(&self) -> Activity {
        activity(&self.record)
    }
}

fn again(more: More) -> Again {
    match more {
        More::No => Again::No,
        More::Yes => Again::Yes,
    }
}

fn activity(record: &Record) -> Activity {
    Activity {
        notifications: record.notifications(),
        interrupts: record.interrupts(),
        faults: record.faults().map(|(fault, count)| (fault.text(), count)).collect(),
    }
}
