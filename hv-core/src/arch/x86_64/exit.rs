//! Why a guest left its CPU, in words that VMX and SVM share.

use crate::guest::{GuestPhysAddr, Width};

/// Exits that only x86-64 has.
///
/// Operands that are always in the same registers are not repeated here, unless the decoder has them at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum ArchExit {
    /// CPUID; the leaf is in EAX, the subleaf in ECX.
    Cpuid,
    /// VMCALL or VMMCALL; the function is in RAX.
    Hypercall,
    /// RDMSR of this register.
    ReadMsr(u32),
    /// WRMSR.
    WriteMsr {
        /// The register.
        index: u32,
        /// EDX:EAX.
        value: u64,
    },
    /// An access to a control register.
    Control(ControlAccess),
    /// An access to a debug register.
    Debug(DebugAccess),
    /// XSETBV.
    Xsetbv {
        /// The register, in ECX; only XCR0 exists.
        index: u32,
        /// EDX:EAX.
        value: u64,
    },
    /// An access to memory that is not RAM. The instruction is to be decoded: the hardware does not do it.
    Memory(MemoryAccess),
    /// INS or OUTS.
    StringPort(StringPort),
    /// An instruction that the hardware has left for us to decode, and of which it says only this.
    Undecoded(Undecoded),
    /// The guest can take an interrupt now.
    InterruptWindow,
    /// The guest can take an NMI now.
    NmiWindow,
    /// The time that the guest may run is over.
    SliceEnd,
    /// The host's own NMI came while the guest ran.
    Nmi,
    /// A machine check came while the guest ran.
    MachineCheck,
    /// The guest raised an exception that is intercepted.
    Exception(Exception),
    /// An exception in the delivery of a double fault: the CPU is to be reset.
    TripleFault,
    /// An INIT signal.
    Init,
    /// A start-up IPI, with its vector: the page at which to start.
    Startup(u8),
    /// A task switch.
    TaskSwitch(TaskSwitch),
    /// An access to the page of the local APIC.
    ApicAccess(ApicAccess),
    /// The register at this offset of the virtual APIC page was written, and needs more than to be stored.
    ApicWritten(u16),
    /// The guest ended this interrupt, and someone waits for that.
    EndOfInterrupt(u8),
    /// The guest lowered its task priority below the threshold.
    TaskPriority,
    /// INVD, WBINVD or WBNOINVD. A guest's caches are coherent: there is nothing to be done.
    CacheFlush,
    /// An instruction that is not offered: #UD.
    Undefined,
    /// An instruction that is refused: #GP(0).
    Protected,
}

/// The direction of an access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the register, port or memory.
    Read,
    /// To it.
    Write,
}

/// An access to a control register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ControlAccess {
    /// MOV between a control register and a general one.
    Move {
        /// The number of the control register.
        register: u8,
        /// The number of the general register, as in an instruction's encoding: 0 RAX, 1 RCX, 2 RDX, 3 RBX, 4 RSP.
        general: u8,
        /// Whether the control register is read or written.
        direction: Direction,
    },
    /// CLTS.
    ClearTaskSwitched,
    /// LMSW of this value; only its four low bits count.
    LoadStatusWord(u16),
}

/// MOV between a debug register and a general one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DebugAccess {
    /// The number of the debug register.
    pub register: u8,
    /// The number of the general register.
    pub general: u8,
    /// Whether the debug register is read or written.
    pub direction: Direction,
}

/// What SVM without decode assists says of an instruction (APM vol. 2, 15.10.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Undecoded {
    /// This control register is read, by MOV or SMSW.
    ControlRead(u8),
    /// This control register is written, by MOV, LMSW or CLTS.
    ControlWrite(u8),
    /// This debug register is read.
    DebugRead(u8),
    /// This debug register is written.
    DebugWrite(u8),
}

/// An access to guest physical memory that the second-level tables do not allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryAccess {
    /// Where. The offset in its page is exact.
    pub addr: GuestPhysAddr,
    /// The linear address; only VMX tells it.
    pub linear: Option<u64>,
    /// Whether it is read or written. An instruction that does both is a write.
    pub direction: Direction,
}

/// INS or OUTS (SDM vol. 3C, table 28-5 and 28-8; APM vol. 2, 15.10.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StringPort {
    /// The port.
    pub port: u16,
    /// The width of one element.
    pub width: Width,
    /// INS reads the port, OUTS writes it.
    pub direction: Direction,
    /// Once, or as often as RCX says.
    pub repeat: Repeat,
    /// The width of the addresses: how much of RSI, RDI and RCX counts. QEMU 7.2 does not tell it.
    pub address_width: Option<Width>,
    /// The number of the segment register of the memory operand: 0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS. QEMU 7.2 and
    /// old CPUs do not tell it.
    pub segment: Option<u8>,
}

/// How often a string instruction is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeat {
    /// Once.
    Once,
    /// While RCX is not zero.
    Counted,
}

/// An exception that the guest raised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exception {
    /// Its vector.
    pub vector: u8,
    /// Its error code, if it has one.
    pub error_code: Option<u32>,
    /// What goes with it: the linear address of a page fault, the conditions of a debug exception (VMX), or 0.
    pub detail: u64,
}

/// A task switch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TaskSwitch {
    /// The selector of the new task.
    pub selector: u16,
    /// What switches.
    pub source: TaskSource,
}

/// What switches the task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaskSource {
    /// CALL.
    Call,
    /// IRET.
    Iret,
    /// JMP.
    Jump,
    /// An event through a task gate in the IDT.
    Gate,
}

/// An access to the page of the local APIC (SDM vol. 3C, table 28-6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApicAccess {
    /// Bytes from the page's base.
    pub offset: u16,
    /// Whether it is read or written.
    pub direction: Direction,
}
