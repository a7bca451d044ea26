//! Which interrupt interrupts which.

use super::machine::{EOI, ISR, Machine, PPR, TPR};

#[test]
fn the_most_urgent_comes_first() {
    let mut machine = Machine::enabled(1);
    for vector in [0x31, 0xf0, 0x80, 0x20, 0x81] {
        machine.send(0, 0, 0x4000 | vector);
    }
    assert_eq!(machine.drain(0), [0xf0, 0x81, 0x80, 0x31, 0x20]);
}

#[test]
fn only_a_higher_class_nests() {
    let mut machine = Machine::enabled(1);
    machine.send(0, 0, 0x4050);
    assert_eq!(machine.take(0), Some(0x50));
    assert_eq!((machine.read(0, PPR), machine.read(0, ISR + 0x20)), (0x50, 1 << 16));
    machine.send(0, 0, 0x405f);
    assert_eq!(machine.take(0), None, "the same class");
    machine.send(0, 0, 0x4060);
    assert_eq!(machine.take(0), Some(0x60));
    machine.write(0, EOI, 0);
    assert_eq!(machine.take(0), None);
    machine.write(0, EOI, 0);
    assert_eq!(machine.take(0), Some(0x5f));
}

#[test]
fn the_task_priority_holds_back_its_class_and_those_below() {
    let mut machine = Machine::enabled(1);
    machine.write(0, TPR, 0x6a);
    assert_eq!(machine.read(0, PPR), 0x6a);
    machine.send(0, 0, 0x406f);
    assert_eq!(machine.take(0), None);
    machine.send(0, 0, 0x4070);
    assert_eq!(machine.take(0), Some(0x70));
    assert_eq!(machine.read(0, PPR), 0x70);
    machine.write(0, EOI, 0);
    machine.apics[0].set_task_priority(0x50);
    assert_eq!(machine.read(0, TPR), 0x50);
    assert_eq!(machine.take(0), Some(0x6f));
}

#[test]
fn a_vector_waits_behind_itself_once() {
    let mut machine = Machine::enabled(1);
    for _ in 0..3 {
        machine.send(0, 0, 0x4050);
    }
    assert_eq!(machine.take(0), Some(0x50));
    for _ in 0..3 {
        machine.send(0, 0, 0x4050);
    }
    machine.write(0, EOI, 0);
    assert_eq!(machine.drain(0), [0x50]);
}

#[test]
fn an_end_of_nothing_is_ignored() {
    let mut machine = Machine::enabled(1);
    machine.write(0, EOI, 0);
    assert!(machine.ended.is_empty());
}

#[test]
fn the_arbitration_priority_is_the_greatest_class() {
    let mut machine = Machine::enabled(1);
    machine.write(0, TPR, 0x35);
    assert_eq!(machine.read(0, 0x90), 0x35);
    machine.send(0, 0, 0x4092);
    assert_eq!(machine.read(0, 0x90), 0x90);
}
