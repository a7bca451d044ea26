//! Names of registers, and what a segment register holds.

/// General registers by their numbers in encodings.
pub mod general {
    /// RAX.
    pub const RAX: u8 = 0;
    /// RCX.
    pub const RCX: u8 = 1;
    /// RDX.
    pub const RDX: u8 = 2;
    /// RBX.
    pub const RBX: u8 = 3;
    /// RSP.
    pub const RSP: u8 = 4;
    /// RBP.
    pub const RBP: u8 = 5;
    /// RSI.
    pub const RSI: u8 = 6;
    /// RDI.
    pub const RDI: u8 = 7;
}

/// A segment register; the number is that of encodings, as in [`StringPort::segment`](super::exit::StringPort::segment).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[expect(missing_docs, reason = "registers have the manual's names")]
pub enum SegmentName {
    Es = 0,
    Cs = 1,
    Ss = 2,
    Ds = 3,
    Fs = 4,
    Gs = 5,
    Ldtr = 6,
    Tr = 7,
}

/// What a segment register holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Bits 55:52 and 47:40 of a descriptor, in that order: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D 10, G 11.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

impl Segment {
    /// A 64-bit code segment.
    pub const LONG: u16 = 1 << 9;
    /// A 32-bit code segment.
    pub const WIDE: u16 = 1 << 10;
}

/// Registers that a guest writes by number or by MOV, and whose values the CPU or its control block keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "registers have the manual's names")]
pub enum SystemRegister {
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    Dr6,
    Dr7,
    Efer,
    Star,
    Lstar,
    Cstar,
    SyscallMask,
    FsBase,
    GsBase,
    KernelGsBase,
    SysenterCs,
    SysenterEsp,
    SysenterEip,
    Pat,
    TscAux,
    Xcr0,
}

/// Bits of RFLAGS.
pub mod flags {
    /// Carry.
    pub const CF: u64 = 1;
    /// Always set.
    pub const RESERVED: u64 = 1 << 1;
    /// Parity.
    pub const PF: u64 = 1 << 2;
    /// Auxiliary carry.
    pub const AF: u64 = 1 << 4;
    /// Zero.
    pub const ZF: u64 = 1 << 6;
    /// Sign.
    pub const SF: u64 = 1 << 7;
    /// Trap after the next instruction.
    pub const TF: u64 = 1 << 8;
    /// Interrupts are taken.
    pub const IF: u64 = 1 << 9;
    /// Strings go down.
    pub const DF: u64 = 1 << 10;
    /// Overflow.
    pub const OF: u64 = 1 << 11;
    /// No instruction breakpoint at the next instruction.
    pub const RF: u64 = 1 << 16;
    /// Virtual-8086 mode.
    pub const VM: u64 = 1 << 17;
    /// Alignment check; with SMAP: the supervisor may access what is the user's.
    pub const AC: u64 = 1 << 18;
}

/// Bits of CR0.
pub mod cr0 {
    /// Protected mode.
    pub const PE: u64 = 1;
    /// Monitor coprocessor.
    pub const MP: u64 = 1 << 1;
    /// Emulation.
    pub const EM: u64 = 1 << 2;
    /// Task switched.
    pub const TS: u64 = 1 << 3;
    /// Extension type: always set.
    pub const ET: u64 = 1 << 4;
    /// Numeric error.
    pub const NE: u64 = 1 << 5;
    /// Write protect.
    pub const WP: u64 = 1 << 16;
    /// Alignment mask.
    pub const AM: u64 = 1 << 18;
    /// Not write-through.
    pub const NW: u64 = 1 << 29;
    /// Cache disable.
    pub const CD: u64 = 1 << 30;
    /// Paging.
    pub const PG: u64 = 1 << 31;
}

/// Bits of CR4.
pub mod cr4 {
    /// Virtual-8086 mode extensions.
    pub const VME: u64 = 1;
    /// Virtual interrupts in protected mode.
    pub const PVI: u64 = 1 << 1;
    /// RDTSC is privileged.
    pub const TSD: u64 = 1 << 2;
    /// Debugging extensions.
    pub const DE: u64 = 1 << 3;
    /// Page size extensions.
    pub const PSE: u64 = 1 << 4;
    /// Physical address extension.
    pub const PAE: u64 = 1 << 5;
    /// Machine checks.
    pub const MCE: u64 = 1 << 6;
    /// Global pages.
    pub const PGE: u64 = 1 << 7;
    /// FXSAVE.
    pub const OSFXSR: u64 = 1 << 9;
    /// SIMD exceptions.
    pub const OSXMMEXCPT: u64 = 1 << 10;
    /// Five levels.
    pub const LA57: u64 = 1 << 12;
    /// VMX.
    pub const VMXE: u64 = 1 << 13;
    /// Process-context identifiers.
    pub const PCIDE: u64 = 1 << 17;
    /// XSAVE.
    pub const OSXSAVE: u64 = 1 << 18;
    /// No execution of user pages in supervisor mode.
    pub const SMEP: u64 = 1 << 20;
    /// No access to user pages in supervisor mode.
    pub const SMAP: u64 = 1 << 21;
}

/// Bits of EFER.
pub mod efer {
    /// SYSCALL.
    pub const SCE: u64 = 1;
    /// Long mode is enabled.
    pub const LME: u64 = 1 << 8;
    /// Long mode is active.
    pub const LMA: u64 = 1 << 10;
    /// No-execute.
    pub const NXE: u64 = 1 << 11;
    /// SVM.
    pub const SVME: u64 = 1 << 12;
}
