//! `vm console` and `vm log`.

use super::{VM, parse_count};
use crate::access::{self, Needs, Role};
use crate::arguments::Arguments;
use crate::command::{Command, Flow, Kind, Switch};
use crate::context::{Context, Display};
use crate::error::Error;
use crate::escape_key::EscapeKey;
use crate::host::{Attendance, Note};
use crate::task::attach::Attach;
use crate::task::console_log::ConsoleLog;
use crate::vm_name;
use alloc::boxed::Box;
use alloc::format;

const LINES: Switch =
    Switch { name: "--lines", value: Some(("N", Kind::Value)), help: "only the last N lines" };
const LOG_SUMMARY: &str = "show the recent output of a VM's console";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["vm", "console"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM],
        options: &[
            Switch {
                name: "--escape",
                value: Some(("KEY", Kind::Value)),
                help: "the key that leaves, such as ^] or ^A; Ctrl-\\ unless given or set",
            },
            Switch {
                name: "--take",
                value: None,
                help: "take the keyboard from whoever types on it",
            },
            Switch { name: "--watch", value: None, help: "leave the keyboard to others" },
        ],
        summary: "attach to a VM's console",
        details: "What it printed lately is shown first. All keys go to the guest, also Ctrl-C; only Ctrl-\\ leaves \
                  ('set escape' changes it). When the guest stops, the reason is shown and the shell is back. Any number \
                  of sessions may watch; one of them types: the first, until it leaves or another one takes the keyboard. \
                  Who types needs the role operator on the VM, others only watch.",
        example: "vm console linux --escape ^]",
        run: console,
    },
    Command {
        path: &["vm", "log"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM],
        options: &[LINES],
        summary: LOG_SUMMARY,
        details: "It does not attach, so it disturbs nobody. 'console log' is the same.",
        example: "vm log linux --lines 20",
        run: log,
    },
    Command {
        path: &["console", "log"],
        needs: Needs::Vm(Role::Viewer),
        parameters: &[VM],
        options: &[LINES],
        summary: LOG_SUMMARY,
        details: "The same as 'vm log'.",
        example: "console log linux",
        run: log,
    },
];

fn console(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let key = match arguments.option("--escape") {
        Some(key) => Some(EscapeKey::parse(key)?),
        // A program ends its connection, and all bytes are the guest's.
        None if context.display == Display::Program => None,
        None => Some(context.settings.escape),
    };
    let may_type = context.user.role_on(&vm.name) >= Some(Role::Operator);
    let wish = match (arguments.option("--take"), arguments.option("--watch")) {
        (Some(_), Some(_)) => return Err(Error::new("write --take or --watch, not both")),
        (Some(_), None) => {
            access::require(context.user, Role::Operator, &vm.name, "vm console --take")?;
            Attendance::Take
        }
        (None, None) if may_type => Attendance::Type,
        (None, _) => Attendance::Watch,
    };
    if wish != Attendance::Watch {
        // A viewer may give the command as well; who may type can do anything in the guest.
        let what = if wish == Attendance::Take { " --take" } else { "" };
        let text = format!("vm console {}{what}", vm.name);
        context.host.registry_mut().note(context.session, Note::Command(&text));
    }
    let attach = Attach::begin(context, vm.id, vm.title(), key, wish)?;
    Ok(Flow::Wait(Box::new(attach)))
}

fn log(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let lines =
        arguments.option("--lines").map(|value| parse_count("--lines", value)).transpose()?;
    let end = context.host.console_end(vm.id);
    Ok(Flow::Wait(Box::new(ConsoleLog::new(vm.id, end, lines))))
}
