//! The list of what goes into an archive, one entry a line:
//!
//! ```text
//! dir   PATH MODE
//! file  PATH MODE HOST-PATH
//! link  PATH TARGET
//! node  PATH MODE MAJOR MINOR      a character device
//! ```
//!
//! Words are separated by blanks; a host path may contain them, as the last word.

use std::path::PathBuf;

use crate::Error;

/// One entry of an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive, without a leading slash.
    pub path: String,
    /// What it is.
    pub what: What,
}

/// The kinds of entries.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// A directory with these permissions.
    Directory {
        /// Permissions.
        mode: u32,
    },
    /// A regular file whose bytes are those of a file of the host.
    File {
        /// Permissions.
        mode: u32,
        /// The file of the host.
        source: PathBuf,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
    /// A character device.
    Node {
        /// Permissions.
        mode: u32,
        /// The driver.
        major: u32,
        /// The device of the driver.
        minor: u32,
    },
}

/// Parses a manifest.
///
/// # Errors
/// Names the line that is not an entry.
pub fn parse(text: &str) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = parse_line(line)
            .ok_or_else(|| Error::new(format!("manifest line {}: '{line}'", index + 1)))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn parse_line(line: &str) -> Option<Entry> {
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    let (path, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let what = match kind {
        "dir" => What::Directory { mode: octal(rest)? },
        "file" => {
            let (mode, source) = rest.split_once(char::is_whitespace)?;
            What::File { mode: octal(mode)?, source: source.trim_start().into() }
        }
        "link" => What::Link { target: rest.into() },
        "node" => {
            let mut words = rest.split_whitespace();
            let mode = octal(words.next()?)?;
            let major = words.next()?.parse().ok()?;
            let minor = words.next()?.parse().ok()?;
            What::Node { mode, major, minor }
        }
        _ => return None,
    };
    Some(Entry { path: path.trim_start_matches('/').into(), what })
}

fn octal(word: &str) -> Option<u32> {
    u32::from_str_radix(word, 8).ok().filter(|mode| *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::{What, parse};

    #[test]
    fn every_kind_of_entry_is_understood() {
        let text = "# a comment\ndir /bin 755\nfile init 0755 some dir/init\n\
                    link bin/sh busybox\nnode dev/console 600 5 1\n";
        let entries = parse(text).unwrap();
        let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["bin", "init", "bin/sh", "dev/console"]);
        assert_eq!(entries[1].what, What::File { mode: 0o755, source: "some dir/init".into() });
        assert_eq!(entries[3].what, What::Node { mode: 0o600, major: 5, minor: 1 });
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        let message = parse("dir bin 755\nfil x 644 y\n").unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
        assert!(parse("dir bin 9").is_err());
    }
}
