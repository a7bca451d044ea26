//! The redistributors' registers (GICv3): two frames for each vCPU, its own self and its private
//! interrupts. Each vCPU may access those of all.

use super::identity::{self, Part};
use super::register::Register;
use super::{Version, Vgic};
use hv_core::arch::aarch64::list_register::ListRegisters;
use hv_core::guest::Width;

/// Bytes of each of the two frames.
const FRAME_BYTES: u64 = 0x1_0000;
/// `GICR_WAKER.ProcessorSleep` and `.ChildrenAsleep` (IHI 0069 12.11.44).
const PROCESSOR_SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;

/// A register of the first frame, `RD_base`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Own {
    Iidr,
    TyperLow,
    TyperHigh,
    Waker,
    Identification(u64),
    /// `GICR_CTLR` without LPIs, `GICR_STATUSR`.
    Zero,
}

impl Own {
    const fn at(offset: u64) -> Option<Self> {
        match offset {
            0x00 | 0x10 => Some(Self::Zero),
            0x04 => Some(Self::Iidr),
            0x08 => Some(Self::TyperLow),
            0x0c => Some(Self::TyperHigh),
            0x14 => Some(Self::Waker),
            0xffd0..0x1_0000 => Some(Self::Identification((offset - 0xffd0) / 4)),
            _ => None,
        }
    }
}

impl Vgic {
    /// See [`read`](Vgic::read). `owner` is the vCPU whose redistributor is read.
    pub(super) fn read_redistributor<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        owner: usize,
        offset: u64,
        width: Width,
        lrs: &mut L,
    ) -> Option<u64> {
        if self.version == Version::V2 {
            return None;
        }
        let shared = self.cpus.get(owner)?;
        if let Some(offset) = offset.checked_sub(FRAME_BYTES) {
            let register = Register::of_sgi_frame(offset, width)?;
            let Register::Of(interrupts) = register else { return Some(0) };
            let word = self.read_interrupts(vcpu, owner, interrupts, lrs);
            return Some(u64::from(word) >> (8 * (offset & 3)) & width.ones());
        }
        let typer = identity::redistributor_typer(owner, self.cpus.len());
        match (Own::at(offset)?, width) {
            (Own::TyperLow, Width::B4 | Width::B8) => Some(typer & width.ones()),
            (Own::TyperHigh, Width::B4) => Some(typer >> 32),
            (Own::Iidr, Width::B4) => Some(u64::from(identity::IIDR)),
            (Own::Waker, Width::B4) => {
                let is_asleep = shared.peek().is_asleep;
                Some(u64::from(if is_asleep { PROCESSOR_SLEEP | CHILDREN_ASLEEP } else { 0 }))
            }
            (Own::Identification(word), Width::B4) => {
                Some(u64::from(identity::identification(Part::Redistributor, word)))
            }
            (Own::Zero, Width::B4) => Some(0),
            (_, _) => None,
        }
    }

    /// See [`write`](Vgic::write). `owner` is the vCPU whose redistributor is written.
    pub(super) fn write_redistributor(
        &self,
        owner: usize,
        offset: u64,
        width: Width,
        value: u32,
    ) -> Option<()> {
        if self.version == Version::V2 {
            return None;
        }
        let shared = self.cpus.get(owner)?;
        if let Some(offset) = offset.checked_sub(FRAME_BYTES) {
            if let Register::Of(interrupts) = Register::of_sgi_frame(offset, width)? {
                self.write_interrupts(owner, interrupts, offset, width, value);
            }
            return Some(());
        }
        match (Own::at(offset)?, width) {
            (Own::Waker, Width::B4) => {
                shared.change().is_asleep = value & PROCESSOR_SLEEP != 0;
                Some(())
            }
            (Own::Zero, Width::B4) => Some(()),
            (_, _) => None,
        }
    }
}
