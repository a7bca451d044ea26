use super::Turn;
use crate::board::Board;
use crate::sched::SLICE;
use crate::shared::{HOST_WORK_SOON, SERVICE_CPU};
use crate::sink::Bell;
use crate::testing::guest::Guest;
use crate::testing::machine::Machine;
use crate::testing::sim::Pace;
use crate::virt_map::{GicVersion, PL011_SPI};
use hv_core::arch::aarch64::sysreg::SystemRegister;
use hv_core::guest::Width;
use proptest::prelude::*;
use std::time::{Duration, Instant as HostInstant};

const MS: Duration = Duration::from_millis(1);
const US: Duration = Duration::from_micros(1);
const TIMER: u32 = 27;
const PHYSICAL_TIMER: u32 = 30;
const CNTP_CTL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 1);
const CNTP_CVAL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 2);

fn exits(machine: &Machine, vm: u32, kind: &str) -> u64 {
    let vm = machine.vm(vm);
    vm.slots()
        .iter()
        .flat_map(|slot| slot.exits())
        .filter(|(name, _)| *name == kind)
        .map(|e| e.1)
        .sum()
}

#[test]
fn who_has_nothing_to_run_sleeps_until_its_deadline() {
    let mut machine = Machine::new(1);
    let limit = machine.now() + 5 * MS;
    assert_eq!(machine.turn(limit), Turn::HostWork);
    assert_eq!(machine.now(), limit);
    let (sleeps, set) = machine.sim.with_cpu(0, |cpu| (cpu.sleeps, cpu.timers_set.clone()));
    assert_eq!((sleeps, set), (1, vec![limit]), "one sleep, one timer");
}

#[test]
fn time_asleep_is_idle_time() {
    let mut machine = Machine::new(2);
    let start = machine.now();
    machine.run_for(20 * MS);
    for cpu in 0..2 {
        let idle = Duration::from_nanos(machine.shared.idle_ns(cpu, machine.now()));
        let all = machine.now().since(start);
        assert!(idle <= all && idle > all * 99 / 100, "CPU {cpu}: {idle:?} of {all:?}");
    }
}

#[test]
fn an_idle_vcpu_costs_nothing() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { while guest.interrupt().await != 0 {} });
    let id = machine.boot("idle", program, &[]);
    machine.run_for(MS);
    let before = (exits(&machine, id, "idle"), machine.vm(id).ran(machine.now()));
    machine.run_for(100 * MS);
    let ran = machine.vm(id).ran(machine.now()) - before.1;
    assert_eq!(exits(&machine, id, "idle"), before.0, "it is not even looked at");
    assert_eq!(ran, Duration::ZERO);
}

#[test]
fn who_is_alone_has_no_slice_timer() {
    let mut machine = Machine::new(2);
    let spin = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("alone", spin, &[("affinity", "1")]);
    machine.run_for(MS);
    let before = exits(&machine, id, "interrupt");
    machine.run_for(Duration::from_secs(1));
    assert_eq!(exits(&machine, id, "interrupt"), before, "nothing takes it out of its guest");
    assert_eq!(machine.vm(id).slots()[0].running_on(), Some(1));
}

#[test]
fn two_busy_vcpus_share_their_cpu_in_slices() {
    let mut machine = Machine::new(2);
    let spin = machine.program(|guest| async move { guest.spin().await });
    let ids = [("a", "100"), ("b", "300")]
        .map(|(name, weight)| machine.boot(name, spin, &[("affinity", "1"), ("weight", weight)]));
    machine.run_for(10 * MS);
    let start = machine.now();
    let before = ids.map(|id| machine.vm(id).ran(start));
    let loads = machine.sim.with_cpu(1, |cpu| cpu.loads);
    machine.run_for(Duration::from_secs(2));
    let now = machine.now();
    let ran = ids.map(|id| machine.vm(id).ran(now));
    let shares =
        [0, 1].map(|i| (ran[i] - before[i]).as_secs_f64() / now.since(start).as_secs_f64());
    assert!((shares[0] - 0.25).abs() < 0.02 && (shares[1] - 0.75).abs() < 0.02, "{shares:?}");
    let loads = machine.sim.with_cpu(1, |cpu| cpu.loads) - loads;
    let slices = (now.since(start).as_nanos() / SLICE.as_nanos()) as u32;
    assert!(loads <= slices + 1, "{loads} switches in {slices} slices");
}

#[test]
fn a_vcpu_keeps_its_registers_from_turn_to_turn_and_from_cpu_to_cpu() {
    let mut machine = Machine::new(3);
    let program = machine.program(|guest| async move {
        let mine = guest.counter() << 8 | 0x5a;
        guest.with_el1(|el1| el1.tpidr = mine);
        let mut cpus = 0_u64;
        for _ in 0..2000 {
            guest.work(20 * US).await;
            guest.wfe().await;
            cpus |= 1 << guest.host_cpu();
            assert_eq!(guest.with_el1(|el1| el1.tpidr), mine);
        }
        guest.note(format!("{cpus:b}"));
    });
    for name in ["a", "b", "c", "d"] {
        machine.boot(name, program, &[("affinity", "1,2")]);
    }
    for round in 0..60 {
        machine.run_for(3 * MS);
        machine.manager.configure(1 + round % 4, None, Some(0b010 << (round / 4 % 2))).unwrap();
    }
    machine.run_for(200 * MS);
    assert_eq!(machine.notes(), ["110"; 4], "all have been on both");
}

#[test]
fn a_change_of_affinity_moves_a_vcpu_at_once_whatever_it_does() {
    let spin = |guest: Guest| async move { guest.spin().await };
    let idle = |guest: Guest| async move { while guest.interrupt().await != 0 {} };
    let mut machine = Machine::new(3);
    let programs = [machine.program(spin), machine.program(idle)];
    for (name, program) in ["busy", "idle"].into_iter().zip(programs) {
        let id = machine.boot(name, program, &[("affinity", "1")]);
        machine.run_for(MS);
        machine.manager.configure(id, None, Some(0b100)).unwrap();
        machine.run_for(MS);
        let vm = machine.vm(id);
        if name == "busy" {
            assert_eq!(vm.slots()[0].running_on(), Some(2));
        }
        assert!(vm.slots()[0].events() & crate::slot::EVICT == 0, "{name} was evicted");
    }
}

/// Sleeps on its virtual timer, again and again, and notes the worst delay in microseconds.
async fn tick(guest: Guest) {
    guest.enable_private(&[TIMER]).await;
    let mut worst = Duration::ZERO;
    for _ in 0..100 {
        let due = guest.time() + 300 * US;
        guest.set_timer(due);
        while guest.interrupt().await != TIMER {}
        worst = worst.max(guest.time().saturating_sub(due));
        guest.stop_timer();
    }
    guest.note(format!("{}", worst.as_micros()));
}

fn worst_delay(machine: &Machine) -> u64 {
    machine.notes().iter().map(|note| note.parse().unwrap()).max().unwrap()
}

#[test]
fn a_virtual_timer_wakes_a_vcpu_that_is_loaded() {
    for gic in [GicVersion::V2, GicVersion::V3] {
        let mut machine = Machine::with(1, Pace::Simulated, gic);
        let program = machine.program(tick);
        machine.boot("guest", program, &[]);
        machine.run_for(50 * MS);
        assert!(worst_delay(&machine) < 20, "{:?}", machine.notes());
    }
}

#[test]
fn a_virtual_timer_wakes_a_vcpu_while_there_is_always_more_to_do_for_the_host() {
    let mut machine = Machine::new(1);
    let program = machine.program(tick);
    machine.boot("guest", program, &[]);
    let end = machine.now() + 50 * MS;
    while machine.now() < end {
        // As the service CPU does: no time but for guests that want to run.
        let now = machine.now();
        let is_wanted = machine.shared.scheduler().has_waiting(0);
        machine.serve(if is_wanted { now + MS } else { now });
    }
    assert!(worst_delay(&machine) < 20, "{:?}", machine.notes());
}

#[test]
fn timers_of_vcpus_that_were_put_wake_them() {
    let mut machine = Machine::new(1);
    let program = machine.program(tick);
    for name in ["a", "b", "c", "d"] {
        machine.boot(name, program, &[]);
    }
    machine.run_for(50 * MS);
    assert_eq!(machine.notes().len(), 4, "none is forgotten");
    assert!(worst_delay(&machine) < 50, "{:?}", machine.notes());
}

#[test]
fn a_timer_that_is_due_interrupts_a_busy_neighbour() {
    let mut machine = Machine::new(2);
    let spin = machine.program(|guest| async move { guest.spin().await });
    let program = machine.program(tick);
    machine.boot("busy", spin, &[("affinity", "1")]);
    machine.run_for(20 * MS);
    machine.boot("ticking", program, &[("affinity", "1")]);
    machine.run_for(200 * MS);
    assert!(worst_delay(&machine) < 100, "{:?}", machine.notes());
}

/// The same with the physical timer, which is emulated.
async fn tick_physical(guest: Guest) {
    guest.enable_private(&[PHYSICAL_TIMER]).await;
    let mut worst = Duration::ZERO;
    for round in 0..50 {
        let due = guest.counter() + 20_000;
        guest.msr(CNTP_CVAL, due).await.unwrap();
        guest.msr(CNTP_CTL, 1).await.unwrap();
        if round % 2 == 0 {
            while guest.interrupt().await != PHYSICAL_TIMER {}
        } else {
            // Without a pause: it must be taken out of the guest.
            while guest.acknowledge().is_none() {
                guest.work(10 * US).await;
            }
            guest.end();
        }
        worst = worst.max(Duration::from_nanos((guest.counter() - due) * 16));
        guest.msr(CNTP_CTL, 0).await.unwrap();
        // What was pending while its line was still high.
        guest.acknowledge().inspect(|_| guest.end());
    }
    guest.note(format!("{}", worst.as_micros()));
}

#[test]
fn a_physical_timer_wakes_and_interrupts_its_vcpu() {
    let mut machine = Machine::new(2);
    let program = machine.program(tick_physical);
    machine.boot("guest", program, &[("affinity", "1")]);
    machine.run_for(100 * MS);
    assert!(worst_delay(&machine) < 50, "{:?}", machine.notes());
}

#[test]
fn physical_timers_of_vcpus_that_were_put_wake_them() {
    let mut machine = Machine::new(2);
    let program = machine.program(tick_physical);
    for name in ["a", "b", "c"] {
        machine.boot(name, program, &[("affinity", "1")]);
    }
    machine.run_for(200 * MS);
    assert_eq!(machine.notes().len(), 3);
    assert!(worst_delay(&machine) < 13_000, "two others' slices at most: {:?}", machine.notes());
}

#[test]
fn an_interrupt_from_another_cpu_wakes_a_vcpu() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        guest.listen().await;
        for _ in 0..3 {
            while guest.interrupt().await != PL011_SPI.intid() {}
            let typed = guest.typed().await;
            guest.note(format!("{typed:x}"));
        }
    });
    let id = machine.boot("guest", program, &[("affinity", "1")]);
    for byte in b"abc" {
        machine.run_for(MS);
        assert_eq!(machine.manager.type_in(id, &[*byte]).unwrap(), 1);
    }
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["61", "62", "63"]);
}

/// How a guest waits for an interrupt.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Wfi,
    /// By PSCI's CPU_SUSPEND.
    Suspend,
}

async fn wait_for(guest: &Guest, intid: u32, wait: Wait) {
    loop {
        match guest.acknowledge() {
            Some(acknowledged) => {
                guest.end();
                if acknowledged == intid {
                    return;
                }
            }
            None => match wait {
                Wait::Wfi => guest.wfi().await,
                Wait::Suspend => assert_eq!(guest.hvc([0x8400_0001, 0, 0, 0]).await, 0),
            },
        }
    }
}

/// Two vCPUs that wake each other in turn, so often; a lost wake-up ends it. vCPU 0 starts the other one.
fn ping_pong(
    rounds: u64,
    wait: Wait,
) -> impl Fn(Guest) -> crate::testing::guest::Run + Send + Sync {
    move |guest: Guest| {
        Box::pin(async move {
            const CPU_ON: u64 = 0xc400_0003;
            let me = guest.index;
            guest.enable_private(&[1, 2]).await;
            if me == 0 {
                assert_eq!(guest.hvc([CPU_ON, 1, 0x4000_0000, 0]).await, 0);
                wait_for(&guest, 2, wait).await;
            } else {
                guest.send_sgi(2, 1).await;
            }
            let other = 1 << (1 - me);
            for round in 0..rounds {
                if round % 2 == u64::from(me) {
                    guest.send_sgi(1, other).await;
                } else {
                    wait_for(&guest, 1, wait).await;
                }
            }
            guest.note("done");
        })
    }
}

#[test]
fn two_vcpus_wake_each_other() {
    for affinity in ["1", "2", "1,2"] {
        let mut machine = Machine::new(3);
        let program = machine.program(ping_pong(200, Wait::Wfi));
        machine.boot("guest", program, &[("vcpus", "2"), ("affinity", affinity)]);
        machine.run_until(500 * MS, |machine| machine.notes().len() == 2);
    }
}

/// Guests that want the CPUs too: they compute, and offer their turn now and then.
async fn crowd(guest: Guest) {
    loop {
        guest.work(3 * US).await;
        guest.wfe().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_wake_up_is_lost_in_any_order_of_steps(
        seed: u64,
        affinity in 1..8_u64,
        cpus in 1..4_usize,
        others in 0..3_usize,
        wait in prop_oneof![Just(Wait::Wfi), Just(Wait::Suspend)],
        gic in prop_oneof![Just(GicVersion::V2), Just(GicVersion::V3)],
    ) {
        let mut machine = Machine::with(cpus, Pace::Shuffled(seed), gic);
        let program = machine.program(ping_pong(30, wait));
        let other = machine.program(crowd);
        for index in 0..others {
            machine.boot(&format!("other{index}"), other, &[]);
        }
        let affinity = affinity & ((1 << cpus) - 1) | 1;
        let list = (0..cpus).filter(|cpu| affinity >> cpu & 1 != 0).map(|cpu| cpu.to_string());
        let list = list.collect::<Vec<_>>().join(",");
        machine.boot("guest", program, &[("vcpus", "2"), ("affinity", &list)]);
        machine.run_until(500 * MS, |machine| machine.notes().len() == 2);
    }
}

/// As on real hardware, where the wake-up may come between any two instructions.
#[test]
fn no_wake_up_is_lost_when_cpus_run_at_once() {
    for (rounds, others) in [(4000, 0), (200, 2)] {
        let pace = Pace::RealTime(HostInstant::now());
        let mut machine = Machine::with(3, pace, GicVersion::V3);
        let program = machine.program(ping_pong(rounds, Wait::Wfi));
        let other = machine.program(crowd);
        for index in 0..others {
            machine.boot(&format!("other{index}"), other, &[("affinity", "1,2")]);
        }
        machine.boot("guest", program, &[("vcpus", "2"), ("affinity", "1,2")]);
        machine.run_until(Duration::from_secs(60), |machine| machine.notes().len() == 2);
    }
}

#[test]
fn who_wakes_goes_to_a_cpu_that_is_idle() {
    let mut machine = Machine::new(3);
    // Waits in place for a moment, and then computes for ever.
    let busy = machine.program(|guest| async move {
        guest.listen().await;
        while guest.interrupt().await != PL011_SPI.intid() {}
        guest.spin().await;
    });
    let newcomer = machine.program(|guest| async move {
        guest.note(format!("CPU {} at {}", guest.host_cpu(), guest.time().as_micros() / 1000));
    });
    let id = machine.boot("busy", busy, &[("affinity", "1,2")]);
    machine.run_for(MS);
    machine.manager.type_in(id, b"x").unwrap();
    machine.run_for(MS);
    let cpu = machine.vm(id).slots()[0].running_on().unwrap();
    machine.boot("new", newcomer, &[("affinity", "1,2")]);
    machine.run_for(MS);
    assert_eq!(machine.notes(), [format!("CPU {} at 0", 3 - cpu)]);
}

#[test]
fn a_watched_console_is_served_soon_and_not_for_each_character() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        for _ in 0..400 {
            guest.store(0x0900_0000, Width::B4, b'x'.into()).await;
            guest.work(2 * US).await;
        }
        guest.note("done");
    });
    let id = machine.boot("chatty", program, &[("affinity", "1")]);
    machine.vm(id).sink().set_watchers(1);
    let kicks = machine.sim.with_cpu(0, |cpu| cpu.kicks);
    let (mut served, mut worst) = (0, Duration::ZERO);
    let end = machine.now() + 5 * MS;
    while machine.now() < end {
        let start = machine.now();
        if machine.turn(end) == Turn::HostWork {
            served += 1;
        }
        worst = worst.max(machine.now().since(start));
    }
    assert_eq!(machine.notes(), ["done"]);
    // It takes 0.9 ms to say, and is served twice a millisecond.
    assert!((2..6).contains(&served), "served {served} times");
    let kicks = machine.sim.with_cpu(0, |cpu| cpu.kicks) - kicks;
    assert!(kicks < 8, "{kicks} kicks");
}

#[test]
fn a_bell_that_nobody_waits_for_is_rung_once() {
    let machine = Machine::new(2);
    for _ in 0..5 {
        machine.shared.ring();
    }
    assert_ne!(machine.shared.flags(SERVICE_CPU) & HOST_WORK_SOON, 0);
}

#[test]
fn what_is_typed_reaches_a_vcpu_while_its_own_cpu_is_the_service_cpu() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        guest.listen().await;
        while guest.interrupt().await != PL011_SPI.intid() {}
        guest.note("typed");
    });
    let id = machine.boot("guest", program, &[]);
    machine.run_for(MS);
    assert_eq!(machine.vm(id).board().type_in(b"x"), 1);
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["typed"]);
}
