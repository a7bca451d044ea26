//! Ports of the loopback interface that lead to ports of Roost, through QEMU's user network.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where ports are looked for: below those that kernels give to clients (32768 and up), of which tests have many.
const FIRST: u16 = 10_000;
const COUNT: u32 = 20_000;
/// A prime, so that processes whose numbers follow each other look in different places.
const STRIDE: u32 = 7919;

/// A port of the loopback interface, and the one of Roost that it leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Forward {
    /// The port of Roost.
    pub(crate) inside: u16,
    /// That of the loopback interface.
    pub(crate) outside: u16,
}

impl Forward {
    /// A port to this one of Roost that nobody listens on.
    ///
    /// # Panics
    /// When all are taken.
    pub(crate) fn to(inside: u16) -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        for _ in 0..COUNT {
            // Relaxed: only that each gets another number counts.
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let place = process::id().wrapping_mul(STRIDE).wrapping_add(number.into()) % COUNT;
            let outside = FIRST + u16::try_from(place).unwrap_or(0);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, outside)).is_ok() {
                return Self { inside, outside };
            }
        }
        panic!("no port of the loopback interface is free");
    }

    /// What QEMU's user network is told of it.
    pub(crate) fn option(self) -> String {
        format!(",hostfwd=tcp:127.0.0.1:{}-:{}", self.outside, self.inside)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::Forward;

    #[test]
    fn no_port_is_given_twice_or_while_it_is_taken() {
        let first = Forward::to(23);
        let _taken = TcpListener::bind(("127.0.0.1", first.outside)).unwrap();
        let next = Forward::to(23);
        assert_ne!(first.outside, next.outside);
        let option = next.option();
        assert_eq!(option, format!(",hostfwd=tcp:127.0.0.1:{}-:23", next.outside));
    }
}
