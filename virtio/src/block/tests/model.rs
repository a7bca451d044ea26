//! Random guests against models.

use super::asynchronous::Host;
use super::*;
use crate::disk::Disk;
use crate::queue::QueueKind;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;

const SECTORS: u64 = 64;

#[derive(Clone, Debug)]
enum Step {
    Read(u64, u64),
    Write(u64, u64, u8),
    Zero(u32, Vec<(u64, u64)>),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..SECTORS, 0..24u64).prop_map(|(at, count)| (at, count.min(SECTORS - at)));
    prop_oneof![
        3 => range().prop_map(|(at, count)| Step::Read(at, count)),
        3 => (range(), 1..=255u8).prop_map(|((at, count), fill)| Step::Write(at, count, fill)),
        1 => (prop_oneof![Just(DISCARD), Just(ZEROES)], vec(range(), 1..4))
            .prop_map(|(kind, ranges)| Step::Zero(kind, ranges)),
        1 => Just(Step::Flush),
    ]
}

fn taste() -> impl Strategy<Value = Taste> {
    let kind = prop_oneof![Just(QueueKind::Split), Just(QueueKind::Packed)];
    (kind, any::<bool>(), any::<bool>()).prop_map(|(kind, indirect, event_index)| Taste {
        kind,
        indirect,
        event_index,
        ..Taste::default()
    })
}

fn bytes(at: u64, count: u64) -> std::ops::Range<usize> {
    (at * SECTOR_BYTES) as usize..((at + count) * SECTOR_BYTES) as usize
}

/// A guest that does one thing after the other, and what its disk should hold.
struct Player {
    rig: Rig,
    model: Vec<u8>,
    waits: Option<(u16, Step)>,
}

impl Player {
    fn new(disk: Arc<dyn Disk>, taste: Taste) -> Self {
        let rig = Rig::new(disk, 1, taste);
        Self { rig, model: vec![0; (SECTORS * SECTOR_BYTES) as usize], waits: None }
    }

    fn begin(&mut self, step: &Step) {
        let id = match step {
            Step::Read(at, count) => self.rig.begin(READ, *at, &[], (count * SECTOR_BYTES) as u32),
            Step::Write(at, count, fill) => {
                self.model[bytes(*at, *count)].fill(*fill);
                self.rig.begin(WRITE, *at, &vec![*fill; (count * SECTOR_BYTES) as usize], 0)
            }
            Step::Zero(kind, ranges) => {
                let list: Vec<u8> =
                    ranges.iter().flat_map(|(at, count)| range(*at, *count as u32, 0)).collect();
                for (at, count) in ranges {
                    self.model[bytes(*at, *count)].fill(0);
                }
                self.rig.begin(*kind, 0, &list, 0)
            }
            Step::Flush => self.rig.begin(FLUSH, 0, &[], 0),
        };
        self.waits = Some((id.unwrap(), step.clone()));
    }

    /// Whether it has ended, as it should.
    fn look(&mut self) -> Result<bool, TestCaseError> {
        let Some((id, step)) = &self.waits else { return Ok(true) };
        let Some((status, data)) = self.rig.answer(*id) else { return Ok(false) };
        prop_assert_eq!(status, DONE);
        if let Step::Read(at, count) = step {
            prop_assert!(data == self.model[bytes(*at, *count)]);
        }
        self.waits = None;
        Ok(true)
    }
}

proptest! {
    #[test]
    fn a_ram_disk_is_a_row_of_bytes(steps in vec(step(), 0..40), taste in taste()) {
        let disk = RamDisk::empty(HeapPages::new(100), SECTORS).unwrap();
        let mut player = Player::new(Arc::new(disk), taste);
        for step in steps {
            player.begin(&step);
            prop_assert!(player.look()?);
        }
    }

    #[test]
    fn two_guests_on_one_disk_are_as_if_alone(
        steps in vec((any::<bool>(), step(), any::<usize>()), 0..60),
        tastes in (taste(), taste()),
        depth in 1..5usize,
    ) {
        let host = Host::new(2 * SECTORS, depth);
        let mut players = [
            Player::new(host.window(0, SECTORS), tastes.0),
            Player::new(host.window(SECTORS, SECTORS), tastes.1),
        ];
        for (which, step, order) in steps {
            let which = usize::from(which);
            while !players[which].look()? {
                let Some(index) = order.checked_rem(host.drive.pending()) else { break };
                host.drive.finish(index);
                host.host.poll(hv_core::time::Instant(1));
                players.iter_mut().for_each(|player| { player.rig.deliver(); });
            }
            prop_assert!(players[which].waits.is_none());
            players[which].begin(&step);
        }
        for player in &mut players {
            while !player.look()? {
                host.drive.finish_all();
                host.host.poll(hv_core::time::Instant(1));
                player.rig.deliver();
            }
        }
        let content = host.drive.lock().content.clone();
        let half = content.len() / 2;
        prop_assert!(content[..half] == players[0].model);
        prop_assert!(content[half..] == players[1].model);
    }
}
