//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg;

use crate::failure::Failure;

/// The port of the protocol for programs.
const PORT: u16 = 2324;
/// Who one is if nothing else is said.
const USER: &str = "admin";
/// The key that leaves a console: Ctrl-].
const ESCAPE: u8 = 0x1d;

/// What `--help` says.
pub(crate) const HELP: &str = "\
roostctl [-H HOST[:PORT]] [-u USER] [--password-file FILE] [--json] COMMAND...

Runs a command of Roost's shell ('help' lists them) on another machine.

  COMMAND...            one command, such as: vm start linux
  console VM            is short for 'vm console VM'; --escape ^A chooses the key that leaves
  -                     commands from standard input, one a line, up to the first that fails

  -H, --host            the machine; ROOST_HOST if left out; the port is 2324 if left out
  -u, --user            who you are; ROOST_USER, or admin, if left out
  --password-file       a file with the password on its first line; if left out,
                        ROOST_PASSWORD, or you are asked
  --json                print the result as a JSON document
  --help, --version

Exit status: 0 done, 1 the command failed, 2 it cannot be read, 3 login refused or not allowed, 4 no connection.
";

/// What is wanted.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    /// To be helped.
    Help,
    /// To know the version.
    Version,
    /// To run something.
    Run(Order),
}

/// What to run, where, and as whom.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Order {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) escape: u8,
    pub(crate) commands: Commands,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// As the shell does.
    Text,
    /// As documents.
    Json,
}

/// Where commands come from.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Commands {
    /// This line.
    One(String),
    /// Lines of standard input.
    Input,
}

/// Reads the command line. `environment` is asked for what it leaves out.
///
/// # Errors
///
/// If it is wrong.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Wish, Failure> {
    let usage = |error: lexopt::Error| Failure::Usage(error.to_string());
    let text = |value: OsString| {
        value.into_string().map_err(|_| Failure::Usage("an argument is not UTF-8".into()))
    };
    let mut host = None;
    let mut user = None;
    let mut password_file = None;
    let mut format = Format::Text;
    let mut words = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Arg::Short('H') | Arg::Long("host") => {
                host = Some(text(parser.value().map_err(usage)?)?);
            }
            Arg::Short('u') | Arg::Long("user") => {
                user = Some(text(parser.value().map_err(usage)?)?);
            }
            Arg::Long("password-file") => {
                password_file = Some(PathBuf::from(parser.value().map_err(usage)?));
            }
            Arg::Long("json") => format = Format::Json,
            Arg::Short('h') | Arg::Long("help") => return Ok(Wish::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Wish::Version),
            // From here on, the words are the shell's.
            Arg::Value(word) => {
                words.push(text(word)?);
                for word in parser.raw_args().map_err(usage)? {
                    words.push(text(word)?);
                }
            }
            Arg::Short(_) | Arg::Long(_) => return Err(usage(argument.unexpected())),
        }
    }
    let host = host.or_else(|| environment("ROOST_HOST"));
    let host =
        host.ok_or_else(|| Failure::Usage("which machine? -H HOST, or ROOST_HOST".into()))?;
    let (host, port) = address(&host)?;
    let user = user.or_else(|| environment("ROOST_USER")).unwrap_or_else(|| USER.into());
    take_json(&mut words, &mut format);
    let escape = take_escape(&mut words)?;
    let commands = commands(&words)?;
    Ok(Wish::Run(Order { host, port, user, password_file, format, escape, commands }))
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT` or an address of IPv6.
fn address(text: &str) -> Result<(String, u16), Failure> {
    let wrong = || Failure::Usage(format!("'{text}' is not HOST or HOST:PORT"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(wrong()),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
        None => PORT,
    };
    if host.is_empty() { Err(wrong()) } else { Ok((host.into(), port)) }
}

/// `--json` may be behind the command as well, as in the shell.
fn take_json(words: &mut Vec<String>, format: &mut Format) {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    if let Some(at) = words.iter().take(end).position(|word| word == "--json") {
        words.remove(at);
        *format = Format::Json;
    }
}

/// A console's key is this program's business: Roost gets all others.
fn take_escape(words: &mut Vec<String>) -> Result<u8, Failure> {
    let is_console = match words.first().map(String::as_str) {
        Some("console") => words.get(1).is_none_or(|word| word != "log"),
        Some("vm") => words.get(1).is_some_and(|word| word == "console"),
        _ => false,
    };
    if !is_console {
        return Ok(ESCAPE);
    }
    if words.first().is_some_and(|word| word == "console") {
        words.insert(0, "vm".into());
    }
    let Some(at) = words.iter().position(|word| word == "--escape") else { return Ok(ESCAPE) };
    words.remove(at);
    let key = if at < words.len() { words.remove(at) } else { String::new() };
    match key.as_bytes() {
        [b'^', key] if (b'A'..=b'_').contains(&key.to_ascii_uppercase()) => {
            Ok(key.to_ascii_uppercase() - b'@')
        }
        _ => Err(Failure::Usage(format!("--escape '{key}': a key is ^ and a letter, as in ^A"))),
    }
}

fn commands(words: &[String]) -> Result<Commands, Failure> {
    if words.iter().any(|word| word.chars().any(|char| char.is_control() && char != '\t')) {
        return Err(Failure::Usage("a command has no control characters".into()));
    }
    match words {
        [] => Err(Failure::Usage("which command? 'roostctl --help' tells more".into())),
        [input] if input == "-" => Ok(Commands::Input),
        // Quoted as a whole: it is as it would be typed.
        [line] => Ok(Commands::One(line.clone())),
        words => shlex::try_join(words.iter().map(String::as_str))
            .map(Commands::One)
            .map_err(|error| Failure::Usage(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Wish, Failure> {
        parse(words.iter().map(OsString::from), &|_| None)
    }

    fn order(words: &[&str]) -> Order {
        let all = [&["-H", "host"], words].concat();
        match of(&all) {
            Ok(Wish::Run(order)) => order,
            other => panic!("{other:?}"),
        }
    }

    fn line(words: &[&str]) -> String {
        match order(words).commands {
            Commands::One(line) => line,
            Commands::Input => panic!("no line"),
        }
    }

    #[test]
    fn words_reach_the_shell_as_they_were_given() {
        assert_eq!(line(&["vm", "stop", "web", "--force"]), "vm stop web --force");
        let typed = line(&["vm", "send", "1", "a 'b' \\r; #c"]);
        assert_eq!(shlex::split(&typed).unwrap(), ["vm", "send", "1", "a 'b' \\r; #c"]);
        assert_eq!(line(&["vm list"]), "vm list");
        assert_eq!(line(&["vm", "list", "-u"]), "vm list -u");
        assert_eq!(order(&["-"]).commands, Commands::Input);
        assert!(matches!(of(&["-H", "h", "echo", "a\nvm destroy 1"]), Err(Failure::Usage(_))));
    }

    #[test]
    fn json_may_be_asked_for_anywhere() {
        assert_eq!(order(&["vm", "list"]).format, Format::Text);
        for words in [&["--json", "vm", "list"][..], &["vm", "list", "--json"]] {
            let order = order(words);
            assert_eq!(order.format, Format::Json);
            assert_eq!(order.commands, Commands::One("vm list".into()));
        }
        assert_eq!(order(&["echo", "--", "--json"]).format, Format::Text);
    }

    #[test]
    fn a_console_has_a_key_that_roost_does_not_see() {
        assert_eq!(line(&["console", "1"]), "vm console 1");
        assert_eq!(line(&["console", "log", "1"]), "console log 1");
        assert_eq!(order(&["vm", "console", "1"]).escape, 0x1d);
        let other = order(&["console", "1", "--escape", "^a"]);
        assert_eq!((other.escape, other.commands), (1, Commands::One("vm console 1".into())));
        assert!(matches!(
            of(&["-H", "h", "console", "1", "--escape", "x"]),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn machines_have_names_addresses_and_ports() {
        let of = |text: &str| address(text).ok();
        assert_eq!(of("host"), Some(("host".into(), 2324)));
        assert_eq!(of("10.0.0.1:99"), Some(("10.0.0.1".into(), 99)));
        assert_eq!(of("[fd00::1]:99"), Some(("fd00::1".into(), 99)));
        assert_eq!(of("[fd00::1]"), Some(("fd00::1".into(), 2324)));
        assert_eq!(of("fe80::1"), Some(("fe80::1".into(), 2324)));
        for wrong in ["", ":1", "host:", "host:0", "host:99999", "[fd00::1", "[]:1", "[a]x"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_left_out_is_in_the_environment() {
        let environment = |name: &str| match name {
            "ROOST_HOST" => Some("there:9".into()),
            "ROOST_USER" => Some("anna".into()),
            _ => None,
        };
        let wish = parse(["mem".into()], &environment).unwrap();
        let Wish::Run(order) = wish else { panic!("{wish:?}") };
        assert_eq!((order.host.as_str(), order.port, order.user.as_str()), ("there", 9, "anna"));
        assert!(matches!(of(&["mem"]), Err(Failure::Usage(why)) if why.contains("ROOST_HOST")));
        assert!(matches!(of(&["-H", "h"]), Err(Failure::Usage(_))));
        assert!(matches!(of(&["-H", "h", "-x", "mem"]), Err(Failure::Usage(_))));
        assert_eq!(of(&["--help"]), Ok(Wish::Help));
    }
}
