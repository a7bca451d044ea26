//! Resets, disks that come and go, guests that die.

use super::asynchronous::{Host, rig};
use super::*;
use hv_core::time::Instant;

#[test]
fn what_ends_after_a_reset_touches_nothing() {
    let host = Host::new(1000, 8);
    let mut rig = rig(&host, Taste::default());
    host.drive.lock().content.fill(0x77);
    rig.begin(READ, 0, &[], 512).unwrap();
    rig.begin(READ, 8, &[], 512).unwrap();
    rig.restart();
    let before = rig.guest.ram.bytes(hv_core::guest::GuestPhysAddr(0x4080_0000), 1 << 16);
    host.settle(&mut rig);
    let after = rig.guest.ram.bytes(hv_core::guest::GuestPhysAddr(0x4080_0000), 1 << 16);
    assert!(before == after);
    assert!(rig.guest.take(0).is_none());
    let read = rig.begin(READ, 0, &[], 512).unwrap();
    host.settle(&mut rig);
    assert_eq!(rig.answer(read), Some((DONE, vec![0x77; 512])));
}

#[test]
fn a_write_from_before_a_reset_cannot_undo_one_from_after_it() {
    let host = Host::new(1000, 8);
    let mut rig = rig(&host, Taste::default());
    rig.begin(WRITE, 0, &[1; 512], 0).unwrap();
    rig.restart();
    let after = rig.begin(WRITE, 0, &[2; 512], 0).unwrap();
    assert_eq!(host.drive.pending(), 1);
    host.settle(&mut rig);
    assert_eq!(rig.answer(after), Some((DONE, vec![])));
    assert_eq!(host.drive.lock().content[0], 2);
}

#[test]
fn a_reset_while_all_buffers_are_away_does_not_lose_the_new_drivers_requests() {
    let host = Host::new(1000, 64);
    let mut rig = rig(&host, Taste::default());
    for _ in 0..20 {
        rig.begin(READ, 0, &[], 128 << 9).unwrap();
    }
    rig.restart();
    let new: Vec<_> = (0..20).map(|_| rig.begin(READ, 0, &[], 128 << 9).unwrap()).collect();
    host.settle(&mut rig);
    for id in new {
        assert_eq!(rig.answer(id).unwrap().0, DONE);
    }
}

#[test]
fn a_reset_on_a_dead_disk_ends_as_well() {
    let host = Host::new(1000, 64);
    let mut rig = rig(&host, Taste::default());
    for _ in 0..20 {
        rig.begin(READ, 0, &[], 128 << 9).unwrap();
    }
    rig.restart();
    let new = rig.begin(READ, 0, &[], 128 << 9).unwrap();
    for now in 0..10 {
        host.at(now, &mut rig);
    }
    assert_eq!(rig.answer(new).unwrap().0, ERROR);
}

#[test]
fn a_device_without_a_disk_has_no_sectors_and_fails() {
    let host = Host::new(1000, 8);
    let mut rig = Rig::empty(host.host.geometry(), 1, Taste::default());
    assert_eq!(rig.guest.config(0, Width::B8), 0);
    assert_eq!(rig.now(READ, 0, &[], 512).0, ERROR);
    assert_eq!(rig.now(FLUSH, 0, &[], 0).0, ERROR);
    assert_eq!(rig.now(NAME, 0, &[], 20).0, DONE);
}

#[test]
fn a_disk_that_is_taken_away_fails_what_it_had_and_what_comes() {
    let host = Host::new(1000, 2);
    let mut rig = rig(&host, Taste::default());
    let busy: Vec<_> = (0..20).map(|_| rig.begin(WRITE, 0, &[1; 128 << 9], 0).unwrap()).collect();
    rig.change(None);
    for id in busy {
        assert_eq!(rig.answer(id).unwrap().0, ERROR);
    }
    assert!(rig.guest.interrupted());
    assert_eq!(rig.guest.config(0, Width::B8), 0);
    assert_eq!(rig.now(READ, 0, &[], 512).0, ERROR);
    // What the driver has ends unseen, and then the next can have the disk.
    rig.change(Some(host.window(0, 500)));
    assert_eq!(rig.guest.config(0, Width::B8), 500);
    let write = rig.begin(WRITE, 0, &[2; 512], 0).unwrap();
    assert_eq!(rig.answer(write), None);
    host.settle(&mut rig);
    assert_eq!(rig.answer(write).unwrap().0, DONE);
    assert_eq!(host.drive.lock().content[..512], [2; 512]);
    assert_eq!(host.host.statistics().strays, 0);
}

#[test]
fn a_disk_that_is_let_go_ends_what_it_had_and_fails_what_comes() {
    let host = Host::new(1000, 2);
    let mut rig = rig(&host, Taste::default());
    let begun: Vec<_> =
        (1..4).map(|fill| rig.begin(WRITE, fill, &[fill as u8; 512], 0).unwrap()).collect();
    rig.guest.device.call(|block, context| block.release(context));
    assert!(rig.guest.interrupted());
    assert_eq!(rig.guest.config(0, Width::B8), 0);
    assert_eq!(rig.now(WRITE, 9, &[9; 512], 0).0, ERROR);
    assert_eq!(rig.guest.device.device().running(), 3);
    host.settle(&mut rig);
    for id in begun {
        assert_eq!(rig.answer(id), Some((DONE, vec![])));
    }
    assert!(rig.guest.device.device().is_leaving());
    assert_eq!(rig.guest.device.device().running(), 0);
    rig.change(None);
    rig.change(Some(host.window(500, 500)));
    assert_eq!(rig.guest.config(0, Width::B8), 500);
    let content = host.drive.lock().content[512..5120].to_vec();
    assert!(content[..1536].chunks(512).zip(1..).all(|(sector, fill)| sector == [fill; 512]));
    assert!(content[1536..].iter().all(|byte| *byte == 0), "sector 9 was not written");
}

#[test]
fn a_guest_that_is_killed_leaves_its_buffers_to_the_driver_and_nothing_else() {
    let host = Host::new(1000, 2);
    let mut rig = rig(&host, Taste::default());
    for _ in 0..10 {
        rig.begin(WRITE, 0, &[1; 128 << 9], 0).unwrap();
    }
    drop(rig);
    assert_eq!((host.drive.pending(), host.host.statistics().strays), (2, 2));
    assert!(host.host.open_ranges().is_empty());
    host.drive.finish_all();
    assert_eq!(host.host.poll(Instant(1)), Instant::NEVER);
    assert_eq!(host.drive.pending(), 0, "what had not begun never does");
}
