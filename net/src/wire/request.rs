//! What a line asks for.

use super::lines::Line;
use super::reply::FailureKind;
use alloc::string::String;
use core::fmt;

/// How listings are answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Listings {
    /// As documents.
    #[default]
    Json,
    /// As tables for people.
    Text,
}

/// What a program wants.
#[derive(Clone, Eq, PartialEq)]
pub enum Request {
    /// To log in.
    Login {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// To leave.
    Quit,
    /// Nothing: an empty line, which is answered all the same and so keeps a connection from being idle.
    Nothing,
    /// How listings are to be answered from now on.
    Listings(Listings),
    /// The terminal behind the program has this size.
    Size {
        /// Its width in characters.
        columns: u16,
        /// Its height in lines.
        rows: u16,
    },
    /// A command of the shell.
    Command(String),
    /// The line is wrong.
    Wrong(FailureKind, &'static str),
}

/// Without passwords.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { name, .. } => {
                f.debug_struct("Login").field("name", name).finish_non_exhaustive()
            }
            Self::Quit => f.write_str("Quit"),
            Self::Nothing => f.write_str("Nothing"),
            Self::Listings(listings) => f.debug_tuple("Listings").field(listings).finish(),
            Self::Size { columns, rows } => write!(f, "Size({columns}x{rows})"),
            Self::Command(command) => f.debug_tuple("Command").field(command).finish(),
            Self::Wrong(kind, why) => f.debug_tuple("Wrong").field(kind).field(why).finish(),
        }
    }
}

/// What a line asks for. Words are quoted as in the shell.
#[must_use]
pub fn parse(line: Line) -> Request {
    let bytes = match line {
        Line::Whole(bytes) => bytes,
        Line::TooLong => return Request::Wrong(FailureKind::Line, "the line is too long"),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Request::Wrong(FailureKind::Line, "the line is not UTF-8");
    };
    if text.chars().any(|char| char.is_control() && char != '\t') {
        return Request::Wrong(FailureKind::Line, "the line has control characters");
    }
    let first = text.split_ascii_whitespace().next();
    match first {
        None => Request::Nothing,
        Some("quit" | "logout") => Request::Quit,
        Some("login") => login(&text),
        Some("format") => format(&text),
        Some("size") => size(&text),
        Some(_) => Request::Command(text),
    }
}

fn login(text: &str) -> Request {
    let mut words = shlex::split(text).unwrap_or_default().into_iter().skip(1);
    match (words.next(), words.next(), words.next()) {
        (Some(name), Some(password), None) => Request::Login { name, password },
        _ => Request::Wrong(FailureKind::Line, "write: login NAME PASSWORD"),
    }
}

fn format(text: &str) -> Request {
    let mut words = text.split_ascii_whitespace().skip(1);
    match (words.next(), words.next()) {
        (Some("json"), None) => Request::Listings(Listings::Json),
        (Some("text"), None) => Request::Listings(Listings::Text),
        _ => Request::Wrong(FailureKind::Line, "write: format json, or format text"),
    }
}

fn size(text: &str) -> Request {
    let mut words = text.split_ascii_whitespace().skip(1);
    let mut number =
        || words.next()?.parse().ok().filter(|number: &u16| (1..=9999).contains(number));
    match (number(), number(), words.next()) {
        (Some(columns), Some(rows), None) => Request::Size { columns, rows },
        _ => Request::Wrong(FailureKind::Line, "write: size COLUMNS ROWS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &[u8]) -> Request {
        parse(Line::Whole(text.to_vec()))
    }

    #[test]
    fn lines_ask_for_what_they_say() {
        let password = || "my \"pass".into();
        let login = Request::Login { name: "anna".into(), password: password() };
        assert_eq!(of(b"login anna 'my \"pass'"), login);
        assert!(!format!("{login:?}").contains("pass"));
        assert_eq!(of(b" \t"), Request::Nothing);
        assert_eq!(of(b"quit"), Request::Quit);
        assert_eq!(
            of(b"vm list; vm stop 'x y'"),
            Request::Command("vm list; vm stop 'x y'".into())
        );
        assert_eq!(of(b"format text"), Request::Listings(Listings::Text));
        assert_eq!(of(b" format  json\t"), Request::Listings(Listings::Json));
        assert_eq!(of(b"size 120 40"), Request::Size { columns: 120, rows: 40 });
        assert_eq!(of(b"loginx"), Request::Command("loginx".into()));
    }

    #[test]
    fn wrong_lines_are_not_commands() {
        for line in [
            &b"login"[..],
            b"login a",
            b"format",
            b"format x",
            b"size 80",
            b"size 0 1",
            b"size 99999 1",
            b"size 1 2 3",
            b"login a b c",
            b"login 'a b",
            b"a\x1b[2J",
            b"\xff",
            b"a\0",
        ] {
            assert!(matches!(of(line), Request::Wrong(FailureKind::Line, _)), "{line:?}");
        }
        assert!(matches!(parse(Line::TooLong), Request::Wrong(..)));
    }

    proptest! {
        #[test]
        fn a_command_has_nothing_that_a_terminal_obeys(line in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Request::Command(text) = of(&line) {
                prop_assert!(!text.chars().any(|char| char.is_control() && char != '\t'));
            }
        }
    }
}
