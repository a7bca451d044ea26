//! What instructions do that access memory once.

use super::super::cpu::PcCpu;
use super::arithmetic::{self, Binary};
use super::decode::{Decoded, Extension, Operation};
use super::operand::{self, CodeSize, Register, Source};
use super::space::{self, LastPage, OperandPage};
use super::{Attempt, Halt, RegisterAccess};
use hv_core::arch::x86_64::exit::{ControlAccess, Direction, MemoryAccess};
use hv_core::arch::x86_64::register::{flags, general};
use hv_core::arch::x86_64::walk::Paging;
use hv_core::exit::Access;
use hv_core::guest::{GuestMemory, GuestPhysAddr, Width};

/// What an instruction acts on.
pub(super) struct Machine<'a, C, M: ?Sized, D> {
    pub(super) cpu: &'a mut C,
    pub(super) ram: &'a M,
    pub(super) device: D,
    pub(super) paging: Paging,
    pub(super) size: CodeSize,
    /// The page of the operand, if it was walked to before.
    pub(super) page: Option<OperandPage>,
}

impl<C: PcCpu, M: GuestMemory + ?Sized, D: FnMut(Access) -> u64> Machine<'_, C, M, D> {
    /// Does an instruction whose one memory operand made the exit `access`.
    pub(super) fn perform(&mut self, decoded: &Decoded, access: MemoryAccess) -> Attempt<()> {
        let width = decoded.width;
        match decoded.operation {
            Operation::Load { to, extension } => {
                let at = self.operand(decoded, access, Direction::Read)?;
                let value = self.load_device(at, width);
                let value = match extension {
                    Extension::Zero => value,
                    Extension::Sign => sign_extend(value, width),
                };
                to.set(self.cpu, value);
            }
            Operation::Store(source) => {
                let at = self.operand(decoded, access, Direction::Write)?;
                let value = source.get(self.cpu, width);
                self.store_device(at, width, value);
            }
            Operation::OnMemory { op, source } => {
                let direction = if op.has_result() { Direction::Write } else { Direction::Read };
                let right = source.get(self.cpu, width);
                self.change(decoded, access, direction, |value, rflags| {
                    arithmetic::binary(op, value, right, width, rflags)
                })?;
            }
            Operation::OnRegister { op, register } => {
                let at = self.operand(decoded, access, Direction::Read)?;
                let right = self.load_device(at, width);
                let left = register.get(self.cpu);
                let (result, rflags) =
                    arithmetic::binary(op, left, right, width, self.cpu.rflags());
                if op.has_result() {
                    register.set(self.cpu, result);
                }
                self.cpu.set_rflags(rflags);
            }
            Operation::Unary(op) => {
                self.change(decoded, access, Direction::Write, |value, rflags| {
                    arithmetic::unary(op, value, width, rflags)
                })?;
            }
            Operation::Exchange(register) => {
                let with = register.get(self.cpu);
                let old =
                    self.change(decoded, access, Direction::Write, |_, rflags| (with, rflags))?;
                register.set(self.cpu, old);
            }
            Operation::ExchangeAdd(register) => {
                let right = register.get(self.cpu);
                let old = self.change(decoded, access, Direction::Write, |value, rflags| {
                    arithmetic::binary(Binary::Add, value, right, width, rflags)
                })?;
                register.set(self.cpu, old);
            }
            Operation::CompareExchange(register) => {
                self.compare_exchange(decoded, access, register)?;
            }
            Operation::Bit { change, index } => {
                let direction = match change {
                    arithmetic::BitChange::Keep => Direction::Read,
                    arithmetic::BitChange::Set
                    | arithmetic::BitChange::Reset
                    | arithmetic::BitChange::Complement => Direction::Write,
                };
                let bits = 8 * width.bytes();
                let index = (index.get(self.cpu, width) & (bits - 1)) as u32;
                self.change(decoded, access, direction, |value, rflags| {
                    arithmetic::bit(change, value, index, rflags)
                })?;
            }
            Operation::String { .. }
            | Operation::Control(_)
            | Operation::LoadStatusWord(_)
            | Operation::LoadStatusWordFromMemory
            | Operation::Debug(_) => return Err(Halt::Mismatch),
        }
        self.step(decoded);
        Ok(())
    }

    /// The access to a register that this instruction is.
    pub(super) fn register_access(&mut self, decoded: &Decoded) -> Attempt<RegisterAccess> {
        let status_word = |value| ControlAccess::LoadStatusWord(value as u16);
        Ok(match decoded.operation {
            Operation::Control(access) => RegisterAccess::Control(access),
            Operation::Debug(access) => RegisterAccess::Debug(access),
            Operation::LoadStatusWord(register) => {
                RegisterAccess::Control(status_word(register.get(self.cpu)))
            }
            Operation::LoadStatusWordFromMemory => {
                let offset = decoded.address.offset(self.cpu, 0);
                let segment = decoded.address.segment;
                let mut last = LastPage::default();
                let place = self.place(segment, offset, Width::B2, Direction::Read, &mut last)?;
                RegisterAccess::Control(status_word(self.load(place, Width::B2)?))
            }
            Operation::Load { .. }
            | Operation::Store(_)
            | Operation::OnMemory { .. }
            | Operation::OnRegister { .. }
            | Operation::Unary(_)
            | Operation::Exchange(_)
            | Operation::ExchangeAdd(_)
            | Operation::CompareExchange(_)
            | Operation::Bit { .. }
            | Operation::String { .. } => return Err(Halt::Mismatch),
        })
    }

    /// Goes on behind the instruction.
    pub(super) fn step(&mut self, decoded: &Decoded) {
        let next = self.cpu.rip().wrapping_add(decoded.length.into());
        self.cpu.set_rip(self.size.linear(next));
    }

    /// Where the memory operand is, if it is what made the exit.
    fn operand(
        &mut self,
        decoded: &Decoded,
        access: MemoryAccess,
        direction: Direction,
    ) -> Attempt<GuestPhysAddr> {
        let offset = decoded.address.offset(self.cpu, self.bit_base(decoded));
        let linear = operand::linear(self.cpu, self.size, decoded.address.segment, offset);
        if space::crosses_pages(linear, decoded.width.bytes()) {
            return Err(space::SPLIT);
        }
        // The hardware has walked the tables for just this address.
        if access.linear == Some(linear) {
            return Ok(access.addr);
        }
        // It has also found that the access is allowed, if it is of the same kind.
        let page = OperandPage::new(linear, access.addr, direction);
        let is_offset_equal = space::offset(linear) == space::offset(access.addr.0);
        if access.direction == direction && self.page == Some(page) && is_offset_equal {
            return Ok(access.addr);
        }
        if self.translate(linear, direction) != Ok(access.addr) {
            return Err(Halt::Mismatch);
        }
        self.page = Some(page);
        Ok(access.addr)
    }

    /// How far from its address a bit that a register numbers is: such a bit may be anywhere (SDM vol. 2A, BT).
    fn bit_base(&self, decoded: &Decoded) -> u64 {
        let Operation::Bit { index: Source::Register(register), .. } = decoded.operation else {
            return 0;
        };
        let index = sign_extend(register.get(self.cpu), decoded.width).cast_signed();
        let bytes = decoded.width.bytes();
        (index >> (8 * bytes).trailing_zeros()).cast_unsigned().wrapping_mul(bytes)
    }

    /// Reads the operand, makes a new value and new flags of it, and writes the value if `direction` says so. Returns what
    /// was read.
    fn change(
        &mut self,
        decoded: &Decoded,
        access: MemoryAccess,
        direction: Direction,
        change: impl FnOnce(u64, u64) -> (u64, u64),
    ) -> Attempt<u64> {
        let at = self.operand(decoded, access, direction)?;
        let old = self.load_device(at, decoded.width);
        let (new, rflags) = change(old, self.cpu.rflags());
        if direction == Direction::Write {
            self.store_device(at, decoded.width, new);
        }
        self.cpu.set_rflags(rflags);
        Ok(old)
    }

    /// The memory is written in any case, as the manual says (SDM vol. 2A, CMPXCHG).
    fn compare_exchange(
        &mut self,
        decoded: &Decoded,
        access: MemoryAccess,
        register: Register,
    ) -> Attempt<()> {
        let accumulator = Register::low(general::RAX, decoded.width);
        let (expected, new) = (accumulator.get(self.cpu), register.get(self.cpu));
        let old = self.change(decoded, access, Direction::Write, |value, rflags| {
            let (_, rflags) =
                arithmetic::binary(Binary::Cmp, expected, value, decoded.width, rflags);
            (if rflags & flags::ZF != 0 { new } else { value }, rflags)
        })?;
        if old != expected {
            accumulator.set(self.cpu, old);
        }
        Ok(())
    }
}

/// The value of this width as one of 64 bits.
const fn sign_extend(value: u64, width: Width) -> u64 {
    let spare = 64 - 8 * width.bytes() as u32;
    (value << spare).cast_signed().wrapping_shr(spare).cast_unsigned()
}
