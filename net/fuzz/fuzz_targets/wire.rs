//! Whatever a program sends and in which pieces, lines are bounded, requests are the same, and every answer is one line of JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::wire::{FailureKind, LONGEST_LINE, Line, Lines, Reply, Request, parse};

fn lines(pieces: &[Vec<u8>]) -> Vec<Line> {
    let mut lines = Lines::default();
    let mut all = Vec::new();
    for piece in pieces {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let (taken, line) = lines.feed(rest);
            assert!(taken > 0);
            rest = &rest[taken..];
            all.extend(line);
        }
    }
    all
}

fn check(reply: &Reply<'_>) {
    let line = reply.line();
    assert!(line.starts_with('{') && line.ends_with("}\n") && line.matches('\n').count() == 1);
    assert!(!line.contains(|char: char| char.is_control() && char != '\n' && char != '\t'));
}

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let all = lines(&pieces);
    assert_eq!(all, lines(&[pieces.concat()]));
    for line in all {
        assert!(!matches!(&line, Line::Whole(bytes) if bytes.len() > LONGEST_LINE));
        match parse(line) {
            Request::Login { name, password } => {
                assert!(name.len() + password.len() < LONGEST_LINE);
                check(&Reply::Failed { kind: FailureKind::Login, message: &name });
            }
            Request::Command(text) => {
                assert!(!text.contains(|char: char| char.is_control() && char != '\t'));
                check(&Reply::Text(&text));
                check(&Reply::Json(&text));
                check(&Reply::Attached(&text));
            }
            Request::Wrong(kind, message) => check(&Reply::Failed { kind, message }),
            Request::Size { columns, rows } => assert!(columns.min(rows) >= 1),
            Request::Quit | Request::Nothing | Request::Listings(_) => {}
        }
    }
});
