//! The serial port where it asks for a login: who is there before each session, and after the script of the boot.

use super::{Newcomer, Serial, Sessions};
use crate::host::Services;
use crate::people::time;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::time::Instant;
use hv_core::{console, host};
use net::login::{Answer, Dialog, Echo, Origin, Status, Ticket};
use shell::session::{Lifetime, TerminalKind};

/// Keys that are looked at in one poll.
const KEYS: usize = 64;
/// How often it is looked how far a login is.
const LOOK: Duration = Duration::from_millis(50);
const WRONG: &str = "Login incorrect.\r\n";

/// Whoever is at the serial port and has not logged in.
pub(crate) struct Door {
    terminal: TerminalKind,
    ticket: Option<Ticket>,
    dialog: Dialog,
}

impl Door {
    /// Nobody is there yet.
    pub(crate) fn new(terminal: TerminalKind) -> Self {
        Self { terminal, ticket: None, dialog: Dialog::new() }
    }

    /// A bounded amount of work, when no session has the port; when there is more to do.
    pub(crate) fn poll(&mut self, sessions: &mut Sessions, services: &mut Services) -> Instant {
        if sessions.have_serial() {
            return Instant::NEVER;
        }
        console::service();
        console::set_reception(console::Reception::Wanted);
        let now = host::now();
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => {
                let ticket = services.people_mut().gate().connect_serial(time(now));
                self.dialog = Dialog::new();
                self.say("\r\n");
                *self.ticket.insert(ticket)
            }
        };
        match services.people_mut().status(ticket, now) {
            Status::Asking => self.converse(ticket, services),
            Status::Busy => now + LOOK,
            Status::Wrong => {
                services.people_mut().gate().ask_again(ticket);
                self.say(WRONG);
                now
            }
            Status::In => {
                self.ticket = None;
                self.enter(ticket, sessions, services);
                now
            }
            Status::Closed(why) => {
                write(format!("\r\n[{}]\r\n", why.reason()).as_bytes());
                services.people_mut().gate().disconnect(ticket, time(now));
                self.ticket = None;
                now
            }
        }
    }

    /// Says something, and asks.
    fn say(&self, text: &str) {
        write(text.as_bytes());
        write(self.dialog.prompt());
    }

    fn converse(&mut self, ticket: Ticket, services: &mut Services) -> Instant {
        for _ in 0..KEYS {
            let mut key = [0];
            // What is typed behind the password stays for the session.
            if console::read(&mut key) == 0 {
                return Instant::NEVER;
            }
            let mut shown = Vec::new();
            let answer = self.dialog.feed(key[0], Echo::Server, &mut shown);
            write(&shown);
            match answer {
                None => {}
                Some(Answer::Leave) => {
                    self.dialog = Dialog::new();
                    self.say("\r\n");
                }
                Some(Answer::Login { name, password }) => {
                    services.people_mut().gate().answer(ticket, &name, password);
                    break;
                }
            }
        }
        host::now()
    }

    fn enter(&self, ticket: Ticket, sessions: &mut Sessions, services: &mut Services) {
        let people = services.people_mut();
        let name = people.gate().user(ticket).map(|user| String::from(user.name()));
        let user = name.and_then(|name| people.user(&name, Origin::Serial));
        let Some(user) = user else { return };
        let who = Newcomer {
            welcome: Some(format!("Logged in as {}. 'help' lists the commands.", user.name)),
            user,
            origin: Origin::Serial,
            terminal: self.terminal,
            size: None,
            ticket: Some(ticket),
            lifetime: Lifetime::Login,
            script: None,
        };
        sessions.add(Box::new(Serial), who, services);
    }
}

/// Writes a few bytes, for which the console's queue has room.
fn write(bytes: &[u8]) {
    let _ = console::write(bytes);
}
