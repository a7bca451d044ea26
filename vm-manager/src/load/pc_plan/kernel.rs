//! What a kernel for the `pc` machine is, and where it goes.

use super::{Kernel, Planner};
use crate::config::ImageFormat;
use crate::load::Region;
use crate::load::content::Content;
use crate::load::elf::{self, Elf};
use crate::load::error::LoadError;
use crate::load::linux_x86::{Header, Placement};
use crate::load::multiboot::{self, Addresses};
use crate::load::plan::{self, Item, Piece};
use crate::load::pvh;
use crate::load::request::Request;
use crate::load::sniff;
use crate::pc_map;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::GuestPhysAddr;

/// Where a boot sector goes, and so flat code that says nothing else.
const BOOT_SECTOR: GuestPhysAddr = GuestPhysAddr(0x7c00);

const ACCEPTED: &str = "an x86 Linux bzImage, an ELF file with a PVH note or a multiboot header, or a file with a multiboot \
                        header that has addresses; real-mode code needs format = \"flat\"";

impl Planner {
    /// Finds out what the kernel is, and where it goes.
    pub(super) fn kernel(&mut self, request: &Request) -> Result<Kernel, LoadError> {
        let file = &request.kernel;
        let content = Content::unpacked(file)?;
        let head_bytes =
            usize::try_from(content.bytes()).unwrap_or(usize::MAX).min(multiboot::SEARCH);
        let mut head = vec![0; head_bytes];
        content.read_at(0, &mut head)?;
        let not_a = |accepted| {
            let found =
                sniff::describe(head.get(..sniff::HEAD.min(head.len())).unwrap_or_default());
            LoadError::NotAKernel { file: file.name.clone(), found, accepted }
        };
        let malformed = |problem| LoadError::Malformed { file: file.name.clone(), problem };
        let linux = head.first_chunk().filter(|_| Header::is_one(&head));
        match (request.format, linux) {
            (ImageFormat::Flat, _) => self.flat(request, content),
            (ImageFormat::Auto | ImageFormat::Linux, Some(head)) => {
                plan::refuse_entry(request)?;
                let header = Header::parse(head, content.bytes()).map_err(malformed)?;
                self.linux(request, content, header)
            }
            (ImageFormat::Linux, None) => Err(not_a("an x86 Linux bzImage, also as .gz")),
            (ImageFormat::Auto | ImageFormat::Elf, _) => {
                let multiboot =
                    multiboot::Header::find(&head, content.bytes()).map_err(malformed)?;
                let addresses = multiboot.and_then(|header| header.addresses);
                if elf::is_one(&head) {
                    refuse_addresses(request)?;
                    self.elf(content, multiboot)
                } else if let (ImageFormat::Auto, Some(addresses)) = (request.format, addresses) {
                    refuse_addresses(request)?;
                    self.multiboot(content, addresses)
                } else {
                    Err(not_a(if request.format == ImageFormat::Auto {
                        ACCEPTED
                    } else {
                        "an ELF file for x86 with a PVH note or a multiboot header, also as .gz"
                    }))
                }
            }
        }
    }

    fn linux(
        &mut self,
        request: &Request,
        content: Content,
        header: Header,
    ) -> Result<Kernel, LoadError> {
        let what = format!("kernel {}", content.file.name);
        let bad_address = |found, allowed| {
            Err(LoadError::BadAddress { key: "boot.load_address", found, allowed })
        };
        let at = match (request.load_address, header.placement) {
            (Some(at), Placement::Fixed) if at != header.preferred => {
                return bad_address(
                    at.0,
                    format!("{} for this kernel, which is not relocatable", header.preferred),
                );
            }
            (Some(at), Placement::Relocatable(align)) if !at.0.is_multiple_of(align) => {
                return bad_address(at.0, format!("multiples of {align:#x} for this kernel"));
            }
            (Some(at), _) => at,
            (None, Placement::Fixed) => header.preferred,
            // Where it would like to be; in a small machine as low as it may.
            (None, Placement::Relocatable(align)) => {
                let wanted = Region::new(header.preferred, header.memory_bytes);
                let fits = wanted.is_some_and(|region| region.end <= self.layout.ram().end);
                let lowest = pc_map::FIRMWARE_END.next_multiple_of(align);
                if fits { header.preferred } else { GuestPhysAddr(lowest) }
            }
        };
        self.layout.take(&what, at, header.memory_bytes)?;
        let bytes = content.bytes().saturating_sub(header.kernel_offset);
        let piece = Piece { from: header.kernel_offset, bytes, to: at };
        self.items.push(Item { what, content, pieces: vec![piece] });
        Ok(Kernel::Linux { header, at })
    }

    fn elf(
        &mut self,
        content: Content,
        multiboot: Option<multiboot::Header>,
    ) -> Result<Kernel, LoadError> {
        let elf = elf::parse(&content, elf::Machine::Pc)?;
        if let Some(entry) = pvh::entry(&elf, &content)? {
            self.segments(content, &elf)?;
            return Ok(Kernel::Pvh(entry));
        }
        match multiboot {
            // With addresses, the header has the first word (Multiboot, 3.1.2).
            Some(multiboot::Header { addresses: Some(addresses) }) => self.multiboot(content, addresses),
            Some(multiboot::Header { addresses: None }) => {
                let entry = elf.entry(&content)?;
                self.segments(content, &elf)?;
                Ok(Kernel::Multiboot(entry))
            }
            None => Err(LoadError::Malformed {
                file: content.file.name,
                problem: "an ELF file with neither a PVH note nor a multiboot header, so that nobody knows how it starts"
                    .into(),
            }),
        }
    }

    fn segments(&mut self, content: Content, elf: &Elf) -> Result<(), LoadError> {
        let what = format!("kernel {}", content.file.name);
        let mut pieces = Vec::new();
        for segment in &elf.segments {
            let name = format!("{what}, segment {}", segment.index);
            self.layout.take(&name, segment.to, segment.memory_bytes)?;
            pieces.push(Piece { from: segment.offset, bytes: segment.file_bytes, to: segment.to });
        }
        self.items.push(Item { what, content, pieces });
        Ok(())
    }

    fn multiboot(&mut self, content: Content, addresses: Addresses) -> Result<Kernel, LoadError> {
        let what = format!("kernel {}", content.file.name);
        let Addresses { offset, file_bytes, to, memory_bytes, entry } = addresses;
        self.layout.take(&what, to, memory_bytes)?;
        let pieces = vec![Piece { from: offset, bytes: file_bytes, to }];
        self.items.push(Item { what, content, pieces });
        Ok(Kernel::Multiboot(entry))
    }

    fn flat(&mut self, request: &Request, content: Content) -> Result<Kernel, LoadError> {
        let at = request.load_address.unwrap_or(BOOT_SECTOR);
        let what = format!("kernel {}", content.file.name);
        self.items.push(plan::plan_file(&mut self.layout, what, content, at)?);
        Ok(Kernel::Flat(request.entry.unwrap_or(at)))
    }
}

fn refuse_addresses(request: &Request) -> Result<(), LoadError> {
    plan::refuse_entry(request)?;
    match request.load_address {
        Some(address) => Err(LoadError::BadAddress {
            key: "boot.load_address",
            found: address.0,
            allowed: "none for this file, which says itself where it goes".into(),
        }),
        None => Ok(()),
    }
}
