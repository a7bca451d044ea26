//! What ACPI says of the machine: its CPUs, interrupt controllers, clocks, and how it is switched off. ACPI Specification 6.5.
//!
//! It is read once, before there is a heap, with the first 4 GiB mapped.

// UNSAFETY: tables are reached through addresses in other tables.
#![expect(unsafe_code)]

use super::boot_info::REACH;
use super::discovery::{IoApicNode, MAX_CPUS, Platform, ResetRegister, SerialLine};
use acpi::address::AddressSpace;
use acpi::fadt::Fadt;
use acpi::madt::{Madt, MadtEntry};
use acpi::{AcpiHandler, AcpiTables, HpetInfo, PhysicalMapping};
use core::ptr::NonNull;

/// Gives the crate the first 4 GiB, where they are.
#[derive(Clone, Copy, Debug)]
struct Reach;

impl AcpiHandler for Reach {
    unsafe fn map_physical_region<T>(&self, start: usize, size: usize) -> PhysicalMapping<Self, T> {
        // What is out of reach is no table: whatever is read in its place has no right checksum.
        const NO_TABLE: usize = 0x1000;
        let end = (start as u64).checked_add(size as u64);
        let is_near = start != 0 && end.is_some_and(|end| end <= REACH);
        let start = if is_near { start } else { NO_TABLE };
        let pointer = core::ptr::with_exposed_provenance_mut::<T>(start);
        let pointer = NonNull::new(pointer).unwrap_or(NonNull::dangling());
        // SAFETY: the region is mapped, and nobody writes to it.
        unsafe { PhysicalMapping::new(start, pointer, size, size, *self) }
    }

    fn unmap_physical_region<T>(_region: &PhysicalMapping<Self, T>) {}
}

/// Completes `platform` with what the tables say, if there are any.
pub(super) fn read(platform: &mut Platform, rsdp: Option<u64>) {
    let tables = match rsdp {
        // SAFETY: the boot loader says that the RSDP is there, and what is there is mapped.
        Some(address) => unsafe { AcpiTables::from_rsdp(Reach, address as usize) },
        // SAFETY: the BIOS's areas, which are searched, are mapped.
        None => unsafe { AcpiTables::search_for_rsdp_bios(Reach) },
    };
    let Ok(tables) = tables else { return };
    platform.has_acpi = super::discovery::Acpi::Found;
    if let Ok(madt) = tables.find_table::<Madt>() {
        read_madt(platform, &madt);
    }
    if let Ok(hpet) = HpetInfo::new(&tables) {
        platform.hpet = Some(hpet.base_address as u64);
    }
    if let Ok(fadt) = tables.find_table::<Fadt>() {
        read_fadt(platform, &fadt);
    }
    if let Ok(dsdt) = tables.dsdt() {
        platform.sleep_type = find_off_state(dsdt.address as u64, u64::from(dsdt.length));
    }
}

/// 5.2.12.
#[expect(clippy::wildcard_enum_match_arm, reason = "most are of other architectures")]
fn read_madt(platform: &mut Platform, madt: &PhysicalMapping<Reach, Madt>) {
    const ENABLED: u32 = 1;
    // An entry without length would never end.
    const MAX_ENTRIES: usize = 4096;
    const SERIAL_IRQS: [u8; 2] = [4, 3];
    for entry in madt.get().entries().take(MAX_ENTRIES) {
        match entry {
            MadtEntry::LocalApic(cpu) if cpu.flags & ENABLED != 0 => {
                platform.add_cpu(u32::from(cpu.apic_id));
            }
            MadtEntry::LocalX2Apic(cpu) if cpu.flags & ENABLED != 0 => {
                platform.add_cpu(cpu.x2apic_id);
            }
            MadtEntry::IoApic(chip) => {
                let node = IoApicNode {
                    base: u64::from(chip.io_apic_address),
                    first: chip.global_system_interrupt_base,
                };
                if let Some(slot) = platform.io_apics.iter_mut().find(|slot| slot.is_none()) {
                    *slot = Some(node);
                }
            }
            MadtEntry::InterruptSourceOverride(line) => {
                for (serial, irq) in platform.serial_lines.iter_mut().zip(SERIAL_IRQS) {
                    if line.irq == irq {
                        *serial =
                            SerialLine { gsi: line.global_system_interrupt, flags: line.flags };
                    }
                }
            }
            _ => {}
        }
    }
}

/// 5.2.9.
fn read_fadt(platform: &mut Platform, fadt: &PhysicalMapping<Reach, Fadt>) {
    let fadt = fadt.get();
    let port = |address: acpi::address::GenericAddress| {
        (address.address_space == AddressSpace::SystemIo).then_some(address.address as u16)
    };
    if let Ok(Some(timer)) = fadt.pm_timer_block() {
        platform.pm_timer = port(timer);
    }
    let blocks = [fadt.pm1a_control_block().ok(), fadt.pm1b_control_block().ok().flatten()];
    platform.pm_control = blocks.map(|block| block.and_then(port).filter(|&port| port != 0));
    let flags = fadt.flags;
    if flags.supports_system_reset_via_fadt()
        && let Ok(register) = fadt.reset_register()
        && let Some(port) = port(register)
    {
        platform.reset = Some(ResetRegister { port, value: fadt.reset_value });
    }
    if fadt.acpi_enable != 0 {
        platform.acpi_enable = Some((fadt.smi_cmd_port as u16, fadt.acpi_enable));
    }
}

/// What switches the machine off: the first element of the package `_S5` in the DSDT (7.4.2), found by its bytes, since that is all
/// that is wanted of AML: NameOp, `_S5_` maybe with a root prefix, PackageOp, its length, how many elements, and a number.
fn find_off_state(start: u64, bytes: u64) -> Option<u8> {
    const MAX_BYTES: u64 = 4 << 20;
    let bytes = bytes.min(MAX_BYTES);
    if start == 0 || start.checked_add(bytes)? > REACH {
        return None;
    }
    let pointer = core::ptr::with_exposed_provenance::<u8>(start as usize);
    // SAFETY: within the first 4 GiB, which are mapped; nobody writes to it.
    let aml = unsafe { core::slice::from_raw_parts(pointer, bytes as usize) };
    off_state(aml)
}

fn off_state(aml: &[u8]) -> Option<u8> {
    const NAME_OP: u8 = 0x08;
    const PACKAGE_OP: u8 = 0x12;
    const BYTE_PREFIX: u8 = 0x0a;
    let at = aml.windows(4).enumerate().find_map(|(at, window)| {
        let is_named = match at.checked_sub(1).and_then(|before| aml.get(before)) {
            Some(b'\\') => at.checked_sub(2).and_then(|at| aml.get(at)) == Some(&NAME_OP),
            before => before == Some(&NAME_OP),
        };
        (window == b"_S5_" && is_named && aml.get(at + 4) == Some(&PACKAGE_OP)).then_some(at)
    })?;
    // PkgLength: its two high bits say how many bytes follow (20.2.4).
    let length_bytes = 1 + usize::from(aml.get(at + 5)? >> 6);
    let first = at + 5 + length_bytes + 1;
    match *aml.get(first)? {
        BYTE_PREFIX => aml.get(first + 1).copied(),
        // ZeroOp and OneOp are the numbers themselves.
        number @ 0..=1 => Some(number),
        _ => None,
    }
}

const _: () = assert!(MAX_CPUS <= 64);

#[cfg(test)]
mod tests {
    use super::off_state;

    #[test]
    fn the_off_state_is_found_in_its_package() {
        // QEMU q35, Bochs, with a root prefix, and two bytes of length.
        assert_eq!(off_state(b"\x10\x08_S5_\x12\x06\x04\x00\x00\x00\x00"), Some(0));
        assert_eq!(off_state(b"\x08_S5_\x12\x07\x04\x0a\x05\x0a\x05\x00"), Some(5));
        assert_eq!(off_state(b"\x08\\_S5_\x12\x47\x00\x04\x0a\x07"), Some(7));
    }

    #[test]
    fn what_is_no_package_is_no_state() {
        assert_eq!(off_state(b"_S5_\x12\x06\x04\x00"), None, "no name");
        assert_eq!(off_state(b"\x08_S5_\x12\x06"), None, "cut short");
        assert_eq!(off_state(b"\x08_S5_\x0a\x05"), None, "no package");
        assert_eq!(off_state(b""), None);
    }
}
