//! The card against a driver: what is sent arrives, and what makes no sense is counted and harms nobody.

use super::packet::{Packet, Pool};
use super::*;
use crate::fault::Fault;
use crate::queue::QueueKind;
use crate::testing::guest::{Done, Guest, Taste, register};
use alloc::collections::VecDeque;
use hv_core::sync::Mutex;

const MAC: Mac = [0x52, 0x54, 0, 0, 0, 1];
const OTHER: Mac = [0x52, 0x54, 0, 0, 0, 2];

/// What happened at a port, and what waits for its guest.
#[derive(Default)]
struct Wire {
    sent: Vec<Arc<Packet>>,
    waiting: VecDeque<Arc<Packet>>,
    is_open: bool,
    lost: usize,
}

#[derive(Clone, Default)]
struct TestPort(Arc<Mutex<Wire>>);

impl Port for TestPort {
    fn open(&mut self) {
        self.0.lock().is_open = true;
    }

    fn close(&mut self) {
        let mut wire = self.0.lock();
        wire.is_open = false;
        wire.waiting.clear();
    }

    fn send(&mut self, frame: Outgoing<'_>) {
        let packet = frame.packet(&Pool::default()).unwrap();
        self.0.lock().sent.push(Arc::new(packet));
    }

    fn receive(&mut self) -> Option<Arc<Packet>> {
        self.0.lock().waiting.pop_front()
    }

    fn lost(&mut self, _: usize) {
        self.0.lock().lost += 1;
    }
}

struct Bench {
    guest: Guest<Net<TestPort>>,
    port: TestPort,
}

fn bench(taste: Taste) -> Bench {
    let port = TestPort::default();
    let card = Net::new(Setup { mac: MAC, mtu: 1500 }, port.clone());
    Bench { guest: Guest::new(card, taste), port }
}

fn tastes() -> impl Iterator<Item = Taste> {
    let kinds = [QueueKind::Split, QueueKind::Packed];
    kinds.into_iter().flat_map(|kind| {
        [true, false].map(|event_index| Taste { kind, event_index, ..Taste::default() })
    })
}

/// A frame for everybody with so many bytes.
fn frame(len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&OTHER);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

impl Bench {
    fn deliver(&mut self, frame: &[u8]) -> More {
        let fill = |buf: &mut [u8]| {
            buf.copy_from_slice(frame);
            Some(())
        };
        let packet = Pool::default().packet(frame.len(), Offload::None, fill).unwrap();
        self.port.0.lock().waiting.push_back(Arc::new(packet));
        self.guest.device.call(|card, context| card.receive(context))
    }

    fn transmit(&mut self, header: [u8; 12], frame: &[u8]) {
        self.guest.send(TRANSMIT, &[&header, frame], &[]).unwrap();
        assert!(self.guest.take(TRANSMIT).is_some());
    }

    fn sent(&self) -> Vec<Vec<u8>> {
        self.port.0.lock().sent.iter().map(|packet| packet.frame().to_vec()).collect()
    }

    fn refused(&self) -> Vec<(Refused, u64)> {
        self.guest.device.device().statistics().refused().collect()
    }

    /// A command, and the device's answer.
    fn command(&mut self, parts: &[&[u8]]) -> u8 {
        self.guest.send(CONTROL, parts, &[1]).unwrap();
        self.guest.take(CONTROL).unwrap().data[0]
    }

    fn faults(&self) -> Vec<(Fault, u32)> {
        self.guest.device.record().faults().collect()
    }
}

fn buffers(done: &Done) -> u16 {
    u16::from_le_bytes([done.data[10], done.data[11]])
}

#[test]
fn the_driver_is_told_what_card_it_is() {
    let mut bench = bench(Taste::default());
    assert_eq!(bench.guest.get(0x008), 1);
    let mac = bench.guest.config(0, Width::B4) | bench.guest.config(4, Width::B2) << 32;
    assert_eq!(mac.to_le_bytes()[..6], MAC);
    assert_eq!(bench.guest.config(6, Width::B2), 1, "the link is up");
    assert_eq!(bench.guest.config(10, Width::B2), 1500);
    let down = |card: &mut Net<TestPort>, context: &mut Context<'_>| {
        card.set_link(Link::Down, context);
    };
    bench.guest.device.call(down);
    assert!(bench.guest.interrupted());
    assert_eq!(bench.guest.config(6, Width::B2), 0);
    assert!(!bench.port.0.lock().is_open);
    bench.transmit([0; 12], &frame(60));
    assert_eq!(bench.refused(), [(Refused::NoLink, 1)]);
}

#[test]
fn what_is_sent_arrives_as_it_was_whatever_its_length() {
    for taste in tastes() {
        let mut bench = bench(taste);
        for len in [14, 60, 191, 192, 193, 1514] {
            bench.transmit([0; 12], &frame(len));
        }
        let lens = [14, 60, 191, 192, 193, 1514];
        assert_eq!(bench.sent(), lens.map(frame));
        assert!(bench.guest.interrupted());
    }
}

#[test]
fn a_frame_larger_than_a_buffer_is_spread_over_several() {
    for taste in tastes() {
        let mut bench = bench(taste);
        for _ in 0..4 {
            bench.guest.send(RECEIVE, &[], &[100, 420]).unwrap();
        }
        let frame = frame(1500);
        assert_eq!(bench.deliver(&frame), More::No);
        assert!(bench.guest.interrupted());
        let first = bench.guest.take(RECEIVE).unwrap();
        assert_eq!((buffers(&first), first.len), (3, 520));
        let mut whole = first.data[12..].to_vec();
        for len in [520, 472] {
            let next = bench.guest.take(RECEIVE).unwrap();
            assert_eq!(next.len, len);
            whole.extend(&next.data[..len as usize]);
        }
        assert_eq!(whole, frame);
        assert!(bench.guest.take(RECEIVE).is_none());
    }
}

#[test]
fn frames_wait_for_buffers_and_for_as_many_as_they_need() {
    let mut bench = bench(Taste::default());
    let frame = frame(600);
    assert_eq!(bench.deliver(&frame), More::No);
    bench.guest.send(RECEIVE, &[], &[512]).unwrap();
    assert!(bench.guest.take(RECEIVE).is_none(), "half a frame is none");
    bench.guest.send(RECEIVE, &[], &[512]).unwrap();
    assert_eq!(buffers(&bench.guest.take(RECEIVE).unwrap()), 2);
    assert_eq!(bench.guest.take(RECEIVE).unwrap().len, 612 - 512);
}

#[test]
fn without_merging_a_frame_that_is_too_large_is_lost_and_the_next_has_its_buffer() {
    let taste = Taste { features: !feature::MRG_RXBUF, ..Taste::default() };
    let mut bench = bench(taste);
    bench.guest.send(RECEIVE, &[], &[512]).unwrap();
    assert_eq!(bench.deliver(&frame(600)), More::No);
    assert_eq!(bench.port.0.lock().lost, 1);
    assert_eq!(bench.guest.device.device().statistics().no_room(), 1);
    assert_eq!(bench.deliver(&frame(100)), More::No);
    let done = bench.guest.take(RECEIVE).unwrap();
    assert_eq!((done.len, buffers(&done)), (112, 1));
    assert_eq!(done.data[12..112], frame(100));
}

#[test]
fn a_driver_that_asks_for_the_impossible_is_refused_and_goes_on() {
    let mut bench = bench(Taste::default());
    // Too short, and too long for a packet.
    bench.transmit([0; 12], &[1; 13]);
    bench.transmit([0; 12], &frame(1515));
    bench.transmit([0; 12], &frame(70_000));
    assert_eq!(bench.refused(), [(Refused::Length, 3)]);
    // A checksum out of the frame; segments of nothing; a kind that there is not.
    bench.transmit([1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], &frame(60));
    bench.transmit([1, 1, 54, 0, 0, 0, 34, 0, 16, 0, 0, 0], &frame(600));
    bench.transmit([0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &frame(60));
    assert_eq!(bench.refused(), [(Refused::Length, 3), (Refused::Header, 3)]);
    assert!(bench.sent().is_empty() && !bench.guest.needs_reset());
    bench.transmit([0; 12], &frame(60));
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_buffer_that_cannot_hold_a_header_puts_the_card_out_of_order_until_a_reset() {
    for queue in [RECEIVE, TRANSMIT] {
        let mut bench = bench(Taste::default());
        if queue == RECEIVE {
            bench.guest.send(RECEIVE, &[], &[11]).unwrap();
            assert_eq!(bench.deliver(&frame(60)), More::No);
        } else {
            bench.guest.send(TRANSMIT, &[&[0; 11]], &[]).unwrap();
        }
        assert!(bench.guest.needs_reset());
        assert_eq!(bench.faults(), [(Fault::Request, 1)]);
        // Whatever comes now stays away.
        assert_eq!(bench.deliver(&frame(60)), More::No);
        bench.guest.set(register::STATUS, 0);
        assert!(!bench.port.0.lock().is_open && bench.port.0.lock().waiting.is_empty());
        bench.guest.start();
        assert!(bench.port.0.lock().is_open);
        bench.transmit([0; 12], &frame(60));
        bench.guest.send(RECEIVE, &[], &[1600]).unwrap();
        assert_eq!(bench.deliver(&frame(60)), More::No);
        assert_eq!(bench.guest.take(RECEIVE).unwrap().len, 72);
    }
}

#[test]
fn the_control_queue_filters_and_refuses_what_makes_no_sense() {
    let mut bench = bench(Taste::default());
    for _ in 0..8 {
        bench.guest.send(RECEIVE, &[], &[1600]).unwrap();
    }
    let arrives = |bench: &mut Bench, to: Mac| {
        let mut frame = frame(60);
        frame[..6].copy_from_slice(&to);
        assert_eq!(bench.deliver(&frame), More::No);
        bench.guest.take(RECEIVE).is_some()
    };
    let group = [0x33, 0x33, 0, 0, 0, 1];
    assert!(arrives(&mut bench, OTHER), "before anything was said");
    assert_eq!(bench.command(&[&[0, 0], &[0]]), 0);
    assert!(!arrives(&mut bench, OTHER) && !arrives(&mut bench, group));
    assert!(arrives(&mut bench, MAC) && arrives(&mut bench, [0xff; 6]));
    let table = [&[1, 0, 0, 0][..], &OTHER, &[1, 0, 0, 0], &group].concat();
    assert_eq!(bench.command(&[&[1, 0], &table]), 0);
    assert!(arrives(&mut bench, OTHER) && arrives(&mut bench, group));
    // Its own address, another, a table without an end, no such class, offloads that were not agreed on.
    assert_eq!(bench.command(&[&[1, 1], &MAC]), 0);
    for nonsense in [
        &[&[1, 1][..], &OTHER][..],
        &[&[1, 0], &[1, 0, 0, 0, 1, 2]],
        &[&[0, 0], &[2]],
        &[&[0, 0]],
        &[&[99, 0], &[0]],
        &[&[5, 0], &[0xff; 8]],
    ] {
        assert_eq!(bench.command(nonsense), 1, "{nonsense:?}");
    }
    assert_eq!(bench.guest.device.device().statistics().commands_refused(), 6);
    assert!(!bench.guest.needs_reset());
    // Nowhere to answer to.
    bench.guest.send(CONTROL, &[&[0, 0], &[0]], &[]).unwrap();
    assert_eq!(bench.faults(), [(Fault::Request, 1)]);
}

#[test]
fn a_flood_is_served_in_pieces() {
    let mut bench = bench(Taste::default());
    for _ in 0..200 {
        bench.guest.add(TRANSMIT, &[&[0; 12], &frame(60)], &[]).unwrap();
    }
    bench.guest.kick(TRANSMIT);
    assert_eq!(bench.sent().len(), BUDGET_FRAMES);
    assert_eq!(bench.guest.bell.rings(), 1);
    assert_eq!(bench.guest.device.poll(), More::No);
    assert_eq!(bench.sent().len(), 200);
}
