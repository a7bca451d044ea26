use super::*;
use proptest::prelude::*;

/// RAM from address 0 on.
struct Ram(Vec<u8>);

impl Ram {
    fn new() -> Self {
        Self(vec![0; 0x1_0000])
    }

    fn read(&self, at: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        let start = usize::try_from(at.0).map_err(|_| BadAddress)?;
        let end = start.checked_add(buf.len()).ok_or(BadAddress)?;
        buf.copy_from_slice(self.0.get(start..end).ok_or(BadAddress)?);
        Ok(())
    }

    fn put32(&mut self, at: usize, entry: u32) {
        self.0[at..at + 4].copy_from_slice(&entry.to_le_bytes());
    }

    fn put64(&mut self, at: usize, entry: u64) {
        self.0[at..at + 8].copy_from_slice(&entry.to_le_bytes());
    }

    fn walk(
        &self,
        paging: &Paging,
        linear: u64,
        purpose: Purpose,
    ) -> Result<GuestPhysAddr, WalkError> {
        translate(paging, linear, purpose, |at, buf| self.read(at, buf))
    }
}

const OFF: Paging = Paging { cr0: cr0::PE, cr3: 0, cr4: 0, efer: 0, rflags: 0, privilege: 0 };
const LEGACY: Paging = Paging { cr0: OFF.cr0 | cr0::PG | cr0::WP, cr3: 0x1018, ..OFF };
const EXTENDED: Paging =
    Paging { cr3: 0x1020, cr4: cr4::PAE, efer: efer::NXE, cr0: LEGACY.cr0, ..OFF };
const LONG: Paging = Paging { cr3: 0x1fff, efer: efer::NXE | efer::LMA | efer::LME, ..EXTENDED };

const PRESENT: u64 = entry::PRESENT;
const RW: u64 = entry::PRESENT | entry::WRITABLE;
const RWU: u64 = RW | entry::USER;

const fn fault(error_code: u32) -> Result<GuestPhysAddr, WalkError> {
    Err(WalkError::PageFault { error_code })
}

/// Maps `0xffff_8123_4567_8000` with these bits in the entries, the root first.
fn long(bits: [u64; 4]) -> Ram {
    let mut ram = Ram::new();
    ram.put64(0x1000 + 8 * 0x102, 0x2000 | bits[0]);
    ram.put64(0x2000 + 8 * 0x8d, 0x3000 | bits[1]);
    ram.put64(0x3000 + 8 * 0x2b, 0x4000 | bits[2]);
    ram.put64(0x4000 + 8 * 0x78, 0x9_a000 | bits[3]);
    ram
}

const LINEAR: u64 = 0xffff_8123_4567_8123;
const PHYSICAL: GuestPhysAddr = GuestPhysAddr(0x9_a123);

#[test]
fn without_paging_an_address_is_itself() {
    let ram = Ram(Vec::new());
    let walked = ram.walk(&OFF, 0x7_1234_5678, Purpose::Write);
    assert_eq!(walked, Ok(GuestPhysAddr(0x1234_5678)));
}

#[test]
fn two_levels_map_pages_of_4_kib_and_4_mib() {
    let mut ram = Ram::new();
    ram.put32(0x1000 + 4 * 0x48, 0x2000 | RW as u32);
    ram.put32(0x2000 + 4 * 0x345, 0xfee0_0000 | RW as u32);
    let walked = ram.walk(&LEGACY, 0x5_1234_5678, Purpose::Write);
    assert_eq!(walked, Ok(GuestPhysAddr(0xfee0_0678)));
    // Bits 39:32 of the address are bits 20:13 of the entry.
    ram.put32(0x1000 + 4 * 0x48, (0x1200_0000 | 0x7f << 13 | entry::LARGE | RW) as u32);
    let large = Paging { cr4: cr4::PSE, ..LEGACY };
    let walked = ram.walk(&large, 0x1234_5678, Purpose::Write);
    assert_eq!(walked, Ok(GuestPhysAddr(0x7f_1234_5678)));
    // Without PSE, the bit is ignored.
    assert_eq!(
        ram.walk(&LEGACY, 0x1234_5678, Purpose::Read),
        Err(WalkError::Outside(GuestPhysAddr(0x120f_e000 + 4 * 0x345)))
    );
}

#[test]
fn pae_maps_pages_of_4_kib_and_2_mib() {
    let mut ram = Ram::new();
    ram.put64(0x1020 + 8 * 3, 0x2000 | PRESENT);
    ram.put64(0x2000 + 8 * 0x1f7, 0x3000 | RW);
    ram.put64(0x3000, 0x12_fee0_0000 | RW);
    let walked = ram.walk(&EXTENDED, 0xfee0_0020, Purpose::Write);
    assert_eq!(walked, Ok(GuestPhysAddr(0x12_fee0_0020)));
    ram.put64(0x2000 + 8 * 0x1f7, 0x12_fee0_0000 | 1 << 12 | entry::LARGE | RW);
    let walked = ram.walk(&EXTENDED, 0xfeef_f020, Purpose::Write);
    assert_eq!(walked, Ok(GuestPhysAddr(0x12_feef_f020)));
    assert_eq!(ram.walk(&EXTENDED, 0, Purpose::Read), fault(0));
}

#[test]
fn four_levels_map_pages_of_4_kib_2_mib_and_1_gib() {
    let mut ram = long([RW; 4]);
    assert_eq!(ram.walk(&LONG, LINEAR, Purpose::Write), Ok(PHYSICAL));
    ram.put64(0x3000 + 8 * 0x2b, 0xf_fee0_0000 | 1 << 12 | entry::LARGE | RW);
    let walked = ram.walk(&LONG, LINEAR, Purpose::Write);
    assert_eq!(walked, Ok(GuestPhysAddr(0xf_fee7_8123)));
    ram.put64(0x2000 + 8 * 0x8d, 0x000f_ffff_c000_0000 | entry::LARGE | RW);
    let walked = ram.walk(&LONG, LINEAR, Purpose::Write);
    assert_eq!(walked, Ok(GuestPhysAddr(0x000f_ffff_c567_8123)));
}

#[test]
fn an_address_that_is_not_canonical_has_no_page() {
    let ram = long([RW; 4]);
    for linear in [0x8000_0000_0000, 0x7fff_8123_4567_8123, 0xfffe_ffff_ffff_ffff] {
        assert_eq!(ram.walk(&LONG, linear, Purpose::Read), Err(WalkError::NotCanonical));
    }
}

#[test]
fn each_level_can_miss() {
    for level in 0..4 {
        let mut bits = [RWU; 4];
        bits[level] &= !PRESENT;
        let ram = long(bits);
        assert_eq!(ram.walk(&LONG, LINEAR, Purpose::Read), fault(0));
        assert_eq!(ram.walk(&LONG, LINEAR, Purpose::Write), fault(2));
        let user = Paging { privilege: 3, ..LONG };
        assert_eq!(ram.walk(&user, LINEAR, Purpose::Read), fault(4));
        assert_eq!(ram.walk(&user, LINEAR, Purpose::Fetch), fault(0x14));
    }
}

#[test]
fn each_level_can_forbid_what_the_others_allow() {
    for level in 0..4 {
        let mut bits = [RWU; 4];
        bits[level] = PRESENT | entry::USER;
        assert_eq!(long(bits).walk(&LONG, LINEAR, Purpose::Write), fault(3));
        bits[level] = RW;
        let user = Paging { privilege: 3, ..LONG };
        assert_eq!(long(bits).walk(&user, LINEAR, Purpose::Read), fault(5));
        bits[level] = RWU | entry::NO_EXECUTE;
        assert_eq!(long(bits).walk(&LONG, LINEAR, Purpose::Fetch), fault(0x11));
        assert_eq!(long(bits).walk(&LONG, LINEAR, Purpose::Write), Ok(PHYSICAL));
    }
}

/// SDM vol. 3A, 4.6.1, as a table.
#[test]
fn what_may_be_done_with_a_page_depends_on_who_does_it() {
    use Purpose::{Fetch, Read, Write};
    let supervisor = Paging { cr0: LONG.cr0 & !cr0::WP, ..LONG };
    let protected = LONG;
    let guarded = Paging { cr4: cr4::PAE | cr4::SMAP | cr4::SMEP, ..LONG };
    let lifted = Paging { rflags: flags::AC, ..guarded };
    let user = Paging { privilege: 3, ..guarded };
    let kernel_page = PRESENT;
    let user_page = PRESENT | entry::USER;
    let rows = [
        (supervisor, kernel_page, [Ok(()), Ok(()), Ok(())]),
        (supervisor, user_page, [Ok(()), Ok(()), Ok(())]),
        (protected, kernel_page, [Ok(()), Err(3), Ok(())]),
        (protected, RW, [Ok(()), Ok(()), Ok(())]),
        (protected, user_page, [Ok(()), Err(3), Ok(())]),
        (protected, RWU, [Ok(()), Ok(()), Ok(())]),
        (guarded, RW, [Ok(()), Ok(()), Ok(())]),
        (guarded, RWU, [Err(1), Err(3), Err(0x11)]),
        (lifted, user_page, [Ok(()), Err(3), Err(0x11)]),
        (lifted, RWU, [Ok(()), Ok(()), Err(0x11)]),
        (user, RW, [Err(5), Err(7), Err(0x15)]),
        (user, user_page, [Ok(()), Err(7), Ok(())]),
        (user, RWU, [Ok(()), Ok(()), Ok(())]),
        (user, RWU | entry::NO_EXECUTE, [Ok(()), Ok(()), Err(0x15)]),
    ];
    for (paging, bits, expected) in rows {
        let ram = long([RWU, RWU, RWU, bits]);
        for (purpose, expected) in [Read, Write, Fetch].into_iter().zip(expected) {
            let expected = match expected {
                Ok(()) => Ok(PHYSICAL),
                Err(error_code) => fault(error_code),
            };
            let walked = ram.walk(&paging, LINEAR, purpose);
            assert_eq!(walked, expected, "{purpose:?}, {bits:#x}, {paging:x?}");
        }
    }
}

#[test]
fn a_fetch_is_told_from_a_read_only_where_they_differ() {
    let mut ram = Ram::new();
    assert_eq!(ram.walk(&LEGACY, 0, Purpose::Fetch), fault(0));
    let without = Paging { efer: efer::LMA, ..LONG };
    assert_eq!(ram.walk(&without, 0, Purpose::Fetch), fault(0));
    let smep = Paging { cr4: cr4::SMEP, ..LEGACY };
    assert_eq!(ram.walk(&smep, 0, Purpose::Fetch), fault(0x10));
    ram.put32(0x1000, 0x2000 | RW as u32);
    assert_eq!(ram.walk(&smep, 0, Purpose::Fetch), fault(0x10));
}

#[test]
fn reserved_bits_fault() {
    let reserved = |ram: &Ram, paging: &Paging, linear| {
        assert_eq!(ram.walk(paging, linear, Purpose::Read), fault(9));
    };
    let without = Paging { efer: efer::LMA, ..LONG };
    for level in 0..4 {
        let mut bits = [RW; 4];
        bits[level] |= entry::NO_EXECUTE;
        reserved(&long(bits), &without, LINEAR);
    }
    reserved(&long([RW | entry::LARGE, RW, RW, RW]), &LONG, LINEAR);
    reserved(&long([RW, RW | entry::LARGE, RW, RW]), &LONG, LINEAR);
    reserved(&long([RW, RW, RW | entry::LARGE, RW]), &LONG, LINEAR);
    let mut ram = Ram::new();
    ram.put64(0x1020, 0x2000 | RW);
    reserved(&ram, &EXTENDED, 0);
    ram.put64(0x1020, 0x2000 | PRESENT);
    ram.put64(0x2000, 1 << 52 | RW);
    reserved(&ram, &EXTENDED, 0);
    ram.put64(0x2000, 1 << 13 | entry::LARGE | RW);
    reserved(&ram, &EXTENDED, 0);
    ram.put32(0x1000, (1 << 21 | entry::LARGE | RW) as u32);
    reserved(&ram, &Paging { cr4: cr4::PSE, ..LEGACY }, 0);
}

#[test]
fn tables_outside_of_ram_are_named() {
    let mut ram = long([RW; 4]);
    ram.put64(0x3000 + 8 * 0x2b, 0xfee0_0000 | RW);
    let walked = ram.walk(&LONG, LINEAR, Purpose::Read);
    assert_eq!(walked, Err(WalkError::Outside(GuestPhysAddr(0xfee0_0000 + 8 * 0x78))));
}

#[test]
fn a_table_that_is_its_own_entry_ends_the_walk_after_all_levels() {
    let mut ram = Ram::new();
    for index in 0..512 {
        ram.put64(0x1000 + 8 * index, 0x1000 | RWU);
    }
    let mut reads = 0;
    let walked = translate(&LONG, LINEAR, Purpose::Write, |at, buf| {
        reads += 1;
        ram.read(at, buf)
    });
    assert_eq!(walked, Ok(GuestPhysAddr(0x1123)));
    assert_eq!(reads, 4);
}

#[test]
fn an_instruction_is_fetched_across_pages_that_do_not_touch() {
    let mut ram = Ram::new();
    ram.put64(0x1000, 0x2000 | RW);
    ram.put64(0x2000, 0x3000 | RW);
    ram.put64(0x3000, 0x4000 | RW);
    ram.put64(0x4000, 0x9000 | RW);
    ram.put64(0x4008, 0x6000 | RW);
    ram.0[0x9ffb..0xa000].fill(0x11);
    ram.0[0x6000..0x600f].fill(0x22);
    let fetched = |ram: &Ram, linear| {
        let mut bytes = [0; LONGEST_INSTRUCTION];
        let len = fetch(&LONG, linear, &mut bytes, |at, buf| ram.read(at, buf));
        bytes[..len].to_vec()
    };
    assert_eq!(fetched(&ram, 0xffb), [[0x11; 5], [0x22; 5], [0x22; 5]].concat());
    assert_eq!(fetched(&ram, 0x1000), [0x22; 15]);
    assert!(fetched(&ram, 0x2000).is_empty());
    ram.put64(0x4008, 0x6000 | RW | entry::NO_EXECUTE);
    assert_eq!(fetched(&ram, 0xffb), [0x11; 5]);
    ram.put64(0x4008, 0x100_0000 | RW);
    assert_eq!(fetched(&ram, 0xffb), [0x11; 5]);
    assert!(fetched(&ram, 0x1000).is_empty());
}

proptest! {
    #[test]
    fn whatever_tables_hold_the_walk_ends(
        tables in proptest::collection::vec(any::<u64>(), 512),
        mask in prop_oneof![Just(u64::MAX), Just(0xffff), Just(0xfff_ffff)],
        linear: u64, cr0: u64, cr3: u64, cr4: u64, efer: u64, rflags: u64, privilege in 0_u8..4,
    ) {
        let bytes = tables.iter().flat_map(|entry| (entry & mask).to_le_bytes()).collect();
        let ram = Ram(bytes);
        let paging = Paging { cr0, cr3: cr3 & mask, cr4, efer, rflags, privilege };
        for purpose in [Purpose::Read, Purpose::Write, Purpose::Fetch] {
            let mut reads = 0;
            let walked = translate(&paging, linear, purpose, |at, buf| {
                reads += 1;
                ram.read(at, buf)
            });
            prop_assert!(reads <= 4);
            if let Ok(physical) = walked {
                prop_assert_eq!(physical.0 % PAGE, linear % PAGE);
                prop_assert!(physical.0 < 1 << 52);
            }
        }
        let mut bytes = [0; LONGEST_INSTRUCTION];
        prop_assert!(fetch(&paging, linear, &mut bytes, |at, buf| ram.read(at, buf)) <= 15);
    }
}
