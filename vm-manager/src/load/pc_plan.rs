//! Where everything goes in a guest of the `pc` machine, and how it starts, found out from the headers of the files before
//! anything is written.
//!
//! The kernel and further files go where they must, the ACPI tables to where firmware would have them, the initial RAM disk to
//! the top of RAM below 4 GiB, and what the kernel is told to the top of conventional memory, which no kernel uses before it
//! has read that.

mod kernel;

use super::Region;
use super::content::Content;
use super::e820::{self, Entry};
use super::error::LoadError;
use super::layout::Layout;
use super::linux_x86::{self, Header, Parameters};
use super::long_mode;
use super::multiboot::Information;
use super::plan::{self, Item, Piece};
use super::pvh::StartInfo;
use super::request::{File, Request};
use crate::pc_map;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::arch::x86_64::start::Start;
use hv_core::guest::GuestPhysAddr;

const PAGE: u64 = 4 << 10;
const REAL_MODE_END: u64 = 1 << 20;
const COMMAND_LINE_MAX: u64 = 64 << 10;

/// What a guest of the `pc` machine gets beside what its configuration names as files.
#[derive(Clone, Debug)]
pub struct PcBoot {
    /// Its RAM, in bytes; that of the request is the part below 4 GiB.
    pub memory_bytes: u64,
    /// The command line of its kernel.
    pub cmdline: String,
    /// The ACPI tables for [`pc_map::FIRMWARE`], the RSDP first.
    pub acpi: Vec<u8>,
}

/// Where everything goes.
#[derive(Clone)]
pub struct PcPlan {
    items: Vec<Item>,
    start: Start,
    initrd: Option<Region>,
}

/// What kind of kernel it is, as far as that decides what it is told.
enum Kernel {
    Linux { header: Header, at: GuestPhysAddr },
    Pvh(GuestPhysAddr),
    Multiboot(GuestPhysAddr),
    Flat(GuestPhysAddr),
}

impl PcPlan {
    /// Plans how to load what is asked for. Only headers are read.
    ///
    /// # Errors
    ///
    /// If a file is not what it should be, or something does not fit.
    pub fn new(request: &Request, boot: &PcBoot) -> Result<Self, LoadError> {
        let mut planner = Planner {
            layout: Layout::new(request.ram),
            items: Vec::new(),
            memory: e820::map(boot.memory_bytes),
        };
        planner.generated("ACPI tables", GuestPhysAddr(pc_map::FIRMWARE), boot.acpi.clone())?;
        let kernel = planner.kernel(request)?;
        for (file, address) in &request.loads {
            let what = format!("[[load]] {}", file.name);
            let item = plan::plan_file(&mut planner.layout, what, Content::plain(file), *address)?;
            planner.items.push(item);
        }
        let initrd = planner.initrd(request, &kernel)?;
        let start = planner.start(request, boot, &kernel, initrd)?;
        Ok(Self { items: planner.items, start, initrd })
    }

    /// How the guest starts.
    #[must_use]
    pub fn start(&self) -> Start {
        self.start
    }

    /// Where the initial RAM disk goes.
    #[must_use]
    pub fn initrd(&self) -> Option<Region> {
        self.initrd
    }

    /// What is loaded, where its first byte goes, and how many bytes are, for listings.
    pub fn parts(&self) -> impl Iterator<Item = (&str, GuestPhysAddr, u64)> {
        self.items.iter().flat_map(|item| {
            item.pieces.iter().map(|piece| (item.what.as_str(), piece.to, piece.bytes))
        })
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }
}

struct Planner {
    layout: Layout,
    items: Vec<Item>,
    memory: Vec<Entry>,
}

impl Planner {
    /// Puts bytes of our own making at `at`.
    fn generated(
        &mut self,
        what: &str,
        at: GuestPhysAddr,
        bytes: Vec<u8>,
    ) -> Result<(), LoadError> {
        self.layout.take(what, at, bytes.len() as u64)?;
        self.items.push(item(what, at, bytes));
        Ok(())
    }

    /// Puts bytes that depend on where they go into conventional memory, as far up as possible.
    fn conventional(
        &mut self,
        what: &str,
        bytes: u64,
        make: impl FnOnce(GuestPhysAddr) -> Vec<u8>,
    ) -> Result<GuestPhysAddr, LoadError> {
        let limit = GuestPhysAddr(pc_map::CONVENTIONAL_END);
        let at = self.layout.take_below(what, limit, bytes, PAGE)?.start;
        self.items.push(item(what, at, make(at)));
        Ok(at)
    }

    fn initrd(&mut self, request: &Request, kernel: &Kernel) -> Result<Option<Region>, LoadError> {
        let Some(file) = &request.initrd else { return Ok(None) };
        let end = match kernel {
            Kernel::Linux { header, .. } => header.initrd_end,
            Kernel::Pvh(_) | Kernel::Multiboot(_) | Kernel::Flat(_) => u64::MAX,
        };
        let limit = GuestPhysAddr(end).min(self.layout.ram().end);
        let (item, at) = plan::plan_initrd(&mut self.layout, file, limit)?;
        self.items.push(item);
        Ok(Some(at))
    }

    /// Makes what the kernel is told.
    fn start(
        &mut self,
        request: &Request,
        boot: &PcBoot,
        kernel: &Kernel,
        initrd: Option<Region>,
    ) -> Result<Start, LoadError> {
        let rsdp = GuestPhysAddr(pc_map::FIRMWARE);
        let memory = self.memory.clone();
        let memory = memory.as_slice();
        match kernel {
            Kernel::Linux { header, at } => {
                let cmdline = self.cmdline(&boot.cmdline, header.cmdline_max)?;
                let parameters = Parameters { cmdline, initrd, rsdp, memory };
                let make = |_| parameters.to_bytes(header);
                let parameters =
                    self.conventional("boot parameters", linux_x86::PARAMETERS_BYTES, make)?;
                let tables = |at: GuestPhysAddr| long_mode::page_tables(at.0);
                let page_tables =
                    self.conventional("page tables", long_mode::TABLE_BYTES, tables)?;
                let gdt: Vec<u8> =
                    long_mode::GDT.iter().flat_map(|entry| entry.to_le_bytes()).collect();
                let gdt = self.conventional("GDT", gdt.len() as u64, |_| gdt)?;
                let entry = at.checked_add(linux_x86::ENTRY_64).unwrap_or(*at);
                Ok(Start::Long { entry, parameters, page_tables, gdt })
            }
            Kernel::Pvh(entry) => {
                self.check_entry(*entry)?;
                let cmdline = self.cmdline(&boot.cmdline, COMMAND_LINE_MAX)?;
                let info = StartInfo { cmdline, initrd, rsdp, memory };
                let bytes = StartInfo::bytes(memory);
                let start_info = self.conventional("start info", bytes, |at| info.to_bytes(at))?;
                Ok(Start::Pvh { entry: *entry, start_info })
            }
            Kernel::Multiboot(entry) => {
                self.check_entry(*entry)?;
                let cmdline = self.cmdline(&boot.cmdline, COMMAND_LINE_MAX)?;
                let information = Information { cmdline, initrd, memory, low_ram: request.ram };
                let bytes = Information::bytes(memory);
                let make = |at| information.to_bytes(at);
                let information = self.conventional("multiboot information", bytes, make)?;
                Ok(Start::Multiboot { entry: *entry, information })
            }
            Kernel::Flat(entry) => {
                self.check_entry(*entry)?;
                real_mode(*entry)
            }
        }
    }

    fn cmdline(&mut self, text: &str, max: u64) -> Result<GuestPhysAddr, LoadError> {
        let bytes = text.len() as u64;
        if bytes > max.min(COMMAND_LINE_MAX) {
            return Err(LoadError::Malformed {
                file: "boot.cmdline".into(),
                problem: format!("found {bytes} characters, allowed at most {max} for this kernel"),
            });
        }
        let mut line = Vec::from(text.as_bytes());
        line.push(0);
        self.conventional("command line", bytes + 1, |_| line)
    }

    fn check_entry(&self, entry: GuestPhysAddr) -> Result<(), LoadError> {
        if self.layout.is_taken(entry) {
            return Ok(());
        }
        let allowed = "addresses where something is loaded".into();
        Err(LoadError::BadAddress { key: "the entry point", found: entry.0, allowed })
    }
}

/// In the first 64 KiB with CS 0, as a BIOS starts a boot sector; else with the largest offset that there is.
fn real_mode(entry: GuestPhysAddr) -> Result<Start, LoadError> {
    if entry.0 >= REAL_MODE_END {
        return Err(LoadError::BadAddress {
            key: "boot.entry",
            found: entry.0,
            allowed: "addresses below 0x100000, for it starts in real mode".into(),
        });
    }
    let segment = (entry.0 >> 4 & 0xf000) as u16;
    Ok(Start::Real { segment, offset: entry.0 as u16 })
}

fn item(what: &str, to: GuestPhysAddr, bytes: Vec<u8>) -> Item {
    let piece = Piece { from: 0, bytes: bytes.len() as u64, to };
    let file = File { name: what.into(), source: Arc::new(bytes) };
    Item { what: what.into(), content: Content::plain(&file), pieces: vec![piece] }
}

#[cfg(test)]
mod tests;
