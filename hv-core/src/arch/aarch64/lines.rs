//! Which interrupt number is whose: noted once from the device tree, for the path of every interrupt.

use super::discovery::{Interrupt, Platform};
use core::sync::atomic::{AtomicU32, Ordering};

/// The number of one of the host's interrupts.
#[derive(Debug)]
pub(super) struct Line(AtomicU32);

/// A number that no interrupt has.
const NONE: u32 = u32::MAX;

/// The loaded guest's own timer.
pub(super) static VIRTUAL_TIMER: Line = Line::new();
/// The hypervisor's timer.
pub(super) static HYPERVISOR_TIMER: Line = Line::new();
/// The virtual interface's maintenance interrupt.
pub(super) static MAINTENANCE: Line = Line::new();
/// The console's UART.
pub(super) static CONSOLE: Line = Line::new();

impl Line {
    const fn new() -> Self {
        Self(AtomicU32::new(NONE))
    }

    /// Relaxed: written before other CPUs run and before interrupts are enabled.
    #[inline]
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, interrupt: Option<Interrupt>) {
        self.0.store(interrupt.map_or(NONE, |interrupt| interrupt.intid), Ordering::Relaxed);
    }
}

/// Notes all of them.
pub(super) fn init(platform: &Platform) {
    VIRTUAL_TIMER.set(platform.virtual_timer);
    HYPERVISOR_TIMER.set(platform.hypervisor_timer);
    MAINTENANCE.set(platform.maintenance);
    CONSOLE.set(platform.uart.and_then(|uart| uart.interrupt));
}
