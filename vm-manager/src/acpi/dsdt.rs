//! The description of devices that cannot be found otherwise, as AML. ACPI 6.5, chapters 5.6, 6 and 7.

use super::{HEADER_BYTES, VirtioSlot, sdt};
use crate::pc_map::{self, Ports};
use acpi_tables::Aml;
use acpi_tables::aml::{
    Device, EISAName, IO, Interrupt, Memory32Fixed, Name, Package, ResourceTemplate, Scope,
};
use acpi_tables::sdt::Sdt;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// How an interrupt is signalled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trigger {
    Edge,
    Level,
}

/// The DSDT.
pub(super) fn dsdt(vcpus: u8, virtio: &[VirtioSlot]) -> Sdt {
    let mut aml = Vec::new();
    let off = Package::new(vec![&pc_map::SLEEP_TYPE_OFF, &pc_map::SLEEP_TYPE_OFF, &0u8, &0u8]);
    Name::new("_S5_".into(), &off).to_aml_bytes(&mut aml);
    let mut devices = Vec::new();
    processors(vcpus, &mut devices);
    board("COM1", "PNP0501", pc_map::SERIAL, &mut devices);
    board("RTC0", "PNP0B00", pc_map::RTC, &mut devices);
    for (slot, number) in virtio.iter().zip(0..) {
        virtio_mmio(slot, number, &mut devices);
    }
    aml.extend(Scope::raw("_SB_".into(), devices));
    // Revision 2: integers have 64 bits (table 5.6).
    let mut dsdt = sdt(*b"DSDT", HEADER_BYTES, 2);
    dsdt.append_slice(&aml);
    dsdt
}

/// A container with a device for each vCPU (8.4).
fn processors(vcpus: u8, out: &mut Vec<u8>) {
    for vcpu in 0..vcpus {
        let hid = Name::new("_HID".into(), &"ACPI0007");
        let uid = Name::new("_UID".into(), &vcpu);
        Device::new(format!("C{vcpu:03X}").as_str().into(), vec![&hid, &uid]).to_aml_bytes(out);
    }
}

/// A device of a PC's board: ports and an interrupt.
fn board(name: &str, id: &str, ports: Ports, out: &mut Vec<u8>) {
    let hid = EISAName::new(id);
    let hid = Name::new("_HID".into(), &hid);
    let uid = Name::new("_UID".into(), &0u8);
    let io = IO::new(ports.base, ports.base, 1, ports.count);
    let interrupt = interrupt(Trigger::Edge, u32::from(ports.interrupt));
    let resources = ResourceTemplate::new(vec![&io, &interrupt]);
    let resources = Name::new("_CRS".into(), &resources);
    Device::new(name.into(), vec![&hid, &uid, &resources]).to_aml_bytes(out);
}

/// The identifier is the one that Linux's virtio-mmio driver knows.
fn virtio_mmio(slot: &VirtioSlot, number: u8, out: &mut Vec<u8>) {
    let hid = Name::new("_HID".into(), &"LNRO0005");
    let uid = Name::new("_UID".into(), &number);
    let memory = Memory32Fixed::new(true, slot.base, slot.bytes);
    let interrupt = interrupt(Trigger::Level, slot.interrupt);
    let resources = ResourceTemplate::new(vec![&memory, &interrupt]);
    let resources = Name::new("_CRS".into(), &resources);
    let name = format!("V{number:03X}");
    Device::new(name.as_str().into(), vec![&hid, &uid, &resources]).to_aml_bytes(out);
}

/// An interrupt that the device has for itself, active high.
fn interrupt(trigger: Trigger, number: u32) -> Interrupt {
    const IS_CONSUMER: bool = true;
    const IS_ACTIVE_LOW: bool = false;
    const IS_SHARED: bool = false;
    Interrupt::new(IS_CONSUMER, trigger == Trigger::Edge, IS_ACTIVE_LOW, IS_SHARED, number)
}
