//! `vm create`, `start`, `pause`, `resume`, `stop`, `reset` and `destroy`.

use super::VMS;
use crate::access::{Needs, Role};
use crate::amount;
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{CreateRequest, Host, Stop, Urgency, VmId, VmState};
use crate::task::jobs::{Jobs, Order};
use crate::vm_name;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

/// How long a guest has to stop by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Keys of a configuration that completion offers.
const KEYS: &[&str] = &["memory=", "vcpus=", "cmdline=", "kernel=", "initrd="];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["vm", "create"],
        needs: Needs::Machine(Role::Operator),
        parameters: &[
            Parameter { name: "CONFIG", count: Count::One, kind: Kind::Config },
            Parameter { name: "KEY=VALUE", count: Count::Any, kind: Kind::Assignment(KEYS) },
        ],
        options: &[Switch {
            name: "--name",
            value: Some(("NAME", Kind::Value)),
            help: "the VM's name, if it is not to be the configuration's",
        }],
        summary: "create a VM from a configuration",
        details: "'config list' shows the configurations. KEY=VALUE replaces what the configuration says, as in \
                  memory=128M or vcpus=2. The VM does not run until 'vm start'.",
        example: "vm create linux --name web memory=512M vcpus=2",
        run: create,
    },
    Command {
        path: &["vm", "start"],
        needs: Needs::Vm(Role::Operator),
        parameters: &[VMS],
        options: &[],
        summary: "start VMs that are created",
        details: "A VM that is stopped or crashed is started again by 'vm reset'.",
        example: "vm start linux web",
        run: start,
    },
    Command {
        path: &["vm", "pause"],
        needs: Needs::Vm(Role::Operator),
        parameters: &[VMS],
        options: &[],
        summary: "stop the CPUs and clocks of VMs for a while",
        details: "'vm resume' lets them go on. The guest does not see that time has passed.",
        example: "vm pause linux",
        run: pause,
    },
    Command {
        path: &["vm", "resume"],
        needs: Needs::Vm(Role::Operator),
        parameters: &[VMS],
        options: &[],
        summary: "let paused VMs go on",
        details: "",
        example: "vm resume linux",
        run: resume,
    },
    Command {
        path: &["vm", "stop"],
        needs: Needs::Vm(Role::Operator),
        parameters: &[VMS],
        options: &[
            Switch {
                name: "--force",
                value: None,
                help: "turn the VM off without asking the guest",
            },
            Switch {
                name: "--timeout",
                value: Some(("DURATION", Kind::Value)),
                help: "how long the guest has to stop; 30s unless given",
            },
        ],
        summary: "ask guests to shut down, or turn VMs off",
        details: "The guest is asked as by a press of the power key, and may take its time or refuse. Ctrl-C stops \
                  waiting.",
        example: "vm stop linux --timeout 10s",
        run: stop,
    },
    Command {
        path: &["vm", "reset"],
        needs: Needs::Vm(Role::Operator),
        parameters: &[VMS],
        options: &[],
        summary: "reload VMs from their images, without asking the guests",
        details: "RAM is zeroed, images are loaded again and devices are as after power-on. A VM that was up is \
                  started again.",
        example: "vm reset linux",
        run: reset,
    },
    Command {
        path: &["vm", "destroy"],
        needs: Needs::Machine(Role::Operator),
        parameters: &[VMS],
        options: &[Switch {
            name: "--force",
            value: None,
            help: "also VMs that are running or paused",
        }],
        summary: "remove VMs and return their memory",
        details: "A VM that is running or paused is only destroyed with --force.",
        example: "vm destroy linux --force",
        run: destroy,
    },
];

fn create(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let overrides = arguments.words(1).iter().map(|word| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(Error::new(format!("'{word}' is no KEY=VALUE, such as memory=128M"))),
    });
    let name = arguments.option("--name");
    if name.is_some_and(|name| name.is_empty() || name.parse::<u32>().is_ok()) {
        return Err(Error::new("a VM's name is not empty and no number: numbers are ids"));
    }
    let request = CreateRequest {
        config: arguments.required(0)?.into(),
        name: name.map(Into::into),
        overrides: overrides.collect::<Result<_, _>>()?,
    };
    let job = context.host.vm_create(&request)?;
    Ok(Flow::Wait(Box::new(Jobs::one(job))))
}

fn start(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    each(context, arguments, Order::Start)
}

fn stop(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let timeout = arguments.option("--timeout").map(amount::parse_duration).transpose()?;
    let stop = match (arguments.option("--force"), timeout) {
        (Some(_), Some(_)) => {
            return Err(Error::new("--force does not wait: leave out --timeout, or --force"));
        }
        (Some(_), None) => Stop::Force,
        (None, timeout) => Stop::Ask(timeout.unwrap_or(STOP_TIMEOUT)),
    };
    each(context, arguments, Order::Stop(stop))
}

fn reset(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    each(context, arguments, Order::Reset)
}

fn destroy(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let urgency = match arguments.option("--force") {
        Some(_) => Urgency::Force,
        None => Urgency::Normal,
    };
    if urgency == Urgency::Normal {
        for word in arguments.words(0) {
            let vm = vm_name::resolve(context.user, context.host, word)?;
            if matches!(vm.state, VmState::Running | VmState::Paused) {
                return Err(Error::new(format!(
                    "{} is {}: 'vm stop {word}' stops it, 'vm destroy {word} --force' destroys it as it is",
                    vm.title(),
                    vm.state
                )));
            }
        }
    }
    each(context, arguments, Order::Destroy(urgency))
}

fn pause(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    now(context, arguments, |host, vm| host.vm_pause(vm))
}

fn resume(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    now(context, arguments, |host, vm| host.vm_resume(vm))
}

/// Resolves all names before anything is done: a slip in the last one leaves the first ones alone.
fn resolve(context: &Context<'_>, arguments: &Arguments) -> Result<Vec<VmId>, Error> {
    let mut vms = Vec::new();
    for word in arguments.words(0) {
        let vm = vm_name::resolve(context.user, context.host, word)?.id;
        if !vms.contains(&vm) {
            vms.push(vm);
        }
    }
    Ok(vms)
}

fn each(context: &mut Context<'_>, arguments: &Arguments, order: Order) -> Result<Flow, Error> {
    let vms: VecDeque<VmId> = resolve(context, arguments)?.into();
    Ok(Flow::Wait(Box::new(Jobs::each(order, vms))))
}

fn now(
    context: &mut Context<'_>,
    arguments: &Arguments,
    order: fn(&mut dyn Host, VmId) -> Result<(), Error>,
) -> Result<Flow, Error> {
    for vm in resolve(context, arguments)? {
        order(context.host, vm)?;
    }
    Ok(Flow::Done)
}
