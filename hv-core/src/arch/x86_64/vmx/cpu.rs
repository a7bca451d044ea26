//! One guest CPU on Intel VMX. Intel SDM vol. 3C, chapters 25 to 28.

mod access;
mod setup;

use super::capability::FixedBits;
use super::control::Control;
use super::decode;
use super::field::Field;
use super::host::{self, Region, Setup};
use super::reason::Reason;
use super::vmcs::{control, guest};
use crate::arch::x86_64::event::{Event, EventKind, Window};
use crate::arch::x86_64::exit::ArchExit;
use crate::arch::x86_64::fpu::ExtendedState;
use crate::arch::x86_64::insn as host_insn;
use crate::arch::x86_64::insn::virt as insn;
use crate::arch::x86_64::insn::virt::Launch;
use crate::arch::x86_64::msr;
use crate::arch::x86_64::register::{cr0, flags, general};
use crate::arch::x86_64::space::{Tag, Translation};
use crate::arch::x86_64::vcpu::debug::DebugAddresses;
use crate::arch::x86_64::vcpu::initial::Initial;
use crate::arch::x86_64::vcpu::registers::Registers;
use crate::arch::x86_64::vcpu::trail::Trail;
use crate::arch::x86_64::vcpu::tsc::GuestTsc;
use crate::arch::x86_64::virt::{self, PerCpuVirt};
use crate::exit::{Exit, Fault, FaultKind};
use crate::guest::Width;
use crate::ram::GuestFrames;
use alloc::sync::Arc;
use core::time::Duration;

/// Interruptibility state (25.4.2): blocking by STI and by MOV SS.
const SHADOW: u64 = 0b11;
/// Blocking by NMI.
const NMI_BLOCKED: u64 = 1 << 3;
/// Bit 31 of fields that tell of events.
const VALID: u32 = 1 << 31;
/// DR6.BS, and the same bit of pending debug exceptions: a single step.
const STEP: u64 = 1 << 14;
/// Registers that are switched with the vCPU, since no VMCS has them.
const SWITCHED: [u32; 5] =
    [msr::STAR, msr::LSTAR, msr::CSTAR, msr::SYSCALL_MASK, msr::KERNEL_GS_BASE];

/// A guest CPU. While it is loaded, its VMCS is the current one, and CR2, DR0 to DR3, DR6 and [`SWITCHED`] are in the physical
/// CPU, also while the host runs: it uses none of them.
#[derive(Debug)]
pub(in crate::arch::x86_64) struct VmxCpu {
    registers: Registers,
    region: Region,
    launch: Launch,
    /// RIP at the last exit, or what it was set to since.
    rip: u64,
    /// What is to be handed in at the next entry.
    pending: Option<Event>,
    window: Window,
    setup: Setup,
    trail: Trail,
    tag: Tag,
    translation: Translation,
    frames: Arc<GuestFrames>,
    extended: ExtendedState,
    debug: DebugAddresses,
    dr6: u64,
    cr2: u64,
    switched: [u64; SWITCHED.len()],
    tsc: GuestTsc,
    tsc_aux: u64,
    /// What the VMCS is to hold at the next load.
    initial: Option<Initial>,
    /// The CPU whose host state it holds.
    host_of: u64,
}

impl VmxCpu {
    pub(in crate::arch::x86_64) fn load(&mut self, behind: Duration) {
        if let Some(this) = virt::this() {
            self.load_on(this, behind);
        }
    }

    fn load_on(&mut self, this: &PerCpuVirt, behind: Duration) {
        let region = self.region.addr();
        let initial = self.initial.take();
        if initial.is_some() {
            self.host_of = 0;
            // What it holds is of no interest; only this makes it one (25.11.3).
            let _ = insn::vmclear(region);
        }
        let _ = insn::vmptrld(region);
        if let Some(initial) = initial {
            self.write_controls();
            self.write_state(&initial);
        }
        if self.host_of != this.identity() {
            host::write_state();
            self.host_of = this.identity();
        }
        host::refresh(this, &self.setup.capabilities, &mut self.tag);
        if self.setup.controls.has(Control::VPID) {
            insn::vmwrite(control::VPID, u64::from(self.tag.number()));
        }
        self.tsc.set_behind(behind);
        insn::vmwrite(control::TSC_OFFSET, self.tsc.offset());
        self.extended.load();
        self.debug.load();
        insn::dr6::write(self.dr6);
        host_insn::cr2::write(self.cr2);
        for (msr, value) in SWITCHED.into_iter().zip(self.switched) {
            host_insn::wrmsr(msr, value);
        }
        if self.setup.has_tsc_aux {
            host_insn::wrmsr(msr::TSC_AUX, self.tsc_aux);
        }
    }

    pub(in crate::arch::x86_64) fn put(&mut self) {
        self.extended.put();
        self.debug.put();
        self.dr6 = insn::dr6::read();
        self.cr2 = host_insn::cr2::read();
        self.switched = SWITCHED.map(host_insn::rdmsr);
        // It may be loaded on another CPU next, which must not happen before this one has written it back (25.11.1).
        let _ = insn::vmclear(self.region.addr());
        self.launch = Launch::First;
    }

    #[inline(always)]
    pub(in crate::arch::x86_64) fn run(&mut self) -> Exit<ArchExit> {
        if let Some(event) = self.pending.take() {
            hand_in(event);
        }
        if insn::vmx_enter(&mut self.registers, self.launch).is_err() {
            return not_entered();
        }
        self.launch = Launch::Again;
        let reason = insn::vmread(Field::Reason as u32) as u32;
        self.rip = insn::vmread(guest::RIP);
        self.trail.note(self.rip, reason);
        let vectoring = insn::vmread(Field::Vectoring as u32) as u32;
        if vectoring & VALID != 0 {
            self.interrupted(vectoring);
        }
        let read = |field: Field| insn::vmread(field as u32);
        let [rax, rcx, rdx] = [0, 1, 2].map(|index| self.registers.get(index));
        let general = |index| match index {
            general::RAX => rax,
            general::RCX => rcx,
            _ => rdx,
        };
        decode::decode_frequent(reason, read, general, || self.rare_exit(reason, vectoring))
    }

    /// Interprets an exit that does not come often.
    #[inline(never)]
    fn rare_exit(&mut self, reason: u32, vectoring: u32) -> Exit<ArchExit> {
        let mut is_iret = false;
        match Reason::from_number(reason as u16) {
            Some(Reason::InterruptWindow | Reason::NmiWindow) => self.set_window(Window::Closed),
            Some(Reason::EptViolation) => {
                is_iret = insn::vmread(Field::Qualification as u32) & decode::IRET != 0;
            }
            Some(Reason::Exception) => {
                const DOUBLE_FAULT: u64 = 8;
                let information = insn::vmread(Field::Interruption as u32);
                match (information >> 8 & 7, information & 0xff) {
                    // The CPU has taken it, and blocks the next one until an IRET.
                    (2, _) => insn::call_nmi_handler(),
                    (3, 1) => self.note_debug_exception(),
                    _ => {}
                }
                is_iret = information & decode::IRET != 0 && information & 0xff != DOUBLE_FAULT;
            }
            _ => {}
        }
        if is_iret && vectoring & VALID == 0 {
            self.set_interruptibility(|state| state | NMI_BLOCKED);
        }
        let read = |field: Field| insn::vmread(field as u32);
        decode::decode_rare(reason, read, |index| self.general(index))
    }

    /// The exit interrupted the delivery of an event, which is handed in again.
    #[cold]
    fn interrupted(&mut self, vectoring: u32) {
        let code = insn::vmread(Field::VectoringErrorCode as u32) as u32;
        let Some(event) = Event::from_vmx(vectoring, code) else { return };
        if event.kind == EventKind::Nmi {
            // It blocks the one that is handed in again, too.
            self.set_interruptibility(|state| state & !NMI_BLOCKED);
        }
        self.pending = Some(event).filter(|event| !event.is_redone());
    }

    /// A #DB exits before it has changed DR6 and DR7, which is left to us (28.1).
    fn note_debug_exception(&mut self) {
        const CONDITIONS: u64 = 0xf;
        const REPORTED: u64 = CONDITIONS | 1 << 13 | STEP;
        const GENERAL_DETECT: u64 = 1 << 13;
        let qualification = insn::vmread(Field::Qualification as u32);
        insn::dr6::write(insn::dr6::read() & !CONDITIONS | qualification & REPORTED);
        insn::vmwrite(guest::DR7, insn::vmread(guest::DR7) & !GENERAL_DETECT);
        // 27.3.1.5: in the shadow of MOV SS, a step that is due is pending as well.
        let is_shadowed = insn::vmread(guest::INTERRUPTIBILITY) & SHADOW != 0;
        if is_shadowed && insn::vmread(guest::RFLAGS) & flags::TF != 0 {
            insn::vmwrite(guest::PENDING_DEBUG, insn::vmread(guest::PENDING_DEBUG) | STEP);
        }
    }

    fn set_interruptibility(&mut self, change: impl FnOnce(u64) -> u64) {
        let state = insn::vmread(guest::INTERRUPTIBILITY);
        insn::vmwrite(guest::INTERRUPTIBILITY, change(state));
    }

    pub(in crate::arch::x86_64) fn finish_read(&mut self, value: u64) {
        let ones = decode::io_width(insn::vmread(Field::Qualification as u32)).ones();
        let rax = self.registers.get(general::RAX);
        // 32 bits clear those above (SDM vol. 1, 3.4.1.1).
        let kept = if ones == Width::B4.ones() { 0 } else { rax & !ones };
        self.registers.set(general::RAX, kept | value & ones);
        self.finish();
    }

    #[inline]
    pub(in crate::arch::x86_64) fn finish(&mut self) {
        let next = self.rip.wrapping_add(insn::vmread(Field::InstructionLength as u32));
        let is_unusual =
            (self.rip ^ next) >> 32 != 0 || insn::vmread(guest::RFLAGS) & flags::TF != 0;
        self.set_rip(next);
        if is_unusual {
            self.finish_unusual();
        }
    }

    /// A step to behind 4 GiB, where only 64-bit code goes on, or of a guest that steps through its code: it gets #DB after each
    /// instruction (SDM vol. 3B, 18.3.1.4).
    #[cold]
    #[inline(never)]
    fn finish_unusual(&mut self) {
        if !self.is_64_bit() {
            self.set_rip(self.rip & 0xffff_ffff);
        }
        if insn::vmread(guest::RFLAGS) & flags::TF != 0 {
            insn::dr6::write(insn::dr6::read() | STEP);
            self.inject(Event::DEBUG);
        }
    }

    pub(in crate::arch::x86_64) fn fail_access(&mut self) {
        if insn::vmread(Field::Qualification as u32) & decode::IN != 0 {
            self.finish_read(u64::MAX);
        } else {
            self.finish();
        }
    }

    #[inline]
    pub(in crate::arch::x86_64) fn can_take_interrupt(&self) -> bool {
        self.pending.is_none()
            && insn::vmread(guest::RFLAGS) & flags::IF != 0
            && insn::vmread(guest::INTERRUPTIBILITY) & SHADOW == 0
    }

    pub(in crate::arch::x86_64) fn can_take_nmi(&self) -> bool {
        let state = insn::vmread(guest::INTERRUPTIBILITY);
        self.pending.is_none() && state & (SHADOW | NMI_BLOCKED) == 0
    }

    #[inline]
    pub(in crate::arch::x86_64) fn inject(&mut self, event: Event) {
        self.pending = Some(event);
    }

    #[inline]
    pub(in crate::arch::x86_64) fn set_window(&mut self, window: Window) {
        if window != self.window {
            self.change_window(window);
        }
    }

    fn change_window(&mut self, window: Window) {
        const INTERRUPT: u64 = Control::INTERRUPT_WINDOW_EXITING.mask() as u64;
        const NMI: u64 = Control::NMI_WINDOW_EXITING.mask() as u64;
        let bit = match window {
            Window::Closed => 0,
            Window::Interrupt => INTERRUPT,
            Window::Nmi if self.setup.controls.has(Control::VIRTUAL_NMIS) => NMI,
            // The next best: a handler of NMIs that lets interrupts in has ended.
            Window::Nmi => INTERRUPT,
        };
        let others = insn::vmread(control::PRIMARY) & !(INTERRUPT | NMI);
        insn::vmwrite(control::PRIMARY, others | bit);
        self.window = window;
    }
}

/// Hands an event in at the next entry (27.6).
fn hand_in(event: Event) {
    // In real mode, no error code is pushed, and the entry fails if there is one (27.2.1.3).
    let is_real = insn::vmread(guest::CR0) & cr0::PE == 0;
    let error_code = event.error_code.filter(|_| !is_real);
    let (information, code) = Event { error_code, ..event }.to_vmx();
    insn::vmwrite(control::ENTRY_EVENT, u64::from(information));
    insn::vmwrite(control::ENTRY_ERROR_CODE, u64::from(code));
}

/// VMLAUNCH or VMRESUME did not even load the guest's state: a mistake of ours.
#[cold]
fn not_entered() -> Exit<ArchExit> {
    let error = insn::vmread(Field::InstructionError as u32);
    Exit::Fatal(Fault { kind: FaultKind::Unexpected, syndrome: 0xffff_ffff << 32 | error })
}

#[cfg(test)]
mod tests;
