//! What a guest may ask for by HVC or SMC: PSCI 1.1 (Arm DEN 0022) and the SMC calling convention's own calls (Arm DEN 0028).

use super::{ArmCpu, ArmPlatform};
use crate::board::Board;
use crate::run::Stop;
use crate::slot::Core;
use crate::vm::{CpuOnError, Vm};
use core::ops::ControlFlow::{self, Break, Continue};
use hv_core::arch::aarch64::Start;
use hv_core::guest::GuestPhysAddr;

/// Bit 30 of a function identifier: arguments are 64 bits wide. DEN 0028, 2.5.
const SMC64: u32 = 1 << 30;

/// Function identifiers, those of SMC32.
mod function {
    pub(super) const SMCCC_VERSION: u32 = 0x8000_0000;
    pub(super) const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
    pub(super) const VERSION: u32 = 0x8400_0000;
    pub(super) const CPU_SUSPEND: u32 = 0x8400_0001;
    pub(super) const CPU_OFF: u32 = 0x8400_0002;
    pub(super) const CPU_ON: u32 = 0x8400_0003;
    pub(super) const AFFINITY_INFO: u32 = 0x8400_0004;
    pub(super) const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    pub(super) const SYSTEM_OFF: u32 = 0x8400_0008;
    pub(super) const SYSTEM_RESET: u32 = 0x8400_0009;
    pub(super) const FEATURES: u32 = 0x8400_000a;
    pub(super) const SYSTEM_RESET2: u32 = 0x8400_0012;
}

const SUCCESS: i64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const INVALID_ADDRESS: i64 = -9;

const PSCI_1_1: i64 = 1 << 16 | 1;
const SMCCC_1_1: i64 = 1 << 16 | 1;
/// MIGRATE_INFO_TYPE: there is no trusted OS that would have to move.
const NO_TRUSTED_OS: i64 = 2;
const AFFINITY_ON: i64 = 0;
const AFFINITY_OFF: i64 = 1;

/// Answers the call whose function is in `x0` and whose arguments are in `x1` to `x3`.
#[inline(always)]
pub(super) fn call<P: ArmPlatform>(core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
    let id = core.cpu.x(0) as u32;
    let answer = match id {
        function::VERSION => PSCI_1_1,
        function::SMCCC_VERSION => SMCCC_1_1,
        _ if !is_ours(id) => NOT_SUPPORTED,
        _ => match other(id, core, vm) {
            Continue(answer) => answer,
            Break(stop) => return Break(stop),
        },
    };
    // A negative answer is sign-extended: right for SMC32 and SMC64 alike.
    core.cpu.set_x(0, answer.cast_unsigned());
    Continue(())
}

/// Whether a function identifier is in a range of which some are served: PSCI, or the convention's own. DEN 0028, 6.
#[inline(always)]
const fn is_ours(id: u32) -> bool {
    const NUMBER: u32 = 0x1f;
    const OWNER: u32 = 0x0400_0000;
    id & !(SMC64 | NUMBER | OWNER) == 0x8000_0000
}

#[inline(never)]
fn other<P: ArmPlatform>(id: u32, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop, i64> {
    let is_64 = id & SMC64 != 0;
    let argument = |index: u8| {
        let value = core.cpu.x(index);
        if is_64 { value } else { value & 0xffff_ffff }
    };
    let (a, b, c) = (argument(1), argument(2), argument(3));
    let takes_64 = matches!(
        id & !SMC64,
        function::CPU_SUSPEND
            | function::CPU_ON
            | function::AFFINITY_INFO
            | function::SYSTEM_RESET2
    );
    if is_64 && !takes_64 {
        return Continue(NOT_SUPPORTED);
    }
    let answer = match id & !SMC64 {
        function::SMCCC_ARCH_FEATURES => arch_feature(a as u32),
        function::FEATURES => feature(a as u32),
        // Every state is standby: the CPU waits as in WFI, and the call succeeds when it wakes.
        function::CPU_SUSPEND if vm.board().has_pending(core) => SUCCESS,
        function::CPU_SUSPEND => {
            core.cpu.set_x(0, SUCCESS.cast_unsigned());
            return Break(Stop::Idle);
        }
        function::CPU_OFF => return Break(Stop::Off),
        function::CPU_ON => cpu_on(vm, a, b, c),
        function::AFFINITY_INFO => affinity_info(vm, a, b),
        function::MIGRATE_INFO_TYPE => NO_TRUSTED_OS,
        function::SYSTEM_OFF => return Break(Stop::PowerOff),
        function::SYSTEM_RESET => return Break(Stop::Reset),
        // Architectural warm reset, type 0; others are for vendors.
        function::SYSTEM_RESET2 if a == 0 => return Break(Stop::Reset),
        function::SYSTEM_RESET2 => INVALID_PARAMETERS,
        _ => NOT_SUPPORTED,
    };
    Continue(answer)
}

fn arch_feature(id: u32) -> i64 {
    match id {
        function::SMCCC_VERSION | function::SMCCC_ARCH_FEATURES => SUCCESS,
        _ => NOT_SUPPORTED,
    }
}

fn feature(id: u32) -> i64 {
    let only_32 = matches!(
        id,
        function::VERSION
            | function::CPU_OFF
            | function::MIGRATE_INFO_TYPE
            | function::SYSTEM_OFF
            | function::SYSTEM_RESET
            | function::FEATURES
            | function::SMCCC_VERSION
    );
    let both = matches!(
        id & !SMC64,
        function::CPU_SUSPEND
            | function::CPU_ON
            | function::AFFINITY_INFO
            | function::SYSTEM_RESET2
    );
    if only_32 || both { SUCCESS } else { NOT_SUPPORTED }
}

/// The vCPU that affinity fields name: affinity 0 is its number, the others are zero.
fn vcpu_of(affinity: u64) -> Option<u64> {
    const AFF0: u64 = 0xff;
    const FIELDS: u64 = 0xff_00ff_ffff;
    // Other bits must be zero; DEN 0022, 5.4.1.
    (affinity & !AFF0 == 0 && affinity & !FIELDS == 0).then_some(affinity)
}

fn cpu_on<P: ArmPlatform>(vm: &Vm<P>, target: u64, entry: u64, context: u64) -> i64 {
    let Some(vcpu) = vcpu_of(target) else { return INVALID_PARAMETERS };
    let entry = GuestPhysAddr(entry);
    if !vm.is_ram(entry) {
        return INVALID_ADDRESS;
    }
    match vm.cpu_on(vcpu, Start { entry, argument: context }) {
        Ok(()) => SUCCESS,
        Err(CpuOnError::NoSuchCpu) => INVALID_PARAMETERS,
        Err(CpuOnError::AlreadyOn) => ALREADY_ON,
    }
}

fn affinity_info<P: ArmPlatform>(vm: &Vm<P>, affinity: u64, lowest_level: u64) -> i64 {
    // With levels above 0: on if any CPU of that group is, and all are in the one group.
    let is_on = match (lowest_level, vcpu_of(affinity)) {
        (0, Some(vcpu)) => vm.is_cpu_on(vcpu),
        _ => return INVALID_PARAMETERS,
    };
    match is_on {
        Some(true) => AFFINITY_ON,
        Some(false) => AFFINITY_OFF,
        None => INVALID_PARAMETERS,
    }
}
