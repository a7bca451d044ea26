//! Walks a TOML document, in the order in which it is written, and hands each value to the
//! configuration.

use super::disk::{self, Backing, DiskAccess, DiskConfig};
use super::error::{self, ConfigError};
use super::found::Found;
use super::key::{self, Key};
use super::net::{self, NetConfig};
use super::{RawFile, VmConfig};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Far more than a configuration needs; what is larger is not one.
const LARGEST: usize = 64 << 10;

/// The text, for the lines of errors.
#[derive(Clone, Copy)]
pub(crate) struct Document<'t> {
    file: &'t str,
    text: &'t str,
}

/// Applies all values of `text` to `config`.
pub(super) fn read(file: &str, text: &[u8], config: &mut VmConfig) -> Result<(), ConfigError> {
    let document = Document::new(file, text)?;
    document.root(document.table()?.get_ref(), config)
}

impl<'t> Document<'t> {
    /// Text that may be a configuration.
    pub(crate) fn new(file: &'t str, text: &'t [u8]) -> Result<Self, ConfigError> {
        if text.len() > LARGEST {
            let problem = format!("found {} bytes, allowed up to {LARGEST}", text.len());
            return Err(ConfigError::new(file, 0, "", problem));
        }
        let text = core::str::from_utf8(text).map_err(|error| {
            let (before, _) = text.split_at_checked(error.valid_up_to()).unwrap_or((text, &[]));
            let line = line_after(before);
            ConfigError::new(file, line, "", "found bytes that are not UTF-8".to_owned())
        })?;
        Ok(Self { file, text })
    }

    /// What it says.
    pub(crate) fn table(&self) -> Result<Spanned<DeTable<'t>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map_or(0, |span| self.line(span.start));
            let problem = format!("not valid TOML: {}", error::shown(error.message()));
            ConfigError::new(self.file, line, "", problem)
        })
    }

    /// An error at the byte at `offset`.
    pub(crate) fn error(&self, offset: usize, key: &str, problem: String) -> ConfigError {
        ConfigError::new(self.file, self.line(offset), key, problem)
    }

    /// An error in a line that is known.
    pub(crate) fn error_in_line(&self, line: u32, key: &str, problem: String) -> ConfigError {
        ConfigError::new(self.file, line, key, problem)
    }

    /// The line, counted from 1, of the byte at `offset`.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        line_after(self.text.as_bytes().get(..offset).unwrap_or_default())
    }
}

impl Document<'_> {
    fn root(&self, table: &DeTable<'_>, config: &mut VmConfig) -> Result<(), ConfigError> {
        for (name, value) in in_order(table) {
            let line = self.line(name.span().start);
            match (name.get_ref().as_ref(), value.get_ref()) {
                (key::LOAD, DeValue::Array(items)) => {
                    for item in items {
                        self.load(item, config)?;
                    }
                }
                (key::DISK, DeValue::Array(items)) => {
                    for item in items {
                        self.disk(item, config)?;
                    }
                }
                (key::NET, DeValue::Array(items)) => {
                    for item in items {
                        self.net(item, config)?;
                    }
                }
                (section, DeValue::Table(_)) if key::REPEATED.contains(&section) => {
                    let problem = format!(
                        "found [{section}], allowed [[{section}]], of which there may be several"
                    );
                    return Err(ConfigError::new(self.file, line, section, problem));
                }
                (key::CONSOLE, DeValue::String(_)) => {
                    self.apply(Key::ConsoleKind, key::CONSOLE, line, value, config)?;
                }
                (section, DeValue::Table(table)) if key::SECTIONS.contains(&section) => {
                    self.section(section, table, config)?;
                }
                (section, value) if key::SECTIONS.contains(&section) => {
                    let (found, brackets) = (found(value), brackets(section));
                    let problem = format!("found {found}, allowed a section {brackets}");
                    return Err(ConfigError::new(self.file, line, section, problem));
                }
                _ => self.entry("", name, value, config)?,
            }
        }
        Ok(())
    }

    fn section(
        &self,
        section: &str,
        table: &DeTable<'_>,
        config: &mut VmConfig,
    ) -> Result<(), ConfigError> {
        in_order(table)
            .into_iter()
            .try_for_each(|(name, value)| self.entry(section, name, value, config))
    }

    /// One `[[load]]`, both keys of which must be there.
    fn load(&self, item: &Spanned<DeValue<'_>>, config: &mut VmConfig) -> Result<(), ConfigError> {
        let line = self.line(item.span().start);
        config.loads.push(RawFile { line, ..RawFile::default() });
        self.repeated(key::LOAD, &[Key::LoadFile, Key::LoadTo], item, config)
    }

    /// One `[[disk]]`.
    fn disk(&self, item: &Spanned<DeValue<'_>>, config: &mut VmConfig) -> Result<(), ConfigError> {
        let line = self.line(item.span().start);
        if config.disks.len() == disk::MAX_DISKS {
            let problem = format!("found another one, allowed up to {}", disk::MAX_DISKS);
            return Err(ConfigError::new(self.file, line, key::DISK, problem));
        }
        let (backing, access) = (Backing::Ram(0), DiskAccess::default());
        config.disks.push(DiskConfig { backing, access, line });
        self.repeated(key::DISK, &[Key::DiskBacking], item, config)
    }

    /// One `[[net]]`.
    fn net(&self, item: &Spanned<DeValue<'_>>, config: &mut VmConfig) -> Result<(), ConfigError> {
        let line = self.line(item.span().start);
        if config.nets.len() == net::MAX_NETS {
            let problem = format!("found another one, allowed up to {}", net::MAX_NETS);
            return Err(ConfigError::new(self.file, line, key::NET, problem));
        }
        config.nets.push(NetConfig { line, ..NetConfig::default() });
        self.repeated(key::NET, &[Key::NetNetwork], item, config)
    }

    /// One of the sections of which there may be several, with the keys that it must have.
    fn repeated(
        &self,
        section: &str,
        needed: &[Key],
        item: &Spanned<DeValue<'_>>,
        config: &mut VmConfig,
    ) -> Result<(), ConfigError> {
        let line = self.line(item.span().start);
        let DeValue::Table(table) = item.get_ref() else {
            let problem =
                format!("found {}, allowed sections {}", found(item.get_ref()), brackets(section));
            return Err(ConfigError::new(self.file, line, section, problem));
        };
        self.section(section, table, config)?;
        for key in needed {
            if table.get(key.name()).is_none() {
                let problem = format!("missing; every {} must have it", brackets(section));
                return Err(ConfigError::new(self.file, line, key.path(), problem));
            }
        }
        Ok(())
    }

    fn entry(
        &self,
        section: &str,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        config: &mut VmConfig,
    ) -> Result<(), ConfigError> {
        let line = self.line(name.span().start);
        let Some(key) = Key::find(section, name.get_ref()) else {
            return Err(ConfigError::unknown_key(self.file, line, section, name.get_ref()));
        };
        self.apply(key, key.path(), line, value, config)
    }

    /// Sets `key`, which errors call `path`.
    fn apply(
        &self,
        key: Key,
        path: &str,
        line: u32,
        value: &Spanned<DeValue<'_>>,
        config: &mut VmConfig,
    ) -> Result<(), ConfigError> {
        config.apply(key, &found(value.get_ref())).map_err(|refusal| {
            let line = self.line(value.span().start);
            ConfigError::new(self.file, line, path, refusal.into_text())
        })?;
        config.lines.insert(key, line);
        Ok(())
    }
}

/// The entries as they are written: the first error of a file is the one that is reported.
pub(crate) fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// A value, before it is known whether it is allowed.
pub(crate) fn found<'a>(value: &'a DeValue<'_>) -> Found<'a> {
    match value {
        DeValue::String(text) => Found::Text(text),
        DeValue::Integer(number) => {
            Found::Integer(i128::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Array(items) => {
            // An item of a list is never a list itself, so it need not be looked into.
            Found::List(items.iter().map(|item| scalar(item.get_ref())).collect())
        }
        DeValue::Boolean(flag) => Found::Flag(*flag),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
            Found::Other(value.type_str())
        }
    }
}

fn scalar<'a>(value: &'a DeValue<'_>) -> Found<'a> {
    match value {
        DeValue::Array(_) => Found::Other(value.type_str()),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => found(value),
    }
}

fn brackets(section: &str) -> String {
    if key::REPEATED.contains(&section) { format!("[[{section}]]") } else { format!("[{section}]") }
}

/// The line, counted from 1, that follows `text`.
fn line_after(text: &[u8]) -> u32 {
    let newlines = text.iter().filter(|&&byte| byte == b'\n').count();
    u32::try_from(newlines).map_or(u32::MAX, |lines| lines.saturating_add(1))
}
