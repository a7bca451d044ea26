//! Rules about dependencies: each one that a manifest names is used, and has its reason in `docs/dependencies.md`.

use std::collections::BTreeSet;

use super::Finding;
use super::manifest::{self, Owner, Table};
use super::source::has_word;
use super::tree::Tree;

const REASONS: &str = "docs/dependencies.md";

/// All rules about dependencies.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut theirs = BTreeSet::new();
    for (path, text) in &tree.manifests {
        for dependency in manifest::dependencies(text) {
            let name = dependency.name;
            if dependency.owner == Owner::Theirs {
                theirs.insert(name);
            }
            let is_used = match dependency.table {
                Table::Workspace => is_inherited(tree, name),
                Table::Used => is_in_code(tree, path, name),
            };
            if !is_used {
                findings.push(Finding::error(path, format!("nothing uses '{name}'")));
            }
        }
    }
    let Some((_, text)) = tree.documents.iter().find(|(path, _)| path == REASONS) else {
        findings.push(Finding::error(REASONS, "is not there"));
        return findings;
    };
    let reasons = reasons(text);
    for name in theirs.difference(&reasons) {
        findings.push(Finding::error(REASONS, format!("has no reason for '{name}'")));
    }
    for name in reasons.difference(&theirs) {
        findings.push(Finding::error(REASONS, format!("no manifest names '{name}'")));
    }
    findings
}

fn is_inherited(tree: &Tree, name: &str) -> bool {
    tree.manifests.iter().any(|(_, text)| {
        let used = manifest::dependencies(text);
        used.iter().any(|other| other.name == name && other.owner == Owner::Inherited)
    })
}

/// Whether the package of the manifest at `path` names the crate. Crates of ours are the arrows of the
/// design, and may be there before their code.
fn is_in_code(tree: &Tree, path: &str, name: &str) -> bool {
    let root = tree.manifest("Cargo.toml").unwrap_or("");
    let is_ours =
        |other: &manifest::Dependency<'_>| other.name == name && other.owner == Owner::Ours;
    if manifest::dependencies(root).iter().any(is_ours) {
        return true;
    }
    let folder = path.trim_end_matches("Cargo.toml");
    let ident = name.replace('-', "_");
    let mut sources = tree.sources.iter().filter(|source| source.path.starts_with(folder));
    // Of the whole text: property tests are tests.
    sources.any(|source| source.text.lines().any(|line| has_word(line, &ident)))
}

/// The crates in the first column of a document's tables.
fn reasons(text: &str) -> BTreeSet<&str> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('|').next())
        .flat_map(|cell| cell.split([',', ' ']).map(|name| name.trim_matches('`')))
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::source::Source;

    fn findings(root: &str, member: &str, code: &str, reasons: &str) -> Vec<String> {
        let tree = Tree {
            sources: vec![Source::new("shell/src/lib.rs", code)],
            documents: vec![(REASONS.into(), reasons.into())],
            manifests: vec![
                ("Cargo.toml".into(), format!("[workspace.dependencies]\n{root}")),
                ("shell/Cargo.toml".into(), format!("[dependencies]\n{member}")),
            ],
            paths: Vec::new(),
        };
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crate_is_used_and_has_a_reason() {
        let (root, member) = ("fd-t = \"1\"\n", "fd-t.workspace = true\n");
        assert_eq!(findings(root, member, "use fd_t::Fdt;\n", "| `fd-t` | x |\n"), [""; 0]);
        let found = findings(root, member, "fn f() {}\n", "| `fd-t` | x |\n");
        assert_eq!(found, ["shell/Cargo.toml: error: nothing uses 'fd-t'"]);
        let found = findings(root, "", "use fd_t::Fdt;\n", "| `fd-t` | x |\n");
        assert_eq!(found, ["Cargo.toml: error: nothing uses 'fd-t'"]);
        let found = findings(root, member, "use fd_t::Fdt;\n", "| crate | x |\n");
        assert_eq!(found, ["docs/dependencies.md: error: has no reason for 'fd-t'"]);
    }

    #[test]
    fn a_reason_has_a_crate() {
        let found = findings("", "", "", "| `serde`, `log` | x |\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("no manifest names 'log'"));
    }
}
