//! Trapped system registers: what each means to the guest.

use super::{ArmCpu, ArmPlatform};
use crate::irqchip::vgic::{SgiRegister, Version, Vgic};
use crate::run::Stop;
use crate::slot::Core;
use core::ops::ControlFlow::{self, Break, Continue};
use hv_core::arch::aarch64::esr::{Direction, SystemAccess};
use hv_core::arch::aarch64::sysreg::SystemRegister;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

const ICC_SGI1R: SystemRegister = SystemRegister::new(3, 0, 12, 11, 5);
const ICC_ASGI1R: SystemRegister = SystemRegister::new(3, 0, 12, 11, 6);
const ICC_SGI0R: SystemRegister = SystemRegister::new(3, 0, 12, 11, 7);
const CNTPCT: SystemRegister = SystemRegister::new(3, 3, 14, 0, 1);
const CNTP_TVAL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 0);
const CNTP_CTL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 1);
const CNTP_CVAL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 2);
const ACTLR: SystemRegister = SystemRegister::new(3, 0, 1, 0, 1);
const OSLSR: SystemRegister = SystemRegister::new(2, 0, 1, 1, 4);
const DEBUG: u32 = 2;

/// What an access comes to.
enum Outcome {
    /// A read gives this; a write changes nothing.
    Value(u64),
    /// It was written.
    Written,
    /// It was written, and the physical timer has a new deadline.
    TimerSet,
    /// There is no such register here.
    Undefined,
}

/// Performs a trapped access, or has the guest take an Undefined Instruction exception.
#[inline]
pub(super) fn access<P: ArmPlatform>(
    access: SystemAccess,
    core: &mut Core<P>,
    vgic: &Vgic,
) -> ControlFlow<Stop> {
    let outcome = match access.direction {
        Direction::Read => read(access.register, core),
        Direction::Write => {
            let value = core.cpu.x(access.general);
            write(access.register, value, core, vgic)
        }
    };
    match (outcome, access.direction) {
        (Outcome::Value(value), Direction::Read) => core.cpu.finish_read(value),
        (Outcome::Value(_) | Outcome::Written, _) => core.cpu.finish(),
        (Outcome::TimerSet, _) => {
            core.cpu.finish();
            return Break(Stop::Sooner);
        }
        (Outcome::Undefined, _) => core.cpu.inject_undefined(),
    }
    Continue(())
}

#[inline]
fn read<P: ArmPlatform>(register: SystemRegister, core: &Core<P>) -> Outcome {
    if let Some(value) = core.cpu.id_register(register) {
        return Outcome::Value(value);
    }
    let timer = &core.private.timer;
    match register {
        CNTPCT => Outcome::Value(core.cpu.counter()),
        CNTP_CTL => Outcome::Value(timer.control(&core.cpu)),
        CNTP_CVAL => Outcome::Value(timer.compare()),
        CNTP_TVAL => Outcome::Value(timer.remaining(&core.cpu)),
        ACTLR => Outcome::Value(0),
        // OSLM: the OS lock is implemented; not locked. D19.3.
        OSLSR => Outcome::Value(1 << 3),
        // Breakpoints and watchpoints are there by the architecture, and do nothing.
        _ if register.op0() == DEBUG => Outcome::Value(0),
        _ => Outcome::Undefined,
    }
}

#[inline]
fn write<P: ArmPlatform>(
    register: SystemRegister,
    value: u64,
    core: &mut Core<P>,
    vgic: &Vgic,
) -> Outcome {
    let vcpu = usize::from(core.index);
    let sgi = match register {
        ICC_SGI1R => Some(SgiRegister::Sgi1r),
        ICC_ASGI1R => Some(SgiRegister::Asgi1r),
        ICC_SGI0R => Some(SgiRegister::Sgi0r),
        _ => None,
    };
    if let Some(sgi) = sgi.filter(|_| vgic.version() == Version::V3) {
        vgic.send_sgi(vcpu, sgi, value, core.cpu.list_registers());
        return Outcome::Written;
    }
    let Core { cpu, private, .. } = core;
    let timer = &mut private.timer;
    match register {
        CNTP_CTL => timer.set_control(value),
        CNTP_CVAL => timer.set_compare(value),
        CNTP_TVAL => timer.set_remaining(value, cpu),
        ACTLR => return Outcome::Written,
        _ if register.op0() == DEBUG => return Outcome::Written,
        _ => return Outcome::Undefined,
    }
    timer.update(cpu, vgic, vcpu);
    if timer.deadline(cpu) == Instant::NEVER { Outcome::Written } else { Outcome::TimerSet }
}
