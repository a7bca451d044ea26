//! Rules about Rust sources. The numbers are those of the house style.

use std::collections::BTreeSet;

use super::Finding;
use super::source::{Source, has_word};
use super::tree::Tree;

/// Rule 1: a file longer than this, without its tests, is to be looked at.
const SOFT_LIMIT: usize = 300;
/// Rule 1: no file is longer than this, without its tests.
const HARD_LIMIT: usize = 600;
/// Rule 1: names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "base", "helper", "helpers", "misc"];
/// Guests: no part of the hypervisor, so only what is true of all code holds for them.
const GUESTS: &str = "images";
/// Where `unsafe` lives.
const CORE: &str = "hv-core";

/// What may be where it is, although a rule says otherwise.
struct Exception {
    path: &'static str,
    word: &'static str,
    /// For the reader: the rule does not look at it.
    _reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[Exception {
    path: "roost/src/main.rs",
    word: "unsafe",
    _reason: "the symbol by which hv-core enters the binary is an unsafe attribute (rule 24)",
}];

/// Rule 15: what ends in a panic.
const PANICS: &[&str] =
    &["unwrap()", "expect(", "panic!", "unreachable!", "todo!", "unimplemented!"];

/// All rules about Rust sources.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut needed = BTreeSet::new();
    for source in &tree.sources {
        name_and_page(source, &mut findings);
        if source.is_test() {
            continue;
        }
        size(source, &mut findings);
        if source.member() == GUESTS {
            continue;
        }
        target(source, &mut findings);
        forbid_unsafe(source, &mut findings);
        if source.member() == CORE {
            unsafety(source, &mut findings);
        } else {
            words(
                source,
                &["unsafe"],
                "rule 24: unsafe code is for hv-core",
                &mut needed,
                &mut findings,
            );
        }
        words(source, PANICS, "rule 15: a guest can kill only itself", &mut needed, &mut findings);
    }
    for exception in EXCEPTIONS {
        if !needed.contains(&(exception.path, exception.word)) && !tree.sources.is_empty() {
            let what = format!("nothing needs the exception for '{}' any more", exception.word);
            findings.push(Finding::error(exception.path, what));
        }
    }
    findings
}

fn name_and_page(source: &Source, findings: &mut Vec<Finding>) {
    let name = source.path.rsplit('/').next().unwrap_or("").trim_end_matches(".rs");
    if EMPTY_NAMES.contains(&name) && source.member() != GUESTS {
        findings.push(Finding::error(&source.path, format!("rule 1: '{name}' names no concept")));
    }
    let is_page = |line: &str| line.starts_with("//!") || line.starts_with("#![");
    if !source.is_test() && !source.text.lines().next().is_some_and(is_page) {
        findings.push(Finding::error(&source.path, "rule 2: a file begins with its page, `//!`"));
    }
}

fn size(source: &Source, findings: &mut Vec<Finding>) {
    let lines = source.own_lines;
    let what = |limit| format!("rule 1: {lines} lines without tests, of at most {limit}");
    if lines > HARD_LIMIT {
        findings.push(Finding::error(&source.path, what(HARD_LIMIT)));
    } else if lines > SOFT_LIMIT {
        findings.push(Finding::warning(&source.path, what(SOFT_LIMIT)));
    }
}

fn target(source: &Source, findings: &mut Vec<Finding>) {
    let may = match source.path.strip_prefix("hv-core/src/arch/") {
        Some("mod.rs") => true,
        Some(path) => path.split('/').count() == 2 && path.ends_with("/insn.rs"),
        // The composition root: it chooses the machine of guests.
        None => source.path == "roost/src/platform.rs",
    };
    for (number, line) in source.lines().filter(|_| !may) {
        if has_word(line, "target_arch") {
            let what = "rule 5: target_arch is for arch/mod.rs and arch/*/insn.rs";
            findings.push(Finding::error(source.at(number), what));
        }
    }
}

fn forbid_unsafe(source: &Source, findings: &mut Vec<Finding>) {
    let is_library = source.path == format!("{}/src/lib.rs", source.member());
    let forbids = source.lines().any(|(_, line)| line.trim() == "#![forbid(unsafe_code)]");
    if is_library && source.member() != CORE && !forbids {
        findings
            .push(Finding::error(&source.path, "rule 24: a library says #![forbid(unsafe_code)]"));
    }
}

/// Rule 25: `unsafe` is opted into, under a comment that says why this module needs it.
fn unsafety(source: &Source, findings: &mut Vec<Finding>) {
    let text: Vec<&str> = source.text.lines().collect();
    let Some((number, _)) = source.lines().find(|(_, line)| has_word(line, "unsafe_code")) else {
        return;
    };
    let above = text.get(..number - 1).unwrap_or_default().iter().rev();
    let mut above = above.skip_while(|line| line.trim_start().starts_with("///"));
    let is_comment = |line: &&&str| line.trim_start().starts_with("//");
    if !above.by_ref().take_while(is_comment).any(|line| line.contains("// UNSAFETY: ")) {
        let what = "rule 25: unsafe code is opted into under an // UNSAFETY: reason";
        findings.push(Finding::error(source.at(number), what));
    }
}

/// Finds words that may not be there, but for exceptions, which it notes in `needed`.
fn words(
    source: &Source,
    words: &[&'static str],
    rule: &str,
    needed: &mut BTreeSet<(&'static str, &'static str)>,
    findings: &mut Vec<Finding>,
) {
    for (number, line) in source.lines() {
        for &word in words.iter().filter(|word| calls(line, word)) {
            let is_it = |e: &&Exception| e.path == source.path && e.word == word;
            match EXCEPTIONS.iter().find(is_it) {
                Some(exception) => _ = needed.insert((exception.path, exception.word)),
                None => findings.push(Finding::error(source.at(number), format!("{rule}: {word}"))),
            }
        }
    }
}

/// Whether `line` uses `word`: a method, a macro or a keyword. The attribute `expect` is no method.
fn calls(line: &str, word: &str) -> bool {
    match word.split_once('(') {
        Some(_) => line.contains(&format!(".{word}")),
        None if word.ends_with('!') => {
            has_word(line, word.trim_end_matches('!')) && line.contains(word)
        }
        None => has_word(line, word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let sources = vec![
            Source::new(path, text),
            Source::new("roost/src/main.rs", "//! The root.\n#[unsafe(no_mangle)]\n"),
        ];
        let tree = Tree { sources, ..Tree::default() };
        check(&tree).iter().map(ToString::to_string).collect()
    }

    fn finding(path: &str, text: &str) -> String {
        let found = findings(path, text);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    #[test]
    fn clean_code_is_clean() {
        assert_eq!(findings("shell/src/words.rs", "//! Words.\nfn f() {}\n"), [""; 0]);
    }

    #[test]
    fn a_panic_is_found_outside_of_tests_only() {
        let text = "//! X.\nfn f() { x.unwrap() }\n";
        assert!(finding("shell/src/x.rs", text).starts_with("shell/src/x.rs:2: error: rule 15"));
        assert!(
            finding("shell/src/x.rs", "//! X.\nfn f() { x.expect(\"y\") }\n").contains("expect(")
        );
        assert_eq!(
            findings("shell/src/x.rs", "//! X.\n#[expect(dead_code)]\nfn f() {}\n"),
            [""; 0]
        );
        assert_eq!(findings("shell/src/x/tests.rs", "fn f() { x.unwrap() }\n"), [""; 0]);
        let text = "//! X.\n#[cfg(test)]\nmod tests {\n  fn f() { panic!() }\n}\n";
        assert_eq!(findings("shell/src/x.rs", text), [""; 0]);
        assert_eq!(findings("shell/src/x.rs", "//! X: never `panic!`s.\n"), [""; 0]);
        assert_eq!(findings("shell/src/x.rs", "//! X.\nfn f() { x.unwrap_or(1) }\n"), [""; 0]);
    }

    #[test]
    fn the_target_is_for_the_instructions() {
        let text = "//! X.\n#[cfg(target_arch = \"aarch64\")]\nfn f() {}\n";
        assert!(finding("vm-manager/src/x.rs", text).contains("rule 5"));
        assert!(finding("hv-core/src/arch/aarch64/cpu.rs", text).contains("rule 5"));
        assert_eq!(findings("hv-core/src/arch/aarch64/insn.rs", text), [""; 0]);
        assert_eq!(findings("hv-core/src/arch/mod.rs", text), [""; 0]);
        assert_eq!(findings("roost/src/platform.rs", text), [""; 0]);
        assert!(finding("roost/src/platform/aarch64.rs", text).contains("rule 5"));
    }

    #[test]
    fn unsafe_code_has_its_place_and_its_reason() {
        let text = "//! X.\nfn f() { unsafe { g() } }\n";
        assert!(finding("shell/src/x.rs", text).contains("rule 24"));
        assert!(finding("shell/src/lib.rs", "//! X.\n").contains("forbid"));
        let with = |reason: &str| {
            format!("//! X.\n\n{reason}#![expect(unsafe_code)]\nfn f() {{ unsafe {{ g() }} }}\n")
        };
        assert!(finding("hv-core/src/x.rs", &with("")).contains("rule 25"));
        assert_eq!(findings("hv-core/src/x.rs", &with("// UNSAFETY: registers.\n")), [""; 0]);
    }

    #[test]
    fn a_file_is_short_and_begins_with_its_page() {
        assert!(finding("shell/src/x.rs", "fn f() {}\n").contains("rule 2"));
        assert!(finding("shell/src/util.rs", "//! X.\n").contains("'util'"));
        let long = format!("//! X.\n{}", "fn f() {}\n".repeat(SOFT_LIMIT));
        assert!(finding("shell/src/x.rs", &long).contains("warning: rule 1"));
        let longer = format!("//! X.\n{}", "fn f() {}\n".repeat(HARD_LIMIT));
        assert!(finding("shell/src/x.rs", &longer).contains("error: rule 1"));
    }

    #[test]
    fn an_exception_that_nothing_needs_is_a_finding() {
        let tree =
            Tree { sources: vec![Source::new("shell/src/x.rs", "//! X.\n")], ..Tree::default() };
        let found = check(&tree);
        assert_eq!(found.len(), EXCEPTIONS.len());
        assert!(found[0].what.contains("any more"));
    }
}
