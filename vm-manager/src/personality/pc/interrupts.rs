//! How interrupts get into a vCPU, and what happens to one that waits for them.

use super::apics::{NMI, Port, STARTUP};
use super::cpu::{PcCpu, Window};
use super::devices::Now;
use super::startup::Order;
use super::{Activity, Pc, PcPlatform};
use crate::board::Board;
use crate::irqchip::lapic::{Effect, Interrupt, LocalApic};
use crate::run::Stop;
use crate::slot::Core;
use core::ops::ControlFlow::{self, Break, Continue};
use core::time::Duration;
use hv_core::arch::x86_64::event::Event;
use hv_core::arch::x86_64::register::flags;
use hv_core::arch::x86_64::start::Start;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// A vCPU whose number has no local APIC: there is none.
const NOBODY: ControlFlow<Stop> = Continue(());

impl<P: PcPlatform> Pc<P> {
    /// The vCPU looks at what others have for it.
    #[inline]
    pub(super) fn look(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        let Some(port) = self.port(core) else { return NOBODY };
        if port.signals() & STARTUP != 0 {
            self.start_up(port, core)?;
        }
        self.inject(port, core);
        if core.private.activity == Activity::Halted {
            return Break(Stop::Idle);
        }
        self.rearm(core)
    }

    /// Gives the guest the most urgent of what waits, or has its CPU exit as soon as it can take that.
    #[inline]
    pub(super) fn inject(&self, port: &Port<P>, core: &mut Core<P>) {
        let mut window = Window::Closed;
        if port.signals() & NMI != 0 {
            if core.cpu.can_take_nmi() {
                port.clear(NMI);
                core.cpu.inject(Event::NMI);
                core.private.activity = Activity::Runs;
            } else {
                window = Window::Nmi;
            }
        }
        let mut apic = port.apic().lock();
        if let Some(interrupt) = apic.pending() {
            if core.cpu.can_take_interrupt() {
                let vector = match interrupt {
                    Interrupt::Vector(vector) => {
                        apic.acknowledge(vector);
                        // One that was not needed while this interrupt waited may be now.
                        if core.private.apic_deadline == Instant::NEVER {
                            core.private.apic_deadline =
                                Now::host_at(core.private.behind_ns, apic.next_deadline());
                        }
                        if apic.pending().is_some() && window == Window::Closed {
                            window = Window::Interrupt;
                        }
                        drop(apic);
                        vector
                    }
                    Interrupt::External => {
                        apic.acknowledge_external();
                        drop(apic);
                        let vector = self.devices.pair.lock().acknowledge();
                        if port.apic().lock().pending().is_some() && window == Window::Closed {
                            window = Window::Interrupt;
                        }
                        vector
                    }
                };
                core.cpu.inject(Event::interrupt(vector));
                core.private.activity = Activity::Runs;
            } else if window == Window::Closed {
                window = Window::Interrupt;
            }
        }
        if window != core.private.window {
            core.private.window = window;
            core.cpu.set_window(window);
        }
    }

    /// What the CPU was told to exit for has come.
    #[inline]
    pub(super) fn window_opened(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        let Some(port) = self.port(core) else { return NOBODY };
        core.private.window = Window::Closed;
        core.cpu.set_window(Window::Closed);
        self.inject(port, core);
        self.rearm(core)
    }

    /// HLT: whether the vCPU goes on at once.
    pub(super) fn halt(&self, core: &mut Core<P>) -> bool {
        core.private.activity = Activity::Halted;
        let Some(port) = self.port(core) else { return false };
        self.inject(port, core);
        let is_awake = core.private.activity == Activity::Runs || port.signals() & STARTUP != 0;
        if is_awake && self.first_deadline(core) < core.private.armed {
            // The CPU's timer is set on the way back.
            port.slot().attend();
        }
        is_awake
    }

    /// Whether it sleeps on, though its CPU is about to run it.
    #[inline]
    pub(super) fn sleeps_on(&self, core: &mut Core<P>) -> bool {
        let Some(port) = self.port(core) else { return false };
        let signals = port.signals();
        if core.private.activity == Activity::Runs && signals & STARTUP == 0 {
            return false;
        }
        let takes_interrupts = core.cpu.rflags() & flags::IF != 0;
        let is_woken =
            signals & NMI != 0 || takes_interrupts && port.apic().lock().pending().is_some();
        if is_woken || signals & STARTUP != 0 {
            // It looks for itself.
            port.slot().attend();
            return false;
        }
        true
    }

    /// Takes an INIT or a start-up, or waits for the latter.
    #[cold]
    fn start_up(&self, port: &Port<P>, core: &mut Core<P>) -> ControlFlow<Stop> {
        let page = match port.take_order() {
            Order::RunOn => return Continue(()),
            Order::Sleep => return Break(Stop::Idle),
            // The first CPU would go to the firmware, which would begin from the start.
            Order::Reset if core.index == 0 => return Break(Stop::Reset),
            Order::Reset => {
                self.take_init(port, core);
                return Break(Stop::Idle);
            }
            Order::Start(_) if core.index == 0 => return Break(Stop::Reset),
            Order::Start(page) => page,
        };
        self.take_init(port, core);
        core.cpu.put();
        core.cpu.reset(Start::startup(page));
        core.cpu.load(Duration::from_nanos(core.private.behind_ns));
        self.loaded(core);
        Continue(())
    }

    fn take_init(&self, port: &Port<P>, core: &mut Core<P>) {
        port.apic().lock().init();
        port.clear(NMI);
        self.restarted(core);
    }

    /// The vCPU's timers look at the time; vCPU 0's are also those of the board.
    #[inline(never)]
    pub(super) fn look_at_time(&self, core: &mut Core<P>) {
        let Some(port) = self.port(core) else { return };
        let now = self.now(core);
        if core.private.apic_deadline <= now.host {
            let mut apic = port.apic().lock();
            apic.poll(now.guest());
            core.private.apic_deadline = Now::host_at(now.behind_ns, apic.next_deadline());
            let is_pending = apic.pending().is_some();
            drop(apic);
            if is_pending {
                port.slot().attend();
            }
        }
        if core.index == 0 && self.devices.deadline() <= now.host {
            self.devices.poll(now);
        }
    }

    /// The guest uses its local APIC: `act` says what came of it, with the guest's time given.
    #[inline]
    pub(super) fn with_apic<R>(
        &self,
        port: &Port<P>,
        core: &mut Core<P>,
        act: impl FnOnce(&mut LocalApic, Instant) -> R,
    ) -> R {
        let now = self.now(core);
        let mut apic = port.apic().lock();
        let result = act(&mut apic, now.guest());
        core.private.apic_deadline = Now::host_at(now.behind_ns, apic.next_deadline());
        result
    }

    /// Passes on what a write to a local APIC asks of the rest, and looks what interrupts now.
    #[inline]
    pub(super) fn settle(
        &self,
        effect: Effect,
        port: &Port<P>,
        core: &mut Core<P>,
    ) -> ControlFlow<Stop> {
        self.pass_on(effect, core.index);
        self.inject(port, core);
        self.rearm(core)
    }

    /// Passes on what a write to vCPU `sender`'s local APIC asks of the rest.
    #[inline(always)]
    pub(super) fn pass_on(&self, effect: Effect, sender: u8) {
        if !matches!(effect, Effect::None) {
            self.pass_on_to_others(effect, sender);
        }
    }

    #[inline(never)]
    fn pass_on_to_others(&self, effect: Effect, sender: u8) {
        match effect {
            Effect::None => {}
            Effect::EndOfInterrupt(vector) => self.devices.ioapic.lock().end_of_interrupt(vector),
            Effect::Send { message, scope } => self.apics.send(&message, scope, sender),
        }
    }
}
