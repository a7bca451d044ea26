//! The machine as its boot loader and its firmware describe it.

use super::boot_info::{BootInfo, MAX_AREAS};
use super::firmware;
use crate::machine::Range;

/// CPUs beyond so many stay off.
pub(super) const MAX_CPUS: usize = 64;
const MAX_IO_APICS: usize = 8;
/// Below is what firmware and boot loaders share; other CPUs start there.
pub(super) const LOW_MEMORY_END: u64 = 1 << 20;

/// An IOAPIC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct IoApicNode {
    /// Its registers.
    pub(super) base: u64,
    /// The number of its first input among all of them.
    pub(super) first: u32,
}

/// Where the interrupt of a serial port arrives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SerialLine {
    /// The number of the input.
    pub(super) gsi: u32,
    /// Polarity 1:0 and trigger mode 3:2; zero is as the ISA bus has it (ACPI 6.5, table 5.26).
    pub(super) flags: u16,
}

/// What resets the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ResetRegister {
    pub(super) port: u16,
    pub(super) value: u8,
}

/// Whether the firmware has tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Acpi {
    Found,
    Missing,
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Platform {
    pub(super) boot: BootInfo,
    pub(super) has_acpi: Acpi,
    /// APIC identifiers.
    pub(super) cpus: [Option<u32>; MAX_CPUS],
    pub(super) surplus_cpus: usize,
    pub(super) io_apics: [Option<IoApicNode>; MAX_IO_APICS],
    /// Of the first serial port and of the second.
    pub(super) serial_lines: [SerialLine; 2],
    pub(super) hpet: Option<u64>,
    /// The port of the power-management timer.
    pub(super) pm_timer: Option<u16>,
    /// The ports by which the machine is switched off.
    pub(super) pm_control: [Option<u16>; 2],
    /// What is written there.
    pub(super) sleep_type: Option<u8>,
    /// A port and a value that have the firmware hand over control of power.
    pub(super) acpi_enable: Option<(u16, u8)>,
    pub(super) reset: Option<ResetRegister>,
}

impl Platform {
    /// The machine of which the boot loader says this.
    pub(super) fn discover(boot: BootInfo) -> Self {
        let mut platform = Self {
            boot,
            has_acpi: Acpi::Missing,
            cpus: [None; MAX_CPUS],
            surplus_cpus: 0,
            io_apics: [None; MAX_IO_APICS],
            serial_lines: [SerialLine { gsi: 4, flags: 0 }, SerialLine { gsi: 3, flags: 0 }],
            hpet: None,
            pm_timer: None,
            pm_control: [None; 2],
            sleep_type: None,
            acpi_enable: None,
            reset: None,
        };
        firmware::read(&mut platform, boot.rsdp);
        platform
    }

    /// Adds a CPU that firmware has enabled. Some tell of one twice.
    pub(super) fn add_cpu(&mut self, apic_id: u32) {
        if self.cpus.contains(&Some(apic_id)) {
            return;
        }
        match self.cpus.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(apic_id),
            None => self.surplus_cpus += 1,
        }
    }

    /// RAM for the pool: all but what is below 1 MiB.
    pub(super) fn free_ram(&self) -> impl Iterator<Item = Range> + Clone {
        let above = |range: Range| Range { start: range.start.max(LOW_MEMORY_END), end: range.end };
        self.boot.ram.iter().flatten().copied().map(above).filter(|range| !range.is_empty())
    }

    /// A page of RAM below 1 MiB in which other CPUs start.
    pub(super) fn trampoline(&self) -> Option<u64> {
        const PAGE: u64 = 4096;
        // The first page has the BIOS's data, the last half MiB may be its, too.
        const HIGHEST: u64 = 0x8_0000;
        let is_taken = |page: Range| self.boot.bundle.is_some_and(|bundle| bundle.overlaps(page));
        let last_page = |range: &Range| {
            let start = (range.end.min(HIGHEST) & !(PAGE - 1)).checked_sub(PAGE)?;
            let page = Range { start, end: start + PAGE };
            (start >= range.start.max(PAGE) && !is_taken(page)).then_some(start)
        };
        self.boot.ram.iter().flatten().find_map(last_page)
    }

    /// Registers of devices that we drive.
    pub(super) fn devices(&self, local_apic: u64) -> [Option<Range>; MAX_IO_APICS + 2] {
        const PAGE: u64 = 4096;
        let page = |base: u64| Range { start: base, end: base + PAGE }.page_aligned();
        let mut devices = [None; MAX_IO_APICS + 2];
        let found = self.io_apics.iter().flatten().map(|chip| chip.base);
        let found = found.chain([local_apic]).chain(self.hpet);
        for (slot, base) in devices.iter_mut().zip(found) {
            *slot = Some(page(base));
        }
        devices
    }
}

const _: () = assert!(MAX_AREAS >= 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(ram: &[(u64, u64)]) -> BootInfo {
        let mut areas = [None; MAX_AREAS];
        for (slot, &(start, end)) in areas.iter_mut().zip(ram) {
            *slot = Some(Range { start, end });
        }
        BootInfo { ram: areas, surplus_areas: 0, bundle: None, command_line: "", rsdp: None }
    }

    fn platform(ram: &[(u64, u64)]) -> Platform {
        Platform {
            boot: boot(ram),
            has_acpi: Acpi::Missing,
            cpus: [None; MAX_CPUS],
            surplus_cpus: 0,
            io_apics: [None; MAX_IO_APICS],
            serial_lines: [SerialLine { gsi: 4, flags: 0 }; 2],
            hpet: None,
            pm_timer: None,
            pm_control: [None; 2],
            sleep_type: None,
            acpi_enable: None,
            reset: None,
        }
    }

    #[test]
    fn a_cpu_that_is_told_of_twice_is_one() {
        let mut machine = platform(&[]);
        (0..70).chain(3..5).for_each(|id| machine.add_cpu(id));
        assert_eq!(machine.cpus[63], Some(63));
        assert_eq!(machine.surplus_cpus, 6);
    }

    #[test]
    fn low_memory_is_for_starting_cpus_only() {
        let machine = platform(&[(0, 0x9_fc00), (0x10_0000, 0x4000_0000)]);
        assert_eq!(machine.trampoline(), Some(0x7_f000));
        let free: Vec<_> = machine.free_ram().collect();
        assert_eq!(free, [Range { start: 0x10_0000, end: 0x4000_0000 }]);
        assert_eq!(platform(&[(0, 0x1800), (0x10_0000, 0x20_0000)]).trampoline(), None);
    }
}
