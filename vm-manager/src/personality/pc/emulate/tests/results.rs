use super::*;
use crate::personality::pc::emulate::arithmetic::{self, Binary, BitChange, Unary};
use hv_core::arch::x86_64::exit::Direction::{Read, Write};
use hv_core::arch::x86_64::register::flags::{CF, ZF};
use hv_core::arch::x86_64::register::general::{RAX, RBX, RCX, RDX};
use iced_x86::code_asm::{
    bl, bx, byte_ptr, cl, cx, dword_ptr, ebx, ecx, ptr, qword_ptr, rbx, rcx, rdx, word_ptr,
};
use proptest::prelude::*;

const REGISTER: u64 = 0x30;
const CARRY_SET: u64 = flags::RESERVED | flags::IF | CF;

type Assemble = fn(&mut CodeAssembler) -> Result<(), IcedError>;

/// A guest in long mode: RDX at the register, which holds `memory`; RCX `register`.
fn guest(memory: u64, register: u64) -> Guest {
    let mut guest = Guest::new(Mode::Bits64);
    guest.device[REGISTER as usize..][..8].copy_from_slice(&memory.to_le_bytes());
    guest.cpu.general[usize::from(RDX)] = WINDOW + REGISTER;
    guest.cpu.general[usize::from(RCX)] = register;
    guest.cpu.rflags = CARRY_SET;
    guest
}

/// What a register holds after an instruction with this result.
fn merged(before: u64, result: u64, width: Width) -> u64 {
    match width {
        Width::B1 | Width::B2 => before & !width.ones() | result & width.ones(),
        Width::B4 | Width::B8 => result & width.ones(),
    }
}

/// An instruction of each width: what it is for memory and RCX, RCX and memory, memory and an immediate.
macro_rules! forms {
    ($name:ident) => {{
        let forms: [(Width, Assemble, Assemble, Assemble); 4] = [
            (
                Width::B1,
                |a| a.$name(byte_ptr(rdx), cl),
                |a| a.$name(cl, byte_ptr(rdx)),
                |a| a.$name(byte_ptr(rdx), -3),
            ),
            (
                Width::B2,
                |a| a.$name(word_ptr(rdx), cx),
                |a| a.$name(cx, word_ptr(rdx)),
                |a| a.$name(word_ptr(rdx), -3),
            ),
            (
                Width::B4,
                |a| a.$name(dword_ptr(rdx), ecx),
                |a| a.$name(ecx, dword_ptr(rdx)),
                |a| a.$name(dword_ptr(rdx), -3),
            ),
            (
                Width::B8,
                |a| a.$name(qword_ptr(rdx), rcx),
                |a| a.$name(rcx, qword_ptr(rdx)),
                |a| a.$name(qword_ptr(rdx), -3),
            ),
        ];
        forms
    }};
}

fn check_binary(
    op: Binary,
    forms: [(Width, Assemble, Assemble, Assemble); 4],
    memory: u64,
    register: u64,
) {
    let writes = if op.has_result() { Write } else { Read };
    for (width, on_memory, on_register, immediate) in forms {
        let wide = |value: u64| value & width.ones();
        let expect =
            |left, right| arithmetic::binary(op, wide(left), wide(right), width, CARRY_SET);
        let in_memory = |guest: &Guest, (result, rflags): (u64, u64)| {
            let kept = if op.has_result() { result } else { wide(memory) };
            assert_eq!(guest.register(REGISTER as usize, width), kept, "{op:?} {width:?}");
            assert_eq!(guest.cpu.rflags, rflags, "{op:?} {width:?}");
            let is_written = guest.accesses.iter().any(|access| access.op != Op::Read);
            assert_eq!(is_written, op.has_result());
        };
        let mut first = guest(memory, register);
        first.does(REGISTER, writes, on_memory);
        in_memory(&first, expect(memory, register));
        let mut second = guest(memory, register);
        second.does(REGISTER, writes, immediate);
        in_memory(&second, expect(memory, -3_i64 as u64));
        // TEST has only one form: its operands may be exchanged.
        if op == Binary::Test {
            continue;
        }
        let mut third = guest(memory, register);
        third.does(REGISTER, Read, on_register);
        let (result, rflags) = expect(register, memory);
        let kept = if op.has_result() { merged(register, result, width) } else { register };
        assert_eq!(third.cpu.general[usize::from(RCX)], kept, "{op:?} {width:?}");
        assert_eq!(third.cpu.rflags, rflags);
        assert_eq!(third.accesses.len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn arithmetic_changes_memory_or_register_and_flags(memory: u64, register: u64) {
        check_binary(Binary::Add, forms!(add), memory, register);
        check_binary(Binary::Adc, forms!(adc), memory, register);
        check_binary(Binary::Sub, forms!(sub), memory, register);
        check_binary(Binary::Sbb, forms!(sbb), memory, register);
        check_binary(Binary::And, forms!(and), memory, register);
        check_binary(Binary::Or, forms!(or), memory, register);
        check_binary(Binary::Xor, forms!(xor), memory, register);
        check_binary(Binary::Cmp, forms!(cmp), memory, register);
    }

    #[test]
    fn a_test_writes_nothing(memory: u64, register: u64) {
        let forms: [(Width, Assemble, Assemble, Assemble); 4] = [
            (Width::B1, |a| a.test(byte_ptr(rdx), cl), |_| Ok(()), |a| a.test(byte_ptr(rdx), -3)),
            (Width::B2, |a| a.test(word_ptr(rdx), cx), |_| Ok(()), |a| a.test(word_ptr(rdx), -3)),
            (Width::B4, |a| a.test(dword_ptr(rdx), ecx), |_| Ok(()), |a| a.test(dword_ptr(rdx), -3)),
            (Width::B8, |a| a.test(qword_ptr(rdx), rcx), |_| Ok(()), |a| a.test(qword_ptr(rdx), -3)),
        ];
        check_binary(Binary::Test, forms, memory, register);
    }

    #[test]
    fn one_operand_is_enough_for_some(memory: u64) {
        let forms: [(Unary, Width, Assemble); 8] = [
            (Unary::Inc, Width::B1, |a| a.inc(byte_ptr(rdx))),
            (Unary::Inc, Width::B8, |a| a.inc(qword_ptr(rdx))),
            (Unary::Dec, Width::B2, |a| a.dec(word_ptr(rdx))),
            (Unary::Dec, Width::B4, |a| a.lock().dec(dword_ptr(rdx))),
            (Unary::Not, Width::B4, |a| a.not(dword_ptr(rdx))),
            (Unary::Not, Width::B1, |a| a.not(byte_ptr(rdx))),
            (Unary::Neg, Width::B2, |a| a.neg(word_ptr(rdx))),
            (Unary::Neg, Width::B8, |a| a.lock().neg(qword_ptr(rdx))),
        ];
        for (op, width, assemble) in forms {
            let mut guest = guest(memory, 0);
            guest.does(REGISTER, Write, assemble);
            let expected = arithmetic::unary(op, memory & width.ones(), width, CARRY_SET);
            let found = (guest.register(REGISTER as usize, width), guest.cpu.rflags);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn exchanges_leave_what_memory_held(memory: u64, register: u64) {
        let forms: [(Width, Assemble, Assemble); 4] = [
            (Width::B1, |a| a.xchg(byte_ptr(rdx), bl), |a| a.lock().xadd(byte_ptr(rdx), bl)),
            (Width::B2, |a| a.xchg(word_ptr(rdx), bx), |a| a.xadd(word_ptr(rdx), bx)),
            (Width::B4, |a| a.lock().xchg(dword_ptr(rdx), ebx), |a| a.xadd(dword_ptr(rdx), ebx)),
            (Width::B8, |a| a.xchg(qword_ptr(rdx), rbx), |a| a.lock().xadd(qword_ptr(rdx), rbx)),
        ];
        for (width, exchange, add) in forms {
            let mut swapped = guest(memory, 0);
            swapped.cpu.general[usize::from(RBX)] = register;
            swapped.does(REGISTER, Write, exchange);
            let old = merged(register, memory, width);
            prop_assert_eq!(swapped.cpu.general[usize::from(RBX)], old);
            prop_assert_eq!(swapped.register(REGISTER as usize, width), register & width.ones());
            prop_assert_eq!(swapped.cpu.rflags, CARRY_SET);

            let mut added = guest(memory, 0);
            added.cpu.general[usize::from(RBX)] = register;
            added.does(REGISTER, Write, add);
            prop_assert_eq!(added.cpu.general[usize::from(RBX)], old);
            let (left, right) = (memory & width.ones(), register & width.ones());
            let expected = arithmetic::binary(Binary::Add, left, right, width, CARRY_SET);
            let found = (added.register(REGISTER as usize, width), added.cpu.rflags);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn compare_and_exchange_does_one_or_the_other(
        memory: u64, register: u64, accumulator: u64, is_equal: bool,
    ) {
        let forms: [(Width, Assemble); 4] = [
            (Width::B1, |a| a.cmpxchg(byte_ptr(rdx), cl)),
            (Width::B2, |a| a.lock().cmpxchg(word_ptr(rdx), cx)),
            (Width::B4, |a| a.lock().cmpxchg(dword_ptr(rdx), ecx)),
            (Width::B8, |a| a.cmpxchg(qword_ptr(rdx), rcx)),
        ];
        for (width, assemble) in forms {
            let ones = width.ones();
            let accumulator =
                if is_equal { accumulator & !ones | memory & ones } else { accumulator };
            let mut guest = guest(memory, register);
            guest.cpu.general[usize::from(RAX)] = accumulator;
            guest.does(REGISTER, Write, assemble);
            let (left, right) = (accumulator & ones, memory & ones);
            let (_, rflags) = arithmetic::binary(Binary::Cmp, left, right, width, CARRY_SET);
            prop_assert_eq!(guest.cpu.rflags, rflags);
            prop_assert_eq!(rflags & ZF != 0, left == right);
            let (stored, rax) = if left == right {
                (register & ones, accumulator)
            } else {
                (memory & ones, merged(accumulator, memory, width))
            };
            prop_assert_eq!(guest.register(REGISTER as usize, width), stored);
            prop_assert_eq!(guest.cpu.general[usize::from(RAX)], rax);
            prop_assert_eq!(guest.cpu.general[usize::from(RCX)], register);
            prop_assert_eq!(guest.accesses.len(), 2);
        }
    }

    #[test]
    fn a_bit_may_be_far_from_its_address(index in -0x80_i64..0x300, immediate in 0_u32..256) {
        let forms: [(BitChange, Width, Assemble); 5] = [
            (BitChange::Keep, Width::B4, |a| a.bt(dword_ptr(rdx), ecx)),
            (BitChange::Set, Width::B8, |a| a.lock().bts(qword_ptr(rdx), rcx)),
            (BitChange::Reset, Width::B2, |a| a.btr(word_ptr(rdx), cx)),
            (BitChange::Complement, Width::B4, |a| a.btc(dword_ptr(rdx), ecx)),
            (BitChange::Set, Width::B4, |a| a.bts(dword_ptr(rdx), ecx)),
        ];
        for (change, width, assemble) in forms {
            let bits = 8 * width.bytes() as i64;
            let offset = REGISTER.wrapping_add((index.div_euclid(bits) * bits / 8) as u64);
            let direction = if change == BitChange::Keep { Read } else { Write };
            // The high bits of RCX count as far as the operand is wide.
            let mut guest = guest(0x5a96, merged(0, index as u64, width));
            let before = guest.register(offset as usize, width);
            guest.does(offset, direction, assemble);
            let bit = index.rem_euclid(bits) as u32;
            let expected = arithmetic::bit(change, before, bit, CARRY_SET);
            let found = (guest.register(offset as usize, width), guest.cpu.rflags);
            prop_assert_eq!(found, expected);
        }
        let mut guest = guest(0x5a96, 0);
        let before = guest.register(REGISTER as usize, Width::B2);
        guest.does(REGISTER, Write, |a| a.btc(word_ptr(rdx), immediate));
        let expected = arithmetic::bit(BitChange::Complement, before, immediate % 16, CARRY_SET);
        prop_assert_eq!((guest.register(REGISTER as usize, Width::B2), guest.cpu.rflags), expected);
    }
}

#[test]
fn a_register_is_the_first_operand_of_an_exchange_as_well() {
    let mut guest = guest(0x1234, 0x77);
    guest.does(REGISTER, Write, |a| a.xchg(ptr(rdx), rcx));
    assert_eq!(guest.cpu.general[usize::from(RCX)], 0x1234);
}

#[test]
fn a_single_step_is_noticed_behind_the_instruction() {
    let mut guest = guest(1, 2);
    guest.cpu.rflags |= flags::TF | flags::RF;
    let length = guest.assemble(|a| a.add(dword_ptr(rdx), ecx));
    let trap = Event { vector: 1, error_code: None, ..Event::PROTECTION };
    assert_eq!(guest.exit(REGISTER, Write), Outcome::Fault(trap));
    assert_eq!(guest.cpu.rip, CODE + length);
    assert_eq!(guest.register(REGISTER as usize, Width::B4), 3);
    assert_eq!(guest.cpu.system(SystemRegister::Dr6), 1 << 14);
    assert_eq!(guest.cpu.rflags & (flags::TF | flags::RF), flags::TF);
    guest.cpu.rflags = flags::RESERVED | flags::RF;
    guest.does(REGISTER, Write, |a| a.mov(dword_ptr(rdx), ecx));
    assert_eq!(guest.cpu.rflags, flags::RESERVED);
}
