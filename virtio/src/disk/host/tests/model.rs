//! Random clients against models: what each reads is what it wrote; what was flushed is there after the power was away.

use super::*;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof};
use proptest::test_runner::TestCaseError;

const SECTORS: u64 = 24;

#[derive(Clone, Copy, Debug)]
enum Step {
    Read(u64, u64),
    Write(u64, u64),
    Discard(u64, u64),
    Flush,
    /// One of the commands under way ends.
    End(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..SECTORS, 1..8u64).prop_map(|(at, count)| (at, count.min(SECTORS - at)));
    prop_oneof![
        2 => range().prop_map(|(at, count)| Step::Read(at, count)),
        4 => range().prop_map(|(at, count)| Step::Write(at, count)),
        1 => range().prop_map(|(at, count)| Step::Discard(at, count)),
        1 => proptest::prelude::Just(Step::Flush),
        6 => any::<usize>().prop_map(Step::End),
    ]
}

/// What a client knows of each of its sectors.
#[derive(Clone, Default)]
struct Sector {
    /// What the last write that ended left.
    now: u8,
    /// What may be found after the power was away: all since the last flush.
    possible: Vec<u8>,
}

struct Guest {
    client: Client,
    sectors: Vec<Sector>,
    /// The request that has not ended, one at a time, and what it is.
    waits: Option<(u64, Step, u8)>,
    fill: u8,
}

impl Guest {
    fn new(host: &Arc<HostDisk>, start: u64) -> Self {
        let sector = Sector { now: 0, possible: vec![0] };
        Self {
            client: client(host, start, SECTORS),
            sectors: vec![sector; SECTORS as usize],
            waits: None,
            fill: 0,
        }
    }

    fn begin(&mut self, step: Step) {
        self.fill = self.fill % 250 + 1;
        let mut fill = self.fill;
        let operation = match step {
            Step::Read(at, count) => self.client.read(at, count),
            Step::Write(at, count) => self.client.write(at, count, fill),
            Step::Discard(at, count) => {
                fill = 0;
                Client::discard(at, count)
            }
            Step::Flush => Operation::Flush,
            Step::End(_) => return,
        };
        if let Step::Write(at, count) | Step::Discard(at, count) = step {
            for sector in &mut self.sectors[at as usize..(at + count) as usize] {
                sector.possible.push(fill);
            }
        }
        self.waits = Some((self.client.begin(operation), step, fill));
    }

    fn look(&mut self) -> Result<(), TestCaseError> {
        let Some((id, step, fill)) = self.waits else { return Ok(()) };
        let Some(completed) = self.client.take(id) else { return Ok(()) };
        prop_assert_eq!(completed.result, Ok(()));
        match step {
            Step::Read(at, _) => {
                let buffer = completed.buffer.unwrap();
                for (index, bytes) in buffer.chunks(SECTOR_BYTES as usize).enumerate() {
                    let now = self.sectors[at as usize + index].now;
                    prop_assert!(bytes.iter().all(|byte| *byte == now));
                }
            }
            Step::Write(at, count) | Step::Discard(at, count) => {
                for sector in &mut self.sectors[at as usize..(at + count) as usize] {
                    sector.now = fill;
                }
            }
            // One request at a time: everything before has ended.
            Step::Flush => self.sectors.iter_mut().for_each(|sector| {
                sector.possible = vec![sector.now];
            }),
            Step::End(_) => {}
        }
        self.waits = None;
        Ok(())
    }
}

proptest! {
    #[test]
    fn each_client_reads_what_it_wrote_and_finds_what_it_flushed(
        steps in vec((any::<bool>(), step()), 0..200),
        survives in vec(any::<bool>(), 1..64),
        depth in 1..6usize,
    ) {
        let drive = Drive::new(3 * SECTORS, depth);
        let host = host(&drive);
        let mut guests = [Guest::new(&host, 0), Guest::new(&host, 2 * SECTORS)];
        for (which, step) in steps {
            if let Step::End(index) = step {
                if let Some(index) = index.checked_rem(drive.pending()) {
                    drive.finish(index);
                    host.poll(at(0));
                }
            } else {
                let guest = &mut guests[usize::from(which)];
                while guest.waits.is_some() {
                    drive.finish(drive.pending() / 2);
                    host.poll(at(0));
                    guest.look()?;
                }
                guest.begin(step);
            }
            for guest in &mut guests {
                guest.look()?;
            }
        }
        let mut survives = survives.iter().cycle();
        drive.cut_power(|| *survives.next().unwrap());
        let content = drive.lock().content.clone();
        for (guest, start) in guests.iter().zip([0, 2 * SECTORS]) {
            for (index, sector) in guest.sectors.iter().enumerate() {
                let offset = (start as usize + index) * SECTOR_BYTES as usize;
                let found = &content[offset..offset + SECTOR_BYTES as usize];
                prop_assert!(found.iter().all(|byte| *byte == found[0]));
                prop_assert!(sector.possible.contains(&found[0]));
            }
        }
        let between = (SECTORS * SECTOR_BYTES) as usize..2 * (SECTORS * SECTOR_BYTES) as usize;
        prop_assert!(content[between].iter().all(|byte| *byte == 0), "nobody's part was touched");
    }
}
