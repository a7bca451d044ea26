//! Requests that no driver sends.

use super::*;
use crate::queue::QueueKind;
use proptest::collection::vec;
use proptest::prelude::{Just, any, prop_assert, prop_oneof, proptest};

fn faults(rig: &Rig) -> Vec<(Fault, u32)> {
    rig.guest.device.record().faults().collect()
}

#[test]
fn a_request_without_a_whole_header_needs_a_reset() {
    let mut rig = ram_disk(8, Taste::default());
    rig.guest.send(0, &[&[0; 15]], &[512, 1]);
    assert!(rig.guest.needs_reset());
    assert_eq!(faults(&rig), [(Fault::Request, 1)]);
    rig.restart();
    assert_eq!(rig.now(READ, 0, &[], 512).0, DONE);
}

#[test]
fn a_request_without_a_place_for_its_status_needs_a_reset() {
    let mut rig = ram_disk(8, Taste::default());
    rig.guest.send(0, &[&header(FLUSH, 0)], &[]);
    assert!(rig.guest.needs_reset());
    assert_eq!(faults(&rig), [(Fault::Request, 1)]);
}

#[test]
fn a_header_may_lie_in_pieces_and_together_with_data() {
    let mut rig = ram_disk(8, Taste::default());
    let bytes = [&header(WRITE, 1)[..], &[9; 512]].concat();
    let id = rig.guest.send(0, &[&bytes[..3], &bytes[3..20], &bytes[20..]], &[1]).unwrap();
    assert_eq!(rig.answer(id).unwrap().0, DONE);
    // And data and status.
    let id = rig.guest.send(0, &[&header(READ, 1)], &[100, 413]).unwrap();
    assert_eq!(rig.answer(id), Some((DONE, vec![9; 512])));
}

#[test]
fn a_large_request_is_done_in_pieces() {
    let mut rig = ram_disk(1 << 20, Taste::default());
    rig.now(WRITE, 6143, &[3; 512], 0);
    let id = rig.begin(READ, 0, &[], 3 << 20).unwrap();
    let (status, data) = rig.answer(id).unwrap();
    assert_eq!((status, data.len()), (DONE, 3 << 20));
    assert!(data[..6143 * 512].iter().all(|byte| *byte == 0));
    assert!(data[6143 * 512..].iter().all(|byte| *byte == 3));
}

proptest! {
    #[test]
    fn any_request_gets_an_answer_or_needs_a_reset(
        requests in vec((
            prop_oneof![0..16u32, any::<u32>()], prop_oneof![0..100u64, any::<u64>()],
            vec(any::<u8>(), 0..600), vec(prop_oneof![1..600u32, Just(512)], 0..4), 0..20usize,
        ), 1..20),
        kind in prop_oneof![Just(QueueKind::Split), Just(QueueKind::Packed)],
    ) {
        let mut rig = ram_disk(64, Taste { kind, ..Taste::default() });
        for (kind, sector, out, writable, cut) in requests {
            let bytes = [&header(kind, sector)[..], &out].concat();
            // Some lose a part of the header.
            let bytes = if cut < 16 && out.len() % 8 == 0 { &bytes[..cut.max(1)] } else { &bytes[..] };
            let id = rig.guest.send(0, &[bytes], &writable).unwrap();
            while rig.guest.device.poll() == More::Yes {}
            match rig.take(id) {
                Some(done) => prop_assert!(matches!(done.data.last(), Some(0..=2))),
                None => {
                    prop_assert!(rig.guest.needs_reset());
                    prop_assert!(bytes.len() < 16 || writable.is_empty());
                    rig.restart();
                }
            }
        }
        prop_assert!(rig.guest.device.device().running() == 0);
    }
}
