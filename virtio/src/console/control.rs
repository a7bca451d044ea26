//! The messages of the control queues (5.3.6.2), and which are due.

/// What a message is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u16)]
pub(super) enum Event {
    /// From the driver: it is ready for messages.
    DeviceReady = 0,
    /// There is a port.
    PortAdd = 1,
    /// There is no longer a port.
    PortRemove = 2,
    /// From the driver: the port can be used.
    PortReady = 3,
    /// The port is a terminal.
    ConsolePort = 4,
    /// The terminal has this size: columns and rows follow, in the order in which the configuration has them.
    Resize = 5,
    /// One side has opened the port, or closed it.
    PortOpen = 6,
    /// The port is called what follows.
    PortName = 7,
}

/// In the order of their values.
const EVENTS: [Event; 8] = [
    Event::DeviceReady,
    Event::PortAdd,
    Event::PortRemove,
    Event::PortReady,
    Event::ConsolePort,
    Event::Resize,
    Event::PortOpen,
    Event::PortName,
];

/// The order in which the device sends what is due for a port: a port is opened when all is said about it.
const ORDER: [Event; 5] =
    [Event::PortAdd, Event::ConsolePort, Event::PortName, Event::Resize, Event::PortOpen];

/// Bytes of a message without what follows.
pub(super) const BYTES: usize = 8;

/// `struct virtio_console_control`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Message {
    pub(super) port: u32,
    event: u16,
    pub(super) value: u16,
}

impl Message {
    /// What the device says of a port: its value is 1 where it has a meaning.
    pub(super) fn new(port: u32, event: Event) -> Self {
        Self { port, event: event as u16, value: 1 }
    }

    pub(super) fn from_bytes([a, b, c, d, e, f, g, h]: [u8; BYTES]) -> Self {
        Self {
            port: u32::from_le_bytes([a, b, c, d]),
            event: u16::from_le_bytes([e, f]),
            value: u16::from_le_bytes([g, h]),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        let high = u64::from(self.event) | u64::from(self.value) << 16;
        (u64::from(self.port) | high << 32).to_le_bytes()
    }

    pub(super) fn event(self) -> Option<Event> {
        EVENTS.get(usize::from(self.event)).copied()
    }
}

/// The messages about one port that the driver has to get, a bit each: a driver that never takes them makes them no
/// more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Due {
    events: u8,
    is_announced: bool,
}

impl Due {
    pub(super) fn add(&mut self, event: Event) {
        self.events |= 1 << event as u16;
    }

    /// The one that comes next.
    pub(super) fn first(self) -> Option<Event> {
        ORDER.into_iter().find(|event| self.events >> *event as u16 & 1 != 0)
    }

    pub(super) fn done(&mut self, event: Event) {
        self.events &= !(1 << event as u16);
        if event == Event::PortAdd {
            self.is_announced = true;
        }
    }

    /// Whether the driver knows of the port.
    pub(super) fn is_announced(self) -> bool {
        self.is_announced
    }
}
