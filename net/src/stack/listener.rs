//! Sockets of a port: each listens, serves a connection, and listens again.

use super::config::ListenConfig;
use crate::time::Instant;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};

/// How long a connection may be half open.
const HALF_OPEN: Duration = Duration::from_secs(5);
/// How long, if sockets are scarce.
const HALF_OPEN_SCARCE: Duration = Duration::from_millis(300);
/// How long a peer may take to receive what is left when a connection is closed.
const LINGER: Duration = Duration::from_secs(5);

/// A port that is listened on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListenerId(pub(super) u64);

/// A connection. It is never the same as another one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Connection(pub(super) u64);

/// The peer has closed the connection or is gone, and all that it sent is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gone;

/// What is going on at a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortActivity {
    /// Its number.
    pub port: u16,
    /// Connections that there are.
    pub connections: usize,
    /// Of which half open, or closed by one side.
    pub incomplete: usize,
    /// Connections that there can be.
    pub limit: usize,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were given up before that, or before the peer had received all.
    pub given_up: u64,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Use {
    /// It listens, or a connection comes about since then.
    Listening(Option<Instant>),
    /// Somebody has accepted its connection.
    Taken(Connection),
    /// The connection is closed on our side, since then.
    Closing(Instant),
}

struct Slot {
    handle: SocketHandle,
    purpose: Use,
}

/// The sockets of a port.
pub(super) struct Listener {
    port: u16,
    slots: Vec<Slot>,
    /// Connections that were given up before they were accepted.
    pub(super) given_up: u64,
    accepted: u64,
}

impl Listener {
    pub(super) fn new(port: u16, config: &ListenConfig, sockets: &mut SocketSet<'static>) -> Self {
        let slot = |_| {
            let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
            let mut socket = Socket::new(buffer(config.receive_bytes), buffer(config.send_bytes));
            let millis = u64::try_from(config.timeout.as_millis()).unwrap_or(u64::MAX);
            socket.set_timeout(Some(smoltcp::time::Duration::from_millis(millis)));
            socket.set_keep_alive(Some(smoltcp::time::Duration::from_millis(millis / 4)));
            // A key's echo shall not wait for the answer to the one before.
            socket.set_nagle_enabled(false);
            Slot { handle: sockets.add(socket), purpose: Use::Listening(None) }
        };
        let slots = (0..config.connections).map(slot).collect();
        let mut listener = Self { port, slots, given_up: 0, accepted: 0 };
        listener.tend(sockets, Instant(0));
        listener
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Gives its sockets and their memory back.
    pub(super) fn end(self, sockets: &mut SocketSet<'static>) {
        for slot in self.slots {
            sockets.remove(slot.handle);
        }
    }

    /// Makes sockets listen again whose connections have ended, and ends those that do not end by themselves.
    pub(super) fn tend(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        for slot in &mut self.slots {
            let socket = sockets.get_mut::<Socket<'_>>(slot.handle);
            // One that was cut here has a peer until that was told.
            let mut is_told = true;
            let is_over = match slot.purpose {
                Use::Taken(_) => continue,
                Use::Closing(since) => {
                    let is_late = now.since(since) >= LINGER;
                    is_told = is_late || socket.remote_endpoint().is_none();
                    is_late && !matches!(socket.state(), State::TimeWait | State::Closed)
                }
                Use::Listening(None) => {
                    if matches!(
                        socket.state(),
                        State::SynReceived | State::Established | State::CloseWait
                    ) {
                        slot.purpose = Use::Listening(Some(now));
                    }
                    false
                }
                // The peer has cut it before it came about.
                Use::Listening(Some(_)) if socket.state() == State::Listen => {
                    slot.purpose = Use::Listening(None);
                    false
                }
                Use::Listening(Some(since)) => {
                    socket.state() == State::SynReceived && now.since(since) >= HALF_OPEN
                }
            };
            if is_over {
                socket.abort();
                self.given_up += 1;
            }
            if socket.state() == State::Closed && is_told {
                listen(slot, sockets, self.port);
            }
        }
        self.reclaim(sockets, now);
    }

    /// Whether no socket listens any more.
    pub(super) fn is_full(&self, sockets: &SocketSet<'static>) -> bool {
        let state = |slot: &Slot| sockets.get::<Socket<'_>>(slot.handle).state();
        self.slots.iter().all(|slot| state(slot) != State::Listen)
    }

    /// If no socket listens any more, takes the one back that is missed least.
    fn reclaim(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        if !self.is_full(sockets) {
            return;
        }
        let state = |slot: &Slot| sockets.get::<Socket<'_>>(slot.handle).state();
        let age = |slot: &Slot| match slot.purpose {
            Use::Closing(since) if state(slot) == State::TimeWait => Some((0, since)),
            Use::Listening(Some(since))
                if state(slot) == State::SynReceived && now.since(since) >= HALF_OPEN_SCARCE =>
            {
                Some((1, since))
            }
            Use::Closing(since) if now.since(since) >= HALF_OPEN_SCARCE => Some((2, since)),
            Use::Taken(_) | Use::Closing(_) | Use::Listening(_) => None,
        };
        let ages =
            self.slots.iter().enumerate().filter_map(|(index, slot)| Some((age(slot)?, index)));
        let Some((_, index)) = ages.min() else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        self.given_up += u64::from(matches!(slot.purpose, Use::Listening(_)));
        listen(slot, sockets, self.port);
    }

    /// When something is to be done here though nothing comes.
    pub(super) fn wake(&self, sockets: &SocketSet<'static>) -> Option<Instant> {
        // As `tend` and `reclaim` have it.
        let scarce = self.is_full(sockets).then_some(HALF_OPEN_SCARCE);
        let wakes = self.slots.iter().filter_map(|slot| {
            let state = sockets.get::<Socket<'_>>(slot.handle).state();
            match slot.purpose {
                Use::Listening(Some(since)) if state == State::SynReceived => {
                    Some(since + scarce.unwrap_or(HALF_OPEN))
                }
                Use::Closing(since) if state != State::TimeWait => {
                    Some(since + scarce.unwrap_or(LINGER))
                }
                Use::Taken(_) | Use::Closing(_) | Use::Listening(_) => None,
            }
        });
        wakes.min()
    }

    /// Takes a connection that has come about, as `connection`.
    pub(super) fn accept(
        &mut self,
        connection: Connection,
        sockets: &SocketSet<'static>,
    ) -> Option<Connection> {
        let is_ready = |slot: &&mut Slot| {
            let state = sockets.get::<Socket<'_>>(slot.handle).state();
            matches!(slot.purpose, Use::Listening(_))
                && matches!(state, State::Established | State::CloseWait)
        };
        let slot = self.slots.iter_mut().find(is_ready)?;
        slot.purpose = Use::Taken(connection);
        self.accepted += 1;
        Some(connection)
    }

    /// The socket of a connection.
    pub(super) fn find(&self, connection: Connection) -> Option<SocketHandle> {
        let slot = self.slots.iter().find(|slot| slot.purpose == Use::Taken(connection))?;
        Some(slot.handle)
    }

    /// The connection is closed on our side.
    pub(super) fn release(&mut self, connection: Connection, now: Instant) {
        let slot = self.slots.iter_mut().find(|slot| slot.purpose == Use::Taken(connection));
        if let Some(slot) = slot {
            slot.purpose = Use::Closing(now);
        }
    }

    /// What is going on here.
    pub(super) fn activity(&self, sockets: &SocketSet<'static>) -> PortActivity {
        let states =
            || self.slots.iter().map(|slot| sockets.get::<Socket<'_>>(slot.handle).state());
        let is_there = |state: &State| !matches!(state, State::Listen | State::Closed);
        let is_incomplete = |state: &State| is_there(state) && *state != State::Established;
        PortActivity {
            port: self.port,
            connections: states().filter(is_there).count(),
            incomplete: states().filter(is_incomplete).count(),
            limit: self.slots.len(),
            accepted: self.accepted,
            given_up: self.given_up,
        }
    }

    /// How many sockets listen.
    pub(super) fn listening(&self, sockets: &SocketSet<'static>) -> usize {
        let state = |slot: &&Slot| sockets.get::<Socket<'_>>(slot.handle).state() == State::Listen;
        self.slots.iter().filter(state).count()
    }
}

/// Makes the socket listen, whatever it was doing.
fn listen(slot: &mut Slot, sockets: &mut SocketSet<'static>, port: u16) {
    slot.purpose = Use::Listening(None);
    // A set remembers for a second which neighbour a socket waits for, which would keep its next peer waiting.
    if let smoltcp::socket::Socket::Tcp(mut socket) = sockets.remove(slot.handle) {
        socket.abort();
        // It fails only for port 0 and for sockets that are open.
        let _ = socket.listen(port);
        slot.handle = sockets.add(socket);
    }
}
