//! What the `pc` machine needs of its CPUs beyond what all guest CPUs have. VMX and SVM give the same.

use hv_core::arch::x86_64::event::Event;
use hv_core::arch::x86_64::exit::ArchExit;
use hv_core::arch::x86_64::register::{Segment, SegmentName, SystemRegister};
use hv_core::arch::x86_64::start::Start;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// What a vCPU is waiting to be able to take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Window {
    /// Nothing.
    Closed,
    /// An interrupt: [`ArchExit::InterruptWindow`] comes once it can take one.
    Interrupt,
    /// An NMI: [`ArchExit::NmiWindow`] comes once it can take one.
    Nmi,
}

/// A guest CPU of a PC. It is loaded, unless a method says otherwise. Setters check nothing: the machine does.
pub trait PcCpu: GuestCpu<ArchExit = ArchExit, Start = Start> {
    /// General register `index`, 0 to 15, as encodings number them.
    fn general(&self, index: u8) -> u64;
    /// Sets all 64 bits of general register `index`.
    fn set_general(&mut self, index: u8, value: u64);
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
