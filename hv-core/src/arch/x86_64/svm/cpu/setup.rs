//! How a vCPU comes to be, and how it is reset.

use super::{Block, NOWHERE, RAX, RSP, SvmCpu};
use crate::arch::x86_64::event::Window;
use crate::arch::x86_64::fpu::ExtendedState;
use crate::arch::x86_64::page::Page;
use crate::arch::x86_64::register::{Segment, efer, general};
use crate::arch::x86_64::space::{Tag, Translation};
use crate::arch::x86_64::start::Start;
use crate::arch::x86_64::svm::host::Features;
use crate::arch::x86_64::svm::length::Lengths;
use crate::arch::x86_64::svm::vmcb::{self, Clean, Vmcb};
use crate::arch::x86_64::svm::{intercept, permission, virtual_interrupt};
use crate::arch::x86_64::vcpu::debug::DebugAddresses;
use crate::arch::x86_64::vcpu::initial::{self, Initial};
use crate::arch::x86_64::vcpu::trail::Trail;
use crate::arch::x86_64::vcpu::tsc::GuestTsc;
use crate::ram::GuestFrames;
use alloc::sync::Arc;

/// Accesses to control registers that exit. Bits that the guest is not offered must not get into CR4; CR8 is the local APIC's.
const CONTROL_READS: u16 = 1 << 8;
const CONTROL_WRITES: u16 = 1 << 4 | 1 << 8;
/// #MC is the host's. A guest can make the CPU deliver #DB, or #AC, for ever, if nobody is in between (CVE-2015-8104,
/// CVE-2015-5307).
const EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;

impl SvmCpu {
    /// A vCPU that is off: see [`Self::reset`]. `None` if there is no memory.
    pub(in crate::arch::x86_64) fn new(
        translation: Translation,
        frames: Arc<GuestFrames>,
        features: Features,
    ) -> Option<Self> {
        let mut cpu = Self {
            block: Page::new()?,
            pending: 0,
            features,
            lengths: Lengths::default(),
            trail: Trail::default(),
            window: Window::Closed,
            nmi: super::Nmi::Open,
            tag: Tag::default(),
            translation,
            frames,
            extended: ExtendedState::new()?,
            debug: DebugAddresses::default(),
            tsc: GuestTsc::default(),
            tsc_aux: 0,
            on: &NOWHERE,
        };
        cpu.reset(Start::startup(0));
        Some(cpu)
    }

    /// Goes to the state after a reset, about to start so. It is not loaded.
    pub(in crate::arch::x86_64) fn reset(&mut self, start: Start) {
        let initial = Initial::new(start);
        self.block.clear();
        let Block { vmcb, registers } = self.block.get_mut();
        write_control(&mut vmcb.control, self.translation, self.features);
        write_state(&mut vmcb.state, &initial);
        for (index, value) in
            [(general::RBX, initial.rbx), (general::RDX, initial.rdx), (general::RSI, initial.rsi)]
        {
            registers.set(index, value);
        }
        self.pending = 0;
        self.lengths.clear();
        self.trail = Trail::default();
        self.window = Window::Closed;
        self.nmi = super::Nmi::Open;
        self.extended.reset();
        self.debug = DebugAddresses::default();
        self.tsc = GuestTsc::default();
        self.tsc_aux = 0;
    }

    #[inline]
    pub(in crate::arch::x86_64) fn general(&self, index: u8) -> u64 {
        let Block { vmcb: Vmcb { state, .. }, registers } = self.block.get();
        match index {
            RAX => state.rax,
            RSP => state.rsp,
            _ => registers.get(index),
        }
    }

    #[inline]
    pub(in crate::arch::x86_64) fn set_general(&mut self, index: u8, value: u64) {
        let Block { vmcb: Vmcb { state, .. }, registers } = self.block.get_mut();
        match index {
            RAX => state.rax = value,
            RSP => state.rsp = value,
            _ => registers.set(index, value),
        }
    }
}

fn write_control(control: &mut vmcb::Control, translation: Translation, features: Features) {
    let (pause_count, pause_threshold) = features.pause_filter();
    control.control_reads = CONTROL_READS;
    control.control_writes = CONTROL_WRITES;
    control.exceptions = EXCEPTIONS;
    control.intercepts_first = intercept::FIRST;
    control.intercepts_second = intercept::SECOND;
    control.pause_threshold = pause_threshold;
    control.pause_count = pause_count;
    control.io_map = permission::io_map();
    control.msr_map = permission::msr_map_address();
    control.virtual_interrupt = virtual_interrupt::MASKING;
    control.nested_paging = 1;
    control.nested_cr3 = translation.0;
    control.clean = Clean::NONE;
}

fn write_state(state: &mut vmcb::State, initial: &Initial) {
    let segment = |from: Segment| vmcb::Segment {
        selector: from.selector,
        attributes: from.attributes,
        limit: from.limit,
        base: from.base,
    };
    let table = |(base, limit)| vmcb::Segment { limit, base, ..vmcb::Segment::default() };
    let [es, cs, ss, ds, fs, gs, ldtr, tr] = initial.segments.map(segment);
    (state.es, state.cs, state.ss, state.ds) = (es, cs, ss, ds);
    (state.fs, state.gs, state.ldtr, state.tr) = (fs, gs, ldtr, tr);
    state.gdtr = table(initial.gdtr);
    state.idtr = table(initial.idtr);
    state.cr0 = initial.cr0;
    state.cr3 = initial.cr3;
    state.cr4 = initial.cr4;
    // The CPU insists on it in a guest as well (15.5.1); the guest does not see it.
    state.efer = initial.efer | efer::SVME;
    state.rip = initial.rip;
    state.rflags = initial.rflags;
    state.rax = initial.rax;
    state.dr6 = initial::DR6;
    state.dr7 = initial::DR7;
    state.g_pat = initial::PAT;
}
