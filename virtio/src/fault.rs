//! Why a device needs a reset: everything that a driver can do wrong.

use core::fmt;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What a driver did wrong.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Fault {
            $($(#[$doc])* $name,)+
        }

        impl Fault {
            /// All of them, in the order of their values.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// What happened, in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

faults! {
    /// A queue has no entries, more than offered, or (split) a number that is no power of two (2.7, 2.8.10.1).
    QueueSize = "a queue has an impossible size",
    /// A part of a queue is not aligned (2.7, 2.8.10.1).
    QueueAlignment = "a part of a queue is not aligned",
    /// A part of a queue is not in RAM.
    QueueOutsideRam = "a part of a queue is outside of RAM",
    /// Parts of a queue overlap.
    QueueOverlap = "parts of a queue overlap",
    /// A queue was made ready, or the driver declared itself ready, before features were agreed on (3.1.1).
    Order = "the driver skipped a step of the initialization",
    /// A notification for a queue that the device does not have.
    NotifyIndex = "a queue that does not exist was notified",
    /// The available index is further ahead than the queue has entries (2.7.13.3).
    AvailableIndex = "the available index ran away",
    /// More buffers are available at a time than the queue has entries.
    TooManyBuffers = "more buffers were made available than the queue has entries",
    /// A descriptor's index is not in its table.
    DescriptorIndex = "a descriptor's index is not in its table",
    /// A chain loops, or is longer than allowed (2.7.5.1, 2.7.5.3.1).
    ChainLength = "a chain of descriptors loops or is too long",
    /// A segment has no bytes.
    ZeroLength = "a segment has no bytes",
    /// A segment is not in RAM.
    SegmentOutsideRam = "a segment is outside of RAM",
    /// A readable segment follows a writable one (2.7.4.2).
    SegmentOrder = "a readable segment follows a writable one",
    /// A segment to be written overlaps one to be read, or the queue itself.
    SegmentOverlap = "a segment to be written overlaps another, or the queue",
    /// The segments of a chain have more than 2^32 bytes together (2.7.5.2).
    TotalLength = "the segments of a chain have more than 4 GiB together",
    /// An indirect descriptor where none was agreed on (2.7.5.3.1).
    IndirectNotNegotiated = "an indirect descriptor was not agreed on",
    /// An indirect descriptor in an indirect table (2.7.5.3.1).
    IndirectNested = "an indirect descriptor is in an indirect table",
    /// An indirect descriptor that has a next one (2.7.5.3.1), or (packed) that follows another (2.8.19).
    IndirectChained = "an indirect descriptor is chained",
    /// The size of an indirect table is no multiple of a descriptor's, or zero.
    IndirectSize = "an indirect table has an odd size",
    /// A request that is too short or too malformed to be answered.
    Request = "a request is too malformed to be answered",
    /// The host has no memory to keep track of a request. Not the driver's doing.
    HostMemory = "the host has no memory to keep track of a request",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
