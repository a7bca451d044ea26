//! What machine this is, from the device tree that the boot loader hands over. Devicetree
//! specification 0.4; bindings of Linux for `arm,pl011`, `arm,gic-v3`, `arm,cortex-a15-gic`,
//! `arm,armv8-timer`, `arm,psci`.
//!
//! The tree is not trusted: its structure is [checked](check) before the parser, which assumes a good one, sees it.

use super::psci::Conduit;
use crate::machine::Range;
use crate::mmio::Mmio;
use core::fmt;
use fdt::Fdt;
use fdt::node::FdtNode;

mod check;
pub(super) use check::checked_size;

/// Most CPUs that are used.
pub(super) const MAX_CPUS: usize = 64;
const MAX_REGIONS: usize = 32;
/// Most windows of virtio devices that are looked at.
const MAX_VIRTIO: usize = 64;

/// A list with room for [`MAX_REGIONS`], since there is no heap yet.
pub(super) type Regions = [Option<Range>; MAX_REGIONS];

/// An interrupt of the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Interrupt {
    /// 16 to 31 for private ones, 32 to 1019 for shared ones.
    pub(super) intid: u32,
    pub(super) trigger: Trigger,
}

/// What makes an interrupt pending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trigger {
    Level,
    Edge,
}

/// A PL011 UART.
#[derive(Clone, Copy, Debug)]
pub(super) struct UartNode {
    pub(super) registers: Range,
    pub(super) interrupt: Option<Interrupt>,
    /// The frequency of its clock, by which its baud rate is divided.
    pub(super) clock_hz: Option<u32>,
}

/// Registers of a GICv2.
#[derive(Clone, Debug)]
pub(super) struct GicV2Node {
    pub(super) distributor: Mmio,
    pub(super) cpu: Mmio,
    pub(super) control: Mmio,
    /// The virtual CPU interface, which guests get in place of a CPU interface.
    pub(super) virtual_cpu: Range,
}

/// Registers of a GICv3.
#[derive(Clone, Debug)]
pub(super) struct GicV3Node {
    pub(super) distributor: Mmio,
    pub(super) redistributors: [Option<Mmio>; 8],
}

/// The interrupt controller.
#[derive(Clone, Debug)]
pub(super) enum GicNode {
    V2(GicV2Node),
    V3(GicV3Node),
}

/// Where a virtio device may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct VirtioNode {
    pub(super) registers: Range,
    pub(super) interrupt: Option<Interrupt>,
}

/// A PCI Express host bridge whose configuration space is in memory (binding `pci-host-ecam-generic`).
#[derive(Clone, Copy, Debug)]
pub(super) struct PciNode {
    /// The configuration space of all its buses.
    pub(super) config: Range,
    /// Where 32-bit BARs can be, at the same address for the CPU and on the bus.
    pub(super) window: Option<Range>,
    /// Which interrupt a device's pin is: the properties `interrupt-map` and `interrupt-map-mask`.
    pub(super) map: &'static [u8],
    pub(super) mask: &'static [u8],
    /// How many cells an address of the interrupt controller has in that map.
    pub(super) parent_cells: usize,
}

/// All that Roost uses of the machine.
#[derive(Clone, Debug)]
pub(super) struct Platform {
    pub(super) device_tree: Range,
    pub(super) model: &'static str,
    pub(super) ram: Regions,
    /// In RAM, and not ours to hand out.
    pub(super) reserved: Regions,
    /// In RAM, and not ours to map either.
    pub(super) no_map: Regions,
    /// Registers to map.
    pub(super) devices: Regions,
    pub(super) uart: Option<UartNode>,
    pub(super) gic: Option<GicNode>,
    pub(super) maintenance: Option<Interrupt>,
    pub(super) virtual_timer: Option<Interrupt>,
    pub(super) hypervisor_timer: Option<Interrupt>,
    pub(super) conduit: Option<Conduit>,
    /// The affinity fields of each CPU's `MPIDR_EL1`.
    pub(super) cpus: [Option<u64>; MAX_CPUS],
    /// CPUs beyond [`MAX_CPUS`], which stay off.
    pub(super) surplus_cpus: usize,
    pub(super) initrd: Option<Range>,
    pub(super) bootargs: &'static str,
    /// A real-time clock PL031.
    pub(super) rtc: Option<Range>,
    pub(super) virtio: [Option<VirtioNode>; MAX_VIRTIO],
    pub(super) pci: Option<PciNode>,
}

/// Why the machine cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DiscoveryError {
    /// There is no device tree at the address in `x0`.
    NoDeviceTree,
    /// Its structure is damaged.
    BadDeviceTree(&'static str),
    /// A node that Roost needs is missing.
    Missing(&'static str),
    /// There is more of something than Roost can note down.
    TooMany(&'static str),
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDeviceTree => f.write_str("there is no device tree at the address in x0"),
            Self::BadDeviceTree(what) => write!(f, "the device tree is damaged: {what}"),
            Self::Missing(what) => write!(f, "the device tree names no {what}"),
            Self::TooMany(what) => write!(f, "the device tree has too many {what}"),
        }
    }
}

/// Reads the machine from the blob `tree`, which lies at `addr`. Finds the UART even if it then fails
/// for want of something else, so that the failure can be told.
pub(super) fn discover(tree: &'static [u8], addr: u64) -> (Platform, Result<(), DiscoveryError>) {
    let mut platform = Platform {
        device_tree: Range { start: addr, end: addr + tree.len() as u64 },
        model: "",
        ram: [None; MAX_REGIONS],
        reserved: [None; MAX_REGIONS],
        no_map: [None; MAX_REGIONS],
        devices: [None; MAX_REGIONS],
        uart: None,
        gic: None,
        maintenance: None,
        virtual_timer: None,
        hypervisor_timer: None,
        conduit: None,
        cpus: [None; MAX_CPUS],
        surplus_cpus: 0,
        initrd: None,
        bootargs: "",
        rtc: None,
        virtio: [None; MAX_VIRTIO],
        pci: None,
    };
    let result = platform.fill(tree);
    (platform, result)
}

impl Platform {
    fn fill(&mut self, tree: &'static [u8]) -> Result<(), DiscoveryError> {
        check::check(tree).map_err(DiscoveryError::BadDeviceTree)?;
        let fdt = Fdt::new(tree).map_err(|_| DiscoveryError::BadDeviceTree("header"))?;
        for reservation in fdt.memory_reservations() {
            let start = reservation.address().addr() as u64;
            add(&mut self.reserved, range(start, reservation.size() as u64), "reservations")?;
        }
        let mut consoles = Consoles::default();
        // All nodes are read even if one is at fault: the UART that is to tell of it may come later.
        let mut result = Ok(());
        for node in fdt.all_nodes() {
            result = result.and(self.node(&fdt, node, &mut consoles));
        }
        self.uart = consoles.chosen();
        result?;
        add(&mut self.devices, self.uart.map(|uart| uart.registers), "devices")?;
        add(&mut self.devices, self.rtc, "devices")?;
        self.complete()
    }

    fn node(
        &mut self,
        fdt: &Fdt<'static>,
        node: FdtNode<'_, 'static>,
        consoles: &mut Consoles,
    ) -> Result<(), DiscoveryError> {
        match node.name.split('@').next().unwrap_or("") {
            "/" | "" => self.model = text(node, "model").unwrap_or(""),
            "chosen" => consoles.stdout = self.chosen(node),
            "reserved-memory" => {
                for child in node.children() {
                    self.reserved_memory(child)?;
                }
                return Ok(());
            }
            _ => {}
        }
        let is_enabled = text(node, "status").is_none_or(|status| status.starts_with("ok"));
        if !is_enabled {
            return Ok(());
        }
        match text(node, "device_type") {
            Some("memory") => self.memory(node)?,
            Some("cpu") => self.cpu(node),
            _ => {}
        }
        for compatible in strings(node, "compatible") {
            match compatible {
                "arm,pl011" => consoles.add(node.name, uart(fdt, node)),
                "virtio,mmio" => self.virtio(node),
                "pci-host-ecam-generic" => self.pci = self.pci.or_else(|| pci(fdt, node)),
                "arm,pl031" => self.rtc = registers(node, 0),
                "arm,gic-v3" => self.gic_v3(node)?,
                "arm,cortex-a15-gic" | "arm,gic-400" | "arm,cortex-a7-gic" => self.gic_v2(node)?,
                "arm,armv8-timer" => {
                    self.virtual_timer = interrupt(node, 2);
                    self.hypervisor_timer = interrupt(node, 3);
                }
                "arm,psci" | "arm,psci-0.2" | "arm,psci-1.0" => {
                    self.conduit = match text(node, "method") {
                        Some("hvc") => Some(Conduit::Hvc),
                        Some("smc") => Some(Conduit::Smc),
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn complete(&self) -> Result<(), DiscoveryError> {
        let needed = [
            (self.uart.is_some(), "PL011 UART"),
            (self.ram.iter().any(Option::is_some), "memory"),
            (self.gic.is_some(), "interrupt controller (GICv2 or GICv3)"),
            (self.maintenance.is_some(), "maintenance interrupt of the GIC"),
            (self.virtual_timer.is_some(), "virtual timer interrupt"),
            (self.hypervisor_timer.is_some(), "hypervisor timer interrupt"),
        ];
        match needed.iter().find(|(is_there, _)| !is_there) {
            Some((_, what)) => Err(DiscoveryError::Missing(what)),
            None => Ok(()),
        }
    }

    /// Returns the path of the console, without options such as `:115200`.
    fn chosen(&mut self, node: FdtNode<'_, 'static>) -> Option<&'static str> {
        self.bootargs = text(node, "bootargs").unwrap_or("");
        let start = integer(node, "linux,initrd-start");
        let end = integer(node, "linux,initrd-end");
        if let (Some(start), Some(end)) = (start, end)
            && start < end
        {
            self.initrd = Some(Range { start, end });
        }
        text(node, "stdout-path").and_then(|path| path.split(':').next())
    }

    fn reserved_memory(&mut self, node: FdtNode<'_, 'static>) -> Result<(), DiscoveryError> {
        for region in node.reg().into_iter().flatten() {
            let range =
                range(region.starting_address.addr() as u64, region.size.unwrap_or(0) as u64);
            add(&mut self.reserved, range, "reserved regions")?;
            if node.property("no-map").is_some() {
                add(&mut self.no_map, range, "reserved regions")?;
            }
        }
        Ok(())
    }

    fn memory(&mut self, node: FdtNode<'_, 'static>) -> Result<(), DiscoveryError> {
        for region in node.reg().into_iter().flatten() {
            let start = region.starting_address.addr() as u64;
            add(&mut self.ram, range(start, region.size.unwrap_or(0) as u64), "memory regions")?;
        }
        Ok(())
    }

    fn cpu(&mut self, node: FdtNode<'_, 'static>) {
        let Some(reg) = node.property("reg") else { return };
        let mpidr = match *reg.value {
            [a, b, c, d] => u64::from(u32::from_be_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return,
        };
        match self.cpus.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(mpidr),
            None => self.surplus_cpus += 1,
        }
    }

    /// Windows beyond [`MAX_VIRTIO`] are not looked at.
    fn virtio(&mut self, node: FdtNode<'_, 'static>) {
        let slot = self.virtio.iter_mut().find(|slot| slot.is_none());
        if let (Some(registers), Some(slot)) = (registers(node, 0), slot) {
            *slot = Some(VirtioNode { registers, interrupt: interrupt(node, 0) });
        }
    }

    fn gic_v3(&mut self, node: FdtNode<'_, 'static>) -> Result<(), DiscoveryError> {
        let distributor = registers(node, 0).ok_or(DiscoveryError::Missing("GIC distributor"))?;
        add(&mut self.devices, Some(distributor), "devices")?;
        let count = integer(node, "#redistributor-regions").unwrap_or(1).min(8);
        let mut redistributors = [None; 8];
        for (slot, index) in redistributors.iter_mut().zip(1..=count) {
            if let Some(region) = registers(node, index as usize) {
                add(&mut self.devices, Some(region), "devices")?;
                *slot = Some(region.device());
            }
        }
        self.maintenance = interrupt(node, 0);
        let distributor = distributor.device();
        self.gic = Some(GicNode::V3(GicV3Node { distributor, redistributors }));
        Ok(())
    }

    fn gic_v2(&mut self, node: FdtNode<'_, 'static>) -> Result<(), DiscoveryError> {
        let part = |index| {
            registers(node, index)
                .ok_or(DiscoveryError::Missing("virtual interface of the GIC (GICH and GICV)"))
        };
        let parts = [part(0)?, part(1)?, part(2)?, part(3)?];
        for range in parts.iter().take(3) {
            add(&mut self.devices, Some(*range), "devices")?;
        }
        let [distributor, cpu, control, virtual_cpu] = parts;
        self.maintenance = interrupt(node, 0);
        self.gic = Some(GicNode::V2(GicV2Node {
            distributor: distributor.device(),
            cpu: cpu.device(),
            control: control.device(),
            virtual_cpu,
        }));
        Ok(())
    }
}

/// The UARTs of the machine, by the names of their nodes, and the path of that which is its console.
#[derive(Default)]
struct Consoles {
    stdout: Option<&'static str>,
    uarts: [Option<(&'static str, UartNode)>; 4],
}

impl Consoles {
    fn add(&mut self, name: &'static str, uart: Option<UartNode>) {
        if let Some(slot) = self.uarts.iter_mut().find(|slot| slot.is_none()) {
            *slot = uart.map(|uart| (name, uart));
        }
    }

    /// The console, or the first UART if the tree does not say.
    fn chosen(&self) -> Option<UartNode> {
        let is_stdout = |name: &str| self.stdout.is_some_and(|path| path.ends_with(name));
        let mut uarts = self.uarts.iter().flatten();
        let console = uarts.clone().find(|(name, _)| is_stdout(name)).or(uarts.next());
        console.map(|&(_, uart)| uart)
    }
}

fn uart(fdt: &Fdt<'static>, node: FdtNode<'_, 'static>) -> Option<UartNode> {
    let registers = registers(node, 0)?;
    Some(UartNode { registers, interrupt: interrupt(node, 0), clock_hz: clock(fdt, node) })
}

fn range(start: u64, size: u64) -> Option<Range> {
    let end = start.checked_add(size)?;
    (size > 0).then_some(Range { start, end })
}

fn add(
    regions: &mut Regions,
    range: Option<Range>,
    what: &'static str,
) -> Result<(), DiscoveryError> {
    let Some(range) = range else { return Ok(()) };
    let slot = regions.iter_mut().find(|slot| slot.is_none());
    *slot.ok_or(DiscoveryError::TooMany(what))? = Some(range);
    Ok(())
}

/// Region `index` of a node's `reg`, in the address space of the root: buses with `ranges` that move
/// addresses are not followed.
fn registers(node: FdtNode<'_, 'static>, index: usize) -> Option<Range> {
    let region = node.reg()?.nth(index)?;
    range(region.starting_address.addr() as u64, region.size? as u64)
}

fn strings(node: FdtNode<'_, 'static>, name: &str) -> impl Iterator<Item = &'static str> {
    let value = node.property(name).map_or(&[][..], |property| property.value);
    value
        .split(|&byte| byte == 0)
        .filter_map(|part| core::str::from_utf8(part).ok())
        .filter(|part| !part.is_empty())
}

fn text(node: FdtNode<'_, 'static>, name: &str) -> Option<&'static str> {
    strings(node, name).next()
}

fn integer(node: FdtNode<'_, 'static>, name: &str) -> Option<u64> {
    match *node.property(name)?.value {
        [a, b, c, d] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

/// The frequency of the first clock of a node.
fn clock(fdt: &Fdt<'static>, node: FdtNode<'_, 'static>) -> Option<u32> {
    let phandle = node.property("clocks")?.value.first_chunk().copied().map(u32::from_be_bytes)?;
    let is_it = |node: &FdtNode<'_, 'static>| integer(*node, "phandle") == Some(u64::from(phandle));
    let clock = fdt.all_nodes().find(is_it)?;
    u32::try_from(integer(clock, "clock-frequency")?).ok()
}

/// Interrupt `index` of a node.
fn interrupt(node: FdtNode<'_, 'static>, index: usize) -> Option<Interrupt> {
    gic_interrupt(node.property("interrupts")?.value.chunks_exact(12).nth(index)?)
}

/// An interrupt of three cells: type (0 shared, 1 private), number and flags, as the GIC's binding has it.
fn gic_interrupt(cells: &[u8]) -> Option<Interrupt> {
    let intid = match cell(cells, 0)? {
        0 => cell(cells, 1)?.checked_add(32)?,
        1 => cell(cells, 1)?.checked_add(16).filter(|&intid| intid < 32)?,
        _ => return None,
    };
    const EDGE: u32 = 0b0011;
    let trigger = if cell(cells, 2)? & EDGE != 0 { Trigger::Edge } else { Trigger::Level };
    (intid < 1020).then_some(Interrupt { intid, trigger })
}

/// Cell `at` of a property's value.
fn cell(value: &[u8], at: usize) -> Option<u32> {
    let bytes = value.get(4 * at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

fn wide_cell(value: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(cell(value, at)?) << 32 | u64::from(cell(value, at + 1)?))
}

/// IEEE 1275, PCI bus binding 2.1: an address has three cells, the first of which says of what kind it is.
fn pci(fdt: &Fdt<'static>, node: FdtNode<'_, 'static>) -> Option<PciNode> {
    const RANGE_BYTES: usize = 7 * 4;
    const SPACE: u32 = 3 << 24;
    const MEMORY_32: u32 = 2 << 24;
    let value = |name: &str| node.property(name).map_or(&[][..], |property| property.value);
    let window = value("ranges").chunks_exact(RANGE_BYTES).find_map(|entry| {
        let (on_bus, for_cpu) = (wide_cell(entry, 1)?, wide_cell(entry, 3)?);
        let is_ours = cell(entry, 0)? & SPACE == MEMORY_32 && on_bus == for_cpu;
        range(for_cpu, wide_cell(entry, 5)?).filter(|_| is_ours)
    });
    let map = value("interrupt-map");
    // The parent of the first entry, which is that of all.
    let parent = cell(map, 4).and_then(|phandle| {
        fdt.all_nodes().find(|node| integer(*node, "phandle") == Some(u64::from(phandle)))
    });
    let parent_cells = parent.and_then(|parent| integer(parent, "#address-cells")).unwrap_or(0);
    Some(PciNode {
        config: registers(node, 0)?,
        window,
        map,
        mask: value("interrupt-map-mask"),
        parent_cells: parent_cells.min(2) as usize,
    })
}

impl PciNode {
    /// The interrupt of pin `pin` (1 is INTA) of device `device` on the first bus.
    pub(super) fn interrupt(&self, device: u8, pin: u8) -> Option<Interrupt> {
        // Address, pin, phandle; the parent's address; the GIC's three.
        let entry_cells = 5 + self.parent_cells + 3;
        let address = u32::from(device) << 11 & cell(self.mask, 0)?;
        let pin = u32::from(pin) & cell(self.mask, 3)?;
        self.map
            .chunks_exact(4 * entry_cells)
            .find(|entry| cell(entry, 0) == Some(address) && cell(entry, 3) == Some(pin))
            .and_then(|entry| gic_interrupt(entry.get(4 * (entry_cells - 3)..)?))
    }
}

#[cfg(test)]
mod tests;
