//! One guest CPU on AMD SVM. AMD APM vol. 2, chapter 15.

mod access;
mod nmi;
mod setup;

use super::code::{Code, Named};
use super::decode::{self, Information};
use super::host::{self, Features};
use super::intercept;
use super::length::{CodeSize, Fetched, Lengths, Place};
use super::virtual_interrupt;
use super::vmcb::{Clean, Group, State, TlbControl, Vmcb};
use crate::arch::x86_64::event::{Event, EventKind, Window};
use crate::arch::x86_64::exit::ArchExit;
use crate::arch::x86_64::fpu::ExtendedState;
use crate::arch::x86_64::insn as host_insn;
use crate::arch::x86_64::insn::virt as insn;
use crate::arch::x86_64::msr;
use crate::arch::x86_64::page::Page;
use crate::arch::x86_64::register::general::{RAX, RCX, RDX, RSP};
use crate::arch::x86_64::register::{Segment, cr0, efer, flags};
use crate::arch::x86_64::space::{self, Flush, Tag, Translation};
use crate::arch::x86_64::vcpu::debug::DebugAddresses;
use crate::arch::x86_64::vcpu::registers::Registers;
use crate::arch::x86_64::vcpu::trail::Trail;
use crate::arch::x86_64::vcpu::tsc::GuestTsc;
use crate::arch::x86_64::virt::{self, PerCpuVirt};
use crate::arch::x86_64::walk::{self, Purpose};
use crate::exit::Exit;
use crate::guest::{GuestMemory, GuestPhysAddr, Width};
use crate::ram::GuestFrames;
use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::Ordering;
use core::time::Duration;
use nmi::Nmi;

/// Bit 31 of EXITINTINFO and EVENTINJ.
const VALID: u64 = 1 << 31;
const SHADOW: u64 = 1;
/// Bit 0 of EXITINFO1 of an I/O instruction: IN.
const IN: u64 = 1;

/// A guest CPU. What VMLOAD takes from the VMCB may be in the physical CPU instead, while it is loaded: see
/// [`Self::sync`].
#[derive(Debug)]
pub(in crate::arch::x86_64) struct SvmCpu {
    block: Page<Block>,
    /// `EVENTINJ` for the next VMRUN.
    pending: u64,
    features: Features,
    lengths: Lengths,
    trail: Trail,
    window: Window,
    nmi: Nmi,
    tag: Tag,
    translation: Translation,
    frames: Arc<GuestFrames>,
    extended: ExtendedState,
    debug: DebugAddresses,
    tsc: GuestTsc,
    tsc_aux: u64,
    /// The CPU that it is loaded on.
    on: &'static PerCpuVirt,
}

/// What belongs together in memory.
#[derive(Debug)]
#[repr(C)]
pub(in crate::arch::x86_64) struct Block {
    vmcb: Vmcb,
    pub(in crate::arch::x86_64) registers: Registers,
}

impl Block {
    /// Where the guest's interrupt shadow is, in bytes from the beginning.
    pub(in crate::arch::x86_64) const SHADOW: usize =
        offset_of!(Self, vmcb) + offset_of!(Vmcb, control.interrupt_shadow);
}

/// Where vCPUs are that are not loaded.
static NOWHERE: PerCpuVirt = PerCpuVirt::new();

impl SvmCpu {
    pub(in crate::arch::x86_64) fn load(&mut self, behind: Duration) {
        self.tsc.set_behind(behind);
        let this = virt::this().unwrap_or(&NOWHERE);
        self.on = this;
        let retired = space::retired();
        let is_stale = this.retired.load(Ordering::Relaxed) != retired;
        this.retired.store(retired, Ordering::Relaxed);
        if this.tags.assign(&mut self.tag, this.identity()) == Flush::Everything || is_stale {
            this.flush.store(true, Ordering::Relaxed);
        }
        let (offset, asid) = (self.tsc.offset(), self.tag.number());
        let control = &mut self.block.get_mut().vmcb.control;
        control.tsc_offset = offset;
        control.asid = asid;
        control.clean = Clean::NONE;
        self.extended.load();
        self.debug.load();
        if self.features.has_tsc_aux {
            host_insn::wrmsr(msr::TSC_AUX, self.tsc_aux);
        }
    }

    pub(in crate::arch::x86_64) fn put(&mut self) {
        self.leave();
        self.on = &NOWHERE;
        self.extended.put();
        self.debug.put();
    }

    #[inline(always)]
    fn vmcb(&self) -> &Vmcb {
        &self.block.get().vmcb
    }

    /// Whether what VMLOAD takes is in the CPU.
    #[inline(always)]
    fn is_in(&self) -> bool {
        self.on.loaded_vmcb.load(Ordering::Relaxed) == self.block.addr()
    }

    /// Brings the VMCB up to date with what is in the CPU.
    fn sync(&self) {
        if self.is_in() {
            insn::vmsave(self.block.addr());
        }
    }

    /// As [`Self::sync`], and has the next run take it from the VMCB again.
    fn leave(&self) {
        if self.is_in() {
            host::leave_guest_state(self.on);
        }
    }

    #[cold]
    fn enter(&mut self) {
        host::enter_guest_state(self.on, self.block.addr());
        if self.on.flush.swap(false, Ordering::Relaxed) {
            self.block.get_mut().vmcb.control.tlb_control = TlbControl::All as u8;
        }
    }

    #[inline(always)]
    pub(in crate::arch::x86_64) fn run(&mut self) -> Exit<ArchExit> {
        if !self.is_in() {
            self.enter();
        }
        self.block.get_mut().vmcb.control.event_injection = self.pending;
        insn::svm_enter(self.block.addr());
        let Block { vmcb: Vmcb { control, state }, registers } = self.block.get_mut();
        control.clean = Clean::ALL;
        control.tlb_control = TlbControl::Nothing as u8;
        self.trail.note(state.rip, control.exit_code as u32);
        self.pending = match control.exit_interrupt_info {
            none if none & VALID == 0 => 0,
            event => interrupted(event),
        };
        let information = Information {
            code: control.exit_code,
            info1: control.exit_info1,
            info2: control.exit_info2,
        };
        let [rax, rcx, rdx] = [state.rax, registers.get(RCX), registers.get(RDX)];
        let general = |index| match index {
            RAX => rax,
            RCX => rcx,
            _ => rdx,
        };
        decode::decode_frequent(information, general, || self.rare_exit())
    }

    /// Interprets an exit that does not come often.
    #[inline(never)]
    fn rare_exit(&mut self) -> Exit<ArchExit> {
        // With what the vCPU deals with itself, nobody is bothered: who hears of an interrupt that is none runs the guest again.
        const NOTHING: Exit<ArchExit> = Exit::Interrupt;
        match Code::from_exit_code(self.vmcb().control.exit_code) {
            // It waits until the global interrupt flag is set: the host's handler takes it here.
            Some(Code::Other(Named::Nmi)) => self.leave(),
            Some(Code::Other(Named::VirtualInterrupt)) => self.set_window(Window::Closed),
            Some(Code::Other(Named::Iret)) => {
                self.begin_iret();
                return NOTHING;
            }
            Some(Code::Exception(1)) if self.nmi.is_stepping() && self.stepped() == Next::Again => {
                return NOTHING;
            }
            _ => {}
        }
        let control = &self.vmcb().control;
        let information = Information {
            code: control.exit_code,
            info1: control.exit_info1,
            info2: control.exit_info2,
        };
        let assists = self.features.decode_assists();
        decode::decode_rare(information, assists, |index| self.general(index))
    }

    pub(in crate::arch::x86_64) fn finish_read(&mut self, value: u64) {
        let ones = decode::io_width(self.vmcb().control.exit_info1).ones();
        let state = &mut self.block.get_mut().vmcb.state;
        // 32 bits clear those above (APM vol. 1, 3.1.2.3).
        let kept = if ones == Width::B4.ones() { 0 } else { state.rax & !ones };
        state.rax = kept | value & ones;
        self.finish();
    }

    #[inline]
    pub(in crate::arch::x86_64) fn finish(&mut self) {
        let Vmcb { control, state } = self.vmcb();
        let next = if control.exit_code as u32 == Named::Io as u32 {
            control.exit_info2
        } else if self.features.has_next_rip() {
            control.next_rip
        } else {
            match self.lengths.get(place(state)) {
                Some(length) => state.rip.wrapping_add(length),
                None => return self.find_next(),
            }
        };
        self.go_on_at(next);
    }

    #[inline(always)]
    fn go_on_at(&mut self, next: u64) {
        let Vmcb { control, state } = &mut self.block.get_mut().vmcb;
        let is_far = (state.rip ^ next) >> 32 != 0;
        state.rip = next;
        control.interrupt_shadow &= !SHADOW;
        if is_far || state.rflags & flags::TF != 0 {
            self.finish_unusual();
        }
    }

    /// Steps over the instruction that exited by looking at it. If it is not there any more, the guest runs what is there instead.
    #[cold]
    #[inline(never)]
    fn find_next(&mut self) {
        let (size, linear, paging) = (self.code_size(), self.pc(), self.paging());
        let mut bytes = [0; walk::LONGEST_INSTRUCTION];
        let read = |addr, buf: &mut [u8]| self.frames.read(addr, buf);
        let count = walk::fetch(&paging, linear, &mut bytes, read);
        let at = walk::translate(&paging, linear, Purpose::Fetch, read).ok();
        let fetched = Fetched { bytes, count, word: at.and_then(|at| self.frames.word(at)) };
        let Vmcb { control, state } = self.vmcb();
        let (place, code) = (place(state), control.exit_code as u32);
        let length = self.lengths.find(place, code, size, fetched).unwrap_or(0);
        self.go_on_at(self.vmcb().state.rip.wrapping_add(length));
    }

    /// A step to behind 4 GiB, where only 64-bit code goes on; out of a shadow that someone waits for; or of a guest that steps
    /// through its code: it gets #DB after each instruction (APM vol. 2, 13.1.4).
    #[cold]
    #[inline(never)]
    fn finish_unusual(&mut self) {
        const STEP: u64 = 1 << 14;
        let size = self.code_size();
        if self.nmi.is_in_shadow() {
            self.leave_shadow();
        }
        let Vmcb { control, state } = &mut self.block.get_mut().vmcb;
        if size == CodeSize::Legacy {
            state.rip &= 0xffff_ffff;
        }
        if state.rflags & flags::TF != 0 && !self.nmi.is_stepping() {
            state.dr6 |= STEP;
            control.clean.dirty(Group::DebugRegisters);
            self.inject(Event::DEBUG);
        }
    }

    #[inline]
    fn code_size(&self) -> CodeSize {
        let state = &self.vmcb().state;
        if state.efer & efer::LMA != 0 && state.cs.attributes & Segment::LONG != 0 {
            CodeSize::Long
        } else {
            CodeSize::Legacy
        }
    }

    pub(in crate::arch::x86_64) fn fail_access(&mut self) {
        if self.vmcb().control.exit_info1 & IN != 0 {
            self.finish_read(u64::MAX);
        } else {
            self.finish();
        }
    }

    #[inline]
    pub(in crate::arch::x86_64) fn can_take_interrupt(&self) -> bool {
        let Vmcb { control, state } = self.vmcb();
        self.pending == 0
            && state.rflags & flags::IF != 0
            && control.interrupt_shadow & SHADOW == 0
            && !self.nmi.is_in_shadow()
    }

    pub(in crate::arch::x86_64) fn can_take_nmi(&self) -> bool {
        let is_shadowed = self.vmcb().control.interrupt_shadow & SHADOW != 0;
        self.pending == 0 && !is_shadowed && self.nmi == Nmi::Open
    }

    #[inline]
    pub(in crate::arch::x86_64) fn inject(&mut self, event: Event) {
        if self.nmi.is_in_shadow() {
            self.leave_shadow();
        }
        if event.kind == EventKind::Nmi {
            self.block_nmi();
        }
        // In real mode, no error code is pushed.
        let is_real = self.vmcb().state.cr0 & cr0::PE == 0;
        let error_code = event.error_code.filter(|_| !is_real);
        self.pending = Event { error_code, ..event }.to_svm();
    }

    #[inline]
    pub(in crate::arch::x86_64) fn set_window(&mut self, window: Window) {
        if window != self.window {
            self.change_window(window);
        }
    }

    fn change_window(&mut self, window: Window) {
        let control = &mut self.block.get_mut().vmcb.control;
        if self.window == Window::Interrupt {
            control.virtual_interrupt = virtual_interrupt::MASKING;
            control.intercepts_first &= !intercept::VIRTUAL_INTERRUPT;
            control.clean.dirty(Group::Intercepts);
            control.clean.dirty(Group::VirtualInterrupt);
            self.give_step_up();
        }
        self.window = window;
        match window {
            Window::Interrupt => self.await_interrupt(),
            Window::Nmi => self.await_nmi(),
            Window::Closed => {}
        }
    }

    /// Has the CPU exit when it could take a virtual interrupt.
    fn request_interrupt(&mut self) {
        let control = &mut self.block.get_mut().vmcb.control;
        // The vector does not matter: before it is taken, the intercept tells.
        control.virtual_interrupt = virtual_interrupt::MASKING | virtual_interrupt::pending(0);
        control.intercepts_first |= intercept::VIRTUAL_INTERRUPT;
        control.clean.dirty(Group::Intercepts);
        control.clean.dirty(Group::VirtualInterrupt);
    }
}

/// Where the instruction is that exited.
#[inline(always)]
fn place(state: &State) -> Place {
    Place { at: state.cs.base.wrapping_add(state.rip), cr3: state.cr3 }
}

/// What comes after an exit that the vCPU itself deals with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// The guest runs on.
    Again,
    /// The exit is told.
    Told,
}

/// What to hand in again of an event that an exit interrupted.
#[cold]
fn interrupted(field: u64) -> u64 {
    Event::from_svm(field).filter(|event| !event.is_redone()).map_or(0, Event::to_svm)
}

#[cfg(test)]
mod tests;
