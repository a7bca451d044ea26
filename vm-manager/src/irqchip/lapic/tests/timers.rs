//! The timer as Linux programs it.

use super::machine::{CURRENT, DIVIDE, INITIAL, LVT_TIMER, Machine};
use crate::irqchip::lapic::TscDeadline;
use hv_core::time::Instant;

const ONE_SHOT: u32 = 0xec;
const PERIODIC: u32 = 0x2_00ec;
const TSC_DEADLINE: u32 = 0x4_00ec;

#[test]
fn one_shot_interrupts_once() {
    let mut machine = Machine::enabled(1);
    machine.write(0, DIVIDE, 0x3);
    machine.write(0, LVT_TIMER, ONE_SHOT);
    machine.write(0, INITIAL, 1000);
    assert_eq!(machine.apics[0].next_deadline(), Instant(16_000));
    machine.now = Instant(8_000);
    assert_eq!((machine.read(0, CURRENT), machine.take(0)), (500, None));
    machine.now = Instant(16_000);
    assert_eq!((machine.read(0, CURRENT), machine.drain(0)), (0, vec![0xec]));
    assert_eq!(machine.apics[0].next_deadline(), Instant::NEVER);
    machine.now = Instant(64_000);
    assert_eq!(machine.take(0), None);
}

#[test]
fn periods_interrupt_again_and_again_without_drift() {
    let mut machine = Machine::enabled(1);
    machine.write(0, DIVIDE, 0xb);
    machine.write(0, LVT_TIMER, PERIODIC);
    machine.write(0, INITIAL, 1000);
    for period in 1..10 {
        let at = machine.apics[0].next_deadline();
        assert_eq!(at, Instant(period * 1000));
        machine.now = Instant(at.0 + 300);
        assert_eq!(machine.drain(0), [0xec]);
        assert_eq!(machine.read(0, CURRENT), 700);
    }
}

#[test]
fn a_period_that_waits_asks_for_no_further_one() {
    let mut machine = Machine::enabled(1);
    machine.write(0, DIVIDE, 0xb);
    machine.write(0, LVT_TIMER, PERIODIC);
    machine.write(0, INITIAL, 1);
    machine.now = Instant(5);
    machine.apics[0].poll(machine.now);
    assert_eq!(machine.apics[0].next_deadline(), Instant::NEVER);
    assert_eq!(machine.take(0), Some(0xec));
    assert_eq!(machine.apics[0].next_deadline(), Instant(6));
}

#[test]
fn masked_it_counts_and_asks_for_nothing() {
    let mut machine = Machine::enabled(1);
    machine.write(0, DIVIDE, 0xb);
    machine.write(0, LVT_TIMER, 0x1_0000 | ONE_SHOT);
    machine.write(0, INITIAL, 1000);
    assert_eq!(machine.apics[0].next_deadline(), Instant::NEVER);
    machine.now = Instant(400);
    assert_eq!(machine.read(0, CURRENT), 600);
    machine.now = Instant(2000);
    assert_eq!(machine.read(0, CURRENT), 0);
    machine.write(0, LVT_TIMER, ONE_SHOT);
    assert_eq!(machine.take(0), None, "it is lost");
}

#[test]
fn a_count_of_zero_stops_it() {
    let mut machine = Machine::enabled(1);
    machine.write(0, LVT_TIMER, PERIODIC);
    machine.write(0, INITIAL, 1000);
    machine.write(0, INITIAL, 0);
    assert_eq!(machine.apics[0].next_deadline(), Instant::NEVER);
}

#[test]
fn a_deadline_interrupts_once_and_is_then_zero() {
    let mut machine = Machine::x2apic(1);
    machine.write_msr(0, 0x832, u64::from(TSC_DEADLINE));
    let deadline = TscDeadline { tsc: 3_000_000, at: Instant(1_000_000) };
    machine.apics[0].set_tsc_deadline(deadline, Instant(0));
    assert_eq!(machine.apics[0].next_deadline(), Instant(1_000_000));
    assert_eq!(machine.apics[0].tsc_deadline(Instant(999_999)), 3_000_000);
    machine.now = Instant(1_000_000);
    assert_eq!(machine.drain(0), [0xec]);
    assert_eq!(machine.apics[0].tsc_deadline(machine.now), 0);
    assert_eq!(machine.apics[0].next_deadline(), Instant::NEVER);
}

#[test]
fn a_deadline_of_zero_disarms() {
    let mut machine = Machine::x2apic(1);
    machine.write_msr(0, 0x832, u64::from(TSC_DEADLINE));
    machine.apics[0].set_tsc_deadline(TscDeadline { tsc: 3, at: Instant(1) }, Instant(0));
    machine.apics[0].set_tsc_deadline(TscDeadline { tsc: 0, at: Instant(0) }, Instant(0));
    assert_eq!(machine.apics[0].next_deadline(), Instant::NEVER);
    machine.now = Instant(10);
    assert_eq!(machine.take(0), None);
}

#[test]
fn a_deadline_in_the_past_interrupts_at_once() {
    let mut machine = Machine::x2apic(1);
    machine.write_msr(0, 0x832, u64::from(TSC_DEADLINE));
    machine.now = Instant(100);
    machine.apics[0].set_tsc_deadline(TscDeadline { tsc: 3, at: Instant(1) }, machine.now);
    assert_eq!(machine.drain(0), [0xec]);
}

#[test]
fn init_stops_it() {
    let mut machine = Machine::enabled(1);
    machine.write(0, LVT_TIMER, PERIODIC);
    machine.write(0, INITIAL, 1000);
    machine.apics[0].init();
    assert_eq!(machine.apics[0].next_deadline(), Instant::NEVER);
}
