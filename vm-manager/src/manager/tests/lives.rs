//! Any commands, in any order, whatever guests do meanwhile.

use crate::job::JobStatus;
use crate::testing::guest::ProgramId;
use crate::testing::machine::{Machine, POOL_BYTES};
use crate::testing::sim::Pace;
use crate::virt_map::GicVersion;
use crate::vm::VmState;
use hv_core::exit::FaultKind;
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
enum Command {
    Create(u8),
    Start,
    Pause,
    Resume,
    Stop,
    Ask,
    Reset,
    Destroy,
    Type,
    Pin(u8),
    /// Lets so many tenths of a millisecond pass.
    Wait(u16),
}

fn commands() -> impl Strategy<Value = Vec<(Command, u32)>> {
    let command = prop_oneof![
        2 => (0..4_u8).prop_map(Command::Create),
        4 => Just(Command::Start),
        3 => Just(Command::Pause),
        3 => Just(Command::Resume),
        1 => Just(Command::Stop),
        1 => Just(Command::Ask),
        1 => Just(Command::Reset),
        1 => Just(Command::Destroy),
        1 => Just(Command::Type),
        1 => (1..8_u8).prop_map(Command::Pin),
        5 => (1..60_u16).prop_map(Command::Wait),
    ];
    prop::collection::vec((command, 1..4_u32), 1..40)
}

/// Guests that spin, sleep on a timer, end by themselves, and crash; all with two vCPUs. Timers may be late by `patience`.
fn programs(machine: &mut Machine, patience: Duration) -> [ProgramId; 4] {
    const MS: Duration = Duration::from_millis(1);
    let spin = machine.program(|guest| async move {
        guest.hvc([0x8400_0003, 1, 0x4000_0000, 0]).await;
        guest.spin().await;
    });
    let sleep = machine.program(move |guest| async move {
        guest.hvc([0x8400_0003, 1, 0x4000_0000, 0]).await;
        guest.enable_private(&[27]).await;
        loop {
            let due = guest.time() + MS / 3;
            guest.set_timer(due);
            while guest.interrupt().await != 27 {}
            // Late by a turn of the others, but never by a pause.
            assert!(guest.time() >= due && guest.time() < due + patience);
        }
    });
    let end = machine.program(|guest| async move {
        guest.work(2 * MS).await;
        guest.hvc([0x8400_0008 + u64::from(guest.time().as_micros() as u8 & 1), 0, 0, 0]).await;
    });
    let crash = machine.program(|guest| async move {
        guest.hvc([0x8400_0003, 1, 0x4000_0000, 0]).await;
        guest.work(MS + MS / 2).await;
        guest.crash(FaultKind::SystemError).await;
    });
    [spin, sleep, end, crash]
}

/// Whether `command` must succeed for a VM in this state that nobody works on.
fn is_allowed(command: Command, state: VmState) -> bool {
    use VmState as S;
    match command {
        Command::Start => matches!(state, S::Created | S::Stopped | S::Crashed),
        Command::Pause | Command::Ask => state == S::Running,
        Command::Resume => state == S::Paused,
        Command::Stop => matches!(state, S::Running | S::Paused | S::Crashed),
        Command::Reset => state != S::Created,
        Command::Create(_)
        | Command::Destroy
        | Command::Type
        | Command::Pin(_)
        | Command::Wait(_) => true,
    }
}

fn carry_out(machine: &mut Machine, command: Command, id: u32, programs: &[ProgramId; 4]) {
    if let Command::Create(kind) = command {
        let settings = [("vcpus", "2"), ("restart.on", "crash"), ("restart.delay", "5ms")];
        let config = machine.config(&format!("vm{id}"), programs[usize::from(kind)], &settings);
        let is_taken = machine.manager.vms().any(|vm| vm.name() == config.name);
        assert_eq!(machine.manager.create(config, &machine.images).is_err(), is_taken);
        return;
    }
    let number = machine.manager.vms().find(|vm| vm.name() == format!("vm{id}")).map(|vm| vm.id());
    let Some(id) = number else { return };
    let state = machine.state(id);
    let is_busy = machine.manager.is_busy(id);
    let manager = &mut machine.manager;
    let job = match command {
        Command::Start => manager.start(id).map(Some),
        Command::Pause => manager.pause(id).map(|()| None),
        Command::Resume => manager.resume(id).map(|()| None),
        Command::Stop => manager.stop(id, None).map(Some),
        Command::Ask => manager.stop(id, Some(Duration::from_millis(3))).map(Some),
        Command::Reset => manager.reset(id).map(Some),
        Command::Destroy => manager.destroy(id).map(Some),
        Command::Type => manager.type_in(id, b"x").map(|_| None),
        Command::Pin(mask) => manager.configure(id, Some(50), Some(mask.into())).map(|()| None),
        Command::Create(_) | Command::Wait(_) => return,
    };
    assert!(
        is_busy || job.is_ok() == is_allowed(command, state),
        "{command:?} of a {state} VM: {job:?}"
    );
    match (command, &job) {
        (Command::Pause, Ok(_)) => assert_eq!(machine.state(id), VmState::Paused),
        (Command::Resume, Ok(_)) => assert_eq!(machine.state(id), VmState::Running),
        (_, Err(_)) => assert_eq!(machine.state(id), state, "a refused command changes nothing"),
        _ => {}
    }
    // Every other one is left to itself.
    if let Ok(Some(job)) = job
        && job.0 % 2 == 0
    {
        machine.manager.abandon(job);
    }
}

fn check(machine: &Machine) {
    let used: u64 = machine.manager.vms().map(|vm| vm.memory().0).sum();
    assert_eq!(machine.pool.free(), POOL_BYTES - used);
    for vm in machine.manager.vms().filter(|vm| vm.state() == VmState::Paused) {
        assert!(vm.slots().iter().all(|slot| slot.running_on().is_none()), "a paused VM runs");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_commands_leave_every_vm_in_a_state_of_its_life(seed: u64, script in commands()) {
        let gic = if seed % 2 == 0 { GicVersion::V2 } else { GicVersion::V3 };
        let mut machine = Machine::with(3, Pace::Shuffled(seed), gic);
        let programs = programs(&mut machine, Duration::from_millis(40));
        for (command, id) in script {
            if let Command::Wait(tenths) = command {
                machine.run_for(Duration::from_micros(100) * tenths.into());
            } else {
                carry_out(&mut machine, command, id, &programs);
            }
            check(&machine);
        }
        let left: Vec<u32> = machine.manager.vms().map(|vm| vm.id()).collect();
        for id in left {
            // It may have gone meanwhile, if that was a command before.
            if let Ok(job) = machine.manager.destroy(id) {
                machine.finish(job).unwrap();
            }
        }
        // Jobs that were not left to themselves are asked for their end.
        for job in 0..200 {
            let status = machine.manager.job(crate::job::JobId(job));
            prop_assert!(matches!(status, JobStatus::Done(_)));
        }
        prop_assert_eq!(machine.pool.free(), POOL_BYTES);
        prop_assert!((0..3).all(|cpu| machine.shared.population(cpu) == 0));
    }
}

/// As on real hardware, where commands meet CPUs between any two instructions.
#[test]
fn commands_meet_cpus_that_run_at_once() {
    let mut machine = Machine::with(3, Pace::RealTime(Instant::now()), GicVersion::V3);
    let programs = programs(&mut machine, Duration::from_secs(60));
    let ids = [0, 1, 3].map(|kind| {
        let settings = [
            ("vcpus", "2"),
            ("affinity", "1,2"),
            ("restart.on", "crash"),
            ("restart.delay", "1ms"),
        ];
        machine.boot(&format!("vm{kind}"), programs[kind], &settings)
    });
    let mut random = 0x9e37_79b9_u64;
    let end = machine.now() + Duration::from_millis(400);
    while machine.now() < end {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, what) = (ids[(random >> 33) as usize % 3], random >> 40 & 7);
        // What is refused is refused.
        let _ = match what {
            0 | 1 => machine.manager.pause(id),
            2 | 3 => machine.manager.resume(id),
            4 => machine.manager.configure(id, None, Some(random >> 50 & 6 | 2)),
            5 => machine.manager.reset(id).map(|job| machine.manager.abandon(job)),
            6 => machine.manager.stop(id, None).map(|job| machine.manager.abandon(job)),
            _ => machine.manager.start(id).map(|job| machine.manager.abandon(job)),
        };
        for vm in machine.manager.vms().filter(|vm| vm.state() == VmState::Paused) {
            // The host of the tests may keep a CPU waiting for longer than a pause has patience.
            let late = machine.now() + Duration::from_secs(10);
            while vm.slots().iter().any(|slot| slot.running_on().is_some()) {
                assert!(machine.now() < late, "a paused VM runs");
            }
        }
        machine.serve(machine.now() + Duration::from_micros(random >> 44 & 255));
    }
    for id in ids {
        let job = machine.manager.destroy(id).unwrap();
        machine.finish(job).unwrap();
    }
    assert_eq!(machine.pool.free(), POOL_BYTES);
}
