//! A VM's console as a virtio device: its output goes to the ring, and what is typed waits here until the driver wants it.

use super::{Slot, Wires, again};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use hv_core::sync::Mutex;
use virtio::More;
use virtio::console::{Console, ConsolePort, TerminalSize};
use vm_manager::console::InputQueue;
use vm_manager::devices::serial::SerialOut;
use vm_manager::plug::{Activity, Again, Handle, Order, Plug, Plugged, Socket};
use vm_manager::sink::{Bell, ConsoleSink};

/// Taken with the device's lock held, or alone.
type Keys = Arc<Mutex<InputQueue>>;

pub(super) struct ConsolePlug {
    terminal: Terminal,
    wires: Wires,
}

impl ConsolePlug {
    pub(super) fn new(order: &Order<'_>) -> Self {
        let terminal = Terminal { sink: Arc::clone(order.sink), keys: Keys::default() };
        Self { terminal, wires: Wires::new(order) }
    }
}

impl Plug for ConsolePlug {
    fn name(&self) -> &'static str {
        "virtio console"
    }

    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String> {
        let Self { terminal, wires } = *self;
        let keys = Arc::clone(&terminal.keys);
        let slot = Slot::new(Console::new(terminal, []), wires.with(socket));
        let device = Arc::clone(&slot.device);
        Ok(Plugged { device, handle: Arc::new(ConsoleHandle { slot, keys, bell: wires.bell }) })
    }
}

/// The far end of the console.
struct Terminal {
    sink: Arc<ConsoleSink>,
    keys: Keys,
}

impl ConsolePort for Terminal {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.sink.put(byte));
    }

    fn has_input(&self) -> bool {
        !self.keys.lock().is_empty()
    }

    fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut keys = self.keys.lock();
        buf.iter_mut().map_while(|place| keys.take().map(|byte| *place = byte)).count()
    }
}

struct ConsoleHandle {
    slot: Slot<Console<Terminal>>,
    keys: Keys,
    bell: Arc<dyn Bell>,
}

impl ConsoleHandle {
    /// Gives the driver what was typed, as far as it has room.
    fn deliver(&self) -> More {
        self.slot.device.lock().call(|console, context| console.input_arrived(context))
    }
}

impl Handle for ConsoleHandle {
    fn go_on(&self) -> Again {
        match (again(self.deliver()), self.slot.go_on()) {
            (Again::No, Again::No) => Again::No,
            (Again::Yes, _) | (_, Again::Yes) => Again::Yes,
        }
    }

    fn type_in(&self, bytes: &[u8]) -> Option<usize> {
        let taken = self.keys.lock().offer(bytes);
        if self.deliver() == More::Yes {
            self.bell.ring();
        }
        Some(taken)
    }

    /// `VIRTIO_CONSOLE_F_SIZE` (virtio 1.2, 5.3.4).
    fn resize(&self, columns: u16, rows: u16) {
        let size = TerminalSize { columns, rows };
        self.slot.device.lock().call(|console, context| console.resize(size, context));
    }

    fn reset(&self) {
        self.keys.lock().clear();
    }

    fn activity(&self) -> Activity {
        self.slot.activity()
    }
}
