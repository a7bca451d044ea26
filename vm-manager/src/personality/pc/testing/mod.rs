//! A CPU of a PC whose every register a test sees, and that exits as it is told.

use super::cpu::{PcCpu, Window};
use super::cpuid::{Cpuid, ExtendedState, Leaf, Profile, TscRate};
use hv_core::arch::x86_64::event::Event;
use hv_core::arch::x86_64::exit::ArchExit;
use hv_core::arch::x86_64::register::{
    Segment, SegmentName, SystemRegister, cr0, cr4, efer, flags, general,
};
use hv_core::arch::x86_64::start::Start;
use hv_core::exit::{Access, Exit, Op};
use hv_core::guest::{GuestPhysAddr, Width};
use hv_core::time::Instant;
use hv_core::vcpu::{GuestCpu, RegisterDump};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A code segment as attributes: present, code, accessed; of privilege level 0.
const CODE: u16 = 0x9b;
/// A data segment as attributes: present, writable, accessed; of privilege level 0.
const DATA: u16 = 0x93;
const GRANULAR: u16 = 1 << 11;

/// How wide the code is that a CPU runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Real mode.
    Bits16,
    /// Protected mode without paging, flat.
    Bits32,
    /// Long mode, without tables yet.
    Bits64,
}

/// A scripted CPU. Its TSC counts nanoseconds.
pub(crate) struct FakePcCpu {
    /// General registers, as encodings number them.
    pub(crate) general: [u64; 16],
    pub(crate) rip: u64,
    pub(crate) rflags: u64,
    /// By the numbers of [`SegmentName`].
    pub(crate) segments: [Segment; 8],
    system: HashMap<u8, u64>,
    /// What [`GuestCpu::run`] returns next. When there is nothing left, the guest idles.
    pub(crate) exits: VecDeque<Exit<ArchExit>>,
    /// What STI or MOV SS leaves behind: no interrupt before the next instruction.
    pub(crate) shadow: bool,
    /// It is in its handler of an NMI.
    pub(crate) in_nmi: bool,
    /// What it takes before its next instruction.
    pub(crate) pending: Option<Event>,
    /// All that it took, the oldest first.
    pub(crate) taken: Vec<Event>,
    pub(crate) window: Window,
    /// Bytes of the instruction that it exits with.
    pub(crate) instruction_bytes: u64,
    /// The host's clock, in nanoseconds: a test shares it.
    pub(crate) clock: Arc<AtomicU64>,
    tsc_offset: u64,
    behind: Duration,
    pub(crate) is_loaded: bool,
    /// The read that the last exit asked for.
    last: Option<Access>,
    /// What its guest does, until there is nothing left of it: then `exits`.
    pub(crate) script: Option<Script>,
}

/// A guest: what it does next, given its CPU.
pub(crate) type Script = Box<dyn FnMut(&mut FakePcCpu) -> Option<Exit<ArchExit>> + Send>;

impl FakePcCpu {
    /// A CPU in this mode, loaded, whose segments are flat.
    pub(crate) fn new(mode: Mode) -> Self {
        let mut cpu = Self {
            general: [0; 16],
            rip: 0,
            rflags: flags::RESERVED,
            segments: [Segment::default(); 8],
            system: HashMap::new(),
            exits: VecDeque::new(),
            shadow: false,
            in_nmi: false,
            pending: None,
            taken: Vec::new(),
            window: Window::Closed,
            instruction_bytes: 2,
            clock: Arc::default(),
            tsc_offset: 0,
            behind: Duration::ZERO,
            is_loaded: true,
            last: None,
            script: None,
        };
        cpu.set_mode(mode);
        cpu
    }

    /// Goes to this mode.
    pub(crate) fn set_mode(&mut self, mode: Mode) {
        let (code, limit, cr0, cr4, efer) = match mode {
            Mode::Bits16 => (0, 0xffff, cr0::ET, 0, 0),
            Mode::Bits32 => (Segment::WIDE | GRANULAR, u32::MAX, cr0::ET | cr0::PE, 0, 0),
            Mode::Bits64 => (
                Segment::LONG | GRANULAR,
                u32::MAX,
                cr0::ET | cr0::PE | cr0::PG | cr0::WP,
                cr4::PAE,
                efer::LME | efer::LMA | efer::NXE,
            ),
        };
        let data =
            Segment { selector: 0x18, attributes: DATA | code & !Segment::LONG, limit, base: 0 };
        self.segments = [data; 8];
        self.segments[SegmentName::Cs as usize] =
            Segment { selector: 0x10, attributes: CODE | code, limit, base: 0 };
        if mode == Mode::Bits16 {
            for segment in &mut self.segments {
                segment.selector = 0;
            }
        }
        self.set_system(SystemRegister::Cr0, cr0);
        self.set_system(SystemRegister::Cr4, cr4);
        self.set_system(SystemRegister::Efer, efer);
    }

    /// Changes the privilege level.
    pub(crate) fn set_privilege(&mut self, privilege: u8) {
        let stack = &mut self.segments[SegmentName::Ss as usize];
        stack.attributes = stack.attributes & !(3 << 5) | u16::from(privilege) << 5;
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    fn step(&mut self) {
        assert!(self.is_loaded);
        self.rip = self.rip.wrapping_add(self.instruction_bytes);
        self.shadow = false;
        self.last = None;
    }

    fn start_real(&mut self, segment: u16, offset: u16) {
        self.set_mode(Mode::Bits16);
        let code = &mut self.segments[SegmentName::Cs as usize];
        code.selector = segment;
        code.base = u64::from(segment) << 4;
        self.rip = u64::from(offset);
    }
}

impl GuestCpu for FakePcCpu {
    type ArchExit = ArchExit;
    type Start = Start;

    fn reset(&mut self, start: Start) {
        assert!(!self.is_loaded);
        let clock = Arc::clone(&self.clock);
        let exits = core::mem::take(&mut self.exits);
        let script = self.script.take();
        *self = Self { clock, exits, script, is_loaded: false, ..Self::new(Mode::Bits16) };
        match start {
            Start::Real { segment, offset } => self.start_real(segment, offset),
            Start::Long { entry, parameters, page_tables, .. } => {
                self.set_mode(Mode::Bits64);
                self.rip = entry.0;
                self.general[usize::from(general::RSI)] = parameters.0;
                self.set_system(SystemRegister::Cr3, page_tables.0);
            }
            Start::Pvh { entry, start_info: information }
            | Start::Multiboot { entry, information } => {
                self.set_mode(Mode::Bits32);
                self.rip = entry.0;
                self.general[usize::from(general::RBX)] = information.0;
                if matches!(start, Start::Multiboot { .. }) {
                    self.general[usize::from(general::RAX)] = Start::MULTIBOOT_EAX.into();
                }
            }
        }
    }

    fn load(&mut self, behind: Duration) {
        assert!(!self.is_loaded);
        self.is_loaded = true;
        self.behind = behind;
    }

    fn put(&mut self) {
        assert!(self.is_loaded);
        self.is_loaded = false;
    }

    fn run(&mut self) -> Exit<ArchExit> {
        assert!(self.is_loaded);
        if let Some(event) = self.pending.take() {
            self.taken.push(event);
        }
        let scripted = match self.script.take() {
            Some(mut script) => {
                let exit = script(self);
                self.script = Some(script);
                exit
            }
            None => None,
        };
        let exit = scripted.or_else(|| self.exits.pop_front()).unwrap_or(Exit::Idle);
        self.last = match exit {
            Exit::Device(access) => Some(access),
            Exit::Idle | Exit::Yield | Exit::Interrupt | Exit::Arch(_) | Exit::Fatal(_) => None,
        };
        exit
    }

    fn finish_read(&mut self, value: u64) {
        let access = self.last.expect("a device was read");
        assert_eq!(access.op, Op::Read);
        let rax = &mut self.general[usize::from(general::RAX)];
        *rax = match access.width {
            Width::B1 | Width::B2 => *rax & !access.width.ones() | value & access.width.ones(),
            Width::B4 | Width::B8 => value & access.width.ones(),
        };
        self.step();
    }

    fn finish(&mut self) {
        self.step();
    }

    fn fail_access(&mut self) {
        match self.last {
            Some(Access { op: Op::Read, width, .. }) => self.finish_read(width.ones()),
            Some(Access { op: Op::Write(_), .. }) | None => self.step(),
        }
    }

    fn pc(&self) -> u64 {
        self.segments[SegmentName::Cs as usize].base.wrapping_add(self.rip)
    }

    fn dump(&mut self) -> RegisterDump {
        vec![("rip", self.rip), ("rflags", self.rflags)]
    }

    fn last_exits(&self) -> Vec<String> {
        Vec::new()
    }

    fn instruction_address(&self) -> Option<GuestPhysAddr> {
        Some(GuestPhysAddr(self.pc()))
    }
}

impl PcCpu for FakePcCpu {
    fn general(&self, index: u8) -> u64 {
        self.general[usize::from(index)]
    }

    fn set_general(&mut self, index: u8, value: u64) {
        self.general[usize::from(index)] = value;
    }

    fn rip(&self) -> u64 {
        self.rip
    }

    fn set_rip(&mut self, value: u64) {
        self.rip = value;
        self.shadow = false;
    }

    fn rflags(&self) -> u64 {
        self.rflags
    }

    fn set_rflags(&mut self, value: u64) {
        self.rflags = value;
    }

    fn segment(&self, name: SegmentName) -> Segment {
        self.segments[name as usize]
    }

    fn privilege(&self) -> u8 {
        (self.segment(SegmentName::Ss).attributes >> 5 & 3) as u8
    }

    fn system(&self, register: SystemRegister) -> u64 {
        self.system.get(&(register as u8)).copied().unwrap_or(0)
    }

    fn set_system(&mut self, register: SystemRegister, value: u64) {
        self.system.insert(register as u8, value);
        if register == SystemRegister::Cr0 {
            let efer = self.system(SystemRegister::Efer) & !efer::LMA;
            let is_long = value & cr0::PG != 0 && efer & efer::LME != 0;
            let efer = if is_long { efer | efer::LMA } else { efer };
            self.system.insert(SystemRegister::Efer as u8, efer);
        }
    }

    fn can_take_interrupt(&self) -> bool {
        self.rflags & flags::IF != 0 && !self.shadow && self.pending.is_none()
    }

    fn can_take_nmi(&self) -> bool {
        !self.in_nmi && !self.shadow && self.pending.is_none()
    }

    fn inject(&mut self, event: Event) {
        self.pending = Some(event);
    }

    fn set_window(&mut self, window: Window) {
        self.window = window;
    }

    fn tsc(&self) -> u64 {
        self.now().wrapping_sub(self.behind.as_nanos() as u64).wrapping_add(self.tsc_offset)
    }

    fn set_tsc(&mut self, value: u64) {
        self.tsc_offset = value.wrapping_sub(self.tsc().wrapping_sub(self.tsc_offset));
    }

    fn time_of_tsc(&self, tsc: u64) -> Instant {
        let behind = self.behind.as_nanos() as u64;
        Instant(tsc.wrapping_sub(self.tsc_offset).saturating_add(behind))
    }

    fn tsc_reference(&self) -> (u64, Instant) {
        (self.tsc(), Instant(self.now()))
    }
}

/// CPUID of a CPU that has everything that is offered.
pub(crate) fn host_cpuid(leaf: u32, subleaf: u32) -> Leaf {
    let [ebx, edx, ecx] = [*b"Genu", *b"ineI", *b"ntel"].map(u32::from_le_bytes);
    match (leaf, subleaf) {
        (0, _) => Leaf { eax: 0x1f, ebx, ecx, edx },
        (0x8000_0000, _) => Leaf { eax: 0x8000_0008, ..Leaf::default() },
        (1, _) => Leaf { eax: 0x306c3, ebx: 0, ecx: u32::MAX, edx: u32::MAX },
        (0xd, 0) => Leaf { eax: 7, ebx: 832, ecx: 832, edx: 0 },
        (0xd, 2) => Leaf { eax: 256, ebx: 576, ..Leaf::default() },
        (7 | 0x8000_0001, 0) => Leaf { eax: 0, ebx: u32::MAX, ecx: u32::MAX, edx: u32::MAX },
        (0x8000_0008, _) => Leaf { eax: 48 << 8 | 39, ..Leaf::default() },
        _ => Leaf::default(),
    }
}

/// The CPUID of a VM of two vCPUs on such a host.
pub(crate) fn cpuid() -> Cpuid {
    let profile = Profile {
        vcpus: 2,
        tsc_hz: 1_000_000_000,
        apic_hz: 1_000_000_000,
        tsc_rate: TscRate::Invariant,
        extended_state: ExtendedState::Offered,
    };
    Cpuid::new(host_cpuid, &profile)
}
