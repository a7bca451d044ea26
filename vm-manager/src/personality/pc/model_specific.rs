//! RDMSR and WRMSR: what the registers of [`super::msr`] are that live in the vCPU, its local APIC and its clock.

use super::apics::Port;
use super::control::Protection;
use super::cpu::PcCpu;
use super::devices::Now;
use super::msr::{self, Register};
use super::pvclock::{self, Reference};
use super::{Pc, PcPlatform, exits, registers};
use crate::irqchip::lapic::{GeneralProtection, TSC_DEADLINE_MSR, TscDeadline};
use crate::run::Stop;
use crate::slot::Core;
use crate::vm::Vm;
use core::ops::ControlFlow::{self, Continue};
use hv_core::arch::x86_64::register::{SystemRegister, general};
use hv_core::guest::GuestMemory;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// The first MSR of an x2APIC.
const X2APIC: u32 = 0x800;

impl<P: PcPlatform> Pc<P> {
    /// RDMSR.
    #[inline]
    pub(super) fn read_msr(&self, index: u32, core: &mut Core<P>) -> ControlFlow<Stop> {
        let value = match core.private.msrs.read(index) {
            msr::Read::Value(value) => Ok(value),
            msr::Read::Register(register) => self.read_register(register, core),
            msr::Read::Fault => Err(GeneralProtection),
        };
        match value {
            Ok(value) => {
                let (low, high) = (value & 0xffff_ffff, value >> 32);
                core.cpu.set_generals([(general::RAX, low), (general::RDX, high)]);
                core.cpu.finish();
            }
            Err(GeneralProtection) => exits::protect(core),
        }
        Continue(())
    }

    fn read_register(
        &self,
        register: Register,
        core: &mut Core<P>,
    ) -> Result<u64, GeneralProtection> {
        let Some(port) = self.port(core) else { return Err(GeneralProtection) };
        match register {
            Register::Cpu(register) => Ok(core.cpu.system(register)),
            Register::Efer => Ok(core.cpu.system(SystemRegister::Efer)),
            Register::Tsc => Ok(core.cpu.tsc()),
            Register::ApicBase => Ok(port.apic().lock().base()),
            Register::TscDeadline => {
                Ok(self.with_apic(port, core, |apic, now| apic.tsc_deadline(now)))
            }
            Register::X2Apic(offset) => {
                let index = X2APIC + u32::from(offset);
                self.with_apic(port, core, |apic, now| apic.read_msr(index, now))
            }
            Register::SystemTime => Ok(core.private.clock.register()),
            // It is not kept: the clock was written once.
            Register::WallClock => Ok(0),
        }
    }

    /// WRMSR.
    #[inline]
    pub(super) fn write_msr(
        &self,
        index: u32,
        value: u64,
        core: &mut Core<P>,
        vm: &Vm<P>,
    ) -> ControlFlow<Stop> {
        let Some(port) = self.port(core) else { return Continue(()) };
        // These two are written at every interrupt.
        if index == TSC_DEADLINE_MSR {
            core.cpu.finish();
            return self.set_tsc_deadline(value, port, core);
        }
        if index & !0xff == X2APIC {
            return self.write_apic(index, value, port, core);
        }
        let written = match core.private.msrs.write(index, value) {
            msr::Write::Done => Ok(()),
            msr::Write::Register(register, value) => {
                return self.write_register(register, value, port, core, vm);
            }
            msr::Write::Fault => Err(GeneralProtection),
        };
        exits::conclude(written, core)
    }

    #[inline]
    fn write_apic(
        &self,
        index: u32,
        value: u64,
        port: &Port<P>,
        core: &mut Core<P>,
    ) -> ControlFlow<Stop> {
        const END_OF_INTERRUPT: u32 = 0x80b;
        const COMMAND: u32 = 0x830;
        const SELF_INTERRUPT: u32 = 0x83f;
        if matches!(index, END_OF_INTERRUPT | COMMAND | SELF_INTERRUPT) {
            // These have nothing to do with time, which costs something to ask for.
            let written = port.apic().lock().write_msr(index, value, Instant(0));
            return match written {
                Ok(effect) => {
                    core.cpu.finish();
                    self.settle(effect, port, core)
                }
                Err(GeneralProtection) => exits::conclude(Err(GeneralProtection), core),
            };
        }
        self.write_timed(index, value, port, core)
    }

    #[inline(never)]
    fn write_timed(
        &self,
        index: u32,
        value: u64,
        port: &Port<P>,
        core: &mut Core<P>,
    ) -> ControlFlow<Stop> {
        match self.with_apic(port, core, |apic, now| apic.write_msr(index, value, now)) {
            Ok(effect) => {
                core.cpu.finish();
                self.settle(effect, port, core)
            }
            Err(GeneralProtection) => {
                exits::protect(core);
                Continue(())
            }
        }
    }

    #[inline(never)]
    fn write_register(
        &self,
        register: Register,
        value: u64,
        port: &Port<P>,
        core: &mut Core<P>,
        vm: &Vm<P>,
    ) -> ControlFlow<Stop> {
        match register {
            Register::Cpu(register) => {
                core.cpu.set_system(register, value);
                exits::conclude(Ok(()), core)
            }
            Register::Efer => {
                match self.offered.efer(value, &registers::control_state(&core.cpu)) {
                    Ok(new) => {
                        // Stepped over first, in the mode in which the instruction ran.
                        core.cpu.finish();
                        core.cpu.set_system(SystemRegister::Efer, new);
                    }
                    Err(Protection) => exits::protect(core),
                }
                Continue(())
            }
            Register::Tsc => {
                core.cpu.set_tsc(value);
                core.cpu.finish();
                core.private.clock.tsc_was_set();
                self.tell_time(core, vm.ram());
                // It is a deadline of the new count.
                let deadline = self.with_apic(port, core, |apic, now| apic.tsc_deadline(now));
                self.set_tsc_deadline(deadline, port, core)
            }
            Register::ApicBase => {
                let written = self.with_apic(port, core, |apic, _| apic.set_base(value));
                exits::conclude(written, core)?;
                self.inject(port, core);
                self.rearm(core)
            }
            Register::WallClock => {
                let epoch = u64::try_from(self.epoch.as_nanos()).unwrap_or(u64::MAX);
                let began = epoch.saturating_add(core.private.behind_ns);
                pvclock::write_wall_clock(value, began, vm.ram());
                exits::conclude(Ok(()), core)
            }
            Register::SystemTime => {
                core.private.clock.set_register(value);
                self.tell_time(core, vm.ram());
                exits::conclude(Ok(()), core)
            }
            Register::TscDeadline => {
                core.cpu.finish();
                self.set_tsc_deadline(value, port, core)
            }
            Register::X2Apic(offset) => {
                self.write_apic(X2APIC + u32::from(offset), value, port, core)
            }
        }
    }

    /// Sets the deadline of the local APIC's timer, and raises its interrupt if that is past already.
    #[inline]
    fn set_tsc_deadline(&self, tsc: u64, port: &Port<P>, core: &mut Core<P>) -> ControlFlow<Stop> {
        let behind_ns = core.private.behind_ns;
        let at = match core.cpu.time_of_tsc(tsc) {
            Instant::NEVER => Instant::NEVER,
            at => Instant(at.0.saturating_sub(behind_ns)),
        };
        let now = self.platform().now();
        let guest = Now { host: now, behind_ns }.guest();
        let mut apic = port.apic().lock();
        apic.set_tsc_deadline(TscDeadline { tsc, at }, guest);
        let deadline = apic.next_deadline();
        if deadline > guest {
            core.private.apic_deadline = Now::host_at(behind_ns, deadline);
            drop(apic);
        } else {
            apic.poll(guest);
            core.private.apic_deadline = Now::host_at(behind_ns, apic.next_deadline());
            drop(apic);
            self.inject(port, core);
        }
        self.rearm(core)
    }

    /// Tells the guest the time, if it wants to know and does not.
    #[inline]
    pub(super) fn tell_time(&self, core: &mut Core<P>, memory: &dyn GuestMemory) {
        let behind_ns = core.private.behind_ns;
        if !core.private.clock.is_stale(behind_ns) {
            return;
        }
        let (tsc, at) = core.cpu.tsc_reference();
        let guest = Now { host: at, behind_ns }.guest();
        let reference = Reference { tsc, guest, behind_ns };
        core.private.clock.write(reference, &self.pace, memory);
    }
}
