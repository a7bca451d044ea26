//! Time, as a guest sees it.

use super::machine::{EPOCH, Machine, START_NS};
use crate::board::Board;
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;
use std::time::Duration;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;

fn words(machine: &Machine, at: u64) -> [u64; 4] {
    let mut line = [0; 32];
    machine.vm.ram().read(GuestPhysAddr(at), &mut line).unwrap();
    let (words, _) = line.as_chunks::<8>();
    [0, 1, 2, 3].map(|index: usize| u64::from_le_bytes(words[index]))
}

#[test]
fn the_tsc_deadline_interrupts_when_it_is_reached() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.wrmsr(0, 0x832, 2 << 17 | 0x40).unwrap();
    machine.pass(MS);
    let tsc = machine.rdmsr(0, 0x10).unwrap();
    machine.wrmsr(0, 0x6e0, tsc + 50 * US).unwrap();
    let vm = machine.vm.clone();
    assert_eq!(vm.board().deadline(machine.core(0)), machine.now() + Duration::from_micros(50));
    machine.pass(49 * US);
    assert_eq!(machine.interrupt(0), None);
    machine.pass(US);
    assert_eq!(machine.interrupt(0), Some(0x40));
    assert_eq!(machine.rdmsr(0, 0x6e0), Ok(0));
    machine.wrmsr(0, 0x80b, 0).unwrap();
    machine.wrmsr(0, 0x6e0, tsc).unwrap();
    assert_eq!(machine.interrupt(0), Some(0x40), "it is past already");
}

#[test]
fn a_deadline_that_is_sooner_has_the_cpus_timer_set() {
    use crate::run::Stop;
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.wrmsr(0, 0x832, 2 << 17 | 0x40).unwrap();
    let tsc = machine.rdmsr(0, 0x10).unwrap();
    for (later, is_sooner) in [(50 * US, true), (60 * US, false), (40 * US, true), (45 * US, false)]
    {
        machine.stops.clear();
        machine.wrmsr(0, 0x6e0, tsc + later).unwrap();
        assert_eq!(machine.stops == [(0, Stop::Sooner)], is_sooner, "{later}");
    }
    // Another CPU's affair, too.
    machine.stops.clear();
    machine.out(0, 0x43, 0x34);
    machine.out(0, 0x40, 2);
    machine.out(0, 0x40, 0);
    assert_eq!(machine.stops, [(0, Stop::Sooner)]);
}

#[test]
fn a_new_tsc_moves_its_deadline() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.wrmsr(0, 0x832, 2 << 17 | 0x40).unwrap();
    machine.wrmsr(0, 0x10, 1000).unwrap();
    machine.wrmsr(0, 0x6e0, 1000 + MS).unwrap();
    machine.wrmsr(0, 0x10, 1000 + MS - 10 * US).unwrap();
    machine.pass(9 * US);
    assert_eq!(machine.interrupt(0), None);
    machine.pass(US);
    assert_eq!(machine.interrupt(0), Some(0x40));
}

#[test]
fn the_periodic_timer_goes_on() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.wrmsr(0, 0x83e, 0xb).unwrap();
    machine.wrmsr(0, 0x832, 1 << 17 | 0x40).unwrap();
    machine.wrmsr(0, 0x838, MS).unwrap();
    for _ in 0..3 {
        machine.pass(MS);
        assert_eq!(machine.interrupt(0), Some(0x40));
        machine.wrmsr(0, 0x80b, 0).unwrap();
    }
    let vm = machine.vm.clone();
    let at = vm.board().wake_time(machine.core(0));
    assert_eq!(at, machine.now() + Duration::from_nanos(MS));
}

#[test]
fn the_paravirtual_clock_tells_the_guests_time() {
    let mut machine = Machine::new(2);
    machine.pass(3 * MS);
    machine.wrmsr(0, 0x4b56_4d01, 0x9001).unwrap();
    assert_eq!(machine.rdmsr(0, 0x4b56_4d01), Ok(0x9001));
    let [version, tsc, time, scale] = words(&machine, 0x9000);
    assert_eq!(version & 1, 0);
    assert_eq!((tsc, time), (3 * MS, 3 * MS));
    // 1 GHz: twice a half; stable.
    assert_eq!((scale as u32, scale >> 32 & 0xff, scale >> 40 & 0xff), (1 << 31, 1, 1));
    machine.wrmsr(0, 0x4b56_4d00, 0x9040).unwrap();
    let [first, nanos, ..] = words(&machine, 0x9040);
    let began = EPOCH + Duration::from_nanos(START_NS);
    assert_eq!((first >> 32, nanos as u32), (began.as_secs(), began.subsec_nanos()));
}

#[test]
fn a_pause_is_not_in_the_guests_time() {
    let mut machine = Machine::new(1);
    machine.wrmsr(0, 0x4b56_4d01, 0x9001).unwrap();
    machine.pass(MS);
    let vm = machine.vm.clone();
    let core = machine.core(0);
    vm.board().unloading(core);
    core.cpu.put();
    vm.delay(Duration::from_secs(5));
    machine.shared.platform().clock.fetch_add(5_000_000_000, std::sync::atomic::Ordering::SeqCst);
    let core = machine.core(0);
    core.cpu.load(vm.behind(Instant(0)));
    vm.board().loaded(core);
    let [_, tsc, time, _] = words(&machine, 0x9000);
    assert_eq!((tsc, time), (MS, MS));
    // The PM timer, too: 3579 ticks a millisecond.
    let ticks = machine.input(0, 0x608);
    assert_eq!(u32::from(ticks), 3579 & 0xff);
}

#[test]
fn the_cmos_clock_shows_the_time_of_day_all_the_same() {
    let mut machine = Machine::new(1);
    machine.vm.delay(Duration::from_secs(30));
    machine.pass(61_000_000_000);
    let mut cmos = |index| {
        machine.out(0, 0x70, index);
        machine.input(0, 0x71)
    };
    // 2023-11-14 22:13:20 and a minute and a second, in BCD.
    assert_eq!([9, 8, 7, 4, 2, 0].map(&mut cmos), [0x23, 0x11, 0x14, 0x22, 0x14, 0x21]);
}
