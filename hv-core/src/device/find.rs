//! Looking for devices.

// UNSAFETY: the device tree says where registers are.
#![expect(unsafe_code)]

use super::{Devices, Kind, Place, Slot};
use crate::arch::current as arch;
use crate::disk::DiskDriver;
use crate::machine::Range;
use crate::mmio::Mmio;
use crate::network::CardDriver;
use crate::pci::{self, Function, Places};
use alloc::format;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");

/// All of them. To be called once. Their interrupts come to the CPU that calls this.
#[must_use]
pub fn find() -> Devices {
    let mut devices = Devices::default();
    for (registers, line) in arch::virtio::windows() {
        if let Some((kind, window)) = device(registers) {
            let place = Place::Mmio(registers.start);
            devices.add(kind, place, Slot::on_mmio(kind, window, line));
        }
    }
    let mut places = Places::new();
    for function in pci::functions() {
        const VENDOR: u16 = 0x1af4;
        let (VENDOR, id) = pci::identity(function) else { continue };
        if let Some(kind) = Kind::of_pci(id) {
            let Function { bus, device, function: number } = function;
            let place = Place::Pci(bus, device, number);
            devices.add(kind, place, Slot::on_pci(kind, function, &mut places));
        }
    }
    devices
}

/// The registers, if a device is there that is driven: virtio 1.2, 4.2.2.
fn device(registers: Range) -> Option<(Kind, Mmio)> {
    const DEVICE_ID: u64 = 8;
    arch::map_device(registers).ok()?;
    // SAFETY: the device tree says that these are a virtio device's, and they are mapped as such. It is told of no memory
    // but that of queues and buffers.
    let window = unsafe { Mmio::new(registers.start, registers.len()) };
    let is_virtio = window.read32(0) == MAGIC;
    let kind = is_virtio.then(|| Kind::of_virtio(window.read32(DEVICE_ID))).flatten()?;
    Some((kind, window))
}

impl Devices {
    fn add(&mut self, kind: Kind, place: Place, slot: Result<Slot, &'static str>) {
        let added = slot.and_then(|slot| {
            match kind {
                Kind::Disk => self.disks.push(DiskDriver::new(slot)?),
                Kind::Card => self.cards.push(CardDriver::new(slot)?),
            }
            Ok(())
        });
        if let Err(why) = added {
            self.notes.push(format!("the {} at {place} is left out: {why}", kind.name()));
        }
    }
}
