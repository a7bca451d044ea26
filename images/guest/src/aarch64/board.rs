//! What the device tree says about the machine.

use fdt::Fdt;
use fdt::node::FdtNode;

use super::mmio::Registers;
use super::psci::Conduit;
use crate::board::{Board, MAX_CPUS, Range};

/// Where QEMU puts the device tree for a kernel that is no Linux image: at the start of RAM.
const DEVICE_TREE_WITHOUT_A_POINTER: usize = 0x4000_0000;

/// Where the interrupt controller's parts are.
#[derive(Clone, Copy, Debug)]
pub enum GicAt {
    /// GICv2.
    V2 {
        /// The distributor.
        distributor: Registers,
        /// The CPU interface, which each CPU sees its own of.
        cpu: Registers,
    },
    /// GICv3, whose CPU interface is system registers.
    V3 {
        /// The distributor.
        distributor: Registers,
        /// The first CPU's redistributor; the others' follow.
        redistributors: Registers,
    },
}

/// The private interrupts of the generic timer, as interrupt ids.
#[derive(Clone, Copy, Debug)]
pub struct TimerInterrupts {
    /// Of the EL1 physical timer (CNTP).
    pub physical: u32,
    /// Of the virtual timer (CNTV).
    pub virtual_: u32,
}

/// What an AArch64 machine has beside what all have.
#[derive(Debug)]
pub struct Devices {
    /// The console's interrupt id.
    pub uart_interrupt: Option<u32>,
    /// The real-time clock: a PL031.
    pub rtc: Option<Registers>,
    /// The interrupt controller.
    pub gic: Option<GicAt>,
    /// The timer's interrupts.
    pub timer: TimerInterrupts,
    /// How PSCI is called.
    pub conduit: Conduit,
}

/// Reads the device tree at `address`, or where QEMU puts one.
pub(crate) fn discover(address: usize) -> Option<Board> {
    let (tree, at) = tree_at(address).map(|tree| (tree, address)).or_else(|| {
        Some((tree_at(DEVICE_TREE_WITHOUT_A_POINTER)?, DEVICE_TREE_WITHOUT_A_POINTER))
    })?;
    let memory = tree
        .find_node("/memory")
        .or_else(|| tree.all_nodes().find(|node| text(node, "device_type") == Some("memory")))?;
    let uart = tree.find_compatible(&["arm,pl011"])?;
    let mut cpus = [0; MAX_CPUS];
    let mut cpu_count = 0;
    for (slot, cpu) in cpus.iter_mut().zip(tree.cpus()) {
        *slot = cpu.ids().first() as u64;
        cpu_count += 1;
    }
    Some(Board {
        ram: first_range(&memory)?,
        used: Some(Range { start: at, size: tree.total_size() }),
        initrd: initrd(&tree),
        console: registers(&uart, 0)?,
        devices: Devices {
            uart_interrupt: interrupt(&uart, 0),
            rtc: tree.find_compatible(&["arm,pl031"]).and_then(|node| registers(&node, 0)),
            gic: gic(&tree),
            timer: timer(&tree),
            conduit: conduit(&tree),
        },
        arguments: tree.chosen().bootargs().unwrap_or(""),
        cpu_count,
        cpus,
    })
}

fn tree_at(address: usize) -> Option<Fdt<'static>> {
    if address == 0 || !address.is_multiple_of(8) {
        return None;
    }
    let pointer: *const u8 = core::ptr::without_provenance(address);
    // SAFETY: the loader's protocol says that there is a device tree; a wrong magic number is an error here.
    unsafe { Fdt::from_ptr(pointer) }.ok()
}

fn text<'a>(node: &FdtNode<'_, 'a>, name: &str) -> Option<&'a str> {
    node.property(name)?.as_str()
}

fn first_range(node: &FdtNode<'_, '_>) -> Option<Range> {
    let region = node.reg()?.next()?;
    Some(Range { start: region.starting_address.addr(), size: region.size? })
}

fn registers(node: &FdtNode<'_, '_>, index: usize) -> Option<Registers> {
    let region = node.reg()?.nth(index)?;
    // SAFETY: the device tree says that these are device registers.
    Some(unsafe { Registers::new(region.starting_address.addr()) })
}

/// The id of a device's interrupt: cells are (kind, number, flags), kind 0 a shared one, 1 a private one.
fn interrupt(node: &FdtNode<'_, '_>, index: usize) -> Option<u32> {
    let cells = node.property("interrupts")?.value;
    let cell = |number: usize| {
        let bytes = cells.get(number * 4..number * 4 + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let base = if cell(index * 3)? == 0 { 32 } else { 16 };
    Some(base + cell(index * 3 + 1)?)
}

fn initrd(tree: &Fdt<'_>) -> Option<Range> {
    let chosen = tree.find_node("/chosen")?;
    let address = |name| {
        let bytes = chosen.property(name)?.value;
        Some(bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    };
    let start: usize = address("linux,initrd-start")?;
    Some(Range { start, size: address("linux,initrd-end")?.checked_sub(start)? })
}

fn gic(tree: &Fdt<'_>) -> Option<GicAt> {
    if let Some(node) = tree.find_compatible(&["arm,gic-v3"]) {
        let (distributor, redistributors) = (registers(&node, 0)?, registers(&node, 1)?);
        return Some(GicAt::V3 { distributor, redistributors });
    }
    let node = tree.find_compatible(&["arm,cortex-a15-gic", "arm,gic-400"])?;
    Some(GicAt::V2 { distributor: registers(&node, 0)?, cpu: registers(&node, 1)? })
}

/// The binding's order: secure physical, non-secure physical, virtual, hypervisor's.
fn timer(tree: &Fdt<'_>) -> TimerInterrupts {
    let node = tree.find_compatible(&["arm,armv8-timer", "arm,armv7-timer"]);
    let id = |index, default| node.as_ref().and_then(|n| interrupt(n, index)).unwrap_or(default);
    TimerInterrupts { physical: id(1, 30), virtual_: id(2, 27) }
}

fn conduit(tree: &Fdt<'_>) -> Conduit {
    match tree.find_node("/psci").and_then(|node| text(&node, "method")) {
        Some("smc") => Conduit::Smc,
        _ => Conduit::Hvc,
    }
}
