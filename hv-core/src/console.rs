//! The console of the host: bytes in, bytes out, by interrupt, never waiting.

use crate::sync::Mutex;
use alloc::boxed::Box;
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

/// Whether output waits for the UART.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sending {
    /// Nothing does.
    Idle,
    /// It interrupts when it can take more.
    Waiting,
}

/// A UART, whichever the machine has.
pub(crate) trait SerialPort: Send {
    /// Sends `byte`, unless it is full.
    fn try_send(&mut self, byte: u8) -> bool;
    /// A received byte. One that was received with an error is dropped.
    fn receive(&mut self) -> Option<u8>;
    /// Asks for an interrupt when something was received, if that is wanted, and when more can be sent, if something waits.
    fn want_interrupts(&mut self, reception: Reception, sending: Sending);
}

struct Console {
    uart: Box<dyn SerialPort>,
    output: VecDeque<u8>,
    reception: Reception,
}

static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);

/// Takes the UART. Called once, by the boot.
pub(crate) fn init(uart: Box<dyn SerialPort>) {
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
        let sending = if self.output.is_empty() { Sending::Idle } else { Sending::Waiting };
        self.uart.want_interrupts(self.reception, sending);
    }
}
