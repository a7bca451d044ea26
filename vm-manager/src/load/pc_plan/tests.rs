//! Kernels of PCs as people pack them, and files that lie.

use super::*;
use crate::config::ImageFormat;
use crate::load::linux_x86::tests::bzimage;
use crate::load::loader::Loader;
use crate::load::multiboot::tests::header;
use crate::load::pvh::tests::note;
use hv_core::guest::{BadAddress, GuestMemory};
use proptest::prelude::*;
use std::cell::RefCell;

const RAM_BYTES: u64 = 8 << 20;

/// RAM that knows which of its bytes were written.
struct Ram {
    bytes: RefCell<Vec<u8>>,
    written: RefCell<Vec<bool>>,
}

impl Ram {
    fn range(addr: GuestPhysAddr, bytes: usize) -> Result<std::ops::Range<usize>, BadAddress> {
        let end = addr.0.checked_add(bytes as u64).filter(|end| *end <= RAM_BYTES);
        Ok(addr.0 as usize..end.ok_or(BadAddress)? as usize)
    }

    fn get<const N: usize>(&self, addr: u64) -> [u8; N] {
        let mut buf = [0; N];
        self.read(GuestPhysAddr(addr), &mut buf).unwrap();
        buf
    }
}

impl GuestMemory for Ram {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        buf.copy_from_slice(&self.bytes.borrow()[Self::range(addr, buf.len())?]);
        Ok(())
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        let range = Self::range(addr, buf.len())?;
        let mut written = self.written.borrow_mut();
        assert!(!written[range.clone()].contains(&true), "each byte is written once");
        written[range.clone()].fill(true);
        self.bytes.borrow_mut()[range].copy_from_slice(buf);
        Ok(())
    }
}

fn file(name: &str, bytes: impl Into<Vec<u8>>) -> File {
    File { name: name.into(), source: Arc::new(bytes.into()) }
}

fn request(kernel: impl Into<Vec<u8>>) -> Request {
    Request {
        ram: pc_map::low_ram(RAM_BYTES),
        kernel: file("k", kernel),
        format: ImageFormat::Auto,
        load_address: None,
        entry: None,
        initrd: None,
        loads: Vec::new(),
    }
}

fn boot() -> PcBoot {
    PcBoot { memory_bytes: RAM_BYTES, cmdline: "console=ttyS0".into(), acpi: vec![0xac; 0x1000] }
}

fn load(request: &Request) -> Result<(PcPlan, Ram), LoadError> {
    let plan = PcPlan::new(request, &boot())?;
    let bytes = RAM_BYTES as usize;
    let ram = Ram { bytes: vec![0; bytes].into(), written: vec![false; bytes].into() };
    let mut loader = Loader::for_pc(&plan);
    while !loader.step(&ram, 1 << 16)?.finished {}
    Ok((plan, ram))
}

fn error(request: &Request) -> String {
    PcPlan::new(request, &boot()).map(|_| ()).unwrap_err().to_string()
}

/// An ELF file of 64 bits, or of 32, with one segment at `phys` and the notes behind it.
fn elf(is_64: bool, entry: u64, phys: u64, code: &[u8], notes: &[u8]) -> Vec<u8> {
    let (header, segment) = if is_64 { (64u64, 56u64) } else { (52, 32) };
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file[4] = if is_64 { 2 } else { 1 };
    let word = |file: &mut Vec<u8>, value: u64| {
        file.extend_from_slice(&value.to_le_bytes()[..if is_64 { 8 } else { 4 }]);
    };
    file.extend([2, 0, if is_64 { 62 } else { 3 }, 0, 1, 0, 0, 0]);
    for value in [entry, header, 0] {
        word(&mut file, value);
    }
    file.extend([0; 4]);
    for value in [header, segment, 2, 0, 0, 0] {
        file.extend_from_slice(&value.to_le_bytes()[..2]);
    }
    let code_at = header + 2 * segment;
    for (kind, offset, bytes, phys) in
        [(1u32, code_at, code.len(), phys), (4, code_at + code.len() as u64, notes.len(), 0)]
    {
        file.extend(kind.to_le_bytes());
        if is_64 {
            file.extend(5u32.to_le_bytes());
        }
        for value in [offset, phys, phys, bytes as u64, bytes as u64] {
            word(&mut file, value);
        }
        if !is_64 {
            file.extend(5u32.to_le_bytes());
        }
        word(&mut file, 4);
    }
    file.extend(code);
    file.extend(notes);
    file
}

#[test]
fn linux_starts_in_long_mode_with_its_parameters() {
    let initrd = Some(file("i", vec![7; 5000]));
    let small = Request { initrd, ..request(bzimage(0x3000)) };
    let (plan, ram) = load(&small).unwrap();
    let Start::Long { entry, parameters, page_tables, gdt } = plan.start() else { panic!() };
    // The preferred 16 MiB are not there.
    assert_eq!(entry.0, 0x20_0200);
    assert_eq!(ram.get(entry.0), [(0x200 / 5) as u8]);
    assert_eq!(ram.get(parameters.0 + 0x202), *b"HdrS");
    let field = |at| u64::from(u32::from_le_bytes(ram.get(parameters.0 + at)));
    let initrd = plan.initrd().unwrap();
    assert_eq!((initrd.start.0, initrd.bytes()), (RAM_BYTES - 0x2000, 5000));
    assert_eq!((field(0x218), field(0x21c)), (initrd.start.0, 5000));
    assert_eq!(ram.get(field(0x228)), *b"console=ttyS0\0");
    assert_eq!(field(0x70), 0xe_0000);
    assert_eq!(ram.get(0xe_0000), [0xac]);
    assert_eq!(u64::from_le_bytes(ram.get(page_tables.0)), page_tables.0 + 0x1003);
    assert_eq!(u64::from_le_bytes(ram.get(gdt.0 + 0x10)), 0x00af_9b00_0000_ffff);
}

#[test]
fn linux_goes_where_it_likes_to_be_or_is_told() {
    let large = |load_address| {
        let request =
            Request { ram: pc_map::low_ram(64 << 20), load_address, ..request(bzimage(0x3000)) };
        PcPlan::new(&request, &boot()).map(|plan| plan.start())
    };
    assert!(matches!(large(None), Ok(Start::Long { entry: GuestPhysAddr(0x100_0200), .. })));
    let at = Some(GuestPhysAddr(0x60_0000));
    assert!(matches!(large(at), Ok(Start::Long { entry: GuestPhysAddr(0x60_0200), .. })));
    let error = large(Some(GuestPhysAddr(0x10_0000))).unwrap_err().to_string();
    assert_eq!(
        error,
        "boot.load_address: found 0x100000, allowed multiples of 0x200000 for this kernel"
    );
}

#[test]
fn a_pvh_kernel_starts_at_its_note() {
    let code = [0x90; 64];
    let notes = note(b"Xen\0", 18, &0x20_0010u32.to_le_bytes());
    // Linux's entry point is a physical address, its segments have virtual ones.
    let (plan, ram) = load(&request(elf(true, 0x20_0000, 0x20_0000, &code, &notes))).unwrap();
    let Start::Pvh { entry, start_info } = plan.start() else { panic!() };
    assert_eq!(entry.0, 0x20_0010);
    assert_eq!(ram.get(start_info.0), 0x336e_c578u32.to_le_bytes());
    let quad = |at| u64::from_le_bytes(ram.get(start_info.0 + at));
    assert_eq!(ram.get(quad(24)), *b"console=ttyS0\0");
    assert_eq!(quad(32), 0xe_0000);
    assert_eq!(ram.get(0x20_0000), code);
}

#[test]
fn a_multiboot_kernel_starts_at_its_elf_entry_or_at_its_address() {
    let mut code = header(3, &[]);
    code.resize(64, 0x90);
    let (plan, ram) = load(&request(elf(false, 0x10_0020, 0x10_0000, &code, &[]))).unwrap();
    let Start::Multiboot { entry, information } = plan.start() else { panic!() };
    assert_eq!(entry.0, 0x10_0020);
    let word = |at| u64::from(u32::from_le_bytes(ram.get(information.0 + at)));
    assert_eq!(ram.get(word(16)), *b"console=ttyS0\0");
    assert_eq!(word(8), 7 * 1024);
    // Raw, with addresses.
    let mut raw = header(1 << 16, &[0x10_0000, 0x10_0000, 0, 0x10_4000, 0x10_0030]);
    raw.resize(0x100, 0x91);
    let (plan, ram) = load(&request(raw)).unwrap();
    assert!(matches!(plan.start(), Start::Multiboot { entry: GuestPhysAddr(0x10_0030), .. }));
    assert_eq!(ram.get(0x10_00ff), [0x91]);
}

#[test]
fn flat_code_starts_in_real_mode() {
    let flat = |load_address: Option<u64>, entry: Option<u64>| {
        let request = Request {
            format: ImageFormat::Flat,
            load_address: load_address.map(GuestPhysAddr),
            entry: entry.map(GuestPhysAddr),
            ..request(vec![0xeb; 0x2000])
        };
        load(&request).map(|(plan, _)| plan.start())
    };
    assert_eq!(flat(None, None), Ok(Start::Real { segment: 0, offset: 0x7c00 }));
    assert_eq!(flat(Some(0x2_3000), None), Ok(Start::Real { segment: 0x2000, offset: 0x3000 }));
    assert_eq!(flat(Some(0x8000), Some(0x8abc)), Ok(Start::Real { segment: 0, offset: 0x8abc }));
    let error = flat(Some(0x20_0000), None).unwrap_err().to_string();
    assert!(error.contains("below 0x100000"), "{error}");
    let error = flat(None, Some(0x100)).unwrap_err().to_string();
    assert!(error.contains("where something is loaded"), "{error}");
}

#[test]
fn what_cannot_be_loaded_says_why() {
    let linux = Request { format: ImageFormat::Linux, ..request(b"#!/bin/sh".to_vec()) };
    assert!(error(&linux).contains("a script"));
    assert!(error(&request(b"#!/bin/sh".to_vec())).ends_with("format = \"flat\""));
    let neither = elf(true, 0x20_0000, 0x20_0000, &[0; 64], &[]);
    assert!(error(&request(neither)).contains("neither a PVH note nor a multiboot header"));
    let clash =
        elf(true, 0xe_0000, 0xe_0000, &[0; 64], &note(b"Xen\0", 18, &0xe_0000u32.to_le_bytes()));
    assert!(error(&request(clash)).contains("overlaps ACPI tables"));
    let mut arm = elf(true, 0x20_0000, 0x20_0000, &[0; 64], &[]);
    arm[18] = 183;
    assert!(error(&request(arm)).contains("machine 183"));
    let long = PcBoot { cmdline: "x".repeat(2048), ..boot() };
    let error = PcPlan::new(&request(bzimage(0x1000)), &long).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "boot.cmdline: found 2048 characters, allowed at most 2047 for this kernel");
    let tiny = Request { ram: pc_map::low_ram(512 << 10), ..request(bzimage(0x1000)) };
    assert!(PcPlan::new(&tiny, &boot()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_file_is_loaded_into_ram_or_refused(
        kind in 0..4,
        changes in proptest::collection::vec((0..0x290usize, any::<u8>()), 0..20),
        format in 0..4, initrd: bool,
    ) {
        let notes = note(b"Xen\0", 18, &0x20_0010u32.to_le_bytes());
        let mut kernel = match kind {
            0 => bzimage(0x3000),
            1 => elf(true, 0x20_0000, 0x20_0000, &[0x90; 0x300], &notes),
            2 => elf(false, 0x10_0020, 0x10_0000, &[header(3, &[]), vec![0; 0x300]].concat(), &[]),
            _ => [header(1 << 16, &[0x10_0000, 0x10_0000, 0, 0, 0x10_0030]), vec![0; 0x300]].concat(),
        };
        for (at, byte) in changes {
            kernel[at] = byte;
        }
        let format = match format {
            0 | 1 => ImageFormat::Auto,
            2 => ImageFormat::Elf,
            _ => ImageFormat::Flat,
        };
        let initrd = initrd.then(|| file("i", vec![7; 5000]));
        let _ = load(&Request { format, initrd, ..request(kernel) });
    }
}
