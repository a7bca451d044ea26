//! Guests as people pack them, and files that lie.

use super::gzip::tests::pack;
use super::linux_arm64::tests::header;
use super::*;
use crate::bundle::Bundle;
use crate::config::{ImageFormat, VmConfig};
use hv_core::guest::{BadAddress, GuestMemory};
use hv_core::machine::Range;
use proptest::prelude::*;
use std::cell::RefCell;
use std::sync::Arc;

const BASE: u64 = 0x4000_0000;
const RAM_BYTES: u64 = 4 << 20;
const TOP: u64 = BASE + RAM_BYTES;

/// RAM that knows which of its bytes were written.
struct Ram {
    bytes: RefCell<Vec<u8>>,
    written: RefCell<Vec<bool>>,
}

impl Ram {
    fn new() -> Self {
        let bytes = RAM_BYTES as usize;
        Self { bytes: vec![0; bytes].into(), written: vec![false; bytes].into() }
    }

    fn range(addr: GuestPhysAddr, bytes: usize) -> Result<std::ops::Range<usize>, BadAddress> {
        let start = addr.0.checked_sub(BASE).ok_or(BadAddress)? as usize;
        let end = start.checked_add(bytes).filter(|end| *end <= RAM_BYTES as usize);
        Ok(start..end.ok_or(BadAddress)?)
    }

    fn get(&self, addr: u64, bytes: usize) -> Vec<u8> {
        let mut buf = vec![0; bytes];
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

/// A file that is not in memory.
struct OnDisk(Vec<u8>);

impl Source for OnDisk {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        self.0.read_at(offset, buf)
    }
}

fn file(name: &str, bytes: impl Into<Vec<u8>>) -> File {
    File { name: name.into(), source: Arc::new(bytes.into()) }
}

fn request(kernel: impl Into<Vec<u8>>) -> Request {
    Request {
        ram: Region::new(GuestPhysAddr(BASE), RAM_BYTES).unwrap(),
        kernel: file("k", kernel),
        format: ImageFormat::Auto,
        load_address: None,
        entry: None,
        initrd: None,
        loads: Vec::new(),
    }
}

fn flat(kernel: impl Into<Vec<u8>>) -> Request {
    Request { format: ImageFormat::Flat, ..request(kernel) }
}

fn load(request: &Request, budget: usize) -> Result<(Plan, Ram), LoadError> {
    let plan = Plan::new(request)?;
    let mut loader = Loader::new(&plan, vec![0xfd; 100])?;
    let ram = Ram::new();
    let mut before = 0;
    for _ in 0..10_000_000 {
        let progress = loader.step(&ram, budget)?;
        assert!(progress.done_bytes >= before && progress.done_bytes <= progress.total_bytes);
        before = progress.done_bytes;
        if progress.finished {
            assert_eq!(progress.done_bytes, progress.total_bytes);
            assert_eq!(ram.get(plan.fdt().start.0, 100), [0xfd; 100]);
            return Ok((plan, ram));
        }
    }
    panic!("does not come to an end");
}

fn error(request: &Request) -> String {
    load(request, 1 << 20).map(|_| ()).unwrap_err().to_string()
}

/// An arm64 Image of this many bytes.
fn image(text_offset: u64, image_bytes: u64, file_bytes: usize) -> Vec<u8> {
    let mut file = header(text_offset, image_bytes, 0xa).to_vec();
    file.extend((64..file_bytes).map(|at| (at / 7) as u8));
    file
}

/// A segment: its bytes, virtual and physical address, and length in memory.
type Segment<'a> = (&'a [u8], u64, u64, u64);

fn elf(entry: u64, segments: &[Segment<'_>]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let xword = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 183);
    file.extend(1u32.to_le_bytes());
    for value in [entry, 64, 0] {
        xword(&mut file, value);
    }
    file.extend(0u32.to_le_bytes());
    for value in [64, 56, segments.len() as u16, 0, 0, 0] {
        half(&mut file, value);
    }
    let mut offset = 64 + 56 * segments.len() as u64;
    for (bytes, virt, phys, memory) in segments {
        file.extend(1u32.to_le_bytes());
        file.extend(5u32.to_le_bytes());
        for value in [offset, *virt, *phys, bytes.len(), *memory, 4096] {
            xword(&mut file, value);
        }
        offset += bytes.len();
    }
    segments.iter().for_each(|(bytes, ..)| file.extend_from_slice(bytes));
    file
}

#[test]
fn linux_goes_behind_its_base_with_device_tree_and_ram_disk_at_the_top() {
    let kernel = image(0x8_0000, 0x10_0000, 5000);
    let initrd = vec![0xcd; 10_000];
    let request = Request { initrd: Some(file("i", initrd.clone())), ..request(kernel.clone()) };
    let (plan, ram) = load(&request, 1000).unwrap();
    assert_eq!(plan.entry().0, BASE + 0x8_0000);
    assert_eq!(ram.get(BASE + 0x8_0000, 5000), kernel);
    assert_eq!(plan.fdt().start.0, TOP - 0x1_0000);
    let at = plan.initrd().unwrap();
    assert_eq!((at.start.0, at.bytes()), (TOP - 0x1_0000 - 0x3000, 10_000));
    assert_eq!(ram.get(at.start.0, 10_000), initrd);
}

#[test]
fn linux_may_be_given_another_base() {
    let kernel = image(0, 0x10_0000, 5000);
    let at = |base| Request { load_address: Some(GuestPhysAddr(base)), ..request(kernel.clone()) };
    let (plan, _) = load(&at(BASE + 0x20_0000), 1000).unwrap();
    assert_eq!(plan.entry().0, BASE + 0x20_0000);
    assert_eq!(
        error(&at(BASE + 0x10_0000)),
        "boot.load_address: found 0x40100000, allowed multiples of 0x200000 for a Linux kernel"
    );
}

#[test]
fn a_packed_kernel_is_unpacked_to_where_the_plain_one_goes() {
    let kernel = image(0, 0x10_0000, 100_000);
    let (plan, ram) = load(&request(pack(&kernel)), 777).unwrap();
    assert_eq!(plan.entry().0, BASE);
    assert_eq!(ram.get(BASE, 100_000), kernel);

    let code = elf(BASE + 4, &[(b"code", BASE, BASE, 0x1000), (b"data", 0, BASE + 0x1000, 4)]);
    let (plan, ram) = load(&request(pack(&code)), 5).unwrap();
    assert_eq!(plan.entry().0, BASE + 4);
    assert_eq!(
        (ram.get(BASE, 5), ram.get(BASE + 0x1000, 4)),
        (b"code\0".to_vec(), b"data".to_vec())
    );
}

#[test]
fn elf_segments_go_to_their_physical_addresses_and_it_starts_there() {
    let high = 0xffff_0000_0000_0000;
    let kernel =
        elf(high + 8, &[(b"0123456789ab", high, BASE + 0x1000, 0x2000), (b"", 0, BASE, 16)]);
    let (plan, ram) = load(&request(kernel), 1000).unwrap();
    assert_eq!(plan.entry().0, BASE + 0x1008);
    assert_eq!(ram.get(BASE + 0x1000, 13), b"0123456789ab\0");
}

#[test]
fn flat_code_goes_to_the_beginning_of_ram_or_where_it_is_told() {
    let (plan, ram) = load(&flat(*b"code"), 1).unwrap();
    assert_eq!((plan.entry().0, ram.get(BASE, 4)), (BASE, b"code".to_vec()));
    let request = Request {
        load_address: Some(GuestPhysAddr(BASE + 0x8_0000)),
        entry: Some(GuestPhysAddr(BASE + 0x8_0004)),
        loads: vec![(file("l", *b"more"), GuestPhysAddr(BASE + 1))],
        ..flat(*b"code1234")
    };
    let (plan, ram) = load(&request, 1000).unwrap();
    assert_eq!(plan.entry().0, BASE + 0x8_0004);
    assert_eq!(ram.get(BASE + 1, 4), b"more");
    let parts: Vec<_> = plan.parts().collect();
    assert_eq!(
        parts,
        [
            ("kernel k", GuestPhysAddr(BASE + 0x8_0000), 8),
            ("[[load]] l", GuestPhysAddr(BASE + 1), 4)
        ]
    );
}

#[test]
fn what_may_go_anywhere_makes_room_for_what_may_not() {
    let request = Request {
        loads: vec![(file("l", *b"x"), GuestPhysAddr(TOP - 1))],
        initrd: Some(file("i", [1; 0x1_0000])),
        ..flat(*b"code")
    };
    let (plan, _) = load(&request, 1 << 20).unwrap();
    assert_eq!(plan.fdt().start.0, TOP - 0x2_0000);
    // Between the two is not enough room for it.
    assert_eq!(plan.initrd().unwrap().start.0, TOP - 0x3_0000);
}

#[test]
fn what_is_no_kernel_is_named_with_what_it_is_and_what_would_be_one() {
    assert_eq!(
        error(&request(*b"#!/bin/sh\n")),
        "k: found a script that begins with 23 21 2f 62 69 6e 2f 73; allowed: an arm64 Linux Image \
         or an ELF file for AArch64, both also as .gz; raw code needs format = \"flat\""
    );
    assert!(error(&request(*b"")).starts_with("k: found an empty file; allowed: "));
    let linux = Request { format: ImageFormat::Linux, ..request(elf(0, &[])) };
    assert!(error(&linux).ends_with("allowed: an arm64 Linux Image, also as .gz"));
    let elf = Request { format: ImageFormat::Elf, ..request(image(0, 1, 64)) };
    assert!(error(&elf).ends_with("allowed: an ELF file for AArch64, also as .gz"));
    assert!(error(&request(pack(b"hello"))).contains("begins with 68 65 6c 6c 6f;"));
}

#[test]
fn what_does_not_fit_names_both_sides() {
    let overlap =
        Request { loads: vec![(file("l", [0; 16]), GuestPhysAddr(BASE + 8))], ..flat([0; 0x1000]) };
    assert_eq!(
        error(&overlap),
        "[[load]] l at 0x40000008..0x40000018 overlaps kernel k at 0x40000000..0x40001000"
    );
    assert_eq!(
        error(&request(image(0, 64 << 20, 64))),
        "kernel k needs 0x4000000 bytes at 0x40000000, RAM is 0x40000000..0x40400000"
    );
    let segments = elf(BASE, &[(b"abcd", BASE, BASE, 4), (b"ef", 0, BASE + 2, 2)]);
    assert_eq!(
        error(&request(segments)),
        "kernel k, segment 1 at 0x40000002..0x40000004 overlaps kernel k, segment 0 at \
         0x40000000..0x40000004"
    );
    let initrd = Request { initrd: Some(file("i", vec![0; RAM_BYTES as usize])), ..flat(*b"code") };
    assert_eq!(
        error(&initrd),
        "no room for initrd i (0x400000 bytes) in RAM (0x40000000..0x40400000)"
    );
}

#[test]
fn addresses_that_make_no_sense_are_refused() {
    let with = |load_address: Option<u64>, entry: Option<u64>, request: Request| Request {
        load_address: load_address.map(GuestPhysAddr),
        entry: entry.map(GuestPhysAddr),
        ..request
    };
    for (request, expected) in [
        (
            with(Some(BASE + 2), None, flat(*b"code")),
            "boot.load_address: found 0x40000002, allowed multiples of 4",
        ),
        (
            with(None, Some(BASE + 2), flat(*b"code")),
            "the entry point: found 0x40000002, allowed multiples of 4 where something is loaded",
        ),
        (
            with(None, Some(BASE + 4), flat(*b"code")),
            "the entry point: found 0x40000004, allowed multiples of 4 where something is loaded",
        ),
        (
            with(None, Some(BASE), request(image(0, 64, 64))),
            "boot.entry: found 0x40000000, allowed none unless format = \"flat\": the image says itself where it starts",
        ),
        (
            with(Some(BASE), None, request(elf(BASE, &[(b"abcd", BASE, BASE, 4)]))),
            "boot.load_address: found 0x40000000, allowed none for an ELF file, which says itself where it goes",
        ),
    ] {
        assert_eq!(error(&request), expected);
    }
}

#[test]
fn elf_files_that_cannot_be_loaded_say_why() {
    let good = elf(BASE, &[(b"abcd", BASE, BASE, 4)]);
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        error(&request(file))
    };
    assert_eq!(patched(4, &[1]), "k: a 32-bit ELF file, 64-bit ones for AArch64 are supported");
    assert_eq!(
        patched(18, &[62]),
        "k: an ELF file for machine 62, those for AArch64 (183) are supported"
    );
    assert_eq!(patched(16, &[1]), "k: an ELF file that is not linked, executables are supported");
    assert_eq!(patched(24, &[1, 0, 0, 0]), "k: its entry point 0x1 is in none of its segments");
    assert_eq!(patched(56, &[0]), "k: an ELF file with 0 segments, 1 to 64 are supported");
    assert_eq!(
        patched(56, &[0xff, 0xff]),
        "k: an ELF file with 65535 segments, 1 to 64 are supported"
    );
    assert_eq!(patched(56, &[60]), "k: it ends too early");
    assert_eq!(patched(64, &[2]), "k: it has no segments to load");
    assert_eq!(patched(64 + 32, &[0xff; 8]), "k: segment 0 reaches beyond the end of the file");
    assert_eq!(patched(64 + 40, &[3]), "k: segment 0 is larger in the file than in memory");
    for length in 4..good.len() {
        assert!(load(&request(&good[..length]), 100).is_err(), "{length}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let bomb = pack(&vec![0; 64 << 20]);
    assert!(error(&flat(bomb.clone())).starts_with("kernel k needs 0x4000000 bytes"));
    // One that says that it is small gets no further than that.
    let mut liar = bomb;
    let end = liar.len() - 4;
    liar[end..].copy_from_slice(&1000u32.to_le_bytes());
    assert_eq!(error(&flat(liar)), "k: damaged gzip file: it unpacks to more than it says");
}

#[test]
fn a_device_tree_that_is_too_large_is_refused() {
    let plan = Plan::new(&flat(*b"code")).unwrap();
    assert!(Loader::new(&plan, vec![0; 0x1_0001]).is_err());
    assert!(Loader::new(&plan, vec![0; 0x1_0000]).is_ok());
}

#[test]
fn a_file_on_a_disk_loads_like_one_in_memory() {
    let kernel = image(0, 0x10_0000, 100_000);
    for bytes in [kernel.clone(), pack(&kernel)] {
        let mut request = request(*b"");
        request.kernel.source = Arc::new(OnDisk(bytes));
        let (_, ram) = load(&request, 1 << 20).unwrap();
        assert_eq!(ram.get(BASE, 100_000), kernel);
    }
}

#[test]
fn a_request_finds_its_images_or_says_what_there_is() {
    let bundle = Bundle::of(&[("images/linux/Image", b"MZ"), ("images/a.bin", b"x")]);
    let config = |text: &str| {
        VmConfig::parse("vm.toml", format!("memory = \"4M\"\n[boot]\n{text}").as_bytes()).unwrap()
    };
    let found = Request::new(
        &config("kernel = \"linux/Image\"\ninitrd = \"a.bin\"\n[[load]]\nfile = \"a.bin\"\naddress = 0x40100000"),
        &[Range { start: BASE, end: BASE + RAM_BYTES }],
        &bundle,
    )
    .unwrap();
    assert_eq!(found.ram, Region::new(GuestPhysAddr(BASE), RAM_BYTES).unwrap());
    assert_eq!((found.kernel.source.len(), found.initrd.unwrap().source.len()), (2, 1));
    assert_eq!(found.loads[0].1, GuestPhysAddr(0x4010_0000));
    for (text, expected) in [
        (
            "kernel = \"linux/Imgae\"",
            "vm.toml:3: boot.kernel: found 'linux/Imgae', which is not in images/; did you mean 'linux/Image'?",
        ),
        (
            "kernel = \"x\"",
            "vm.toml:3: boot.kernel: found 'x', which is not in images/; there are a.bin, linux/Image",
        ),
        (
            "kernel = \"a.bin\"\ninitrd = \"x\"",
            "vm.toml:4: boot.initrd: found 'x', which is not in images/; there are a.bin, linux/Image",
        ),
        (
            "kernel = \"a.bin\"\n[[load]]\nfile = \"x\"\naddress = 0",
            "vm.toml:4: load.file: found 'x', which is not in images/; there are a.bin, linux/Image",
        ),
    ] {
        assert_eq!(Request::new(&config(text), &[], &bundle).unwrap_err().to_string(), expected);
    }
}

fn any_kernel() -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300);
    let near = prop_oneof![BASE - 16..BASE + 16, TOP - 0x1_0010..TOP + 16, Just(0), any::<u64>()];
    let small = || prop_oneof![0..300u64, 0..RAM_BYTES * 2, any::<u64>()];
    let linux =
        (small(), small(), any::<u64>(), 0..500usize).prop_map(|(offset, size, flags, bytes)| {
            let mut file = header(offset, size, flags).to_vec();
            file.resize(64 + bytes, 7);
            file
        });
    let elf = (near.clone(), proptest::collection::vec((near, small(), 0..9usize), 0..4)).prop_map(
        |(entry, segments)| {
            let segments: Vec<_> = segments
                .iter()
                .map(|&(at, memory, bytes)| (&b"abcdefgh"[..bytes.min(8)], at, at, memory))
                .collect();
            elf(entry, &segments)
        },
    );
    prop_oneof![bytes, linux, elf.clone(), elf.prop_map(|file| pack(&file))]
}

proptest! {
    #[test]
    fn any_budget_loads_the_same(budget in 1..70_000usize, size in 1..50_000usize) {
        let kernel = image(0, 0x10_0000, 64 + size);
        let request = Request {
            initrd: Some(file("i", kernel.clone())),
            ..request(pack(&kernel))
        };
        let (plan, ram) = load(&request, budget).unwrap();
        prop_assert_eq!(&ram.get(BASE, kernel.len()), &kernel);
        prop_assert_eq!(&ram.get(plan.initrd().unwrap().start.0, kernel.len()), &kernel);
    }

    /// The RAM of these tests panics when a byte is written twice, so this is also about overlaps.
    #[test]
    fn any_kernel_is_loaded_into_ram_or_refused(
        kernel in any_kernel(),
        edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        format in prop_oneof![
            Just(ImageFormat::Auto), Just(ImageFormat::Linux), Just(ImageFormat::Elf), Just(ImageFormat::Flat),
        ],
        address in prop_oneof![Just(None), (BASE - 8..TOP + 8).prop_map(Some), any::<u64>().prop_map(Some)],
        load_at in prop_oneof![BASE - 8..TOP + 8, any::<u64>()],
    ) {
        let mut kernel = kernel;
        for (at, byte) in edits {
            if !kernel.is_empty() {
                let at = at % kernel.len();
                kernel[at] = byte;
            }
        }
        let request = Request {
            format,
            load_address: address.map(GuestPhysAddr),
            loads: vec![(file("l", *b"load"), GuestPhysAddr(load_at))],
            initrd: Some(file("i", *b"initrd")),
            ..request(kernel)
        };
        if let Ok((plan, ram)) = load(&request, 100) {
            prop_assert!(request.ram.contains(plan.entry()));
            prop_assert_eq!(ram.get(load_at, 4), b"load");
            prop_assert_eq!(ram.get(plan.initrd().unwrap().start.0, 6), b"initrd");
        }
    }
}
