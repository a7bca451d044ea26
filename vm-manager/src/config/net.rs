//! A network card of a VM, as it is configured.

use alloc::string::String;

/// The most network cards of a VM.
pub const MAX_NETS: usize = 4;

/// A network card.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NetConfig {
    /// The network that it is on, a `[[network]]` of `host.toml`.
    pub network: String,
    /// Its MAC address; one that the VM's name gives, if none.
    pub mac: Option<[u8; 6]>,
    /// How many bytes in a second the guest may send; as many as it likes, if none.
    pub rate: Option<u64>,
    /// The line of the configuration where its `[[net]]` begins.
    pub line: u32,
}

/// Six pairs of hexadecimal digits, with colons between them, that are the address of one station.
pub(super) fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut pairs = text.split(':');
    for byte in &mut mac {
        let is_pair =
            |pair: &&str| pair.len() == 2 && pair.bytes().all(|at| at.is_ascii_hexdigit());
        *byte = u8::from_str_radix(pairs.next().filter(is_pair)?, 16).ok()?;
    }
    let is_station = mac[0] & 1 == 0 && mac != [0; 6];
    (pairs.next().is_none() && is_station).then_some(mac)
}
