//! The IOAPIC (Intel 82093AA).

use super::mmio::Registers;
use crate::once::Once;

/// Offset of the register that selects one.
pub const SELECT: usize = 0x00;
/// Offset of the window on the one that is selected.
pub const WINDOW: usize = 0x10;
const FIRST_PIN: u32 = 0x10;
const MASKED: u32 = 1 << 16;

static IOAPIC: Once<Registers> = Once::new();

pub(super) fn open(address: u32) {
    // SAFETY: ACPI says that this is a device.
    IOAPIC.set(unsafe { Registers::new(address as usize) });
}

/// Its registers.
pub fn registers() -> Option<Registers> {
    IOAPIC.get().copied()
}

/// Has a pin send this vector to the CPU with this APIC id, at each rising edge.
pub fn route(pin: u32, vector: u32, cpu: u64) {
    write(FIRST_PIN + 2 * pin + 1, (cpu as u32) << 24);
    write(FIRST_PIN + 2 * pin, vector);
}

/// Masks a pin.
pub fn mask(pin: u32) {
    write(FIRST_PIN + 2 * pin, MASKED);
}

fn write(register: u32, value: u32) {
    if let Some(ioapic) = IOAPIC.get() {
        ioapic.write32(SELECT, register);
        ioapic.write32(WINDOW, value);
    }
}
