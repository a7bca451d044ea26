//! The two 8259A interrupt controllers of a PC (Intel 231468, "8259A Programmable Interrupt Controller"),
//! the second behind input 2 of the first, with the edge and level control registers of the chipset
//! (Intel 82371SB, "PIIX3", 2.5.4.5), which take the place of `LTIM` in ICW1. The modes of the 8080 and of
//! buffers are not there.
//!
//! # Locks
//!
//! None of its own. The wire to the CPU is driven while the owner holds the pair, so the owner's lock comes
//! before that of what the wire goes to; whoever acknowledges holds no lock of a local APIC.

use crate::devices::isa;
use crate::devices::wire::Wire;
use alloc::sync::Arc;
use hv_core::guest::{IrqLine, Level};

mod chip;
mod ports;

use chip::{CASCADE, Chip, Place};
pub use ports::{Block, Ports};

/// Inputs of the pair, of which input 2 is taken.
pub const INPUTS: u8 = 16;

/// The pair.
pub struct Pic8259 {
    wire: Wire,
    master: Chip,
    slave: Chip,
}

impl Pic8259 {
    /// A pair that nobody has initialized; it interrupts by `intr`.
    pub fn new(intr: Arc<dyn IrqLine>) -> Self {
        Self {
            wire: Wire::new(intr),
            master: Chip::new(Place::Master),
            slave: Chip::new(Place::Slave),
        }
    }

    /// Drives input `irq`; the cascade's, and those that do not exist, are ignored.
    pub fn set_level(&mut self, irq: u8, level: Level) {
        match irq {
            CASCADE | INPUTS.. => return,
            0..8 => self.master.set_line(irq, level),
            _ => self.slave.set_line(irq - 8, level),
        }
        self.update();
    }

    /// The CPU takes the interrupt: gives its vector. If there is none any more, it is that of input
    /// 7, or of input 15, which are then not in service: spurious.
    pub fn acknowledge(&mut self) -> u8 {
        let input = self.master.acknowledge();
        let vector = if input == CASCADE {
            let input = self.slave.acknowledge();
            self.slave.vector(input)
        } else {
            self.master.vector(input)
        };
        self.update_after_acknowledge();
        vector
    }

    /// Returns to the state after power-on; all wires are low.
    pub fn reset(&mut self) {
        self.master = Chip::new(Place::Master);
        self.slave = Chip::new(Place::Slave);
        self.update();
    }

    /// Passes on what the slave, and then the master, has to say.
    fn update(&mut self) {
        self.master.set_line(CASCADE, Level::from(self.slave.pending().is_some()));
        self.wire.drive(Level::from(self.master.pending().is_some()));
    }

    /// The acknowledge pulses the outputs low: a request that is left is a new edge to both, the
    /// master's cascade and the CPU.
    fn update_after_acknowledge(&mut self) {
        self.master.set_line(CASCADE, Level::Low);
        self.wire.drive(Level::Low);
        self.update();
    }

    fn read(&mut self, block: Block, offset: u64) -> u8 {
        let is_polled = match block {
            Block::Master => self.master.is_polled(),
            Block::Slave => self.slave.is_polled(),
            Block::Levels => false,
        };
        let value = match (block, offset) {
            (Block::Master, 0) => self.master.read_command(),
            (Block::Master, 1) => self.master.read_mask(),
            (Block::Slave, 0) => self.slave.read_command(),
            (Block::Slave, 1) => self.slave.read_mask(),
            (Block::Levels, 0) => self.master.levels(),
            (Block::Levels, 1) => self.slave.levels(),
            (Block::Master | Block::Slave | Block::Levels, _) => isa::FLOATING,
        };
        if is_polled {
            // That acknowledged.
            self.update();
        }
        value
    }

    fn write(&mut self, block: Block, offset: u64, value: u8) {
        match (block, offset) {
            (Block::Master, 0) => self.master.write_command(value),
            (Block::Master, 1) => self.master.write_mask(value),
            (Block::Slave, 0) => self.slave.write_command(value),
            (Block::Slave, 1) => self.slave.write_mask(value),
            (Block::Levels, 0) => self.master.set_levels(value),
            (Block::Levels, 1) => self.slave.set_levels(value),
            (Block::Master | Block::Slave | Block::Levels, _) => {}
        }
        self.update();
    }
}

#[cfg(test)]
mod tests;
