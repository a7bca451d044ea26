//! ELF kernels: the segments that are loaded, at their physical addresses (System V ABI, "ELF-64
//! Object File Format").

use super::content::Content;
use super::error::LoadError;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use elf::abi;
use elf::endian::AnyEndian;
use elf::file::{Class, FileHeader};
use elf::segment::SegmentTable;
use hv_core::guest::GuestPhysAddr;

/// The file header's length in bytes.
const HEADER_SIZE: usize = 64;
/// Kernels have a handful.
const SEGMENTS_MAX: u16 = 64;

/// For which machine a file must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Machine {
    /// AArch64, 64-bit.
    Aarch64,
    /// x86-64, 64-bit, or x86, 32-bit.
    Pc,
}

/// A part of the file, and where it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Segment {
    /// Its number in the file's table.
    pub(super) index: usize,
    /// Its first byte in the file.
    pub(super) offset: u64,
    /// How many bytes of it are in the file.
    pub(super) file_bytes: u64,
    /// Where it goes.
    pub(super) to: GuestPhysAddr,
    /// How much memory it has; what is not in the file is zero.
    pub(super) memory_bytes: u64,
}

/// What a file holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Elf {
    pub(super) segments: Vec<Segment>,
    /// Its notes: where each block of them begins in the file, and how long it is.
    pub(super) notes: Vec<(u64, u64)>,
    /// The physical address at which it starts, if that is in one of its segments.
    entry: Option<GuestPhysAddr>,
    /// The entry point as the file has it.
    entry_point: u64,
}

impl Elf {
    /// The physical address at which it starts.
    pub(super) fn entry(&self, content: &Content) -> Result<GuestPhysAddr, LoadError> {
        self.entry.ok_or_else(|| LoadError::Malformed {
            file: content.file.name.clone(),
            problem: format!("its entry point {:#x} is in none of its segments", self.entry_point),
        })
    }
}

/// Whether a file that begins with `head` is an ELF file.
pub(super) fn is_one(head: &[u8]) -> bool {
    head.starts_with(&abi::ELFMAGIC)
}

/// Reads the headers of an ELF file.
pub(super) fn parse(content: &Content, machine: Machine) -> Result<Elf, LoadError> {
    let malformed =
        |problem: String| LoadError::Malformed { file: content.file.name.clone(), problem };
    let mut head = [0; HEADER_SIZE];
    content.read_at(0, &mut head)?;
    let header = file_header(&head, machine).map_err(malformed)?;
    let mut table = vec![0; usize::from(header.e_phnum) * usize::from(header.e_phentsize)];
    content.read_at(header.e_phoff, &mut table)?;

    let (mut segments, mut notes) = (Vec::new(), Vec::new());
    let mut entry = None;
    let headers = SegmentTable::new(header.endianness, header.class, &table);
    for (index, segment) in headers.iter().enumerate() {
        if segment.p_type == abi::PT_NOTE {
            notes.push((segment.p_offset, segment.p_filesz));
        }
        if segment.p_type != abi::PT_LOAD || segment.p_memsz == 0 {
            continue;
        }
        let file_end = segment.p_offset.checked_add(segment.p_filesz);
        if file_end.is_none_or(|end| end > content.bytes()) {
            return Err(malformed(format!("segment {index} reaches beyond the end of the file")));
        }
        if segment.p_filesz > segment.p_memsz {
            return Err(malformed(format!("segment {index} is larger in the file than in memory")));
        }
        // The entry point is a virtual address; without page tables it is run where its
        // segment is loaded.
        let into = header.e_entry.checked_sub(segment.p_vaddr);
        if let Some(into) = into.filter(|into| *into < segment.p_memsz) {
            entry = entry.or_else(|| GuestPhysAddr(segment.p_paddr).checked_add(into));
        }
        segments.push(Segment {
            index,
            offset: segment.p_offset,
            file_bytes: segment.p_filesz,
            to: GuestPhysAddr(segment.p_paddr),
            memory_bytes: segment.p_memsz,
        });
    }
    if segments.is_empty() {
        return Err(malformed("it has no segments to load".into()));
    }
    if machine == Machine::Pc && entry.is_none() {
        // Linux says where it starts by a physical address, although its segments have virtual ones.
        let physical = GuestPhysAddr(header.e_entry);
        let is_in = |segment: &Segment| {
            physical.0.checked_sub(segment.to.0).is_some_and(|into| into < segment.memory_bytes)
        };
        entry = segments.iter().any(is_in).then_some(physical);
    }
    Ok(Elf { segments, notes, entry, entry_point: header.e_entry })
}

fn file_header(
    head: &[u8; HEADER_SIZE],
    machine: Machine,
) -> Result<FileHeader<AnyEndian>, String> {
    let damaged = |error: elf::ParseError| format!("damaged ELF file: {error}");
    let identity = elf::file::parse_ident::<AnyEndian>(head).map_err(damaged)?;
    if machine == Machine::Aarch64 && identity.1 != Class::ELF64 {
        return Err("a 32-bit ELF file, 64-bit ones for AArch64 are supported".into());
    }
    let tail = head.get(abi::EI_NIDENT..).unwrap_or_default();
    let header = FileHeader::parse_tail(identity, tail).map_err(damaged)?;
    let found = header.e_machine;
    match (machine, header.class, found) {
        (Machine::Aarch64, _, abi::EM_AARCH64)
        | (Machine::Pc, Class::ELF64, abi::EM_X86_64)
        | (Machine::Pc, Class::ELF32, abi::EM_386) => {}
        (Machine::Aarch64, ..) => {
            return Err(format!(
                "an ELF file for machine {found}, those for AArch64 (183) are supported"
            ));
        }
        (Machine::Pc, ..) => {
            return Err(format!(
                "an ELF file for machine {found}, those for x86-64 (62, 64-bit) and x86 (3, 32-bit) are supported"
            ));
        }
    }
    if header.endianness != AnyEndian::Little {
        return Err("a big-endian ELF file, little-endian ones are supported".into());
    }
    if header.e_type != abi::ET_EXEC && header.e_type != abi::ET_DYN {
        return Err("an ELF file that is not linked, executables are supported".into());
    }
    let segment_header_bytes = match header.class {
        Class::ELF32 => 32,
        Class::ELF64 => 56,
    };
    if header.e_phentsize != segment_header_bytes {
        return Err(format!(
            "damaged ELF file: its segment headers have {} bytes, not {segment_header_bytes}",
            header.e_phentsize
        ));
    }
    if header.e_phnum == 0 || header.e_phnum > SEGMENTS_MAX {
        return Err(format!(
            "an ELF file with {} segments, 1 to {SEGMENTS_MAX} are supported",
            header.e_phnum
        ));
    }
    Ok(header)
}
