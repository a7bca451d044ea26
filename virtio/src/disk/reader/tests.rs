//! Reading bytes from anywhere, from disks that answer at once, later, or never.

use super::super::geometry::Access;
use super::super::host::{HostDisk, HostWindow};
use super::super::overlay::Overlay;
use super::super::testing::{Drive, HeapPages, Silent};
use super::super::{SectorRange, window::Window};
use super::*;
use core::time::Duration;
use hv_core::time::Instant;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index / 7 + index % 251) as u8).collect()
}

fn host(drive: &Drive) -> (Arc<HostDisk>, Arc<HostWindow>) {
    let host = HostDisk::new(drive.driver(), Duration::from_secs(1), Arc::new(Silent));
    let range = SectorRange::new(0, host.geometry().sectors).unwrap();
    let window = Arc::new(host.open(range, Access::ReadOnly).unwrap());
    (host, window)
}

proptest! {
    #[test]
    fn any_bytes_are_read(offset in 0..300_000u64, len in 0..200_000usize, start in 0..8u64) {
        let image = pattern(300 * 512 * 2);
        let expected = image[(start * 512) as usize..].to_vec();
        let disk = Overlay::new(HeapPages::new(0), image).unwrap();
        let range = SectorRange::new(start, 600 - start).unwrap();
        let disk = Arc::new(Window::new(Arc::new(disk), range).unwrap());
        let mut reader = DiskReader::new(disk, || Patience::GiveUp).unwrap();
        let mut buf = vec![0; len];
        let end = offset as usize + len;
        match reader.read_at(offset, &mut buf) {
            Ok(()) => prop_assert!(buf == expected[offset as usize..end]),
            Err(error) => {
                prop_assert_eq!(error, DiskError::OutOfRange);
                prop_assert!(end > expected.len());
            }
        }
    }
}

#[test]
fn what_the_disk_answers_later_is_waited_for() {
    let drive = Drive::new(500, 4);
    drive.lock().content = pattern(500 * 512);
    let (host, window) = host(&drive);
    let ends = drive.clone();
    let poll = move || {
        ends.finish_all();
        host.poll(Instant::default());
        Patience::Wait
    };
    let mut reader = DiskReader::new(window, poll).unwrap();
    let mut buf = vec![0; 150_000];
    reader.read_at(1234, &mut buf).unwrap();
    assert!(buf == pattern(500 * 512)[1234..151_234]);
}

#[test]
fn a_disk_that_never_answers_is_given_up() {
    let drive = Drive::new(500, 4);
    let (host, window) = host(&drive);
    let mut polls = 0;
    let poll = move || {
        polls += 1;
        host.poll(Instant(polls));
        if polls % 10 == 0 { Patience::GiveUp } else { Patience::Wait }
    };
    let mut reader = DiskReader::new(window, poll).unwrap();
    assert_eq!(reader.read_at(0, &mut [0; 100]), Err(DiskError::Late));
    assert_eq!(reader.read_at(0, &mut [0; 100]), Err(DiskError::Late), "its buffer is away");
    drive.finish_all();
}
