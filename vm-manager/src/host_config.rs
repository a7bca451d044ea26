//! The host's own configuration, `configs/host.toml`: how Roost is reached, by whom, and which networks guests have.
//!
//! ```toml
//! [management]                    # Roost's own address
//! network = "lan"                 # a [[network]] that it is on, whose guests then reach the shell; the card if left out
//! ipv4 = "dhcp"                   # off, dhcp, or an address such as "10.0.0.2/24"
//! gateway = "10.0.0.1"
//! ipv6 = "link-local"             # off, link-local, or an address such as "fd00::2/64"
//! gateway6 = "fd00::1"
//!
//! [telnet]
//! port = 23                       # 0 is off
//! sessions = 8                    # 1 to 32
//! idle = "30m"                    # who types nothing for so long is logged out; 0s is never
//!
//! [programs]
//! port = 2324                     # commands in, JSON out; 0 is off
//!
//! [metrics]
//! port = 0                        # GET /metrics, without login; 0 is off
//!
//! [login]
//! allow = ["10.0.0.0/8"]          # where connections may come from; from everywhere if left out
//! timeout = "1m"                  # for logging in
//! unauthenticated = 8             # connections of nobody yet, at once; 1 to 32
//! serial = false                  # whether the serial port asks, too
//!
//! [[user]]
//! name = "anna"
//! role = "admin"                  # viewer, operator, admin; may be left out if there are grants
//! grants = ["web:operator"]       # VM:ROLE
//! password = "$argon2id$..."      # of `make passwd`; nobody logs in without one
//!
//! [[network]]
//! name = "lan"
//! kind = "isolated"               # isolated, host-only, bridged, nat
//! subnet = "192.168.76.0/24"      # of host-only and nat: Roost has its first address and gives out the others
//! dns = "10.0.2.3"                # of nat: who is asked for names; whom the card's network names if left out
//! isolate = false                 # whether its guests are kept from each other
//! ```
//!
//! Nothing of it must be there. It is only data here: what a password's hash means, for one, its users know.

mod reader;

use crate::config::ConfigError;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// The name of the file, which is no VM's, without `.toml`.
pub const NAME: &str = "host";

/// Users there may be.
pub const MAX_USERS: usize = 64;
/// Networks of guests there may be.
pub const MAX_NETWORKS: usize = 16;

/// Everything, checked; defaults for what is left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HostConfig {
    /// Roost's own address.
    pub management: Management,
    /// The shell for people.
    pub telnet: TelnetConfig,
    /// The shell for programs.
    pub programs: ProgramsConfig,
    /// Figures.
    pub metrics: MetricsConfig,
    /// Logging in.
    pub login: LoginConfig,
    /// Who may.
    pub users: Vec<UserConfig>,
    /// What guests' cards are connected to.
    pub networks: Vec<NetworkConfig>,
}

/// Addresses with a common beginning, or one with the network that it is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix<A> {
    /// An address.
    pub address: A,
    /// How many leading bits it has in common with others of its network.
    pub bits: u8,
}

/// An address of Roost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Addressing<A> {
    /// None.
    Off,
    /// What the network gives: by DHCP (RFC 2131), or with IPv6 the link-local address (RFC 4291, 2.5.6).
    Automatic,
    /// This one.
    Static(Prefix<A>),
}

/// Where Roost itself is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Management {
    /// The network of guests that it is on; the host's card if none.
    pub network: Option<String>,
    /// Of IPv4.
    pub ipv4: Addressing<Ipv4Addr>,
    /// Its router.
    pub gateway: Option<Ipv4Addr>,
    /// Of IPv6.
    pub ipv6: Addressing<Ipv6Addr>,
    /// Its router.
    pub gateway6: Option<Ipv6Addr>,
}

impl Default for Management {
    fn default() -> Self {
        let (ipv4, ipv6) = (Addressing::Automatic, Addressing::Automatic);
        Self { network: None, ipv4, gateway: None, ipv6, gateway6: None }
    }
}

/// The shell over telnet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TelnetConfig {
    /// The TCP port; `None` is off.
    pub port: Option<u16>,
    /// Sessions at once.
    pub sessions: usize,
    /// Who types nothing for so long is logged out.
    pub idle: Option<Duration>,
}

impl Default for TelnetConfig {
    fn default() -> Self {
        Self { port: Some(23), sessions: 8, idle: Some(Duration::from_secs(30 * 60)) }
    }
}

/// The shell for programs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProgramsConfig {
    /// The TCP port; `None` is off.
    pub port: Option<u16>,
}

impl Default for ProgramsConfig {
    fn default() -> Self {
        Self { port: Some(2324) }
    }
}

/// Figures over HTTP.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MetricsConfig {
    /// The TCP port; `None` is off.
    pub port: Option<u16>,
}

/// Logging in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoginConfig {
    /// Where connections may come from; from everywhere if empty.
    pub allow: Vec<Prefix<IpAddr>>,
    /// How long a login may take.
    pub timeout: Duration,
    /// Connections of nobody yet, at once.
    pub unauthenticated: usize,
    /// Whether the serial port asks, too.
    pub on_serial: bool,
}

impl Default for LoginConfig {
    fn default() -> Self {
        let (timeout, unauthenticated) = (Duration::from_secs(60), 8);
        Self { allow: Vec::new(), timeout, unauthenticated, on_serial: false }
    }
}

/// What somebody may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Look, and change nothing.
    Viewer,
    /// Run VMs.
    Operator,
    /// Everything.
    Admin,
}

/// Somebody who may log in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserConfig {
    /// The name.
    pub name: String,
    /// What he may do with everything.
    pub role: Option<Role>,
    /// What he may do with a VM, by its name.
    pub grants: Vec<(String, Role)>,
    /// The hash of his password, in PHC's form, which is not checked here.
    pub password: Option<String>,
    /// The line where he begins.
    pub line: u32,
}

/// What a network of guests is connected to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NetworkKind {
    /// To nothing.
    #[default]
    Isolated,
    /// To Roost.
    HostOnly,
    /// To the card, as if each guest had a cable of its own.
    Bridged,
    /// To what Roost reaches, by its address.
    Nat,
}

/// A network of guests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworkConfig {
    /// The name.
    pub name: String,
    /// What it is connected to.
    pub kind: NetworkKind,
    /// The addresses that Roost gives out, and the first of which it has.
    pub subnet: Option<Prefix<Ipv4Addr>>,
    /// Who is asked for names.
    pub dns: Option<Ipv4Addr>,
    /// Whether its guests are kept from each other.
    pub are_guests_apart: bool,
    /// The line where it begins.
    pub line: u32,
}

impl HostConfig {
    /// Reads a configuration. `file` is for errors only.
    ///
    /// # Errors
    ///
    /// If it is not TOML, has a key that does not exist, lacks one that must exist, or a value is not allowed.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, ConfigError> {
        reader::read(file, text)
    }

    /// The network of this name.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<&NetworkConfig> {
        self.networks.iter().find(|network| network.name == name)
    }
}

#[cfg(test)]
mod tests;
