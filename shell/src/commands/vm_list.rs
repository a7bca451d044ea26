//! `vm list` and `vcpu list`.

use super::print;
use crate::access::{Needs, Role};
use crate::amount::{Bytes, Clock};
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::cpu_set;
use crate::error::Error;
use crate::host::{VcpuSummary, VmSummary};
use crate::table::{self, Column};
use crate::vm_name;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["vm", "list"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "list all VMs",
        details: "CPU% is CPU time used lately: 100 is one whole CPU. UPTIME counts from the VM's last start, \
                  while it is up.",
        example: "vm list",
        run: list,
    },
    Command {
        path: &["vcpu", "list"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[Parameter { name: "VM", count: Count::Optional, kind: Kind::Vm }],
        options: &[Switch::JSON],
        summary: "list the vCPUs of all VMs, or of one",
        details: "CPU is the CPU on which the vCPU runs or ran last. AFFINITY are those on which it may run.",
        example: "vcpu list linux",
        run: vcpus,
    },
];

fn list(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vms = context.user.vms(context.host);
    print(context, arguments, &vms, |context, vms| {
        let columns = [
            Column("ID", 0),
            // Wide enough that most tables look the same.
            Column("NAME", 6),
            Column("STATE", 7),
            Column("VCPUS", 0),
            Column("MEMORY", 7),
            Column("CPU%", 0),
            Column("UPTIME", 0),
        ];
        let rows: Vec<Vec<String>> = vms.iter().map(row).collect();
        Ok(table::print(context.out, &columns, &rows)?)
    })?;
    Ok(Flow::Done)
}

fn row(vm: &VmSummary) -> Vec<String> {
    let uptime = Duration::from_nanos(vm.uptime_ns);
    vec![
        vm.id.to_string(),
        vm.name.clone(),
        vm.state.to_string(),
        vm.vcpus.to_string(),
        Bytes(vm.memory_bytes).to_string(),
        vm.cpu_percent.to_string(),
        if uptime.is_zero() { "-".into() } else { Clock(uptime).to_string() },
    ]
}

fn vcpus(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = match arguments.word(0) {
        Some(word) => Some(vm_name::resolve(context.user, context.host, word)?.id),
        None => None,
    };
    let mut vcpus = context.host.vcpus(vm);
    vcpus.retain(|vcpu| context.user.role_on(&vcpu.vm_name).is_some());
    print(context, arguments, &vcpus, |context, vcpus| {
        let headers = ["VM", "VCPU", "STATE", "CPU", "AFFINITY", "WEIGHT", "CPU TIME", "EXITS"];
        let rows: Vec<Vec<String>> = vcpus.iter().map(vcpu_row).collect();
        Ok(table::print(context.out, &headers.map(|header| Column(header, 0)), &rows)?)
    })?;
    Ok(Flow::Done)
}

fn vcpu_row(vcpu: &VcpuSummary) -> Vec<String> {
    let time = Duration::from_nanos(vcpu.cpu_time_ns);
    vec![
        vcpu.vm_name.clone(),
        vcpu.vcpu.to_string(),
        vcpu.state.to_string(),
        vcpu.cpu.map_or_else(|| "-".into(), |cpu| cpu.to_string()),
        cpu_set::show(&vcpu.affinity),
        vcpu.weight.to_string(),
        alloc::format!("{}.{:03} s", time.as_secs(), time.subsec_millis()),
        vcpu.exits.to_string(),
    ]
}
