//! What a UART has received and its guest has not yet read.

/// How many characters the FIFO holds, in revision r1p1 of the PL011 as in the NS16550.
const ENTRIES: usize = 16;

/// Where a character went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// The guest will read it.
    Stored,
    /// There was no room.
    Lost,
}

/// Whether the FIFO is in use: `UARTLCR_H.FEN` of a PL011, bit 0 of `FCR` of a 16550.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mode {
    /// One holding register.
    #[default]
    Character,
    /// Sixteen entries.
    Fifo,
}

/// The queue of received characters.
#[derive(Debug, Default)]
pub(super) struct ReceiveFifo {
    mode: Mode,
    entries: [u8; ENTRIES],
    head: usize,
    len: usize,
    overrun: bool,
}

impl ReceiveFifo {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        let capacity = match self.mode {
            Mode::Character => 1,
            Mode::Fifo => ENTRIES,
        };
        self.len < capacity
    }

    /// Whether characters were lost since one was stored last.
    pub(super) fn has_overrun(&self) -> bool {
        self.overrun
    }

    pub(super) fn push(&mut self, byte: u8) -> Received {
        if !self.has_room() {
            self.overrun = true;
            return Received::Lost;
        }
        self.overrun = false;
        if let Some(slot) = self.entries.get_mut((self.head + self.len) % ENTRIES) {
            *slot = byte;
            self.len += 1;
        }
        Received::Stored
    }

    pub(super) fn pop(&mut self) -> Option<u8> {
        if self.len == 0 {
            return None;
        }
        let byte = self.entries.get(self.head).copied();
        self.head = (self.head + 1) % ENTRIES;
        self.len -= 1;
        byte
    }
}
