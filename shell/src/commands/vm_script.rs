//! `vm wait`, `vm send` and `vm expect`: what scripts drive guests with.

use super::VM;
use crate::access::{Needs, Role};
use crate::amount;
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::VmState;
use crate::matcher::Matcher;
use crate::quoted;
use crate::task::expect::Expect;
use crate::task::send::Send;
use crate::task::wait::Wait;
use crate::vm_name;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

/// How long `vm wait` and `vm expect` wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long `vm send` waits for a guest that reads nothing.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest text that `vm expect` looks for, in bytes.
const MAX_PATTERN: usize = 512;

const TEXT: Parameter = Parameter { name: "TEXT", count: Count::One, kind: Kind::Text };

const fn timeout(help: &'static str) -> Switch {
    Switch { name: "--timeout", value: Some(("DURATION", Kind::Value)), help }
}

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["vm", "wait"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM],
        options: &[
            Switch {
                name: "--state",
                value: Some(("STATE[,STATE...]", Kind::States)),
                help: "the states to wait for; stopped unless given",
            },
            timeout("how long to wait before it is an error; 60s unless given"),
        ],
        summary: "wait until a VM is in a state",
        details: "States are created, loading, running, paused, stopped and crashed. It is an error if the time is up, if the \
                  VM is destroyed, or if it crashes while another state is waited for.",
        example: "vm wait linux --state stopped --timeout 60s",
        run: wait,
    },
    Command {
        path: &["vm", "send"],
        needs: Needs::Vm(Role::Operator),
        parameters: &[VM, TEXT],
        options: &[timeout("how long the guest has to read it; 10s unless given")],
        summary: "type text on a VM's console",
        details: "\\n, \\r, \\t, \\e, \\\\ and \\xNN stand for control characters; Enter is \\r. Quote the text.",
        example: "vm send linux \"uname -a\\r\"",
        run: send,
    },
    Command {
        path: &["vm", "expect"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM, TEXT],
        options: &[timeout("how long to wait before it is an error; 60s unless given")],
        summary: "wait until a VM's console shows a text",
        details: "It looks at what the console still keeps, and then at what comes; after a find, the next 'vm \
                  expect' in this session goes on behind it. Escapes are those of 'vm send'. It is an error if the \
                  time is up or the VM ends.",
        example: "vm expect linux \"login: \" --timeout 2m",
        run: expect,
    },
];

fn wait(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let states = match arguments.option("--state") {
        Some(states) => states.split(',').map(parse_state).collect::<Result<Vec<_>, _>>()?,
        None => alloc::vec![VmState::Stopped],
    };
    let timeout = duration(arguments, TIMEOUT)?;
    Ok(Flow::Wait(Box::new(Wait {
        vm: vm.id,
        title: vm.title(),
        states,
        last: vm.state,
        timeout,
        until: context.now.saturating_add(timeout),
    })))
}

fn parse_state(name: &str) -> Result<VmState, Error> {
    VmState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
        Error::new(format!("no state '{name}': one of {}", amount::listed(&VmState::ALL, "or")))
    })
}

fn send(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let timeout = duration(arguments, SEND_TIMEOUT)?;
    Ok(Flow::Wait(Box::new(Send {
        vm: vm.id,
        title: vm.title(),
        bytes: quoted::bytes(arguments.required(1)?)?,
        sent: 0,
        timeout,
        until: context.now.saturating_add(timeout),
    })))
}

fn expect(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let wanted = arguments.required(1)?;
    let pattern = quoted::bytes(wanted)?;
    if pattern.is_empty() || pattern.len() > MAX_PATTERN {
        return Err(Error::new(format!(
            "the text has 1 to {MAX_PATTERN} bytes, not {}",
            pattern.len()
        )));
    }
    Ok(Flow::Wait(Box::new(Expect::new(
        (vm.id, vm.title()),
        (wanted.into(), Matcher::new(pattern)),
        context.places.get(vm.id),
        (duration(arguments, TIMEOUT)?, context.now),
    ))))
}

fn duration(arguments: &Arguments, default: Duration) -> Result<Duration, Error> {
    arguments.option("--timeout").map_or(Ok(default), amount::parse_duration)
}
