//! The device tree that a guest of the `virt` machine gets.
//!
//! Its shape, names and order of cells follow what QEMU generates for its machine of this name,
//! because guests were tested against that. The bindings are those of Linux,
//! Documentation/devicetree/bindings.

use crate::virt_map::{self, GicVersion, Ppi, Spi, Window};
use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use hv_core::guest::GuestPhysAddr;
use vm_fdt::FdtWriter;

/// What differs between two guests' device trees.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// How many vCPUs there are; their affinity is their index.
    pub vcpus: u8,
    /// RAM, from `virt_map::RAM_BASE`.
    pub memory_bytes: u64,
    /// The interrupt controller.
    pub gic: GicVersion,
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// Where the initial RAM disk is, from its first byte to behind its last.
    pub initrd: Option<Range<GuestPhysAddr>>,
    /// How many virtio slots have a device.
    pub virtio_slots: u32,
    /// Randomness for the guest's generator; none if empty.
    pub rng_seed: &'a [u8],
    /// Randomness for the place of the kernel; `None` keeps it where it was loaded.
    pub kaslr_seed: Option<u64>,
}

/// The device tree could not be written.
#[derive(Debug)]
pub struct FdtError(vm_fdt::Error);

impl fmt::Display for FdtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device tree: {}", self.0)
    }
}

impl core::error::Error for FdtError {}

impl From<vm_fdt::Error> for FdtError {
    fn from(error: vm_fdt::Error) -> Self {
        Self(error)
    }
}

type Written = Result<(), vm_fdt::Error>;

/// Names of nodes that others refer to.
mod phandle {
    pub(super) const GIC: u32 = 1;
    pub(super) const CLOCK: u32 = 2;
    pub(super) const GPIO: u32 = 3;
}

/// First cell of an interrupt: shared or private.
const SHARED: u32 = 0;
const PRIVATE: u32 = 1;
/// Third cell of an interrupt: edge-triggered.
const EDGE_RISING: u32 = 1;
/// Third cell of an interrupt: active high and level-triggered.
const LEVEL_HIGH: u32 = 4;

/// `KEY_POWER` of Linux, include/uapi/linux/input-event-codes.h.
const KEY_POWER: u32 = 116;

/// Writes the device tree of `machine`.
///
/// # Errors
///
/// If the command line contains a zero byte, or the tree gets larger than its format allows.
pub fn build(machine: &Machine<'_>) -> Result<Vec<u8>, FdtError> {
    let mut fdt = FdtWriter::new()?;
    let root = fdt.begin_node("")?;
    fdt.property_u32("interrupt-parent", phandle::GIC)?;
    fdt.property_string("model", "linux,dummy-virt")?;
    fdt.property_string("compatible", "linux,dummy-virt")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    chosen(&mut fdt, machine)?;
    aliases(&mut fdt)?;
    psci(&mut fdt)?;
    memory(&mut fdt, machine)?;
    cpus(&mut fdt, machine)?;
    timer(&mut fdt, machine)?;
    gic(&mut fdt, machine)?;
    clock(&mut fdt)?;
    serial(&mut fdt)?;
    real_time_clock(&mut fdt)?;
    gpio(&mut fdt)?;
    power_key(&mut fdt)?;
    virtio(&mut fdt, machine)?;
    fdt.end_node(root)?;
    Ok(fdt.finish()?)
}

fn chosen(fdt: &mut FdtWriter, machine: &Machine<'_>) -> Written {
    let node = fdt.begin_node("chosen")?;
    fdt.property_string("bootargs", machine.cmdline)?;
    fdt.property_string("stdout-path", &path("pl011", virt_map::PL011))?;
    if let Some(initrd) = &machine.initrd {
        fdt.property_u64("linux,initrd-start", initrd.start.0)?;
        fdt.property_u64("linux,initrd-end", initrd.end.0)?;
    }
    if !machine.rng_seed.is_empty() {
        fdt.property("rng-seed", machine.rng_seed)?;
    }
    if let Some(seed) = machine.kaslr_seed {
        fdt.property_u64("kaslr-seed", seed)?;
    }
    fdt.end_node(node)
}

fn aliases(fdt: &mut FdtWriter) -> Written {
    let node = fdt.begin_node("aliases")?;
    fdt.property_string("serial0", &path("pl011", virt_map::PL011))?;
    fdt.end_node(node)
}

/// Bindings: arm/psci.yaml. The numbers are for guests that know PSCI 0.1 only.
fn psci(fdt: &mut FdtWriter) -> Written {
    let node = fdt.begin_node("psci")?;
    strings(fdt, "compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"])?;
    fdt.property_string("method", "hvc")?;
    fdt.property_u32("cpu_suspend", 0xc400_0001)?;
    fdt.property_u32("cpu_off", 0x8400_0002)?;
    fdt.property_u32("cpu_on", 0xc400_0003)?;
    fdt.end_node(node)
}

fn memory(fdt: &mut FdtWriter, machine: &Machine<'_>) -> Written {
    let node = fdt.begin_node(&format!("memory@{:x}", virt_map::RAM_BASE.0))?;
    fdt.property_string("device_type", "memory")?;
    fdt.property_array_u64("reg", &[virt_map::RAM_BASE.0, machine.memory_bytes])?;
    fdt.end_node(node)
}

fn cpus(fdt: &mut FdtWriter, machine: &Machine<'_>) -> Written {
    let node = fdt.begin_node("cpus")?;
    fdt.property_u32("#address-cells", 1)?;
    fdt.property_u32("#size-cells", 0)?;
    for index in 0..u32::from(machine.vcpus) {
        let cpu = fdt.begin_node(&format!("cpu@{index:x}"))?;
        fdt.property_string("device_type", "cpu")?;
        fdt.property_string("compatible", "arm,armv8")?;
        fdt.property_u32("reg", index)?;
        fdt.property_string("enable-method", "psci")?;
        fdt.end_node(cpu)?;
    }
    fdt.end_node(node)
}

/// Bindings: timer/arm,arch_timer.yaml. Their order is fixed, so the two that no guest gets are
/// named as well. With GICv2, bits 15 to 8 of the third cell say which CPUs have the interrupt.
fn timer(fdt: &mut FdtWriter, machine: &Machine<'_>) -> Written {
    let every_cpu = (1 << machine.vcpus.min(virt_map::MAX_VCPUS)) - 1;
    let flags = match machine.gic {
        GicVersion::V2 => every_cpu << 8 | LEVEL_HIGH,
        GicVersion::V3 => LEVEL_HIGH,
    };
    let ppi = |ppi: Ppi| [PRIVATE, ppi.0, flags];
    let interrupts = [
        ppi(virt_map::TIMER_SECURE_PPI),
        ppi(virt_map::TIMER_PHYSICAL_PPI),
        ppi(virt_map::TIMER_VIRTUAL_PPI),
        ppi(virt_map::TIMER_HYPERVISOR_PPI),
    ];
    let node = fdt.begin_node("timer")?;
    strings(fdt, "compatible", &["arm,armv8-timer", "arm,armv7-timer"])?;
    fdt.property_array_u32("interrupts", interrupts.as_flattened())?;
    fdt.property_null("always-on")?;
    fdt.end_node(node)
}

/// Bindings: interrupt-controller/arm,gic.yaml and arm,gic-v3.yaml.
fn gic(fdt: &mut FdtWriter, machine: &Machine<'_>) -> Written {
    let node = fdt.begin_node(&name("intc", virt_map::GICD))?;
    fdt.property_phandle(phandle::GIC)?;
    let distributor = virt_map::GICD;
    let (compatible, second) = match machine.gic {
        GicVersion::V2 => ("arm,cortex-a15-gic", virt_map::GICC),
        GicVersion::V3 => {
            fdt.property_u32("#redistributor-regions", 1)?;
            let all =
                Window { size: virt_map::GICR.size * u64::from(machine.vcpus), ..virt_map::GICR };
            ("arm,gic-v3", all)
        }
    };
    fdt.property_string("compatible", compatible)?;
    let reg = [distributor.base.0, distributor.size, second.base.0, second.size];
    fdt.property_array_u64("reg", &reg)?;
    fdt.property_null("interrupt-controller")?;
    fdt.property_u32("#interrupt-cells", 3)?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    fdt.property_null("ranges")?;
    fdt.end_node(node)
}

fn clock(fdt: &mut FdtWriter) -> Written {
    let node = fdt.begin_node("apb-pclk")?;
    fdt.property_phandle(phandle::CLOCK)?;
    fdt.property_string("compatible", "fixed-clock")?;
    fdt.property_u32("#clock-cells", 0)?;
    fdt.property_u32("clock-frequency", virt_map::APB_CLOCK_HZ)?;
    fdt.property_string("clock-output-names", "clk24mhz")?;
    fdt.end_node(node)
}

/// Bindings: serial/pl011.yaml.
fn serial(fdt: &mut FdtWriter) -> Written {
    let node = fdt.begin_node(&name("pl011", virt_map::PL011))?;
    primecell(fdt, "arm,pl011", virt_map::PL011, virt_map::PL011_SPI)?;
    fdt.property_array_u32("clocks", &[phandle::CLOCK, phandle::CLOCK])?;
    strings(fdt, "clock-names", &["uartclk", "apb_pclk"])?;
    fdt.end_node(node)
}

/// Bindings: rtc/arm,pl031.yaml.
fn real_time_clock(fdt: &mut FdtWriter) -> Written {
    let node = fdt.begin_node(&name("pl031", virt_map::PL031))?;
    primecell(fdt, "arm,pl031", virt_map::PL031, virt_map::PL031_SPI)?;
    fdt.property_u32("clocks", phandle::CLOCK)?;
    fdt.property_string("clock-names", "apb_pclk")?;
    fdt.end_node(node)
}

/// Bindings: gpio/pl061-gpio.yaml.
fn gpio(fdt: &mut FdtWriter) -> Written {
    let node = fdt.begin_node(&name("pl061", virt_map::PL061))?;
    fdt.property_phandle(phandle::GPIO)?;
    primecell(fdt, "arm,pl061", virt_map::PL061, virt_map::PL061_SPI)?;
    fdt.property_u32("clocks", phandle::CLOCK)?;
    fdt.property_string("clock-names", "apb_pclk")?;
    fdt.property_null("gpio-controller")?;
    fdt.property_u32("#gpio-cells", 2)?;
    fdt.end_node(node)
}

/// Bindings: input/gpio-keys.yaml. The last cell of `gpios` says that high is pressed.
fn power_key(fdt: &mut FdtWriter) -> Written {
    let keys = fdt.begin_node("gpio-keys")?;
    fdt.property_string("compatible", "gpio-keys")?;
    let key = fdt.begin_node("poweroff")?;
    fdt.property_string("label", "GPIO Key Poweroff")?;
    fdt.property_u32("linux,code", KEY_POWER)?;
    let line = u32::from(virt_map::POWER_KEY_LINE);
    fdt.property_array_u32("gpios", &[phandle::GPIO, line, 0])?;
    fdt.end_node(key)?;
    fdt.end_node(keys)
}

/// Bindings: virtio/mmio.yaml. Slots without a device are left out.
fn virtio(fdt: &mut FdtWriter, machine: &Machine<'_>) -> Written {
    for index in 0..machine.virtio_slots.min(virt_map::VIRTIO_SLOTS) {
        let (window, spi) = virt_map::virtio_slot(index);
        let node = fdt.begin_node(&name("virtio_mmio", window))?;
        fdt.property_string("compatible", "virtio,mmio")?;
        fdt.property_array_u64("reg", &[window.base.0, window.size])?;
        fdt.property_array_u32("interrupts", &[SHARED, spi.0, EDGE_RISING])?;
        fdt.property_null("dma-coherent")?;
        fdt.end_node(node)?;
    }
    Ok(())
}

/// What all PrimeCells' nodes have.
fn primecell(fdt: &mut FdtWriter, compatible: &str, window: Window, spi: Spi) -> Written {
    strings(fdt, "compatible", &[compatible, "arm,primecell"])?;
    fdt.property_array_u64("reg", &[window.base.0, window.size])?;
    fdt.property_array_u32("interrupts", &[SHARED, spi.0, LEVEL_HIGH])
}

fn strings(fdt: &mut FdtWriter, property: &str, values: &[&str]) -> Written {
    fdt.property_string_list(property, values.iter().map(|&value| value.into()).collect())
}

fn name(kind: &str, window: Window) -> alloc::string::String {
    format!("{kind}@{:x}", window.base.0)
}

fn path(kind: &str, window: Window) -> alloc::string::String {
    format!("/{}", name(kind, window))
}

#[cfg(test)]
mod tests;
