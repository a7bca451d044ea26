//! The shell over telnet: who connects, logs in, and then has a session.
//!
//! ```text
//!   Stack ─ accept ─▶ Gate ─ let in so far ─▶ Visitor: name, password ─ right ─▶ Sessions: a Seat, whose Link is the line
//! ```
//!
//! There is no listener before somebody has a password. A transport for SSH would have visitors and lines of its own beside
//! these, and the same gate and seats.

mod line;
mod visitor;

use crate::host::Services;
use crate::people::time;
use crate::sessions::Sessions;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use line::Line;
use net::stack::{ListenConfig, ListenerId};
use visitor::{Next, Visitor};
use vm_manager::host_config::HostConfig;

/// Connections that are taken in one poll.
const ACCEPTS: usize = 4;
/// Sockets beyond those that sessions and visitors can have: for connections that come about or end.
const SPARE_SOCKETS: usize = 8;
/// Sockets of the port of a console.
const SOCKETS_OF_CONSOLE: usize = 6;
/// How often it is looked whether a visitor has had enough time.
const LOOK: Duration = Duration::from_millis(250);

/// What a port is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// The shell.
    Shell,
    /// The console of the VM of this number.
    Console(u32),
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell => f.write_str("telnet"),
            Self::Console(vm) => write!(f, "console of vm {vm}"),
        }
    }
}

/// A telnet port.
pub(crate) struct Remote {
    purpose: Purpose,
    port: Option<u16>,
    sockets: usize,
    listener: Option<ListenerId>,
    visitors: Vec<Visitor>,
}

impl Remote {
    /// As the configuration has it.
    pub(crate) fn new(config: &HostConfig) -> Self {
        let sockets = config.telnet.sessions + config.login.unauthenticated + SPARE_SOCKETS;
        Self::on(config.telnet.port, Purpose::Shell, sockets)
    }

    /// A port that leads to the console of a VM.
    pub(crate) fn of_console(port: u16, vm: u32) -> Self {
        Self::on(Some(port), Purpose::Console(vm), SOCKETS_OF_CONSOLE)
    }

    fn on(port: Option<u16>, purpose: Purpose, sockets: usize) -> Self {
        Self { purpose, port, sockets, listener: None, visitors: Vec::new() }
    }

    /// Listens no more, and ends all its connections.
    pub(crate) fn end(mut self, services: &mut Services) {
        let now = host::now();
        for mut visitor in core::mem::take(&mut self.visitors) {
            visitor.leave(services, now);
        }
        if let (Some(listener), Some(stack)) = (self.listener, services.network_mut().stack()) {
            stack.unlisten(listener);
        }
    }

    /// Looks after those who connect and log in; when there is more to do.
    pub(crate) fn poll(&mut self, sessions: &mut Sessions, services: &mut Services) -> Instant {
        let now = host::now();
        self.listen(services);
        let mut next = self.accept(services, now);
        for mut visitor in core::mem::take(&mut self.visitors) {
            match visitor.poll(services, now) {
                Next::Stay => {
                    next = next.min(if visitor.has_spoken() { now } else { now + LOOK });
                    self.visitors.push(visitor);
                }
                Next::Enter(who) => {
                    sessions.add(visitor.into_link(), who, services);
                    // Its first prompt is to be shown.
                    next = now;
                }
                Next::Leave => visitor.leave(services, now),
            }
        }
        next
    }

    /// Listens from the moment on when somebody can log in.
    fn listen(&mut self, services: &mut Services) {
        let Some(port) = self.port.filter(|_| self.listener.is_none()) else { return };
        if !services.people_mut().are_welcome() {
            return;
        }
        let Some(stack) = services.network_mut().stack() else { return };
        match stack
            .listen(port, &ListenConfig { connections: self.sockets, ..ListenConfig::default() })
        {
            Ok(listener) => {
                log::info!("{} on port {port}", self.purpose);
                self.listener = Some(listener);
            }
            Err(_) => {
                let purpose = self.purpose;
                log::error!("no {purpose} on port {port}: it is taken, or there are too many");
                self.port = None;
            }
        }
    }

    /// Takes connections; when there may be more.
    fn accept(&mut self, services: &mut Services, now: Instant) -> Instant {
        let Some(listener) = self.listener else { return Instant::NEVER };
        for _ in 0..ACCEPTS {
            let Some(stack) = services.network_mut().stack() else { return Instant::NEVER };
            let Some(connection) = stack.accept(listener) else { return Instant::NEVER };
            let peer = stack.peer(connection);
            // Without one, it is over already.
            let ticket = peer
                .and_then(|peer| services.people_mut().gate().connect(peer.ip(), time(now)).ok());
            match (peer, ticket) {
                (Some(peer), Some(ticket)) => {
                    let line = Line::new(connection, now);
                    self.visitors.push(Visitor::new(line, self.purpose, peer.ip(), ticket));
                }
                (_, _) => {
                    // Nothing is said: whoever floods the port shall cost as little as possible.
                    if let Some(stack) = services.network_mut().stack() {
                        stack.abort(connection, time(now));
                    }
                    services.has_sent();
                }
            }
        }
        now
    }
}
