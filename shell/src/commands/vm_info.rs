//! `vm info` and `vm why`.

use super::{VM, print, vm_disk};
use crate::access::{Needs, Role};
use crate::amount::{About, Bytes, Clock, Stamp};
use crate::arguments::Arguments;
use crate::command::{Command, Flow, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{BalloonInfo, Count, CrashRecord, VmInfo};
use crate::output::Output;
use crate::table::{self, Column};
use crate::vm_name;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::time::Duration;

/// Registers shown in one line.
const PER_LINE: usize = 3;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["vm", "info"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM],
        options: &[Switch::JSON],
        summary: "show everything about a VM",
        details: "State, memory and what is lent of it, vCPUs with the reasons of their exits, devices, disks and notes.",
        example: "vm info linux",
        run: info,
    },
    Command {
        path: &["vm", "why"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM],
        options: &[Switch::JSON],
        summary: "tell why a VM crashed",
        details: "Shows the record of its last crash: what happened and where, the registers, the instruction, and \
                  the last exits. A reset does not delete it.",
        example: "vm why linux",
        run: why,
    },
];

fn info(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let info = context.host.vm_info(vm.id)?;
    print(context, arguments, &info, |context, info| Ok(print_info(context.out, info)?))?;
    Ok(Flow::Done)
}

fn print_info(out: &mut Output, info: &VmInfo) -> fmt::Result {
    let vm = &info.summary;
    write!(out, "{} is {}", vm.title(), vm.state)?;
    if vm.uptime_ns > 0 {
        write!(out, ", up {}", Clock(Duration::from_nanos(vm.uptime_ns)))?;
    }
    if let Some(reason) = &info.reason {
        write!(out, ": {reason}")?;
    }
    writeln!(out)?;
    writeln!(out, "  config      {}", info.config)?;
    writeln!(out, "  memory      {}", Bytes(vm.memory_bytes))?;
    info.balloon.iter().try_for_each(|balloon| print_balloon(out, balloon))?;
    writeln!(out, "  interrupts  {}", info.interrupt_controller)?;
    writeln!(out, "  restarts    {}", info.restarts)?;
    writeln!(out, "  console     {} printed", About(info.console_bytes))?;
    writeln!(out)?;
    print_vcpus(out, info)?;
    if !info.devices.is_empty() {
        writeln!(out)?;
        print_devices(out, info)?;
    }
    if !info.disks.is_empty() {
        writeln!(out)?;
        vm_disk::print_slots(out, &info.disks)?;
    }
    info.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
}

fn print_balloon(out: &mut Output, balloon: &BalloonInfo) -> fmt::Result {
    let BalloonInfo { memory_bytes, target_bytes, lent_bytes, claimed_bytes, .. } = balloon;
    write!(out, "  balloon     lends {} of {}", Bytes(*lent_bytes), Bytes(*memory_bytes))?;
    write!(out, "; it shall lend {}", Bytes(*target_bytes))?;
    if claimed_bytes != lent_bytes {
        write!(out, ", and says it lends {}", Bytes(*claimed_bytes))?;
    }
    writeln!(out)?;
    let value = |count: &Count| match count.name.strip_suffix(" bytes") {
        Some(name) => format!("{name} {}", About(count.count)),
        None => format!("{} {}", count.name, count.count),
    };
    let statistics: Vec<_> = balloon.statistics.iter().map(value).collect();
    if !statistics.is_empty() {
        writeln!(out, "  guest says  {}", statistics.join(", "))?;
    }
    if balloon.waits_for_memory {
        writeln!(out, "note: the guest wants memory back, and there is none")?;
    }
    Ok(())
}

fn print_vcpus(out: &mut Output, info: &VmInfo) -> fmt::Result {
    let columns =
        ["VCPU", "STATE", "CPU", "CPU TIME", "EXITS", "BY REASON"].map(|header| Column(header, 0));
    let rows: Vec<Vec<String>> = info
        .vcpu_list
        .iter()
        .map(|vcpu| {
            let time = Duration::from_nanos(vcpu.summary.cpu_time_ns);
            vec![
                vcpu.summary.vcpu.to_string(),
                vcpu.summary.state.to_string(),
                vcpu.summary.cpu.map_or_else(|| "-".into(), |cpu| cpu.to_string()),
                format!("{}.{:03} s", time.as_secs(), time.subsec_millis()),
                vcpu.summary.exits.to_string(),
                counts(&vcpu.exits_by_reason),
            ]
        })
        .collect();
    table::print(out, &columns, &rows)
}

fn counts(counts: &[Count]) -> String {
    let seen = counts.iter().filter(|count| count.count > 0);
    seen.map(|count| format!("{} {}", count.name, count.count)).collect::<Vec<_>>().join(", ")
}

fn print_devices(out: &mut Output, info: &VmInfo) -> fmt::Result {
    let rows: Vec<Vec<String>> = info
        .devices
        .iter()
        .map(|device| {
            vec![
                device.name.clone(),
                format!("{:#x}", device.address),
                device.interrupt.map_or_else(|| "-".into(), |interrupt| interrupt.to_string()),
                device
                    .activity
                    .as_ref()
                    .map_or_else(String::new, |activity| activity.notifications.to_string()),
                device
                    .activity
                    .as_ref()
                    .map_or_else(String::new, |activity| activity.interrupts.to_string()),
            ]
        })
        .collect();
    let names = ["DEVICE", "ADDRESS", "INTERRUPT", "NOTIFIED", "INTERRUPTED"];
    // The last two are for those that count.
    let shown = if info.devices.iter().any(|device| device.activity.is_some()) { 5 } else { 3 };
    let columns = names.map(|header| Column(header, 0));
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.into_iter().take(shown).collect()).collect();
    table::print(out, columns.get(..shown).unwrap_or(&columns), &rows)?;
    for device in &info.devices {
        for fault in device.activity.iter().flat_map(|activity| &activity.faults) {
            let (name, address) = (&device.name, device.address);
            writeln!(out, "fault: {name} at {address:#x}, {} times: {}", fault.count, fault.name)?;
        }
    }
    Ok(())
}

fn why(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let record = context.host.why(vm.id)?;
    print(context, arguments, &record, |context, record| {
        match record {
            Some(record) => print_crash(context.out, &vm.title(), record)?,
            None => writeln!(context.out, "{} has not crashed; it is {}", vm.title(), vm.state)?,
        }
        Ok(())
    })?;
    Ok(Flow::Done)
}

fn print_crash(out: &mut Output, title: &str, record: &CrashRecord) -> fmt::Result {
    let when = Stamp(Duration::from_nanos(record.time_ns)).to_string();
    writeln!(out, "{title} crashed {} s after power-on, on vCPU {}:", when.trim(), record.vcpu)?;
    writeln!(out, "  {}", record.reason)?;
    writeln!(out, "  pc           {:#018x}", record.pc)?;
    match record.instruction {
        Some(instruction) => writeln!(out, "  instruction  {instruction:#010x}")?,
        None => writeln!(out, "  instruction  unreadable")?,
    }
    if !record.registers.is_empty() {
        writeln!(out, "registers:")?;
    }
    let width = record.registers.iter().map(|register| register.name.len()).max().unwrap_or(0);
    for line in record.registers.chunks(PER_LINE) {
        for register in line {
            write!(out, "  {:width$} {:#018x}", register.name, register.value)?;
        }
        writeln!(out)?;
    }
    if !record.last_exits.is_empty() {
        writeln!(out, "last exits, the last one last:")?;
    }
    record.last_exits.iter().try_for_each(|exit| writeln!(out, "  {exit}"))
}
