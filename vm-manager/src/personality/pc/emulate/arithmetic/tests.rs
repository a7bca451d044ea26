use super::*;
use proptest::prelude::*;

/// The flags, as the manual defines them in words.
fn flags_of(result: u64, width: Width, carry: bool, adjust: bool, overflow: bool) -> u64 {
    let sign = result >> (8 * width.bytes() - 1) & 1 == 1;
    let parity = (0..8).filter(|bit| result >> bit & 1 == 1).count() % 2 == 0;
    let table =
        [(carry, CF), (parity, PF), (adjust, AF), (result == 0, ZF), (sign, SF), (overflow, OF)];
    table.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum()
}

fn signed(value: u64, width: Width) -> i128 {
    match width {
        Width::B1 => (value as u8 as i8).into(),
        Width::B2 => (value as u16 as i16).into(),
        Width::B4 => (value as u32 as i32).into(),
        Width::B8 => (value as i64).into(),
    }
}

/// What `left ± (right + carry)` leaves, in numbers that are wide enough.
fn sum(sign: i128, left: u64, right: u64, carry: u64, width: Width) -> (u64, u64) {
    let (wide_left, wide_right) = (i128::from(left), i128::from(right) + i128::from(carry));
    let wide = wide_left + sign * wide_right;
    let result = wide as u64 & width.ones();
    let is_carried = wide != i128::from(result);
    let low = i128::from(left & 15) + sign * (i128::from(right & 15) + i128::from(carry));
    let exact = signed(left, width) + sign * (signed(right, width) + i128::from(carry));
    let is_overflow = exact != signed(result, width);
    (result, flags_of(result, width, is_carried, !(0..16).contains(&low), is_overflow))
}

fn widths() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::B1), Just(Width::B2), Just(Width::B4), Just(Width::B8)]
}

/// Values, more often than not at the edges.
fn values() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000];
    let edges = prop::sample::select(edges.to_vec());
    prop_oneof![any::<u64>(), edges.clone(), edges.prop_map(|edge| !edge)]
}

proptest! {
    #[test]
    fn sums_and_differences_are_as_in_the_manual(
        left in values(), right in values(), width in widths(), rflags: u64,
    ) {
        let (left, right) = (left & width.ones(), right & width.ones());
        let carry = rflags & CF;
        let others = rflags & !STATUS;
        let expect = |(result, status)| (result, others | status);
        let done = |op| binary(op, left, right, width, rflags);
        prop_assert_eq!(done(Binary::Add), expect(sum(1, left, right, 0, width)));
        prop_assert_eq!(done(Binary::Adc), expect(sum(1, left, right, carry, width)));
        prop_assert_eq!(done(Binary::Sub), expect(sum(-1, left, right, 0, width)));
        prop_assert_eq!(done(Binary::Cmp), expect(sum(-1, left, right, 0, width)));
        prop_assert_eq!(done(Binary::Sbb), expect(sum(-1, left, right, carry, width)));
    }

    #[test]
    fn logic_clears_carry_and_overflow(
        left in values(), right in values(), width in widths(), rflags: u64,
    ) {
        let (left, right) = (left & width.ones(), right & width.ones());
        let others = rflags & !STATUS;
        let expect = |result| (result, others | flags_of(result, width, false, false, false));
        let done = |op| binary(op, left, right, width, rflags);
        prop_assert_eq!(done(Binary::And), expect(left & right));
        prop_assert_eq!(done(Binary::Test), expect(left & right));
        prop_assert_eq!(done(Binary::Or), expect(left | right));
        prop_assert_eq!(done(Binary::Xor), expect(left ^ right));
    }

    #[test]
    fn steps_leave_the_carry_alone(value in values(), width in widths(), rflags: u64) {
        let value = value & width.ones();
        let expect = |(result, status): (u64, u64)| {
            (result, rflags & !STATUS | status & !CF | rflags & CF)
        };
        prop_assert_eq!(unary(Unary::Inc, value, width, rflags), expect(sum(1, value, 1, 0, width)));
        prop_assert_eq!(unary(Unary::Dec, value, width, rflags), expect(sum(-1, value, 1, 0, width)));
        let (negated, status) = sum(-1, 0, value, 0, width);
        let expected = (negated, rflags & !STATUS | status);
        prop_assert_eq!(unary(Unary::Neg, value, width, rflags), expected);
        prop_assert_eq!(unary(Unary::Not, value, width, rflags), (!value & width.ones(), rflags));
    }

    #[test]
    fn a_tested_bit_is_the_carry(value: u64, index in 0_u32..64, rflags: u64) {
        let carry = value >> index & 1;
        let expected = rflags & !CF | carry;
        let changed = |change| bit(change, value, index, rflags);
        prop_assert_eq!(changed(BitChange::Keep), (value, expected));
        prop_assert_eq!(changed(BitChange::Set), (value | 1 << index, expected));
        prop_assert_eq!(changed(BitChange::Reset), (value & !(1 << index), expected));
        prop_assert_eq!(changed(BitChange::Complement), (value ^ 1 << index, expected));
    }
}
