//! A Rust source file as rules look at it: line by line, without comments, without what is in strings, and without tests.
//!
//! It is a scanner and no parser: it knows just enough of Rust's lexical structure to tell these apart.

/// A file, and what of it is code.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path from the root of the tree.
    pub(super) path: String,
    /// All of it.
    pub(super) text: String,
    /// The same with blanks for comments, for the content of strings and characters, and for tests.
    pub(super) code: String,
    /// How many of its lines are not tests.
    pub(super) own_lines: usize,
}

impl Source {
    /// The file at `path`, which holds `text`.
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let mut code = blank_prose(&text);
        let own_lines = text.lines().count() - blank_tests(&mut code);
        Self { path, text, code: code.into_iter().collect(), own_lines }
    }

    /// Lines of code with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether all of it is test code, by its place.
    pub(super) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| matches!(part, "tests" | "testing" | "tests.rs" | "fuzz" | "fuzz_targets"))
    }

    /// The crate that it belongs to: the path's first directory.
    pub(super) fn member(&self) -> &str {
        self.path.split('/').next().unwrap_or("")
    }

    /// A place in it, for findings.
    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Whether `line` has `word` in it, with nothing that belongs to a name at either end.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

/// Where the scanner is.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    LineComment,
    /// So many levels deep: they nest.
    BlockComment(u32),
    String,
    /// With so many `#` at its ends.
    RawString(usize),
    Character,
}

/// The text with blanks in place of what is not code; lines stay lines.
fn blank_prose(text: &str) -> Vec<char> {
    let chars: Vec<char> = text.chars().collect();
    let mut code = Vec::with_capacity(chars.len());
    let mut inside = Inside::Code;
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = chars.get(at..).unwrap_or_default();
        let (next, len) = step(inside, rest);
        for &passed in rest.iter().take(len) {
            let is_code = matches!(inside, Inside::Code) && matches!(next, Inside::Code);
            code.push(if is_code || passed == '\n' { passed } else { ' ' });
        }
        debug_assert!(len > 0, "stuck at {c:?}");
        inside = next;
        at += len;
    }
    code
}

/// What comes next, and how many characters lead there.
fn step(inside: Inside, rest: &[char]) -> (Inside, usize) {
    match (inside, rest) {
        (Inside::Code, ['/', '/', ..]) => (Inside::LineComment, 2),
        (Inside::Code, ['/', '*', ..]) => (Inside::BlockComment(1), 2),
        (Inside::Code, ['"', ..]) => (Inside::String, 1),
        (Inside::Code, ['r', ..]) if raw_string(rest).is_some() => {
            let hashes = raw_string(rest).unwrap_or(0);
            (Inside::RawString(hashes), hashes + 2)
        }
        (Inside::Code, ['\'', '\\', ..]) => (Inside::Character, 1),
        (Inside::Code, ['\'', _, '\'', ..]) => (Inside::Character, 1),
        (Inside::Code, ['r', '#', ..]) => (Inside::Code, 2),
        // A name is passed whole, so that the `r` at its end begins no raw string.
        (Inside::Code, [c, ..]) if c.is_alphabetic() => {
            let len = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            let is_prefix = matches!(rest, ['b' | 'c', 'r', '"' | '#', ..]);
            (Inside::Code, if is_prefix { 1 } else { len })
        }
        (Inside::LineComment, ['\n', ..]) => (Inside::Code, 1),
        (Inside::BlockComment(depth), ['/', '*', ..]) => (Inside::BlockComment(depth + 1), 2),
        (Inside::BlockComment(1), ['*', '/', ..]) => (Inside::Code, 2),
        (Inside::BlockComment(depth), ['*', '/', ..]) => (Inside::BlockComment(depth - 1), 2),
        (Inside::String | Inside::Character, ['\\', _, ..]) => (inside, 2),
        (Inside::String, ['"', ..]) | (Inside::Character, ['\'', ..]) => (Inside::Code, 1),
        (Inside::RawString(hashes), ['"', end @ ..])
            if end.iter().take(hashes).filter(|c| **c == '#').count() == hashes =>
        {
            (Inside::Code, hashes + 1)
        }
        _ => (inside, 1),
    }
}

/// How many `#` the raw string has that begins here, if one does.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
    (rest.get(hashes + 1) == Some(&'"')).then_some(hashes)
}

const TEST: &str = "#[cfg(test)]";

/// Blanks every item that is compiled for tests only. Returns how many lines that were.
fn blank_tests(code: &mut [char]) -> usize {
    let marker: Vec<char> = TEST.chars().collect();
    let mut lines = 0;
    let mut at = 0;
    while at + marker.len() <= code.len() {
        if code[at..at + marker.len()] != marker[..] {
            at += 1;
            continue;
        }
        let end = end_of_item(code, at + marker.len());
        for c in &mut code[at..end] {
            match c {
                '\n' => lines += 1,
                c => *c = ' ',
            }
        }
        lines += 1;
        at = end;
    }
    lines
}

/// The place behind the item that begins at `at`: behind its `;`, or its last brace.
fn end_of_item(code: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, c) in code.iter().enumerate().skip(at) {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *c == '}' {
                    return index + 1;
                }
            }
            ';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("a.rs", text).code
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        assert_eq!(code("a // panic!\nb"), format!("a{}\nb", " ".repeat(10)));
        assert_eq!(code("/* x /* y */ z */b"), format!("{}b", " ".repeat(17)));
        assert_eq!(code(r#"f("a\"b", x)"#).replace(' ', ""), "f(,x)");
        assert_eq!(code(r##"f(r#"a"b"#, x)"##).replace(' ', ""), "f(,x)");
        assert_eq!(code(r#"f(b"a", br"b")"#).replace(' ', ""), "f(b,b)");
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(code("fn f<'a>(x: &'a str, c: '{')").replace(' ', ""), "fnf<'a>(x:&'astr,c:)");
        assert_eq!(code(r"match c { '\'' => 1, '\\' => 2 }").replace(' ', ""), "matchc{=>1,=>2}");
    }

    #[test]
    fn tests_are_no_code_and_do_not_count() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() { x.unwrap() }\n}\n";
        let source = Source::new("a.rs", text);
        assert!(!source.code.contains("unwrap"));
        assert_eq!(source.own_lines, 2);
        let source = Source::new("a.rs", "#[cfg(test)]\nmod tests;\nfn a() {}\n");
        assert!(source.code.contains("fn a") && !source.code.contains("mod"));
        assert_eq!(source.own_lines, 1);
    }

    #[test]
    fn a_word_is_not_a_part_of_a_name() {
        assert!(has_word("x.unwrap()", "unwrap"));
        assert!(!has_word("x.unwrap_or(1)", "unwrap"));
        assert!(!has_word("expect(unsafe_code)", "unsafe"));
    }
}
