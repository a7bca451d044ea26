//! Where everything goes, found out from the headers of the files before anything is written.
//!
//! The kernel and further files go where they must. The device tree gets the top of RAM, and the
//! initial RAM disk the place below it, or the next free ones down: that keeps them clear of what a
//! kernel uses behind its image before it has read the device tree. Both stay below 4 GiB where
//! RAM begins there, for guests that use 32-bit pointers early.
//!
//! A Linux kernel wants its device tree aligned to 8 bytes and not across a 2 MiB boundary, and its
//! RAM disk within 32 GiB of itself (Linux, Documentation/arch/arm64/booting.rst).

use super::Region;
use super::content::Content;
use super::elf::{self, Machine};
use super::error::LoadError;
use super::layout::Layout;
use super::linux_arm64::{self, Header};
use super::request::{File, Request};
use super::sniff;
use crate::config::ImageFormat;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::GuestPhysAddr;

/// The room for a device tree. It is a power of two and its own alignment, so that the device tree
/// crosses no larger boundary.
pub(super) const FDT_ROOM: u64 = 64 << 10;
const PAGE: u64 = 4 << 10;
const FOUR_GIB: u64 = 4 << 30;
/// The length of an instruction.
const CODE_ALIGN: u64 = 4;

const ACCEPTED: &str = "an arm64 Linux Image or an ELF file for AArch64, both also as .gz; raw code \
                        needs format = \"flat\"";

/// A part of an item's content, and where it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    /// Its first byte in the content.
    pub(super) from: u64,
    /// Its length.
    pub(super) bytes: u64,
    /// Where its first byte goes.
    pub(super) to: GuestPhysAddr,
}

/// A file of which something is loaded.
#[derive(Clone)]
pub(super) struct Item {
    /// What it is, for progress and errors: `kernel linux/Image`.
    pub(super) what: String,
    pub(super) content: Content,
    pub(super) pieces: Vec<Piece>,
}

/// Where everything goes.
#[derive(Clone)]
pub struct Plan {
    pub(super) items: Vec<Item>,
    entry: GuestPhysAddr,
    fdt: Region,
    initrd: Option<Region>,
}

impl Plan {
    /// Plans how to load what is asked for. Only headers are read.
    ///
    /// # Errors
    ///
    /// If a file is not what it should be, or something does not fit.
    pub fn new(request: &Request) -> Result<Self, LoadError> {
        let mut layout = Layout::new(request.ram);
        let (kernel, entry) = plan_kernel(request, &mut layout)?;
        let limit = limit_of_movable(&kernel, &layout);
        let mut items = vec![kernel];
        for (file, address) in &request.loads {
            let what = format!("[[load]] {}", file.name);
            items.push(plan_file(&mut layout, what, Content::plain(file), *address)?);
        }
        check_entry(entry, &layout)?;
        let fdt = layout.take_below("the device tree", limit, FDT_ROOM, FDT_ROOM)?;
        let mut initrd = None;
        if let Some(file) = &request.initrd {
            let (item, at) = plan_initrd(&mut layout, file, limit)?;
            items.push(item);
            initrd = Some(at);
        }
        Ok(Self { items, entry, fdt, initrd })
    }

    /// Where the guest starts.
    #[must_use]
    pub fn entry(&self) -> GuestPhysAddr {
        self.entry
    }

    /// The room for the device tree. Its first address is what the guest is told.
    #[must_use]
    pub fn fdt(&self) -> Region {
        self.fdt
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
}

/// Finds out what the kernel is and where it goes and starts.
fn plan_kernel(request: &Request, layout: &mut Layout) -> Result<(Item, GuestPhysAddr), LoadError> {
    let file = &request.kernel;
    let content = Content::unpacked(file)?;
    let mut head = [0; sniff::HEAD];
    let head_bytes = usize::try_from(content.bytes()).unwrap_or(usize::MAX).min(head.len());
    let head = head.get_mut(..head_bytes).unwrap_or_default();
    content.read_at(0, head)?;
    let not_a = |accepted| LoadError::NotAKernel {
        file: file.name.clone(),
        found: sniff::describe(head),
        accepted,
    };
    let linux = head.first_chunk().filter(|head| Header::is_one(head));
    let is_elf = elf::is_one(head);
    let what = format!("kernel {}", file.name);
    match (request.format, linux) {
        (ImageFormat::Auto | ImageFormat::Linux, Some(head)) => {
            refuse_entry(request)?;
            plan_linux(request, layout, what, content, head)
        }
        (ImageFormat::Auto | ImageFormat::Elf, _) if is_elf => {
            refuse_entry(request)?;
            plan_elf(request, layout, what, content)
        }
        (ImageFormat::Flat, _) => plan_flat(request, layout, what, content),
        (ImageFormat::Auto, None) => Err(not_a(ACCEPTED)),
        (ImageFormat::Linux, None) => Err(not_a("an arm64 Linux Image, also as .gz")),
        (ImageFormat::Elf, _) => Err(not_a("an ELF file for AArch64, also as .gz")),
    }
}

fn plan_linux(
    request: &Request,
    layout: &mut Layout,
    what: String,
    content: Content,
    head: &[u8; linux_arm64::HEADER_SIZE],
) -> Result<(Item, GuestPhysAddr), LoadError> {
    let malformed = |problem| LoadError::Malformed { file: content.file.name.clone(), problem };
    let header = Header::parse(head, content.bytes()).map_err(malformed)?;
    let align = linux_arm64::BASE_ALIGN;
    let base = match request.load_address {
        Some(base) if !base.0.is_multiple_of(align) => {
            return Err(LoadError::BadAddress {
                key: "boot.load_address",
                found: base.0,
                allowed: "multiples of 0x200000 for a Linux kernel".into(),
            });
        }
        Some(base) => base,
        None => GuestPhysAddr(layout.ram().start.0.next_multiple_of(align)),
    };
    let start = base.checked_add(header.text_offset).ok_or_else(|| LoadError::OutsideRam {
        what: what.clone(),
        start: base.0,
        bytes: header.text_offset,
        ram: layout.ram(),
    })?;
    layout.take(&what, start, header.image_bytes)?;
    let piece = Piece { from: 0, bytes: content.bytes(), to: start };
    Ok((Item { what, content, pieces: vec![piece] }, start))
}

fn plan_elf(
    request: &Request,
    layout: &mut Layout,
    what: String,
    content: Content,
) -> Result<(Item, GuestPhysAddr), LoadError> {
    if let Some(address) = request.load_address {
        return Err(LoadError::BadAddress {
            key: "boot.load_address",
            found: address.0,
            allowed: "none for an ELF file, which says itself where it goes".into(),
        });
    }
    let elf = elf::parse(&content, Machine::Aarch64)?;
    let entry = elf.entry(&content)?;
    let mut pieces = Vec::new();
    for segment in elf.segments {
        let name = format!("{what}, segment {}", segment.index);
        layout.take(&name, segment.to, segment.memory_bytes)?;
        pieces.push(Piece { from: segment.offset, bytes: segment.file_bytes, to: segment.to });
    }
    Ok((Item { what, content, pieces }, entry))
}

fn plan_flat(
    request: &Request,
    layout: &mut Layout,
    what: String,
    content: Content,
) -> Result<(Item, GuestPhysAddr), LoadError> {
    let start = request.load_address.unwrap_or(layout.ram().start);
    if !start.0.is_multiple_of(CODE_ALIGN) {
        return Err(LoadError::BadAddress {
            key: "boot.load_address",
            found: start.0,
            allowed: "multiples of 4".into(),
        });
    }
    let item = plan_file(layout, what, content, start)?;
    Ok((item, request.entry.unwrap_or(start)))
}

/// Plans to load the whole of `content` at `start`.
pub(super) fn plan_file(
    layout: &mut Layout,
    what: String,
    content: Content,
    start: GuestPhysAddr,
) -> Result<Item, LoadError> {
    if content.bytes() == 0 {
        let problem = "the file is empty".to_owned();
        return Err(LoadError::Malformed { file: content.file.name, problem });
    }
    let at = layout.take(&what, start, content.bytes())?;
    let piece = Piece { from: 0, bytes: content.bytes(), to: at.start };
    Ok(Item { what, content, pieces: vec![piece] })
}

pub(super) fn plan_initrd(
    layout: &mut Layout,
    file: &File,
    limit: GuestPhysAddr,
) -> Result<(Item, Region), LoadError> {
    let content = Content::plain(file);
    if content.bytes() == 0 {
        let problem = "the file is empty".to_owned();
        return Err(LoadError::Malformed { file: content.file.name, problem });
    }
    let what = format!("initrd {}", file.name);
    let at = layout.take_below(&what, limit, content.bytes(), PAGE)?;
    let piece = Piece { from: 0, bytes: content.bytes(), to: at.start };
    Ok((Item { what, content, pieces: vec![piece] }, at))
}

/// The end of where device tree and RAM disk may go.
fn limit_of_movable(kernel: &Item, layout: &Layout) -> GuestPhysAddr {
    let start = kernel.pieces.iter().map(|piece| piece.to.0).min().unwrap_or(0);
    let window = start & !(linux_arm64::WINDOW_ALIGN - 1);
    let end = if start < FOUR_GIB { FOUR_GIB } else { window.saturating_add(linux_arm64::WINDOW) };
    GuestPhysAddr(end).min(layout.ram().end)
}

pub(super) fn refuse_entry(request: &Request) -> Result<(), LoadError> {
    match request.entry {
        Some(entry) => Err(LoadError::BadAddress {
            key: "boot.entry",
            found: entry.0,
            allowed: "none unless format = \"flat\": the image says itself where it starts".into(),
        }),
        None => Ok(()),
    }
}

fn check_entry(entry: GuestPhysAddr, layout: &Layout) -> Result<(), LoadError> {
    if entry.0.is_multiple_of(CODE_ALIGN) && layout.is_taken(entry) {
        return Ok(());
    }
    Err(LoadError::BadAddress {
        key: "the entry point",
        found: entry.0,
        allowed: "multiples of 4 where something is loaded".into(),
    })
}
