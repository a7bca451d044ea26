//! The ACPI tables of the `pc` machine: how many CPUs it has, where its interrupts go, how it is switched off. ACPI
//! Specification 6.5; sections are of that.
//!
//! ```text
//! RSDP ──► XSDT ─┬─► FADT ─┬─► FACS
//!                └─► MADT  └─► DSDT: CPUs, serial port, clock, the "off" state
//! ```
//!
//! The machine is in ACPI mode from the start: there is no SMI command. Its power button is the fixed one, a bit of the event
//! block (4.8.2.2.1), so that no device in the DSDT stands for it.

mod dsdt;

use crate::pc_map;
use acpi_tables::Aml;
use acpi_tables::facs::FACS;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use alloc::vec::Vec;

const OEM: [u8; 6] = *b"ROOST ";
const OEM_TABLE: [u8; 8] = *b"ROOSTPC ";
const OEM_REVISION: u32 = 1;
const HEADER_BYTES: u32 = 36;
const FADT_BYTES: u32 = 276;
const RSDP_BYTES: usize = 36;

/// A virtio device behind memory-mapped registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VirtioSlot {
    /// Where its registers are.
    pub base: u32,
    /// How many bytes they take.
    pub bytes: u32,
    /// Its interrupt at the IOAPIC, level-triggered.
    pub interrupt: u32,
}

/// The tables of a machine, to lie at [`pc_map::FIRMWARE`]: the RSDP comes first. `vcpus` have the APIC identifiers from 0 on.
#[must_use]
pub fn tables(vcpus: u8, virtio: &[VirtioSlot]) -> Vec<u8> {
    let mut area = Area { bytes: alloc::vec![0; RSDP_BYTES] };
    let dsdt = area.put(16, dsdt::dsdt(vcpus, virtio).as_slice());
    let mut facs = Vec::new();
    FACS::new().to_aml_bytes(&mut facs);
    // 5.2.10: at a multiple of 64.
    let facs = area.put(64, &facs);
    let fadt = area.put(16, fadt(dsdt, facs).as_slice());
    let madt = area.put(16, madt(vcpus).as_slice());
    let mut xsdt = sdt(*b"XSDT", HEADER_BYTES, 1);
    for table in [fadt, madt] {
        xsdt.append_slice(&u64::from(table).to_le_bytes());
    }
    let xsdt = area.put(16, xsdt.as_slice());
    let mut rsdp = Vec::new();
    Rsdp::new(OEM, u64::from(xsdt)).to_aml_bytes(&mut rsdp);
    if let Some(first) = area.bytes.get_mut(..rsdp.len()) {
        first.copy_from_slice(&rsdp);
    }
    area.bytes
}

/// Tables behind each other.
struct Area {
    bytes: Vec<u8>,
}

impl Area {
    /// Puts a table at the next multiple of `align`, and says where that will be.
    fn put(&mut self, align: usize, table: &[u8]) -> u32 {
        let at = self.bytes.len().next_multiple_of(align);
        self.bytes.resize(at, 0);
        self.bytes.extend_from_slice(table);
        pc_map::FIRMWARE as u32 + at as u32
    }
}

fn sdt(signature: [u8; 4], bytes: u32, revision: u8) -> Sdt {
    Sdt::new(signature, bytes, revision, OEM, OEM_TABLE, OEM_REVISION)
}

/// 5.2.9, table 5.9.
fn fadt(dsdt: u32, facs: u32) -> Sdt {
    /// There are devices that only a driver finds: the serial port. No VGA; the keyboard controller only resets.
    const LEGACY_DEVICES: u16 = 1 | 1 << 2;
    /// WBINVD works, HLT works, no sleep button, the clock wakes nobody, the timer has 32 bits, there is a reset register.
    const FLAGS: u32 = 1 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 10;
    const DESKTOP: u8 = 1;
    /// 8.1: these latencies say that there is no C2 and no C3.
    const NO_C2: u16 = 101;
    const NO_C3: u16 = 1001;
    const CENTURY: u8 = 0x32;
    const BYTE: u8 = 1;
    const WORD: u8 = 2;
    const DOUBLE_WORD: u8 = 3;
    let mut fadt = sdt(*b"FACP", FADT_BYTES, 6);
    fadt.write_u32(36, facs);
    fadt.write_u32(40, dsdt);
    fadt.write_u8(45, DESKTOP);
    fadt.write_u16(46, u16::from(pc_map::SCI));
    for (at, port) in [(56, pc_map::PM_EVENT), (64, pc_map::PM_CONTROL), (76, pc_map::PM_TIMER)] {
        fadt.write_u32(at, u32::from(port));
    }
    for (at, bytes) in [(88, 4), (89, 2), (91, 4)] {
        fadt.write_u8(at, bytes);
    }
    fadt.write_u16(96, NO_C2);
    fadt.write_u16(98, NO_C3);
    fadt.write_u8(108, CENTURY);
    fadt.write_u16(109, LEGACY_DEVICES);
    fadt.write_u32(112, FLAGS);
    port(&mut fadt, 116, 8, BYTE, pc_map::RESET);
    fadt.write_u8(128, pc_map::RESET_VALUE);
    // Of 6.5.
    fadt.write_u8(131, 5);
    fadt.write_u64(140, u64::from(dsdt));
    port(&mut fadt, 148, 32, WORD, pc_map::PM_EVENT);
    port(&mut fadt, 172, 16, WORD, pc_map::PM_CONTROL);
    port(&mut fadt, 208, 32, DOUBLE_WORD, pc_map::PM_TIMER);
    fadt.write_bytes(268, b"ROOST\0\0\0");
    fadt
}

/// A generic address structure (5.2.3.2) of ports: space, width, offset, access size, address.
fn port(table: &mut Sdt, at: usize, bits: u8, access: u8, port: u16) {
    const PORTS: u8 = 1;
    table.write_bytes(at, &[PORTS, bits, 0, access]);
    table.write_u64(at + 4, u64::from(port));
}

/// 5.2.12.
fn madt(vcpus: u8) -> Sdt {
    const HAS_8259: u32 = 1;
    const ENABLED: u32 = 1;
    const ALL_CPUS: u8 = 0xff;
    const IOAPIC_ID: u8 = 0;
    /// Active high, level-triggered (table 5.26).
    const LEVEL: u16 = 0b11_01;
    /// As the bus has it: active high, edge-triggered.
    const AS_BUS: u16 = 0;
    let mut madt = sdt(*b"APIC", HEADER_BYTES, 6);
    madt.append_slice(&pc_map::LOCAL_APIC.to_le_bytes());
    madt.append_slice(&HAS_8259.to_le_bytes());
    for vcpu in 0..vcpus {
        madt.append_slice(&[0, 8, vcpu, vcpu]);
        madt.append_slice(&ENABLED.to_le_bytes());
    }
    madt.append_slice(&[1, 12, IOAPIC_ID, 0]);
    madt.append_slice(&pc_map::IOAPIC.to_le_bytes());
    madt.append_slice(&0u32.to_le_bytes());
    // The 8254 is at pin 2, since the 8259 has pin 0.
    for (source, pin, flags) in
        [(pc_map::TIMER.interrupt, 2, AS_BUS), (pc_map::SCI, pc_map::SCI, LEVEL)]
    {
        madt.append_slice(&[2, 10, 0, source]);
        madt.append_slice(&u32::from(pin).to_le_bytes());
        madt.append_slice(&flags.to_le_bytes());
    }
    // NMI at pin LINT1 of all.
    madt.append_slice(&[4, 6, ALL_CPUS, 0, 0, 1]);
    madt
}

#[cfg(test)]
mod tests;
