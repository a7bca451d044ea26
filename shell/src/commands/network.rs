//! `net`, `net stats` and `ping`.

use super::{parse_count, print};
use crate::access::{Needs, Role};
use crate::amount::{About, parse_duration};
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{
    AddressOrigin, AddressSummary, LinkState, NatSummary, NetworkStatistics, NetworkSummary,
};
use crate::output::Output;
use crate::table::{self, Column};
use crate::task::ping::Ping;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::IpAddr;
use core::time::Duration;

/// Requests of `ping` unless given.
const PINGS: u64 = 4;
/// The most requests of one `ping`.
const MOST_PINGS: u64 = 10_000;
/// How long `ping` waits for each answer unless given.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest that it may.
const MOST_PATIENCE: Duration = Duration::from_secs(60);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["net"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "show the host's own network: card, link and addresses",
        details: "[management] of the host's configuration says which they are; DHCP unless it does.",
        example: "net",
        run: show,
    },
    Command {
        path: &["net", "stats"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "show what the host's own network has counted",
        details: "Deferrals: how often guests had their turn though more frames waited. Each TCP port has room for a number \
                  of connections; incomplete ones are half open, or closed by one side.",
        example: "net stats",
        run: statistics,
    },
    Command {
        path: &["ping"],
        needs: Needs::Machine(Role::Operator),
        parameters: &[Parameter { name: "ADDRESS", count: Count::One, kind: Kind::Value }],
        options: &[
            Switch {
                name: "--count",
                value: Some(("N", Kind::Value)),
                help: "how often, one second apart; 4 unless given",
            },
            Switch {
                name: "--timeout",
                value: Some(("DURATION", Kind::Value)),
                help: "how long to wait for each answer; 2s unless given",
            },
            Switch::JSON,
        ],
        summary: "ask an address of IPv4 or IPv6 whether it is there",
        details: "Ctrl-C ends it. It fails if there is no answer at all.",
        example: "ping 10.0.2.2 --count 3",
        run: ping,
    },
];

fn show(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let network = context.host.network();
    print(context, arguments, &network, |context, network| {
        Ok(print_network(context.out, network)?)
    })?;
    Ok(Flow::Done)
}

fn print_network(out: &mut Output, network: &NetworkSummary) -> fmt::Result {
    if let Some(note) = &network.note {
        writeln!(out, "{note}")?;
    }
    if let Some(port) = &network.port {
        let polled = if port.interrupts { "" } else { ", polled" };
        writeln!(out, "card     {} at {}, link {}{polled}", port.mac, port.place, port.link)?;
        print_addresses(out, "ipv4", &network.ipv4, port.link)?;
        print_addresses(out, "ipv6", &network.ipv6, port.link)?;
    }
    for card in &network.spare_cards {
        writeln!(out, "unused   {card}")?;
    }
    Ok(())
}

fn print_addresses(
    out: &mut Output,
    kind: &str,
    summary: &AddressSummary,
    link: LinkState,
) -> fmt::Result {
    let server = summary.server.as_ref().map_or_else(String::new, |server| format!(" of {server}"));
    let origin = match summary.origin {
        AddressOrigin::Off => "off".to_string(),
        AddressOrigin::Dhcp => format!("by DHCP{server}"),
        AddressOrigin::Static => "static".to_string(),
        AddressOrigin::LinkLocal => "link-local".to_string(),
    };
    let list = summary.addresses.join(", ");
    match (summary.origin, list.as_str(), link) {
        (AddressOrigin::Off, ..) => writeln!(out, "{kind}     off")?,
        (_, "", LinkState::Up) => writeln!(out, "{kind}     none yet, {origin}")?,
        (_, "", LinkState::Down) => writeln!(out, "{kind}     none, {origin}: the link is down")?,
        (_, list, _) => writeln!(out, "{kind}     {list}, {origin}")?,
    }
    if let Some(gateway) = &summary.gateway {
        writeln!(out, "gateway  {gateway}")?;
    }
    if !summary.name_servers.is_empty() {
        writeln!(out, "dns      {}", summary.name_servers.join(", "))?;
    }
    Ok(())
}

fn statistics(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let statistics = context.host.network_statistics();
    print(context, arguments, &statistics, |context, statistics| {
        Ok(print_statistics(context.out, statistics)?)
    })?;
    Ok(Flow::Done)
}

fn print_statistics(out: &mut Output, statistics: &NetworkStatistics) -> fmt::Result {
    let NetworkStatistics { received_frames, received_bytes, received_unfit, .. } = statistics;
    let NetworkStatistics { sent_frames, sent_bytes, sent_dropped, deferrals, .. } = statistics;
    let received = About(*received_bytes);
    let sent = About(*sent_bytes);
    writeln!(out, "received   {received_frames} frames, {received}, {received_unfit} unfit")?;
    writeln!(out, "sent       {sent_frames} frames, {sent}, {sent_dropped} dropped")?;
    writeln!(out, "deferrals  {deferrals}")?;
    let NatSummary { connections, outbound, inbound, refused } = statistics.nat;
    writeln!(
        out,
        "nat        {connections} connections, {outbound} packets out, {inbound} in, {refused} refused"
    )?;
    if statistics.tcp.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let rows: Vec<Vec<String>> = statistics
        .tcp
        .iter()
        .map(|port| {
            vec![
                port.port.to_string(),
                format!("{} of {}", port.connections, port.limit),
                port.incomplete.to_string(),
                port.accepted.to_string(),
                port.given_up.to_string(),
            ]
        })
        .collect();
    let columns = ["TCP PORT", "CONNECTIONS", "INCOMPLETE", "ACCEPTED", "GIVEN UP"];
    table::print(out, &columns.map(|header| Column(header, 0)), &rows)
}

fn ping(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    _ = context;
    let address = arguments.required(0)?;
    let to: IpAddr = address.parse().map_err(|_| {
        Error::new(format!(
            "'{}' is no address: write it as 10.0.2.2 or fe80::1; names are not looked up",
            address.escape_debug()
        ))
    })?;
    let count = match arguments.option("--count") {
        Some(count) => parse_count("--count", count)?,
        None => PINGS,
    };
    if count > MOST_PINGS {
        return Err(Error::new(format!("--count is at most {MOST_PINGS}, not {count}")));
    }
    let timeout = arguments.option("--timeout").map_or(Ok(PATIENCE), parse_duration)?;
    if timeout.is_zero() || timeout > MOST_PATIENCE {
        return Err(Error::new("--timeout is more than 0s and at most 60s"));
    }
    Ok(Flow::Wait(Box::new(Ping::new(to, arguments.format(), count, timeout))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fake_host::FakeHost;
    use crate::testing::user::User;

    fn says(user: &mut User, line: &str) -> String {
        user.types(format!("{line}\r")).replace('\r', "")
    }

    #[test]
    fn the_network_is_shown_with_where_its_addresses_come_from() {
        let mut user = User::plain(FakeHost::new());
        let said = says(&mut user, "net");
        assert!(
            said.contains("card     52:54:00:12:34:56 at virtio-mmio 0xa003e00, link up\n"),
            "{said}"
        );
        assert!(said.contains("ipv4     10.0.2.15/24, by DHCP of 10.0.2.2\n"), "{said}");
        assert!(said.contains("gateway  10.0.2.2\ndns      10.0.2.3\n"), "{said}");
        assert!(said.contains("ipv6     fe80::5054:ff:fe12:3456/64, link-local\n"), "{said}");
        let said = says(&mut user, "net --json");
        assert!(said.contains(r#""link":"up""#) && said.contains(r#""origin":"dhcp""#), "{said}");
        let said = says(&mut user, "net stats");
        assert!(said.contains("received   12 frames, 3.4 KiB, 0 unfit"), "{said}");
        assert!(said.contains("23        2 of 24      1           7         1"), "{said}");
    }

    #[test]
    fn a_ping_asks_every_second_and_sums_up() {
        let mut user = User::plain(FakeHost::new());
        let said = says(&mut user, "ping 10.0.0.2 --count 3");
        assert!(said.contains("10.0.0.2: answer 1 after 1.500 ms\n"), "{said}");
        assert!(!said.contains("answer 2"), "{said}");
        let said = user.waits(Duration::from_secs(1)).replace('\r', "");
        assert!(said.contains("answer 2"), "{said}");
        let said = user.waits(Duration::from_secs(3)).replace('\r', "");
        assert!(said.contains("10.0.0.2: no answer 3 within 2 s\n"), "{said}");
        assert!(
            said.contains("3 sent, 2 answered after 1.500 to 1.500 ms, 1.500 on average\n"),
            "{said}"
        );
    }

    #[test]
    fn a_ping_that_nobody_answers_fails() {
        let mut user = User::plain(FakeHost::new());
        says(&mut user, "ping 10.0.0.0 --count 1 --timeout 2s --json");
        let said = user.waits(Duration::from_secs(3));
        assert!(said.contains("error: 10.0.0.0 does not answer"), "{said}");
    }

    #[test]
    fn a_ping_that_is_interrupted_tells_how_it_went() {
        let mut user = User::plain(FakeHost::new());
        says(&mut user, "ping 10.0.0.9 --count 9");
        let said = says(&mut user, "\x03");
        assert!(said.contains("1 sent, 1 answered"), "{said}");
        assert!(said.contains("^C"), "{said}");
    }

    #[test]
    fn what_is_no_address_or_cannot_be_asked_is_said() {
        let mut user = User::plain(FakeHost::new());
        assert!(
            says(&mut user, "ping example").contains("error: 'example' is no address: write it")
        );
        assert!(says(&mut user, "ping fe80::1").contains("error: the host has no address of IPv6"));
        assert!(says(&mut user, "ping 10.0.0.1 --count 0").contains("error: --count is a number"));
        assert!(says(&mut user, "ping 10.0.0.1 --timeout 61s").contains("error: --timeout is"));
    }
}
