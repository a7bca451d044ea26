//! Instructions that access what is not RAM: no hardware says what they do, so that is found out here.
//!
//! The instruction is fetched through the guest's page tables ([`walk`](hv_core::arch::x86_64::walk)), decoded
//! (`decode`), and done (`perform`, `string`); most of them were met just before (`cache`). All of it sees a guest that may change its code and its tables meanwhile:
//! what does not fit to the exit is left to the guest's CPU to try again. However long a string is, one exit does a part of
//! it that is bounded.

mod arithmetic;
mod cache;
mod decode;
mod operand;
mod perform;
mod space;
mod string;

use super::cpu::PcCpu;
use cache::Cache;
use core::fmt;
use decode::{Decoded, Operation};
use hv_core::arch::x86_64::event::Event;
use hv_core::arch::x86_64::exit::{
    ControlAccess, DebugAccess, Direction, MemoryAccess, StringPort, Undecoded,
};
use hv_core::arch::x86_64::register::{SystemRegister, flags};
use hv_core::arch::x86_64::walk::LONGEST_INSTRUCTION;
use hv_core::exit::Access;
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use iced_x86::Mnemonic;
use operand::CodeSize;
use perform::Machine;

/// How often an instruction may turn out not to be the one that made the exit, before it is given up. A guest that means no
/// harm changes its tables or its code in between once, not again each time.
const PATIENCE: u16 = 1000;

/// What became of an instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Outcome {
    /// It is done, or a part of it, if it repeats: the guest is to run on.
    Done,
    /// It is not the instruction that made the exit, any more: the guest is to run on, at the same instruction.
    Retry,
    /// It raised this exception, which is to be injected. CR2 and DR6 are set already.
    Fault(Event),
    /// It cannot be emulated.
    Unknown(Unknown),
    /// The guest's page tables lead here, where no RAM is.
    TableWalk(GuestPhysAddr),
}

/// An instruction that cannot be emulated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unknown {
    mnemonic: Mnemonic,
    bytes: [u8; LONGEST_INSTRUCTION],
    length: u8,
}

impl Unknown {
    /// The bytes of the instruction; all that could be fetched, if they are none.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mnemonic == Mnemonic::INVALID {
            f.write_str("no instruction")?;
        } else {
            write!(f, "{:?}", self.mnemonic)?;
        }
        for byte in self.bytes() {
            write!(f, " {byte:02x}")?;
        }
        Ok(())
    }
}

/// What an instruction wants of the CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegisterAccess {
    /// An access to a control register.
    Control(ControlAccess),
    /// An access to a debug register.
    Debug(DebugAccess),
}

/// Why an instruction is not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Halt {
    /// It does not fit to the exit.
    Mismatch,
    /// It accesses no memory.
    Elsewhere,
    Fault(Event),
    TableWalk(GuestPhysAddr),
    Unknown,
}

type Attempt<T> = Result<T, Halt>;

/// The emulator of one vCPU. It remembers the instructions that it met last.
#[derive(Debug, Default)]
pub struct Emulator {
    cache: Cache,
    /// How often in a row the guest was sent back.
    retries: u16,
}

/// Has the decoder build its tables, for which it allocates, so that no exit does. Only the first call takes time.
pub fn warm_up() {
    for size in [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64] {
        // A NOP, which nobody emulates.
        let _ = decode::decode(&[0x90], size, 0);
    }
}

impl Emulator {
    /// Does the instruction that made the exit `access`. `device` answers at what is not RAM: what it returns is what a read
    /// gets; for a write it does not matter.
    pub fn memory<C: PcCpu, M: GuestMemory + ?Sized>(
        &mut self,
        access: MemoryAccess,
        cpu: &mut C,
        ram: &M,
        device: impl FnMut(Access) -> u64,
    ) -> Outcome {
        let attempt = self.attempt(cpu, ram, device, |machine, decoded| {
            if let Operation::String { kind, repeat } = decoded.operation {
                machine.memory_string(decoded, kind, repeat, access)
            } else {
                machine.perform(decoded, access)
            }
        });
        self.conclude(cpu, attempt)
    }

    /// Does the INS or OUTS that made the exit `access`. `device` answers at ports, and at memory that is not RAM.
    pub fn string_port<C: PcCpu, M: GuestMemory + ?Sized>(
        &mut self,
        access: StringPort,
        cpu: &mut C,
        ram: &M,
        device: impl FnMut(Access) -> u64,
    ) -> Outcome {
        let attempt =
            self.attempt(cpu, ram, device, |machine, decoded| machine.port_string(decoded, access));
        self.conclude(cpu, attempt)
    }

    /// What the instruction that made this exit wants. It is not done: neither is it stepped over.
    ///
    /// # Errors
    ///
    /// What else became of the instruction.
    pub fn register_access<C: PcCpu, M: GuestMemory + ?Sized>(
        &mut self,
        exit: Undecoded,
        cpu: &mut C,
        ram: &M,
    ) -> Result<RegisterAccess, Outcome> {
        let found = self.attempt(
            cpu,
            ram,
            |_| 0,
            |machine, decoded| {
                let access = machine.register_access(decoded)?;
                if fits(exit, access) { Ok(access) } else { Err(Halt::Mismatch) }
            },
        );
        match found {
            Ok(access) => {
                self.retries = 0;
                Ok(access)
            }
            // SMSW to a register is one that is not emulated.
            Err(Halt::Elsewhere) => Err(self.halted(Halt::Unknown)),
            Err(halt) => Err(self.halted(halt)),
        }
    }

    /// Finds the instruction, and has `perform` do it.
    #[inline]
    fn attempt<C: PcCpu, M: GuestMemory + ?Sized, D: FnMut(Access) -> u64, T>(
        &mut self,
        cpu: &mut C,
        ram: &M,
        mut device: D,
        perform: impl Fn(&mut Machine<'_, C, M, &mut D>, &Decoded) -> Attempt<T>,
    ) -> Attempt<T> {
        let size = CodeSize::of(cpu);
        let paging = space::paging(cpu);
        if let Some(known) = self.cache.known(cpu, ram, &paging, size) {
            let page = known.operand;
            let mut machine = Machine { cpu, ram, device: &mut device, paging, size, page };
            let attempt = perform(&mut machine, &known.decoded);
            known.operand = machine.page;
            // If something is wrong with it, it may be that the guest's tables have changed.
            if !matches!(attempt, Err(Halt::Mismatch | Halt::Elsewhere | Halt::Unknown)) {
                return attempt;
            }
        }
        let found = self.cache.fetch(cpu, ram, &paging, size)?;
        let mut machine = Machine { cpu, ram, device: &mut device, paging, size, page: None };
        let attempt = perform(&mut machine, &found.decoded);
        found.operand = machine.page;
        attempt
    }

    fn conclude(&mut self, cpu: &mut impl PcCpu, attempt: Attempt<()>) -> Outcome {
        match attempt {
            Ok(()) => {
                self.retries = 0;
                after(cpu)
            }
            Err(halt) => self.halted(halt),
        }
    }

    #[cold]
    fn halted(&mut self, halt: Halt) -> Outcome {
        let outcome = match halt {
            Halt::Mismatch | Halt::Elsewhere if self.retries < PATIENCE => {
                self.retries += 1;
                return Outcome::Retry;
            }
            Halt::Mismatch | Halt::Elsewhere | Halt::Unknown => {
                Outcome::Unknown(self.cache.unknown())
            }
            Halt::Fault(event) => Outcome::Fault(event),
            Halt::TableWalk(at) => Outcome::TableWalk(at),
        };
        self.retries = 0;
        outcome
    }
}

/// What the CPU does between two instructions: a trap, if RFLAGS.TF wants one (SDM vol. 3B, 18.3.1.4).
fn after(cpu: &mut impl PcCpu) -> Outcome {
    /// DR6: it was a single step.
    const SINGLE_STEP: u64 = 1 << 14;
    const TRAP: Event = Event { vector: 1, error_code: None, ..Event::UNDEFINED };
    let rflags = cpu.rflags();
    if rflags & (flags::TF | flags::RF) == 0 {
        return Outcome::Done;
    }
    cpu.set_rflags(rflags & !flags::RF);
    if rflags & flags::TF == 0 {
        return Outcome::Done;
    }
    let dr6 = cpu.system(SystemRegister::Dr6);
    cpu.set_system(SystemRegister::Dr6, dr6 | SINGLE_STEP);
    Outcome::Fault(TRAP)
}

/// Whether the hardware told of this access.
fn fits(exit: Undecoded, access: RegisterAccess) -> bool {
    let found = match access {
        RegisterAccess::Control(ControlAccess::Move { register, direction, .. }) => match direction
        {
            Direction::Read => Undecoded::ControlRead(register),
            Direction::Write => Undecoded::ControlWrite(register),
        },
        RegisterAccess::Control(
            ControlAccess::ClearTaskSwitched | ControlAccess::LoadStatusWord(_),
        ) => Undecoded::ControlWrite(0),
        RegisterAccess::Debug(DebugAccess { register, direction, .. }) => match direction {
            Direction::Read => Undecoded::DebugRead(register),
            Direction::Write => Undecoded::DebugWrite(register),
        },
    };
    found == exit
}

#[cfg(test)]
mod tests;
