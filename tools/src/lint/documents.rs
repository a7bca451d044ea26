//! Rules about documents: what they point to is there, so that they cannot grow old unnoticed.

use super::Finding;
use super::source::has_word;
use super::tree::Tree;

/// Endings by which a word in backticks is a file's name.
const ENDINGS: &[&str] = &[".rs", ".S", ".ld", ".sh", ".toml", ".md", ".mk"];
/// The document that names types and functions of the code.
const OF_CODE: &str = "docs/architecture.md";

/// All rules about documents.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.documents {
        let mut is_fenced = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_fenced = !is_fenced;
            }
            if is_fenced {
                continue;
            }
            let place = format!("{path}:{}", index + 1);
            for target in links(line).filter(|target| !is_there(tree, path, target)) {
                findings.push(Finding::error(
                    &place,
                    format!("links to '{target}', which is not there"),
                ));
            }
            for word in code(line) {
                if is_file_name(word) && !names_file(tree, word) {
                    findings.push(Finding::error(&place, format!("no file is called '{word}'")));
                }
                if path == OF_CODE
                    && let Some(name) = item(word).filter(|name| !is_in_code(tree, name))
                {
                    findings.push(Finding::error(
                        &place,
                        format!("nothing in the code is called '{name}'"),
                    ));
                }
            }
        }
    }
    findings
}

/// The targets of a line's links that are in the tree.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .filter_map(|target| target.split('#').next())
}

fn is_there(tree: &Tree, document: &str, target: &str) -> bool {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    let path = parts.join("/");
    tree.paths.iter().any(|other| *other == path || other.starts_with(&format!("{path}/")))
}

/// What is in backticks on a line.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether it is the name of one file, and no example: examples are in capitals.
fn is_file_name(word: &str) -> bool {
    let stem = ENDINGS.iter().find_map(|ending| word.strip_suffix(ending));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    stem.is_some_and(|stem| {
        !stem.is_empty()
            && stem.chars().all(is_name)
            && stem.chars().any(|c| c.is_ascii_lowercase())
    })
}

/// Whether a file is at that path, or at one that ends so.
fn names_file(tree: &Tree, word: &str) -> bool {
    let tail = format!("/{word}");
    tree.paths.iter().any(|path| path == word || path.ends_with(&tail))
}

/// The last name in a word like `Vgic::flush`, `flush()` or `ATTENTION`.
fn item(word: &str) -> Option<&str> {
    let is_path = word.chars().all(|c| c.is_ascii_alphanumeric() || "_:()".contains(c));
    let is_item = word.contains("::") || word.ends_with("()");
    if !is_path || !is_item {
        return None;
    }
    word.trim_end_matches("()").rsplit("::").next().filter(|name| !name.is_empty())
}

fn is_in_code(tree: &Tree, name: &str) -> bool {
    tree.sources.iter().any(|source| source.lines().any(|(_, line)| has_word(line, name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::source::Source;

    fn findings(text: &str) -> Vec<String> {
        let tree = Tree {
            sources: vec![Source::new("shell/src/lib.rs", "struct Words; fn split() {}\n")],
            documents: vec![(OF_CODE.into(), text.into())],
            manifests: Vec::new(),
            paths: vec!["shell/src/lib.rs".into(), "docs/shell.md".into(), OF_CODE.into()],
        };
        check(&tree).iter().map(|finding| finding.what.clone()).collect()
    }

    #[test]
    fn links_lead_somewhere() {
        assert_eq!(
            findings("[a](shell.md), [b](../shell/src), [c](https://x.y), [d](#e)\n"),
            [""; 0]
        );
        assert_eq!(findings("[a](gone.md)\n"), ["links to 'gone.md', which is not there"]);
    }

    #[test]
    fn files_are_there() {
        assert_eq!(
            findings("`shell/src/lib.rs`, `src/lib.rs`, `lib.rs`, `NAME.toml`, `x y`\n"),
            [""; 0]
        );
        assert_eq!(findings("`src/gone.rs`\n"), ["no file is called 'src/gone.rs'"]);
        assert_eq!(findings("```\n`gone.rs`\n```\n"), [""; 0]);
    }

    #[test]
    fn names_are_those_of_the_code() {
        assert_eq!(findings("`Words::split`, `split()`, `make run`\n"), [""; 0]);
        assert_eq!(findings("`Words::join`\n"), ["nothing in the code is called 'join'"]);
    }
}
