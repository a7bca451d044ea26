//! The feature bits that belong to no device (6).

/// `VIRTIO_F_INDIRECT_DESC`: a descriptor may point to a table of descriptors.
pub const INDIRECT_DESCRIPTORS: u64 = 1 << 28;
/// `VIRTIO_F_EVENT_IDX`: each side says at which index it wants to hear of the other.
pub const EVENT_INDEX: u64 = 1 << 29;
/// `VIRTIO_F_VERSION_1`: no legacy driver. Must be accepted.
pub const VERSION_1: u64 = 1 << 32;
/// `VIRTIO_F_RING_PACKED`: the packed layout.
pub const RING_PACKED: u64 = 1 << 34;
/// The bits that a device may define for itself: 0 to 23, and 50 to 127 of which a `u64` has some.
pub const OF_DEVICE: u64 = ((1 << 24) - 1) | !((1 << 50) - 1);
