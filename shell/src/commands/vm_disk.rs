//! `vm disk list`, `vm disk attach` and `vm disk detach`.

use super::{VM, print};
use crate::access::{Needs, Role};
use crate::amount::About;
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{AttachRequest, DiskSlotSummary};
use crate::output::Output;
use crate::table::{self, Column};
use crate::task::jobs::Jobs;
use crate::vm_name;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["vm", "disk", "list"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM],
        options: &[Switch::JSON],
        summary: "list the disks of a VM, and its empty slots for disks",
        details: "A slot has the name that Linux gives to the disk in it. Requests and bytes are counted since the VM was \
                  created, whichever disk was there.",
        example: "vm disk list linux",
        run: list,
    },
    Command {
        path: &["vm", "disk", "attach"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[VM, Parameter { name: "BACKING", count: Count::One, kind: Kind::Backing }],
        options: &[
            Switch { name: "--readonly", value: None, help: "the guest may only read it" },
            Switch {
                name: "--slot",
                value: Some(("SLOT", Kind::Value)),
                help: "where, such as vdb; the first empty slot unless given",
            },
        ],
        summary: "put a disk into an empty slot of a VM, also while it runs",
        details: "BACKING is written as in a configuration: ram:64M, image:PATH, disk:vda or partition:LABEL. A VM has an \
                  empty slot for each [[disk]] with backing = \"none\", and where a disk was detached.",
        example: "vm disk attach linux partition:data --readonly",
        run: attach,
    },
    Command {
        path: &["vm", "disk", "detach"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[VM, Parameter { name: "SLOT", count: Count::One, kind: Kind::Value }],
        options: &[],
        summary: "take a disk from a VM, also while it runs",
        details: "What the guest has begun is waited for, up to ten seconds; what it asks for from now on fails. Have it \
                  unmount its file systems first. What was written to a disk of ram: or image: is lost.",
        example: "vm disk detach linux vda",
        run: detach,
    },
];

fn list(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let slots = context.host.vm_disks(vm.id)?;
    print(context, arguments, &slots, |context, slots| {
        if slots.is_empty() {
            writeln!(context.out, "{} has no disks", vm.title())?;
            return Ok(());
        }
        Ok(print_slots(context.out, slots)?)
    })?;
    Ok(Flow::Done)
}

/// A table of slots, here and in `vm info`.
pub(super) fn print_slots(out: &mut Output, slots: &[DiskSlotSummary]) -> fmt::Result {
    let row = |slot: &DiskSlotSummary| {
        let of_disk = |text: String| if slot.backing.is_some() { text } else { "-".into() };
        vec![
            slot.slot.clone(),
            slot.backing.clone().unwrap_or_else(|| "-".into()),
            of_disk(About(slot.size_bytes).to_string()),
            slot.state.to_string(),
            of_disk(if slot.is_read_only { "read".into() } else { "read, write".into() }),
            slot.reads.to_string(),
            slot.writes.to_string(),
            slot.flushes.to_string(),
            About(slot.read_bytes).to_string(),
            About(slot.written_bytes).to_string(),
            slot.errors.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = slots.iter().map(row).collect();
    let columns = [
        "SLOT", "BACKING", "SIZE", "STATE", "ACCESS", "READS", "WRITES", "FLUSHES", "READ",
        "WRITTEN", "FAILED",
    ];
    table::print(out, &columns.map(|header| Column(header, 0)), &rows)
}

fn attach(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let request = AttachRequest {
        backing: arguments.required(1)?.into(),
        slot: arguments.option("--slot").map(Into::into),
        is_read_only: arguments.option("--readonly").is_some(),
    };
    let DiskSlotSummary { slot, backing, size_bytes, .. } =
        context.host.vm_disk_attach(vm.id, &request)?;
    let (backing, size) = (backing.unwrap_or(request.backing), About(size_bytes));
    writeln!(context.out, "{}, {slot}: {backing} attached, {size}", vm.title())?;
    Ok(Flow::Done)
}

fn detach(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let job = context.host.vm_disk_detach(vm.id, arguments.required(1)?)?;
    Ok(Flow::Wait(Box::new(Jobs::one(job))))
}
