//! Where things are in the `virt` machine: the one place that the bus and the device tree share.
//!
//! The map is that of QEMU's machine of the same name, so that guests built for it run unchanged
//! (QEMU, "docs/system/arm/virt", and the device tree that it generates).

pub use hv_core::arch::aarch64::GicVersion;

use hv_core::guest::GuestPhysAddr;

/// A register window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Address of its first byte.
    pub base: GuestPhysAddr,
    /// Its length in bytes.
    pub size: u64,
}

impl Window {
    const fn new(base: u64, size: u64) -> Self {
        Self { base: GuestPhysAddr(base), size }
    }
}

/// A shared peripheral interrupt, counted from 0 as device trees do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spi(pub u32);

impl Spi {
    /// The interrupt's number at the GIC, where shared interrupts begin at 32.
    #[must_use]
    pub const fn intid(self) -> u32 {
        self.0 + 32
    }
}

/// A private peripheral interrupt, counted from 0 as device trees do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ppi(pub u32);

impl Ppi {
    /// The interrupt's number at the GIC, where private interrupts begin at 16.
    #[must_use]
    pub const fn intid(self) -> u32 {
        self.0 + 16
    }
}

/// The first byte of RAM.
pub const RAM_BASE: GuestPhysAddr = GuestPhysAddr(0x4000_0000);

/// More vCPUs than this do not fit: GICv2 has interfaces for 8 CPUs.
pub const MAX_VCPUS: u8 = 8;

/// The GIC's distributor, both versions. GICv2's registers fill its first 4 KiB only.
pub const GICD: Window = Window::new(0x0800_0000, 0x1_0000);
/// GICv2's CPU interface: 8 KiB of registers.
pub const GICC: Window = Window::new(0x0801_0000, 0x1_0000);
/// The GICv3 redistributor of vCPU 0; those of the others follow.
pub const GICR: Window = Window::new(0x080a_0000, 0x2_0000);

/// The console.
pub const PL011: Window = Window::new(0x0900_0000, 0x1000);
/// The console's interrupt, level-triggered.
pub const PL011_SPI: Spi = Spi(1);

/// The real-time clock.
pub const PL031: Window = Window::new(0x0901_0000, 0x1000);
/// The real-time clock's interrupt, level-triggered.
pub const PL031_SPI: Spi = Spi(2);

/// The GPIO controller that carries the power key.
pub const PL061: Window = Window::new(0x0903_0000, 0x1000);
/// The GPIO controller's interrupt, level-triggered.
pub const PL061_SPI: Spi = Spi(7);
/// The GPIO line of the power key; high while it is pressed.
pub const POWER_KEY_LINE: u8 = 3;

/// The first of the virtio slots; they lie one window apart.
pub const VIRTIO: Window = Window::new(0x0a00_0000, 0x200);
/// The interrupt of the first virtio slot; those of the others follow. Edge-triggered.
pub const VIRTIO_SPI: Spi = Spi(16);
/// How many virtio slots there are.
pub const VIRTIO_SLOTS: u32 = 32;

/// Window and interrupt of virtio slot `index`.
#[must_use]
pub const fn virtio_slot(index: u32) -> (Window, Spi) {
    let base = VIRTIO.base.0 + VIRTIO.size * index as u64;
    (Window::new(base, VIRTIO.size), Spi(VIRTIO_SPI.0 + index))
}

/// The secure physical timer. Device trees must name it, no guest gets it.
pub const TIMER_SECURE_PPI: Ppi = Ppi(13);
/// The non-secure physical timer at EL1 (CNTP).
pub const TIMER_PHYSICAL_PPI: Ppi = Ppi(14);
/// The virtual timer (CNTV).
pub const TIMER_VIRTUAL_PPI: Ppi = Ppi(11);
/// The physical timer at EL2, which no guest gets either.
pub const TIMER_HYPERVISOR_PPI: Ppi = Ppi(10);

/// The clock that the PrimeCells are told to run at.
pub const APB_CLOCK_HZ: u32 = 24_000_000;

// The windows do not overlap, and all redistributors fit under the console.
const _: () = assert!(GICD.base.0 + GICD.size <= GICC.base.0);
const _: () = assert!(GICC.base.0 + GICC.size <= GICR.base.0);
const _: () = assert!(GICR.base.0 + GICR.size * MAX_VCPUS as u64 <= PL011.base.0);
const _: () = assert!(VIRTIO.base.0 + VIRTIO.size * VIRTIO_SLOTS as u64 <= RAM_BASE.0);
