//! Whether the guest can take an NMI. AMD APM vol. 2, 15.21.5.
//!
//! SVM without virtual NMIs does not know: NMIs are blocked from the one that is injected to the IRET that ends its handler, and
//! IRET is intercepted before it is executed. It is executed in single-step mode then, and the #DB behind it tells.

use super::{Next, SvmCpu};
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

    fn step(&mut self, over: Over) {
        let state = &mut self.block.get_mut().vmcb.state;
        self.nmi = Nmi::Stepping { trap_flag: state.rflags & flags::TF, over };
        state.rflags |= flags::TF;
    }

    /// A #DB while stepping.
    pub(super) fn stepped(&mut self) -> Next {
        let Nmi::Stepping { trap_flag, over } = self.nmi else { return Next::Told };
        self.nmi = Nmi::Open;
        let was_waited_for = self.window == Window::Nmi;
        self.set_window(if was_waited_for { Window::Closed } else { self.window });
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
        if was_waited_for {
            // The exit is told as what was waited for.
            self.block.get_mut().vmcb.control.exit_code = Named::Iret as u64;
            Next::Told
        } else {
            Next::Again
        }
    }
}
