//! The console of the host: bytes in, bytes out, by interrupt, never waiting.

use crate::arch::current as arch;
use crate::sync::Mutex;
use alloc::collections::VecDeque;

/// Output that waits for the UART is bounded; what is beyond is refused.
const OUTPUT_BYTES: usize = 16 << 10;

/// Whether there is room for what is received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reception {
    /// It interrupts, to be read.
    Wanted,
    /// It waits in the UART, without an interrupt.
    Refused,
}

struct Console {
    uart: arch::HostUart,
    output: VecDeque<u8>,
    reception: Reception,
}

static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);

/// Takes the UART. Called once, by the boot.
pub(crate) fn init(uart: arch::HostUart) {
    let output = VecDeque::with_capacity(256);
    *CONSOLE.lock() = Some(Console { uart, output, reception: Reception::Wanted });
    service();
}

/// Sends what waits and can be sent, and asks for the interrupts that are needed next.
pub fn service() {
    if let Some(console) = CONSOLE.lock().as_mut() {
        console.send();
    }
}

/// Queues bytes for output; returns how many were taken. The rest is for later.
pub fn write(bytes: &[u8]) -> usize {
    let mut guard = CONSOLE.lock();
    let Some(console) = guard.as_mut() else { return bytes.len() };
    let mut taken = 0;
    if console.output.is_empty() {
        taken = bytes.iter().take_while(|&&byte| console.uart.try_send(byte)).count();
    }
    let room = OUTPUT_BYTES - console.output.len();
    let rest = bytes.get(taken..).unwrap_or_default();
    let queued = rest.len().min(room);
    console.output.extend(rest.iter().take(queued));
    console.send();
    taken + queued
}

/// Takes received bytes; returns how many.
pub fn read(buf: &mut [u8]) -> usize {
    let mut guard = CONSOLE.lock();
    let Some(console) = guard.as_mut() else { return 0 };
    let mut count = 0;
    while let Some(slot) = buf.get_mut(count) {
        let Some(byte) = console.uart.receive() else { break };
        *slot = byte;
        count += 1;
    }
    count
}

/// Says whether what is received shall interrupt.
pub fn set_reception(reception: Reception) {
    if let Some(console) = CONSOLE.lock().as_mut()
        && console.reception != reception
    {
        console.reception = reception;
        console.send();
    }
}

/// Whether everything that was written has left the queue.
#[must_use]
pub fn is_drained() -> bool {
    CONSOLE.lock().as_ref().is_none_or(|console| console.output.is_empty())
}

impl Console {
    fn send(&mut self) {
        while let Some(&byte) = self.output.front() {
            if !self.uart.try_send(byte) {
                break;
            }
            self.output.pop_front();
        }
        let sending =
            if self.output.is_empty() { arch::Sending::Idle } else { arch::Sending::Waiting };
        self.uart.want_interrupts(self.reception, sending);
    }
}
