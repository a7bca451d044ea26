//! GICv2 with the virtualization extensions. GIC architecture specification IHI 0048.

use super::v3::{configure, set_priority};
use super::{Activity, CpuInterface, GicError, HOST_PRIORITY, KICK_SGI, Power, VirtualInterface};
use crate::arch::aarch64::discovery::{GicV2Node, Interrupt};
use crate::arch::aarch64::insn;
use crate::arch::aarch64::list_register::Underflow;
use crate::arch::aarch64::percpu::PerCpu;
use crate::mmio::Mmio;

// Distributor, 4.3.
const CTLR: u64 = 0x000;
const TYPER: u64 = 0x004;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
const ITARGETSR: u64 = 0x800;
const SGIR: u64 = 0xf00;

// CPU interface, 4.4.
const GICC_CTLR: u64 = 0x00;
const GICC_PMR: u64 = 0x04;
const GICC_BPR: u64 = 0x08;
const GICC_IAR: u64 = 0x0c;
const GICC_EOIR: u64 = 0x10;
const GICC_DIR: u64 = 0x1000;
const GICC_CTLR_ENABLE: u32 = 1;
const GICC_CTLR_EOIMODE: u32 = 1 << 9;

// Virtual interface control, 5.3.
const GICH_HCR: u64 = 0x00;
const GICH_VTR: u64 = 0x04;
const GICH_VMCR: u64 = 0x08;
const GICH_ELRSR: u64 = 0x30;
const GICH_APR: u64 = 0xf0;
const GICH_LR: u64 = 0x100;
const HCR_EN: u32 = 1;
const HCR_UIE: u32 = 1 << 1;

/// A GICv2.
#[derive(Debug)]
pub(in crate::arch::aarch64) struct Gic {
    distributor: Mmio,
    cpu: Mmio,
    control: Mmio,
}

impl Gic {
    pub(super) fn new(node: &GicV2Node) -> Self {
        let distributor = node.distributor;
        distributor.write32(CTLR, 0);
        let lines = u64::from(distributor.read32(TYPER) & 31) + 1;
        for word in 1..lines {
            distributor.write32(ICENABLER + 4 * word, u32::MAX);
        }
        distributor.write32(CTLR, 1);
        Self { distributor, cpu: node.cpu, control: node.control }
    }

    pub(super) fn init_cpu(&self, private: &[Interrupt]) -> Result<CpuInterface, GicError> {
        if self.control.is_empty() {
            return Err(GicError::NoVirtualInterface);
        }
        let distributor = &self.distributor;
        distributor.write32(ICENABLER, 0xffff_0000);
        distributor.write32(ICACTIVER, u32::MAX);
        for word in 0..8 {
            distributor.write32(IPRIORITYR + 4 * word, u32::from_ne_bytes([HOST_PRIORITY; 4]));
        }
        for interrupt in private {
            distributor.write32(ISENABLER, 1 << (interrupt.intid & 31));
        }
        distributor.write32(ISENABLER, 1 << KICK_SGI);
        self.cpu.write32(GICC_PMR, 0xf0);
        self.cpu.write32(GICC_BPR, 0);
        self.cpu.write32(GICC_CTLR, GICC_CTLR_ENABLE | GICC_CTLR_EOIMODE);
        // The targets of the private interrupts are this CPU itself; 4.3.12.
        let target = distributor.read32(ITARGETSR).to_le_bytes()[0];
        let vtr = self.control.read32(GICH_VTR);
        let list_registers = (vtr & 63) as usize + 1;
        // After a reset the hardware may hold anything there.
        self.control.write32(GICH_HCR, 0);
        for index in 0..list_registers {
            self.set_list_register(index, 0);
        }
        Ok(CpuInterface { redistributor: 0, target, list_registers, priority_registers: 1 })
    }

    #[inline]
    pub(super) fn acknowledge(&self) -> u32 {
        let intid = self.cpu.read32(GICC_IAR);
        // What whoever kicked us left must be looked for after the acknowledgement, not before.
        insn::dsb_sy();
        intid
    }

    #[inline]
    pub(super) fn drop_priority(&self, acknowledged: u32) {
        self.cpu.write32(GICC_EOIR, acknowledged);
    }

    #[inline]
    pub(super) fn deactivate(&self, acknowledged: u32) {
        self.cpu.write32(GICC_DIR, acknowledged);
    }

    pub(super) fn set_private_active(&self, intid: u32, activity: Activity) {
        let offset = match activity {
            Activity::Active => ISACTIVER,
            Activity::Inactive => ICACTIVER,
        };
        self.distributor.write32(offset, 1 << (intid & 31));
    }

    pub(super) fn enable_shared(&self, interrupt: Interrupt) {
        let intid = interrupt.intid;
        let own = self.distributor.read32(ITARGETSR) & 0xff;
        let (offset, shift) = (ITARGETSR + u64::from(intid & !3), 8 * (intid & 3));
        let word = self.distributor.read32(offset) & !(0xff << shift);
        self.distributor.write32(offset, word | own << shift);
        set_priority(&self.distributor, intid);
        configure(&self.distributor, interrupt);
        self.distributor.write32(ISENABLER + u64::from(intid / 32 * 4), 1 << (intid % 32));
    }

    pub(super) fn kick(&self, target: &PerCpu) {
        let value = u32::from(target.interface().target) << 16 | KICK_SGI;
        // What the target is to see must be visible before the interrupt is.
        insn::dsb_ishst();
        self.distributor.write32(SGIR, value);
    }

    pub(super) fn set_virtual_interface(&self, power: Power) {
        self.control.write32(GICH_HCR, if power == Power::On { HCR_EN } else { 0 });
    }

    pub(super) fn save(&self, state: &mut VirtualInterface) {
        state.control = u64::from(self.control.read32(GICH_VMCR));
        state.active_priorities[0][0] = u64::from(self.control.read32(GICH_APR));
    }

    pub(super) fn restore(&self, state: &VirtualInterface) {
        self.control.write32(GICH_VMCR, state.control as u32);
        self.control.write32(GICH_APR, state.active_priorities[0][0] as u32);
    }

    #[inline]
    pub(super) fn empty_list_registers(&self) -> u64 {
        let low = u64::from(self.control.read32(GICH_ELRSR));
        let high = u64::from(self.control.read32(GICH_ELRSR + 4));
        high << 32 | low
    }

    #[inline]
    pub(super) fn list_register(&self, index: usize) -> u32 {
        self.control.read32(GICH_LR + 4 * index as u64)
    }

    #[inline]
    pub(super) fn set_list_register(&self, index: usize, value: u32) {
        self.control.write32(GICH_LR + 4 * index as u64, value);
    }

    #[inline]
    pub(super) fn set_underflow(&self, underflow: Underflow) {
        let value = match underflow {
            Underflow::Quiet => HCR_EN,
            Underflow::Signalled => HCR_EN | HCR_UIE,
        };
        self.control.write32(GICH_HCR, value);
    }
}
