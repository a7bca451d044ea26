//! Whatever a driver sends and asks for by a network card, what arrives is a frame of the network, and a reset makes all good.
#![no_main]

use hv_core::guest::{Device, GuestPhysAddr, Width};
use hv_core::time::Instant;
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;
use std::sync::Arc;
use virtio::net::packet::{LONGEST_FRAME, Packet, Pool};
use virtio::net::pieces::{Accepts, Pieces};
use virtio::net::{Net, Outgoing, Port, Setup};
use virtio::queue::QueueKind;
use virtio::testing::guest::{Guest, RAM_BASE, Taste};

const MTU: u16 = 1500;

/// A cable that comes back to the same card.
#[derive(Default)]
struct Loop {
    pool: Pool,
    waiting: VecDeque<Arc<Packet>>,
    sent: usize,
}

impl Port for Loop {
    fn open(&mut self) {}

    fn close(&mut self) {
        self.waiting.clear();
    }

    fn send(&mut self, frame: Outgoing<'_>) {
        let Some(packet) = frame.packet(&self.pool) else { return };
        assert!((14..=LONGEST_FRAME).contains(&packet.frame().len()));
        self.sent += 1;
        let packet = Arc::new(packet);
        // As it goes over a wire: whose it is stays what a switch has seen.
        let mut pieces = Pieces::new(Arc::clone(&packet), Accepts::NOTHING);
        let mut buf = [0; 2048];
        while let Some(piece) = pieces.piece() {
            let len = piece.copy_to(&mut buf).unwrap();
            assert!(len <= 14 + usize::from(MTU));
            assert_eq!(buf[..14], packet.frame()[..14]);
            if buf[12..14] == [8, 0] && len >= 34 {
                assert_eq!(buf[26..34], packet.frame()[26..34]);
            }
            pieces.advance();
        }
        if self.waiting.len() < 64 {
            self.waiting.push_back(packet);
        }
    }

    fn receive(&mut self) -> Option<Arc<Packet>> {
        self.waiting.pop_front()
    }

    fn lost(&mut self, _: usize) {}
}

/// What the driver does next: an access, bytes in its RAM, or a buffer.
type Step = (u8, u16, u32, Vec<u8>);

fuzz_target!(|input: (bool, u32, Vec<u8>, Vec<Step>)| {
    let (is_packed, features, bytes, steps) = input;
    let kind = if is_packed { QueueKind::Packed } else { QueueKind::Split };
    let taste = Taste { kind, features: u64::from(!features), ..Taste::default() };
    let card = Net::new(Setup { mac: [2, 0, 0, 0, 0, 1], mtu: MTU }, Loop::default());
    let mut guest = Guest::new(card, taste);
    guest.ram.put(GuestPhysAddr(RAM_BASE), &bytes);
    for (what, place, value, bytes) in steps {
        match what % 8 {
            0 => guest.set(0x050, value % 4),
            1 => guest.device.write(
                u64::from(place % 0x200),
                Width::B4,
                u64::from(value),
                Instant(0),
            ),
            2 => drop(guest.device.read(u64::from(place % 0x200), Width::B8, Instant(0))),
            3 => {
                let _ = guest.device.poll();
            }
            4 => {
                let _ = guest.device.call(|card, context| card.receive(context));
            }
            // Frames and commands, with headers of any kind, and buffers for what comes.
            5 => drop(guest.send(1, &[&bytes], &[])),
            6 => drop(guest.send(2, &[&bytes], &[1])),
            7 if place % 2 == 0 => drop(guest.send(0, &[], &[value % 4096 + 1])),
            _ => guest.ram.put(GuestPhysAddr(RAM_BASE + u64::from(place)), &value.to_le_bytes()),
        }
    }
    guest.start();
    let mut frame = [0; 12 + 60];
    frame[12..18].fill(0xff);
    let before = guest.device.device().port().sent;
    guest.send(0, &[], &[2048]).unwrap();
    guest.send(1, &[&frame], &[]).unwrap();
    assert_eq!(guest.device.device().port().sent, before + 1);
    let _ = guest.device.call(|card, context| card.receive(context));
    let done = guest.take(0).unwrap();
    assert_eq!((done.len, &done.data[12..72]), (72, &frame[12..]));
});
