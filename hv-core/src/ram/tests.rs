//! A guest's RAM, in the pool of the tests.

// UNSAFETY: it looks where stage 2 sends the guest.
#![expect(unsafe_code)]

mod lending;

use super::*;
use crate::memory::Frames;
use crate::memory::tests::{POOL_BYTES, pool};
use crate::paging::MapError;
use proptest::prelude::*;

const CHUNK: u64 = 2 << 20;
const BASE: GuestPhysAddr = GuestPhysAddr(0x4000_0000);

fn free() -> u64 {
    memory::counters().free
}

/// Where stage 2 sends `gpa`.
fn translate(ram: &GuestRam, gpa: u64) -> Option<u64> {
    ram.frames.stage2.read().translate(gpa).map(|(phys, _)| phys)
}

/// RAM in one part.
fn new_ram(base: GuestPhysAddr, len: u64) -> Result<GuestRam, RamError> {
    GuestRam::new(&[Range { start: base.0, end: base.0 + len }], Lending::Never)
}

#[test]
fn ram_and_tables_go_back_to_the_last_page() {
    let _turn = pool();
    let before = free();
    let ram = new_ram(BASE, 3 * CHUNK).unwrap();
    assert_eq!(free(), before - ram.len() - ram.table_bytes());
    assert_eq!(ram.len(), 3 * CHUNK);
    drop(ram);
    assert_eq!(free(), before);
}

#[test]
fn ram_that_cannot_be_had_takes_nothing() {
    let _turn = pool();
    let before = free();
    for len in [POOL_BYTES + 2 * CHUNK, 1 << 38] {
        let error = new_ram(BASE, len).unwrap_err();
        assert_eq!(error, RamError::NoMemory { wanted: len, free: before - RESERVE });
        assert_eq!(free(), before);
    }
    let beyond = new_ram(GuestPhysAddr(1 << 40), CHUNK).unwrap_err();
    assert_eq!(beyond, RamError::Map(MapError::BadRange));
    assert_eq!(free(), before);
}

#[test]
fn guests_leave_the_hypervisor_something_to_grow_into() {
    let _turn = pool();
    let before = free();
    let guests: Vec<_> = core::iter::from_fn(|| new_ram(BASE, CHUNK).ok()).collect();
    assert!(free() >= RESERVE - guests.last().unwrap().table_bytes());
    drop(guests);
    assert_eq!(free(), before);
}

#[test]
fn all_identifiers_are_for_all_guests_and_a_refusal_takes_nothing() {
    let _turn = pool();
    let before = free();
    let taken: Vec<_> = core::iter::from_fn(arch::SpaceId::new).collect();
    let error = new_ram(BASE, CHUNK).unwrap_err();
    for space in taken {
        space.retire(arch::Translation::new(0, None));
    }
    assert_eq!(error, RamError::TooManyGuests);
    assert_eq!(free(), before);
    drop(new_ram(BASE, CHUNK).unwrap());
}

#[test]
fn two_guests_share_no_byte_and_no_identifier() {
    let _turn = pool();
    let guests = [new_ram(BASE, 2 * CHUNK).unwrap(), new_ram(BASE, 2 * CHUNK).unwrap()];
    for (guest, byte) in guests.iter().zip([1, 2]) {
        guest.write(BASE, &vec![byte; 2 * CHUNK as usize]).unwrap();
    }
    for (guest, byte) in guests.iter().zip([1, 2]) {
        let mut all = vec![0; 2 * CHUNK as usize];
        guest.read(BASE, &mut all).unwrap();
        assert!(all.iter().all(|&found| found == byte));
    }
    assert_ne!(guests[0].translation(), guests[1].translation());
}

#[test]
fn stage_2_shows_each_page_where_the_hypervisor_writes_it() {
    let _turn = pool();
    // Frames in between, so that RAM lies in several runs.
    let pieces: Vec<_> = (0..12).map(|_| Frames::chunks(1, 1).unwrap()).collect();
    let _kept: Vec<_> = pieces.into_iter().skip(1).step_by(2).collect();
    let ram = new_ram(BASE, 9 * CHUNK).unwrap();
    assert!(ram.frames.runs.len() > 1, "{:?}", ram.frames.runs);
    for page in 0..ram.len() / 4096 {
        let gpa = BASE.0 + page * 4096;
        ram.write(GuestPhysAddr(gpa), &gpa.to_le_bytes()).unwrap();
    }
    for page in 0..ram.len() / 4096 {
        let gpa = BASE.0 + page * 4096;
        let mut bytes = [0; 8];
        // SAFETY: stage 2 shows the guest's own frames.
        unsafe { memory::copy_from(translate(&ram, gpa).unwrap(), &mut bytes) };
        assert_eq!(u64::from_le_bytes(bytes), gpa);
    }
    for outside in [0, BASE.0 - 1, BASE.0 + ram.len(), (1 << 39) - 1, 1 << 39, u64::MAX] {
        assert_eq!(translate(&ram, outside), None, "{outside:#x}");
    }
}

#[test]
fn nothing_is_copied_when_a_byte_is_outside() {
    let _turn = pool();
    let ram = new_ram(BASE, CHUNK).unwrap();
    ram.zero(0, CHUNK).unwrap();
    let last = BASE.0 + CHUNK - 1;
    for addr in [BASE.0 - 1, last, last + 1, 0, u64::MAX, u64::MAX - 7] {
        let mut buf = [7; 8];
        assert_eq!(ram.read(GuestPhysAddr(addr), &mut buf), Err(BadAddress), "{addr:#x}");
        assert_eq!(buf, [7; 8]);
        assert_eq!(ram.write(GuestPhysAddr(addr), &buf), Err(BadAddress));
    }
    let mut all = vec![1; CHUNK as usize];
    ram.read(BASE, &mut all).unwrap();
    assert!(all.iter().all(|&byte| byte == 0));
    assert_eq!(ram.read(GuestPhysAddr(last + 1), &mut []), Ok(()), "nothing is nowhere outside");
}

#[test]
fn a_device_appears_beside_ram_and_not_over_it() {
    let _turn = pool();
    let before = free();
    let mut ram = new_ram(BASE, CHUNK).unwrap();
    let device = Range { start: 0x0804_0000, end: 0x0804_2000 };
    ram.map_device(GuestPhysAddr(0x0801_0000), device).unwrap();
    assert_eq!(translate(&ram, 0x0801_1008), Some(0x0804_1008));
    assert_eq!(translate(&ram, 0x0801_2000), None);
    assert_eq!(ram.map_device(GuestPhysAddr(0x0801_1000), device), Err(MapError::Mapped));
    assert_eq!(ram.map_device(BASE, device), Err(MapError::Mapped));
    assert_eq!(
        ram.read(GuestPhysAddr(0x0801_0000), &mut [0]),
        Err(BadAddress),
        "a device is no RAM"
    );
    drop(ram);
    assert_eq!(free(), before);
}

#[test]
fn zeroing_goes_in_slices_and_ends() {
    let _turn = pool();
    let ram = new_ram(BASE, 2 * CHUNK).unwrap();
    ram.write(BASE, &vec![9; 2 * CHUNK as usize]).unwrap();
    assert_eq!(ram.zero(CHUNK - 8, 16), Ok(16));
    assert_eq!(ram.zero(2 * CHUNK - 4096, 1 << 40), Ok(4096));
    for (offset, len) in [(2 * CHUNK, 8), (u64::MAX, u64::MAX), (5, 0)] {
        assert_eq!(ram.zero(offset, len), Ok(0));
    }
    let mut all = vec![0; 2 * CHUNK as usize];
    ram.read(BASE, &mut all).unwrap();
    let zeroes = all.iter().filter(|&&byte| byte == 0).count();
    assert_eq!(zeroes, 16 + 4096);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn what_was_written_last_is_read(
        accesses in prop::collection::vec((0..3 * CHUNK, 0..9000_usize, any::<u8>()), 1..20),
    ) {
        let _turn = pool();
        let gap = Frames::chunks(1, 1).unwrap();
        let hole = Frames::chunks(1, 1).unwrap();
        drop(gap);
        let ram = new_ram(BASE, 2 * CHUNK).unwrap();
        ram.zero(0, 2 * CHUNK).unwrap();
        let mut model = vec![0; 2 * CHUNK as usize];
        for (offset, len, byte) in accesses {
            let addr = GuestPhysAddr(BASE.0 + offset);
            let result = ram.write(addr, &vec![byte; len]);
            match model.get_mut(offset as usize..offset as usize + len) {
                Some(part) => {
                    prop_assert_eq!(result, Ok(()));
                    part.fill(byte);
                }
                None => prop_assert_eq!(result, Err(BadAddress)),
            }
        }
        let mut all = vec![1; 2 * CHUNK as usize];
        ram.read(BASE, &mut all).unwrap();
        prop_assert!(all == model);
        drop(hole);
    }
}
