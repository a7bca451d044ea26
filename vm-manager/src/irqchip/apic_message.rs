//! What IOAPICs and local APICs send to local APICs (Intel SDM volume 3A, 11.6 and 11.11).

/// How an interrupt is taken: the delivery mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// By its vector.
    Fixed,
    /// By its vector, by the one of all addressed that has the least to do.
    LowestPriority,
    /// As a system management interrupt.
    Smi,
    /// As a non-maskable interrupt.
    Nmi,
    /// As a reset of the CPU, which then waits for a start-up.
    Init,
    /// As a start in real mode, at page `vector`.
    Startup,
    /// By the vector that the 8259 pair gives.
    External,
}

impl Delivery {
    /// The delivery mode in bits 10 to 8 of an ICR, an LVT entry or a redirection entry; `None` if it
    /// is the reserved one. Mode 6 is a start-up in the ICR only.
    #[must_use]
    pub const fn from_bits(register: u32) -> Option<Self> {
        Some(match (register >> 8) & 7 {
            0 => Self::Fixed,
            1 => Self::LowestPriority,
            2 => Self::Smi,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::Startup,
            7 => Self::External,
            _ => return None,
        })
    }

    /// Whether it interrupts by a vector of its own.
    #[must_use]
    pub const fn is_vectored(self) -> bool {
        match self {
            Self::Fixed | Self::LowestPriority => true,
            Self::Smi | Self::Nmi | Self::Init | Self::Startup | Self::External => false,
        }
    }
}

/// Whether an interrupt has an end that has to be told to its source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trigger {
    /// It has none.
    Edge,
    /// It has: the local APIC broadcasts it.
    Level,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destination {
    /// Everybody.
    Broadcast,
    /// The APIC with this ID.
    Physical(u32),
    /// The APICs whose logical ID matches.
    Logical(u32),
}

impl Destination {
    /// What the 8 bits of destination mean in a redirection entry or an xAPIC's ICR, if bit 11 of
    /// `register` is the destination mode.
    #[must_use]
    pub const fn from_byte(byte: u8, register: u32) -> Self {
        if byte == u8::MAX { Self::Broadcast } else { Self::from_mode(byte as u32, register) }
    }

    /// What the 32 bits of destination mean in an x2APIC's ICR.
    #[must_use]
    pub const fn from_word(word: u32, register: u32) -> Self {
        if word == u32::MAX { Self::Broadcast } else { Self::from_mode(word, register) }
    }

    const fn from_mode(id: u32, register: u32) -> Self {
        if register & 1 << 11 == 0 { Self::Physical(id) } else { Self::Logical(id) }
    }
}

/// One message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message {
    /// Whom it is for.
    pub destination: Destination,
    /// How it is taken.
    pub delivery: Delivery,
    /// By which vector, if `delivery` has one.
    pub vector: u8,
    /// Whether its end has to be told.
    pub trigger: Trigger,
}
