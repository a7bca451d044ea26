//! When the guest can take an NMI, and an interrupt that waits in a shadow. AMD APM vol. 2, 15.21.5.
//!
//! SVM without virtual NMIs does not know: NMIs are blocked from the one that is injected to the IRET that ends its handler, and
//! IRET is intercepted before it is executed. It is executed in single-step mode then, and the #DB behind it tells.
//!
//! So it is with the instruction in the shadow of STI or of a load of SS. A virtual interrupt would wait for its end, but QEMU 7.2
//! does not load the shadow at VMRUN: an interrupt between STI and HLT would come before the HLT, which then waits for nothing.

use super::{Next, SHADOW, SvmCpu};
use crate::arch::x86_64::event::{Event, Window};
use crate::arch::x86_64::register::flags;
use crate::arch::x86_64::svm::code::Named;
use crate::arch::x86_64::svm::intercept;
use crate::arch::x86_64::svm::vmcb::{Group, Vmcb};

/// DR6.BS: a single step.
const STEP: u64 = 1 << 14;

/// Whether the guest can take an NMI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nmi {
    /// It can.
    Open,
    /// It is in the handler of one.
    Blocked,
    /// It executes one instruction, behind which it can.
    Stepping {
        /// RFLAGS.TF before.
        trap_flag: u64,
        /// Which instruction it is.
        over: Over,
    },
}

/// An instruction that is stepped over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    /// IRET, which brings RFLAGS of its own.
    Iret,
    /// The one in the shadow of STI or a load of SS.
    Shadowed,
}

impl Nmi {
    pub(super) fn is_stepping(self) -> bool {
        matches!(self, Self::Stepping { .. })
    }

    /// Whether the instruction in a shadow is stepped over.
    #[inline(always)]
    pub(super) fn is_in_shadow(self) -> bool {
        matches!(self, Self::Stepping { over: Over::Shadowed, .. })
    }
}

impl SvmCpu {
    /// An NMI is on its way in.
    pub(super) fn block_nmi(&mut self) {
        self.nmi = Nmi::Blocked;
        let control = &mut self.block.get_mut().vmcb.control;
        control.intercepts_first |= intercept::IRET;
        control.clean.dirty(Group::Intercepts);
    }

    /// The guest is about to execute an IRET.
    pub(super) fn begin_iret(&mut self) {
        let control = &mut self.block.get_mut().vmcb.control;
        control.intercepts_first &= !intercept::IRET;
        control.clean.dirty(Group::Intercepts);
        self.step(Over::Iret);
    }

    /// Someone waits until the guest can take an NMI.
    pub(super) fn await_nmi(&mut self) {
        // In its handler, IRET will tell.
        if self.nmi == Nmi::Open {
            self.step(Over::Shadowed);
        }
    }

    /// Someone waits until the guest can take an interrupt.
    pub(super) fn await_interrupt(&mut self) {
        let is_shadowed = self.vmcb().control.interrupt_shadow & SHADOW != 0;
        if is_shadowed && self.nmi == Nmi::Open {
            self.step(Over::Shadowed);
        } else {
            self.request_interrupt();
        }
    }

    /// The instruction in the shadow was not executed by the guest: it was done for it, or raises an event. What waits for the
    /// end of the shadow waits on.
    #[cold]
    pub(super) fn leave_shadow(&mut self) {
        self.give_step_up();
        match self.window {
            Window::Interrupt => self.request_interrupt(),
            // It can be taken now, and the next #DB tells.
            Window::Nmi => self.await_nmi(),
            Window::Closed => {}
        }
    }

    /// Gives the guest its trap flag back, if it steps over an instruction in a shadow.
    pub(super) fn give_step_up(&mut self) {
        if let Nmi::Stepping { trap_flag, over: Over::Shadowed } = self.nmi {
            let state = &mut self.block.get_mut().vmcb.state;
            state.rflags = state.rflags & !flags::TF | trap_flag;
            self.nmi = Nmi::Open;
        }
    }

    fn step(&mut self, over: Over) {
        let state = &mut self.block.get_mut().vmcb.state;
        self.nmi = Nmi::Stepping { trap_flag: state.rflags & flags::TF, over };
        state.rflags |= flags::TF;
    }

    /// A #DB while stepping.
    pub(super) fn stepped(&mut self) -> Next {
        let Nmi::Stepping { trap_flag, over } = self.nmi else { return Next::Told };
        self.nmi = Nmi::Open;
        let awaited = match (self.window, over) {
            (Window::Nmi, _) => Some(Named::Iret),
            (Window::Interrupt, Over::Shadowed) => Some(Named::VirtualInterrupt),
            (Window::Interrupt, Over::Iret) | (Window::Closed, _) => None,
        };
        if awaited.is_some() {
            self.set_window(Window::Closed);
        }
        let Vmcb { control, state } = &mut self.block.get_mut().vmcb;
        if over == Over::Shadowed {
            state.rflags = state.rflags & !flags::TF | trap_flag;
        }
        if trap_flag != 0 {
            // It would have come anyway. Another look whether the guest can take an NMI follows behind it.
            self.inject(Event::DEBUG);
        } else {
            state.dr6 &= !STEP;
            control.clean.dirty(Group::DebugRegisters);
        }
        let Some(code) = awaited else { return Next::Again };
        // The exit is told as what was waited for.
        self.block.get_mut().vmcb.control.exit_code = code as u64;
        Next::Told
    }
}
