//! One guest CPU of a PC, on VMX or on SVM: whichever the physical CPUs have.

pub(in crate::arch::x86_64) mod debug;
pub(in crate::arch::x86_64) mod initial;
pub(in crate::arch::x86_64) mod registers;
pub(in crate::arch::x86_64) mod trail;
pub(in crate::arch::x86_64) mod tsc;

use super::event::{Event, Window};
use super::exit::ArchExit;
use super::register::{Segment, SegmentName, SystemRegister};
use super::space::Translation;
use super::start::Start;
use super::svm;
use super::virt::{self, Kind};
use super::vmx;
use crate::exit::Exit;
use crate::guest::GuestPhysAddr;
use crate::ram::GuestFrames;
use crate::time::Instant;
use crate::vcpu::{GuestCpu, RegisterDump};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// A guest CPU. It is loaded on one physical CPU at most.
#[derive(Debug)]
pub struct Vcpu {
    index: u8,
    on: On,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a machine has only one of them")]
enum On {
    Vmx(vmx::cpu::VmxCpu),
    Svm(svm::cpu::SvmCpu),
}

/// The same of either kind.
macro_rules! on {
    ($self:ident, $cpu:ident => $what:expr) => {
        match &$self.on {
            On::Vmx($cpu) => $what,
            On::Svm($cpu) => $what,
        }
    };
    (mut $self:ident, $cpu:ident => $what:expr) => {
        match &mut $self.on {
            On::Vmx($cpu) => $what,
            On::Svm($cpu) => $what,
        }
    };
}

impl Vcpu {
    /// vCPU number `index` of the guest with these tables and this RAM. It is off: see [`GuestCpu::reset`]. `None` if there is
    /// no memory for it, or no virtualization.
    #[must_use]
    pub fn new(index: u8, translation: Translation, frames: Arc<GuestFrames>) -> Option<Self> {
        let on = match virt::kind()? {
            Kind::Vmx => On::Vmx(vmx::cpu::VmxCpu::new(translation, frames, vmx::host::setup()?)?),
            Kind::Svm => {
                On::Svm(svm::cpu::SvmCpu::new(translation, frames, svm::host::features()?)?)
            }
        };
        Some(Self { index, on })
    }

    /// Its number.
    #[must_use]
    pub fn index(&self) -> u8 {
        self.index
    }

    /// General register `index`, 0 to 15, as encodings number them.
    #[inline]
    #[must_use]
    pub fn general(&self, index: u8) -> u64 {
        on!(self, cpu => cpu.general(index))
    }

    /// Sets all 64 bits of general register `index`.
    #[inline]
    pub fn set_general(&mut self, index: u8, value: u64) {
        on!(mut self, cpu => cpu.set_general(index, value));
    }

    /// Sets several of them: the kind of CPU is looked at once.
    #[inline]
    pub fn set_generals<const N: usize>(&mut self, values: [(u8, u64); N]) {
        on!(mut self, cpu => for (index, value) in values {
            cpu.set_general(index, value);
        });
    }

    /// The instruction pointer; [`GuestCpu::pc`] has the base of CS added.
    #[inline]
    #[must_use]
    pub fn rip(&self) -> u64 {
        on!(self, cpu => cpu.rip())
    }

    /// Sets the instruction pointer, and ends an interrupt shadow.
    #[inline]
    pub fn set_rip(&mut self, value: u64) {
        on!(mut self, cpu => cpu.set_rip(value));
    }

    /// RFLAGS.
    #[inline]
    #[must_use]
    pub fn rflags(&self) -> u64 {
        on!(self, cpu => cpu.rflags())
    }

    /// Sets RFLAGS.
    #[inline]
    pub fn set_rflags(&mut self, value: u64) {
        on!(mut self, cpu => cpu.set_rflags(value));
    }

    /// What a segment register holds.
    #[must_use]
    pub fn segment(&self, name: SegmentName) -> Segment {
        on!(self, cpu => cpu.segment(name))
    }

    /// The privilege level, 0 to 3.
    #[inline]
    #[must_use]
    pub fn privilege(&self) -> u8 {
        on!(self, cpu => cpu.privilege())
    }

    /// A system register, as the guest sees it.
    #[inline]
    #[must_use]
    pub fn system(&self, register: SystemRegister) -> u64 {
        on!(self, cpu => cpu.system(register))
    }

    /// Sets a system register; bits that the hardware needs otherwise are shadowed. Long mode becomes active, or not, as it
    /// does with MOV to CR0.
    pub fn set_system(&mut self, register: SystemRegister, value: u64) {
        on!(mut self, cpu => cpu.set_system(register, value));
    }

    /// Whether it can take an interrupt at once: RFLAGS.IF, no shadow, no event on its way in already.
    #[inline]
    #[must_use]
    pub fn can_take_interrupt(&self) -> bool {
        on!(self, cpu => cpu.can_take_interrupt())
    }

    /// Whether it can take an NMI at once.
    #[must_use]
    pub fn can_take_nmi(&self) -> bool {
        on!(self, cpu => cpu.can_take_nmi())
    }

    /// Has it take `event` before its next instruction. An event that was on its way in already is lost.
    #[inline]
    pub fn inject(&mut self, event: Event) {
        on!(mut self, cpu => cpu.inject(event));
    }

    /// Which exit is wanted. It comes once: with it, the window is closed.
    #[inline]
    pub fn set_window(&mut self, window: Window) {
        on!(mut self, cpu => cpu.set_window(window));
    }

    /// Its TSC now.
    #[must_use]
    pub fn tsc(&self) -> u64 {
        on!(self, cpu => cpu.guest_tsc()).now()
    }

    /// Has its TSC read `value` now.
    pub fn set_tsc(&mut self, value: u64) {
        on!(mut self, cpu => cpu.set_tsc(value));
    }

    /// The time of the host at which its TSC reaches `tsc`; [`Instant::NEVER`] for what is too far.
    #[must_use]
    pub fn time_of_tsc(&self, tsc: u64) -> Instant {
        on!(self, cpu => cpu.guest_tsc()).time_of(tsc)
    }

    /// How its TSC maps to the guest's time: a TSC value, and the time of the host then.
    #[must_use]
    pub fn tsc_reference(&self) -> (u64, Instant) {
        on!(self, cpu => cpu.guest_tsc()).reference()
    }
}

impl GuestCpu for Vcpu {
    type ArchExit = ArchExit;
    type Start = Start;

    fn reset(&mut self, start: Start) {
        on!(mut self, cpu => cpu.reset(start));
    }

    fn load(&mut self, behind: Duration) {
        on!(mut self, cpu => cpu.load(behind));
    }

    fn put(&mut self) {
        on!(mut self, cpu => cpu.put());
    }

    #[inline(always)]
    fn run(&mut self) -> Exit<ArchExit> {
        on!(mut self, cpu => cpu.run())
    }

    #[inline]
    fn finish_read(&mut self, value: u64) {
        on!(mut self, cpu => cpu.finish_read(value));
    }

    #[inline]
    fn finish(&mut self) {
        on!(mut self, cpu => cpu.finish());
    }

    fn fail_access(&mut self) {
        on!(mut self, cpu => cpu.fail_access());
    }

    fn pc(&self) -> u64 {
        on!(self, cpu => cpu.pc())
    }

    fn dump(&mut self) -> RegisterDump {
        const GENERAL: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11",
            "r12", "r13", "r14", "r15",
        ];
        const SYSTEM: [(&str, SystemRegister); 8] = [
            ("cr0", SystemRegister::Cr0),
            ("cr2", SystemRegister::Cr2),
            ("cr3", SystemRegister::Cr3),
            ("cr4", SystemRegister::Cr4),
            ("efer", SystemRegister::Efer),
            ("xcr0", SystemRegister::Xcr0),
            ("fs_base", SystemRegister::FsBase),
            ("gs_base", SystemRegister::GsBase),
        ];
        const SEGMENTS: [([&str; 2], SegmentName); 8] = [
            (["cs", "cs_base"], SegmentName::Cs),
            (["ss", "ss_base"], SegmentName::Ss),
            (["ds", "ds_base"], SegmentName::Ds),
            (["es", "es_base"], SegmentName::Es),
            (["fs", ""], SegmentName::Fs),
            (["gs", ""], SegmentName::Gs),
            (["ldtr", "ldtr_base"], SegmentName::Ldtr),
            (["tr", "tr_base"], SegmentName::Tr),
        ];
        let [gdtr, idtr] = on!(self, cpu => cpu.tables());
        let mut dump = RegisterDump::new();
        dump.extend([("rip", self.rip()), ("rflags", self.rflags())]);
        dump.extend((0..).zip(GENERAL).map(|(index, name)| (name, self.general(index))));
        dump.extend(SYSTEM.map(|(name, register)| (name, self.system(register))));
        for ([selector, base], name) in SEGMENTS {
            let segment = self.segment(name);
            // Bits 11:0 the attributes, from 16 on the selector.
            let word = u64::from(segment.selector) << 16 | u64::from(segment.attributes);
            dump.push((selector, word));
            if !base.is_empty() {
                dump.push((base, segment.base));
            }
        }
        dump.extend([("gdtr", gdtr.0), ("gdtr_limit", u64::from(gdtr.1))]);
        dump.extend([("idtr", idtr.0), ("idtr_limit", u64::from(idtr.1))]);
        dump.extend(on!(self, cpu => cpu.describe()));
        dump
    }

    fn last_exits(&self) -> Vec<String> {
        on!(self, cpu => cpu.last_exits())
    }

    fn instruction_address(&self) -> Option<GuestPhysAddr> {
        on!(self, cpu => cpu.instruction_address())
    }
}
