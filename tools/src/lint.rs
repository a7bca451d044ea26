//! The rules of the house that no lint of the compiler checks: `xtask lint`.
//!
//! Rules read the sources as text, with comments, strings and tests told apart from the rest (`lint/source.rs`). What
//! breaks a rule for a good reason is in a list of exceptions beside that rule, with the reason; an exception
//! that nothing needs any more is a finding, too.

mod dependencies;
mod documents;
mod manifest;
mod rules;
mod source;
mod tree;

use std::fmt;
use std::path::Path;

use crate::Error;
use tree::Tree;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// To be looked at.
    Warning,
    /// To be mended.
    Error,
}

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file, and the line if there is one: `shell/src/words.rs:7`.
    pub place: String,
    /// What the rule says about it.
    pub what: String,
}

impl Finding {
    fn error(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.into(), what: what.into() }
    }

    fn warning(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(formatter, "{}: {kind}: {}", self.place, self.what)
    }
}

/// Checks the work tree at `root` against all rules.
///
/// # Errors
/// When a directory or a file of it cannot be read.
pub fn check(root: &Path) -> Result<Vec<Finding>, Error> {
    let tree = Tree::read(root)?;
    let mut findings = rules::check(&tree);
    findings.extend(dependencies::check(&tree));
    findings.extend(documents::check(&tree));
    Ok(findings)
}
