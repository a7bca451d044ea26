//! GICv3 and later. GIC specification IHI 0069; chapter 12 has the registers.

use super::{Activity, CpuInterface, GicError, HOST_PRIORITY, KICK_SGI, Power, VirtualInterface};
use crate::arch::aarch64::discovery::{GicV3Node, Interrupt, Trigger};
use crate::arch::aarch64::insn;
use crate::arch::aarch64::list_register::Underflow;
use crate::arch::aarch64::percpu::{self, PerCpu};
use crate::mmio::Mmio;

// Distributor, 12.9; the redistributor's SGI frame has the private part at the same offsets, 12.11.
const CTLR: u64 = 0x000;
const TYPER: u64 = 0x004;
const IGROUPR: u64 = 0x080;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const IROUTER: u64 = 0x6000;

const CTLR_ARE: u32 = 1 << 4;
const CTLR_GROUP1: u32 = 1 << 1;
const CTLR_RWP: u32 = 1 << 31;

// Redistributor, RD frame, 12.11.
const GICR_TYPER: u64 = 0x008;
const GICR_WAKER: u64 = 0x014;
const WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;
const SGI_FRAME: u64 = 0x1_0000;
const FRAMES: u64 = 0x2_0000;
const FRAMES_WITH_VLPI: u64 = 0x4_0000;

/// A GICv3.
#[derive(Debug)]
pub(in crate::arch::aarch64) struct Gic {
    node: GicV3Node,
    distributor: Mmio,
}

impl Gic {
    pub(super) fn new(node: &GicV3Node) -> Self {
        let distributor = node.distributor;
        distributor.write32(CTLR, 0);
        wait_for_writes(&distributor);
        let lines = u64::from(distributor.read32(TYPER) & 31) + 1;
        for word in 1..lines {
            distributor.write32(ICENABLER + 4 * word, u32::MAX);
            distributor.write32(IGROUPR + 4 * word, u32::MAX);
        }
        wait_for_writes(&distributor);
        distributor.write32(CTLR, CTLR_ARE | CTLR_GROUP1);
        wait_for_writes(&distributor);
        Self { node: node.clone(), distributor }
    }

    pub(super) fn init_cpu(&self, private: &[Interrupt]) -> Result<CpuInterface, GicError> {
        let redistributor = self.find_redistributor().ok_or(GicError::NoRedistributor)?;
        wake(&redistributor);
        let sgi = redistributor.after(SGI_FRAME);
        sgi.write32(IGROUPR, u32::MAX);
        sgi.write32(ICENABLER, u32::MAX);
        sgi.write32(ICACTIVER, u32::MAX);
        for word in 0..8 {
            sgi.write32(IPRIORITYR + 4 * word, u32::from_ne_bytes([HOST_PRIORITY; 4]));
        }
        for interrupt in private {
            sgi.write32(ISENABLER, 1 << (interrupt.intid & 31));
        }
        sgi.write32(ISENABLER, 1 << KICK_SGI);
        // System registers, for us and for EL1 (SRE, Enable, and no bypass).
        insn::icc_sre_el2::write(0b1111);
        insn::isb();
        insn::icc_pmr_el1::write(0xf0);
        insn::icc_bpr1_el1::write(0);
        insn::icc_ctlr_el1::write(1 << 1); // EOImode
        insn::icc_igrpen1_el1::write(1);
        insn::isb();
        let vtr = insn::ich_vtr_el2::read();
        // PREbits: there is an active-priority register for each 32 preemption levels, 12.4.2.
        let preemption_bits = (vtr >> 26 & 7) + 1;
        let list_registers = (vtr & 31) as usize + 1;
        // After a reset the hardware may hold anything there.
        insn::ich_hcr_el2::write(0);
        for index in 0..list_registers {
            self.set_list_register(index, 0);
        }
        Ok(CpuInterface {
            redistributor: redistributor.base(),
            target: 0,
            list_registers,
            priority_registers: 1 << preemption_bits.saturating_sub(5).min(2),
        })
    }

    fn find_redistributor(&self) -> Option<Mmio> {
        let mpidr = insn::mpidr_el1::read();
        let affinity = (mpidr >> 32 & 0xff) << 24 | mpidr & 0xff_ffff;
        for region in self.node.redistributors.iter().flatten() {
            let mut frames = *region;
            while frames.len() >= FRAMES {
                let typer = frames.read64(GICR_TYPER);
                if typer >> 32 == affinity {
                    return Some(frames);
                }
                const LAST: u64 = 1 << 4;
                const VLPIS: u64 = 1 << 1;
                if typer & LAST != 0 {
                    break;
                }
                frames = frames.after(if typer & VLPIS != 0 { FRAMES_WITH_VLPI } else { FRAMES });
            }
        }
        None
    }

    #[inline]
    pub(super) fn acknowledge(&self) -> u32 {
        let intid = insn::icc_iar1_el1::read() as u32;
        // The acknowledgement must have taken effect before the handler touches the device.
        insn::dsb_sy();
        intid
    }

    #[inline]
    pub(super) fn drop_priority(&self, acknowledged: u32) {
        insn::icc_eoir1_el1::write(u64::from(acknowledged));
    }

    #[inline]
    pub(super) fn deactivate(&self, acknowledged: u32) {
        insn::icc_dir_el1::write(u64::from(acknowledged));
    }

    fn sgi_frame(&self) -> Option<Mmio> {
        let base = percpu::this()?.interface().redistributor;
        let region = |region: &&Mmio| (region.base()..region.base() + region.len()).contains(&base);
        let region = self.node.redistributors.iter().flatten().find(region)?;
        Some(region.after(base - region.base() + SGI_FRAME))
    }

    pub(super) fn set_private_active(&self, intid: u32, activity: Activity) {
        let Some(frame) = self.sgi_frame() else { return };
        let offset = match activity {
            Activity::Active => ISACTIVER,
            Activity::Inactive => ICACTIVER,
        };
        frame.write32(offset, 1 << (intid & 31));
    }

    pub(super) fn enable_shared(&self, interrupt: Interrupt) {
        let intid = u64::from(interrupt.intid);
        let (word, bit) = (intid / 32 * 4, 1 << (intid % 32));
        let mpidr = insn::mpidr_el1::read();
        self.distributor.write64(IROUTER + 8 * intid, mpidr & 0xff_00ff_ffff);
        set_priority(&self.distributor, interrupt.intid);
        configure(&self.distributor, interrupt);
        self.distributor.write32(ISENABLER + word, bit);
        wait_for_writes(&self.distributor);
    }

    pub(super) fn kick(&self, target: &PerCpu) {
        let mpidr = target.mpidr();
        let (aff3, aff2, aff1, aff0) =
            (mpidr >> 32 & 0xff, mpidr >> 16 & 0xff, mpidr >> 8 & 0xff, mpidr & 0xff);
        let value = aff3 << 48
            | (aff0 >> 4) << 44
            | aff2 << 32
            | u64::from(KICK_SGI) << 24
            | aff1 << 16
            | 1 << (aff0 & 15);
        // What the target is to see must be visible before the interrupt is.
        insn::dsb_ishst();
        insn::icc_sgi1r_el1::write(value);
        insn::isb();
    }

    pub(super) fn set_virtual_interface(&self, power: Power) {
        insn::ich_hcr_el2::write(u64::from(power == Power::On));
    }

    pub(super) fn save(&self, state: &mut VirtualInterface) {
        state.control = insn::ich_vmcr_el2::read();
        let count = percpu::this().map_or(1, |cpu| cpu.interface().priority_registers);
        for (group, registers) in state.active_priorities.iter_mut().zip(&PRIORITIES) {
            for (slot, (read, _)) in group.iter_mut().zip(registers).take(count) {
                *slot = read();
            }
        }
    }

    pub(super) fn restore(&self, state: &VirtualInterface) {
        // Where EL1 can switch its system registers off (12.2.23), the last guest may have done so. What VMCR holds depends
        // on it, so it comes first.
        insn::icc_sre_el1::write(0b111);
        insn::isb();
        insn::ich_vmcr_el2::write(state.control);
        let count = percpu::this().map_or(1, |cpu| cpu.interface().priority_registers);
        for (group, registers) in state.active_priorities.iter().zip(&PRIORITIES) {
            for (slot, (_, write)) in group.iter().zip(registers).take(count) {
                write(*slot);
            }
        }
    }

    #[inline]
    pub(super) fn empty_list_registers(&self) -> u64 {
        insn::ich_elrsr_el2::read()
    }

    #[inline]
    pub(super) fn list_register(&self, index: usize) -> u64 {
        LIST.get(index).map_or(0, |(read, _)| read())
    }

    #[inline]
    pub(super) fn set_list_register(&self, index: usize, value: u64) {
        match index {
            0 => insn::ich_lr0_el2::write(value),
            1 => insn::ich_lr1_el2::write(value),
            _ => {
                if let Some((_, write)) = LIST.get(index) {
                    write(value);
                }
            }
        }
    }

    #[inline]
    pub(super) fn set_underflow(&self, underflow: Underflow) {
        const EN: u64 = 1;
        const UIE: u64 = 1 << 1;
        let value = match underflow {
            Underflow::Quiet => EN,
            Underflow::Signalled => EN | UIE,
        };
        insn::ich_hcr_el2::write(value);
    }
}

type Accessors = (fn() -> u64, fn(u64));

macro_rules! accessors {
    ($($name:ident),* $(,)?) => {
        [$((insn::$name::read as fn() -> u64, insn::$name::write as fn(u64))),*]
    };
}

const PRIORITIES: [[Accessors; 4]; 2] = [
    accessors![ich_ap0r0_el2, ich_ap0r1_el2, ich_ap0r2_el2, ich_ap0r3_el2],
    accessors![ich_ap1r0_el2, ich_ap1r1_el2, ich_ap1r2_el2, ich_ap1r3_el2],
];

static LIST: [Accessors; 16] = accessors![
    ich_lr0_el2,
    ich_lr1_el2,
    ich_lr2_el2,
    ich_lr3_el2,
    ich_lr4_el2,
    ich_lr5_el2,
    ich_lr6_el2,
    ich_lr7_el2,
    ich_lr8_el2,
    ich_lr9_el2,
    ich_lr10_el2,
    ich_lr11_el2,
    ich_lr12_el2,
    ich_lr13_el2,
    ich_lr14_el2,
    ich_lr15_el2,
];

/// How often a status bit of the hardware is read before we go on without it.
const PATIENCE: u32 = 100_000;

fn wait_for_writes(distributor: &Mmio) {
    for _ in 0..PATIENCE {
        if distributor.read32(CTLR) & CTLR_RWP == 0 {
            return;
        }
        core::hint::spin_loop();
    }
}

fn wake(redistributor: &Mmio) {
    let waker = redistributor.read32(GICR_WAKER);
    redistributor.write32(GICR_WAKER, waker & !WAKER_PROCESSOR_SLEEP);
    for _ in 0..PATIENCE {
        if redistributor.read32(GICR_WAKER) & WAKER_CHILDREN_ASLEEP == 0 {
            return;
        }
        core::hint::spin_loop();
    }
}

pub(super) fn set_priority(distributor: &Mmio, intid: u32) {
    let offset = IPRIORITYR + u64::from(intid & !3);
    let shift = 8 * (intid & 3);
    let word = distributor.read32(offset) & !(0xff << shift);
    distributor.write32(offset, word | u32::from(HOST_PRIORITY) << shift);
}

pub(super) fn configure(distributor: &Mmio, interrupt: Interrupt) {
    let offset = ICFGR + u64::from(interrupt.intid / 16 * 4);
    let edge = 0b10 << (2 * (interrupt.intid % 16));
    let word = distributor.read32(offset) & !edge;
    let value = match interrupt.trigger {
        Trigger::Level => word,
        Trigger::Edge => word | edge,
    };
    distributor.write32(offset, value);
}
