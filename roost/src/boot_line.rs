//! Roost's own command line: `name=value`, or `name="value with blanks"`, in any order.

/// The value of `name`, if the line has it; quotes taken off, `\"` and `\\` inside of them resolved. GRUB puts its quotes
/// around all of `name=value`.
pub(crate) fn value(line: &str, name: &str) -> Option<alloc::string::String> {
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, quoted, after) = next(rest);
        let word = if quoted { unquote(word) } else { word.into() };
        if let Some(value) = word.strip_prefix(name).and_then(|word| word.strip_prefix('=')) {
            return Some(value.into());
        }
        rest = after.trim_start();
    }
    None
}

/// The next `name=value`, whether its value is quoted, and what is behind it.
fn next(line: &str) -> (&str, bool, &str) {
    let mut inside = false;
    let mut escaped = false;
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => {
                inside = !inside;
                quoted = true;
            }
            c if c.is_whitespace() && !inside => {
                let (word, rest) = line.split_at(at);
                return (word, quoted, rest);
            }
            _ => {}
        }
    }
    (line, quoted, "")
}

fn unquote(value: &str) -> alloc::string::String {
    let mut result = alloc::string::String::new();
    let mut escaped = false;
    for c in value.chars() {
        match c {
            c if escaped => {
                result.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {}
            c => result.push(c),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_quoted_value_keeps_its_blanks() {
        let line = r#"console=x  roost.cmd="vm create linux; vm start linux" quiet"#;
        assert_eq!(value(line, "roost.cmd").as_deref(), Some("vm create linux; vm start linux"));
        assert_eq!(value(line, "console").as_deref(), Some("x"));
        assert_eq!(value(line, "quiet"), None);
        assert_eq!(value(line, "cmd"), None);
    }

    #[test]
    fn quotes_inside_of_quotes_are_escaped() {
        let line = r#"roost.cmd="vm send 1 \"ls\\n\"" x=1"#;
        assert_eq!(value(line, "roost.cmd").as_deref(), Some(r#"vm send 1 "ls\n""#));
        assert_eq!(value(line, "x").as_deref(), Some("1"));
    }

    #[test]
    fn quotes_around_name_and_value_are_as_good() {
        let line = r#"quiet "roost.cmd=vm create linux; vm list" x=1"#;
        assert_eq!(value(line, "roost.cmd").as_deref(), Some("vm create linux; vm list"));
        assert_eq!(value(line, "x").as_deref(), Some("1"));
    }

    #[test]
    fn an_open_quote_ends_with_the_line() {
        assert_eq!(value(r#"a="b c"#, "a").as_deref(), Some("b c"));
        assert_eq!(value("", "a"), None);
    }
}
