//! `vm console` and `vm log`.

use super::{VM, parse_count};
use crate::arguments::Arguments;
use crate::command::{Command, Flow, Kind, Switch};
use crate::context::{Context, Display};
use crate::error::Error;
use crate::escape_key::EscapeKey;
use crate::task::attach::Attach;
use crate::task::console_log::ConsoleLog;
use crate::vm_name;
use alloc::boxed::Box;

const LINES: Switch =
    Switch { name: "--lines", value: Some(("N", Kind::Value)), help: "only the last N lines" };
const LOG_SUMMARY: &str = "show the recent output of a VM's console";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["vm", "console"],
        parameters: &[VM],
        options: &[Switch {
            name: "--escape",
            value: Some(("KEY", Kind::Value)),
            help: "the key that leaves, such as ^] or ^A; Ctrl-\\ unless given or set",
        }],
        summary: "attach to a VM's console",
        details: "What it printed lately is shown first. All keys go to the guest, also Ctrl-C; only Ctrl-\\ leaves \
                  ('set escape' changes it). When the guest stops, the reason is shown and the shell is back.",
        example: "vm console linux --escape ^]",
        run: console,
    },
    Command {
        path: &["vm", "log"],
        parameters: &[VM],
        options: &[LINES],
        summary: LOG_SUMMARY,
        details: "It does not attach, so it disturbs nobody. 'console log' is the same.",
        example: "vm log linux --lines 20",
        run: log,
    },
    Command {
        path: &["console", "log"],
        parameters: &[VM],
        options: &[LINES],
        summary: LOG_SUMMARY,
        details: "The same as 'vm log'.",
        example: "console log linux",
        run: log,
    },
];

fn console(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.host, arguments.required(0)?)?;
    let key = match arguments.option("--escape") {
        Some(key) => Some(EscapeKey::parse(key)?),
        // A program ends its connection, and all bytes are the guest's.
        None if context.display == Display::Program => None,
        None => Some(context.settings.escape),
    };
    let attach = Attach::begin(context, vm.id, vm.title(), key)?;
    Ok(Flow::Wait(Box::new(attach)))
}

fn log(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.host, arguments.required(0)?)?;
    let lines =
        arguments.option("--lines").map(|value| parse_count("--lines", value)).transpose()?;
    let end = context.host.console_end(vm.id);
    Ok(Flow::Wait(Box::new(ConsoleLog::new(vm.id, end, lines))))
}
