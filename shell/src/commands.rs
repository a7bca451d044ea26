//! The one table of all commands, in the groups in which `help` shows them.

mod bundle;
mod console;
mod disk;
mod help;
mod lifecycle;
mod log;
mod machine;
mod net_switch;
mod network;
mod people;
mod session;
mod vm_disk;
mod vm_info;
mod vm_list;
mod vm_script;
mod vm_set;

pub(crate) use help::explain;

use crate::arguments::{Arguments, Format};
use crate::command::{Command, Count, Kind, Parameter};
use crate::context::Context;
use crate::error::Error;
use alloc::format;
use core::fmt::Write;
use serde::Serialize;

/// A part of the table, with its title.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) parts: &'static [&'static [Command]],
}

/// The table.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: "Virtual machines",
        parts: &[
            vm_list::COMMANDS,
            lifecycle::COMMANDS,
            vm_info::COMMANDS,
            vm_set::COMMANDS,
            vm_disk::COMMANDS,
        ],
    },
    Group { title: "Consoles", parts: &[console::COMMANDS, vm_script::COMMANDS] },
    Group {
        title: "The machine",
        parts: &[
            machine::COMMANDS,
            disk::COMMANDS,
            network::COMMANDS,
            net_switch::COMMANDS,
            log::COMMANDS,
        ],
    },
    Group { title: "People", parts: &[people::COMMANDS] },
    Group { title: "Images and configurations", parts: &[bundle::COMMANDS] },
    Group { title: "This session, and scripts", parts: &[help::COMMANDS, session::COMMANDS] },
];

/// All commands.
pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    GROUPS.iter().flat_map(|group| group.parts.iter().copied().flatten())
}

/// One VM.
const VM: Parameter = Parameter { name: "VM", count: Count::One, kind: Kind::Vm };
/// One VM or more.
const VMS: Parameter = Parameter { name: "VM", count: Count::Many, kind: Kind::Vm };

/// Prints a value as one JSON document on one line.
fn print_json<T: Serialize + ?Sized>(context: &mut Context<'_>, value: &T) -> Result<(), Error> {
    let json = serde_json::to_string(value).map_err(|error| Error::new(format!("{error}")))?;
    writeln!(context.out, "{json}")?;
    Ok(())
}

/// Prints a value as JSON, or by `text`.
fn print<T: Serialize + ?Sized>(
    context: &mut Context<'_>,
    arguments: &Arguments,
    value: &T,
    text: impl FnOnce(&mut Context<'_>, &T) -> Result<(), Error>,
) -> Result<(), Error> {
    match arguments.format() {
        Format::Json => print_json(context, value),
        Format::Text => text(context, value),
    }
}

/// The number in an option's value, which must be at least 1.
fn parse_count(option: &str, value: &str) -> Result<u64, Error> {
    value
        .parse()
        .ok()
        .filter(|&count| count > 0)
        .ok_or_else(|| Error::new(format!("{option} is a number from 1, not '{value}'")))
}
