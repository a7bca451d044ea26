//! The guest's memory as its instructions address it: through segments and page tables, RAM and devices alike.

use super::super::cpu::PcCpu;
use super::operand::{self, CodeSize};
use super::perform::Machine;
use super::{Attempt, Halt};
use hv_core::arch::x86_64::event::{Event, EventKind};
use hv_core::arch::x86_64::exit::Direction;
use hv_core::arch::x86_64::register::{SegmentName, SystemRegister, flags};
use hv_core::arch::x86_64::walk::{self, Paging, Purpose, WalkError};
use hv_core::exit::{Access, Op};
use hv_core::guest::{BadAddress, GuestMemory, GuestPhysAddr, Space, Width};

const PAGE: u64 = 1 << 12;

/// What a walk of this CPU's tables depends on.
pub(super) fn paging(cpu: &impl PcCpu) -> Paging {
    Paging {
        cr0: cpu.system(SystemRegister::Cr0),
        cr3: cpu.system(SystemRegister::Cr3),
        cr4: cpu.system(SystemRegister::Cr4),
        efer: cpu.system(SystemRegister::Efer),
        // Of the others, no walk depends.
        rflags: cpu.rflags() & flags::AC,
        privilege: cpu.privilege(),
    }
}

/// Where bytes are that an instruction accesses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// In one page.
    Whole(GuestPhysAddr),
    /// This many in one page, the rest at the begin of another.
    Split { first: GuestPhysAddr, bytes: usize, second: GuestPhysAddr },
}

/// The page that an address was in last, and where that is: strings go through pages element by element.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastPage(Option<(u64, u64)>);

/// A page that was walked to for an access in this direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OperandPage {
    linear: u64,
    addr: u64,
    direction: Direction,
}

impl OperandPage {
    pub(super) const fn new(linear: u64, addr: GuestPhysAddr, direction: Direction) -> Self {
        Self { linear: linear / PAGE, addr: addr.0 / PAGE, direction }
    }
}

pub(super) const fn offset(address: u64) -> u64 {
    address % PAGE
}

pub(super) const fn crosses_pages(linear: u64, bytes: u64) -> bool {
    linear % PAGE + bytes > PAGE
}

const fn purpose(direction: Direction) -> Purpose {
    match direction {
        Direction::Read => Purpose::Read,
        Direction::Write => Purpose::Write,
    }
}

/// The exception of a segment that is too short, or of an address that is not canonical: #SS(0) for the stack, #GP(0)
/// otherwise.
const fn protection(segment: SegmentName) -> Halt {
    if matches!(segment, SegmentName::Ss) {
        Halt::Fault(Event { vector: 12, ..Event::PROTECTION })
    } else {
        Halt::Fault(Event::PROTECTION)
    }
}

impl<C: PcCpu, M: GuestMemory + ?Sized, D: FnMut(Access) -> u64> Machine<'_, C, M, D> {
    /// The guest physical address of `linear`, if the guest may access it so.
    pub(super) fn translate(
        &mut self,
        linear: u64,
        direction: Direction,
    ) -> Result<GuestPhysAddr, WalkError> {
        walk::translate(&self.paging, linear, purpose(direction), |from, bytes| {
            self.ram.read(from, bytes)
        })
    }

    /// The same, with the exception that the guest gets otherwise.
    fn translate_or_fault(
        &mut self,
        segment: SegmentName,
        linear: u64,
        direction: Direction,
    ) -> Attempt<GuestPhysAddr> {
        self.translate(linear, direction).map_err(|error| match error {
            WalkError::PageFault { error_code } => {
                self.cpu.set_system(SystemRegister::Cr2, linear);
                let kind = EventKind::Exception;
                Halt::Fault(Event { vector: 14, kind, error_code: Some(error_code) })
            }
            WalkError::NotCanonical => protection(segment),
            WalkError::Outside(at) => Halt::TableWalk(at),
        })
    }

    /// Where `width` bytes at an offset of a segment are. Everything that may be wrong with it is found here, so that what
    /// follows cannot stop half-way.
    pub(super) fn place(
        &mut self,
        segment: SegmentName,
        offset: u64,
        width: Width,
        direction: Direction,
        last: &mut LastPage,
    ) -> Attempt<Place> {
        if self.size != CodeSize::Bits64
            && !operand::has_room(self.cpu.segment(segment), offset, width.bytes())
        {
            return Err(protection(segment));
        }
        let linear = operand::linear(self.cpu, self.size, segment, offset);
        let page = linear & !(PAGE - 1);
        let first = match last.0 {
            Some((known, at)) if known == page => GuestPhysAddr(at | (linear % PAGE)),
            _ => {
                let first = self.translate_or_fault(segment, linear, direction)?;
                last.0 = Some((page, first.0 & !(PAGE - 1)));
                first
            }
        };
        if !crosses_pages(linear, width.bytes()) {
            return Ok(Place::Whole(first));
        }
        let next = self.size.linear(page.wrapping_add(PAGE));
        let second = self.translate_or_fault(segment, next, direction)?;
        Ok(Place::Split { first, bytes: (PAGE - linear % PAGE) as usize, second })
    }

    /// Reads RAM or, where there is none, a device.
    pub(super) fn load(&mut self, place: Place, width: Width) -> Attempt<u64> {
        let mut buffer = [0; 8];
        let bytes = part(&mut buffer, width);
        let is_read = match place {
            Place::Whole(at) => self.ram.read(at, bytes),
            Place::Split { first, bytes: count, second } => {
                let (low, high) = bytes.split_at_mut_checked(count).ok_or(SPLIT)?;
                self.ram.read(first, low).and_then(|()| self.ram.read(second, high))
            }
        };
        match (is_read, place) {
            (Ok(()), _) => Ok(u64::from_le_bytes(buffer)),
            (Err(BadAddress), Place::Whole(at)) => Ok(self.load_device(at, width)),
            (Err(BadAddress), Place::Split { .. }) => Err(SPLIT),
        }
    }

    /// Writes RAM or, where there is none, a device.
    pub(super) fn store(&mut self, place: Place, width: Width, value: u64) -> Attempt<()> {
        let mut buffer = value.to_le_bytes();
        let bytes = part(&mut buffer, width);
        let is_written = match place {
            Place::Whole(at) => self.ram.write(at, bytes),
            Place::Split { first, bytes: count, second } => {
                let (low, high) = bytes.split_at_checked(count).ok_or(SPLIT)?;
                self.ram.write(first, low).and_then(|()| self.ram.write(second, high))
            }
        };
        match (is_written, place) {
            (Ok(()), _) => Ok(()),
            (Err(BadAddress), Place::Whole(at)) => {
                self.store_device(at, width, value);
                Ok(())
            }
            (Err(BadAddress), Place::Split { .. }) => Err(SPLIT),
        }
    }

    pub(super) fn load_device(&mut self, addr: GuestPhysAddr, width: Width) -> u64 {
        let access = Access { space: Space::Mmio, addr, width, op: Op::Read };
        (self.device)(access) & width.ones()
    }

    pub(super) fn store_device(&mut self, addr: GuestPhysAddr, width: Width, value: u64) {
        let op = Op::Write(value & width.ones());
        (self.device)(Access { space: Space::Mmio, addr, width, op });
    }
}

/// A device's registers do not lie across pages.
pub(super) const SPLIT: Halt = Halt::Unknown;

fn part(buffer: &mut [u8; 8], width: Width) -> &mut [u8] {
    match width {
        Width::B1 => &mut buffer[..1],
        Width::B2 => &mut buffer[..2],
        Width::B4 => &mut buffer[..4],
        Width::B8 => &mut buffer[..],
    }
}
