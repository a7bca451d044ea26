//! `log level` and `log show`.

use super::parse_count;
use crate::access::{Needs, Role};
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::LogLevel;
use crate::task::log::Log;
use alloc::boxed::Box;
use core::fmt::Write;

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["log", "level"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[Parameter {
            name: "LEVEL",
            count: Count::Optional,
            kind: Kind::OneOf(LEVELS),
        }],
        options: &[],
        summary: "show or change what Roost's own log keeps",
        details: "Levels are off, error, warn, info, debug and trace.",
        example: "log level debug",
        run: level,
    },
    Command {
        path: &["log", "show"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[
            Switch {
                name: "--lines",
                value: Some(("N", Kind::Value)),
                help: "only the last N lines",
            },
            Switch::JSON,
        ],
        summary: "show Roost's own log",
        details: "Each line begins with the seconds since power-on. What 'audit' tells as well is left out for those who may not \
                  give that.",
        example: "log show --lines 20",
        run: show,
    },
];

fn level(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    match arguments.word(0) {
        Some(level) => context.host.set_log_level(LogLevel::parse(level)?),
        None => writeln!(context.out, "log level {}", context.host.log_level())?,
    }
    Ok(Flow::Done)
}

fn show(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let end = context.host.log_end();
    let start = match arguments.option("--lines") {
        Some(lines) => end.saturating_sub(parse_count("--lines", lines)?),
        None => 0,
    };
    Ok(Flow::Wait(Box::new(Log::new(start, end, arguments.format()))))
}
