//! Why a guest CPU stopped running, in words that all architectures share.

use crate::guest::{GuestPhysAddr, Space, Width};
use core::fmt;

/// What the guest wanted from a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Op {
    /// A load; it is answered with [`GuestCpu::finish_read`](crate::vcpu::GuestCpu::finish_read).
    Read,
    /// A store of this value, zero-extended from the width of the access.
    Write(u64),
}

/// One device access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Access {
    /// Which bus.
    pub space: Space,
    /// Address on that bus.
    pub addr: GuestPhysAddr,
    /// Bytes accessed.
    pub width: Width,
    /// Direction and data.
    pub op: Op,
}

/// Why a guest CPU cannot go on. Each of these crashes its VM, and nothing else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// It fetched an instruction from where there is no RAM.
    Fetch(GuestPhysAddr),
    /// It accessed a device with an instruction that the hardware does not decode for us.
    Undecodable(GuestPhysAddr),
    /// Its page-table walk left RAM.
    TableWalk(GuestPhysAddr),
    /// It wrote where it may only read.
    Protected(GuestPhysAddr),
    /// The hardware reported an asynchronous error while the guest ran.
    SystemError,
    /// An exception in the delivery of a double fault: x86's way to stop a CPU that cannot go on.
    TripleFault,
    /// It switched tasks by hardware, which only x86 has, and nobody has used for long.
    TaskSwitch,
    /// The hardware reported something that must not happen.
    Unexpected,
}

/// A fault, with the hardware's own words for the operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// The raw syndrome: `ESR_EL2`, or the exit reason and qualification.
    pub syndrome: u64,
}

impl Fault {
    /// The address at which there would have to be RAM, for it to go on.
    #[must_use]
    pub fn missed(self) -> Option<GuestPhysAddr> {
        match self.kind {
            FaultKind::Fetch(addr) | FaultKind::Undecodable(addr) | FaultKind::TableWalk(addr) => {
                Some(addr)
            }
            FaultKind::Protected(_)
            | FaultKind::SystemError
            | FaultKind::TripleFault
            | FaultKind::TaskSwitch
            | FaultKind::Unexpected => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::Fetch(addr) => write!(f, "instruction fetch from {addr}, where no RAM is"),
            FaultKind::Undecodable(addr) => {
                write!(f, "access to {addr} by an instruction that cannot be emulated")
            }
            FaultKind::TableWalk(addr) => {
                write!(f, "page-table walk through {addr}, where no RAM is")
            }
            FaultKind::Protected(addr) => write!(f, "write to read-only memory at {addr}"),
            FaultKind::SystemError => f.write_str("asynchronous error (SError)"),
            FaultKind::TripleFault => f.write_str("triple fault"),
            FaultKind::TaskSwitch => f.write_str("task switch by hardware, which is not emulated"),
            FaultKind::Unexpected => f.write_str("unexpected exit"),
        }?;
        write!(f, " (syndrome {:#x})", self.syndrome)
    }
}

/// The reason why [`GuestCpu::run`](crate::vcpu::GuestCpu::run) returned.
///
/// The explicit tag, instead of one hidden in a payload, lets the compiler lead each decoded syndrome straight to its arm in
/// the exit loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit<A> {
    /// The guest touched a device.
    Device(Access),
    /// The guest waits for an interrupt: WFI, HLT.
    Idle,
    /// The guest spins and offers the CPU to others: WFE, PAUSE.
    Yield,
    /// A host interrupt needs the CPU.
    Interrupt,
    /// Something that only one architecture has.
    Arch(A),
    /// The guest cannot go on.
    Fatal(Fault),
}
