//! The distributor's registers, and the way of every register access.

use super::bank::Bit;
use super::bits::Bits;
use super::identity::{self, Part};
use super::register::{Interrupts, Register};
use super::{Frame, Version, Vgic};
use core::sync::atomic::Ordering;
use hv_core::arch::aarch64::list_register::ListRegisters;
use hv_core::guest::{Level, Width};

/// `GICD_CTLR.ARE` and `.DS` of GICv3: affinity routing, and one security state (IHI 0069 12.9.4).
const ARE_AND_DS: u32 = 1 << 4 | 1 << 6;

/// The offset of `GICD_TYPER`.
const TYPER: u64 = 0x004;

impl Vgic {
    /// Reads the register at `offset` of `frame` for `vcpu`, whose list registers `lrs` are.
    ///
    /// Access is total: what is reserved, or not to be accessed with that width or alignment, reads
    /// as zero. What interrupts do in list registers of other vCPUs is told as last known.
    pub fn read<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        frame: Frame,
        offset: u64,
        width: Width,
        lrs: &mut L,
    ) -> u64 {
        let value = match frame {
            _ if !offset.is_multiple_of(width.bytes()) => None,
            // Constant, and what guests and measurements read most.
            Frame::Distributor if offset == TYPER && width == Width::B4 => {
                Some(u64::from(self.typer))
            }
            Frame::Distributor => self.read_distributor(vcpu, offset, width, lrs),
            Frame::Redistributor(owner) => self.read_redistributor(vcpu, owner, offset, width, lrs),
        };
        value.unwrap_or_else(|| {
            self.refuse();
            0
        })
    }

    /// Writes the register at `offset` of `frame` for `vcpu`, whose list registers `lrs` are.
    ///
    /// Access is total: what is reserved, read-only, or not to be accessed with that width or
    /// alignment, ignores it. A write that changes an interrupt in a list register takes effect at
    /// the flush of the vCPU that has it, which is notified: for the writer itself before its next
    /// instruction, for others as soon as they are kicked.
    pub fn write<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        frame: Frame,
        offset: u64,
        width: Width,
        value: u64,
        lrs: &mut L,
    ) {
        let done = match frame {
            _ if !offset.is_multiple_of(width.bytes()) => None,
            Frame::Distributor => self.write_distributor(vcpu, offset, width, value as u32, lrs),
            Frame::Redistributor(owner) => {
                self.write_redistributor(owner, offset, width, value as u32)
            }
        };
        if done.is_none() {
            self.refuse();
        }
    }

    fn read_distributor<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        lrs: &mut L,
    ) -> Option<u64> {
        let word = match Register::of_distributor(self.version, offset, width)? {
            Register::Typer => self.typer,
            Register::Control => {
                let groups = u32::from(self.control.load(Ordering::Relaxed));
                match self.version {
                    Version::V2 => groups,
                    Version::V3 => groups | ARE_AND_DS,
                }
            }
            Register::Iidr => identity::IIDR,
            Register::Identification(word) => {
                identity::identification(Part::Distributor(self.version), word)
            }
            // With affinity routing these are in the redistributor (IHI 0069 12.9, bank 0).
            Register::Of(interrupts) if self.is_elsewhere(interrupts) => 0,
            Register::Of(interrupts) => self.read_interrupts(vcpu, vcpu, interrupts, lrs),
            Register::Zero | Register::Sgir | Register::SetSpi | Register::ClearSpi => 0,
        };
        Some(u64::from(word) >> (8 * (offset & 3)) & width.ones())
    }

    fn write_distributor<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        offset: u64,
        width: Width,
        value: u32,
        lrs: &mut L,
    ) -> Option<()> {
        match Register::of_distributor(self.version, offset, width)? {
            Register::Sgir => self.send_sgir(vcpu, value, lrs),
            Register::Control => {
                let groups = (value & 3) as u8;
                if self.control.swap(groups, Ordering::Relaxed) != groups {
                    self.alert(self.all_vcpus(), u32::MAX);
                }
            }
            Register::SetSpi => self.message(value & 0x3ff, Level::High),
            Register::ClearSpi => self.message(value & 0x3ff, Level::Low),
            Register::Typer | Register::Iidr | Register::Identification(_) => return None,
            Register::Of(interrupts) if self.is_elsewhere(interrupts) => {}
            Register::Of(interrupts) => {
                self.write_interrupts(vcpu, interrupts, offset, width, value);
            }
            Register::Zero => {}
        }
        Some(())
    }

    /// Whether private interrupts are not to be seen in the distributor, because there are
    /// redistributors.
    fn is_elsewhere(&self, interrupts: Interrupts) -> bool {
        interrupts.is_private() && self.version == Version::V3
    }

    /// A message to `GICD_SETSPI_NSR` or `GICD_CLRSPI_NSR`: an edge, or the level of a line
    /// (IHI 0069 12.9.30).
    fn message(&self, intid: u32, level: Level) {
        let bit = Bit::of(intid);
        let is_edge = match self.spis.lock().of(intid) {
            Some(spi) => spi.bank.edge & bit.mask() != 0,
            None => return,
        };
        let bank = intid as usize / 32;
        match (is_edge, level) {
            (false, level) => self.set_level(intid, level),
            (true, Level::High) => self.write_bits(0, bank, Bits::SetPending, bit.mask()),
            (true, Level::Low) => self.write_bits(0, bank, Bits::ClearPending, bit.mask()),
        }
    }

    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}
