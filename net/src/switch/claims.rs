//! Which port an IP address belongs to.

use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::net::IpAddr;
use core::time::Duration;

/// Addresses that a guest may claim by using them: with IPv6 a station has several, some of which change daily (RFC 8981).
const CLAIMS_OF_A_PORT: usize = 16;
/// After this silence an address that was claimed is free.
const AGE: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Owner {
    /// The host: nobody has it.
    Reserved,
    /// A port, by configuration or by a lease.
    Allowed(usize),
    /// The port that used it first.
    Claimed(usize, Instant),
}

/// Owners of addresses.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<IpAddr, Owner>);

/// What a claim comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Claim {
    /// It is the port's.
    Granted,
    /// It is somebody else's.
    Refused,
    /// The port has too many.
    TooMany,
}

impl Claims {
    /// Nobody shall have this one.
    pub(super) fn reserve(&mut self, address: IpAddr) {
        self.0.insert(address, Owner::Reserved);
    }

    /// It is nobody's any more.
    pub(super) fn unreserve(&mut self, address: IpAddr) {
        if self.0.get(&address) == Some(&Owner::Reserved) {
            self.0.remove(&address);
        }
    }

    /// This one is `port`'s, whoever used it; refused if it is by configuration somebody else's.
    pub(super) fn allow(&mut self, address: IpAddr, port: usize) -> Claim {
        match self.0.get(&address) {
            Some(Owner::Reserved) => Claim::Refused,
            Some(Owner::Allowed(other)) if *other != port => Claim::Refused,
            Some(Owner::Allowed(_) | Owner::Claimed(..)) | None => {
                self.0.insert(address, Owner::Allowed(port));
                Claim::Granted
            }
        }
    }

    /// It is no longer `port`'s.
    pub(super) fn disallow(&mut self, address: IpAddr, port: usize) {
        if self.0.get(&address) == Some(&Owner::Allowed(port)) {
            self.0.remove(&address);
        }
    }

    /// Whether it is `port`'s by configuration.
    pub(super) fn is_allowed(&self, address: IpAddr, port: usize) -> bool {
        self.0.get(&address) == Some(&Owner::Allowed(port))
    }

    /// `port` uses the address.
    pub(super) fn claim(&mut self, address: IpAddr, port: usize, now: Instant) -> Claim {
        match self.0.get_mut(&address) {
            Some(Owner::Reserved) => return Claim::Refused,
            Some(Owner::Allowed(owner)) => {
                return if *owner == port { Claim::Granted } else { Claim::Refused };
            }
            Some(Owner::Claimed(owner, seen)) if *owner == port => {
                *seen = now;
                return Claim::Granted;
            }
            Some(Owner::Claimed(_, seen)) if now.since(*seen) < AGE => return Claim::Refused,
            // It was silent for long.
            Some(Owner::Claimed(..)) | None => {}
        }
        // Only for an address that is new: what is in use was found above.
        let is_old = |owner: &Owner| matches!(owner, Owner::Claimed(at, seen) if *at == port && now.since(*seen) >= AGE);
        self.0.retain(|_, owner| !is_old(owner));
        let of_port = |owner: &&Owner| matches!(owner, Owner::Claimed(at, _) if *at == port);
        if self.0.values().filter(of_port).count() >= CLAIMS_OF_A_PORT {
            return Claim::TooMany;
        }
        self.0.insert(address, Owner::Claimed(port, now));
        Claim::Granted
    }

    /// Those of `port`.
    pub(super) fn of(&self, port: usize) -> impl Iterator<Item = IpAddr> {
        let is_its = move |owner: &Owner| match owner {
            Owner::Reserved => false,
            Owner::Allowed(at) | Owner::Claimed(at, _) => *at == port,
        };
        self.0.iter().filter(move |(_, owner)| is_its(owner)).map(|(address, _)| *address)
    }

    /// Frees all of `port`.
    pub(super) fn release(&mut self, port: usize) {
        self.0.retain(|_, owner| match owner {
            Owner::Reserved => true,
            Owner::Allowed(at) | Owner::Claimed(at, _) => *at != port,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const NOW: Instant = Instant(1);

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn the_first_has_it_until_it_is_silent() {
        let mut claims = Claims::default();
        assert_eq!(claims.claim(address(1), 1, NOW), Claim::Granted);
        assert_eq!(claims.claim(address(1), 2, NOW + AGE / 2), Claim::Refused);
        assert_eq!(claims.claim(address(1), 1, NOW + AGE / 2), Claim::Granted);
        assert_eq!(claims.claim(address(1), 2, NOW + AGE), Claim::Refused);
        assert_eq!(claims.claim(address(1), 2, NOW + AGE * 2), Claim::Granted);
        claims.release(2);
        assert_eq!(claims.claim(address(1), 1, NOW + AGE * 2), Claim::Granted);
    }

    #[test]
    fn nobody_gets_the_hosts_nor_what_is_allowed_to_another() {
        let mut claims = Claims::default();
        claims.reserve(address(1));
        assert_eq!(claims.allow(address(1), 1), Claim::Refused);
        assert_eq!(claims.claim(address(1), 1, NOW), Claim::Refused);
        claims.unreserve(address(1));
        assert_eq!(claims.claim(address(1), 1, NOW), Claim::Granted);
        claims.reserve(address(1));
        assert_eq!(claims.claim(address(1), 1, NOW), Claim::Refused, "whoever had it before");
        // A lease outweighs what somebody claimed.
        assert_eq!(claims.claim(address(2), 1, NOW), Claim::Granted);
        assert_eq!(claims.allow(address(2), 2), Claim::Granted);
        assert_eq!(claims.claim(address(2), 1, NOW + AGE * 9), Claim::Refused);
        assert_eq!(claims.allow(address(2), 1), Claim::Refused);
        claims.disallow(address(2), 2);
        assert_eq!(claims.claim(address(2), 1, NOW), Claim::Granted);
    }

    #[test]
    fn a_port_that_claims_everything_gets_a_few() {
        let mut claims = Claims::default();
        let granted = (0..10_000).filter(|n| claims.claim(address(*n), 1, NOW) == Claim::Granted);
        assert_eq!(granted.count(), CLAIMS_OF_A_PORT);
        assert_eq!(claims.claim(address(9_999), 2, NOW), Claim::Granted);
        // Those that are not used any more make room.
        assert_eq!(claims.claim(address(9_998), 1, NOW + AGE), Claim::Granted);
    }
}
