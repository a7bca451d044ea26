//! Lines of Roost: what each says.

use serde_json::Value;

use crate::failure::Failure;

/// The protocol that is spoken here.
const PROTOCOL: u64 = 1;

/// A line of Roost.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// A command was done: this is its result.
    Done(Value),
    /// The connection is a console's from the next byte on.
    Attached(Value),
    /// It was not.
    Failed(Failure),
    /// The beginning of a connection.
    Hello,
    /// Something that was not asked for: an event, or what a later version says besides.
    Other,
}

/// What a line says.
///
/// # Errors
///
/// If it is not one of Roost's.
pub(crate) fn parse(line: &[u8]) -> Result<Reply, Failure> {
    let foreign = || Failure::Connection("that is not Roost's protocol for programs".into());
    let mut value: Value = serde_json::from_slice(line).map_err(|_| foreign())?;
    if value.get("hello").and_then(Value::as_str) == Some("roost") {
        let protocol = value.get("protocol").and_then(Value::as_u64);
        return match protocol {
            Some(PROTOCOL) => Ok(Reply::Hello),
            Some(other) => Err(Failure::Connection(format!(
                "it speaks version {other} of the protocol, and this roostctl version {PROTOCOL}"
            ))),
            None => Err(foreign()),
        };
    }
    match value.get("ok").and_then(Value::as_bool) {
        Some(true) => {
            let is_attached = value.get("attached") == Some(&Value::Bool(true));
            let result = value.get_mut("result").map(Value::take).unwrap_or_default();
            Ok(if is_attached { Reply::Attached(result) } else { Reply::Done(result) })
        }
        Some(false) => {
            let error = |field| value.get("error")?.get(field)?.as_str();
            let why = error("message").unwrap_or("it did not say why").to_owned();
            Ok(Reply::Failed(match error("kind") {
                Some("line") => Failure::Usage(why),
                Some("login" | "forbidden") => Failure::Login(why),
                Some("closing") => Failure::Closing(why),
                _ => Failure::Command(why),
            }))
        }
        None if value.is_object() => Ok(Reply::Other),
        None => Err(foreign()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Reply, Failure> {
        parse(line.as_bytes())
    }

    #[test]
    fn lines_say_what_the_manual_says() {
        assert_eq!(of(r#"{"hello":"roost","protocol":1,"version":"9"}"#), Ok(Reply::Hello));
        assert_eq!(of(r#"{"ok":true,"result":"a"}"#), Ok(Reply::Done("a".into())));
        assert_eq!(of(r#"{"ok":true}"#), Ok(Reply::Done(Value::Null)));
        let attached = r#"{"ok":true,"attached":true,"result":7}"#;
        assert_eq!(of(attached), Ok(Reply::Attached(7.into())));
        assert_eq!(of(r#"{"event":"state","data":{}}"#), Ok(Reply::Other));
        for (kind, status) in [
            ("line", 2),
            ("login", 3),
            ("forbidden", 3),
            ("command", 1),
            ("closing", 4),
            ("new", 1),
        ] {
            let line = format!(r#"{{"ok":false,"error":{{"kind":"{kind}","message":"no"}}}}"#);
            let Ok(Reply::Failed(failure)) = of(&line) else { panic!("{line}") };
            assert_eq!((failure.status(), failure.to_string()), (status, "no".into()));
        }
    }

    #[test]
    fn what_roost_does_not_say_is_no_answer() {
        for line in ["", "SSH-2.0-x", "[]", "1", r#"{"hello":"roost","protocol":2}"#, "login: "] {
            assert!(matches!(of(line), Err(Failure::Connection(_))), "{line}");
        }
    }
}
