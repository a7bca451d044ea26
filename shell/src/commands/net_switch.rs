//! `net switch`.

use super::print;
use crate::access::{Needs, Role};
use crate::amount::About;
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{SwitchPort, SwitchSummary};
use crate::output::Output;
use crate::table::{self, Column};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};

pub(super) const COMMANDS: &[Command] = &[Command {
    path: &["net", "switch"],
    needs: Needs::Machine(Role::Viewer),
    parameters: &[Parameter { name: "NETWORK", count: Count::Optional, kind: Kind::Value }],
    options: &[Switch::JSON],
    summary: "show the networks of guests, and what their ports have counted",
    details: "Dropped: frames for a port that had no room, since its guest does not take them. Refused: frames that a \
              guest must not send; why, it says of one network. [[network]] of the host's configuration says which \
              networks there are, and [[net]] of a VM's what is connected to them.",
    example: "net switch nat",
    run: switch,
}];

fn switch(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let mut switches = context.host.switches();
    let Some(name) = arguments.word(0) else {
        print(context, arguments, &switches, |context, switches| {
            Ok(print_all(context.out, switches)?)
        })?;
        return Ok(Flow::Done);
    };
    let Some(index) = switches.iter().position(|switch| switch.name == name) else {
        let names: Vec<_> = switches.iter().map(|switch| switch.name.as_str()).collect();
        let there = if names.is_empty() { "none".into() } else { names.join(", ") };
        return Err(Error::new(format!("no network '{}': there are {there}", name.escape_debug())));
    };
    let switch = switches.swap_remove(index);
    print(context, arguments, &switch, |context, switch| Ok(print_one(context.out, switch)?))?;
    Ok(Flow::Done)
}

fn print_all(out: &mut Output, switches: &[SwitchSummary]) -> fmt::Result {
    if switches.is_empty() {
        return writeln!(out, "there are no networks: host.toml has no [[network]]");
    }
    for (index, switch) in switches.iter().enumerate() {
        if index != 0 {
            writeln!(out)?;
        }
        print_switch(out, switch)?;
    }
    Ok(())
}

fn print_switch(out: &mut Output, switch: &SwitchSummary) -> fmt::Result {
    write!(out, "{}: {}", switch.name, switch.kind)?;
    if let Some(subnet) = &switch.subnet {
        write!(out, ", {subnet}")?;
    }
    if switch.isolates {
        write!(out, ", guests apart")?;
    }
    if switch.lost_frames != 0 {
        write!(out, ", {} frames lost for want of memory", switch.lost_frames)?;
    }
    writeln!(out)?;
    if switch.ports.is_empty() {
        return writeln!(out, "nothing is connected");
    }
    let rows: Vec<Vec<String>> = switch.ports.iter().map(row).collect();
    let columns = ["PORT", "MAC", "ADDRESSES", "SENT", "RECEIVED", "FRAMES", "DROPPED", "REFUSED"];
    table::print(out, &columns.map(|header| Column(header, 0)), &rows)
}

fn row(port: &SwitchPort) -> Vec<String> {
    let addresses = match port.addresses.is_empty() {
        true => "-".into(),
        false => port.addresses.join(", "),
    };
    vec![
        port.name.clone(),
        port.mac.clone().unwrap_or_else(|| "-".into()),
        addresses,
        About(port.sent_bytes).to_string(),
        About(port.received_bytes).to_string(),
        format!("{}/{}", port.sent_frames, port.received_frames),
        port.dropped_frames.to_string(),
        port.refused.iter().map(|count| count.count).sum::<u64>().to_string(),
    ]
}

fn print_one(out: &mut Output, switch: &SwitchSummary) -> fmt::Result {
    print_switch(out, switch)?;
    for port in &switch.ports {
        for refused in &port.refused {
            writeln!(out, "{}: {} refused: {}", port.name, refused.count, refused.name)?;
        }
        if !port.learnt.is_empty() {
            writeln!(out, "{}: learnt {}", port.name, port.learnt.join(", "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::fake_host::FakeHost;
    use crate::testing::user::User;

    fn says(user: &mut User, line: &str) -> String {
        user.types(format!("{line}\r")).replace('\r', "")
    }

    #[test]
    fn networks_are_shown_with_what_was_dropped_and_refused() {
        let mut user = User::plain(FakeHost::new());
        let said = says(&mut user, "net switch");
        assert!(said.contains("lan: host-only, 10.9.0.0/24, guests apart\n"), "{said}");
        assert!(said.contains("linux net0  52:54:00:12:34:57  10.9.0.1"), "{said}");
        assert!(said.contains("3/2     1        9\n"), "{said}");
        assert!(!said.contains("learnt"), "{said}");
    }

    #[test]
    fn one_network_is_shown_with_reasons_and_stations() {
        let mut user = User::plain(FakeHost::new());
        let said = says(&mut user, "net switch lan");
        assert!(said.contains("linux net0: 4 refused: mac\n"), "{said}");
        assert!(said.contains("host: learnt 52:54:00:00:00:01\n"), "{said}");
        let said = says(&mut user, "net switch lan --json");
        assert!(said.contains(r#""refused":[{"name":"mac","count":4}"#), "{said}");
        let said = says(&mut user, "net switch wan");
        assert!(said.contains("no network 'wan': there are lan"), "{said}");
    }
}
