//! An instruction in words of ours: what it does, between what, and how long it is.
//!
//! `iced-x86` decodes; what is kept of it is small, and says nothing that [`super::perform`] does not need.

use super::arithmetic::{Binary, BitChange, Unary};
use super::operand::{Address, CodeSize, Part, Register, Source};
use hv_core::arch::x86_64::exit::{ControlAccess, DebugAccess, Direction, Repeat};
use hv_core::arch::x86_64::register::SegmentName;
use hv_core::guest::Width;
use iced_x86::{
    Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic, OpKind, Register as Name,
};

/// How a value becomes wider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extension {
    Zero,
    Sign,
}

/// A string instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StringKind {
    /// MOVS.
    Move,
    /// STOS.
    Store,
    /// LODS.
    Load,
    /// INS.
    Input,
    /// OUTS.
    Output,
}

/// What an instruction does. Its memory operand is in [`Decoded`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    /// MOV, MOVZX, MOVSX, MOVSXD from memory.
    Load { to: Register, extension: Extension },
    /// MOV, MOVNTI to memory.
    Store(Source),
    /// Arithmetic whose first operand is in memory.
    OnMemory { op: Binary, source: Source },
    /// Arithmetic whose second operand is in memory.
    OnRegister { op: Binary, register: Register },
    /// Arithmetic with one operand.
    Unary(Unary),
    /// XCHG.
    Exchange(Register),
    /// XADD.
    ExchangeAdd(Register),
    /// CMPXCHG.
    CompareExchange(Register),
    /// BT, BTS, BTR, BTC.
    Bit { change: BitChange, index: Source },
    /// A string instruction. Of the address only segment and width count.
    String { kind: StringKind, repeat: Repeat },
    /// An access to a control register.
    Control(ControlAccess),
    /// LMSW of a general register.
    LoadStatusWord(Register),
    /// LMSW from memory.
    LoadStatusWordFromMemory,
    /// An access to a debug register.
    Debug(DebugAccess),
}

/// An instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Decoded {
    pub(super) length: u8,
    pub(super) operation: Operation,
    /// Where its memory operand is.
    pub(super) address: Address,
    /// How wide that is.
    pub(super) width: Width,
}

/// Why there is no [`Decoded`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DecodeError {
    /// The instruction goes on where there are no bytes.
    TooShort,
    /// One that accesses no memory: another CPU has written it since.
    Elsewhere,
    /// Not one of those that are emulated.
    Unknown { length: u8 },
}

/// Decodes the instruction that `bytes` begin with, and that is at `ip`.
pub(super) fn decode(bytes: &[u8], size: CodeSize, ip: u64) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::with_ip(size.bits(), bytes, ip, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if decoder.last_error() == DecoderError::NoMoreBytes {
        return Err(DecodeError::TooShort);
    }
    let length = instruction.len() as u8;
    let unknown = DecodeError::Unknown { length };
    let decoded = || {
        let operation = operation(&instruction)?;
        let (address, width) = match operation {
            Operation::String { .. } => string_operand(&instruction)?,
            Operation::Control(_) | Operation::LoadStatusWord(_) | Operation::Debug(_) => {
                (Address::ZERO, Width::B8)
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
            | Operation::LoadStatusWordFromMemory => {
                (address(&instruction)?, memory_width(&instruction)?)
            }
        };
        Some(Decoded { length, operation, address, width })
    };
    decoded().ok_or(if accesses_memory(&instruction) { unknown } else { DecodeError::Elsewhere })
}

/// Whether it may be what made an access to memory. Those that are no instructions may be too new to be known.
fn accesses_memory(instruction: &Instruction) -> bool {
    let is_known = instruction.mnemonic() != Mnemonic::INVALID;
    let is_register = |kind| {
        matches!(
            kind,
            OpKind::Register
                | OpKind::Immediate8
                | OpKind::Immediate16
                | OpKind::Immediate32
                | OpKind::Immediate64
                | OpKind::Immediate8to16
                | OpKind::Immediate8to32
                | OpKind::Immediate8to64
                | OpKind::Immediate32to64
        )
    };
    !(is_known && !instruction.is_stack_instruction() && instruction.op_kinds().all(is_register))
}

/// The name of the instruction that these bytes are, for the operator.
pub(super) fn mnemonic(bytes: &[u8], size: CodeSize) -> Mnemonic {
    Decoder::new(size.bits(), bytes, DecoderOptions::NONE).decode().mnemonic()
}

fn operation(instruction: &Instruction) -> Option<Operation> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "there are some 1900 of them")]
    Some(match instruction.mnemonic() {
        Mnemonic::Mov => return moved(instruction),
        Mnemonic::Movnti => Operation::Store(source(instruction, 1)?),
        Mnemonic::Movzx => load(instruction, Extension::Zero)?,
        Mnemonic::Movsx | Mnemonic::Movsxd => load(instruction, Extension::Sign)?,
        Mnemonic::Add => binary(instruction, Binary::Add)?,
        Mnemonic::Adc => binary(instruction, Binary::Adc)?,
        Mnemonic::Sub => binary(instruction, Binary::Sub)?,
        Mnemonic::Sbb => binary(instruction, Binary::Sbb)?,
        Mnemonic::And => binary(instruction, Binary::And)?,
        Mnemonic::Or => binary(instruction, Binary::Or)?,
        Mnemonic::Xor => binary(instruction, Binary::Xor)?,
        Mnemonic::Cmp => binary(instruction, Binary::Cmp)?,
        Mnemonic::Test => binary(instruction, Binary::Test)?,
        Mnemonic::Inc => Operation::Unary(Unary::Inc),
        Mnemonic::Dec => Operation::Unary(Unary::Dec),
        Mnemonic::Not => Operation::Unary(Unary::Not),
        Mnemonic::Neg => Operation::Unary(Unary::Neg),
        // Its operands are alike: either may be the register.
        Mnemonic::Xchg => Operation::Exchange(
            general(instruction.op1_register()).or_else(|| general(instruction.op0_register()))?,
        ),
        Mnemonic::Xadd => Operation::ExchangeAdd(general(instruction.op1_register())?),
        Mnemonic::Cmpxchg => Operation::CompareExchange(general(instruction.op1_register())?),
        Mnemonic::Bt => bit(instruction, BitChange::Keep)?,
        Mnemonic::Bts => bit(instruction, BitChange::Set)?,
        Mnemonic::Btr => bit(instruction, BitChange::Reset)?,
        Mnemonic::Btc => bit(instruction, BitChange::Complement)?,
        // MOVSD is also the name of an instruction of SSE.
        Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsd | Mnemonic::Movsq => {
            string(instruction, StringKind::Move)
        }
        Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => {
            string(instruction, StringKind::Store)
        }
        Mnemonic::Lodsb | Mnemonic::Lodsw | Mnemonic::Lodsd | Mnemonic::Lodsq => {
            string(instruction, StringKind::Load)
        }
        Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => string(instruction, StringKind::Input),
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => {
            string(instruction, StringKind::Output)
        }
        Mnemonic::Clts => Operation::Control(ControlAccess::ClearTaskSwitched),
        Mnemonic::Lmsw => match instruction.op0_kind() {
            OpKind::Register => Operation::LoadStatusWord(general(instruction.op0_register())?),
            _ => Operation::LoadStatusWordFromMemory,
        },
        // Into 32 or 64 bits, SMSW is MOV from CR0. Into 16 bits or memory it is not expected: nobody makes it exit.
        Mnemonic::Smsw => {
            let to = general(instruction.op0_register()).filter(|to| to.width != Width::B2)?;
            Operation::Control(ControlAccess::Move {
                register: 0,
                general: to.number,
                direction: Direction::Read,
            })
        }
        _ => return None,
    })
}

/// MOV: between memory and a register, or a control or debug register and a general one.
fn moved(instruction: &Instruction) -> Option<Operation> {
    let (to, from) = (instruction.op0_register(), instruction.op1_register());
    let number = |register: Name| register.number() as u8;
    let control = |control: Name, name: Name, direction| {
        let access = ControlAccess::Move {
            register: number(control),
            general: general(name)?.number,
            direction,
        };
        Some(Operation::Control(access))
    };
    let debug = |debug: Name, name: Name, direction| {
        let general = general(name)?.number;
        Some(Operation::Debug(DebugAccess { register: number(debug), general, direction }))
    };
    if to.is_cr() {
        control(to, from, Direction::Write)
    } else if from.is_cr() {
        control(from, to, Direction::Read)
    } else if to.is_dr() {
        debug(to, from, Direction::Write)
    } else if from.is_dr() {
        debug(from, to, Direction::Read)
    } else if instruction.op0_kind() == OpKind::Memory {
        Some(Operation::Store(source(instruction, 1)?))
    } else {
        load(instruction, Extension::Zero)
    }
}

fn load(instruction: &Instruction, extension: Extension) -> Option<Operation> {
    Some(Operation::Load { to: general(instruction.op0_register())?, extension })
}

fn binary(instruction: &Instruction, op: Binary) -> Option<Operation> {
    if instruction.op0_kind() == OpKind::Memory {
        return Some(Operation::OnMemory { op, source: source(instruction, 1)? });
    }
    Some(Operation::OnRegister { op, register: general(instruction.op0_register())? })
}

fn bit(instruction: &Instruction, change: BitChange) -> Option<Operation> {
    Some(Operation::Bit { change, index: source(instruction, 1)? })
}

fn string(instruction: &Instruction, kind: StringKind) -> Operation {
    // With these, either prefix repeats (SDM vol. 2B, REP).
    let is_repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    let repeat = if is_repeated { Repeat::Counted } else { Repeat::Once };
    Operation::String { kind, repeat }
}

fn source(instruction: &Instruction, operand: u32) -> Option<Source> {
    if let Ok(value) = instruction.try_immediate(operand) {
        return Some(Source::Immediate(value));
    }
    let register = instruction.try_op_register(operand).ok()?;
    general(register).map(Source::Register)
}

fn general(name: Name) -> Option<Register> {
    if !name.is_gpr() {
        return None;
    }
    let is_high = matches!(name, Name::AH | Name::CH | Name::DH | Name::BH);
    let part = if is_high { Part::High } else { Part::Low };
    Some(Register { number: number(name)?, width: width(name.size())?, part })
}

/// The number of the general register of which this is a part.
fn number(name: Name) -> Option<u8> {
    name.is_gpr().then(|| name.full_register().number() as u8)
}

fn width(bytes: usize) -> Option<Width> {
    Some(match bytes {
        1 => Width::B1,
        2 => Width::B2,
        4 => Width::B4,
        8 => Width::B8,
        _ => return None,
    })
}

fn memory_width(instruction: &Instruction) -> Option<Width> {
    width(instruction.memory_size().size())
}

fn address(instruction: &Instruction) -> Option<Address> {
    (0..instruction.op_count()).find(|at| instruction.op_kind(*at) == OpKind::Memory)?;
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    let is_relative = instruction.is_ip_rel_memory_operand();
    let width = match (is_relative, base, index) {
        (true, Name::EIP, _) => Width::B4,
        (true, _, _) => Width::B8,
        (false, Name::None, Name::None) => width(instruction.memory_displ_size() as usize)?,
        (false, Name::None, name) | (false, name, _) => width(name.size())?,
    };
    Some(Address {
        segment: segment(instruction.memory_segment())?,
        base: if is_relative { None } else { number(base) },
        index: number(index),
        shift: instruction.memory_index_scale().trailing_zeros() as u8,
        displacement: instruction.memory_displacement64(),
        width,
    })
}

/// A string instruction's addresses: which segment may be overridden, and how wide they are.
fn string_operand(instruction: &Instruction) -> Option<(Address, Width)> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other kind is of a string")]
    let address_width = |kind| match kind {
        OpKind::MemorySegSI | OpKind::MemoryESDI => Some(Width::B2),
        OpKind::MemorySegESI | OpKind::MemoryESEDI => Some(Width::B4),
        OpKind::MemorySegRSI | OpKind::MemoryESRDI => Some(Width::B8),
        _ => None,
    };
    let width =
        address_width(instruction.op0_kind()).or_else(|| address_width(instruction.op1_kind()))?;
    let takes_source = matches!(
        (instruction.op0_kind(), instruction.op1_kind()),
        (OpKind::MemorySegSI | OpKind::MemorySegESI | OpKind::MemorySegRSI, _)
            | (_, OpKind::MemorySegSI | OpKind::MemorySegESI | OpKind::MemorySegRSI)
    );
    let segment =
        if takes_source { segment(instruction.memory_segment())? } else { SegmentName::Es };
    Some((Address { segment, width, ..Address::ZERO }, memory_width(instruction)?))
}

fn segment(name: Name) -> Option<SegmentName> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "there are six among all registers")]
    Some(match name {
        Name::ES => SegmentName::Es,
        Name::CS => SegmentName::Cs,
        Name::SS => SegmentName::Ss,
        Name::DS => SegmentName::Ds,
        Name::FS => SegmentName::Fs,
        Name::GS => SegmentName::Gs,
        _ => return None,
    })
}
