//! The host's IOAPICs: the way of the serial port's interrupt. Intel 290566, 82093AA.

use super::discovery::{IoApicNode, SerialLine};
use crate::machine::Range;
use crate::mmio::Mmio;

const SELECT: u64 = 0x00;
const DATA: u64 = 0x10;
const VERSION: u32 = 1;
const FIRST_ENTRY: u32 = 0x10;
const MASKED: u32 = 1 << 16;

struct IoApic(Mmio);

impl IoApic {
    fn new(node: &IoApicNode) -> Self {
        Self(Range { start: node.base, end: node.base + 0x1000 }.device())
    }

    fn read(&self, index: u32) -> u32 {
        self.0.write32(SELECT, index);
        self.0.read32(DATA)
    }

    fn write(&self, index: u32, value: u32) {
        self.0.write32(SELECT, index);
        self.0.write32(DATA, value);
    }

    fn inputs(&self) -> u32 {
        (self.read(VERSION) >> 16 & 0xff) + 1
    }
}

/// Masks every input of all of them.
pub(super) fn silence(nodes: &[Option<IoApicNode>]) {
    for node in nodes.iter().flatten() {
        let chip = IoApic::new(node);
        for input in 0..chip.inputs() {
            chip.write(FIRST_ENTRY + 2 * input, MASKED);
        }
    }
}

/// Sends the interrupts of `line` to the CPU of this identifier, as this vector.
pub(super) fn route(nodes: &[Option<IoApicNode>], line: SerialLine, apic_id: u32, vector: u8) {
    for node in nodes.iter().flatten() {
        let chip = IoApic::new(node);
        let Some(input) = line.gsi.checked_sub(node.first) else { continue };
        if input < chip.inputs() {
            chip.write(FIRST_ENTRY + 2 * input + 1, apic_id << 24);
            chip.write(FIRST_ENTRY + 2 * input, entry(line.flags, vector));
        }
    }
}

/// The low half of a redirection entry (3.2.4): fixed delivery to one CPU.
const fn entry(flags: u16, vector: u8) -> u32 {
    const ACTIVE_LOW: u32 = 1 << 13;
    const LEVEL: u32 = 1 << 15;
    let polarity = if flags & 3 == 3 { ACTIVE_LOW } else { 0 };
    let trigger = if flags >> 2 & 3 == 3 { LEVEL } else { 0 };
    vector as u32 | polarity | trigger
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn an_isa_line_is_an_edge_and_high_unless_firmware_says_otherwise() {
        assert_eq!(entry(0, 0xf3), 0xf3);
        assert_eq!(entry(0b1111, 0xf3), 0xa0f3);
        assert_eq!(entry(0b0101, 0x31), 0x31);
    }
}
