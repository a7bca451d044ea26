//! Text of others, made fit to show and to keep.

use alloc::string::String;

/// At most `longest` characters of `text`, with control characters and those that change how others look (directions,
/// invisible ones) replaced: so that it cannot write to a terminal, nor a second line into a log.
#[must_use]
pub fn printable(text: &[u8], longest: usize) -> String {
    let text = String::from_utf8_lossy(text.get(..text.len().min(4 * longest)).unwrap_or(text));
    let mut chars = text.chars();
    let mut safe: String = chars
        .by_ref()
        .take(longest)
        .map(|char| if is_safe(char) { char } else { char::REPLACEMENT_CHARACTER })
        .collect();
    if chars.next().is_some() {
        safe.pop();
        safe.push('…');
    }
    safe
}

/// Whether a character shows itself and does nothing else.
fn is_safe(char: char) -> bool {
    let is_invisible = matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !char.is_control() && !is_invisible
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_a_terminal_obeys_remains() {
        assert_eq!(printable(b"a\x1b[2Jb\r\n\x9bc", 100), "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c");
        assert_eq!(printable("vm\u{202e}x\u{85}".as_bytes(), 100), "vm\u{fffd}x\u{fffd}");
        assert_eq!(printable("größer".as_bytes(), 100), "größer");
        assert_eq!(printable(b"abcdef", 4), "abc…");
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_safe(text in prop::collection::vec(any::<u8>(), 0..300), longest in 1..50usize) {
            let safe = printable(&text, longest);
            prop_assert!(safe.chars().count() <= longest);
            prop_assert!(!safe.chars().any(char::is_control));
        }
    }
}
