//! A value as it was found in a configuration or on a command line, and what is allowed for it.

use super::amount;
use super::cpu_set::CpuSet;
use super::disk::Backing;
use super::error;
use super::net;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;
use hv_core::guest::GuestPhysAddr;

const MIB: u64 = 1 << 20;
/// Guest RAM comes in blocks of this size, which stage 2 maps by one descriptor each.
const MEMORY_STEP: u64 = 2 * MIB;
/// With RAM at 1 GiB, this still fits the 40-bit addresses that small cores have.
const MEMORY_MAX: u64 = 255 << 30;
/// Disks in memory consist of pages.
const DISK_MIN: u64 = 4 << 10;
const DISK_MAX: u64 = 64 << 30;
const RING_MIN: u64 = 1 << 10;
const RING_MAX: u64 = 16 * MIB;
const RATE_MIN: u64 = 1 << 10;
const RATE_MAX: u64 = 1 << 40;
const LONGEST_DELAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Linux for arm64 takes 2048 bytes with the final zero (`COMMAND_LINE_SIZE`).
const CMDLINE_MAX: usize = 2047;
const PATH_MAX: usize = 200;
const NAME_MAX: usize = 32;

/// A value, before it is known whether it is allowed.
#[derive(Clone, Debug)]
pub(crate) enum Found<'a> {
    /// A TOML string.
    Text(&'a str),
    /// A TOML integer; `None` if it does not fit.
    Integer(Option<i128>),
    /// A TOML boolean.
    Flag(bool),
    /// What followed `key=` on a command line: a string or a number, whichever is allowed.
    Word(&'a str),
    /// A TOML array.
    List(Vec<Found<'a>>),
    /// A TOML value that no key allows, by the name of its type.
    Other(&'a str),
}

/// A value is not allowed.
#[derive(Debug)]
pub(crate) struct Refusal {
    found: String,
    allowed: String,
}

impl Refusal {
    pub(crate) fn into_text(self) -> String {
        format!("found {}, allowed {}", self.found, self.allowed)
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Word(text) => write!(f, "'{}'", error::shown(text)),
            Self::Integer(Some(number)) => write!(f, "{number}"),
            Self::Integer(None) => f.write_str("a huge number"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(list) => {
                f.write_str("[")?;
                for (index, item) in list.iter().take(8).enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(if list.len() > 8 { ", ...]" } else { "]" })
            }
            Self::Other(kind) => write!(f, "a value of type {kind}"),
        }
    }
}

impl<'a> Found<'a> {
    /// That something else is allowed.
    pub(crate) fn refuse(&self, allowed: &str) -> Refusal {
        Refusal { found: format!("{self}"), allowed: allowed.to_owned() }
    }

    /// A text or a word.
    pub(crate) fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) | Self::Word(text) => Some(text),
            Self::Integer(_) | Self::Flag(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    fn as_integer(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => u64::try_from((*number)?).ok(),
            Self::Word(text) => amount::integer(text),
            Self::Text(_) | Self::Flag(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    fn as_bytes(&self) -> Option<u64> {
        self.as_integer().or_else(|| amount::bytes(self.as_text()?))
    }

    /// A number in `range`.
    pub(crate) fn number<T>(&self, range: RangeInclusive<T>) -> Result<T, Refusal>
    where
        T: TryFrom<u64> + PartialOrd + fmt::Display,
    {
        self.as_integer()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.refuse(&format!("{} to {}", range.start(), range.end())))
    }

    /// One of the words of a closed set.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Refusal> {
        let number = self.as_integer().map(|number| format!("{number}"));
        let word = number.as_deref().or_else(|| self.as_text());
        let chosen = choices.iter().find(|(name, _)| Some(*name) == word);
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.refuse(&names.join(", "))
        })
    }

    /// Whether or not.
    pub(crate) fn flag(&self) -> Result<bool, Refusal> {
        match self {
            Self::Flag(flag) => Ok(*flag),
            Self::Word("true") => Ok(true),
            Self::Word("false") => Ok(false),
            Self::Text(_) | Self::Integer(_) | Self::Word(_) | Self::List(_) | Self::Other(_) => {
                Err(self.refuse("true, false"))
            }
        }
    }

    /// Where the content of a disk is.
    pub(super) fn backing(&self) -> Result<Backing, Refusal> {
        if self.as_text() == Some("none") {
            return Ok(Backing::None);
        }
        let backing = self.as_text().and_then(|text| text.split_once(':'));
        let backing = backing.and_then(|(kind, rest)| match kind {
            "ram" => amount::bytes(rest)
                .filter(|bytes| (DISK_MIN..=DISK_MAX).contains(bytes))
                .filter(|bytes| bytes.is_multiple_of(DISK_MIN))
                .map(Backing::Ram),
            "image" => Found::Text(rest).path().ok().map(|path| Backing::Image(path.to_owned())),
            "disk" if !rest.is_empty() => Some(Backing::Disk(rest.to_owned())),
            "partition" if !rest.is_empty() => Some(Backing::Partition(rest.to_owned())),
            _ => None,
        });
        backing.ok_or_else(|| {
            let (min, max) = (shown(DISK_MIN), shown(DISK_MAX));
            self.refuse(&format!(
                "\"ram:SIZE\" of {min} to {max} in steps of {min}, such as \"ram:64M\", \
                 \"image:PATH\" of a file in images/, \"disk:NAME\" of a disk of the host, \
                 \"partition:LABEL\" of one of its partitions and \"none\" for an empty slot"
            ))
        })
    }

    /// The MAC address of a card.
    pub(super) fn mac(&self) -> Result<[u8; 6], Refusal> {
        self.as_text()
            .and_then(net::mac)
            .ok_or_else(|| self.refuse("the address of one station, such as \"52:54:00:12:34:56\""))
    }

    /// Bytes in a second.
    pub(super) fn rate(&self) -> Result<u64, Refusal> {
        self.as_bytes().filter(|rate| (RATE_MIN..=RATE_MAX).contains(rate)).ok_or_else(|| {
            let (min, max) = (shown(RATE_MIN), shown(RATE_MAX));
            self.refuse(&format!("{min} to {max} bytes in a second, such as \"10M\""))
        })
    }

    /// Bytes of RAM.
    pub(super) fn memory(&self) -> Result<u64, Refusal> {
        self.as_bytes()
            .filter(|bytes| (MEMORY_STEP..=MEMORY_MAX).contains(bytes) && bytes % MEMORY_STEP == 0)
            .ok_or_else(|| {
                let (step, max) = (shown(MEMORY_STEP), shown(MEMORY_MAX));
                self.refuse(&format!("{step} to {max} in steps of {step}, such as \"256M\""))
            })
    }

    /// Bytes of console output that are kept.
    pub(super) fn ring(&self) -> Result<usize, Refusal> {
        self.as_bytes()
            .filter(|bytes| (RING_MIN..=RING_MAX).contains(bytes))
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(|| {
                self.refuse(&format!("{} to {}, such as \"64K\"", shown(RING_MIN), shown(RING_MAX)))
            })
    }

    pub(crate) fn duration(&self) -> Result<Duration, Refusal> {
        self.as_text()
            .and_then(amount::duration)
            .filter(|duration| *duration <= LONGEST_DELAY)
            .ok_or_else(|| self.refuse("0s to 24h with a unit of ms, s, m or h, such as \"1s\""))
    }

    /// A guest physical address. Whether there is RAM is not checked here.
    pub(super) fn address(&self) -> Result<GuestPhysAddr, Refusal> {
        let text = || amount::integer(self.as_text()?);
        self.as_integer()
            .or_else(text)
            .map(GuestPhysAddr)
            .ok_or_else(|| self.refuse("an address, such as 0x40080000"))
    }

    /// A VM's name. It begins with a letter, so that it is never taken for a number of a VM.
    pub(crate) fn name(&self) -> Result<&'a str, Refusal> {
        let is_name = |text: &&str| {
            let follows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            text.len() <= NAME_MAX
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(follows)
        };
        self.as_text().filter(is_name).ok_or_else(|| {
            self.refuse("a letter and up to 31 more letters, digits, '-', '_' or '.'")
        })
    }

    /// The path of a file below `images/`.
    pub(super) fn path(&self) -> Result<&'a str, Refusal> {
        self.as_text()
            .filter(|text| !text.is_empty() && text.len() <= PATH_MAX && is_printable(text))
            .ok_or_else(|| self.refuse("the path of a file in images/, such as \"linux/Image\""))
    }

    pub(super) fn cmdline(&self) -> Result<&'a str, Refusal> {
        self.as_text().filter(|text| text.len() <= CMDLINE_MAX && is_printable(text)).ok_or_else(
            || self.refuse(&format!("up to {CMDLINE_MAX} bytes without control characters")),
        )
    }

    /// CPUs: `[0, 2]`, or `"0,2-3"`.
    pub(super) fn cpu_set(&self) -> Result<CpuSet, Refusal> {
        let set = match self {
            Self::List(list) => list.iter().try_fold(CpuSet::EMPTY, |set, item| {
                let cpu = u32::try_from(item.as_integer()?).ok()?;
                set.with_range(cpu, cpu)
            }),
            Self::Text(text) | Self::Word(text) => CpuSet::parse(text),
            Self::Integer(_) | Self::Flag(_) | Self::Other(_) => None,
        };
        set.filter(|set| !set.is_empty())
            .ok_or_else(|| self.refuse("host CPUs, 0 to 63, such as [0, 2] or \"0,2-3\""))
    }
}

fn shown(bytes: u64) -> String {
    amount::shown_bytes(bytes)
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
