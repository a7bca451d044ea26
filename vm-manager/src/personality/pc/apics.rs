//! The local APICs of a machine and the way between them: who gets a message, and who must look at what he got.
//!
//! # Locks
//!
//! Each local APIC has its own, and so has each CPU's start-up state. No two of them are held at once, and nothing is called
//! with one held. They come after those of devices, of the 8259 pair and of the IOAPIC, which deliver here with their own lock
//! held.

use super::PcPlatform;
use super::startup::{Order, Reaction, Startup};
use crate::devices::frequency::Frequency;
use crate::irqchip::apic_message::{Delivery, Destination, Message};
use crate::irqchip::ioapic::{Acceptance, ApicBus};
use crate::irqchip::lapic::{Lint, LocalApic, Mode, Reception, Role, Scope, targets};
use crate::slot::VcpuSlot;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use hv_core::arch::x86_64::start::Start;
use hv_core::guest::Level;
use hv_core::sync::Mutex;

/// An NMI waits.
pub(super) const NMI: u32 = 1;
/// An INIT or a start-up waits, or the CPU waits for a start-up.
pub(super) const STARTUP: u32 = 1 << 1;

/// What one CPU has to be interrupted by.
pub(super) struct Port<P: PcPlatform> {
    apic: Mutex<LocalApic>,
    /// [`NMI`], [`STARTUP`].
    signals: AtomicU32,
    startup: Mutex<Startup>,
    slot: Arc<VcpuSlot<P>>,
}

impl<P: PcPlatform> Port<P> {
    pub(super) fn apic(&self) -> &Mutex<LocalApic> {
        &self.apic
    }

    pub(super) fn slot(&self) -> &VcpuSlot<P> {
        &self.slot
    }

    /// What waits beside interrupts. Acquire: pairs with [`Self::raise`].
    #[inline]
    pub(super) fn signals(&self) -> u32 {
        self.signals.load(Ordering::Acquire)
    }

    pub(super) fn clear(&self, signal: u32) {
        self.signals.fetch_and(!signal, Ordering::AcqRel);
    }

    /// Release: what the signal is about was written before.
    fn raise(&self, signal: u32) {
        self.signals.fetch_or(signal, Ordering::Release);
        self.slot.attend();
    }

    /// What the CPU has to do about INIT and start-up.
    pub(super) fn take_order(&self) -> Order {
        let mut startup = self.startup.lock();
        let order = startup.take();
        if matches!(order, Order::RunOn | Order::Start(_)) {
            // With the lock held: one that comes now is not cleared away.
            self.clear(STARTUP);
        }
        order
    }

    #[inline]
    fn receive(&self, reception: Reception, looking: Option<u8>) {
        match reception {
            Reception::Waits if looking == Some(self.slot.index()) => {}
            // No firmware is there to serve a system management interrupt.
            Reception::Refused | Reception::Smi => {}
            Reception::Waits => self.slot.attend(),
            Reception::Nmi => self.raise(NMI),
            Reception::Init => {
                let reaction = self.startup.lock().init();
                self.react(reaction);
            }
            Reception::Startup(page) => {
                let reaction = self.startup.lock().startup(page);
                self.react(reaction);
            }
        }
    }

    fn react(&self, reaction: Reaction) {
        match reaction {
            Reaction::Ignored => {}
            Reaction::Attend => self.raise(STARTUP),
            Reaction::SwitchOn(page) => {
                if let Some(vm) = self.slot.vm() {
                    // If it is on already, somebody else's start-up was first, and counts.
                    let _ = vm.cpu_on(self.slot.index().into(), Start::startup(page));
                }
            }
        }
    }
}

/// All of them, by the numbers of their vCPUs, which are their identifiers.
pub(super) struct Apics<P: PcPlatform> {
    ports: Vec<Port<P>>,
}

impl<P: PcPlatform> Apics<P> {
    pub(super) fn new(slots: &[Arc<VcpuSlot<P>>], clock: Frequency) -> Self {
        let port = |slot: &Arc<VcpuSlot<P>>| {
            let role = if slot.index() == 0 { Role::Bootstrap } else { Role::Application };
            Port {
                apic: Mutex::new(LocalApic::new(slot.index().into(), role, clock)),
                signals: AtomicU32::new(0),
                startup: Mutex::new(Startup::Off),
                slot: Arc::clone(slot),
            }
        };
        let apics = Self { ports: slots.iter().map(port).collect() };
        apics.reset();
        apics
    }

    /// The state in which firmware would leave them.
    pub(super) fn reset(&self) {
        for port in &self.ports {
            let is_first = port.slot.index() == 0;
            let mut apic = port.apic.lock();
            apic.reset();
            if is_first {
                apic.start_virtual_wire();
            }
            drop(apic);
            *port.startup.lock() = if is_first { Startup::Running } else { Startup::Off };
            port.signals.store(0, Ordering::Release);
        }
    }

    #[inline]
    pub(super) fn port(&self, index: u8) -> Option<&Port<P>> {
        self.ports.get(usize::from(index))
    }

    /// Sends what vCPU `sender` says.
    pub(super) fn send(&self, message: &Message, scope: Scope, sender: u8) {
        let excluded = match scope {
            Scope::Others => 1 << (sender & 63),
            Scope::Everybody => 0,
        };
        self.give(message, excluded, Some(sender));
    }

    /// Says who got it: bit by number. The vCPU `looking` looks at its interrupts next anyway.
    #[inline]
    fn give(&self, message: &Message, excluded: u64, looking: Option<u8>) -> u64 {
        // As Linux sends nearly all: to one x2APIC, whose identifier is its number.
        if let (Destination::Physical(id), true) = (message.destination, excluded == 0)
            && message.delivery != Delivery::LowestPriority
            && let Some((index, port)) =
                usize::try_from(id).ok().and_then(|index| Some((index, self.ports.get(index)?)))
        {
            let mut apic = port.apic.lock();
            if apic.mode() == Mode::X2Apic {
                let reception = apic.receive(message);
                drop(apic);
                port.receive(reception, looking);
                return if reception == Reception::Refused { 0 } else { 1 << index };
            }
        }
        self.give_all(message, excluded, looking)
    }

    #[inline(never)]
    fn give_all(&self, message: &Message, excluded: u64, looking: Option<u8>) -> u64 {
        let addresses = self.ports.iter().map(|port| port.apic.lock().address());
        let chosen = targets(message, addresses) & !excluded;
        let mut accepted = 0;
        for (index, port) in self.ports.iter().enumerate() {
            if chosen & 1 << index == 0 {
                continue;
            }
            let reception = port.apic.lock().receive(message);
            if reception != Reception::Refused {
                accepted |= 1 << index;
                port.receive(reception, looking);
            }
        }
        accepted
    }

    /// Drives the wire from the 8259 pair, which is at the first CPU's `LINT0`.
    pub(super) fn set_intr(&self, level: Level) {
        if let Some(port) = self.ports.first() {
            let reception = port.apic.lock().set_lint(Lint::Zero, level);
            port.receive(reception, None);
        }
    }
}

impl<P: PcPlatform> ApicBus for Arc<Apics<P>> {
    fn deliver(&self, message: Message) -> Acceptance {
        match self.give(&message, 0, None) {
            0 => Acceptance::Refused,
            _ => Acceptance::Accepted,
        }
    }
}
