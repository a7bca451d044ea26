//! The numbers of telnet.

/// "Interpret as command": the byte that begins every command (RFC 854).
pub(super) const IAC: u8 = 255;

/// Commands (RFC 854). Those of line mode (RFC 1184), `EOR` and the reserved ones are ignored, and so not here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Command {
    /// The end of a subnegotiation.
    SubnegotiationEnd = 240,
    /// The break key.
    Break = 243,
    /// Interrupt the process.
    Interrupt = 244,
    /// Forget output that was not sent yet.
    AbortOutput = 245,
    /// "Are you there": something visible shall be sent.
    AreYouThere = 246,
    /// Delete the last character.
    EraseCharacter = 247,
    /// Delete the line.
    EraseLine = 248,
    /// A subnegotiation follows.
    Subnegotiation = 250,
}

impl Command {
    /// The command with this number, if it is one that matters here.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            240 => Self::SubnegotiationEnd,
            243 => Self::Break,
            244 => Self::Interrupt,
            245 => Self::AbortOutput,
            246 => Self::AreYouThere,
            247 => Self::EraseCharacter,
            248 => Self::EraseLine,
            250 => Self::Subnegotiation,
            _ => return None,
        })
    }
}

/// Commands that an option follows (RFC 855).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Verb {
    /// The sender is, or wants to be, doing something.
    Will = 251,
    /// The sender is not doing it.
    Wont = 252,
    /// The sender wants the receiver to do it.
    Do = 253,
    /// The sender wants the receiver not to do it.
    Dont = 254,
}

impl Verb {
    /// The verb with this number.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            251 => Self::Will,
            252 => Self::Wont,
            253 => Self::Do,
            254 => Self::Dont,
            _ => return None,
        })
    }
}

/// Options that are agreed to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Choice {
    /// Bytes are eight bits, and no line ends are translated (RFC 856).
    Binary = 0,
    /// The sender echoes what it receives (RFC 857).
    Echo = 1,
    /// The sender sends no "go ahead" (RFC 858).
    SuppressGoAhead = 3,
    /// The sender reports the size of its window (RFC 1073).
    WindowSize = 31,
}
