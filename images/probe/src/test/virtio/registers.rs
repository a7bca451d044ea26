//! Accesses of all widths to all registers.

use guest::mmio::Registers;
use guest::trap;

use super::Harmless;
use crate::report::{Outcome, check};
use crate::virtio::{Driver, register};

/// What is written everywhere.
const VALUES: [u64; 3] = [0x0101_0101_0101_0101, 0x8000_0000_8000_0000, u64::MAX];

pub(super) const HARMLESS: &[Harmless] = &[
    ("reads of all registers", |driver| {
        let before = driver.status();
        everywhere(driver, |registers, offset| {
            registers.read8(offset);
            if offset.is_multiple_of(2) {
                registers.read16(offset);
            }
            if offset.is_multiple_of(4) {
                registers.read32(offset);
            }
            if offset.is_multiple_of(8) {
                registers.read64(offset);
            }
        })?;
        check(driver.status() == before, "reads changed the status", u64::from(driver.status()))
    }),
    // The configuration is accessed in any width.
    ("writes of other widths than registers have", |driver| {
        let before = driver.status();
        everywhere(driver, |registers, offset| {
            for value in VALUES {
                registers.write8(offset, value as u8);
                if offset.is_multiple_of(2) {
                    registers.write16(offset, value as u16);
                }
                if offset.is_multiple_of(8) {
                    registers.write64(offset, value);
                }
            }
        })?;
        check(
            driver.status() == before,
            "such writes changed the status",
            u64::from(driver.status()),
        )
    }),
    ("writes of all registers", |driver| {
        everywhere(driver, |registers, offset| {
            for value in VALUES {
                if offset.is_multiple_of(4) {
                    registers.write32(offset, value as u32);
                }
            }
        })
    }),
];

fn everywhere(driver: &Driver, access: impl Fn(Registers, usize)) -> Outcome {
    let registers = driver.registers;
    for offset in 0..register::END {
        let trap = trap::expect(|| access(registers, offset));
        check(trap.is_none(), "an access to a register trapped", offset as u64)?;
    }
    Ok(())
}
