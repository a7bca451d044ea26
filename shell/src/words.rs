//! Lines into commands, and commands into words.
//!
//! `;` and line ends separate commands, `#` at the beginning of a word starts a comment, and words
//! are quoted as POSIX shells do (`"..."`, `'...'`, `\`).

use crate::error::Error;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What kind of text a place in a line is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Quoting {
    None,
    Single,
    Double,
}

/// A walk over a text that knows what is quoted.
struct Walk {
    quoting: Quoting,
    /// The last character was a backslash that quotes the next one.
    is_escaped: bool,
    /// The next character would begin a word.
    is_between_words: bool,
    is_comment: bool,
    /// Where the word begins that the walk is in; the current place, between words.
    word_start: usize,
}

/// What a character does to the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Text,
    Separator,
    Comment,
    LineEnd,
}

impl Walk {
    fn new() -> Self {
        Self {
            quoting: Quoting::None,
            is_escaped: false,
            is_between_words: true,
            is_comment: false,
            word_start: 0,
        }
    }

    fn step(&mut self, at: usize, c: char) -> Role {
        let after = at + c.len_utf8();
        if self.is_comment {
            if c != '\n' {
                return Role::Comment;
            }
            self.is_comment = false;
        }
        if self.is_escaped {
            self.is_escaped = false;
            return Role::Text;
        }
        match (self.quoting, c) {
            (Quoting::None | Quoting::Double, '\\') => {
                self.is_escaped = true;
                self.begin_word(at);
            }
            (Quoting::None, '\'') => {
                self.quoting = Quoting::Single;
                self.begin_word(at);
            }
            (Quoting::None, '"') => {
                self.quoting = Quoting::Double;
                self.begin_word(at);
            }
            (Quoting::Single, '\'') | (Quoting::Double, '"') => self.quoting = Quoting::None,
            (Quoting::Single | Quoting::Double, _) => {}
            (Quoting::None, '\n') => {
                self.end_word(after);
                return Role::LineEnd;
            }
            (Quoting::None, ';') => {
                self.end_word(after);
                return Role::Separator;
            }
            (Quoting::None, '#') if self.is_between_words => {
                self.is_comment = true;
                return Role::Comment;
            }
            (Quoting::None, c) if c.is_whitespace() => self.end_word(after),
            (Quoting::None, _) => self.begin_word(at),
        }
        Role::Text
    }

    fn begin_word(&mut self, at: usize) {
        if self.is_between_words {
            self.word_start = at;
        }
        self.is_between_words = false;
    }

    fn end_word(&mut self, after: usize) {
        self.is_between_words = true;
        self.word_start = after;
    }

    fn unfinished(&self) -> Option<&'static str> {
        match self.quoting {
            Quoting::Single => Some("a quote ' is not closed"),
            Quoting::Double => Some("a quote \" is not closed"),
            Quoting::None if self.is_escaped => Some("nothing follows the \\ at the end"),
            Quoting::None => None,
        }
    }
}

/// The first command of `text`, and what is after its separator. `None` when the text is used up.
/// The command may be empty.
///
/// # Errors
///
/// A quote is not closed. The rest of the text is gone.
pub(crate) fn next_command(text: &str) -> Option<Result<(&str, &str), Error>> {
    if text.is_empty() {
        return None;
    }
    let mut walk = Walk::new();
    let mut end = None;
    for (at, c) in text.char_indices() {
        match walk.step(at, c) {
            Role::Text => {}
            Role::Comment => _ = end.get_or_insert(at),
            Role::Separator | Role::LineEnd => {
                let (command, rest) = (&text[..end.unwrap_or(at)], &text[at + c.len_utf8()..]);
                return Some(Ok((command.trim(), rest)));
            }
        }
    }
    Some(match walk.unfinished() {
        Some(why) => Err(Error::new(format!("{why}: {}", text.trim()))),
        None => Ok((text[..end.unwrap_or(text.len())].trim(), "")),
    })
}

/// The words of one command.
///
/// # Errors
///
/// A quote is not closed.
pub(crate) fn split(command: &str) -> Result<Vec<String>, Error> {
    shlex::split(command)
        .ok_or_else(|| Error::new(format!("a quote is not closed: {}", command.trim())))
}

/// The end of a line that is being typed, as completion sees it.
pub(crate) struct Unfinished {
    /// The finished words of the last command.
    pub(crate) words: Vec<String>,
    /// The word being typed, without its quotes. Empty between words.
    pub(crate) word: String,
    /// Where that word begins in the line, with its quotes.
    pub(crate) word_start: usize,
}

/// Takes apart the end of a line; `None` in a comment.
pub(crate) fn unfinished(line: &str) -> Option<Unfinished> {
    let mut walk = Walk::new();
    let mut command_start = 0;
    for (at, c) in line.char_indices() {
        match walk.step(at, c) {
            Role::Text | Role::Comment => {}
            Role::Separator | Role::LineEnd => command_start = at + c.len_utf8(),
        }
    }
    if walk.is_comment {
        return None;
    }
    let mut tail: String = line.get(walk.word_start..)?.into();
    if walk.is_escaped {
        tail.pop();
    }
    match walk.quoting {
        Quoting::None => {}
        Quoting::Single => tail.push('\''),
        Quoting::Double => tail.push('"'),
    }
    Some(Unfinished {
        words: shlex::split(line.get(command_start..walk.word_start)?)?,
        word: shlex::split(&tail)?.pop().unwrap_or_default(),
        word_start: walk.word_start,
    })
}

/// A word as it must be typed.
pub(crate) fn quote(word: &str) -> String {
    // shlex is careful with `=`, which means nothing here.
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "=,./-_+:@%^".contains(c);
    if !word.is_empty() && word.chars().all(is_safe) {
        return word.into();
    }
    shlex::try_quote(word).map_or_else(|_| word.into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(mut text: &str) -> Vec<Result<&str, String>> {
        let mut all = Vec::new();
        while let Some(next) = next_command(text) {
            match next {
                Ok((command, rest)) => {
                    all.push(Ok(command));
                    text = rest;
                }
                Err(error) => {
                    all.push(Err(error.to_string()));
                    break;
                }
            }
        }
        all
    }

    #[test]
    fn semicolons_and_line_ends_separate_commands_outside_of_quotes() {
        assert_eq!(commands("a; b c ;d\ne"), [Ok("a"), Ok("b c"), Ok("d"), Ok("e")]);
        assert_eq!(commands("a ';' \";\" \\;"), [Ok("a ';' \";\" \\;")]);
        assert_eq!(commands(";;"), [Ok(""), Ok("")]);
        assert_eq!(commands(""), []);
    }

    #[test]
    fn a_hash_starts_a_comment_only_where_a_word_begins() {
        assert_eq!(commands("a # b; c\nd"), [Ok("a"), Ok("d")]);
        assert_eq!(commands("a b#c '# d'"), [Ok("a b#c '# d'")]);
        assert_eq!(commands("# only this"), [Ok("")]);
        assert_eq!(commands("#a\n#b\n"), [Ok(""), Ok("")]);
    }

    #[test]
    fn an_open_quote_is_an_error_that_says_so() {
        assert_eq!(commands("a; b 'c"), [Ok("a"), Err("a quote ' is not closed: b 'c".into())]);
        assert_eq!(commands("\"c"), [Err("a quote \" is not closed: \"c".into())]);
        assert_eq!(commands("a \\"), [Err("nothing follows the \\ at the end: a \\".into())]);
    }

    #[test]
    fn words_are_quoted_as_in_posix_shells() {
        assert_eq!(split(r#"a "b c" 'd "e' f\ g """#).unwrap(), ["a", "b c", "d \"e", "f g", ""]);
    }

    #[test]
    fn the_word_being_typed_is_found_inside_of_quotes() {
        let at = |line| {
            let end = unfinished(line).unwrap();
            (end.words, end.word, end.word_start)
        };
        let words = |words: &[&str]| words.iter().map(|&word| word.into()).collect::<Vec<String>>();
        assert_eq!(at(""), (words(&[]), String::new(), 0));
        assert_eq!(at("vm cr"), (words(&["vm"]), "cr".into(), 3));
        assert_eq!(at("vm create "), (words(&["vm", "create"]), String::new(), 10));
        assert_eq!(at("a; vm st"), (words(&["vm"]), "st".into(), 6));
        assert_eq!(at("a 'b c"), (words(&["a"]), "b c".into(), 2));
        assert_eq!(at("a b\\"), (words(&["a"]), "b".into(), 2));
        assert!(unfinished("a # b").is_none());
    }
}
