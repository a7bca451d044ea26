//! What is refused, why, and that it changes nothing; and that everything goes back.

use crate::testing::guest::{Guest, ProgramId};
use crate::testing::machine::{GUEST_BYTES, Machine, POOL_BYTES};
use crate::vm::VmState;
use std::sync::Arc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

async fn spin(guest: Guest) {
    guest.spin().await;
}

/// Tries to create a VM with these settings; says why that is refused, and checks that nothing has changed.
fn refusal(
    machine: &mut Machine,
    name: &str,
    kernel: ProgramId,
    settings: &[(&str, &str)],
) -> String {
    let count = machine.manager.vms().count();
    let free = machine.pool.free();
    let config = machine.config(name, kernel, settings);
    let error = machine.manager.create(config, &machine.images).unwrap_err();
    assert_eq!(machine.manager.vms().count(), count);
    assert_eq!(machine.pool.free(), free);
    error.to_string()
}

#[test]
fn two_consoles_do_not_share_a_port() {
    let mut machine = Machine::new(1);
    let program = machine.program(spin);
    machine.create("door", program, &[("console.port", "2301")]);
    assert_eq!(
        refusal(&mut machine, "other", program, &[("console.port", "2301")]),
        "port 2301 leads to the console of vm 1 'door'; give another one with console.port=N"
    );
    machine.create("window", program, &[("console.port", "2302")]);
}

#[test]
fn a_vm_that_cannot_be_is_not_made() {
    let mut machine = Machine::new(2);
    let program = machine.program(spin);
    machine.create("first", program, &[]);
    let twice = refusal(&mut machine, "first", program, &[]);
    assert_eq!(twice, "the name 'first' is vm 1's; give another one with --name");
    let missing = refusal(&mut machine, "a", ProgramId(77), &[]);
    assert!(
        missing.starts_with("a.toml:3: boot.kernel: found 'p77', which is not in images/"),
        "{missing}"
    );
    let large = refusal(&mut machine, "a", program, &[("memory", "1G")]);
    assert_eq!(large, "no memory for 'a': 1024 MiB wanted, 254 MiB free");
    let cpu = refusal(&mut machine, "a", program, &[("affinity", "2-5")]);
    assert_eq!(cpu, "no such CPU: there are 0 to 1");
    let outside = refusal(&mut machine, "a", program, &[("boot.load_address", "0x1000")]);
    assert!(outside.contains("RAM is"), "{outside}");
    machine.images.add("p50", b"no kernel".to_vec());
    let format = refusal(&mut machine, "a", ProgramId(50), &[("boot.format", "auto")]);
    assert!(format.starts_with("p50: found "), "{format}");
    assert_eq!(machine.create("second", program, &[]), 2, "no number was used up");
}

#[test]
fn the_pool_is_shared_by_all_vms_to_the_last_byte() {
    let mut machine = Machine::new(1);
    let program = machine.program(spin);
    machine.create("most", program, &[("memory", "254M")]);
    machine.create("rest", program, &[("memory", "2M")]);
    assert_eq!(machine.pool.free(), 0);
    assert_eq!(machine.manager.memory(), (POOL_BYTES, 2 * (3 << 12)));
    let error = refusal(&mut machine, "more", program, &[("memory", "2M")]);
    assert_eq!(error, "no memory for 'more': 2 MiB wanted, 0 MiB free");
    let job = machine.manager.destroy(2).unwrap();
    machine.finish(job).unwrap();
    machine.create("more", program, &[("memory", "2M")]);
}

#[test]
fn a_command_in_the_wrong_state_says_what_would_be_right() {
    let mut machine = Machine::new(1);
    let program = machine.program(spin);
    let id = machine.create("vm", program, &[]);
    let manager = &mut machine.manager;
    assert_eq!(
        manager.pause(id).unwrap_err().to_string(),
        "vm 1 'vm' is created; only a running VM can be paused"
    );
    let resume = manager.resume(id).unwrap_err().to_string();
    assert_eq!(resume, "vm 1 'vm' is created; only a paused VM can be resumed");
    let reset = manager.reset(id).unwrap_err().to_string();
    assert_eq!(reset, "vm 1 'vm' is created; 'vm start' starts it");
    let stop = manager.stop(id, None).unwrap_err().to_string();
    assert_eq!(stop, "vm 1 'vm' is created; there is nothing to stop");
    let job = manager.start(id).unwrap();
    machine.finish(job).unwrap();
    let start = machine.manager.start(id).unwrap_err().to_string();
    assert_eq!(start, "vm 1 'vm' is running; 'vm reset' starts it anew");
    machine.manager.pause(id).unwrap();
    let start = machine.manager.start(id).unwrap_err().to_string();
    assert_eq!(start, "vm 1 'vm' is paused; 'vm resume' lets it go on");
    let stop = machine.manager.stop(id, Some(MS)).unwrap_err().to_string();
    assert_eq!(stop, "vm 1 'vm' is paused; it cannot be asked; resume it, or use --force");
    assert_eq!(machine.state(id), VmState::Paused);
}

#[test]
fn there_is_no_vm_of_a_number_that_is_nobodys() {
    let mut machine = Machine::new(1);
    let manager = &mut machine.manager;
    let errors = [
        manager.start(3).unwrap_err(),
        manager.stop(3, None).unwrap_err(),
        manager.reset(3).unwrap_err(),
        manager.pause(3).unwrap_err(),
        manager.resume(3).unwrap_err(),
        manager.destroy(3).unwrap_err(),
        manager.configure(3, None, None).unwrap_err(),
        manager.type_in(3, b"x").unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.to_string() == "no VM 3"));
}

#[test]
fn who_is_being_worked_on_is_busy_for_all_but_destroy() {
    let mut machine = Machine::new(1);
    let program = machine.program(spin);
    let id = machine.create("vm", program, &[]);
    let job = machine.manager.start(id).unwrap();
    assert!(machine.manager.is_busy(id));
    let manager = &mut machine.manager;
    let errors = [
        manager.start(id).unwrap_err(),
        manager.stop(id, None).unwrap_err(),
        manager.reset(id).unwrap_err(),
        manager.pause(id).unwrap_err(),
        manager.resume(id).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            error.to_string(),
            "vm 1 'vm' is being worked on by another command; wait for it"
        );
    }
    let end = manager.destroy(id).unwrap();
    machine.finish(end).unwrap();
    machine.finish(job).unwrap();
    assert_eq!(machine.pool.free(), POOL_BYTES);
}

#[test]
fn affinity_and_weight_can_be_changed_in_any_state_but_not_to_no_cpu() {
    let mut machine = Machine::new(2);
    let program = machine.program(spin);
    let id = machine.create("vm", program, &[]);
    for mask in [0, 0b100, 0b101] {
        let error = machine.manager.configure(id, Some(7), Some(mask)).unwrap_err().to_string();
        assert_eq!(error, "no such CPU: there are 0 to 1");
    }
    let settings = |machine: &Machine| {
        let vm = machine.vm(id);
        let (_, _, weight, affinity) = vm.placement(&vm.slots()[0]);
        (weight, affinity)
    };
    assert_eq!(settings(&machine), (100, 0b11), "unchanged");
    machine.manager.configure(id, Some(7), Some(0b10)).unwrap();
    assert_eq!(settings(&machine), (7, 0b10));
    let job = machine.manager.start(id).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(MS);
    assert_eq!(machine.vm(id).slots()[0].running_on(), Some(1));
}

/// Brings a VM into `state`.
fn bring_to(machine: &mut Machine, state: VmState, programs: &[ProgramId; 3]) -> u32 {
    let [spin, off, crash] = *programs;
    let program = match state {
        VmState::Stopped => off,
        VmState::Crashed => crash,
        VmState::Created | VmState::Loading | VmState::Running | VmState::Paused => spin,
    };
    let id = machine.create("vm", program, &[("vcpus", "2")]);
    match state {
        VmState::Created => {}
        VmState::Loading => {
            machine.manager.start(id).unwrap();
            machine.manager.poll();
        }
        VmState::Running | VmState::Paused | VmState::Stopped | VmState::Crashed => {
            let job = machine.manager.start(id).unwrap();
            machine.finish(job).unwrap();
            machine.run_for(5 * MS);
            if state == VmState::Paused {
                machine.manager.pause(id).unwrap();
            }
        }
    }
    assert_eq!(machine.state(id), state);
    id
}

#[test]
fn destroy_gives_everything_back_whatever_the_vm_does() {
    for cpus in 1..=2 {
        let mut machine = Machine::new(cpus);
        let programs = [
            machine.program(|guest| async move {
                guest.hvc([0x8400_0003, 1, 0x4000_0000, 0]).await;
                guest.set_timer(Duration::from_secs(3600));
                guest.spin().await;
            }),
            machine.program(|guest| async move {
                guest.hvc([0x8400_0008, 0, 0, 0]).await;
            }),
            machine.program(|guest| async move {
                guest.crash(hv_core::exit::FaultKind::SystemError).await;
            }),
        ];
        let mut task = None;
        for state in [
            VmState::Created,
            VmState::Loading,
            VmState::Running,
            VmState::Paused,
            VmState::Stopped,
            VmState::Crashed,
        ] {
            let id = bring_to(&mut machine, state, &programs);
            let vm = Arc::downgrade(&machine.vm(id));
            let slots = machine.vm(id).slots().iter().map(Arc::downgrade).collect::<Vec<_>>();
            assert_eq!(
                *task.get_or_insert(slots[0].upgrade().unwrap().task()),
                slots[0].upgrade().unwrap().task()
            );
            assert_eq!(machine.pool.free(), POOL_BYTES - GUEST_BYTES);
            let job = machine.manager.destroy(id).unwrap();
            machine.finish(job).unwrap();
            assert_eq!(machine.pool.free(), POOL_BYTES, "{state}");
            assert!(vm.upgrade().is_none(), "{state}: somebody still has it");
            assert!(slots.iter().all(|slot| slot.upgrade().is_none()), "{state}: a vCPU is left");
            assert!(machine.manager.vm(id).is_err());
            assert!((0..cpus).all(|cpu| machine.shared.population(cpu) == 0));
        }
    }
}

#[test]
fn a_job_whose_end_nobody_asks_for_keeps_nothing() {
    let mut machine = Machine::new(1);
    let program = machine.program(spin);
    let id = machine.create("vm", program, &[]);
    let job = machine.manager.start(id).unwrap();
    machine.run_for(10 * MS);
    assert_eq!(machine.state(id), VmState::Running);
    // It is done already, and whoever waited for it goes away.
    machine.manager.abandon(job);
    let end = machine.manager.destroy(id).unwrap();
    machine.manager.abandon(end);
    machine.run_for(10 * MS);
    assert_eq!(machine.pool.free(), POOL_BYTES);
}

#[test]
fn twenty_rounds_leave_nothing_behind() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        guest.hvc([0x8400_0003, 1, 0x4000_0000, 0]).await;
        guest.spin().await;
    });
    for round in 1..=20 {
        let id = machine.boot("vm", program, &[("vcpus", "2")]);
        assert_eq!(id, round, "a number is never used again");
        machine.run_for(MS);
        let job = machine.manager.destroy(id).unwrap();
        machine.finish(job).unwrap();
        assert_eq!((machine.pool.free(), machine.manager.memory()), (POOL_BYTES, (0, 0)));
    }
}
