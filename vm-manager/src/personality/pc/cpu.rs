//! What the `pc` machine needs of its CPUs beyond what all guest CPUs have. VMX and SVM give the same.

use hv_core::arch::x86_64::event::Event;
pub use hv_core::arch::x86_64::event::Window;
use hv_core::arch::x86_64::exit::ArchExit;
use hv_core::arch::x86_64::register::{Segment, SegmentName, SystemRegister};
use hv_core::arch::x86_64::start::Start;
use hv_core::arch::x86_64::vcpu::Vcpu;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// A guest CPU of a PC. It is loaded, unless a method says otherwise. Setters check nothing: the machine does.
pub trait PcCpu: GuestCpu<ArchExit = ArchExit, Start = Start> {
    /// General register `index`, 0 to 15, as encodings number them.
    fn general(&self, index: u8) -> u64;
    /// Sets all 64 bits of general register `index`.
    fn set_general(&mut self, index: u8, value: u64);
    /// Sets several of them.
    #[inline]
    fn set_generals<const N: usize>(&mut self, values: [(u8, u64); N]) {
        for (index, value) in values {
            self.set_general(index, value);
        }
    }
    /// The instruction pointer; [`GuestCpu::pc`] has the base of CS added.
    fn rip(&self) -> u64;
    /// Sets the instruction pointer, and ends an interrupt shadow.
    fn set_rip(&mut self, value: u64);
    /// RFLAGS.
    fn rflags(&self) -> u64;
    /// Sets RFLAGS.
    fn set_rflags(&mut self, value: u64);
    /// What a segment register holds.
    fn segment(&self, name: SegmentName) -> Segment;
    /// The privilege level, 0 to 3.
    fn privilege(&self) -> u8;
    /// A system register, as the guest sees it.
    fn system(&self, register: SystemRegister) -> u64;
    /// Sets a system register; bits that the hardware needs otherwise are shadowed. A write of CR0.PG with EFER.LME makes
    /// long mode active, and the other way round, as MOV to CR0 does.
    fn set_system(&mut self, register: SystemRegister, value: u64);
    /// Whether it can take an interrupt at once: RFLAGS.IF, no shadow, no event on its way in already.
    fn can_take_interrupt(&self) -> bool;
    /// Whether it can take an NMI at once.
    fn can_take_nmi(&self) -> bool;
    /// Has it take `event` before its next instruction. An event that was on its way in already is lost if this one is an
    /// exception: the caller makes a double fault of two that collide.
    fn inject(&mut self, event: Event);
    /// Which exit is wanted.
    fn set_window(&mut self, window: Window);
    /// Its TSC now.
    fn tsc(&self) -> u64;
    /// Has its TSC read `value` now.
    fn set_tsc(&mut self, value: u64);
    /// The time of the host at which its TSC reaches `tsc`; [`Instant::NEVER`] for what is too far.
    fn time_of_tsc(&self, tsc: u64) -> Instant;
    /// How its TSC maps to the guest's time, for the paravirtual clock: a TSC value, and the time of the host then.
    fn tsc_reference(&self) -> (u64, Instant);
}

impl PcCpu for Vcpu {
    #[inline]
    fn general(&self, index: u8) -> u64 {
        self.general(index)
    }

    #[inline]
    fn set_general(&mut self, index: u8, value: u64) {
        self.set_general(index, value);
    }

    #[inline]
    fn set_generals<const N: usize>(&mut self, values: [(u8, u64); N]) {
        self.set_generals(values);
    }

    #[inline]
    fn rip(&self) -> u64 {
        self.rip()
    }

    #[inline]
    fn set_rip(&mut self, value: u64) {
        self.set_rip(value);
    }

    fn rflags(&self) -> u64 {
        self.rflags()
    }

    fn set_rflags(&mut self, value: u64) {
        self.set_rflags(value);
    }

    fn segment(&self, name: SegmentName) -> Segment {
        self.segment(name)
    }

    #[inline]
    fn privilege(&self) -> u8 {
        self.privilege()
    }

    #[inline]
    fn system(&self, register: SystemRegister) -> u64 {
        self.system(register)
    }

    fn set_system(&mut self, register: SystemRegister, value: u64) {
        self.set_system(register, value);
    }

    #[inline]
    fn can_take_interrupt(&self) -> bool {
        self.can_take_interrupt()
    }

    fn can_take_nmi(&self) -> bool {
        self.can_take_nmi()
    }

    #[inline]
    fn inject(&mut self, event: Event) {
        self.inject(event);
    }

    #[inline]
    fn set_window(&mut self, window: Window) {
        self.set_window(window);
    }

    fn tsc(&self) -> u64 {
        self.tsc()
    }

    fn set_tsc(&mut self, value: u64) {
        self.set_tsc(value);
    }

    fn time_of_tsc(&self, tsc: u64) -> Instant {
        self.time_of_tsc(tsc)
    }

    fn tsc_reference(&self) -> (u64, Instant) {
        self.tsc_reference()
    }
}
