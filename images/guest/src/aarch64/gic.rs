//! The interrupt controller, version 2 (ARM IHI 0048) or 3 (ARM IHI 0069), as far as a guest needs it.

use super::board::GicAt;
use super::mmio::Registers;
use crate::once::Once;
use crate::{read_register, write_register};

/// Ids from here on are answers of the controller, not interrupts.
pub const FIRST_SPECIAL: u32 = 1020;
/// The id in what [`acknowledge`] returns: GICv2 has the sender of an SGI above it.
pub const ID_MASK: u32 = 0x3ff;

/// Offset of the distributor's type register.
pub const GICD_TYPER: usize = 0x004;
const GICD_CTLR: usize = 0x000;
const GICD_IGROUPR: usize = 0x080;
const GICD_ISENABLER: usize = 0x100;
const GICD_ICENABLER: usize = 0x180;
const GICD_IPRIORITYR: usize = 0x400;
const GICD_ITARGETSR: usize = 0x800;
const GICD_SGIR: usize = 0xf00;
const GICD_IROUTER: usize = 0x6000;
const GICC_CTLR: usize = 0x00;
const GICC_PMR: usize = 0x04;
const GICC_IAR: usize = 0x0c;
const GICC_EOIR: usize = 0x10;
const GICR_TYPER: usize = 0x0008;
const GICR_WAKER: usize = 0x0014;
/// The second frame of a redistributor holds the private interrupts' registers.
const GICR_SGI_BASE: usize = 0x1_0000;
const GICR_STRIDE: usize = 0x2_0000;
const GICR_TYPER_LAST: u64 = 1 << 4;
const PRIORITY: u8 = 0x80;

static GIC: Once<GicAt> = Once::new();

pub(crate) fn open(gic: GicAt) {
    GIC.set(gic);
}

/// What it is called.
pub fn name() -> &'static str {
    match GIC.get() {
        Some(GicAt::V2 { .. }) => "GICv2",
        Some(GicAt::V3 { .. }) => "GICv3",
        None => "no GIC",
    }
}

/// The id of the nth interrupt from CPU to CPU; there are 16.
pub const fn ipi(number: u32) -> u32 {
    number % 16
}

/// The distributor.
pub fn distributor() -> Option<Registers> {
    match GIC.get()? {
        GicAt::V2 { distributor, .. } | GicAt::V3 { distributor, .. } => Some(*distributor),
    }
}

/// Turns the controller on for the calling CPU; interrupts stay disabled one by one.
pub fn start() {
    match GIC.get() {
        Some(GicAt::V2 { distributor, cpu }) => {
            distributor.write32(GICD_CTLR, 1);
            cpu.write32(GICC_PMR, 0xff);
            cpu.write32(GICC_CTLR, 1);
        }
        Some(GicAt::V3 { distributor, redistributors }) => {
            // Affinity routing, and group 1.
            distributor.write32(GICD_CTLR, 0x12);
            let own = redistributor(*redistributors);
            own.write32(GICR_WAKER, 0);
            own.write32(GICR_SGI_BASE + GICD_IGROUPR, u32::MAX);
            write_register!("S3_0_C12_C12_5", 1); // ICC_SRE_EL1
            write_register!("S3_0_C4_C6_0", 0xff); // ICC_PMR_EL1
            write_register!("S3_0_C12_C12_7", 1); // ICC_IGRPEN1_EL1
        }
        None => {}
    }
}

/// Enables an interrupt; a shared one goes to the calling CPU.
pub fn enable(id: u32) {
    let index = id as usize;
    let (block, bit) = (index / 32 * 4, 1_u32 << (id % 32));
    let registers = match GIC.get() {
        Some(GicAt::V2 { distributor, .. }) => {
            if id >= 32 {
                distributor.write8(GICD_ITARGETSR + index, 1);
            }
            *distributor
        }
        Some(GicAt::V3 { distributor, redistributors }) => {
            if id < 32 {
                let own = redistributor(*redistributors).address() + GICR_SGI_BASE;
                // SAFETY: the frame of private interrupts of a redistributor.
                unsafe { Registers::new(own) }
            } else {
                distributor.write64(GICD_IROUTER + 8 * index, own_cpu());
                let groups = distributor.read32(GICD_IGROUPR + block);
                distributor.write32(GICD_IGROUPR + block, groups | bit);
                *distributor
            }
        }
        None => return,
    };
    registers.write8(GICD_IPRIORITYR + index, PRIORITY);
    registers.write32(GICD_ISENABLER + block, bit);
}

/// Disables an interrupt.
pub fn disable(id: u32) {
    let (block, bit) = (id as usize / 32 * 4, 1_u32 << (id % 32));
    match GIC.get() {
        Some(GicAt::V3 { redistributors, .. }) if id < 32 => {
            redistributor(*redistributors).write32(GICR_SGI_BASE + GICD_ICENABLER + block, bit);
        }
        Some(GicAt::V2 { distributor, .. } | GicAt::V3 { distributor, .. }) => {
            distributor.write32(GICD_ICENABLER + block, bit);
        }
        None => {}
    }
}

/// Sends a software-generated interrupt to the CPU with this affinity.
#[inline(always)]
pub fn send(id: u32, target: u64) {
    match GIC.get() {
        Some(GicAt::V2 { distributor, .. }) => {
            distributor.write32(GICD_SGIR, 1 << (16 + (target & 7)) | id);
        }
        Some(GicAt::V3 { .. }) => {
            let list = 1 << (target & 0xf);
            let affinity = (target & 0xff_0000) << 16 | (target & 0xff00) << 8;
            write_register!("S3_0_C12_C11_5", affinity | u64::from(id) << 24 | list); // ICC_SGI1R_EL1
        }
        None => {}
    }
}

/// Takes the pending interrupt with the highest priority.
#[inline(always)]
pub fn acknowledge() -> u32 {
    match GIC.get() {
        Some(GicAt::V2 { cpu, .. }) => cpu.read32(GICC_IAR),
        Some(GicAt::V3 { .. }) => read_register!("S3_0_C12_C12_0") as u32, // ICC_IAR1_EL1
        None => FIRST_SPECIAL,
    }
}

/// Ends the interrupt that was acknowledged.
#[inline(always)]
pub fn end(acknowledged: u32) {
    match GIC.get() {
        Some(GicAt::V2 { cpu, .. }) => cpu.write32(GICC_EOIR, acknowledged),
        Some(GicAt::V3 { .. }) => write_register!("S3_0_C12_C12_1", u64::from(acknowledged)), // ICC_EOIR1_EL1
        None => {}
    }
}

/// The calling CPU's affinity, as CPU ids in the device tree have it.
pub fn own_cpu() -> u64 {
    read_register!("mpidr_el1") & 0xff_00ff_ffff
}

/// The redistributor of the calling CPU, or the last one.
fn redistributor(all: Registers) -> Registers {
    let own = own_cpu();
    let own = own & 0xff_ffff | own >> 8 & 0xff00_0000;
    let mut address = all.address();
    loop {
        // SAFETY: a frame that the device tree, or the frame before, says is there.
        let frame = unsafe { Registers::new(address) };
        let kind = frame.read64(GICR_TYPER);
        if kind >> 32 == own || kind & GICR_TYPER_LAST != 0 {
            return frame;
        }
        address += GICR_STRIDE;
    }
}
