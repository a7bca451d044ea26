//! When interrupts are exchanged with the list registers: the side of the virtual GIC that the CPU
//! loop sees.

use super::Vgic;
use super::cpu::{Cpu, SharedCpu};
use super::exchange::Exchange;
use core::sync::atomic::Ordering;
use hv_core::arch::aarch64::list_register::{ListRegisters, State};
use hv_core::sync::MutexGuard;

impl Vgic {
    /// Brings the list registers of `vcpu` up to date: learns what the guest did, withdraws what is
    /// no longer pending, and gives room to what is, the most important first.
    pub fn flush<L: ListRegisters + ?Sized>(&self, vcpu: usize, lrs: &mut L) {
        let Some(shared) = self.cpus.get(vcpu) else { return };
        self.exchange(shared, shared.peek(), vcpu, lrs, |exchange| {
            exchange.refresh();
            exchange.place();
            // The list registers are as they should be: no need to look again.
            exchange.concerned &= !(1 << exchange.vcpu);
            if exchange.cpu.is_crowded { SpiWork::Left } else { SpiWork::Done }
        });
    }

    /// Learns what the guest did with its list registers, and notifies `vcpu` itself too if it has
    /// to flush. [`flush`](Self::flush) includes this.
    pub fn fold<L: ListRegisters + ?Sized>(&self, vcpu: usize, lrs: &mut L) {
        let Some(shared) = self.cpus.get(vcpu) else { return };
        self.exchange(shared, shared.peek(), vcpu, lrs, |exchange| {
            exchange.refresh();
            if exchange.cpu.bank.ready(exchange.gates) != 0 {
                exchange.concerned |= 1 << exchange.vcpu;
            }
            SpiWork::Left
        });
    }

    /// Takes everything out of the list registers of `vcpu`, which may then be loaded elsewhere.
    /// Active interrupts come back as active at the next [`flush`](Self::flush).
    pub fn fold_all<L: ListRegisters + ?Sized>(&self, vcpu: usize, lrs: &mut L) {
        let Some(shared) = self.cpus.get(vcpu) else { return };
        self.exchange(shared, shared.peek(), vcpu, lrs, |exchange| {
            exchange.take_out_all();
            // The next flush comes by itself when the vCPU is loaded: it must not be woken for that.
            exchange.concerned &= !(1 << exchange.vcpu);
            SpiWork::Left
        });
    }

    /// Whether an interrupt waits to be signalled to `vcpu`, so that it must not sleep. `lrs` are
    /// its list registers, or `None` if they were folded.
    ///
    /// Masks of the vCPU itself (`PSTATE`, priority mask, group enables of the CPU interface) are
    /// not considered.
    #[must_use]
    pub fn has_pending(&self, vcpu: usize, lrs: Option<&dyn ListRegisters>) -> bool {
        let Some(shared) = self.cpus.get(vcpu) else { return false };
        let gates = self.gates();
        let cpu = shared.peek();
        if cpu.bank.ready(gates) != 0 {
            return true;
        }
        let banks = shared.spi_work.load(Ordering::Acquire);
        if banks != 0 && self.spis.lock().is_ready(banks, gates, vcpu) {
            return true;
        }
        let Some(lrs) = lrs else { return false };
        let mut left = u64::from(cpu.used) & !lrs.empty();
        while left != 0 {
            let content = lrs.get(left.trailing_zeros() as usize);
            if content.is_some_and(|content| content.state == State::Pending) {
                return true;
            }
            left &= left - 1;
        }
        false
    }

    /// Runs `step` with both sides locked, and tells the client afterwards.
    fn exchange<L: ListRegisters + ?Sized>(
        &self,
        shared: &SharedCpu,
        mut cpu: MutexGuard<'_, Cpu>,
        vcpu: usize,
        lrs: &mut L,
        step: impl FnOnce(&mut Exchange<'_, L>) -> SpiWork,
    ) {
        cpu.armed = 0;
        // Taken before the lock: a change that sets a bit again is either seen below, or comes later
        // and is announced once more.
        let banks = match shared.spi_work.load(Ordering::Relaxed) {
            0 => 0,
            _ => shared.spi_work.swap(0, Ordering::Acquire),
        };
        let mut spis = (banks != 0 || cpu.used_by_spis != 0).then(|| self.spis.lock());
        let gates = self.gates();
        let mut exchange = Exchange {
            version: self.version,
            gates,
            vcpu,
            cpu: &mut cpu,
            spis: spis.as_deref_mut(),
            lrs,
            banks,
            concerned: 0,
        };
        let left = step(&mut exchange);
        let Exchange { banks, concerned, .. } = exchange;
        if left == SpiWork::Left {
            shared.spi_work.fetch_or(banks, Ordering::Release);
        }
        drop(spis);
        let released = core::mem::take(&mut cpu.private.released);
        drop(cpu);
        if released != 0 {
            self.deactivate_all(vcpu, released);
        }
        self.alert(concerned, banks);
    }
}

/// Whether shared interrupts may wait for list registers after an exchange that looked at them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SpiWork {
    Done,
    Left,
}
