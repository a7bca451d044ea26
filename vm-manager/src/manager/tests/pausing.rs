//! Pause and resume: the vCPUs and their time stand still.

use crate::testing::guest::Guest;
use crate::testing::machine::Machine;
use crate::vm::VmState;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Notes the longest step of its clock, in milliseconds, once a second of its time is over.
async fn watch_the_clock(guest: Guest) {
    let (mut last, mut longest) = (guest.time(), Duration::ZERO);
    while last < Duration::from_millis(20) {
        guest.work(MS / 10).await;
        let now = guest.time();
        assert!(now >= last, "its clock runs backwards");
        longest = longest.max(now - last);
        last = now;
    }
    guest.note(format!("{}", longest.as_millis()));
}

#[test]
fn a_pause_is_not_noticed_by_the_guest() {
    for (cpus, affinity) in [(1, "0"), (2, "1"), (2, "0,1")] {
        let mut machine = Machine::new(cpus);
        let program = machine.program(watch_the_clock);
        let id = machine.boot("vm", program, &[("affinity", affinity)]);
        for _ in 0..5 {
            machine.run_for(2 * MS);
            machine.manager.pause(id).unwrap();
            let ran = machine.vm(id).ran(machine.now());
            let uptime = machine.vm(id).uptime(machine.now());
            machine.run_for(100 * MS);
            assert_eq!(machine.vm(id).ran(machine.now()), ran, "it uses no CPU");
            assert_eq!(machine.vm(id).uptime(machine.now()), uptime, "nor does it age");
            machine.manager.resume(id).unwrap();
        }
        machine.run_for(50 * MS);
        assert_eq!(machine.notes(), ["0"], "{cpus} CPUs, affinity {affinity}");
    }
}

#[test]
fn time_runs_on_if_the_configuration_says_so() {
    let mut machine = Machine::new(1);
    let program = machine.program(watch_the_clock);
    let id = machine.boot("vm", program, &[("time.on_pause", "run")]);
    machine.run_for(2 * MS);
    machine.manager.pause(id).unwrap();
    machine.run_for(100 * MS);
    machine.manager.resume(id).unwrap();
    machine.run_for(50 * MS);
    assert_eq!(machine.notes(), ["100"]);
}

#[test]
fn a_pause_takes_no_time_where_the_vm_shares_the_service_cpu() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("vm", program, &[]);
    machine.run_for(MS);
    let start = machine.now();
    machine.manager.pause(id).unwrap();
    assert!(machine.now().since(start) < MS, "{:?}", machine.now().since(start));
}

#[test]
fn a_pause_that_ends_before_anything_else_happens_is_not_noticed() {
    for cpus in 1..=2 {
        let mut machine = Machine::new(cpus);
        let program = machine.program(watch_the_clock);
        let id = machine.boot("vm", program, &[]);
        machine.run_for(2 * MS);
        machine.manager.pause(id).unwrap();
        // Somebody else keeps the service CPU busy meanwhile.
        machine.sim.spend(100 * MS);
        machine.manager.resume(id).unwrap();
        machine.run_for(50 * MS);
        assert_eq!(machine.notes(), ["0"], "{cpus} CPUs");
    }
}

#[test]
fn timers_of_a_paused_vm_wait_with_it() {
    for cpus in 1..=2 {
        let mut machine = Machine::new(cpus);
        let program = machine.program(|guest| async move {
            guest.enable_private(&[27]).await;
            for _ in 0..10 {
                let due = guest.time() + 2 * MS;
                guest.set_timer(due);
                while guest.interrupt().await != 27 {}
                guest.stop_timer();
                let late = guest.time() - due;
                assert!(late < MS / 10, "late by {late:?}");
            }
            guest.note("done");
        });
        let affinity = if cpus == 1 { "0" } else { "1" };
        let id = machine.boot("vm", program, &[("affinity", affinity)]);
        for _ in 0..5 {
            machine.run_for(MS);
            machine.manager.pause(id).unwrap();
            machine.run_for(37 * MS);
            assert!(machine.notes().is_empty());
            machine.manager.resume(id).unwrap();
        }
        machine.run_for(50 * MS);
        assert_eq!(machine.notes(), ["done"]);
    }
}

#[test]
fn a_cpu_that_is_off_stays_off_over_a_pause() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        assert_eq!(guest.index, 0, "vCPU 1 was never switched on");
        guest.spin().await;
    });
    let id = machine.boot("vm", program, &[("vcpus", "2")]);
    machine.run_for(MS);
    machine.manager.pause(id).unwrap();
    machine.run_for(MS);
    machine.manager.resume(id).unwrap();
    machine.run_for(MS);
    assert_eq!(machine.vm(id).is_cpu_on(1), Some(false));
    assert_eq!(machine.state(id), VmState::Running);
}

#[test]
fn what_is_typed_during_a_pause_is_read_after_it() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        guest.listen().await;
        while guest.interrupt().await != 33 {}
        guest.note(format!("{:x}", guest.typed().await));
    });
    let id = machine.boot("vm", program, &[("affinity", "1")]);
    machine.run_for(MS);
    machine.manager.pause(id).unwrap();
    machine.run_for(MS);
    assert_eq!(machine.manager.type_in(id, b"x").unwrap(), 1);
    machine.run_for(MS);
    assert!(machine.notes().is_empty());
    machine.manager.resume(id).unwrap();
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["78"]);
}

#[test]
fn a_paused_vm_can_be_stopped_reset_and_destroyed() {
    for what in 0..3 {
        let mut machine = Machine::new(2);
        let program = machine.program(|guest| async move {
            guest.note("starts");
            guest.spin().await;
        });
        let id = machine.boot("vm", program, &[]);
        machine.run_for(MS);
        machine.manager.pause(id).unwrap();
        let job = match what {
            0 => machine.manager.stop(id, None),
            1 => machine.manager.reset(id),
            _ => machine.manager.destroy(id),
        };
        machine.finish(job.unwrap()).unwrap();
        machine.run_for(MS);
        match what {
            0 => assert_eq!(machine.state(id), VmState::Stopped),
            1 => assert_eq!((machine.state(id), machine.notes().len()), (VmState::Running, 2)),
            _ => assert!(machine.manager.vm(id).is_err()),
        }
    }
}
