//! `vm set`.

use super::{VM, parse_count};
use crate::access::{Needs, Role};
use crate::amount;
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter};
use crate::context::Context;
use crate::cpu_set;
use crate::error::Error;
use crate::host::VmSettings;
use crate::vm_name;
use alloc::format;

/// The greatest weight.
const MAX_WEIGHT: u64 = 10_000;

pub(super) const COMMANDS: &[Command] = &[Command {
    path: &["vm", "set"],
    needs: Needs::Machine(Role::Admin),
    parameters: &[
        VM,
        Parameter {
            name: "SETTING",
            count: Count::Many,
            kind: Kind::Assignment(&["weight=", "affinity=", "memory="]),
        },
    ],
    options: &[],
    summary: "change settings of a VM, also while it runs",
    details: "weight=N is its share of a CPU for which others compete, 1 to 10000. affinity=0,2-3 are the CPUs on \
              which it may run; 'cpu list' shows them. memory=128M is what it shall keep of its memory: a guest that \
              has a balloon lends the rest, in its own time. All settings are applied, or none.",
    example: "vm set linux weight=200 affinity=0,2-3",
    run: set,
}];

fn set(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let vm = vm_name::resolve(context.user, context.host, arguments.required(0)?)?;
    let mut settings = VmSettings::default();
    for word in arguments.words(1) {
        match word.split_once('=') {
            Some(("weight", value)) => {
                let weight = parse_count("weight", value)?;
                settings.weight =
                    Some(u32::try_from(weight).ok().filter(|_| weight <= MAX_WEIGHT).ok_or_else(
                        || {
                            Error::new(format!(
                                "weight is a number from 1 to {MAX_WEIGHT}, not {value}"
                            ))
                        },
                    )?);
            }
            Some(("affinity", value)) => settings.affinity = Some(cpu_set::parse(value)?),
            Some(("memory", value)) => settings.memory_bytes = Some(amount::parse_bytes(value)?),
            _ => {
                return Err(Error::new(format!(
                    "no setting '{word}': write weight=N, memory=SIZE or affinity=CPUS, such as affinity=0,2-3"
                )));
            }
        }
    }
    context.host.vm_set(vm.id, &settings)?;
    Ok(Flow::Done)
}
