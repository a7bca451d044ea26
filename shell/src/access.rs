//! Who uses a session, and what that user may do.
//!
//! Each entry of the command table says what it `Needs`. `check` is the one place where that is compared with what the
//! user of the session has: a role on the whole machine, roles on single VMs, or both, of which the higher counts. A VM that
//! a user may not even look at does not exist for that user: `User::vms` leaves it out.

use crate::arguments::Arguments;
use crate::command::{Command, Kind};
use crate::error::Error;
use crate::host::{Host, VmSummary};
use crate::vm_name;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What a user may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Look at everything, and change nothing.
    Viewer,
    /// Run VMs: their lifecycle, and typing on their consoles.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Its name in configurations and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A role on one VM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The VM's name; there need be no such VM yet.
    pub vm: String,
    /// What may be done with it.
    pub role: Role,
}

/// The user of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// The name.
    pub name: String,
    /// Where the user is: `serial`, or an address.
    pub from: String,
    /// The role on the whole machine, if there is one.
    pub role: Option<Role>,
    /// Roles on single VMs.
    pub grants: Vec<Grant>,
}

impl User {
    /// Whoever is at the serial port, which asks for no login: all of the machine can be had there anyhow.
    #[must_use]
    pub fn local() -> Self {
        Self {
            name: "local".into(),
            from: "serial".into(),
            role: Some(Role::Admin),
            grants: Vec::new(),
        }
    }

    /// The role on the VM of this name.
    #[must_use]
    pub fn role_on(&self, vm: &str) -> Option<Role> {
        let granted = self.grants.iter().filter(|grant| grant.vm == vm).map(|grant| grant.role);
        granted.chain(self.role).max()
    }

    /// The VMs that the user may look at.
    pub(crate) fn vms(&self, host: &dyn Host) -> Vec<VmSummary> {
        let mut vms = host.vms();
        if self.role.is_none() {
            vms.retain(|vm| self.role_on(&vm.name).is_some());
        }
        vms
    }

    /// Whether there is anything with which the user may use a command.
    pub(crate) fn can_use(&self, command: &Command) -> bool {
        match command.needs {
            Needs::Login | Needs::ForOthers(_) => true,
            Needs::Machine(role) => self.role >= Some(role),
            Needs::Vm(role) => {
                self.grants.iter().map(|grant| grant.role).chain(self.role).max() >= Some(role)
            }
        }
    }
}

/// What a command needs of the user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Needs {
    /// Nothing: it is about the session, or known to all.
    Login,
    /// A role on the whole machine.
    Machine(Role),
    /// A role on each VM that it names. If it lists VMs, then those that the user may look at.
    Vm(Role),
    /// A role on the whole machine, unless it is about the user.
    ForOthers(Role),
}

impl Needs {
    /// Whether who may use the command may change something.
    pub(crate) fn is_for_changes(self) -> bool {
        match self {
            Self::Login => false,
            Self::Machine(role) | Self::Vm(role) => role > Role::Viewer,
            Self::ForOthers(_) => true,
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login => f.write_str("Anybody may."),
            Self::Machine(role) => write!(f, "Needs the role {role}."),
            Self::Vm(role) => write!(f, "Needs the role {role} on the VM."),
            Self::ForOthers(role) => write!(f, "Needs the role {role} for others than oneself."),
        }
    }
}

/// Whether `user` may give this command with these arguments.
///
/// # Errors
///
/// The user may not; or one of the VMs does not exist, or not for this user.
pub(crate) fn check(
    command: &Command,
    arguments: &Arguments,
    user: &User,
    host: &dyn Host,
) -> Result<(), Error> {
    let compare = |has, needed, on: &str| compare(has, needed, on, &command.name());
    match command.needs {
        Needs::Login => Ok(()),
        Needs::Machine(role) => compare(user.role, role, ""),
        Needs::ForOthers(role) => match arguments.word(0) {
            Some(other) if other != user.name => compare(user.role, role, ""),
            _ => Ok(()),
        },
        Needs::Vm(role) => {
            for (_, word) in words_of(command, arguments).filter(|(kind, _)| is_vm(*kind)) {
                let vm = vm_name::resolve(user, host, word)?;
                compare(user.role_on(&vm.name), role, &format!(" on VM '{}'", vm.name))?;
            }
            Ok(())
        }
    }
}

/// Whether `user` may do more with a VM than the command for it needs.
///
/// # Errors
///
/// The user may not.
pub(crate) fn require(user: &User, needed: Role, vm: &str, what: &str) -> Result<(), Error> {
    compare(user.role_on(vm), needed, &format!(" on VM '{vm}'"), what)
}

fn compare(has: Option<Role>, needed: Role, on: &str, what: &str) -> Result<(), Error> {
    if has >= Some(needed) {
        return Ok(());
    }
    let has = match has {
        Some(role) => format!("you are {role}"),
        None if on.is_empty() => "you have none on the machine".into(),
        None => "you have none".into(),
    };
    Err(Error::Forbidden(format!("'{what}' needs the role {needed}{on}; {has}")))
}

/// The command as others may read it: without what may be secret, such as text that is typed on a console. What is no
/// user's name may be a password: `passwd` does not take one, but people give it.
pub(crate) fn public(command: &Command, arguments: &Arguments, host: &dyn Host) -> String {
    let mut text = command.name();
    for (kind, word) in words_of(command, arguments) {
        let is_secret = matches!(kind, Some(Kind::Text))
            || matches!(kind, Some(Kind::User))
                && !host.registry().users().iter().any(|user| user == word);
        text.push(' ');
        text.push_str(if is_secret { "..." } else { word });
    }
    for word in arguments.options().flat_map(|(name, value)| [name, value]) {
        if !word.is_empty() {
            text.push(' ');
            text.push_str(word);
        }
    }
    text
}

fn words_of<'a>(
    command: &'a Command,
    arguments: &'a Arguments,
) -> impl Iterator<Item = (Option<Kind>, &'a str)> {
    let words = arguments.words(0).iter().enumerate();
    words.map(|(at, word)| (command.parameter(at).map(|parameter| parameter.kind), word.as_str()))
}

fn is_vm(kind: Option<Kind>) -> bool {
    matches!(kind, Some(Kind::Vm))
}

#[cfg(test)]
mod tests;
