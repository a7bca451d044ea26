//! The host's configuration as people write it, and as nobody should.

use super::*;
use proptest::prelude::*;

const FULL: &str = r#"
[management]
network = "office"
ipv4 = "10.0.0.2/24"
gateway = "10.0.0.1"
ipv6 = "fd00::2/64"
gateway6 = "fd00::1"

[telnet]
port = 2300
sessions = 3
idle = "0s"

[programs]
port = 0

[metrics]
port = 9100

[login]
allow = ["10.0.0.0/8", "fe80::/10", "192.168.1.7"]
timeout = "30s"
unauthenticated = 2
serial = true

[[user]]
name = "anna"
role = "admin"
password = "$argon2id$v=19$m=8192,t=3,p=1$c2FsdA$aGFzaA"

[[user]]
name = "ben"
grants = ["web:operator", "db:viewer"]

[[network]]
name = "office"
kind = "bridged"

[[network]]
name = "out"
kind = "nat"
subnet = "192.168.76.0/24"
dns = "10.0.2.3"
isolate = true
"#;

fn parse(text: &str) -> Result<HostConfig, String> {
    HostConfig::parse("host.toml", text.as_bytes()).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err()
}

#[test]
fn every_key_arrives() {
    let config = parse(FULL).unwrap();
    let Management { network, ipv4, gateway, ipv6, gateway6 } = &config.management;
    assert_eq!(network.as_deref(), Some("office"));
    let four = Prefix { address: "10.0.0.2".parse().unwrap(), bits: 24 };
    assert_eq!((*ipv4, *gateway), (Addressing::Static(four), "10.0.0.1".parse().ok()));
    let six = Prefix { address: "fd00::2".parse().unwrap(), bits: 64 };
    assert_eq!((*ipv6, *gateway6), (Addressing::Static(six), "fd00::1".parse().ok()));
    assert_eq!(config.telnet, TelnetConfig { port: Some(2300), sessions: 3, idle: None });
    assert_eq!((config.programs.port, config.metrics.port), (None, Some(9100)));
    assert_eq!(config.login.allow.iter().map(|of| of.bits).collect::<Vec<_>>(), [8, 10, 32]);
    assert_eq!(config.login.timeout, Duration::from_secs(30));
    assert!(config.login.unauthenticated == 2 && config.login.on_serial);
    let [anna, ben] = &config.users[..] else { panic!("{:?}", config.users) };
    assert_eq!((anna.name.as_str(), anna.role), ("anna", Some(Role::Admin)));
    assert!(anna.password.is_some() && ben.password.is_none() && ben.role.is_none());
    let grants = [("web".to_owned(), Role::Operator), ("db".to_owned(), Role::Viewer)];
    assert_eq!(ben.grants, grants);
    let out = config.network("out").unwrap();
    assert_eq!((out.kind, out.subnet.unwrap().bits), (NetworkKind::Nat, 24));
    assert!(out.are_guests_apart && out.dns.is_some());
    assert_eq!(config.network("office").unwrap().kind, NetworkKind::Bridged);
}

#[test]
fn nothing_has_to_be_there() {
    let config = parse("").unwrap();
    assert_eq!(config, HostConfig::default());
    assert_eq!((config.telnet.port, config.metrics.port), (Some(23), None));
    assert!(config.users.is_empty());
}

#[test]
fn errors_say_where_what_was_found_and_what_is_allowed() {
    assert_eq!(
        error("[telnet]\nprot = 1"),
        "host.toml:2: telnet.prot: unknown key; did you mean 'port'? allowed: port, sessions, idle"
    );
    assert_eq!(
        error("\n[telnet]\nport = 70000"),
        "host.toml:3: telnet.port: found 70000, allowed 0 to 65535"
    );
    assert_eq!(error("telnet = 23"), "host.toml:1: telnet: found 23, allowed a section [telnet]");
    assert_eq!(error("[user]"), "host.toml:1: user: found [user], allowed a section [[user]]");
    assert_eq!(
        error("[[telnet]]"),
        "host.toml:1: telnet: found [[telnet]], allowed a section [telnet]"
    );
    assert!(error("[web]").contains("unknown key"));
    assert_eq!(
        error("[[user]]\nrole = \"admin\""),
        "host.toml:1: user.name: missing; every [[user]] must have it"
    );
    assert_eq!(
        error("[[user]]\nname = \"a\""),
        "host.toml:1: user.role: missing; a user has a role, or grants for VMs"
    );
    assert_eq!(
        error("[management]\nnetwork = \"lan\"\n[[network]]\nname = \"lan\""),
        "host.toml:1: management.network: found 'lan', allowed a network of kind host-only or bridged"
    );
    assert_eq!(
        error("[management]\nnetwork = \"lan\""),
        "host.toml:1: management.network: found 'lan', there is no [[network]]"
    );
}

#[test]
fn a_password_in_the_place_of_its_hash_is_not_shown() {
    let error = error("[[user]]\nname = \"a\"\nrole = \"admin\"\npassword = \"secret\"");
    assert!(!error.contains("secret") && error.contains("make passwd"), "{error}");
}

#[test]
fn what_cannot_be_an_address_is_refused() {
    for address in ["10.0.0.0/24", "10.0.0.255/24", "10.0.0.2", "10.0.0.2/33", "224.0.0.1/4"] {
        let error = error(&format!("[management]\nipv4 = \"{address}\""));
        assert!(error.contains("allowed off, dhcp, or an address"), "{error}");
    }
    for subnet in ["10.0.0.1/24", "10.0.0.0/30", "0.0.0.0/8", "127.0.0.0/8", "10.0.0.0"] {
        let network = format!("[[network]]\nname = \"n\"\nkind = \"nat\"\nsubnet = \"{subnet}\"");
        assert!(parse(&network).is_err(), "{subnet}");
    }
    for network in ["10.0.0.1/8", "10.0.0.0/+8", "x", "::/129"] {
        assert!(parse(&format!("[login]\nallow = [\"{network}\"]")).is_err(), "{network}");
    }
}

#[test]
fn a_gateway_is_a_host_beside_an_address_that_is_given() {
    let of = |four: &str, six: &str| {
        format!(
            "[management]\nipv4 = \"10.0.0.2/24\"\ngateway = \"{four}\"\n\
             ipv6 = \"fd00::2/64\"\ngateway6 = \"{six}\"\n"
        )
    };
    parse(&of("10.0.0.1", "fe80::1")).unwrap();
    for gateway in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.1/24", ""] {
        assert!(error(&of(gateway, "fd00::1")).contains("management.gateway"), "{gateway}");
    }
    for gateway in ["::", "::1", "ff02::1", "fd00::1/64", "10.0.0.1"] {
        assert!(error(&of("10.0.0.1", gateway)).contains("management.gateway6"), "{gateway}");
    }
    let alone = error("[management]\nipv4 = \"dhcp\"\ngateway = \"10.0.0.1\"\n");
    assert!(alone.contains("management.gateway: only with an address in ipv4"), "{alone}");
    let alone = error("[management]\ngateway6 = \"fd00::1\"\n");
    assert!(alone.contains("management.gateway6: only with an address in ipv6"), "{alone}");
}

#[test]
fn names_are_of_one() {
    let user = "[[user]]\nname = \"a\"\nrole = \"viewer\"\n";
    assert!(error(&user.repeat(2)).contains("host.toml:4: user.name: found 'a' twice"));
    let local = user.replace("\"a\"", "\"local\"");
    assert!(
        error(&local).contains("user.name: found 'local', allowed another name"),
        "{}",
        error(&local)
    );
    let network = "[[network]]\nname = \"a\"\n";
    assert!(error(&network.repeat(2)).contains("host.toml:3: network.name: found 'a' twice"));
}

#[test]
fn two_ports_are_not_the_same() {
    assert_eq!(
        error("\n[metrics]\nport = 23"),
        "host.toml:2: metrics.port: found 23, which is that of [telnet]"
    );
    assert_eq!(
        error("[telnet]\nport = 2324"),
        "host.toml:1: programs.port: found 2324, which is that of [telnet]"
    );
    assert!(parse("[telnet]\nport = 0\n[programs]\nport = 0\n[metrics]\nport = 0").is_ok());
    assert!(parse("[telnet]\nport = 2324\n[programs]\nport = 23").is_ok());
}

#[test]
fn subnets_do_not_overlap() {
    let network = |name: &str, subnet: &str| {
        format!("[[network]]\nname = \"{name}\"\nkind = \"nat\"\nsubnet = \"{subnet}\"\n")
    };
    let two = |a, b| parse(&(network("a", a) + &network("b", b)));
    assert!(two("10.1.0.0/16", "10.2.0.0/16").is_ok());
    assert!(two("10.0.0.0/8", "10.2.0.0/16").unwrap_err().contains("overlaps that of 'a'"));
}

#[test]
fn there_are_not_more_than_can_be() {
    let networks: String =
        (0..=MAX_NETWORKS).map(|index| format!("[[network]]\nname = \"n{index}\"\n")).collect();
    assert!(error(&networks).contains("allowed up to 16"));
}

proptest! {
    #[test]
    fn no_text_does_harm(text in ".*") {
        let _ = parse(&text);
    }

    #[test]
    fn no_value_does_harm(
        key in prop::sample::select(vec![
            "management.ipv4", "management.ipv6", "telnet.port", "login.allow", "network.subnet", "user.grants",
        ]),
        value in "\"[0-9a-f:./]{0,20}\"|[0-9]{1,30}|\\[\"[0-9./:]{0,9}\"\\]|true",
    ) {
        let (section, key) = key.split_once('.').unwrap();
        let text = match section {
            "user" | "network" => format!("[[{section}]]\nname = \"n\"\n{key} = {value}"),
            _ => format!("[{section}]\n{key} = {value}"),
        };
        if let Err(error) = parse(&text) {
            prop_assert!(error.starts_with("host.toml"));
        }
    }
}
