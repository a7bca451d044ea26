//! `cpu list`, `mem`, `version`, `uptime`, `poweroff` and `reboot`.

use super::{print, print_json};
use crate::access::{Needs, Role};
use crate::amount::{About, Clock, counted};
use crate::arguments::{Arguments, Format};
use crate::command::{Command, Flow, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{CpuSummary, MemorySummary, VersionInfo};
use crate::output::Output;
use crate::table::{self, Column};
use crate::task::end::{End, Ending};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use serde::Serialize;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["cpu", "list"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "list the physical CPUs",
        details: "BUSY% is time that lately went to guests and to Roost. VCPUS may run there; RUNNING does at this \
                  moment.",
        example: "cpu list",
        run: cpus,
    },
    Command {
        path: &["mem"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "show where the memory is",
        details: "",
        example: "mem",
        run: memory,
    },
    Command {
        path: &["version"],
        needs: Needs::Login,
        parameters: &[],
        options: &[Switch::JSON],
        summary: "show what this is and on what it runs",
        details: "",
        example: "version",
        run: version,
    },
    Command {
        path: &["uptime"],
        needs: Needs::Login,
        parameters: &[],
        options: &[Switch::JSON],
        summary: "show the time since power-on",
        details: "",
        example: "uptime",
        run: uptime,
    },
    Command {
        path: &["poweroff"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[],
        options: &[],
        summary: "turn the machine off, with all VMs",
        details: "Guests are not asked: 'vm stop' them first if they have something to save.",
        example: "poweroff",
        run: |_, _| Ok(Flow::Wait(Box::new(Ending::new(End::PowerOff)))),
    },
    Command {
        path: &["reboot"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[],
        options: &[],
        summary: "restart the machine, with all VMs",
        details: "Guests are not asked: 'vm stop' them first if they have something to save.",
        example: "reboot",
        run: |_, _| Ok(Flow::Wait(Box::new(Ending::new(End::Reboot)))),
    },
];

fn cpus(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let cpus = context.host.cpus();
    print(context, arguments, &cpus, |context, cpus| {
        let columns = ["CPU", "STATE", "BUSY%", "VCPUS", "RUNNING", "HARDWARE", "MODEL"]
            .map(|header| Column(header, 0));
        let rows: Vec<Vec<String>> = cpus.iter().map(cpu_row).collect();
        Ok(table::print(context.out, &columns, &rows)?)
    })?;
    Ok(Flow::Done)
}

fn cpu_row(cpu: &CpuSummary) -> Vec<String> {
    vec![
        cpu.id.to_string(),
        cpu.state.to_string(),
        cpu.busy_percent.to_string(),
        cpu.vcpus.to_string(),
        cpu.running.clone().unwrap_or_else(|| "-".into()),
        format!("{:#x}", cpu.hardware_id),
        cpu.model.clone(),
    ]
}

fn memory(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let memory = context.host.memory();
    print(context, arguments, &memory, |context, memory| Ok(print_memory(context.out, memory)?))?;
    Ok(Flow::Done)
}

fn print_memory(out: &mut Output, memory: &MemorySummary) -> fmt::Result {
    let heap = format!("  heap, {} used", About(memory.heap_used_bytes));
    let rows = [
        ("total", memory.total_bytes),
        ("free", memory.free_bytes),
        ("guests", memory.guests_bytes),
        ("hypervisor", memory.hypervisor_bytes),
        ("  image", memory.image_bytes),
        ("  bundle", memory.bundle_bytes),
        (&heap, memory.heap_bytes),
        ("  tables", memory.tables_bytes),
        ("  stacks", memory.stacks_bytes),
    ]
    .map(|(what, bytes)| vec![what.to_string(), About(bytes).to_string(), bytes.to_string()]);
    table::print(out, &["MEMORY", "SIZE", "BYTES"].map(|header| Column(header, 0)), &rows)
}

fn version(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let version = context.host.version();
    print(context, arguments, &version, |context, version| {
        Ok(print_version(context.out, version)?)
    })?;
    Ok(Flow::Done)
}

fn print_version(out: &mut Output, version: &VersionInfo) -> fmt::Result {
    write!(out, "Roost {}", version.version)?;
    if !version.commit.is_empty() {
        write!(out, " ({})", version.commit)?;
    }
    writeln!(
        out,
        ", {} on {}: {}, {}",
        version.architecture,
        version.machine,
        counted(version.cpus.into(), "CPU"),
        version.interrupt_controller
    )
}

fn uptime(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    #[derive(Serialize)]
    struct Uptime {
        uptime_ns: u64,
    }
    let uptime = context.host.uptime();
    match arguments.format() {
        Format::Text => writeln!(context.out, "up {}", Clock(uptime))?,
        Format::Json => {
            let uptime_ns = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
            print_json(context, &Uptime { uptime_ns })?;
        }
    }
    Ok(Flow::Done)
}
