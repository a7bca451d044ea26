//! What ACPI says of CPUs and of the power supply (ACPI 6.5, 5.2).

use super::boot_info::Physical;
use crate::board::MAX_CPUS;

const BIOS_AREA: core::ops::Range<u64> = 0xe_0000..0x10_0000;

/// What it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    /// The ids of the APICs of all CPUs.
    pub(super) cpus: [u64; MAX_CPUS],
    pub(super) cpu_count: usize,
    /// The first IOAPIC.
    pub(super) ioapic: Option<u32>,
    /// PM1a's control block.
    pub(super) power_control: u16,
    /// Where ISA's interrupts 0 to 15 go.
    pub(super) isa: [u32; 16],
}

/// Reads the tables, from `rsdp` on or from where firmware has them.
pub(super) fn read(rsdp: u64) -> Tables {
    let mut tables = Tables {
        cpus: [0; MAX_CPUS],
        cpu_count: 0,
        ioapic: None,
        power_control: 0,
        isa: core::array::from_fn(|index| index as u32),
    };
    let is_rsdp = |address: &u64| Physical(*address).quad() == u64::from_le_bytes(*b"RSD PTR ");
    let found =
        Some(rsdp).filter(|rsdp| *rsdp != 0).or_else(|| BIOS_AREA.step_by(16).find(is_rsdp));
    if let Some(rsdp) = found {
        let rsdp = Physical(rsdp);
        // The XSDT has addresses of 64 bits; it is there from revision 2 on.
        if rsdp.at(15).byte() >= 2 && rsdp.at(24).quad() != 0 {
            each(rsdp.at(24).quad(), 8, |table| tables.take(table));
        } else {
            each(u64::from(rsdp.at(16).word()), 4, |table| tables.take(table));
        }
    }
    tables.cpu_count = tables.cpu_count.max(1);
    tables
}

fn each(root: u64, width: u64, mut take: impl FnMut(Physical)) {
    let root = Physical(root);
    let length = u64::from(root.at(4).word());
    for offset in (36..length).step_by(width as usize) {
        let entry = root.at(offset);
        take(Physical(if width == 8 { entry.quad() } else { u64::from(entry.word()) }));
    }
}

impl Tables {
    fn take(&mut self, table: Physical) {
        match &table.word().to_le_bytes() {
            b"APIC" => self.madt(table),
            // PM1a_CNT_BLK.
            b"FACP" => self.power_control = table.at(64).word() as u16,
            _ => {}
        }
    }

    fn madt(&mut self, table: Physical) {
        let end = u64::from(table.at(4).word());
        let mut offset = 44;
        while offset + 2 <= end {
            let entry = table.at(offset);
            match entry.byte() {
                0 if entry.at(4).word() & 1 == 1 => self.cpu(u64::from(entry.at(3).byte())),
                9 if entry.at(8).word() & 1 == 1 => self.cpu(u64::from(entry.at(4).word())),
                1 if self.ioapic.is_none() => self.ioapic = Some(entry.at(4).word()),
                2 => {
                    if let Some(slot) = self.isa.get_mut(usize::from(entry.at(3).byte())) {
                        *slot = entry.at(4).word();
                    }
                }
                _ => {}
            }
            offset += u64::from(entry.at(1).byte()).max(2);
        }
    }

    fn cpu(&mut self, id: u64) {
        if let Some(slot) = self.cpus.get_mut(self.cpu_count) {
            *slot = id;
            self.cpu_count += 1;
        }
    }
}
