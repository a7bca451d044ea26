//! What the loader and ACPI say about the machine.

use super::console::Port;
use super::{acpi, boot_info};
use crate::board::{Board, Range};

const COM1: u16 = 0x3f8;
/// Firmware, the loader and starting CPUs have what is below.
const FIRST_FREE: usize = 1 << 20;

/// What a PC has beside what all machines have.
#[derive(Debug)]
pub struct Devices {
    /// The first IOAPIC.
    pub ioapic: Option<u32>,
    /// Where ISA's interrupts go at it.
    pub isa: [u32; 16],
    /// ACPI's PM1a control register.
    pub power_control: u16,
}

/// Reads what the loader left; `magic` is what was in EAX.
pub(super) fn discover(magic: u32, information: usize) -> Option<Board> {
    let info = boot_info::read(magic, information)?;
    let tables = acpi::read(info.rsdp);
    Some(Board {
        ram: Range { start: 0, size: info.ram_end as usize },
        used: Some(Range { start: 0, size: FIRST_FREE }),
        initrd: info.initrd,
        console: Port(COM1),
        devices: Devices {
            ioapic: tables.ioapic,
            isa: tables.isa,
            power_control: tables.power_control,
        },
        arguments: info.arguments,
        cpu_count: tables.cpu_count,
        cpus: tables.cpus,
    })
}
