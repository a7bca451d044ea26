//! Software-generated interrupts: from the system registers of GICv3, from `GICD_SGIR` of GICv2.

use super::bank::Bit;
use super::cpu::{Physical, Slot};
use super::{Version, Vgic};
use hv_core::arch::aarch64::list_register::{Backing, Group, ListRegisters};

/// The system registers of GICv3 that generate SGIs (IHI 0069 12.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SgiRegister {
    /// `ICC_SGI0R_EL1`: Group 0.
    Sgi0r,
    /// `ICC_SGI1R_EL1`: Group 1 of the current security state.
    Sgi1r,
    /// `ICC_ASGI1R_EL1`: Group 1 of the other security state.
    Asgi1r,
}

/// `ICC_SGI1R_EL1.IRM`: to all but the sender.
const ROUTE_TO_OTHERS: u64 = 1 << 40;
/// The fields that name vCPUs which do not exist: Aff3, RS, Aff2 and Aff1. vCPU `n` is 0.0.0.`n`.
const FOREIGN_AFFINITY: u64 = 0xff << 48 | 0xf << 44 | 0xff << 32 | 0xff << 16;

impl Vgic {
    /// Generates the SGIs that `vcpu` asks for by writing `value` to `register`. `lrs` are its list
    /// registers: an SGI to itself goes straight there.
    ///
    /// With one security state, `ICC_SGI1R_EL1` reaches targets that have the SGI in either group,
    /// the other two those that have it in Group 0 (IHI 0069, forwarding an SGI to a target PE).
    pub fn send_sgi<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        register: SgiRegister,
        value: u64,
        lrs: &mut L,
    ) {
        let targets = if value & ROUTE_TO_OTHERS != 0 {
            self.others(vcpu)
        } else if value & FOREIGN_AFFINITY == 0 {
            value as u32 & 0xffff
        } else {
            return;
        };
        let sgi = Bit::of((value >> 24) as u32 & 0xf);
        match register {
            SgiRegister::Sgi1r if self.repeat(vcpu, targets, sgi, lrs) => {}
            SgiRegister::Sgi1r => self.send(vcpu, targets, sgi, Reach::BothGroups, lrs),
            SgiRegister::Sgi0r | SgiRegister::Asgi1r => {
                self.send(vcpu, targets, sgi, Reach::Group0, lrs);
            }
        }
    }

    /// `GICD_SGIR` (IHI 0048 4.3.15).
    #[inline]
    pub(super) fn send_sgir<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        value: u32,
        lrs: &mut L,
    ) {
        let targets = match value >> 24 & 3 {
            0 => value >> 16 & 0xff,
            1 => self.others(vcpu),
            2 => self.all_vcpus() & !self.others(vcpu),
            _ => 0,
        };
        let sgi = Bit::of(value & 0xf);
        if !self.repeat(vcpu, targets, sgi, lrs) {
            self.send(vcpu, targets, sgi, Reach::BothGroups, lrs);
        }
    }

    /// An SGI to the sender alone, which is done with the last one: see [`Cpu::armed`]. Returns
    /// whether it was that.
    ///
    /// [`Cpu::armed`]: super::cpu::Cpu::armed
    #[inline]
    fn repeat<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        targets: u32,
        sgi: Bit,
        lrs: &mut L,
    ) -> bool {
        if targets.checked_shr(vcpu as u32) != Some(1) || !targets.is_power_of_two() {
            return false;
        }
        let Some(shared) = self.cpus.get(vcpu) else { return false };
        shared.peek().repeat(sgi, Backing::Software, lrs)
    }

    /// A bit map of all vCPUs.
    pub(super) fn all_vcpus(&self) -> u32 {
        (1 << self.cpus.len()) - 1
    }

    /// A bit map of all vCPUs but `vcpu`.
    fn others(&self, vcpu: usize) -> u32 {
        self.all_vcpus() & !1_u32.checked_shl(vcpu as u32).unwrap_or(0)
    }

    fn send<L: ListRegisters + ?Sized>(
        &self,
        from: usize,
        targets: u32,
        sgi: Bit,
        reach: Reach,
        lrs: &mut L,
    ) {
        if from >= self.cpus.len() {
            return;
        }
        let gates = self.gates();
        let mut left = targets & self.all_vcpus();
        while left != 0 {
            let to = left.trailing_zeros() as usize;
            left &= left - 1;
            let Some(shared) = self.cpus.get(to) else { continue };
            let mut cpu = shared.peek();
            if reach == Reach::Group0 && cpu.bank.group(sgi) == Group::One {
                continue;
            }
            let sender = match self.version {
                Version::V2 => Some(from as u8),
                Version::V3 => None,
            };
            if to == from {
                let slot = Slot { intid: sgi.index() as u16, sender, physical: Physical::None };
                if cpu.deliver(sgi, slot, Backing::Software, gates, lrs) {
                    continue;
                }
            }
            cpu.armed = 0;
            if sender.is_some() {
                cpu.private.add_sources(sgi, 1 << from);
            }
            let must_flush = cpu.bank.pend(sgi, gates);
            drop(cpu);
            if must_flush {
                self.client.notify(to);
            }
        }
    }
}

/// The groups in which a target may have an SGI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reach {
    Group0,
    BothGroups,
}
