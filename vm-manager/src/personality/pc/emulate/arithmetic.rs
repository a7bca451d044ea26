//! What arithmetic instructions leave, and the flags that they leave behind: SDM vol. 2, each instruction's own page, and
//! vol. 1, appendix A.

use hv_core::arch::x86_64::register::flags::{AF, CF, OF, PF, SF, ZF};
use hv_core::guest::Width;

/// The flags that tell of a result.
pub(super) const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// An operation with two operands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Binary {
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
    /// SUB whose result nobody wants.
    Cmp,
    /// AND whose result nobody wants.
    Test,
}

impl Binary {
    /// Whether the result goes to the first operand.
    pub(super) const fn has_result(self) -> bool {
        !matches!(self, Self::Cmp | Self::Test)
    }
}

/// An operation with one operand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unary {
    Inc,
    Dec,
    Not,
    Neg,
}

/// What becomes of a bit that was tested.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BitChange {
    /// BT: nothing.
    Keep,
    /// BTS.
    Set,
    /// BTR.
    Reset,
    /// BTC.
    Complement,
}

/// The result of `left op right`, and RFLAGS after it.
pub(super) fn binary(op: Binary, left: u64, right: u64, width: Width, rflags: u64) -> (u64, u64) {
    let carry = rflags & CF;
    let (result, status) = match op {
        Binary::Add => add(left, right, 0, width),
        Binary::Adc => add(left, right, carry, width),
        Binary::Sub | Binary::Cmp => subtract(left, right, 0, width),
        Binary::Sbb => subtract(left, right, carry, width),
        Binary::And | Binary::Test => logic(left & right, width),
        Binary::Or => logic(left | right, width),
        Binary::Xor => logic(left ^ right, width),
    };
    (result, rflags & !STATUS | status)
}

/// The result of `op value`, and RFLAGS after it.
pub(super) fn unary(op: Unary, value: u64, width: Width, rflags: u64) -> (u64, u64) {
    // INC and DEC leave the carry alone; NOT leaves all of them alone.
    let ((result, status), changed) = match op {
        Unary::Inc => (add(value, 1, 0, width), STATUS & !CF),
        Unary::Dec => (subtract(value, 1, 0, width), STATUS & !CF),
        Unary::Neg => (subtract(0, value, 0, width), STATUS),
        Unary::Not => ((!value & width.ones(), 0), 0),
    };
    (result, rflags & !changed | status & changed)
}

/// The value after bit `index` was tested, and RFLAGS after it: only the carry changes.
pub(super) const fn bit(change: BitChange, value: u64, index: u32, rflags: u64) -> (u64, u64) {
    let mask = 1 << (index & 63);
    let result = match change {
        BitChange::Keep => value,
        BitChange::Set => value | mask,
        BitChange::Reset => value & !mask,
        BitChange::Complement => value ^ mask,
    };
    let carry = if value & mask != 0 { CF } else { 0 };
    (result, rflags & !CF | carry)
}

fn add(left: u64, right: u64, carry: u64, width: Width) -> (u64, u64) {
    let result = left.wrapping_add(right).wrapping_add(carry) & width.ones();
    let carries = left & right | (left | right) & !result;
    let overflow = (left ^ result) & (right ^ result);
    (result, status(left, right, result, carries, overflow, width))
}

fn subtract(left: u64, right: u64, borrow: u64, width: Width) -> (u64, u64) {
    let result = left.wrapping_sub(right).wrapping_sub(borrow) & width.ones();
    let borrows = !left & right | (!left | right) & result;
    let overflow = (left ^ right) & (left ^ result);
    (result, status(left, right, result, borrows, overflow, width))
}

/// AF is undefined; it is cleared as CPUs do.
fn logic(result: u64, width: Width) -> (u64, u64) {
    let result = result & width.ones();
    (result, of_result(result, width))
}

fn status(left: u64, right: u64, result: u64, carries: u64, overflow: u64, width: Width) -> u64 {
    let top = top_bit(width);
    let carry = if carries & top != 0 { CF } else { 0 };
    let overflow = if overflow & top != 0 { OF } else { 0 };
    // The carry into bit 4 is where the sum differs from the sum without carries.
    let adjust = (left ^ right ^ result) & AF;
    carry | overflow | adjust | of_result(result, width)
}

const _: () = assert!(AF == 1 << 4);

fn of_result(result: u64, width: Width) -> u64 {
    let zero = if result == 0 { ZF } else { 0 };
    let sign = if result & top_bit(width) != 0 { SF } else { 0 };
    let parity = if (result & 0xff).count_ones().is_multiple_of(2) { PF } else { 0 };
    zero | sign | parity
}

const fn top_bit(width: Width) -> u64 {
    width.ones() ^ width.ones() >> 1
}

#[cfg(test)]
mod tests;
