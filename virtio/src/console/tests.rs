use super::*;
use crate::queue::QueueKind;
use crate::testing::guest::{Guest, Taste, register};
use hv_core::guest::Device;
use hv_core::time::Instant;
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Default)]
struct End {
    output: Vec<u8>,
    input: VecDeque<u8>,
}

impl ConsolePort for End {
    fn write(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
    }
    fn has_input(&self) -> bool {
        !self.input.is_empty()
    }
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let count = buf.len().min(self.input.len());
        for (place, byte) in buf.iter_mut().zip(self.input.drain(..count)) {
            *place = byte;
        }
        count
    }
}

type ConsoleGuest = Guest<Console<End>>;

fn plain() -> ConsoleGuest {
    Guest::new(Console::new(End::default(), []), Taste::default())
}

fn with_ports(taste: Taste) -> ConsoleGuest {
    let others = [("log", End::default()), ("agent", End::default())];
    Guest::new(Console::new(End::default(), others), taste)
}

fn output(guest: &mut ConsoleGuest, port: usize) -> Vec<u8> {
    guest.device.call(|console, _| core::mem::take(&mut console.port(port).unwrap().output))
}

fn type_in(guest: &mut ConsoleGuest, port: usize, bytes: &[u8]) -> More {
    guest.device.call(|console, context| {
        console.port(port).unwrap().input.extend(bytes);
        console.input_arrived(context)
    })
}

/// What a driver received of queue `queue`.
fn received(guest: &mut ConsoleGuest, queue: usize) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| guest.take(queue))
        .map(|done| done.data[..done.len as usize].to_vec())
        .collect()
}

fn say(guest: &mut ConsoleGuest, port: u32, event: u16, value: u16) {
    let bytes = [&port.to_le_bytes()[..], &event.to_le_bytes(), &value.to_le_bytes()].concat();
    guest.send(CONTROL_TRANSMIT, &[&bytes], &[]).unwrap();
    assert!(guest.take(CONTROL_TRANSMIT).is_some() || guest.needs_reset());
}

/// Port, event, value and the rest of each message of the device.
fn messages(guest: &mut ConsoleGuest) -> Vec<(u8, u8, u8, Vec<u8>)> {
    let all = received(guest, CONTROL_RECEIVE);
    all.into_iter()
        .map(|message| (message[0], message[4], message[6], message[8..].into()))
        .collect()
}

#[test]
fn output_arrives_whole_and_in_order() {
    for kind in [QueueKind::Split, QueueKind::Packed] {
        let taste = Taste { kind, ..Taste::default() };
        let mut guest = Guest::new(Console::new(End::default(), []), taste);
        guest.send(1, &[b"hello ", b"wor"], &[]).unwrap();
        guest.send(1, &[b"ld\r\n"], &[]).unwrap();
        assert_eq!(output(&mut guest, 0), b"hello world\r\n");
        assert_eq!(guest.take(1).unwrap().len, 0);
        assert!(guest.take(1).is_some());
    }
}

#[test]
fn input_waits_for_buffers() {
    let mut guest = plain();
    assert_eq!(type_in(&mut guest, 0, b"abcdef"), More::No);
    assert!(!guest.interrupted());
    guest.send(0, &[], &[4]).unwrap();
    assert!(guest.interrupted());
    guest.send(0, &[], &[4]).unwrap();
    guest.send(0, &[], &[4]).unwrap();
    assert_eq!(received(&mut guest, 0), [&b"abcd"[..], b"ef"]);
    assert_eq!(type_in(&mut guest, 0, b"g"), More::No);
    assert_eq!(received(&mut guest, 0), [b"g"]);
}

#[test]
fn a_flood_is_handled_in_turns_and_loses_nothing() {
    let mut guest = plain();
    let flood: Vec<u8> = (0..100_000u32).map(|index| index as u8).collect();
    guest.send(1, &[&flood], &[]).unwrap();
    let mut seen = output(&mut guest, 0);
    assert_eq!(seen.len(), BUDGET_BYTES);
    assert_eq!(guest.bell.rings(), 1);
    assert_eq!(guest.take(1), None);
    let mut more = More::Yes;
    while more == More::Yes {
        more = guest.device.poll();
        let next = output(&mut guest, 0);
        assert!(next.len() <= BUDGET_BYTES);
        seen.extend(next);
    }
    assert_eq!(seen, flood);
    assert!(guest.take(1).is_some());
}

#[test]
fn much_input_comes_in_turns() {
    let mut guest = plain();
    for _ in 0..QUEUE_SIZE {
        guest.send(0, &[], &[1 << 10]).unwrap();
    }
    let typed: Vec<u8> = (0..50_000u32).map(|index| index as u8).collect();
    assert_eq!(type_in(&mut guest, 0, &typed), More::Yes);
    assert_eq!(guest.device.call(|console, context| console.input_arrived(context)), More::No);
    assert_eq!(received(&mut guest, 0).concat(), typed);
}

#[test]
fn the_emergency_write_works_at_any_time() {
    let mut guest = Guest::powered_on(Console::new(End::default(), []), Taste::default());
    guest.set(register::CONFIG + 8, 0x1234_5600 | u32::from(b'!'));
    guest.device.write(register::CONFIG + 8, Width::B1, u64::from(b'?'), Instant(0));
    guest.device.write(register::CONFIG + 4, Width::B8, u64::from(b'.') << 32, Instant(0));
    guest.set(register::CONFIG, 7);
    guest.set(register::CONFIG + 12, 7);
    assert_eq!(output(&mut guest, 0), b"!?.");
}

#[test]
fn the_size_is_in_the_configuration() {
    let mut guest = plain();
    assert_eq!(guest.config(0, Width::B4), 0);
    let size = TerminalSize { columns: 132, rows: 43 };
    guest.device.call(|console, context| console.resize(size, context));
    assert_eq!(guest.get(register::INTERRUPT_STATUS), 2);
    assert_eq!((guest.config(0, Width::B2), guest.config(2, Width::B2)), (132, 43));
    guest.interrupted();
    guest.device.call(|console, context| console.resize(size, context));
    assert!(!guest.interrupted());
    assert_eq!(guest.config(4, Width::B4), 1);
}

#[test]
fn a_driver_that_comes_later_hears_of_the_size() {
    let mut guest = Guest::powered_on(Console::new(End::default(), []), Taste::default());
    let size = TerminalSize { columns: 132, rows: 43 };
    guest.device.call(|console, context| console.resize(size, context));
    guest.start();
    assert_eq!(guest.get(register::INTERRUPT_STATUS) & 2, 2);
    assert_eq!((guest.config(0, Width::B2), guest.config(2, Width::B2)), (132, 43));
    // Without a terminal there is nothing to hear.
    assert_eq!(plain().get(register::INTERRUPT_STATUS) & 2, 0);
}

#[test]
fn a_console_of_one_port_has_no_control_queues() {
    let mut guest = plain();
    assert_eq!(guest.queues.len(), 2);
    assert_eq!(guest.offered() & FEATURE_MULTIPORT, 0);
}

#[test]
fn ports_are_announced_and_described() {
    let mut guest = with_ports(Taste::default());
    assert_eq!(guest.queues.len(), 8);
    assert_eq!(guest.config(4, Width::B4), 3);
    guest.device.call(|console, context| {
        console.resize(TerminalSize { columns: 80, rows: 25 }, context);
    });
    for _ in 0..20 {
        guest.send(CONTROL_RECEIVE, &[], &[32]).unwrap();
    }
    assert!(messages(&mut guest).is_empty());
    say(&mut guest, 0, 0, 1);
    let announced = messages(&mut guest);
    assert_eq!(announced, [(0, 1, 1, vec![]), (1, 1, 1, vec![]), (2, 1, 1, vec![])]);
    say(&mut guest, 0, 3, 1);
    let terminal = [(0, 4, 1, vec![]), (0, 5, 1, vec![80, 0, 25, 0]), (0, 6, 1, vec![])];
    assert_eq!(messages(&mut guest), terminal);
    say(&mut guest, 2, 3, 1);
    assert_eq!(messages(&mut guest), [(2, 7, 1, b"agent".to_vec()), (2, 6, 1, vec![])]);
    guest.device.call(|console, context| {
        console.resize(TerminalSize { columns: 100, rows: 30 }, context);
    });
    assert_eq!(messages(&mut guest), [(0, 5, 1, vec![100, 0, 30, 0])]);
}

#[test]
fn each_port_has_its_own_queues() {
    let mut guest = with_ports(Taste::default());
    guest.send(5, &[b"to the log"], &[]).unwrap();
    guest.send(7, &[b"to the agent"], &[]).unwrap();
    assert_eq!(output(&mut guest, 0), b"");
    assert_eq!(output(&mut guest, 1), b"to the log");
    assert_eq!(output(&mut guest, 2), b"to the agent");
    guest.send(6, &[], &[100]).unwrap();
    let _ = type_in(&mut guest, 2, b"ping");
    assert_eq!(received(&mut guest, 6), [b"ping"]);
}

#[test]
fn messages_wait_for_buffers_and_are_never_more_than_their_kinds() {
    let mut guest = with_ports(Taste::default());
    for _ in 0..100 {
        say(&mut guest, 0, 0, 1);
    }
    for _ in 0..20 {
        guest.send(CONTROL_RECEIVE, &[], &[32]).unwrap();
    }
    assert_eq!(messages(&mut guest).len(), 3);
}

#[test]
fn messages_that_make_no_sense_do_nothing() {
    let mut guest = with_ports(Taste::default());
    for _ in 0..20 {
        guest.send(CONTROL_RECEIVE, &[], &[32]).unwrap();
    }
    // Ready before it was announced; a port that does not exist; an event that does not; failures.
    for (port, event, value) in
        [(0, 3, 1), (3, 3, 1), (u32::MAX, 3, 1), (0, 8, 1), (0, 0, 0), (0, 2, 1)]
    {
        say(&mut guest, port, event, value);
    }
    assert!(messages(&mut guest).is_empty());
    assert!(!guest.needs_reset());
}

#[test]
fn without_the_feature_the_control_queues_are_silent() {
    let taste = Taste { features: FEATURE_SIZE, ..Taste::default() };
    let mut guest = with_ports(taste);
    guest.send(CONTROL_RECEIVE, &[], &[32]).unwrap();
    guest.send(CONTROL_TRANSMIT, &[&[0, 0, 0, 0, 0, 0, 1, 0]], &[]).unwrap();
    assert_eq!(guest.take(CONTROL_RECEIVE), None);
    guest.send(1, &[b"x"], &[]).unwrap();
    assert_eq!(output(&mut guest, 0), b"x");
}

#[test]
fn buffers_of_the_wrong_kind_are_faults() {
    let mut guest = plain();
    guest.send(0, &[b"x"], &[]).unwrap();
    let _ = type_in(&mut guest, 0, b"y");
    assert!(guest.needs_reset());
    let mut guest = with_ports(Taste::default());
    guest.send(CONTROL_TRANSMIT, &[b"short"], &[]).unwrap();
    assert!(guest.needs_reset());
    let mut guest = with_ports(Taste::default());
    guest.send(CONTROL_RECEIVE, &[], &[7]).unwrap();
    say(&mut guest, 0, 0, 1);
    assert!(guest.needs_reset());
}

#[test]
fn a_reset_in_the_middle_of_a_flood_forgets_its_rest() {
    let mut guest = plain();
    guest.send(1, &[&vec![b'a'; 100_000]], &[]).unwrap();
    guest.start();
    assert_eq!(guest.device.poll(), More::No);
    output(&mut guest, 0);
    guest.send(1, &[b"b"], &[]).unwrap();
    assert_eq!(output(&mut guest, 0), b"b");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_byte_is_lost_or_moved_in_either_direction(
        ops in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..3000), 1..900u32), 1..40),
        is_packed in any::<bool>(),
        event_index in any::<bool>(),
    ) {
        let kind = if is_packed { QueueKind::Packed } else { QueueKind::Split };
        let taste = Taste { kind, event_index, ..Taste::default() };
        let mut guest = Guest::new(Console::new(End::default(), []), taste);
        let (mut sent, mut typed) = (Vec::<u8>::new(), Vec::<u8>::new());
        let (mut seen, mut got) = (Vec::<u8>::new(), Vec::<u8>::new());
        for (is_output, bytes, room) in ops {
            if is_output {
                let (first, second) = bytes.split_at(bytes.len() / 2);
                let parts: Vec<&[u8]> = [first, second].into_iter().filter(|part| !part.is_empty()).collect();
                guest.send(1, &parts, &[]).unwrap();
                sent.extend(&bytes);
            } else {
                let _ = type_in(&mut guest, 0, &bytes);
                typed.extend(&bytes);
                let _ = guest.send(0, &[], &[room]);
            }
            seen.extend(output(&mut guest, 0));
            while guest.take(1).is_some() {}
            got.extend(received(&mut guest, 0).concat());
        }
        while got.len() < typed.len() {
            guest.send(0, &[], &[4096]).unwrap();
            got.extend(received(&mut guest, 0).concat());
        }
        prop_assert_eq!(seen, sent);
        prop_assert_eq!(got, typed);
        prop_assert!(!guest.needs_reset());
    }
}
