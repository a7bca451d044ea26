//! Devices of the host: virtio (1.2) on virtio-mmio and on PCI, found once at boot.
//!
//! Drivers are in [`disk`](crate::disk) and [`network`](crate::network). A device that has something interrupts the CPU that
//! found it, as [`HostEvent::Disk`] or
//! [`HostEvent::Network`].

use crate::disk::DiskDriver;
use crate::machine::HostEvent;
use crate::network::CardDriver;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

mod find;
mod slot;

pub use find::find;
pub(crate) use slot::{Slot, VERSION_1, Vectors};

/// What there is of devices that are driven.
#[derive(Debug, Default)]
pub struct Devices {
    /// Disks, virtio-mmio before PCI, each in the order of addresses.
    pub disks: Vec<DiskDriver>,
    /// Network cards, in the same order.
    pub cards: Vec<CardDriver>,
    /// Which devices cannot be used, and why.
    pub notes: Vec<String>,
}

/// Where a device is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Its virtio-mmio registers.
    Mmio(u64),
    /// Bus, device and function.
    Pci(u8, u8, u8),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mmio(address) => write!(f, "virtio-mmio {address:#x}"),
            Self::Pci(bus, device, function) => write!(f, "PCI {bus:02x}:{device:02x}.{function}"),
        }
    }
}

/// How a device tells that it has something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notice {
    /// It interrupts.
    Interrupt,
    /// It does not: it has to be asked.
    Polling,
}

/// What kind of device it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A block device (5.2).
    Disk,
    /// A network card (5.1).
    Card,
}

impl Kind {
    /// The kind that virtio calls so, if it is one that is driven.
    fn of_virtio(id: u32) -> Option<Self> {
        match id {
            1 => Some(Self::Card),
            2 => Some(Self::Disk),
            _ => None,
        }
    }

    /// The kind of the PCI function with this device identifier: 4.1.2, also of devices that old drivers know.
    fn of_pci(device: u16) -> Option<Self> {
        match device {
            0x1000 | 0x1041 => Some(Self::Card),
            0x1001 | 0x1042 => Some(Self::Disk),
            _ => None,
        }
    }

    /// What an interrupt of it means.
    pub(crate) fn event(self) -> HostEvent {
        match self {
            Self::Disk => HostEvent::Disk,
            Self::Card => HostEvent::Network,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Card => "network card",
        }
    }
}
