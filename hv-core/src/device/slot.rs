//! Where a device was found, until its driver has it.

// UNSAFETY: the device tree says where registers are.
#![expect(unsafe_code)]

use super::{Kind, Notice, Place};
use crate::arch::current as arch;
use crate::dma::Direct;
use crate::mmio::Mmio;
use crate::pci::{self, Acknowledge, Function, Places, Ready};
use core::ptr::NonNull;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::transport::{DeviceStatus, SomeTransport, Transport};

/// 6: the device does what virtio 1 says.
pub(crate) const VERSION_1: u64 = 1 << 32;

/// What of a device interrupts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Vectors {
    /// The first queue only.
    Queue,
    /// The first queue, and changes of the configuration.
    QueueAndConfiguration,
}

/// A device and its way to interrupt.
pub(crate) struct Slot {
    pub(crate) transport: SomeTransport<'static>,
    pub(crate) place: Place,
    kind: Kind,
    wiring: Wiring,
}

enum Wiring {
    Mmio(Mmio, Option<arch::virtio::Line>),
    Pci(Ready),
}

impl Slot {
    /// The device that has these registers, of virtio-mmio.
    pub(super) fn on_mmio(
        kind: Kind,
        window: Mmio,
        line: Option<arch::virtio::Line>,
    ) -> Result<Self, &'static str> {
        let header = core::ptr::with_exposed_provenance_mut(window.base() as usize);
        let header = NonNull::new(header).ok_or("it is at address 0")?;
        // SAFETY: our caller has found the registers there; no reference to them exists, and they stay for ever.
        let transport = unsafe { MmioTransport::new(header, window.len() as usize) };
        let transport = transport.map_err(|_| "its version is not supported")?.into();
        let place = Place::Mmio(window.base());
        Ok(Self { transport, place, kind, wiring: Wiring::Mmio(window, line) })
    }

    /// The device of a PCI function.
    pub(super) fn on_pci(
        kind: Kind,
        function: Function,
        places: &mut Places,
    ) -> Result<Self, &'static str> {
        let Function { bus, device, function: number } = function;
        let mut ready = pci::set_up(function, places).ok_or("its registers have no address")?;
        let transport = PciTransport::new::<Direct, _>(&mut ready.root, function.into());
        let transport = transport.map_err(|_| "it has not the registers of virtio 1")?.into();
        let place = Place::Pci(bus, device, number);
        Ok(Self { transport, place, kind, wiring: Wiring::Pci(ready) })
    }

    /// Begins: resets the device and agrees on those features of `wanted` that it has (3.1.1).
    pub(crate) fn negotiate(&mut self, wanted: u64) -> Result<u64, &'static str> {
        const PATIENCE: u32 = 1_000_000;
        let transport = &mut self.transport;
        transport.set_status(DeviceStatus::empty());
        if !(0..PATIENCE).any(|_| transport.get_status().is_empty()) {
            return Err("it does not let itself be reset");
        }
        let begun = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
        transport.set_status(begun);
        let features = transport.read_device_features() & wanted;
        transport.write_driver_features(features);
        transport.set_guest_page_size(crate::paging::PAGE_SIZE as u32);
        if features & VERSION_1 != 0 {
            transport.set_status(begun | DeviceStatus::FEATURES_OK);
            if !transport.get_status().contains(DeviceStatus::FEATURES_OK) {
                return Err("it refuses our features");
            }
        }
        Ok(features)
    }

    /// Has the device interrupt, by a message or else by its pin. After its reset, which forgets that, and before it has a
    /// queue.
    pub(crate) fn connect(&self, vectors: Vectors) -> Notice {
        match &self.wiring {
            Wiring::Mmio(window, Some(line)) => {
                arch::virtio::listen(*line, Acknowledge::Mmio(*window), self.kind);
                Notice::Interrupt
            }
            Wiring::Mmio(_, None) => Notice::Polling,
            Wiring::Pci(ready) => connect_pci(ready, self.kind, vectors),
        }
    }
}

fn connect_pci(ready: &Ready, kind: Kind, vectors: Vectors) -> Notice {
    const COMMON: u8 = 1;
    const INTERRUPT_STATUS: u8 = 3;
    // 4.1.4.3.
    const CONFIGURATION_VECTOR: u64 = 0x10;
    const QUEUE_SELECT: u64 = 0x16;
    const QUEUE_VECTOR: u64 = 0x1a;
    if let Some(message) = arch::pci::message(kind)
        && let Some(common) = ready.virtio_part(COMMON)
        && ready.send(message).is_some()
    {
        common.write16(QUEUE_SELECT, 0);
        common.write16(QUEUE_VECTOR, 0);
        if vectors == Vectors::QueueAndConfiguration {
            common.write16(CONFIGURATION_VECTOR, 0);
        }
        return Notice::Interrupt;
    }
    match (ready.line(), ready.virtio_part(INTERRUPT_STATUS)) {
        (Some(line), Some(status)) => {
            arch::virtio::listen(line, Acknowledge::Pci(status), kind);
            Notice::Interrupt
        }
        (Some(_) | None, _) => Notice::Polling,
    }
}
