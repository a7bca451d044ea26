//! PCI by its ports (PCI local bus specification 3.0, 3.2.2.3.2): they reach the registers that all machines have. Interrupts
//! are messages to the local APIC (SDM vol. 3A, 11.11), since only AML tells where pins lead.

use super::interrupts::{DISK, NETWORK};
use super::virtio::Line;
use super::{apic, insn};
use crate::device::Kind;
use crate::machine::Range;
use crate::pci::{Function, Message};
use crate::sync::Mutex;

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;

/// The two ports are used one after the other.
static PORTS: Mutex<()> = Mutex::new(());

/// Makes the configuration space of a bus accessible.
pub(crate) fn reach(_bus: u8) -> bool {
    true
}

fn address(function: Function, register: u8) -> u32 {
    let Function { bus, device, function } = function;
    ENABLE
        | u32::from(bus) << 16
        | u32::from(device & 31) << 11
        | u32::from(function & 7) << 8
        | u32::from(register & !3)
}

/// Reads a register of configuration space; all ones where nothing is.
pub(crate) fn read(function: Function, register: u8) -> u32 {
    let _ports = PORTS.lock();
    insn::out32(ADDRESS, address(function, register));
    insn::in32(DATA)
}

/// Writes a register of configuration space.
pub(crate) fn write(function: Function, register: u8, value: u32) {
    let _ports = PORTS.lock();
    insn::out32(ADDRESS, address(function, register));
    insn::out32(DATA, value);
}

/// Where BARs can be that nobody has given a place: firmware has given all of them one.
pub(crate) fn free_window() -> Option<Range> {
    None
}

/// The interrupt of a pin.
pub(crate) fn line(_: Function, _pin: u8) -> Option<Line> {
    None
}

/// What a device writes to interrupt the CPU that runs this: to an APIC of 8 bits of identifier, an edge.
pub(crate) fn message(kind: Kind) -> Option<Message> {
    const TO_APICS: u64 = 0xfee0_0000;
    let id = u8::try_from(apic::id()).ok()?;
    let vector = match kind {
        Kind::Disk => DISK,
        Kind::Card => NETWORK,
    };
    Some(Message { address: TO_APICS | u64::from(id) << 12, data: u32::from(vector) })
}
