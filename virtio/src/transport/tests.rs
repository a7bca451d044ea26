//! A guest's driver in front of a device that echoes.

use super::*;
use crate::config_space;
use crate::device::{Context, DeviceId, More, VirtioDevice};
use crate::fault::Fault;
use crate::feature;
use crate::queue::{Chain, QueueConfig, QueueKind};
use crate::testing::driver::{Wish, put_descriptor};
use crate::testing::guest::{Guest, RAM_BASE, RAM_BYTES, Taste, register};
use hv_core::guest::{Device, GuestPhysAddr, Level, Width};
use hv_core::time::Instant;
use mmio::WINDOW_BYTES;
use proptest::prelude::*;

/// How many buffers the echo handles at a time.
const BUDGET: usize = 4;
const OWN_FEATURE: u64 = 1 << 5;

/// Queue 0 writes back what it reads; queue 1 keeps what it gets.
#[derive(Default)]
struct Echo {
    config: [u8; 6],
    kept: Vec<Chain>,
    active: Option<u64>,
}

impl VirtioDevice for Echo {
    fn device_id(&self) -> DeviceId {
        DeviceId::Entropy
    }
    fn features(&self) -> u64 {
        // The transport's own matter is not the device's.
        OWN_FEATURE | feature::RING_PACKED
    }
    fn queue_sizes(&self) -> &[u16] {
        &[16, 8]
    }
    fn read_config(&self, offset: u64, width: Width) -> u64 {
        config_space::read(&self.config, offset, width)
    }
    fn write_config(&mut self, offset: u64, width: Width, value: u64) {
        config_space::write(&mut self.config, offset, width, value);
    }
    fn activate(&mut self, features: u64, context: &mut Context<'_>) {
        assert!(context.is_running());
        assert_eq!(features, context.features());
        self.active = Some(features);
    }
    fn notify(&mut self, queue: usize, context: &mut Context<'_>) -> More {
        assert!(self.active.is_some());
        if queue == 1 {
            while let Some(chain) = context.pop(1) {
                self.kept.push(chain);
            }
            return More::No;
        }
        for _ in 0..BUDGET {
            let Some(chain) = context.pop(0) else { return More::No };
            let len = chain.readable_len().min(chain.writable_len());
            let mut buf = vec![0; len as usize];
            let copied = chain
                .read_at(context.memory(), 0, &mut buf)
                .and_then(|()| chain.write_at(context.memory(), 0, &buf));
            match copied {
                Ok(()) => context.push(0, chain, len as u32),
                Err(_) => context.fail(Fault::Request),
            }
        }
        More::Yes
    }
    fn reset(&mut self) {
        self.active = None;
    }
}

fn tastes() -> impl Iterator<Item = Taste> {
    let kinds = [QueueKind::Split, QueueKind::Packed];
    kinds.into_iter().flat_map(|kind| {
        [false, true].into_iter().flat_map(move |indirect| {
            [false, true].into_iter().map(move |event_index| Taste {
                kind,
                indirect,
                event_index,
                ..Taste::default()
            })
        })
    })
}

fn faults(guest: &Guest<Echo>) -> Vec<(Fault, u32)> {
    guest.device.record().faults().collect()
}

#[test]
fn the_window_identifies_itself() {
    let mut guest = Guest::powered_on(Echo::default(), Taste::default());
    assert_eq!(guest.get(0x000), u32::from_le_bytes(*b"virt"));
    assert_eq!(guest.get(0x004), 2);
    assert_eq!(guest.get(0x008), 4);
    assert_eq!(guest.get(register::STATUS), 0);
    assert_eq!(guest.get(register::QUEUE_NUM_MAX), 16);
    guest.set(register::QUEUE_SEL, 2);
    assert_eq!(guest.get(register::QUEUE_NUM_MAX), 0);
    // No shared memory: -1, whichever region is chosen.
    guest.set(0x0ac, 7);
    assert_eq!([0x0b0, 0x0b4, 0x0b8, 0x0bc].map(|offset| guest.get(offset)), [u32::MAX; 4]);
}

#[test]
fn the_transport_offers_what_belongs_to_queues() {
    let own =
        OWN_FEATURE | feature::VERSION_1 | feature::INDIRECT_DESCRIPTORS | feature::EVENT_INDEX;
    let mut split = Guest::powered_on(Echo::default(), Taste::default());
    assert_eq!(split.offered(), own);
    let taste = Taste { kind: QueueKind::Packed, ..Taste::default() };
    assert_eq!(Guest::powered_on(Echo::default(), taste).offered(), own | feature::RING_PACKED);
    split.set(register::DEVICE_FEATURES_SEL, 2);
    assert_eq!(split.get(register::DEVICE_FEATURES), 0);
}

#[test]
fn features_that_were_not_offered_are_not_agreed_on() {
    for features in
        [feature::VERSION_1 | 1, OWN_FEATURE, 0, feature::VERSION_1 | feature::RING_PACKED]
    {
        let mut guest = Guest::powered_on(Echo::default(), Taste::default());
        guest.set(register::STATUS, 3);
        guest.accept(features);
        guest.set(register::STATUS, 0xb);
        assert_eq!(guest.get(register::STATUS), 3);
        // It may try again.
        guest.accept(feature::VERSION_1);
        guest.set(register::STATUS, 0xb);
        assert_eq!(guest.get(register::STATUS), 0xb);
        assert!(faults(&guest).is_empty());
    }
}

#[test]
fn what_was_agreed_on_stays() {
    let mut guest = Guest::new(Echo::default(), Taste::default());
    let agreed = guest.device.device().active;
    guest.accept(feature::VERSION_1);
    assert_eq!(guest.device.call(|_, context| Some(context.features())), agreed);
    // A bit that is left out of the status is not taken back.
    guest.set(register::STATUS, 1);
    assert_eq!(guest.get(register::STATUS), 0xf);
}

#[test]
fn a_driver_that_skips_the_features_is_stopped() {
    let mut guest = Guest::powered_on(Echo::default(), Taste::default());
    guest.set(register::STATUS, 7);
    assert!(guest.needs_reset());
    assert_eq!(guest.device.device().active, None);
    assert_eq!(faults(&guest), [(Fault::Order, 1)]);
    guest.set(register::STATUS, 0);
    guest.set(register::QUEUE_READY, 1);
    assert!(guest.needs_reset());
    assert_eq!(faults(&guest), [(Fault::Order, 2)]);
    guest.start();
    assert!(!guest.needs_reset());
}

#[test]
fn requests_are_answered_whatever_the_driver_prefers() {
    for taste in tastes() {
        let mut guest = Guest::new(Echo::default(), taste);
        for round in 0..200u32 {
            let word = round.to_le_bytes();
            let sent = guest.send(0, &[&word, b"xyz"], &[2, 5]).unwrap();
            assert!(guest.interrupted());
            let done = guest.take(0).unwrap();
            assert_eq!((done.id, done.len), (sent, 7));
            assert_eq!(done.data, [&word[..], b"xyz"].concat());
            guest.queues[0].wish(&guest.ram, Wish::Next);
        }
        assert!(faults(&guest).is_empty());
        assert_eq!(guest.device.record().interrupts(), 200);
        assert_eq!(guest.device.record().notifications(), 200);
    }
}

#[test]
fn a_batch_is_one_notification_and_at_most_one_interrupt_for_each_part() {
    for taste in tastes().filter(|taste| taste.indirect) {
        let mut guest = Guest::new(Echo::default(), taste);
        for _ in 0..10 {
            guest.add(0, &[b"a"], &[1]).unwrap();
        }
        guest.kick(0);
        assert_eq!(guest.device.record().notifications(), 1);
        // Four at a time, and the bell for the others.
        assert_eq!(guest.bell.rings(), 1);
        let back = std::iter::from_fn(|| guest.take(0)).count();
        assert_eq!(back, 4);
        // While the device has work to do, it wants to hear of no more.
        guest.send(0, &[b"b"], &[1]).unwrap();
        assert_eq!(guest.device.record().notifications(), 1);
        assert_eq!(guest.device.poll(), More::Yes);
        assert_eq!(guest.device.poll(), More::No);
        let back = std::iter::from_fn(|| guest.take(0)).count();
        assert_eq!(back, 7);
        assert_eq!(guest.device.poll(), More::No);
        // Then again.
        guest.send(0, &[b"c"], &[1]).unwrap();
        assert_eq!(guest.device.record().notifications(), 2);
    }
}

#[test]
fn a_driver_that_wants_no_interrupt_gets_none() {
    for taste in tastes() {
        let mut guest = Guest::new(Echo::default(), taste);
        guest.queues[0].wish(&guest.ram, Wish::Never);
        guest.send(0, &[b"a"], &[1]).unwrap();
        assert!(!guest.interrupted());
        assert!(guest.take(0).is_some());
    }
}

#[test]
fn a_request_completes_later_from_outside() {
    for taste in tastes() {
        let mut guest = Guest::new(Echo::default(), taste);
        let first = guest.send(1, &[b"a"], &[4]).unwrap();
        let second = guest.send(1, &[b"b"], &[4]).unwrap();
        assert_eq!((guest.take(1), guest.interrupted()), (None, false));
        guest.device.call(|device, context| {
            for chain in device.kept.drain(..).rev() {
                chain.write_at(context.memory(), 0, b"late").unwrap();
                context.push(1, chain, 4);
            }
        });
        assert!(guest.interrupted());
        let done: Vec<_> = std::iter::from_fn(|| guest.take(1)).collect();
        assert_eq!(done.iter().map(|done| done.id).collect::<Vec<_>>(), [second, first]);
        assert!(done.iter().all(|done| done.data == b"late"));
    }
}

#[test]
fn a_reset_forgets_what_was_lent() {
    for taste in tastes() {
        let mut guest = Guest::new(Echo::default(), taste);
        guest.send(1, &[b"a"], &[4]).unwrap();
        guest.set(register::STATUS, 0);
        assert_eq!(guest.get(register::STATUS), 0);
        assert_eq!(guest.get(register::QUEUE_READY), 0);
        let give = |device: &mut Echo, context: &mut Context<'_>| {
            for chain in device.kept.drain(..) {
                context.push(1, chain, 4);
            }
        };
        guest.device.call(give);
        guest.start();
        guest.send(1, &[b"b"], &[4]).unwrap();
        guest.set(register::STATUS, 0);
        guest.start();
        guest.device.call(give);
        assert_eq!(guest.take(1), None);
        assert!(!guest.interrupted());
        assert!(guest.send(0, &[b"a"], &[1]).is_some());
        assert!(guest.take(0).is_some());
        assert!(faults(&guest).is_empty());
    }
}

#[test]
fn a_fault_stops_the_device_until_it_is_reset() {
    for taste in tastes() {
        let mut guest = Guest::new(Echo::default(), taste);
        guest.send(1, &[b"a"], &[1]).unwrap();
        guest.add(0, &[b"a"], &[]).unwrap();
        let head = guest.queues[0].descriptor(0);
        let mut bytes = guest.ram.bytes(head, 16);
        // Its length.
        bytes[8..12].fill(0);
        guest.ram.put(head, &bytes);
        guest.kick(0);
        assert!(guest.needs_reset());
        assert_eq!(faults(&guest), [(Fault::ZeroLength, 1)]);
        // It is told as a change of the configuration.
        assert_eq!(guest.get(register::INTERRUPT_STATUS), 2);
        assert_eq!(guest.line.level(), Level::High);
        // Nothing is taken or given any more.
        guest.device.call(|device, context| {
            assert!(!context.is_running());
            assert!(context.pop(0).is_none());
            let chain = device.kept.pop().unwrap();
            context.push(1, chain, 1);
        });
        assert_eq!(guest.take(1), None);
        guest.set(register::QUEUE_NOTIFY, 0);
        guest.set(register::QUEUE_NOTIFY, 99);
        assert_eq!(faults(&guest).len(), 1);
        // The bit is the device's: a driver cannot clear it but by a reset.
        guest.set(register::STATUS, 0xf);
        assert!(guest.needs_reset());
        guest.start();
        assert_eq!(guest.line.level(), Level::Low);
        guest.send(0, &[b"a"], &[1]).unwrap();
        assert!(guest.take(0).is_some());
    }
}

#[test]
fn a_notification_of_a_queue_that_is_not_there_is_a_fault() {
    for index in [2, 63, 64, u32::MAX] {
        let mut guest = Guest::new(Echo::default(), Taste::default());
        guest.set(register::QUEUE_NOTIFY, index);
        assert!(guest.needs_reset());
        assert_eq!(faults(&guest), [(Fault::NotifyIndex, 1)]);
    }
}

#[test]
fn a_notification_before_the_driver_is_ready_does_nothing() {
    let mut guest = Guest::powered_on(Echo::default(), Taste::default());
    guest.set(register::QUEUE_NOTIFY, 0);
    guest.set(register::QUEUE_NOTIFY, 9);
    assert_eq!(guest.get(register::STATUS), 0);
    assert!(faults(&guest).is_empty());
}

#[test]
fn a_queue_that_cannot_be_is_a_fault_when_it_is_made_ready() {
    let good = {
        let guest = Guest::new(Echo::default(), Taste::default());
        guest.queues[0].config
    };
    let odd = GuestPhysAddr(good.driver.0 + 1);
    let outside = GuestPhysAddr(RAM_BASE + RAM_BYTES);
    for (config, fault) in [
        (QueueConfig { size: 32, ..good }, Fault::QueueSize),
        (QueueConfig { size: 0, ..good }, Fault::QueueSize),
        (QueueConfig { size: 12, ..good }, Fault::QueueSize),
        (QueueConfig { driver: odd, ..good }, Fault::QueueAlignment),
        (QueueConfig { device: outside, ..good }, Fault::QueueOutsideRam),
        (QueueConfig { device: good.driver, ..good }, Fault::QueueOverlap),
    ] {
        let mut guest = Guest::powered_on(Echo::default(), Taste::default());
        guest.set(register::STATUS, 3);
        guest.accept(feature::VERSION_1);
        guest.set(register::STATUS, 0xb);
        guest.open_queue(0, config);
        assert_eq!(guest.get(register::QUEUE_READY), 0);
        assert!(guest.needs_reset());
        assert_eq!(faults(&guest), [(fault, 1)]);
        // The driver is not ready, so it is not interrupted (2.1.2).
        assert_eq!(guest.line.level(), Level::Low);
    }
}

#[test]
fn a_queue_in_use_is_not_changed() {
    let mut guest = Guest::new(Echo::default(), Taste::default());
    guest.set(register::QUEUE_SEL, 0);
    guest.set(register::QUEUE_NUM, 3);
    guest.set(register::QUEUE_DESC, 0x1234);
    guest.set(register::QUEUE_READY, 1);
    guest.send(0, &[b"a"], &[1]).unwrap();
    assert!(guest.take(0).is_some());
}

#[test]
fn a_queue_out_of_use_is_not_touched() {
    let mut guest = Guest::new(Echo::default(), Taste::default());
    guest.set(register::QUEUE_SEL, 0);
    guest.set(register::QUEUE_READY, 0);
    assert_eq!(guest.get(register::QUEUE_READY), 0);
    guest.add(0, &[b"a"], &[1]).unwrap();
    guest.set(register::QUEUE_NOTIFY, 0);
    assert_eq!(guest.take(0), None);
    assert!(!guest.needs_reset());
}

#[test]
fn an_event_that_comes_before_the_acknowledgement_is_an_edge_of_its_own() {
    let mut guest = Guest::new(Echo::default(), Taste::default());
    guest.send(0, &[b"a"], &[1]).unwrap();
    let seen = guest.get(register::INTERRUPT_STATUS);
    guest.device.call(|_, context| context.config_changed());
    let edges = guest.line.edges();
    guest.set(register::INTERRUPT_ACK, seen);
    assert_eq!(guest.line.level(), Level::High);
    assert_eq!(guest.line.edges(), edges + 1);
    guest.set(register::INTERRUPT_ACK, 2);
    assert_eq!(guest.line.level(), Level::Low);
}

#[test]
fn a_change_of_the_configuration_changes_its_generation() {
    let mut guest = Guest::new(Echo::default(), Taste::default());
    let before = guest.get(0x0fc);
    guest.device.call(|_, context| context.config_changed());
    assert_ne!(guest.get(0x0fc), before);
    assert_eq!(guest.get(register::INTERRUPT_STATUS), 2);
    guest.set(register::STATUS, 0);
    assert_ne!(guest.get(0x0fc), before);
}

#[test]
fn the_configuration_is_accessed_in_any_width_and_registers_in_one() {
    let mut guest = Guest::powered_on(Echo::default(), Taste::default());
    guest.device.write(0x101, Width::B2, 0xbbaa, Instant(0));
    guest.device.write(0x103, Width::B8, u64::MAX, Instant(0));
    assert_eq!(guest.config(0, Width::B8), 0x0000_ffff_ffbb_aa00);
    assert_eq!(guest.config(5, Width::B1), 0xff);
    assert_eq!(guest.config(6, Width::B1), 0);
    assert_eq!(guest.config(u64::MAX - 0x100, Width::B8), 0);
    for width in [Width::B1, Width::B2, Width::B8] {
        assert_eq!(guest.device.read(0, width, Instant(0)), 0);
        guest.device.write(register::STATUS, width, 1, Instant(0));
    }
    assert_eq!(guest.get(register::STATUS), 0);
    assert_eq!(guest.get(0x001), 0);
}

fn accesses() -> impl Strategy<Value = Vec<(u64, Width, Option<u64>)>> {
    let width = prop_oneof![
        8 => Just(Width::B4), 1 => Just(Width::B1), 1 => Just(Width::B2), 1 => Just(Width::B8)
    ];
    let offset = prop_oneof![8 => (0..0x44u64).prop_map(|word| 4 * word), 1 => 0..WINDOW_BYTES, 1 => any::<u64>()];
    let ring = (0..0x400u64).prop_map(|offset| RAM_BASE + 4 * offset);
    let value = prop_oneof![8 => 0..16u64, 4 => ring, 1 => any::<u64>()];
    prop::collection::vec((offset, width, prop::option::of(value)), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_done_to_the_registers_a_reset_makes_it_good(
        accesses in accesses(),
        junk in prop::collection::vec(any::<u8>(), 0..2000),
        has_begun in any::<bool>(),
        is_packed in any::<bool>(),
    ) {
        let kind = if is_packed { QueueKind::Packed } else { QueueKind::Split };
        let mut guest = Guest::powered_on(Echo::default(), Taste { kind, ..Taste::default() });
        if has_begun {
            guest.start();
        }
        guest.ram.put(GuestPhysAddr(RAM_BASE), &junk);
        for (offset, width, value) in accesses {
            match value {
                Some(value) => guest.device.write(offset, width, value, Instant(0)),
                None => prop_assert!(guest.device.read(offset, width, Instant(0)) <= width.ones()),
            }
            let _ = guest.device.poll();
        }
        Device::reset(&mut guest.device);
        prop_assert_eq!(guest.line.level(), Level::Low);
        guest.start();
        guest.send(0, &[b"good"], &[4]).unwrap();
        prop_assert_eq!(guest.take(0).unwrap().data, b"good");
    }
}

#[test]
fn a_table_with_no_end_is_handled_once_and_never_again() {
    let mut guest = Guest::new(Echo::default(), Taste::default());
    let head = guest.queues[0].descriptor(0);
    put_descriptor(&*guest.ram, head, RAM_BASE + 0x10_0000, 1, [1, 0]);
    guest.queues[0].offer(&guest.ram, 0);
    guest.set(register::QUEUE_NOTIFY, 0);
    assert_eq!(faults(&guest), [(Fault::ChainLength, 1)]);
}
