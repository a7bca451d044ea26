//! Says each line that is typed, until one says `quit`. Input comes by the UART's interrupt.

use core::str;

use guest::board::Board;
use guest::{console, cpu, gic, println, trap};

use crate::report::{Outcome, check};

const CR: usize = 0x30;
const LCR_H: usize = 0x2c;
const IMSC: usize = 0x38;
const ICR: usize = 0x44;
/// 8 bits, with FIFOs.
const LCR_H_8N1_FIFO: u32 = 0x70;
/// UART, transmitter and receiver on.
const CR_ON: u32 = 0x301;
/// Receive, and receive timeout.
const RECEIVE: u32 = 1 << 4 | 1 << 6;

pub(super) fn run(board: &'static Board) -> Outcome {
    let interrupt = board.uart_interrupt.unwrap_or(0);
    check(interrupt >= 32, "the UART has no interrupt", u64::from(interrupt))?;
    let uart = board.uart;
    uart.write32(LCR_H, LCR_H_8N1_FIFO);
    uart.write32(CR, CR_ON);
    uart.write32(IMSC, RECEIVE);
    gic::enable(interrupt);
    // The level goes away when the FIFO is empty: masking at the UART is enough to leave the handler.
    trap::on_interrupt(|_| {});
    println!("probe: info echo ready");
    let mut line = [0; 200];
    let mut length = 0;
    loop {
        cpu::wait_for_interrupt();
        uart.write32(ICR, RECEIVE);
        while let Some(byte) = console::get() {
            if byte != b'\r' && byte != b'\n' {
                if let Some(slot) = line.get_mut(length) {
                    *slot = byte;
                    length += 1;
                }
                continue;
            }
            let text =
                line.get(..length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("?");
            println!("probe: echo '{text}'");
            if text == "quit" {
                uart.write32(IMSC, 0);
                gic::disable(interrupt);
                return Ok(());
            }
            length = 0;
        }
    }
}
