//! The registers about interrupts: from a bank's point of view they are the same in both versions
//! of the GIC, and in distributor and redistributors.
//!
//! `owner` is the vCPU whose private interrupts bank 0 means: the accessing one in the distributor
//! of GICv2, whose bank 0 each vCPU sees as its own.

use super::bank::{Bank, Bit, Gates};
use super::bits::{Bits, Half};
use super::cpu::{Cpu, SGIS};
use super::register::Interrupts;
use super::spi::SpiBank;
use super::{Version, Vgic};
use hv_core::arch::aarch64::list_register::ListRegisters;
use hv_core::guest::Width;

impl Vgic {
    /// Reads a word for `vcpu`, whose list registers `lrs` are.
    pub(super) fn read_interrupts<L: ListRegisters + ?Sized>(
        &self,
        vcpu: usize,
        owner: usize,
        register: Interrupts,
        lrs: &mut L,
    ) -> u32 {
        match register {
            Interrupts::Bits(bits, bank) => {
                if matches!(
                    bits,
                    Bits::SetPending | Bits::ClearPending | Bits::SetActive | Bits::ClearActive
                ) {
                    // What the accessing vCPU did last is in its list registers.
                    self.fold(vcpu, lrs);
                }
                self.with_bank(owner, bank, |bank| bank.read(bits))
            }
            Interrupts::Config(bank, half) => {
                self.with_bank(owner, bank, |bank| bank.read_config(half))
            }
            Interrupts::Priority(first) => self.with_bank(owner, first as usize / 32, |bank| {
                word(|n| bank.priority(Bit::of(first + n)))
            }),
            Interrupts::Targets(first) => self.read_targets(owner, first),
            Interrupts::SetSgiPending(first) | Interrupts::ClearSgiPending(first) => {
                self.fold(vcpu, lrs);
                self.read_senders(owner, first)
            }
            Interrupts::Route(intid) => {
                let spis = self.spis.lock();
                spis.bank(intid as usize / 32).map_or(0, |spi| spi.route(Bit::of(intid)))
            }
        }
    }

    /// Writes `value`, of `width` and at `offset`, which counts where bytes may be written.
    pub(super) fn write_interrupts(
        &self,
        owner: usize,
        register: Interrupts,
        offset: u64,
        width: Width,
        value: u32,
    ) {
        // The bytes written, as their places in the word, each with its value.
        let first = (offset & 3) as u32;
        let bytes = (first..4)
            .zip(value.to_le_bytes())
            .take(usize::try_from(width.bytes()).unwrap_or(4).min(4));
        match register {
            Interrupts::Bits(bits, bank) => self.write_bits(owner, bank, bits, value),
            // SGIs are always edge-triggered.
            Interrupts::Config(0, Half::Lower) => {}
            Interrupts::Config(bank, half) => {
                self.change(owner, bank, |bank| bank.write_config(half, value));
            }
            Interrupts::Priority(from) => self.change(owner, from as usize / 32, |bank| {
                bytes.fold(0, |changed, (n, priority)| {
                    let bit = Bit::of(from + n);
                    bank.set_priority(bit, priority);
                    changed | bit.mask()
                })
            }),
            Interrupts::Targets(from) => {
                for (n, targets) in bytes {
                    self.set_targets(from + n, targets);
                }
            }
            Interrupts::SetSgiPending(from) => {
                for (n, senders) in bytes {
                    self.set_senders(owner, Bit::of(from + n), senders);
                }
            }
            Interrupts::ClearSgiPending(from) => {
                for (n, senders) in bytes {
                    self.clear_senders(owner, Bit::of(from + n), senders);
                }
            }
            Interrupts::Route(intid) => {
                // Aff3 is always zero, and an SPI goes to one vCPU (GICD_TYPER.A3V, .No1N).
                let affinity = value & 0x00ff_ffff;
                let target = Some(affinity as usize).filter(|&vcpu| vcpu < self.cpus.len());
                self.set_route(intid, affinity, target);
            }
        }
    }

    /// Writes a register of bits.
    pub(super) fn write_bits(&self, owner: usize, bank: usize, bits: Bits, value: u32) {
        if bank != 0 {
            self.change_shared(bank, |spi| {
                let changed = spi.bank.write(bits, value);
                if bits == Bits::SetActive {
                    spi.adopt(changed);
                }
                changed
            });
            return;
        }
        // SGIs of GICv2 are always enabled; SPENDSGIR and CPENDSGIR make them pending.
        let is_fixed = self.version == Version::V2
            && matches!(
                bits,
                Bits::SetEnable | Bits::ClearEnable | Bits::SetPending | Bits::ClearPending
            );
        let value = if is_fixed { value & !SGIS } else { value };
        self.change_private(owner, |cpu| {
            match bits {
                Bits::ClearPending => cpu.private.release_pending(value),
                Bits::ClearActive => cpu.private.release_active(value),
                Bits::Group
                | Bits::SetEnable
                | Bits::ClearEnable
                | Bits::SetPending
                | Bits::SetActive => {}
            }
            cpu.bank.write(bits, value)
        });
    }

    fn set_route(&self, intid: u32, route: u32, target: Option<usize>) {
        let bit = Bit::of(intid);
        self.change_shared(intid as usize / 32, |spi| {
            if spi.route(bit) == route {
                return 0;
            }
            spi.set_route(bit, route, target);
            bit.mask()
        });
    }

    /// One byte of `GICD_ITARGETSR`: of several targets, the first gets the interrupt.
    fn set_targets(&self, intid: u32, targets: u8) {
        let targets = u32::from(targets) & self.all_vcpus();
        // With a single CPU these registers do not exist (IHI 0048 4.3.12).
        if self.cpus.len() > 1 {
            let first = Bit::lowest(targets).map(Bit::index);
            self.set_route(intid, targets, first);
        }
    }

    fn read_targets(&self, owner: usize, first: u32) -> u32 {
        if self.cpus.len() == 1 {
            return 0;
        }
        match self.spis.lock().bank(first as usize / 32) {
            Some(spi) => word(|n| spi.route(Bit::of(first + n)) as u8),
            // The private ones tell each vCPU which it is.
            None if first < 32 => word(|_| 1 << (owner % 8)),
            None => 0,
        }
    }

    /// `GICD_SPENDSGIR` and `GICD_CPENDSGIR`: the senders of four SGIs.
    fn read_senders(&self, owner: usize, first: u32) -> u32 {
        let Some(shared) = self.cpus.get(owner) else { return 0 };
        let cpu = shared.peek();
        word(|n| cpu.senders(Bit::of(first + n)))
    }

    fn set_senders(&self, owner: usize, sgi: Bit, senders: u8) {
        let senders = senders & self.all_vcpus() as u8;
        self.change_private(owner, |cpu| {
            cpu.private.add_sources(sgi, senders);
            if senders == 0 { 0 } else { cpu.bank.write(Bits::SetPending, sgi.mask()) }
        });
    }

    fn clear_senders(&self, owner: usize, sgi: Bit, senders: u8) {
        self.change_private(owner, |cpu| {
            if cpu.private.remove_sources(sgi, senders) == 0 {
                cpu.bank.latch &= !sgi.mask();
            }
            let is_listed = cpu.listed_sender(sgi).is_some_and(|sender| senders >> sender & 1 != 0);
            if !is_listed {
                return 0;
            }
            cpu.bank.drop_pending |= sgi.mask();
            sgi.mask()
        });
    }

    fn with_bank(&self, owner: usize, bank: usize, read: impl FnOnce(&Bank) -> u32) -> u32 {
        if bank == 0 {
            return self.cpus.get(owner).map_or(0, |shared| read(&shared.peek().bank));
        }
        self.spis.lock().bank(bank).map_or(0, |spi| read(&spi.bank))
    }

    fn change(&self, owner: usize, bank: usize, write: impl FnOnce(&mut Bank) -> u32) {
        if bank == 0 {
            self.change_private(owner, |cpu| write(&mut cpu.bank));
        } else {
            self.change_shared(bank, |spi| write(&mut spi.bank));
        }
    }

    /// Changes private interrupts of `owner`, and notifies it if that concerns it. `write` returns
    /// which ones it changed.
    fn change_private(&self, owner: usize, write: impl FnOnce(&mut Cpu) -> u32) {
        let Some(shared) = self.cpus.get(owner) else { return };
        let gates = self.gates();
        let mut cpu = shared.change();
        let changed = write(&mut cpu);
        let must_flush = cpu.is_concerned(changed, gates);
        drop(cpu);
        if must_flush {
            self.client.notify(owner);
        }
    }

    /// Changes shared interrupts, and notifies all that this concerns. `write` returns which ones it
    /// changed.
    pub(super) fn change_shared(&self, bank: usize, write: impl FnOnce(&mut SpiBank) -> u32) {
        let gates = self.gates();
        let concerned = match self.spis.lock().bank_mut(bank) {
            Some(spi) => {
                let changed = write(spi);
                spi.concerned(changed, gates)
            }
            None => 0,
        };
        self.alert(concerned, 1 << (bank % 32));
    }
}

impl Cpu {
    /// Whether `changed` changed in a way that needs a flush.
    fn is_concerned(&self, changed: u32, gates: Gates) -> bool {
        let touched = self.bank.resident | self.bank.active | self.bank.ready(gates);
        touched & changed != 0 || self.private.released != 0
    }
}

/// A word made of four bytes.
fn word(byte: impl Fn(u32) -> u8) -> u32 {
    u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
}
