//! How VMs end: by themselves, by the power key, by force; and how they are started again.

use crate::cpu_loop::Turn;
use crate::testing::guest::Guest;
use crate::testing::machine::Machine;
use crate::virt_map;
use crate::vm::VmState;
use hv_core::exit::FaultKind;
use hv_core::guest::{GuestPhysAddr, Width};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SYSTEM_OFF: u64 = 0x8400_0008;

/// Waits for the power key, and switches itself off `after` that.
async fn obey(guest: Guest, after: Duration) {
    const GPIO: u64 = virt_map::PL061.base.0;
    let key = 1 << virt_map::POWER_KEY_LINE;
    guest.enable_shared(virt_map::PL061_SPI.intid()).await;
    guest.store(GPIO + 0x408, Width::B4, key).await;
    guest.store(GPIO + 0x410, Width::B4, key).await;
    while guest.interrupt().await != virt_map::PL061_SPI.intid() {}
    guest.store(GPIO + 0x41c, Width::B4, key).await;
    guest.work(after).await;
    guest.hvc([SYSTEM_OFF, 0, 0, 0]).await;
}

#[test]
fn a_guest_that_is_asked_to_stop_does_so() {
    for after in [MS, 90 * MS, 500 * MS] {
        let mut machine = Machine::new(2);
        let program = machine.program(move |guest| obey(guest, after));
        let id = machine.boot("vm", program, &[("affinity", "1"), ("restart.on", "crash")]);
        machine.run_for(MS);
        let start = machine.now();
        let job = machine.manager.stop(id, Some(10 * SECOND)).unwrap();
        machine.finish(job).unwrap();
        assert_eq!(machine.state(id), VmState::Stopped);
        assert!(machine.now().since(start) < after + 200 * MS, "no longer than it takes");
    }
}

#[test]
fn a_guest_that_does_not_stop_runs_on_and_the_error_says_what_helps() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("vm", program, &[]);
    machine.run_for(MS);
    let start = machine.now();
    let job = machine.manager.stop(id, Some(3 * SECOND)).unwrap();
    let error = machine.finish(job).unwrap_err().to_string();
    assert_eq!(
        error,
        "vm 1 'vm' did not switch itself off within 3 s; 'vm stop --force' does not ask it"
    );
    let waited = machine.now().since(start);
    assert!(waited >= 3 * SECOND && waited < 3 * SECOND + 50 * MS, "{waited:?}");
    assert_eq!(machine.state(id), VmState::Running);
    let job = machine.manager.stop(id, None).unwrap();
    machine.finish(job).unwrap();
    assert_eq!(machine.state(id), VmState::Stopped);
}

#[test]
fn waiting_for_a_guest_blocks_nobody_and_can_be_given_up() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("vm", program, &[]);
    let job = machine.manager.stop(id, Some(60 * SECOND)).unwrap();
    machine.run_for(10 * MS);
    machine.manager.pause(id).unwrap();
    machine.manager.resume(id).unwrap();
    machine.run_for(SECOND);
    assert!(machine.manager.is_busy(id));
    machine.manager.abandon(job);
    machine.run_for(10 * MS);
    assert!(!machine.manager.is_busy(id));
    assert_eq!(machine.state(id), VmState::Running);
}

#[test]
fn a_crash_leaves_a_record_until_the_next_one() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        guest.work(MS).await;
        let addr = GuestPhysAddr(guest.time().as_nanos() as u64);
        guest.crash(FaultKind::Fetch(addr)).await;
    });
    let id = machine.boot("vm", program, &[]);
    assert!(machine.vm(id).crash().is_none());
    machine.run_for(10 * MS);
    let first = machine.vm(id).crash().unwrap();
    assert!(first.at < machine.now() && first.at > machine.now() - 10 * MS);
    let job = machine.manager.start(id).unwrap();
    machine.finish(job).unwrap();
    assert_eq!(machine.vm(id).crash().unwrap().fault, first.fault, "kept while it runs");
    machine.run_for(10 * MS);
    let second = machine.vm(id).crash().unwrap();
    assert!(second.at > first.at);
    assert_eq!(machine.vm(id).restarts(), 0);
}

#[test]
fn a_crash_that_is_told_of_in_a_pause_is_one_all_the_same() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        guest.work(MS).await;
        guest.crash(FaultKind::Fetch(GuestPhysAddr(0))).await;
    });
    let id = machine.boot("vm", program, &[]);
    let limit = machine.now() + 10 * MS;
    while machine.turn(limit) == Turn::Guests {}
    // It has crashed, and the manager has not heard of it.
    machine.manager.pause(id).unwrap();
    machine.run_for(MS);
    assert_eq!(machine.state(id), VmState::Crashed);
    assert!(machine.vm(id).crash().is_some());
}

#[test]
fn a_crash_of_one_vcpu_stops_the_others() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        if guest.index == 0 {
            guest.hvc([0x8400_0003, 1, 0x4000_0000, 0]).await;
            guest.spin().await;
        }
        guest.work(MS).await;
        guest.crash(FaultKind::Protected(GuestPhysAddr(0))).await;
    });
    let id = machine.boot("vm", program, &[("vcpus", "2")]);
    machine.run_for(10 * MS);
    assert_eq!(machine.state(id), VmState::Crashed);
    assert_eq!(machine.vm(id).crash().unwrap().vcpu, 1);
    let ran = machine.vm(id).ran(machine.now());
    machine.run_for(10 * MS);
    assert_eq!(machine.vm(id).ran(machine.now()), ran);
}

/// Runs a VM that ends `how` after a millisecond, and notes when it starts; returns the seconds between its starts.
fn restarts(settings: &[(&str, &str)], is_crash: bool, time: Duration) -> (Vec<u64>, VmState) {
    let mut machine = Machine::new(1);
    let sim = std::sync::Arc::clone(&machine.sim);
    let program = machine.program(move |guest| {
        let sim = std::sync::Arc::clone(&sim);
        async move {
            guest.note(sim.now().0.to_string());
            guest.work(MS).await;
            if is_crash {
                guest.crash(FaultKind::SystemError).await;
            }
            guest.hvc([SYSTEM_OFF, 0, 0, 0]).await;
        }
    });
    let id = machine.boot("vm", program, settings);
    machine.run_for(time);
    let starts: Vec<u64> = machine.notes().iter().map(|note| note.parse().unwrap()).collect();
    assert_eq!(machine.vm(id).restarts() as usize, starts.len() - 1);
    let pauses = starts.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000_000).collect();
    (pauses, machine.state(id))
}

#[test]
fn a_vm_that_crashes_again_and_again_is_restarted_ever_later() {
    let policy = [("restart.on", "crash"), ("restart.delay", "1s"), ("restart.max_delay", "10s")];
    let (pauses, _) = restarts(&policy, true, 40 * SECOND);
    assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
}

#[test]
fn only_what_the_policy_names_is_restarted() {
    for (policy, is_crash, is_restarted) in [
        ("never", true, false),
        ("never", false, false),
        ("crash", true, true),
        ("crash", false, false),
        ("always", true, true),
        ("always", false, true),
    ] {
        let (pauses, state) = restarts(&[("restart.on", policy)], is_crash, 2 * SECOND);
        assert_eq!(!pauses.is_empty(), is_restarted, "{policy}");
        let end = if is_crash { VmState::Crashed } else { VmState::Stopped };
        assert_eq!(state, end);
    }
}

#[test]
fn who_stayed_up_for_a_minute_is_restarted_soon_again() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        guest.note("start");
        guest.work(MS).await;
        guest.crash(FaultKind::SystemError).await;
    });
    let id = machine.boot("vm", program, &[("restart.on", "crash")]);
    machine.run_for(10 * SECOND);
    let quick = machine.notes().len();
    assert!(quick >= 3);
    let now = machine.now();
    let vm = machine.vm(id);
    assert!(vm.restart_delay(now) > 4 * SECOND);
    assert_eq!(vm.restart_delay(now + 61 * SECOND), SECOND);
}

#[test]
fn an_operator_overtakes_a_restart() {
    let boot = || {
        let mut machine = Machine::new(1);
        let program = machine.program(|guest| async move {
            guest.note("start");
            guest.listen().await;
            // Crashes when something is typed.
            while guest.interrupt().await != 33 {}
            guest.crash(FaultKind::SystemError).await;
        });
        let id = machine.boot("vm", program, &[("restart.on", "crash"), ("restart.delay", "5s")]);
        machine.run_for(MS);
        machine.manager.type_in(id, b"x").unwrap();
        machine.run_for(SECOND);
        assert_eq!(machine.state(id), VmState::Crashed);
        (machine, id)
    };
    let (mut machine, id) = boot();
    let job = machine.manager.stop(id, None).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(20 * SECOND);
    assert_eq!(machine.state(id), VmState::Stopped, "who was stopped stays so");

    let (mut machine, id) = boot();
    let job = machine.manager.start(id).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(20 * SECOND);
    assert_eq!(machine.notes().len(), 2, "who was started is not started once more");

    let (mut machine, id) = boot();
    let job = machine.manager.destroy(id).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(20 * SECOND);
    assert_eq!(machine.notes().len(), 1);
    assert_eq!(machine.pool.free(), crate::testing::machine::POOL_BYTES);
}

#[test]
fn an_operators_stop_is_no_reason_to_restart() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("vm", program, &[("restart.on", "always")]);
    machine.run_for(MS);
    let job = machine.manager.stop(id, None).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(100 * SECOND);
    assert_eq!((machine.state(id), machine.vm(id).restarts()), (VmState::Stopped, 0));
}

#[test]
fn a_guest_that_obeys_the_power_key_is_not_restarted() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| obey(guest, MS));
    let id = machine.boot("vm", program, &[("restart.on", "always")]);
    machine.run_for(MS);
    let job = machine.manager.stop(id, Some(SECOND)).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(10 * SECOND);
    assert_eq!(machine.state(id), VmState::Stopped);
}
