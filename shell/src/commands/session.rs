//! `history`, `echo`, `sleep`, `set escape`, `clear`, `logout`, `exit` and `on-error`.

use crate::access::{Needs, Role};
use crate::amount;
use crate::arguments::Arguments;
use crate::command::{Command, Count, Flow, Kind, Parameter};
use crate::context::{Context, Display};
use crate::error::Error;
use crate::escape_key::EscapeKey;
use crate::output::Column;
use crate::program::Policy;
use crate::session::Lifetime;
use crate::task::end::{End, Ending};
use crate::task::sleep::Sleep;
use alloc::boxed::Box;
use alloc::format;
use core::fmt::Write;

/// Home and erase everything (VT100 CUP, ED).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["history"],
        needs: Needs::Login,
        parameters: &[],
        options: &[],
        summary: "list the lines typed in this session",
        details: "The last 100 are kept; the up and down arrows bring them back.",
        example: "history",
        run: history,
    },
    Command {
        path: &["clear"],
        needs: Needs::Login,
        parameters: &[],
        options: &[],
        summary: "clear the terminal",
        details: "Ctrl-L does the same, and keeps the line that is being typed.",
        example: "clear",
        run: clear,
    },
    Command {
        path: &["set", "escape"],
        needs: Needs::Login,
        parameters: &[Parameter { name: "KEY", count: Count::One, kind: Kind::Value }],
        options: &[],
        summary: "change the key that leaves consoles, for this session",
        details: "A key is ^ and a letter, or ^\\, ^], ^^ or ^_.",
        example: "set escape ^]",
        run: set_escape,
    },
    Command {
        path: &["echo"],
        needs: Needs::Login,
        parameters: &[Parameter { name: "WORD", count: Count::Any, kind: Kind::Text }],
        options: &[],
        summary: "print words",
        details: "",
        example: "echo guests are up",
        run: echo,
    },
    Command {
        path: &["sleep"],
        needs: Needs::Login,
        parameters: &[Parameter { name: "DURATION", count: Count::One, kind: Kind::Value }],
        options: &[],
        summary: "wait for a while",
        details: "A duration is 500ms, 30s, 2m or 1h; without a unit, seconds.",
        example: "sleep 2s",
        run: sleep,
    },
    Command {
        path: &["on-error"],
        needs: Needs::Login,
        parameters: &[
            Parameter {
                name: "POLICY",
                count: Count::One,
                kind: Kind::OneOf(&["stop", "continue", "exit"]),
            },
            Parameter { name: "CODE", count: Count::Optional, kind: Kind::Value },
        ],
        options: &[],
        summary: "say what an error does in the rest of a script",
        details: "'on-error stop', which holds unless given, ends the script. 'on-error continue' goes on. 'on-error \
                  exit CODE' ends the emulator with that status.",
        example: "on-error exit 1",
        run: on_error,
    },
    Command {
        path: &["logout"],
        needs: Needs::Login,
        parameters: &[],
        options: &[],
        summary: "end this session",
        details: "Ctrl-D in an empty line does the same. At a serial port that asks for no login there is nothing to end.",
        example: "logout",
        run: logout,
    },
    Command {
        path: &["exit"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[Parameter { name: "CODE", count: Count::One, kind: Kind::Value }],
        options: &[],
        summary: "end the emulator with an exit status, 0 to 255",
        details: "For tests in an emulator: a real machine has no exit status. 'poweroff' turns the machine off.",
        example: "exit 0",
        run: exit,
    },
];

fn history(context: &mut Context<'_>, _: &Arguments) -> Result<Flow, Error> {
    for (number, line) in context.history.numbered() {
        writeln!(context.out, "{number:4}  {line}")?;
    }
    Ok(Flow::Done)
}

fn clear(context: &mut Context<'_>, _: &Arguments) -> Result<Flow, Error> {
    if context.display == Display::Terminal {
        context.out.control(CLEAR, Column::First);
    }
    Ok(Flow::Done)
}

fn set_escape(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    context.settings.escape = EscapeKey::parse(arguments.required(0)?)?;
    Ok(Flow::Done)
}

fn echo(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    writeln!(context.out, "{}", arguments.words(0).join(" "))?;
    Ok(Flow::Done)
}

fn sleep(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let duration = amount::parse_duration(arguments.required(0)?)?;
    Ok(Flow::Wait(Box::new(Sleep { until: context.now.saturating_add(duration) })))
}

fn on_error(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let policy = match (arguments.required(0)?, arguments.word(1)) {
        ("stop", None) => Policy::Stop,
        ("continue", None) => Policy::Continue,
        ("exit", Some(code)) => Policy::Exit(parse_code(code)?),
        _ => {
            return Err(Error::new("write on-error stop, on-error continue or on-error exit CODE"));
        }
    };
    match &mut context.policy {
        Some(current) => **current = policy,
        None => {
            return Err(Error::new("on-error is for scripts: here, the first error ends the line"));
        }
    }
    Ok(Flow::Done)
}

fn exit(_: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let code = parse_code(arguments.required(0)?)?;
    Ok(Flow::Wait(Box::new(Ending::new(End::Exit(code)))))
}

fn logout(context: &mut Context<'_>, _: &Arguments) -> Result<Flow, Error> {
    match context.lifetime {
        Lifetime::Login | Lifetime::Script => Ok(Flow::Logout),
        Lifetime::Machine => Err(Error::new("nobody has logged in here: there is nothing to end")),
    }
}

fn parse_code(text: &str) -> Result<u8, Error> {
    text.parse()
        .map_err(|_| Error::new(format!("an exit status is a number from 0 to 255, not '{text}'")))
}
