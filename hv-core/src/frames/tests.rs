use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn map(chunks: &mut Vec<Chunk>, start: u64, end: u64) -> FrameMap<'_> {
    chunks.resize(FrameMap::chunks_needed(start, end), Chunk::FULL);
    let mut map = FrameMap::new(start, chunks);
    map.add(start, end);
    map
}

#[test]
fn only_whole_frames_of_a_region_are_handed_out() {
    let mut chunks = vec![];
    let map = map(&mut chunks, 0x4000_0800, 0x4000_3800);
    assert_eq!(map.counters(), RamCounters { total: 0x2000, free: 0x2000 });
}

#[test]
fn a_reserved_frame_is_never_handed_out() {
    let mut chunks = vec![];
    let mut map = map(&mut chunks, 0x4000_0000, 0x4000_4000);
    map.reserve(0x4000_1001, 0x4000_1002);
    let mut got = vec![];
    while let Some(addr) = map.alloc() {
        got.push(addr);
    }
    assert_eq!(got, [0x4000_0000, 0x4000_2000, 0x4000_3000]);
    assert_eq!(map.counters(), RamCounters { total: 0x3000, free: 0 });
}

#[test]
fn single_frames_leave_whole_chunks_whole() {
    let mut chunks = vec![];
    let mut map = map(&mut chunks, 0x4000_0000, 0x4000_0000 + 8 * MIB);
    for _ in 0..512 {
        map.alloc().unwrap();
    }
    assert_eq!(map.alloc_chunks(3, 1), Some(0x4020_0000));
    assert_eq!(map.alloc_chunks(1, 1), None);
}

#[test]
fn chunks_are_aligned_as_asked() {
    let mut chunks = vec![];
    let mut map = map(&mut chunks, 0x4020_0000, 0x4020_0000 + 64 * MIB);
    assert_eq!(map.alloc_chunks(8, 8), Some(0x4100_0000));
    assert_eq!(map.free(0x4100_0000, 16 * MIB), 0);
    assert_eq!(map.counters().free, 64 * MIB);
}

#[test]
fn a_second_free_is_reported_and_changes_nothing() {
    let mut chunks = vec![];
    let mut map = map(&mut chunks, 0x4000_0000, 0x4080_0000);
    let addr = map.alloc().unwrap();
    assert_eq!(map.free(addr, PAGE_SIZE), 0);
    let before = map.counters();
    assert_eq!(map.free(addr, PAGE_SIZE), PAGE_SIZE);
    assert_eq!(map.counters(), before);
}

#[test]
fn a_range_outside_of_the_map_is_ignored() {
    let mut chunks = vec![];
    let mut map = map(&mut chunks, 0x4000_0000, 0x4040_0000);
    let before = map.counters();
    map.reserve(0, 0x1000);
    map.reserve(u64::MAX - 5, u64::MAX);
    map.add(0x9000_0000, 0x9100_0000);
    assert_eq!(map.counters(), before);
}

#[derive(Clone, Debug)]
enum Step {
    One,
    Run(usize),
    Chunks(usize, usize),
    Free(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::One),
        (1..20_usize).prop_map(Step::Run),
        (1..4_usize, 1..4_usize).prop_map(|(n, a)| Step::Chunks(n, a)),
        (0..64_usize).prop_map(Step::Free),
    ]
}

proptest! {
    #[test]
    fn no_two_owners_and_nothing_lost(steps in proptest::collection::vec(step(), 1..200)) {
        let (start, end) = (0x4010_0000, 0x4010_0000 + 16 * MIB);
        let mut chunks = vec![];
        let mut map = map(&mut chunks, start, end);
        let mut owned: Vec<(u64, u64)> = vec![];
        for step in steps {
            let got = match step {
                Step::One => map.alloc().map(|a| (a, PAGE_SIZE)),
                Step::Run(n) => map.alloc_run(n).map(|a| (a, n as u64 * PAGE_SIZE)),
                Step::Chunks(n, align) => map.alloc_chunks(n, align).map(|a| (a, n as u64 * CHUNK_SIZE)),
                Step::Free(i) => {
                    if !owned.is_empty() {
                        let (addr, len) = owned.swap_remove(i % owned.len());
                        prop_assert_eq!(map.free(addr, len), 0);
                    }
                    None
                }
            };
            if let Some((addr, len)) = got {
                prop_assert!(addr >= start && addr + len <= end);
                for &(other, other_len) in &owned {
                    prop_assert!(addr + len <= other || other + other_len <= addr, "two owners");
                }
                owned.push((addr, len));
            }
            let used: u64 = owned.iter().map(|&(_, len)| len).sum();
            prop_assert_eq!(map.counters().free + used, map.counters().total);
        }
    }
}
