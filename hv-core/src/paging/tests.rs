use super::*;
use crate::arch::aarch64::stage::{Stage1, Stage2};
use crate::arch::x86_64::{ept::Ept, npt::Npt};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Default)]
struct Heap {
    tables: BTreeMap<u64, Box<[u64; 512]>>,
    limit: Option<usize>,
}

impl Tables for Heap {
    fn alloc(&mut self) -> Option<u64> {
        if self.limit == Some(self.tables.len()) {
            return None;
        }
        let addr = (self.tables.len() as u64 + 1) << 12;
        self.tables.insert(addr, Box::new([0; 512]));
        Some(addr)
    }
    fn read(&self, addr: u64, index: usize) -> u64 {
        self.tables[&addr][index]
    }
    fn write(&mut self, addr: u64, index: usize, entry: u64) {
        self.tables.get_mut(&addr).expect("a table")[index] = entry;
    }
}

fn ram(virt: u64, phys: u64, len: u64) -> Mapping {
    Mapping { virt, phys, len, perms: Perms::RWX, memory: Memory::Normal }
}

fn physical<F: Format>(heap: &Heap, root: u64, virt: u64) -> Option<u64> {
    let (entry, level) = lookup::<F>(heap, root, virt)?;
    let within = virt & (level_size(level) - 1);
    // The attributes of every format lie outside of the address bits of a leaf of its level.
    Some((entry_address(entry) & !(level_size(level) - 1)) + within)
}

fn maps_with_the_largest_leaves<F: Format>() {
    let mut heap = Heap::default();
    let root = heap.alloc().unwrap();
    // 4 KiB, then 2 MiB blocks up to 2 GiB, then one of 1 GiB, then 2 MiB.
    let (start, end) = (0x7fdf_f000, 0xc020_0000);
    assert_eq!(map::<F>(&mut heap, root, ram(start, start, end - start)), Ok(()));
    let level = |virt| lookup::<F>(&heap, root, virt).map(|(_, level)| level);
    assert_eq!(level(start), Some(0));
    assert_eq!(level(0x7fe0_0000), Some(1));
    assert_eq!(level(0x8000_0000), Some(2));
    assert_eq!(level(0xc000_0000), Some(1));
    assert_eq!(level(0xc020_0000), None);
    assert_eq!(level(start - 1), None);
}

#[test]
fn every_format_maps_with_the_largest_leaves() {
    maps_with_the_largest_leaves::<Ept>();
    maps_with_the_largest_leaves::<Npt>();
    maps_with_the_largest_leaves::<Stage2>();
    maps_with_the_largest_leaves::<Stage1>();
}

fn refuses<F: Format>() {
    let mut heap = Heap::default();
    let root = heap.alloc().unwrap();
    let space = level_size(F::ROOT_LEVEL + 1);
    assert_eq!(map::<F>(&mut heap, root, ram(0x1001, 0, 0x1000)), Err(MapError::BadRange));
    assert_eq!(map::<F>(&mut heap, root, ram(0, 0, 0x800)), Err(MapError::BadRange));
    assert_eq!(map::<F>(&mut heap, root, ram(space, 0, 0x1000)), Err(MapError::BadRange));
    assert_eq!(map::<F>(&mut heap, root, ram(!0xfff, 0, 0x2000)), Err(MapError::BadRange));
    assert_eq!(map::<F>(&mut heap, root, ram(0x20_0000, 0x20_0000, 0x20_0000)), Ok(()));
    assert_eq!(map::<F>(&mut heap, root, ram(0x20_1000, 0, 0x1000)), Err(MapError::Mapped));
    assert_eq!(map::<F>(&mut heap, root, ram(0, 0, 0x40_0000)), Err(MapError::Mapped));
    assert_eq!(lookup::<F>(&heap, root, u64::MAX), None);
    heap.limit = Some(heap.tables.len());
    assert_eq!(map::<F>(&mut heap, root, ram(0x4000_1000, 0, 0x1000)), Err(MapError::NoMemory));
}

#[test]
fn every_format_refuses_what_it_cannot_map() {
    refuses::<Ept>();
    refuses::<Npt>();
    refuses::<Stage2>();
    refuses::<Stage1>();
}

fn agrees_with_a_map<F: Format>(ranges: &[(u64, u64, u64)]) -> Result<(), TestCaseError> {
    let mut heap = Heap::default();
    let root = heap.alloc().unwrap();
    let mut model: BTreeMap<u64, u64> = BTreeMap::new();
    for &(virt, phys, pages) in ranges {
        let (virt, phys, len) = (virt << 12, phys << 12, pages << 12);
        let taken = (0..pages).any(|page| model.contains_key(&(virt + (page << 12))));
        let result = map::<F>(&mut heap, root, ram(virt, phys, len));
        if taken {
            prop_assert_eq!(result, Err(MapError::Mapped));
            return Ok(()); // what is mapped after an error is not specified
        }
        prop_assert_eq!(result, Ok(()));
        for page in 0..pages {
            model.insert(virt + (page << 12), phys + (page << 12));
        }
    }
    for &(virt, _, pages) in ranges {
        for page in virt.saturating_sub(1)..=virt + pages {
            let expected = model.get(&(page << 12)).copied();
            prop_assert_eq!(physical::<F>(&heap, root, page << 12), expected);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_format_translates_as_it_was_told(
        ranges in proptest::collection::vec((0..0x8_0000_u64, 0..0x8_0000_u64, 1..1300_u64), 1..6)
    ) {
        agrees_with_a_map::<Ept>(&ranges)?;
        agrees_with_a_map::<Npt>(&ranges)?;
        agrees_with_a_map::<Stage1>(&ranges)?;
        agrees_with_a_map::<Stage2>(&ranges)?;
    }
}
