//! What a manifest of cargo says about dependencies: just enough of TOML for the way in which ours are written, a
//! dependency a line.

/// Which table of a manifest a dependency is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// `[workspace.dependencies]`: no more than its version.
    Workspace,
    /// `[dependencies]`, or one of its kind: it is used.
    Used,
}

/// Whose code a dependency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Ours: it has a path.
    Ours,
    /// Somebody else's.
    Theirs,
    /// The workspace says it.
    Inherited,
}

/// A line of a table of dependencies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency<'a> {
    pub(super) name: &'a str,
    pub(super) table: Table,
    pub(super) owner: Owner,
}

/// All dependencies of a manifest.
pub(super) fn dependencies(text: &str) -> Vec<Dependency<'_>> {
    let mut table = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = match header {
                "workspace.dependencies" => Some(Table::Workspace),
                "dependencies" | "dev-dependencies" | "build-dependencies" => Some(Table::Used),
                name if name.starts_with("target.") && name.ends_with(".dependencies") => {
                    Some(Table::Used)
                }
                _ => None,
            };
            continue;
        }
        let (Some(table), Some((key, value))) = (table, line.split_once('=')) else { continue };
        if line.starts_with('#') {
            continue;
        }
        let key = key.trim();
        let (name, is_inherited) = match key.strip_suffix(".workspace") {
            Some(name) => (name, true),
            None => (key, value.contains("workspace = true")),
        };
        let owner = match (is_inherited, value.contains("path =")) {
            (true, _) => Owner::Inherited,
            (false, true) => Owner::Ours,
            (false, false) => Owner::Theirs,
        };
        found.push(Dependency { name, table, owner });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_dependencies_are_read_and_no_others() {
        let text = "[package]\nname = \"x\"\n[workspace.dependencies]\na = \"1\"\n# b = \"1\"\n\
                    c = { path = \"c\" }\n[dependencies]\na.workspace = true\n[lints]\nworkspace = true\n";
        let of = |name, table, owner| Dependency { name, table, owner };
        let expected = [
            of("a", Table::Workspace, Owner::Theirs),
            of("c", Table::Workspace, Owner::Ours),
            of("a", Table::Used, Owner::Inherited),
        ];
        assert_eq!(dependencies(text), expected);
    }
}
