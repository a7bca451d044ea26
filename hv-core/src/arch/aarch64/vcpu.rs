//! One guest CPU at EL1.

use super::clock;
use super::el1::{El1State, PointerKeys};
use super::esr::{self, ArchExit, Load, Syndrome};
use super::gic::{self, Activity, HostListRegisters, Power, VirtualInterface};
use super::idregs::{self, GicVersion, GuestIds};
use super::space::{LastHere, Leftovers, Translation};
use super::sysreg::SystemRegister;
use super::{insn, percpu};
use crate::exit::{Exit, Fault, FaultKind};
use crate::guest::GuestPhysAddr;
use crate::time::Instant;
use crate::vcpu::{GuestCpu, RegisterDump};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// General registers, as the entry code knows them: x0 to x30, PC, PSTATE.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Registers {
    x: [u64; 31],
    pc: u64,
    pstate: u64,
}
const _: () = assert!(core::mem::offset_of!(Registers, pc) == 248);
const _: () = assert!(core::mem::offset_of!(Registers, pstate) == 256);

impl Registers {
    #[inline]
    fn x(&self, index: u8) -> u64 {
        self.x.get(usize::from(index)).copied().unwrap_or(0)
    }

    #[inline]
    fn set_x(&mut self, index: u8, value: u64) {
        if let Some(register) = self.x.get_mut(usize::from(index)) {
            *register = value;
        }
    }
}

/// Vector registers, as the entry code knows them: V0 to V31, FPSR, FPCR.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct FpState {
    v: [u128; 32],
    fpsr: u64,
    fpcr: u64,
}
const _: () = assert!(core::mem::offset_of!(FpState, fpsr) == 512);

/// The last exits: PC and `ESR_EL2`, or all ones for an interrupt.
#[derive(Debug, Default)]
struct Trail {
    entries: [(u64, u64); 16],
    next: usize,
}

impl Trail {
    #[inline(always)]
    fn note(&mut self, pc: u64, esr: u64) {
        let index = self.next % self.entries.len();
        self.entries[index] = (pc, esr);
        self.next += 1;
    }

    /// The oldest first.
    fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let len = self.entries.len();
        let used = self.next.min(len);
        (0..used).map(move |i| self.entries[(self.next - used + i) % len])
    }
}

/// EL1h with all interrupts masked: PSTATE after a reset.
const PSTATE_RESET: u64 = 0x3c5;
/// The private interrupt of the virtual timer, in every GIC-based machine of ours.
pub const VIRTUAL_TIMER_INTID: u32 = 27;

/// What the guest's virtual timer is about to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimerState {
    /// It is off or masked.
    Off,
    /// It raises its interrupt at this time of the host.
    At(Instant),
}

/// How a vCPU starts: at EL1h with everything masked and the MMU off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// PC.
    pub entry: GuestPhysAddr,
    /// X0.
    pub argument: u64,
}

/// A guest CPU at EL1. It is loaded on one physical CPU at most.
#[derive(Debug)]
pub struct Vcpu {
    registers: Registers,
    /// The syndrome of the last synchronous exit.
    esr: u64,
    index: u8,
    keys: PointerKeys,
    translation: Translation,
    last_here: Arc<LastHere>,
    gic: GicVersion,
    /// What it reads in identification registers, on the CPU that has it.
    ids: Option<&'static GuestIds>,
    el1: El1State,
    fp: Box<FpState>,
    interface: VirtualInterface,
    list_registers: HostListRegisters,
    /// Ticks by which guest time is behind the host's counter.
    offset_ticks: u64,
    trail: Trail,
}

impl Vcpu {
    /// vCPU number `index`, 0 to 15, of the guest with this translation. It is off: see [`Self::reset`].
    #[must_use]
    pub fn new(
        index: u8,
        translation: Translation,
        last_here: Arc<LastHere>,
        gic: GicVersion,
    ) -> Self {
        let fp = Box::new(FpState { v: [0; 32], fpsr: 0, fpcr: 0 });
        Self {
            registers: Registers::default(),
            esr: 0,
            index,
            keys: PointerKeys::Absent,
            translation,
            last_here,
            gic,
            ids: None,
            el1: El1State::reset(),
            fp,
            interface: VirtualInterface::default(),
            list_registers: HostListRegisters::NONE,
            offset_ticks: 0,
            trail: Trail::default(),
        }
    }

    /// `MPIDR_EL1` of the guest: its number as affinity 0, and RES1.
    fn mpidr(&self) -> u64 {
        1 << 31 | u64::from(self.index)
    }

    /// What its virtual timer is about to do. It is not loaded.
    #[must_use]
    pub fn timer(&self) -> TimerState {
        const ENABLE: u64 = 1;
        const IMASK: u64 = 1 << 1;
        if self.el1.timer_control & (ENABLE | IMASK) != ENABLE {
            return TimerState::Off;
        }
        let ticks = self.el1.timer_value.saturating_add(self.offset_ticks);
        TimerState::At(Instant(clock::ticks_to_ns(ticks)))
    }

    /// Its list registers. It is loaded.
    #[inline]
    pub fn list_registers(&mut self) -> &mut HostListRegisters {
        &mut self.list_registers
    }

    /// Makes the host's virtual timer interrupt active or inactive on this CPU, as this vCPU's virtual one is.
    pub fn set_timer_interrupt_active(&self, is: crate::guest::Level) {
        let activity = match is {
            crate::guest::Level::High => Activity::Active,
            crate::guest::Level::Low => Activity::Inactive,
        };
        if let Some(gic) = gic::get() {
            gic.set_private_active(VIRTUAL_TIMER_INTID, activity);
        }
    }

    /// Its counter now, in ticks: that of `CNTVCT_EL0` and `CNTPCT_EL0`.
    #[inline]
    #[must_use]
    pub fn counter(&self) -> u64 {
        insn::counter().wrapping_sub(self.offset_ticks)
    }

    /// The time of the host at which its counter reaches `ticks`.
    #[must_use]
    pub fn time_of(&self, ticks: u64) -> Instant {
        Instant(clock::ticks_to_ns(ticks.saturating_add(self.offset_ticks)))
    }

    /// General register `index`; 31 is zero.
    #[inline]
    #[must_use]
    pub fn x(&self, index: u8) -> u64 {
        self.registers.x(index)
    }

    /// Sets general register `index`; 31 is nowhere.
    #[inline]
    pub fn set_x(&mut self, index: u8, value: u64) {
        self.registers.set_x(index, value);
    }

    /// The value that an identification register has for guests; `None` if it is none.
    #[inline]
    #[must_use]
    pub fn id_register(&self, register: SystemRegister) -> Option<u64> {
        self.ids?.get(register)
    }

    /// Makes the guest take an Undefined Instruction exception at its present PC. Arm ARM D1.3.
    pub fn inject_undefined(&mut self) {
        const ESR_UNKNOWN: u64 = 1 << 25;
        self.inject_synchronous(ESR_UNKNOWN);
    }

    /// A synchronous exception to EL1; the vCPU is loaded.
    fn inject_synchronous(&mut self, esr: u64) {
        const EL1H: u64 = 0x3c5;
        const KEPT: u64 = 0xf000_0000 | 1 << 24 | 1 << 22; // NZCV, DIT, PAN
        const PAN: u64 = 1 << 22;
        const SPAN: u64 = 1 << 23;
        let Registers { pc, pstate, .. } = self.registers;
        insn::esr_el1::write(esr);
        insn::elr_el1::write(pc);
        insn::spsr_el1::write(pstate);
        let from = match pstate & 0x1f {
            0b0_0101 => 0x200,
            0b0_0100 => 0x000,
            mode if mode & 0x10 != 0 => 0x600,
            _ => 0x400,
        };
        let sets_pan = percpu::this().is_some_and(|cpu| cpu.ids().mmfr1 >> 20 & 0xf != 0)
            && insn::sctlr_el1::read() & SPAN == 0;
        self.registers.pc = insn::vbar_el1::read().wrapping_add(from);
        self.registers.pstate = EL1H | pstate & KEPT | if sets_pan { PAN } else { 0 };
    }
}

impl GuestCpu for Vcpu {
    type ArchExit = ArchExit;
    type Start = Start;

    fn reset(&mut self, start: Start) {
        *self = Self::new(self.index, self.translation, Arc::clone(&self.last_here), self.gic);
        self.registers.pc = start.entry.0;
        self.registers.pstate = PSTATE_RESET;
        self.registers.set_x(0, start.argument);
    }

    fn load(&mut self, behind: Duration) {
        let Some(this) = percpu::this() else { return };
        let has_keys = idregs::has_pointer_authentication(&this.ids());
        self.ids = Some(this.guest_ids(self.gic));
        self.keys = if has_keys { PointerKeys::Present } else { PointerKeys::Absent };
        self.list_registers = HostListRegisters::of_this_cpu(this.interface().list_registers);
        self.offset_ticks = clock::ns_to_ticks(behind.as_nanos() as u64);
        insn::vttbr_el2::write(self.translation.0);
        if self.last_here.comes(self.index, this.index()) == Leftovers::Foreign {
            insn::isb();
            insn::tlbi_vmalle1();
            insn::ic_iallu();
            insn::dsb_nsh();
        }
        insn::vmpidr_el2::write(self.mpidr());
        insn::cntvoff_el2::write(self.offset_ticks);
        self.el1.restore(self.keys);
        insn::cntv_cval_el0::write(self.el1.timer_value);
        insn::cntv_ctl_el0::write(self.el1.timer_control);
        insn::fp_restore(&self.fp);
        if let Some(gic) = gic::get() {
            gic.restore(&self.interface);
            gic.set_virtual_interface(Power::On);
        }
        insn::isb();
    }

    fn put(&mut self) {
        self.el1.timer_control = insn::cntv_ctl_el0::read();
        self.el1.timer_value = insn::cntv_cval_el0::read();
        insn::cntv_ctl_el0::write(0);
        self.el1.save(self.keys);
        insn::fp_save(&mut self.fp);
        if let Some(gic) = gic::get() {
            gic.save(&mut self.interface);
            gic.set_virtual_interface(Power::Off);
        }
        // No walk through this guest's tables from here on, speculative ones included.
        insn::vttbr_el2::write(0);
        insn::isb();
    }

    fn dump(&mut self) -> RegisterDump {
        self.el1.save(self.keys);
        const NAMES: [&str; 31] = [
            "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
            "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
            "x26", "x27", "x28", "x29", "x30",
        ];
        let general = NAMES.iter().copied().zip(self.registers.x);
        let special = [("pc", self.registers.pc), ("pstate", self.registers.pstate)];
        special.into_iter().chain(general).chain(self.el1.describe()).collect()
    }

    #[inline(always)]
    fn run(&mut self) -> Exit<ArchExit> {
        const SYNCHRONOUS: u64 = 0;
        const SERROR: u64 = 3;
        let vector = insn::enter(&mut self.registers);
        if vector == SYNCHRONOUS {
            return self.decode();
        }
        self.trail.note(self.registers.pc, u64::MAX);
        match vector {
            ..SERROR => Exit::Interrupt,
            _ => {
                Exit::Fatal(Fault { kind: FaultKind::SystemError, syndrome: insn::esr_el2::read() })
            }
        }
    }

    #[inline(always)]
    fn finish_read(&mut self, value: u64) {
        let load = Load::from_esr(self.esr);
        self.registers.set_x(load.general, load.extend(value));
        self.finish();
    }

    #[inline]
    fn finish(&mut self) {
        // It may be the last one of the address space.
        self.registers.pc = self.registers.pc.wrapping_add(4);
    }

    fn fail_access(&mut self) {
        // Data Abort, DFSC 0b010000: synchronous external abort. FAR is the address of the access.
        const EC_SAME_EL: u64 = 0x25;
        const EC_LOWER_EL: u64 = 0x24;
        const WNR: u64 = 1 << 6;
        let class = if self.registers.pstate & 0xf == 0 { EC_LOWER_EL } else { EC_SAME_EL };
        let wnr = insn::esr_el2::read() & WNR;
        insn::far_el1::write(insn::far_el2::read());
        self.inject_synchronous(class << 26 | 1 << 25 | wnr | 0b01_0000);
    }

    fn pc(&self) -> u64 {
        self.registers.pc
    }

    fn last_exits(&self) -> Vec<String> {
        let describe = |(pc, esr)| match esr {
            u64::MAX => format!("interrupt at {pc:#x}"),
            _ => format!("{} at {pc:#x} (ESR {esr:#x})", esr::class_name(esr)),
        };
        self.trail.iter().map(describe).collect()
    }

    fn instruction_address(&self) -> Option<GuestPhysAddr> {
        insn::translate_guest(self.registers.pc).map(GuestPhysAddr)
    }
}

impl Vcpu {
    #[inline(always)]
    fn decode(&mut self) -> Exit<ArchExit> {
        const CLASS_ABORT: u64 = 0b10_0000;
        let esr = insn::esr_el2::read();
        let mut syndrome = Syndrome { esr, ..Syndrome::default() };
        if esr >> 26 & CLASS_ABORT != 0 {
            syndrome.far = insn::far_el2::read();
            syndrome.hpfar = insn::hpfar_el2::read();
        }
        let registers = &self.registers;
        self.esr = esr;
        self.trail.note(self.registers.pc, esr);
        esr::decode(syndrome, |index| registers.x(index))
    }
}
