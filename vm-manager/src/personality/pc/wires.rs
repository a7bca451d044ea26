//! The wires of the board: from devices to both interrupt controllers, and from the 8259 pair to the first CPU.

use super::PcPlatform;
use super::apics::Apics;
use crate::devices::power::{PowerControl, PowerRequest};
use crate::irqchip::ioapic::IoApic;
use crate::irqchip::pic8259::Pic8259;
use crate::run::Stop;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, Ordering};
use hv_core::guest::{IrqLine, Level};
use hv_core::sync::Mutex;

/// The IOAPIC of this machine.
pub(super) type Io<P> = IoApic<Arc<Apics<P>>>;

/// The wire of one of the sixteen interrupts that a PC's board has. It goes to the 8259 pair and to a pin of the IOAPIC.
pub(super) struct BoardLine<P: PcPlatform> {
    pub(super) pair: Arc<Mutex<Pic8259>>,
    pub(super) ioapic: Arc<Mutex<Io<P>>>,
    pub(super) irq: u8,
}

/// The pin of the IOAPIC at which an interrupt of the board is: as the MADT says.
const fn pin(irq: u8) -> usize {
    match irq {
        0 => 2,
        _ => irq as usize,
    }
}

impl<P: PcPlatform> IrqLine for BoardLine<P> {
    fn set(&self, level: Level) {
        self.pair.lock().set_level(self.irq, level);
        self.ioapic.lock().set_level(pin(self.irq), level);
    }
}

/// The wire of an interrupt that the IOAPIC alone has.
pub(super) struct PinLine<P: PcPlatform> {
    pub(super) ioapic: Arc<Mutex<Io<P>>>,
    pub(super) pin: usize,
}

impl<P: PcPlatform> IrqLine for PinLine<P> {
    fn set(&self, level: Level) {
        self.ioapic.lock().set_level(self.pin, level);
    }
}

/// The 8259 pair's wire to the first CPU.
pub(super) struct Intr<P: PcPlatform>(pub(super) Arc<Apics<P>>);

impl<P: PcPlatform> IrqLine for Intr<P> {
    fn set(&self, level: Level) {
        self.0.set_intr(level);
    }
}

/// What the guest has asked of the power supply, until the vCPU that asked looks.
#[derive(Default)]
pub(super) struct PowerSwitch(AtomicU8);

const NOTHING: u8 = 0;
const OFF: u8 = 1;
const RESET: u8 = 2;

impl PowerSwitch {
    /// What was asked for since this was called last. Relaxed: whoever asked is who looks, or has stopped the VM anyway.
    #[inline]
    pub(super) fn take(&self) -> Option<Stop> {
        if self.0.load(Ordering::Relaxed) == NOTHING {
            return None;
        }
        match self.0.swap(NOTHING, Ordering::Relaxed) {
            OFF => Some(Stop::PowerOff),
            RESET => Some(Stop::Reset),
            _ => None,
        }
    }
}

impl PowerControl for PowerSwitch {
    fn request(&self, request: PowerRequest) {
        let value = match request {
            PowerRequest::Off => OFF,
            PowerRequest::Reset => RESET,
        };
        self.0.store(value, Ordering::Relaxed);
    }
}
