//! The console device (5.3): ports, of which port 0 is a terminal, and a control channel if there are several.
//!
//! ```text
//!    queue 0, 1   receive and transmit of port 0
//!    queue 2, 3   control: messages to and from the driver (only with VIRTIO_CONSOLE_F_MULTIPORT)
//!    queue 4, 5   receive and transmit of port 1, and so on
//! ```
//!
//! The device keeps nothing that grows: output goes on to the port at once, input stays with the port until the
//! driver has a buffer for it, and of messages it is only noted which are due.

mod control;

use crate::config_space;
use crate::device::{Context, DeviceId, More, VirtioDevice};
use crate::fault::Fault;
use crate::queue::Chain;
use alloc::vec::Vec;
use control::{Due, Event, Message};
use hv_core::guest::Width;

/// `VIRTIO_CONSOLE_F_SIZE`: the configuration has the size of the terminal.
const FEATURE_SIZE: u64 = 1 << 0;
/// `VIRTIO_CONSOLE_F_MULTIPORT`: there are control queues and maybe more ports.
const FEATURE_MULTIPORT: u64 = 1 << 1;
/// `VIRTIO_CONSOLE_F_EMERG_WRITE`: a character can be written to the configuration.
const FEATURE_EMERGENCY_WRITE: u64 = 1 << 2;

/// The most ports: as many as a device may have queues for.
pub const MAX_PORTS: usize = 16;
/// Entries of every queue.
const QUEUE_SIZE: u16 = 64;
/// Where the control queues are.
const CONTROL_RECEIVE: usize = 2;
const CONTROL_TRANSMIT: usize = 3;
/// Offset of `emerg_wr` in the configuration (5.3.4).
const EMERGENCY_WRITE: u64 = 8;

/// Bytes that are copied at a time.
const PIECE: usize = 512;
/// Bytes that one call moves in one direction before others have their turn.
const BUDGET_BYTES: usize = 32 << 10;
/// Buffers that one call handles.
const BUDGET_CHAINS: usize = 32;

/// What is at the other end of a port.
pub trait ConsolePort: Send {
    /// Takes what the guest sent. It never waits: what nobody reads is kept or lost here.
    fn write(&mut self, bytes: &[u8]);
    /// Whether there is something for the guest. The device alone reads it, so that it stays until then.
    fn has_input(&self) -> bool;
    /// Moves input for the guest to `buf`; how many bytes.
    fn read(&mut self, buf: &mut [u8]) -> usize;
}

/// The size of a terminal, in characters; zeroes if it is not known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A port, and how far it is.
struct Port<P> {
    name: &'static str,
    end: P,
    /// A buffer of the guest that is not sent to its end yet, and how much of it is.
    sending: Option<(Chain, u64)>,
    due: Due,
}

/// A console with its ports.
pub struct Console<P> {
    ports: Vec<Port<P>>,
    queue_sizes: Vec<u16>,
    size: TerminalSize,
    features: u64,
}

impl<P: ConsolePort> Console<P> {
    /// A console whose terminal is `terminal`, with `others`, at most 15 of them, as further ports of these names.
    pub fn new(terminal: P, others: impl IntoIterator<Item = (&'static str, P)>) -> Self {
        let port = |(name, end)| Port { name, end, sending: None, due: Due::default() };
        let all = core::iter::once(("", terminal)).chain(others);
        let ports: Vec<_> = all.take(MAX_PORTS).map(port).collect();
        let queues = if ports.len() > 1 { 2 + 2 * ports.len() } else { 2 };
        let queue_sizes = core::iter::repeat_n(QUEUE_SIZE, queues).collect();
        Self { ports, queue_sizes, size: TerminalSize::default(), features: 0 }
    }

    /// The terminal, port 0, has another size now. The driver is told.
    pub fn resize(&mut self, size: TerminalSize, context: &mut Context<'_>) {
        if self.size == size {
            return;
        }
        self.size = size;
        if self.features & FEATURE_SIZE != 0 {
            context.config_changed();
        }
        if let Some(port) = self.ports.first_mut().filter(|port| port.due.is_announced()) {
            port.due.add(Event::Resize);
        }
        self.send_messages(context);
    }

    /// Some port has input. Gives the driver as much as it has buffers for; the rest follows when it has more.
    ///
    /// [`More::Yes`] if there is so much that it stopped before the end: ask again soon.
    pub fn input_arrived(&mut self, context: &mut Context<'_>) -> More {
        let mut more = More::No;
        for index in 0..self.ports.len() {
            if self.receive(index, context) == More::Yes {
                more = More::Yes;
            }
        }
        more
    }

    /// The end of port `index`.
    pub fn port(&mut self, index: usize) -> Option<&mut P> {
        self.ports.get_mut(index).map(|port| &mut port.end)
    }

    fn has_multiport(&self) -> bool {
        self.features & FEATURE_MULTIPORT != 0
    }

    /// Moves input of port `index` to buffers of the driver.
    fn receive(&mut self, index: usize, context: &mut Context<'_>) -> More {
        let queue = receive_queue(index);
        let Some(port) = self.ports.get_mut(index) else { return More::No };
        let mut budget = BUDGET_BYTES;
        for _ in 0..BUDGET_CHAINS {
            if !port.end.has_input() || budget == 0 {
                break;
            }
            let Some(chain) = context.pop(queue) else { return More::No };
            if chain.writable_len() == 0 {
                context.fail(Fault::Request);
                return More::No;
            }
            let room = usize::try_from(chain.writable_len()).unwrap_or(usize::MAX).min(budget);
            let Some(written) = fill(&mut port.end, &chain, room, context) else { return More::No };
            budget -= written;
            context.push(queue, chain, written as u32);
        }
        if port.end.has_input() { More::Yes } else { More::No }
    }

    /// Moves what the driver sent to the end of port `index`.
    fn transmit(&mut self, index: usize, context: &mut Context<'_>) -> More {
        let queue = transmit_queue(index);
        let Some(port) = self.ports.get_mut(index) else { return More::No };
        let mut budget = BUDGET_BYTES as u64;
        for _ in 0..BUDGET_CHAINS {
            let next = port.sending.take().or_else(|| context.pop(queue).map(|chain| (chain, 0)));
            let Some((chain, sent)) = next else { return More::No };
            let end = chain.readable_len().min(sent.saturating_add(budget));
            if drain(&mut port.end, &chain, sent..end, context).is_none() {
                return More::No;
            }
            budget -= end - sent;
            if end == chain.readable_len() {
                context.push(queue, chain, 0);
            } else {
                port.sending = Some((chain, end));
            }
            if budget == 0 {
                break;
            }
        }
        More::Yes
    }

    /// Handles the driver's messages.
    fn control(&mut self, context: &mut Context<'_>) -> More {
        for _ in 0..BUDGET_CHAINS {
            let Some(chain) = context.pop(CONTROL_TRANSMIT) else { return More::No };
            let mut bytes = [0; control::BYTES];
            if chain.read_at(context.memory(), 0, &mut bytes).is_err() {
                context.fail(Fault::Request);
                return More::No;
            }
            context.push(CONTROL_TRANSMIT, chain, 0);
            self.handle(Message::from_bytes(bytes));
            self.send_messages(context);
        }
        More::Yes
    }

    /// What a message of the driver makes due. One that makes no sense does nothing.
    fn handle(&mut self, message: Message) {
        match message.event() {
            Some(Event::DeviceReady) if message.value == 1 => {
                for port in &mut self.ports {
                    port.due = Due::default();
                    port.due.add(Event::PortAdd);
                }
            }
            Some(Event::PortReady) if message.value == 1 => {
                let index = message.port as usize;
                let Some(port) = self.ports.get_mut(index).filter(|port| port.due.is_announced())
                else {
                    return;
                };
                if index == 0 {
                    port.due.add(Event::ConsolePort);
                    port.due.add(Event::Resize);
                } else {
                    port.due.add(Event::PortName);
                }
                port.due.add(Event::PortOpen);
            }
            // Whether a program has the port open in the guest matters to nobody here.
            Some(
                Event::DeviceReady
                | Event::PortReady
                | Event::PortOpen
                | Event::PortAdd
                | Event::PortRemove
                | Event::ConsolePort
                | Event::Resize
                | Event::PortName,
            )
            | None => {}
        }
    }

    /// Sends the messages that are due, as far as the driver has buffers for them.
    fn send_messages(&mut self, context: &mut Context<'_>) {
        if !self.has_multiport() {
            return;
        }
        for (index, port) in (0..).zip(&mut self.ports) {
            while let Some(event) = port.due.first() {
                let Some(chain) = context.pop(CONTROL_RECEIVE) else { return };
                let bytes = Message::new(index, event).to_bytes();
                let TerminalSize { columns, rows } = self.size;
                let [[a, b], [c, d]] = [columns.to_le_bytes(), rows.to_le_bytes()];
                let size = [a, b, c, d];
                let rest = if event == Event::Resize {
                    &size[..]
                } else if event == Event::PortName {
                    port.name.as_bytes()
                } else {
                    &[]
                };
                let memory = context.memory();
                let written = chain
                    .write_at(memory, 0, &bytes)
                    .and_then(|()| chain.write_at(memory, bytes.len() as u64, rest));
                if written.is_err() {
                    return context.fail(Fault::Request);
                }
                context.push(CONTROL_RECEIVE, chain, (bytes.len() + rest.len()) as u32);
                port.due.done(event);
            }
        }
    }
}

impl<P: ConsolePort> VirtioDevice for Console<P> {
    fn device_id(&self) -> DeviceId {
        DeviceId::Console
    }

    fn features(&self) -> u64 {
        let multiport = if self.ports.len() > 1 { FEATURE_MULTIPORT } else { 0 };
        FEATURE_SIZE | FEATURE_EMERGENCY_WRITE | multiport
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    /// `struct virtio_console_config` (5.3.4).
    fn read_config(&self, offset: u64, width: Width) -> u64 {
        let size = u64::from(self.size.columns) | u64::from(self.size.rows) << 16;
        let fields = size | (self.ports.len() as u64) << 32;
        config_space::read(&fields.to_le_bytes(), offset, width)
    }

    /// `emerg_wr` works at any time, also before there is a driver (5.3.5.1).
    fn write_config(&mut self, offset: u64, width: Width, value: u64) {
        let Some(place) = EMERGENCY_WRITE.checked_sub(offset).filter(|at| *at < width.bytes())
        else {
            return;
        };
        if let Some(port) = self.ports.first_mut() {
            port.end.write(&[(value >> (8 * place)) as u8]);
        }
    }

    fn activate(&mut self, features: u64, context: &mut Context<'_>) {
        self.features = features;
        // Linux reads the size only when it changes; it was known before there was a driver.
        if features & FEATURE_SIZE != 0 && self.size != TerminalSize::default() {
            context.config_changed();
        }
    }

    fn notify(&mut self, queue: usize, context: &mut Context<'_>) -> More {
        match queue {
            0 => self.receive(0, context),
            1 => self.transmit(0, context),
            // The driver shall not use the others without the feature.
            _ if !self.has_multiport() => More::No,
            CONTROL_RECEIVE => {
                self.send_messages(context);
                More::No
            }
            CONTROL_TRANSMIT => self.control(context),
            _ if queue.is_multiple_of(2) => self.receive(queue / 2 - 1, context),
            _ => self.transmit(queue / 2 - 1, context),
        }
    }

    fn reset(&mut self) {
        self.features = 0;
        for port in &mut self.ports {
            port.sending = None;
            port.due = Due::default();
        }
    }
}

fn receive_queue(port: usize) -> usize {
    if port == 0 { 0 } else { 2 + 2 * port }
}

fn transmit_queue(port: usize) -> usize {
    receive_queue(port) + 1
}

/// Moves input to `chain`, at most `room` bytes; how many.
fn fill(
    end: &mut impl ConsolePort,
    chain: &Chain,
    room: usize,
    context: &mut Context<'_>,
) -> Option<usize> {
    let mut done = 0;
    let mut piece = [0; PIECE];
    while done < room && end.has_input() {
        let len = piece.len().min(room - done);
        let piece = piece.get_mut(..len)?;
        let read = end.read(piece).min(piece.len());
        let bytes = piece.get(..read).filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else { break };
        if chain.write_at(context.memory(), done as u64, bytes).is_err() {
            context.fail(Fault::SegmentOutsideRam);
            return None;
        }
        done += bytes.len();
    }
    Some(done)
}

/// Sends the bytes `part` of `chain` to `end`.
fn drain(
    end: &mut impl ConsolePort,
    chain: &Chain,
    part: core::ops::Range<u64>,
    context: &mut Context<'_>,
) -> Option<()> {
    let mut at = part.start;
    let mut piece = [0; PIECE];
    while at < part.end {
        let len = usize::try_from(part.end - at).unwrap_or(PIECE).min(PIECE);
        let bytes = piece.get_mut(..len)?;
        if chain.read_at(context.memory(), at, bytes).is_err() {
            context.fail(Fault::SegmentOutsideRam);
            return None;
        }
        end.write(bytes);
        at += len as u64;
    }
    Some(())
}

#[cfg(test)]
mod tests;
