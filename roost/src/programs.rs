//! The port for programs: a line of command in, a line of JSON out. `docs/remote.md` has the protocol for its users, and
//! [`net::wire`] its lines.
//!
//! ```text
//!   TCP ─▶ Knock: hello, login ─ right ─▶ Program, a Link ─▶ Seat with a session of TerminalKind::Program
//!            └─ wrong, late, refused: told, closed              └─ `vm console`: bytes both ways
//! ```
//!
//! It has the same gate, limits and audit as all that comes from afar, and what is done is the same session's. Nobody is
//! listened to before somebody has a password.

mod knock;
mod link;
mod stream;

use crate::host::Services;
use crate::people::time;
use crate::sessions::{Newcomer, Sessions};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use hv_core::host;
use hv_core::time::Instant;
use knock::{Knock, State};
use link::Program;
use net::login::{Origin, Rejected};
use net::stack::{ListenConfig, ListenerId};
use net::wire::{FailureKind, Reply};
use shell::session::{Lifetime, TerminalKind};
use vm_manager::host_config::HostConfig;

/// Connections that are taken in one poll.
const TAKEN: usize = 4;
/// Sockets beyond those that sessions and logins can have: for connections that come about or end.
const SPARE_SOCKETS: usize = 4;

/// The port, and those who are not logged in yet.
pub(crate) struct Programs {
    port: Option<u16>,
    sockets: usize,
    listener: Option<ListenerId>,
    knocks: Vec<Knock>,
}

impl Programs {
    /// As the configuration has it.
    pub(crate) fn new(config: &HostConfig) -> Self {
        let sockets = config.telnet.sessions + config.login.unauthenticated + SPARE_SOCKETS;
        Self { port: config.programs.port, sockets, listener: None, knocks: Vec::new() }
    }

    /// Takes connections and logs in whoever may; when there is more to do.
    pub(crate) fn poll(&mut self, sessions: &mut Sessions, services: &mut Services) -> Instant {
        self.listen(services);
        let now = host::now();
        let has_more = (0..TAKEN).all(|_| self.accept(services));
        let mut next = if has_more { now } else { Instant::NEVER };
        let mut index = 0;
        while let Some(knock) = self.knocks.get_mut(index) {
            match knock.poll(services, now) {
                State::Until(at) => {
                    next = next.min(at);
                    index += 1;
                }
                State::Over => {
                    let knock = self.knocks.swap_remove(index);
                    knock.end(services, now);
                }
                State::In => {
                    let knock = self.knocks.swap_remove(index);
                    sit_down(knock, sessions, services);
                    next = now;
                }
            }
        }
        next
    }

    /// Listens from when somebody can log in.
    fn listen(&mut self, services: &mut Services) {
        let (None, Some(port)) = (self.listener, self.port) else { return };
        if !services.people_mut().are_welcome() {
            return;
        }
        let Some(stack) = services.stack() else { return };
        let config = ListenConfig { connections: self.sockets, ..ListenConfig::default() };
        match stack.listen(port, &config) {
            Ok(listener) => {
                log::info!("programs are listened to on port {port}");
                self.listener = Some(listener);
            }
            Err(_) => {
                log::error!("programs cannot be listened to on port {port}: it is taken");
                self.port = None;
            }
        }
    }

    /// Takes a connection, if there is one.
    fn accept(&mut self, services: &mut Services) -> bool {
        let Some(listener) = self.listener else { return false };
        let Some(stack) = services.stack() else { return false };
        let Some(connection) = stack.accept(listener) else { return false };
        let peer = stack.peer(connection);
        let now = time(host::now());
        let Some(peer) = peer else {
            stack.abort(connection, now);
            services.has_sent();
            return true;
        };
        let refused = match services.people_mut().gate().connect(peer.ip(), now) {
            Ok(ticket) => {
                self.knocks.push(Knock::new(connection, ticket, peer.ip()));
                return true;
            }
            Err(refused) => refused,
        };
        services.has_sent();
        let Some(stack) = services.stack() else { return true };
        match refused {
            Rejected::LockedOut | Rejected::Strangers => {
                let kind = FailureKind::Closing;
                let line = Reply::Failed { kind, message: refused.reason() }.line();
                // A connection that is new has room for it.
                let _ = stack.send(connection, line.as_bytes());
                stack.close(connection, now);
            }
            // Who is not to know anything is not told.
            Rejected::NoUsers | Rejected::Network => stack.abort(connection, now),
        }
        true
    }
}

/// Whoever is logged in has a session.
fn sit_down(knock: Knock, sessions: &mut Sessions, services: &mut Services) {
    let origin = Origin::Remote(knock.from);
    let people = services.people_mut();
    let name = people.gate().user(knock.ticket).map(|user| String::from(user.name()));
    let Some(user) = name.and_then(|name| people.user(&name, origin)) else {
        // Nobody can log in whom the configuration does not name.
        knock.end(services, host::now());
        return;
    };
    let Knock { stream, ticket, .. } = knock;
    let program = Program::new(stream, &user);
    let newcomer = Newcomer {
        welcome: None,
        user,
        origin,
        terminal: TerminalKind::Program,
        size: None,
        ticket: Some(ticket),
        lifetime: Lifetime::Login,
        script: None,
    };
    sessions.add(Box::new(program), newcomer, services);
}
