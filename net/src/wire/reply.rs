//! Answers: one line of JSON each.

use alloc::format;
use alloc::string::{String, ToString as _};
use serde_json::Value;

/// The version of the protocol. A greater one may lack what this one has; fields may be added to this one.
pub const PROTOCOL: u32 = 1;

/// Why there is no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// The line cannot be read.
    Line,
    /// Name or password are wrong, or there was no login.
    Login,
    /// The user may not.
    Forbidden,
    /// The command failed.
    Command,
    /// The connection is about to be closed.
    Closing,
}

impl FailureKind {
    /// Its name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Login => "login",
            Self::Forbidden => "forbidden",
            Self::Command => "command",
            Self::Closing => "closing",
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// The first line of a connection: who answers, in which version of Roost.
    Hello {
        /// The version of Roost.
        version: &'a str,
    },
    /// A command was done, and this JSON document is its result; `null` if it has none.
    Json(&'a str),
    /// The connection is a console's from the next byte on, about which this JSON document tells.
    Attached(&'a str),
    /// A command was done, and said this.
    Text(&'a str),
    /// A command was not done.
    Failed {
        /// What kind of failure.
        kind: FailureKind,
        /// The reason, for people.
        message: &'a str,
    },
}

impl Reply<'_> {
    /// The line, with its end. A document that is none becomes text: whatever a command says, the line is JSON.
    #[must_use]
    pub fn line(&self) -> String {
        let line = match self {
            Self::Hello { version } => {
                format!(r#"{{"hello":"roost","protocol":{PROTOCOL},"version":{}}}"#, quote(version))
            }
            Self::Json(document) => format!(r#"{{"ok":true,"result":{}}}"#, compact(document)),
            Self::Attached(document) => {
                format!(r#"{{"ok":true,"attached":true,"result":{}}}"#, compact(document))
            }
            Self::Text(text) => format!(r#"{{"ok":true,"result":{}}}"#, quote(text)),
            Self::Failed { kind, message } => {
                let (kind, message) = (quote(kind.name()), quote(message));
                format!(r#"{{"ok":false,"error":{{"kind":{kind},"message":{message}}}}}"#)
            }
        };
        line + "\n"
    }
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// The document on one line.
fn compact(document: &str) -> String {
    // Line feeds can only be between its parts, for strings have them escaped.
    let is_document = serde_json::from_str::<serde::de::IgnoredAny>(document).is_ok();
    if is_document { document.trim().replace(['\n', '\r'], " ") } else { quote(document) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_as_documented() {
        let hello = Reply::Hello { version: "0.1.0" };
        assert_eq!(hello.line(), "{\"hello\":\"roost\",\"protocol\":1,\"version\":\"0.1.0\"}\n");
        assert_eq!(Reply::Json("[1,\n 2]\n").line(), "{\"ok\":true,\"result\":[1,  2]}\n");
        assert_eq!(Reply::Text("a\n\"b\"").line(), "{\"ok\":true,\"result\":\"a\\n\\\"b\\\"\"}\n");
        let attached = Reply::Attached("{\"id\":1}");
        assert_eq!(attached.line(), "{\"ok\":true,\"attached\":true,\"result\":{\"id\":1}}\n");
        let failed = Reply::Failed { kind: FailureKind::Command, message: "no such VM" };
        let expected =
            "{\"ok\":false,\"error\":{\"kind\":\"command\",\"message\":\"no such VM\"}}\n";
        assert_eq!(failed.line(), expected);
    }

    #[test]
    fn what_is_no_document_is_text() {
        assert_eq!(
            Reply::Json("1} {\"ok\":true").line(),
            "{\"ok\":true,\"result\":\"1} {\\\"ok\\\":true\"}\n"
        );
        assert_eq!(Reply::Json("").line(), "{\"ok\":true,\"result\":\"\"}\n");
    }

    proptest! {
        #[test]
        fn every_answer_is_one_line_of_json(text in any::<String>()) {
            for reply in [
                Reply::Json(&text),
                Reply::Attached(&text),
                Reply::Text(&text),
                Reply::Hello { version: &text },
                Reply::Failed { kind: FailureKind::Login, message: &text },
            ] {
                let line = reply.line();
                prop_assert!(line.ends_with('\n') && line.lines().count() == 1);
                prop_assert!(!line.trim_end_matches('\n').contains('\n'));
                let value: Value = serde_json::from_str(&line).unwrap();
                prop_assert!(value.is_object());
            }
        }
    }
}
