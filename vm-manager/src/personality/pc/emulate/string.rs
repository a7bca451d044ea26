//! String instructions: MOVS, STOS, LODS between memory and devices, INS and OUTS.
//!
//! An exit does so many elements at most; then the guest runs on at the same instruction, and its interrupts find it there
//! (SDM vol. 2B, REP).

use super::super::cpu::PcCpu;
use super::decode::{Decoded, Operation, StringKind};
use super::operand::Register;
use super::perform::Machine;
use super::space::{LastPage, Place};
use super::{Attempt, Halt};
use hv_core::arch::x86_64::exit::{Direction, MemoryAccess, Repeat, StringPort};
use hv_core::arch::x86_64::register::{SegmentName, flags, general};
use hv_core::exit::{Access, Op};
use hv_core::guest::{GuestMemory, GuestPhysAddr, Space, Width};

/// Elements that one exit does at most.
const BATCH: u32 = 256;

/// What made the exit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reason {
    /// An access to this address.
    Memory(GuestPhysAddr),
    /// An access to this port.
    Port(u16),
}

impl Reason {
    fn fits(self, place: Option<Place>) -> bool {
        match (self, place) {
            (Self::Port(_), _) => true,
            (Self::Memory(addr), Some(Place::Whole(at))) => at == addr,
            (Self::Memory(addr), Some(Place::Split { first, second, .. })) => {
                first == addr || second == addr
            }
            (Self::Memory(_), None) => false,
        }
    }
}

/// One string instruction under way.
struct Progress {
    kind: StringKind,
    width: Width,
    repeat: Repeat,
    reason: Reason,
    /// Of the source; the destination is always in ES.
    segment: SegmentName,
    source: Register,
    destination: Register,
    count: Register,
    source_page: LastPage,
    destination_page: LastPage,
}

impl Progress {
    fn new(decoded: &Decoded, kind: StringKind, repeat: Repeat, reason: Reason) -> Self {
        let width = decoded.address.width;
        Self {
            kind,
            width: decoded.width,
            repeat,
            reason,
            segment: decoded.address.segment,
            source: Register::low(general::RSI, width),
            destination: Register::low(general::RDI, width),
            count: Register::low(general::RCX, width),
            source_page: LastPage::default(),
            destination_page: LastPage::default(),
        }
    }
}

impl<C: PcCpu, M: GuestMemory + ?Sized, D: FnMut(Access) -> u64> Machine<'_, C, M, D> {
    /// Does MOVS, STOS or LODS, of which one address made the exit `access`.
    pub(super) fn memory_string(
        &mut self,
        decoded: &Decoded,
        kind: StringKind,
        repeat: Repeat,
        access: MemoryAccess,
    ) -> Attempt<()> {
        match kind {
            StringKind::Move | StringKind::Store | StringKind::Load => {}
            // They exit for their port first, and are done with then.
            StringKind::Input | StringKind::Output => return Err(Halt::Mismatch),
        }
        let reason = Reason::Memory(access.addr);
        self.string(decoded, Progress::new(decoded, kind, repeat, reason))
    }

    /// Does INS or OUTS.
    pub(super) fn port_string(&mut self, decoded: &Decoded, port: StringPort) -> Attempt<()> {
        let Operation::String { kind, repeat } = decoded.operation else {
            return Err(Halt::Mismatch);
        };
        let direction = match kind {
            StringKind::Input => Direction::Read,
            StringKind::Output => Direction::Write,
            StringKind::Move | StringKind::Store | StringKind::Load => {
                return Err(Halt::Mismatch);
            }
        };
        if (direction, decoded.width, repeat) != (port.direction, port.width, port.repeat) {
            return Err(Halt::Mismatch);
        }
        let reason = Reason::Port(port.port);
        self.string(decoded, Progress::new(decoded, kind, repeat, reason))
    }

    fn string(&mut self, decoded: &Decoded, mut progress: Progress) -> Attempt<()> {
        // A single step is one element.
        let batch = if self.cpu.rflags() & flags::TF == 0 { BATCH } else { 1 };
        for element in 0..batch {
            if self.is_at_end(&progress) {
                break;
            }
            let (source, destination) = self.places(&mut progress)?;
            if element == 0 && !progress.reason.fits(source) && !progress.reason.fits(destination) {
                return Err(Halt::Mismatch);
            }
            self.element(&progress, source, destination)?;
            self.advance(&progress);
            if progress.repeat == Repeat::Once {
                break;
            }
        }
        if progress.repeat == Repeat::Once || self.is_at_end(&progress) {
            self.step(decoded);
        }
        Ok(())
    }

    fn is_at_end(&self, progress: &Progress) -> bool {
        progress.repeat == Repeat::Counted && progress.count.get(self.cpu) == 0
    }

    /// Where the next element comes from and goes to, in memory.
    fn places(&mut self, progress: &mut Progress) -> Attempt<(Option<Place>, Option<Place>)> {
        let Progress { kind, width, segment, .. } = *progress;
        let source = match kind {
            StringKind::Move | StringKind::Load | StringKind::Output => {
                let offset = progress.source.get(self.cpu);
                let last = &mut progress.source_page;
                Some(self.place(segment, offset, width, Direction::Read, last)?)
            }
            StringKind::Store | StringKind::Input => None,
        };
        let destination = match kind {
            StringKind::Move | StringKind::Store | StringKind::Input => {
                let offset = progress.destination.get(self.cpu);
                let last = &mut progress.destination_page;
                Some(self.place(SegmentName::Es, offset, width, Direction::Write, last)?)
            }
            StringKind::Load | StringKind::Output => None,
        };
        Ok((source, destination))
    }

    fn element(
        &mut self,
        progress: &Progress,
        source: Option<Place>,
        destination: Option<Place>,
    ) -> Attempt<()> {
        let width = progress.width;
        let accumulator = Register::low(general::RAX, width);
        let value = match (source, progress.reason) {
            (Some(source), _) => self.load(source, width)?,
            (None, Reason::Port(port)) => self.port(port, width, Op::Read) & width.ones(),
            (None, Reason::Memory(_)) => accumulator.get(self.cpu),
        };
        match (destination, progress.reason) {
            (Some(destination), _) => self.store(destination, width, value)?,
            (None, Reason::Port(port)) => {
                self.port(port, width, Op::Write(value));
            }
            (None, Reason::Memory(_)) => accumulator.set(self.cpu, value),
        }
        Ok(())
    }

    fn port(&mut self, port: u16, width: Width, op: Op) -> u64 {
        let addr = GuestPhysAddr(port.into());
        (self.device)(Access { space: Space::Port, addr, width, op })
    }

    fn advance(&mut self, progress: &Progress) {
        let bytes = progress.width.bytes();
        let goes_down = self.cpu.rflags() & flags::DF != 0;
        let step = if goes_down { bytes.wrapping_neg() } else { bytes };
        let mut add = |register: Register, step| {
            let value = register.get(self.cpu).wrapping_add(step);
            register.set(self.cpu, value);
        };
        match progress.kind {
            StringKind::Move => {
                add(progress.source, step);
                add(progress.destination, step);
            }
            StringKind::Load | StringKind::Output => add(progress.source, step),
            StringKind::Store | StringKind::Input => add(progress.destination, step),
        }
        if progress.repeat == Repeat::Counted {
            add(progress.count, u64::MAX);
        }
    }
}
