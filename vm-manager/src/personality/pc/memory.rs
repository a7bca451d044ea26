//! Instructions that access what is not RAM, and those that move strings to and from ports: what they reach.

use super::apics::Port;
use super::cpu::Window;
use super::devices::{Devices, Now};
use super::{APIC_PAGE_BYTES, Pc, PcPlatform, exits};
use crate::bus::Reply;
use crate::irqchip::lapic::Effect;
use crate::platform::Ram;
use crate::run::Stop;
use crate::slot::Core;
use crate::vm::Vm;
use core::ops::ControlFlow::{self, Break, Continue};
use hv_core::arch::x86_64::exit::{MemoryAccess, StringPort};
use hv_core::exit::{Access, Op};
use hv_core::guest::{GuestPhysAddr, Space};
use hv_core::ram::Touched;
use hv_core::time::Instant;

impl<P: PcPlatform> Pc<P> {
    /// An access to what is not RAM.
    #[inline(never)]
    pub(super) fn memory(
        &self,
        access: MemoryAccess,
        core: &mut Core<P>,
        vm: &Vm<P>,
    ) -> ControlFlow<Stop> {
        if vm.ram().touch(access.addr) == Touched::Present {
            return Continue(());
        }
        let mut around = self.around(core, vm);
        let Core { cpu, private, .. } = &mut *core;
        let outcome =
            private.emulator.memory(access, cpu, vm.ram(), |access| around.access(access));
        let (stop, apic) = (around.stop, around.apic);
        exits::follow(outcome, access.addr, core)?;
        self.finish_access(stop, apic, core)
    }

    #[inline(never)]
    pub(super) fn string_port(
        &self,
        access: StringPort,
        core: &mut Core<P>,
        vm: &Vm<P>,
    ) -> ControlFlow<Stop> {
        let mut around = self.around(core, vm);
        let Core { cpu, private, .. } = &mut *core;
        let outcome =
            private.emulator.string_port(access, cpu, vm.ram(), |access| around.access(access));
        let (stop, apic) = (around.stop, around.apic);
        exits::follow(outcome, GuestPhysAddr(access.port.into()), core)?;
        self.finish_access(stop, apic, core)
    }

    fn around<'a>(&'a self, core: &Core<P>, vm: &'a Vm<P>) -> Around<'a, P> {
        let (index, now) = (core.index, self.now(core));
        Around { pc: self, vm, index, now, stop: None, apic: Apic::Untouched }
    }

    #[inline]
    fn finish_access(
        &self,
        stop: Option<Stop>,
        apic: Apic,
        core: &mut Core<P>,
    ) -> ControlFlow<Stop> {
        if let Some(stop) = stop {
            return Break(stop);
        }
        if let Apic::Used { deadline } = apic {
            core.private.apic_deadline = Now::host_at(core.private.behind_ns, deadline);
            if let Some(port) = self.port(core)
                && has_to_be_looked_at(port, core)
            {
                self.inject(port, core);
            }
        }
        self.rearm(core)
    }
}

/// Whether something waits for the vCPU, or it waits for something: most registers change neither.
#[inline(always)]
fn has_to_be_looked_at<P: PcPlatform>(port: &Port<P>, core: &Core<P>) -> bool {
    core.private.window != Window::Closed
        || port.signals() != 0
        || port.apic().lock().pending().is_some()
}

/// Whether an instruction has used the vCPU's own local APIC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Apic {
    Untouched,
    /// When it is to be polled next, in the guest's time.
    Used {
        deadline: Instant,
    },
}

/// What an emulated instruction reaches, and what came of that.
struct Around<'a, P: PcPlatform> {
    pc: &'a Pc<P>,
    vm: &'a Vm<P>,
    index: u8,
    now: Now,
    stop: Option<Stop>,
    apic: Apic,
}

impl<P: PcPlatform> Around<'_, P> {
    fn access(&mut self, access: Access) -> u64 {
        if access.space == Space::Mmio
            && let Some(value) = self.local_apic(access)
        {
            return value;
        }
        let devices = &self.pc.devices;
        let reply = match access.space {
            Space::Mmio => devices.memory(access, self.now),
            Space::Port => {
                let reply = devices.port(access, self.now);
                if Devices::<P>::has_deadline(&access) {
                    self.pc.find_deadline(self.now.behind_ns);
                }
                reply
            }
        };
        match reply {
            Reply::Value(value) => value,
            Reply::Done => 0,
            Reply::NoDevice => {
                self.vm.note_bad_access(access.addr);
                access.width.ones()
            }
            Reply::Ends(stop) => {
                self.stop = Some(stop);
                0
            }
        }
    }

    /// An access to the page of the vCPU's own local APIC.
    fn local_apic(&mut self, access: Access) -> Option<u64> {
        let port = self.pc.apics.port(self.index)?;
        let mut apic = port.apic().lock();
        let offset = access.addr.0.checked_sub(apic.page()?.0)?;
        if offset >= APIC_PAGE_BYTES {
            return None;
        }
        let guest = self.now.guest();
        let (value, effect) = match access.op {
            Op::Read => (apic.read_page(offset, access.width, guest), Effect::None),
            Op::Write(value) => (0, apic.write_page(offset, access.width, value, guest)),
        };
        self.apic = Apic::Used { deadline: apic.next_deadline() };
        drop(apic);
        self.pc.pass_on(effect, self.index);
        Some(value)
    }
}
