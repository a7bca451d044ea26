//! `disk list` and `disk info`.

use super::print;
use crate::access::{Needs, Role};
use crate::amount::About;
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{DiskUserSummary, HostDiskSummary, PartitionSummary};
use crate::output::Output;
use crate::table::{self, Column};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["disk", "list"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "list the disks of the host and their partitions",
        details: "A VM gets one by its name, or by the label of a partition: [[disk]] with backing = \"disk:vda\" or \
                  \"partition:LABEL\".",
        example: "disk list",
        run: list,
    },
    Command {
        path: &["disk", "info"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[Parameter { name: "DISK", count: Count::One, kind: Kind::Disk }],
        options: &[Switch::JSON],
        summary: "show everything about a disk of the host",
        details: "",
        example: "disk info vda",
        run: info,
    },
];

fn list(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let disks = context.host.disks();
    print(context, arguments, &disks, |context, disks| {
        if disks.is_empty() {
            writeln!(context.out, "the host has no disks")?;
            return Ok(());
        }
        let rows: Vec<Vec<String>> = disks.iter().flat_map(rows).collect();
        let columns = ["DISK", "PARTITION", "SIZE", "LABEL", "USED BY"];
        Ok(table::print(context.out, &columns.map(|header| Column(header, 0)), &rows)?)
    })?;
    Ok(Flow::Done)
}

fn rows(disk: &HostDiskSummary) -> Vec<Vec<String>> {
    let whole = vec![
        disk.name.clone(),
        "-".into(),
        About(disk.size_bytes).to_string(),
        "-".into(),
        or_dash(&disk.used_by.join(", ")),
    ];
    let partition = |partition: &PartitionSummary| {
        vec![
            disk.name.clone(),
            partition.number.to_string(),
            About(partition.size_bytes).to_string(),
            or_dash(&printable(&partition.label)),
            or_dash(&partition.used_by.join(", ")),
        ]
    };
    core::iter::once(whole).chain(disk.partitions.iter().map(partition)).collect()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.into() }
}

/// A label may be anything, also what a terminal would obey.
fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

fn info(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let name = arguments.required(0)?;
    let disks = context.host.disks();
    let Some(disk) = disks.iter().find(|disk| disk.name == name) else {
        let names: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
        let there = if names.is_empty() { "no disks".into() } else { names.join(", ") };
        return Err(Error::new(format!("no disk '{}': the host has {there}", name.escape_debug())));
    };
    print(context, arguments, disk, |context, disk| Ok(print_info(context.out, disk)?))?;
    Ok(Flow::Done)
}

fn print_info(out: &mut Output, disk: &HostDiskSummary) -> fmt::Result {
    let flags = [
        (disk.is_read_only, "read-only"),
        (disk.has_cache, "write cache"),
        (!disk.interrupts, "polled"),
    ];
    writeln!(out, "{} at {}: {}", disk.name, disk.place, About(disk.size_bytes))?;
    if !disk.serial.is_empty() {
        writeln!(out, "serial      {}", printable(&disk.serial))?;
    }
    write!(out, "blocks      {} bytes", disk.block_bytes)?;
    for (_, flag) in flags.iter().filter(|(is_set, _)| *is_set) {
        write!(out, ", {flag}")?;
    }
    writeln!(out)?;
    writeln!(out, "used by     {}", or_dash(&disk.used_by.join(", ")))?;
    writeln!(
        out,
        "commands    {}, of which {} flushes, {} in flight, {} failed, {} late",
        disk.commands, disk.flushes, disk.in_flight, disk.errors, disk.late
    )?;
    writeln!(
        out,
        "data        {} read, {} written",
        About(disk.read_bytes),
        About(disk.written_bytes)
    )?;
    if !disk.users.is_empty() {
        writeln!(out)?;
        print_users(out, &disk.users)?;
        writeln!(out)?;
    }
    if let Some(note) = &disk.table_note {
        writeln!(out, "partitions  {note}")?;
    }
    if disk.partitions.is_empty() {
        return Ok(());
    }
    let row = |partition: &PartitionSummary| {
        vec![
            partition.number.to_string(),
            About(partition.start_bytes).to_string(),
            About(partition.size_bytes).to_string(),
            or_dash(&printable(&partition.label)),
            or_dash(&partition.used_by.join(", ")),
            partition.kind.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = disk.partitions.iter().map(row).collect();
    let columns = ["PARTITION", "START", "SIZE", "LABEL", "USED BY", "TYPE"];
    table::print(out, &columns.map(|header| Column(header, 0)), &rows)
}

fn print_users(out: &mut Output, users: &[DiskUserSummary]) -> fmt::Result {
    let row = |user: &DiskUserSummary| {
        vec![
            user.name.clone(),
            user.partition.map_or_else(|| "all".into(), |number| number.to_string()),
            user.requests.to_string(),
            user.flushes.to_string(),
            About(user.read_bytes).to_string(),
            About(user.written_bytes).to_string(),
            user.errors.to_string(),
            user.late.to_string(),
            format!("{} ms", user.longest_ns / 1_000_000),
        ]
    };
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    let columns = [
        "USER",
        "PARTITION",
        "REQUESTS",
        "FLUSHES",
        "READ",
        "WRITTEN",
        "FAILED",
        "LATE",
        "LONGEST",
    ];
    table::print(out, &columns.map(|header| Column(header, 0)), &rows)
}
