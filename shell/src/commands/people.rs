//! `who`, `session list`, `session kill`, `audit` and `passwd`.

use super::{parse_count, print, print_json};
use crate::access::{Needs, Role};
use crate::amount::{Clock, Stamp};
use crate::arguments::{Arguments, Format};
use crate::command::{Command, Count, Flow, Kind, Parameter, Switch};
use crate::context::Context;
use crate::error::Error;
use crate::host::{AuditLine, SessionSummary};
use crate::session::{SessionId, TerminalKind};
use crate::table::{self, Column};
use crate::task::passwd::Passwd;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

/// Entries of the audit that are shown unless a number is given.
const AUDIT_LINES: usize = 100;
/// Entries that are kept at most, and so more than can be shown.
const MOST_AUDIT_LINES: u64 = 10_000;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        path: &["who"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "list who is here",
        details: "'session list' tells more.",
        example: "who",
        run: who,
    },
    Command {
        path: &["session", "list"],
        needs: Needs::Machine(Role::Viewer),
        parameters: &[],
        options: &[Switch::JSON],
        summary: "list all sessions",
        details: "LINK is how the session is reached, SINCE the time since power-on when it began, IDLE the time since something \
                  was typed, DOING the command that runs, and LOST the bytes of output that were dropped because nobody \
                  read them.",
        example: "session list",
        run: list,
    },
    Command {
        path: &["session", "kill"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[Parameter { name: "ID", count: Count::One, kind: Kind::Value }],
        options: &[],
        summary: "end a session",
        details: "What it runs is given up, as by Ctrl-C. 'logout' ends the own one.",
        example: "session kill 3",
        run: kill,
    },
    Command {
        path: &["audit"],
        needs: Needs::Machine(Role::Admin),
        parameters: &[],
        options: &[
            Switch {
                name: "--lines",
                value: Some(("N", Kind::Value)),
                help: "the last N entries; 100 unless given",
            },
            Switch::JSON,
        ],
        summary: "show who did what, from where",
        details: "Logins and what went wrong with them, ends of sessions, and commands that change something or were refused. Each \
                  line begins with the seconds since power-on. Of a command, text for a guest is left out.",
        example: "audit --lines 20",
        run: audit,
    },
    Command {
        path: &["passwd"],
        needs: Needs::ForOthers(Role::Admin),
        parameters: &[Parameter { name: "USER", count: Count::Optional, kind: Kind::User }],
        options: &[],
        summary: "change a password, for as long as the machine is on",
        details: "One's own unless USER is given; who changes his own gives the old one first. Nothing is shown of what is \
                  typed. A user's first password opens the machine to logins from afar. For good, a password is written \
                  in configs/host.toml: 'make passwd' makes the line.",
        example: "passwd admin",
        run: passwd,
    },
];

fn who(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let sessions = context.host.registry().sessions();
    print(context, arguments, &sessions, |context, sessions| {
        let row = |session: &SessionSummary| {
            vec![session.user.clone(), session.from.clone(), clock(session.since_ns)]
        };
        let rows: Vec<Vec<String>> = sessions.iter().map(row).collect();
        let columns = ["USER", "FROM", "SINCE"].map(|header| Column(header, 0));
        Ok(table::print(context.out, &columns, &rows)?)
    })?;
    Ok(Flow::Done)
}

fn list(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let sessions = context.host.registry().sessions();
    let own = context.session;
    print(context, arguments, &sessions, |context, sessions| {
        let row = |session: &SessionSummary| {
            let mark = if session.id == own { "*" } else { "" };
            vec![
                format!("{}{mark}", session.id),
                session.user.clone(),
                session.from.clone(),
                session.link.clone(),
                clock(session.since_ns),
                clock(session.idle_ns),
                session.lost_bytes.to_string(),
                session.doing.as_deref().map_or_else(|| "-".into(), printable),
            ]
        };
        let rows: Vec<Vec<String>> = sessions.iter().map(row).collect();
        let columns = ["ID", "USER", "FROM", "LINK", "SINCE", "IDLE", "LOST", "DOING"];
        Ok(table::print(context.out, &columns.map(|header| Column(header, 0)), &rows)?)
    })?;
    Ok(Flow::Done)
}

fn clock(nanoseconds: u64) -> String {
    Clock(Duration::from_nanos(nanoseconds)).to_string()
}

/// What somebody else typed may be anything, also what a terminal would obey.
fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

fn kill(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let word = arguments.required(0)?;
    let id = word.parse().map(SessionId).map_err(|_| {
        Error::new(format!("'{word}' is no session's number: 'session list' shows them"))
    })?;
    if id == context.session {
        return Err(Error::new("that is this session: 'logout' ends it"));
    }
    context.host.registry_mut().session_kill(id)?;
    Ok(Flow::Done)
}

fn audit(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let most = match arguments.option("--lines") {
        Some(lines) => parse_count("--lines", lines)?.min(MOST_AUDIT_LINES) as usize,
        None => AUDIT_LINES,
    };
    let trail = context.host.registry().audit(most);
    if arguments.format() == Format::Json {
        print_json(context, &trail.lines)?;
        return Ok(Flow::Done);
    }
    if trail.forgotten > 0 {
        writeln!(context.out, "[{} earlier entries are no longer kept]", trail.forgotten)?;
    }
    for line in &trail.lines {
        let AuditLine { time_ns, user, from, what, times } = line;
        let stamp = Stamp(Duration::from_nanos(*time_ns));
        let user = user.as_deref().unwrap_or("-");
        write!(context.out, "{stamp} {user} from {from}: {what}")?;
        if *times > 1 {
            write!(context.out, " ({times} times)")?;
        }
        writeln!(context.out)?;
    }
    Ok(Flow::Done)
}

fn passwd(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let user = arguments.word(0).unwrap_or(&context.user.name).to_string();
    let users = context.host.registry().users();
    if !users.contains(&user) {
        let known = if users.is_empty() {
            "configs/host.toml names none".into()
        } else {
            format!("configs/host.toml names {}", users.join(", "))
        };
        return Err(Error::new(format!("no user '{user}': {known}")));
    }
    if context.terminal == TerminalKind::Program {
        return Err(Error::new("'passwd' asks, which a program cannot answer: log in by telnet"));
    }
    Ok(Flow::Wait(Box::new(Passwd::begin(context, user)?)))
}
