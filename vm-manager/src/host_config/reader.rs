//! Walks the host's configuration, in the order in which it is written.

use super::{
    Addressing, HostConfig, MAX_NETWORKS, MAX_USERS, NetworkConfig, NetworkKind, Prefix, Role,
    UserConfig,
};
use crate::config::ConfigError;
use crate::config::document::{Document, found, in_order};
use crate::config::error::{shown, unknown};
use crate::config::found::{Found, Refusal};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// The longest line of a password's hash.
const PASSWORD_MAX: usize = 256;
/// Who is at the serial port: nobody else is called so in the audit.
const LOCAL: &str = "local";
/// Grants of one user, and networks of an allow-list.
const LIST_MAX: usize = 64;

const SECTIONS: [(&str, Form, &[&str]); 7] = [
    ("management", Form::One, &["network", "ipv4", "gateway", "ipv6", "gateway6"]),
    ("telnet", Form::One, &["port", "sessions", "idle"]),
    ("programs", Form::One, &["port"]),
    ("metrics", Form::One, &["port"]),
    ("login", Form::One, &["allow", "timeout", "unauthenticated", "serial"]),
    ("user", Form::Several, &["name", "role", "grants", "password"]),
    ("network", Form::Several, &["name", "kind", "subnet", "dns", "isolate"]),
];

/// How often a section may be there.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Form {
    One,
    Several,
}

impl Form {
    fn brackets(self, section: &str) -> String {
        match self {
            Self::One => format!("[{section}]"),
            Self::Several => format!("[[{section}]]"),
        }
    }
}

pub(super) fn read(file: &str, text: &[u8]) -> Result<HostConfig, ConfigError> {
    let document = Document::new(file, text)?;
    let table = document.table()?;
    let mut reader = Reader { document, config: HostConfig::default() };
    for (name, value) in in_order(table.get_ref()) {
        reader.root(name, value)?;
    }
    reader.check(table.get_ref())?;
    Ok(reader.config)
}

struct Reader<'t> {
    document: Document<'t>,
    config: HostConfig,
}

impl Reader<'_> {
    fn root(
        &mut self,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        let start = name.span().start;
        let known = SECTIONS.iter().find(|(section, ..)| *section == name.get_ref().as_ref());
        let Some(&(section, form, keys)) = known else {
            let names: Vec<&str> = SECTIONS.iter().map(|(section, ..)| *section).collect();
            let problem = unknown(name.get_ref(), &names);
            return Err(self.document.error(start, &shown(name.get_ref()), problem));
        };
        match (form, value.get_ref()) {
            (Form::One, DeValue::Table(table)) => self.section(section, keys, table),
            (Form::Several, DeValue::Array(items)) => {
                for item in items {
                    let DeValue::Table(table) = item.get_ref() else {
                        return Err(self.no_section(item.span().start, section, form, item));
                    };
                    let line = self.document.line(item.span().start);
                    self.begin(section, line, item.span().start)?;
                    self.section(section, keys, table)?;
                    if !table.iter().any(|(name, _)| name.get_ref() == "name") {
                        let problem =
                            format!("missing; every {} must have it", form.brackets(section));
                        let key = format!("{section}.name");
                        return Err(self.document.error(item.span().start, &key, problem));
                    }
                }
                Ok(())
            }
            (_, _) => Err(self.no_section(start, section, form, value)),
        }
    }

    fn no_section(
        &self,
        at: usize,
        section: &str,
        form: Form,
        value: &Spanned<DeValue<'_>>,
    ) -> ConfigError {
        let found = match value.get_ref() {
            DeValue::Table(_) => Form::One.brackets(section),
            DeValue::Array(_) => Form::Several.brackets(section),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => format!("{}", found(value.get_ref())),
        };
        let problem = format!("found {found}, allowed a section {}", form.brackets(section));
        self.document.error(at, section, problem)
    }

    /// One more of those that there may be several of.
    fn begin(&mut self, section: &str, line: u32, at: usize) -> Result<(), ConfigError> {
        let most = if section == "user" { MAX_USERS } else { MAX_NETWORKS };
        let count =
            if section == "user" { self.config.users.len() } else { self.config.networks.len() };
        if count == most {
            let problem = format!("found another one, allowed up to {most}");
            return Err(self.document.error(at, section, problem));
        }
        if section == "user" {
            self.config.users.push(UserConfig {
                name: String::new(),
                role: None,
                grants: Vec::new(),
                password: None,
                line,
            });
        } else {
            self.config.networks.push(NetworkConfig {
                name: String::new(),
                kind: NetworkKind::default(),
                subnet: None,
                dns: None,
                are_guests_apart: false,
                line,
            });
        }
        Ok(())
    }

    fn section(
        &mut self,
        section: &str,
        keys: &[&str],
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (name, value) in in_order(table) {
            let key = name.get_ref().as_ref();
            let path = format!("{section}.{}", shown(key));
            if !keys.contains(&key) {
                let problem = unknown(key, keys);
                return Err(self.document.error(name.span().start, &path, problem));
            }
            self.apply(section, key, &found(value.get_ref())).map_err(|refusal| {
                self.document.error(value.span().start, &path, refusal.into_text())
            })?;
        }
        Ok(())
    }

    fn apply(&mut self, section: &str, key: &str, found: &Found<'_>) -> Result<(), Refusal> {
        let HostConfig { management, telnet, programs, metrics, login, users, networks } =
            &mut self.config;
        match (section, key) {
            ("management", "network") => management.network = Some(found.name()?.to_owned()),
            ("management", "ipv4") => management.ipv4 = addressing(found, "dhcp", "10.0.0.2/24")?,
            ("management", "gateway") => management.gateway = Some(address(found, "10.0.0.1")?),
            ("management", "ipv6") => {
                management.ipv6 = addressing(found, "link-local", "fd00::2/64")?;
            }
            ("management", "gateway6") => management.gateway6 = Some(address(found, "fd00::1")?),
            ("telnet", "port") => telnet.port = port(found)?,
            ("telnet", "sessions") => telnet.sessions = count(found, 1..=32)?,
            ("telnet", "idle") => {
                telnet.idle = Some(found.duration()?).filter(|idle| *idle > Duration::ZERO);
            }
            ("programs", "port") => programs.port = port(found)?,
            ("metrics", "port") => metrics.port = port(found)?,
            ("login", "allow") => login.allow = list(found, network_of, "\"10.0.0.0/8\"")?,
            ("login", "timeout") => {
                login.timeout = Some(found.duration()?)
                    .filter(|timeout| *timeout >= Duration::from_secs(1))
                    .ok_or_else(|| found.refuse("1s to 24h"))?;
            }
            ("login", "unauthenticated") => login.unauthenticated = count(found, 1..=32)?,
            ("login", "serial") => login.on_serial = found.flag()?,
            // The rest belongs to the user or the network that was begun last.
            ("user", _) => {
                if let Some(user) = users.last_mut() {
                    apply_user(user, key, found)?;
                }
            }
            (_, _) => {
                if let Some(network) = networks.last_mut() {
                    apply_network(network, key, found)?;
                }
            }
        }
        Ok(())
    }

    /// What concerns more than one value.
    fn check(&self, table: &DeTable<'_>) -> Result<(), ConfigError> {
        let HostConfig { management, telnet, programs, metrics, users, networks, .. } =
            &self.config;
        let section_at = |section: &str| {
            let found = table.iter().find(|(key, _)| key.get_ref() == section);
            found.map(|(key, _)| key.span().start)
        };
        let ports =
            [("telnet", telnet.port), ("programs", programs.port), ("metrics", metrics.port)];
        for (index, (section, port)) in ports.into_iter().enumerate() {
            let mut before = ports.into_iter().take(index);
            let Some((other, _)) = before.find(|(_, other)| other.is_some() && *other == port)
            else {
                continue;
            };
            let at = section_at(section).or_else(|| section_at(other)).unwrap_or(0);
            let problem = format!("found {}, which is that of [{other}]", port.unwrap_or(0));
            return Err(self.document.error(at, &format!("{section}.port"), problem));
        }
        for (index, user) in users.iter().enumerate() {
            if users.iter().take(index).any(|other| other.name == user.name) {
                let problem = format!("found '{}' twice, allowed once", user.name);
                return Err(self.document.error_in_line(user.line, "user.name", problem));
            }
            if user.role.is_none() && user.grants.is_empty() {
                let problem = "missing; a user has a role, or grants for VMs".to_owned();
                return Err(self.document.error_in_line(user.line, "user.role", problem));
            }
        }
        for (index, network) in networks.iter().enumerate() {
            let error = |key, problem| Err(self.document.error_in_line(network.line, key, problem));
            if networks.iter().take(index).any(|other| other.name == network.name) {
                let problem = format!("found '{}' twice, allowed once", network.name);
                return error("network.name", problem);
            }
            let has_subnet = matches!(network.kind, NetworkKind::HostOnly | NetworkKind::Nat);
            match network.subnet {
                None if has_subnet => {
                    let problem = "missing; of kind host-only and nat must have it".to_owned();
                    return error("network.subnet", problem);
                }
                Some(_) if !has_subnet => {
                    let problem = "only for kind host-only and nat".to_owned();
                    return error("network.subnet", problem);
                }
                Some(_) | None => {}
            }
            let before = networks.iter().take(index);
            if let Some(other) = before.into_iter().find(|other| overlap(other, network)) {
                let problem = format!("found one that overlaps that of '{}'", other.name);
                return error("network.subnet", problem);
            }
            if network.dns.is_some() && network.kind != NetworkKind::Nat {
                return error("network.dns", "only for kind nat".to_owned());
            }
        }
        let at = section_at("management").unwrap_or(0);
        // Without an address to go with, it would be ignored.
        if management.gateway.is_some() && !matches!(management.ipv4, Addressing::Static(_)) {
            let problem = "only with an address in ipv4".to_owned();
            return Err(self.document.error(at, "management.gateway", problem));
        }
        if management.gateway6.is_some() && !matches!(management.ipv6, Addressing::Static(_)) {
            let problem = "only with an address in ipv6".to_owned();
            return Err(self.document.error(at, "management.gateway6", problem));
        }
        let Some(name) = &management.network else { return Ok(()) };
        match networks.iter().find(|network| network.name == *name).map(|network| network.kind) {
            Some(NetworkKind::HostOnly | NetworkKind::Bridged) => Ok(()),
            Some(NetworkKind::Isolated | NetworkKind::Nat) => {
                let problem =
                    format!("found '{name}', allowed a network of kind host-only or bridged");
                Err(self.document.error(at, "management.network", problem))
            }
            None => {
                let names: Vec<&str> =
                    networks.iter().map(|network| network.name.as_str()).collect();
                let allowed = match names.is_empty() {
                    true => "there is no [[network]]".to_owned(),
                    false => format!("allowed {}", names.join(", ")),
                };
                let problem = format!("found '{name}', {allowed}");
                Err(self.document.error(at, "management.network", problem))
            }
        }
    }
}

fn apply_user(user: &mut UserConfig, key: &str, found: &Found<'_>) -> Result<(), Refusal> {
    match key {
        "name" => user.name = user_name(found)?.to_owned(),
        "role" => user.role = Some(found.choice(&ROLES)?),
        "grants" => user.grants = list(found, grant, "\"web:operator\"")?,
        _ => {
            let is_hash = |text: &&str| {
                text.starts_with('$')
                    && text.len() <= PASSWORD_MAX
                    && text.bytes().all(|byte| byte.is_ascii_graphic())
            };
            // What was found may be a password.
            let hash = found.as_text().filter(is_hash).ok_or_else(|| {
                Found::Other("something else").refuse("the line that 'make passwd' prints")
            })?;
            user.password = Some(hash.to_owned());
        }
    }
    Ok(())
}

fn apply_network(network: &mut NetworkConfig, key: &str, found: &Found<'_>) -> Result<(), Refusal> {
    match key {
        "name" => network.name = found.name()?.to_owned(),
        "kind" => {
            network.kind = found.choice(&[
                ("isolated", NetworkKind::Isolated),
                ("host-only", NetworkKind::HostOnly),
                ("bridged", NetworkKind::Bridged),
                ("nat", NetworkKind::Nat),
            ])?;
        }
        "subnet" => network.subnet = Some(subnet(found)?),
        "dns" => network.dns = Some(address(found, "10.0.2.3")?),
        _ => network.are_guests_apart = found.flag()?,
    }
    Ok(())
}

const ROLES: [(&str, Role); 3] =
    [("viewer", Role::Viewer), ("operator", Role::Operator), ("admin", Role::Admin)];

fn user_name<'a>(found: &Found<'a>) -> Result<&'a str, Refusal> {
    let is_name = |text: &&str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        (1..=32).contains(&text.len()) && text.bytes().all(is_letter)
    };
    let name = found.as_text().filter(is_name);
    let name = name.ok_or_else(|| found.refuse("1 to 32 letters, digits, '_', '.' and '-'"))?;
    if name == LOCAL {
        return Err(found.refuse("another name: whoever is at the serial port has this one"));
    }
    Ok(name)
}

fn grant(text: &str) -> Option<(String, Role)> {
    let (vm, role) = text.rsplit_once(':')?;
    let vm = Found::Text(vm).name().ok()?;
    let (_, role) = ROLES.iter().find(|(name, _)| *name == role)?;
    Some((vm.to_owned(), *role))
}

fn port(found: &Found<'_>) -> Result<Option<u16>, Refusal> {
    Ok(Some(found.number(0..=u16::MAX)?).filter(|port| *port != 0))
}

fn count(found: &Found<'_>, range: RangeInclusive<u16>) -> Result<usize, Refusal> {
    found.number(range).map(usize::from)
}

/// The address of one host.
fn address<A: Host>(found: &Found<'_>, example: &str) -> Result<A, Refusal> {
    let address: Option<A> = found.as_text().and_then(|text| text.parse().ok());
    let address = address.filter(|&address| A::can_be_host(Prefix { address, bits: A::BITS }));
    address.ok_or_else(|| found.refuse(&format!("the address of a host, such as \"{example}\"")))
}

fn addressing<A: Host>(
    found: &Found<'_>,
    automatic: &str,
    example: &str,
) -> Result<Addressing<A>, Refusal> {
    let addressing = found.as_text().and_then(|text| match text {
        "off" => Some(Addressing::Off),
        _ if text == automatic => Some(Addressing::Automatic),
        _ => prefix::<A>(text).filter(|prefix| A::can_be_host(*prefix)).map(Addressing::Static),
    });
    addressing.ok_or_else(|| {
        found.refuse(&format!("off, {automatic}, or an address such as \"{example}\""))
    })
}

/// An address of either version.
trait Host: FromStr + Copy + Display {
    const BITS: u8;
    /// Whether one host may have it in its network.
    fn can_be_host(prefix: Prefix<Self>) -> bool;
}

impl Host for Ipv4Addr {
    const BITS: u8 = 32;

    fn can_be_host(prefix: Prefix<Self>) -> bool {
        let Prefix { address, bits } = prefix;
        let host = address.to_bits() & !mask(bits);
        let is_ordinary = !address.is_multicast()
            && !address.is_broadcast()
            && !address.is_unspecified()
            && !address.is_loopback();
        // With 31 bits, both addresses are hosts' (RFC 3021).
        is_ordinary && bits > 0 && (bits >= 31 || (host != 0 && host != !mask(bits)))
    }
}

impl Host for Ipv6Addr {
    const BITS: u8 = 128;

    fn can_be_host(prefix: Prefix<Self>) -> bool {
        let Prefix { address, bits } = prefix;
        bits > 0 && !address.is_multicast() && !address.is_unspecified() && !address.is_loopback()
    }
}

fn prefix<A: Host>(text: &str) -> Option<Prefix<A>> {
    let (address, bits) = text.split_once('/')?;
    Some(Prefix { address: address.parse().ok()?, bits: bits_of(bits, A::BITS)? })
}

fn bits_of(text: &str, most: u8) -> Option<u8> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|bits| is_number && *bits <= most)
}

/// A network, of either version: an address alone is one as well.
fn network_of(text: &str) -> Option<Prefix<IpAddr>> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits_of(bits, most))?;
    let has_rest = match address {
        IpAddr::V4(address) => address.to_bits() & !mask(bits) != 0,
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            address.to_bits() & !mask != 0
        }
    };
    // Bits after the prefix are a slip: which network is meant?
    (!has_rest).then_some(Prefix { address, bits })
}

fn subnet(found: &Found<'_>) -> Result<Prefix<Ipv4Addr>, Refusal> {
    let subnet = found.as_text().and_then(prefix::<Ipv4Addr>).filter(|subnet| {
        let Prefix { address, bits } = *subnet;
        let first = Prefix { address: Ipv4Addr::from_bits(address.to_bits() | 1), bits };
        (8..=29).contains(&bits)
            && address.to_bits() & !mask(bits) == 0
            && !address.is_unspecified()
            && Ipv4Addr::can_be_host(first)
    });
    subnet.ok_or_else(|| found.refuse("8 to 29 bits of a network, such as \"192.168.76.0/24\""))
}

fn overlap(one: &NetworkConfig, other: &NetworkConfig) -> bool {
    let (Some(one), Some(other)) = (one.subnet, other.subnet) else { return false };
    let mask = mask(one.bits.min(other.bits));
    one.address.to_bits() & mask == other.address.to_bits() & mask
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn list<T>(
    found: &Found<'_>,
    item: impl Fn(&str) -> Option<T>,
    example: &str,
) -> Result<Vec<T>, Refusal> {
    let items = || {
        let Found::List(items) = found else { return None };
        let items = Some(items).filter(|items| items.len() <= LIST_MAX)?;
        items.iter().map(|found| found.as_text().and_then(&item)).collect()
    };
    items().ok_or_else(|| found.refuse(&format!("a list of up to {LIST_MAX}, such as [{example}]")))
}
