//! Interrupts of the host. They are masked but for windows that a CPU opens; what comes in there is noted, and taken one by one.

use super::percpu::PerCpu;
use super::{apic, clock, insn, percpu, virt};
use crate::machine::HostEvent;
use core::sync::atomic::{AtomicU64, Ordering};

/// Another CPU has something for this one.
pub(super) const KICK: u8 = 0xf1;
/// The timer of the local APIC.
pub(super) const TIMER: u8 = 0xf2;
/// The serial port.
pub(super) const CONSOLE: u8 = 0xf3;
/// The disks of the host.
pub(super) const DISK: u8 = 0xf4;
/// The network cards of the host.
pub(super) const NETWORK: u8 = 0xf5;
/// The local APIC's spurious interrupt, which has no end.
pub(super) const SPURIOUS: u8 = 0xff;
/// Where the 8259 pair would send, were it not masked.
pub(super) const LEGACY: u8 = 0x20;

/// How many NMIs came, on all CPUs.
pub(super) static NMIS: AtomicU64 = AtomicU64::new(0);

/// What has come in on one CPU: a bit for each vector.
#[derive(Debug)]
pub(super) struct Pending([AtomicU64; 4]);

impl Pending {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 4])
    }

    // Relaxed: only this CPU itself writes and reads them.
    fn note(&self, vector: u8) {
        if let Some(word) = self.0.get(usize::from(vector / 64)) {
            word.store(word.load(Ordering::Relaxed) | 1 << (vector % 64), Ordering::Relaxed);
        }
    }

    /// The highest vector that has come in.
    #[inline]
    fn take(&self) -> Option<u8> {
        for (index, word) in self.0.iter().enumerate().rev() {
            let bits = word.load(Ordering::Relaxed);
            if bits != 0 {
                let bit = 63 - bits.leading_zeros() as u8;
                word.store(bits & !(1 << bit), Ordering::Relaxed);
                return Some(index as u8 * 64 + bit);
            }
        }
        None
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }
}

/// The stubs call this, interrupts masked.
pub(super) extern "C" fn arrived(vector: u64) {
    let vector = vector as u8;
    if let Some(this) = percpu::this() {
        this.pending.note(vector);
    }
    if vector != SPURIOUS && !(LEGACY..LEGACY + 16).contains(&vector) {
        apic::end_of_interrupt();
    }
}

/// The next interrupt that waits for this CPU, taken; `None` when there is none.
#[inline]
pub(crate) fn next_event() -> Option<HostEvent> {
    let this = percpu::this()?;
    if let Some(vector) = this.pending.take() {
        return event(this, vector);
    }
    virt::leave_guest_state();
    insn::interrupt_window();
    event(this, this.pending.take()?)
}

fn event(this: &PerCpu, vector: u8) -> Option<HostEvent> {
    Some(match vector {
        KICK => HostEvent::Kick,
        TIMER if !clock::is_due(this) => return None,
        TIMER => HostEvent::Timer,
        CONSOLE => HostEvent::Console,
        DISK => HostEvent::Disk,
        NETWORK => HostEvent::Network,
        _ => HostEvent::Spurious(u32::from(vector)),
    })
}

/// Sleeps until an interrupt has come in.
pub(crate) fn sleep() {
    let Some(this) = percpu::this() else { return };
    if this.pending.is_empty() {
        virt::leave_guest_state();
        insn::halt_with_interrupts();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_taken_once_each_the_highest_first() {
        let pending = Pending::new();
        for vector in [0x20, TIMER, KICK, TIMER] {
            pending.note(vector);
        }
        let taken: Vec<_> = core::iter::from_fn(|| pending.take()).collect();
        assert_eq!(taken, [TIMER, KICK, 0x20]);
        assert!(pending.is_empty());
    }
}
