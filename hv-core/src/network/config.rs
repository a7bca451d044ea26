//! What a card says of itself: features and configuration space. Virtio 1.2, 5.1.3 and 5.1.4.

use super::Link;
use crate::device::VERSION_1;
use virtio_drivers::transport::Transport;

/// Bits of features.
pub(super) mod feature {
    pub(crate) const MAC: u64 = 1 << 5;
    pub(crate) const STATUS: u64 = 1 << 16;
    pub(crate) const ANY_LAYOUT: u64 = 1 << 27;
    /// What the driver makes use of. Without an event index, interrupts can be switched off by a flag.
    pub(crate) const WANTED: u64 = MAC | STATUS | ANY_LAYOUT | super::VERSION_1;
}

mod offset {
    pub(super) const MAC: usize = 0;
    pub(super) const STATUS: usize = 6;
}

/// Bytes before each frame: 5.1.6, and 5.1.6.1 for those of before virtio 1. `None` if the device is so old that it wants them
/// apart from the frame.
pub(super) fn header_bytes(features: u64) -> Option<usize> {
    if features & VERSION_1 != 0 {
        Some(12)
    } else {
        (features & feature::ANY_LAYOUT != 0).then_some(10)
    }
}

/// The card's address, if it tells one. It does not change.
pub(super) fn mac(transport: &impl Transport, features: u64) -> Option<[u8; 6]> {
    if features & feature::MAC == 0 {
        return None;
    }
    let mut mac = [0; 6];
    for (index, byte) in mac.iter_mut().enumerate() {
        *byte = transport.read_config_space::<u8>(offset::MAC + index).ok()?;
    }
    Some(mac)
}

/// Whether the cable is in: 5.1.4.2.
pub(super) fn link(transport: &impl Transport, features: u64) -> Link {
    const LINK_UP: u16 = 1;
    if features & feature::STATUS == 0 {
        return Link::Up;
    }
    match transport.read_config_space::<u16>(offset::STATUS) {
        Ok(status) if status & LINK_UP == 0 => Link::Down,
        Ok(_) | Err(_) => Link::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_as_long_as_the_features_make_it() {
        assert_eq!(header_bytes(feature::WANTED), Some(12));
        assert_eq!(header_bytes(feature::ANY_LAYOUT | feature::MAC), Some(10));
        assert_eq!(header_bytes(feature::MAC), None);
    }
}
