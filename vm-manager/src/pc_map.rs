//! Where things are in the `pc` machine: the one place that the bus, the loader and the ACPI tables share.
//!
//! The map is that of a PC as QEMU's `pc` and `q35` keep it, so that guests built for them run unchanged.

use crate::acpi::VirtioSlot;
use crate::load::Region;
use hv_core::guest::GuestPhysAddr;

/// More vCPUs than this are not offered.
pub const MAX_VCPUS: u8 = 8;

/// RAM below 4 GiB ends here at the latest; the rest goes on at [`HIGH_RAM`]. Device windows are between.
pub const LOW_RAM_MAX: u64 = 3 << 30;
/// Where RAM goes on.
pub const HIGH_RAM: u64 = 4 << 30;

/// The end of what a program in real mode may use; the next KiB is for firmware's data.
pub const CONVENTIONAL_END: u64 = 0x9_fc00;
/// Where a graphics adapter's memory would begin.
pub const VIDEO: u64 = 0xa_0000;
/// Where firmware would be, and the ACPI tables are: an operating system looks for the RSDP there (ACPI 6.5, 5.2.5.1).
pub const FIRMWARE: u64 = 0xe_0000;
/// The end of that.
pub const FIRMWARE_END: u64 = 0x10_0000;

/// The IOAPIC.
pub const IOAPIC: u32 = 0xfec0_0000;
/// The local APIC of each vCPU.
pub const LOCAL_APIC: u32 = 0xfee0_0000;

/// The registers of the first virtio device; those of the others follow.
pub const VIRTIO: u32 = 0xfeb0_0000;
/// From one to the next. A page each.
pub const VIRTIO_STEP: u32 = 0x1000;
/// The interrupt of the first virtio device at the IOAPIC, level-triggered; those of the others follow. A PC's board has none
/// of these.
pub const VIRTIO_INTERRUPT: u32 = 16;
/// How many virtio devices there may be: as many as the IOAPIC has pins left.
pub const VIRTIO_SLOTS: u32 = 8;

/// Where virtio device `index` is.
#[must_use]
pub const fn virtio_slot(index: u32) -> VirtioSlot {
    VirtioSlot {
        base: VIRTIO + VIRTIO_STEP * index,
        bytes: VIRTIO_STEP,
        interrupt: VIRTIO_INTERRUPT + index,
    }
}

/// A range of ports, and the interrupt of what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// The first.
    pub base: u16,
    /// How many.
    pub count: u8,
    /// The interrupt at the IOAPIC; that of a PC's board.
    pub interrupt: u8,
}

/// The 16550.
pub const SERIAL: Ports = Ports { base: 0x3f8, count: 8, interrupt: 4 };
/// The CMOS clock.
pub const RTC: Ports = Ports { base: 0x70, count: 2, interrupt: 8 };
/// The 8254.
pub const TIMER: Ports = Ports { base: 0x40, count: 4, interrupt: 0 };

/// The interrupt of ACPI events.
pub const SCI: u8 = 9;
/// ACPI's event block: status and enable, two bytes each (ACPI 6.5, 4.8.3.1).
pub const PM_EVENT: u16 = 0x600;
/// ACPI's control block: two bytes (4.8.3.2).
pub const PM_CONTROL: u16 = 0x604;
/// ACPI's timer: four bytes that count at 3.579545 MHz (4.8.3.3).
pub const PM_TIMER: u16 = 0x608;
/// What a guest writes to `SLP_TYP` to switch its VM off.
pub const SLEEP_TYPE_OFF: u8 = 5;
/// The reset control register.
pub const RESET: u16 = 0xcf9;
/// What a guest writes there to reset its VM.
pub const RESET_VALUE: u8 = 6;

/// The RAM below 4 GiB of a VM that has `memory_bytes`.
#[must_use]
pub const fn low_ram(memory_bytes: u64) -> Region {
    let end = if memory_bytes < LOW_RAM_MAX { memory_bytes } else { LOW_RAM_MAX };
    Region { start: GuestPhysAddr(0), end: GuestPhysAddr(end) }
}

/// The RAM from 4 GiB on of a VM that has `memory_bytes`; it may be empty.
#[must_use]
pub const fn high_ram(memory_bytes: u64) -> Region {
    let bytes = memory_bytes.saturating_sub(LOW_RAM_MAX);
    Region { start: GuestPhysAddr(HIGH_RAM), end: GuestPhysAddr(HIGH_RAM.saturating_add(bytes)) }
}

const _: () = assert!(VIRTIO + VIRTIO_STEP * VIRTIO_SLOTS <= IOAPIC);
const _: () = assert!(PM_CONTROL == PM_EVENT + 4 && PM_TIMER.is_multiple_of(4));
const _: () = assert!(FIRMWARE.is_multiple_of(4096) && FIRMWARE_END == 1 << 20);
