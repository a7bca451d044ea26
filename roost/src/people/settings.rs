//! Users and limits, as the host's configuration has them.

use super::{People, Person};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use net::login::{Directory, Limits, Network, Networks, Role, User};
use vm_manager::host_config::{self, HostConfig, UserConfig};

/// Connections from one address of those that have not logged in, as a part of all.
const SHARE_OF_ADDRESS: usize = 2;

impl People {
    /// The people of a configuration, and what the operator should know. A user whose password cannot be used is there
    /// without one.
    pub(crate) fn of(config: &HostConfig) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let mut users = Directory::default();
        let persons: Vec<Person> = config.users.iter().map(person).collect();
        for (person, entry) in persons.iter().zip(&config.users) {
            let Some(password) = &entry.password else { continue };
            let user = User::new(&person.name, password, person.role, person.grants.clone());
            if let Err(error) = user.and_then(|user| users.add(user)) {
                notes.push(format!(
                    "host.toml:{}: {} cannot log in: {error}",
                    entry.line, person.name
                ));
            }
        }
        (Self::new(persons, users, limits(config)), notes)
    }
}

fn person(user: &UserConfig) -> Person {
    let grants = user.grants.iter().map(|(vm, role)| (vm.clone(), of_role(*role)));
    Person { name: user.name.clone(), role: user.role.map(of_role), grants: grants.collect() }
}

fn of_role(role: host_config::Role) -> Role {
    match role {
        host_config::Role::Viewer => Role::Viewer,
        host_config::Role::Operator => Role::Operator,
        host_config::Role::Admin => Role::Admin,
    }
}

fn limits(config: &HostConfig) -> Limits {
    let login = &config.login;
    let allow = login.allow.iter();
    let networks = allow.map(|prefix| Network::new(prefix.address, prefix.bits));
    Limits {
        networks: Networks(networks.collect()),
        sessions: config.telnet.sessions,
        strangers: login.unauthenticated,
        strangers_of_address: login.unauthenticated.div_ceil(SHARE_OF_ADDRESS),
        login_timeout: login.timeout,
        idle_timeout: config.telnet.idle,
        ..Limits::default()
    }
}
