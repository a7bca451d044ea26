//! PSCI 1.1 (DEN 0022) and the SMC calling convention (DEN 0028), called as guests do.

use crate::testing::guest::{Guest, ICC_SGI1R, ProgramId};
use crate::testing::machine::Machine;
use crate::vm::VmState;
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const ENTRY: u64 = 0x4000_0000;

const SUCCESS: i64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const INVALID_ADDRESS: i64 = -9;

const CPU_SUSPEND: u64 = 0x8400_0001;
const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0x8400_0003;
const AFFINITY_INFO: u64 = 0x8400_0004;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
const FEATURES: u64 = 0x8400_000a;
const SYSTEM_RESET2: u64 = 0x8400_0012;
const SMC64: u64 = 1 << 30;

/// Calls by HVC, in turn, and notes what came back.
fn call_all(machine: &mut Machine, calls: &'static [[u64; 4]]) -> Vec<i64> {
    let notes = machine.run(&[("vcpus", "2")], move |guest| async move {
        for &call in calls {
            guest.note(guest.hvc(call).await.to_string());
        }
    });
    notes.iter().map(|note| note.parse().unwrap()).collect()
}

#[test]
fn versions_are_psci_1_1_and_smccc_1_1() {
    let answers = call_all(
        &mut Machine::new(1),
        &[[0x8400_0000, 0, 0, 0], [0x8000_0000, 0, 0, 0], [0x8400_0006, 0, 0, 0]],
    );
    assert_eq!(answers, [0x1_0001, 0x1_0001, 2], "MIGRATE_INFO_TYPE: nothing to migrate");
}

#[test]
fn features_are_those_that_answer() {
    let answers = call_all(
        &mut Machine::new(1),
        &[
            [FEATURES, 0x8400_0000, 0, 0],
            [FEATURES, CPU_SUSPEND, 0, 0],
            [FEATURES, CPU_SUSPEND | SMC64, 0, 0],
            [FEATURES, CPU_OFF, 0, 0],
            [FEATURES, CPU_ON | SMC64, 0, 0],
            [FEATURES, AFFINITY_INFO | SMC64, 0, 0],
            [FEATURES, SYSTEM_OFF, 0, 0],
            [FEATURES, SYSTEM_RESET, 0, 0],
            [FEATURES, SYSTEM_RESET2 | SMC64, 0, 0],
            [FEATURES, FEATURES, 0, 0],
            [FEATURES, 0x8000_0000, 0, 0],
        ],
    );
    assert_eq!(answers, [SUCCESS; 11]);
    let answers = call_all(
        &mut Machine::new(1),
        &[
            // CPU_FREEZE, CPU_OFF and SYSTEM_OFF with 64 bits, SYSTEM_SUSPEND, MEM_PROTECT, and what is nobody's.
            [FEATURES, 0x8400_000b, 0, 0],
            [FEATURES, CPU_OFF | SMC64, 0, 0],
            [FEATURES, SYSTEM_OFF | SMC64, 0, 0],
            [FEATURES, 0xc400_000e, 0, 0],
            [FEATURES, 0x8400_0013, 0, 0],
            [FEATURES, 0xc600_0001, 0, 0],
        ],
    );
    assert_eq!(answers, [NOT_SUPPORTED; 6]);
}

#[test]
fn a_call_that_is_not_known_is_not_supported() {
    let answers = call_all(
        &mut Machine::new(1),
        &[
            [0, 0, 0, 0],
            [u64::MAX, 0, 0, 0],
            [0x8400_001f, 0, 0, 0],
            [0x8400_0020, 0, 0, 0],
            [0xc400_0008, 0, 0, 0],
            [0xc400_0002, 0, 0, 0],
            [0x0400_0003, 1, ENTRY, 0],
            [0x8600_0000, 0, 0, 0],
            [0xbf00_ff01, 0, 0, 0],
            // SMCCC_ARCH_FEATURES of a workaround that is not offered.
            [0x8000_0001, 0x8000_8000, 0, 0],
        ],
    );
    assert_eq!(answers, [NOT_SUPPORTED; 10]);
}

#[test]
fn the_upper_half_of_the_function_register_means_nothing() {
    let answers = call_all(&mut Machine::new(1), &[[0xdead_beef_8400_0000, 0, 0, 0]]);
    assert_eq!(answers, [0x1_0001], "DEN 0028, 2.6: the function identifier is W0");
}

#[test]
fn an_smc_is_answered_as_an_hvc_is_and_stepped_over_once() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        let answers = [guest.smc([0x8400_0000, 0, 0, 0]).await, guest.smc([0xffff, 0, 0, 0]).await];
        guest.note(format!("{answers:?}"));
        guest.crash(hv_core::exit::FaultKind::SystemError).await;
    });
    let id = machine.boot("guest", program, &[]);
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["[65537, -1]"]);
    assert_eq!(machine.vm(id).crash().unwrap().pc, ENTRY + 8);
}

#[test]
fn arguments_of_smc32_are_32_bits() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[("vcpus", "2")], |guest| async move {
        if guest.index == 1 {
            guest.note(format!("started with {:#x}", guest.argument));
            return;
        }
        let junk = 0xffff_ffff_0000_0000;
        let answers = [
            guest.hvc([AFFINITY_INFO, junk, junk, 0]).await,
            guest.hvc([CPU_ON, junk | 1, junk | ENTRY, junk | 0x77]).await,
            guest.hvc([AFFINITY_INFO | SMC64, junk, 0, 0]).await,
            guest.hvc([CPU_ON | SMC64, 1, junk | ENTRY, 0]).await,
        ];
        guest.note(format!("{answers:?}"));
    });
    assert!(notes.contains(&"started with 0x77".into()), "{notes:?}");
    assert!(
        notes.contains(&format!("{:?}", [SUCCESS, SUCCESS, INVALID_PARAMETERS, INVALID_ADDRESS]))
    );
}

/// Starts vCPU 1, waits until it is off again, and starts it anew: with another entry point.
async fn start_twice(guest: Guest, second: ProgramId) {
    const AT: u64 = ENTRY + 0x1_0000;
    const FLAG: GuestPhysAddr = GuestPhysAddr(ENTRY + 0x2_0000);
    if guest.index == 1 {
        guest.with_el1(|el1| el1.timer_control = 1);
        guest.note(format!("first {:#x}", guest.argument));
        let mut may_end = [0];
        while may_end == [0] {
            guest.wfe().await;
            guest.ram.read(FLAG, &mut may_end).unwrap();
        }
        guest.hvc([CPU_OFF, 0, 0, 0]).await;
        guest.note("still on");
        return;
    }
    guest.ram.write(GuestPhysAddr(AT), &second.code()).unwrap();
    assert_eq!(guest.hvc([AFFINITY_INFO, 1, 0, 0]).await, 1, "off");
    assert_eq!(guest.hvc([CPU_ON | SMC64, 1, ENTRY, 0x1234_5678_9abc]).await, SUCCESS);
    let again = guest.hvc([CPU_ON | SMC64, 1, ENTRY, 0]).await;
    assert!(again == ALREADY_ON || again == -5, "DEN 0022: ALREADY_ON or ON_PENDING: {again}");
    guest.ram.write(FLAG, &[1]).unwrap();
    while guest.hvc([AFFINITY_INFO, 1, 0, 0]).await == 0 {
        guest.work(Duration::from_micros(10)).await;
    }
    assert_eq!(guest.hvc([CPU_ON, 1, AT, 0x55]).await, SUCCESS);
    guest.note("twice");
}

#[test]
fn a_cpu_that_was_switched_off_can_be_switched_on_again() {
    for cpus in [1, 2] {
        let mut machine = Machine::new(cpus);
        let second = machine.program(|guest| async move {
            assert_eq!(
                guest.with_el1(|el1| el1.timer_control),
                0,
                "its registers are those after a reset"
            );
            guest.note(format!("second {:#x}", guest.argument));
        });
        let notes = machine.run(&[("vcpus", "2")], move |guest| start_twice(guest, second));
        let mut notes: Vec<_> = notes.iter().filter(|note| *note != "twice").collect();
        notes.sort();
        assert_eq!(notes, ["first 0x123456789abc", "second 0x55"]);
    }
}

#[test]
fn a_cpu_cannot_be_switched_on_that_is_not_there_or_nowhere() {
    let answers = call_all(
        &mut Machine::new(1),
        &[
            [CPU_ON, 0, ENTRY, 0],
            [CPU_ON, 2, ENTRY, 0],
            [CPU_ON, 0x100, ENTRY, 0],
            [CPU_ON | SMC64, 1 << 32 | 1, ENTRY, 0],
            [CPU_ON | SMC64, 1 << 63 | 1, ENTRY, 0],
            [CPU_ON | SMC64, 1, 0, 0],
            [CPU_ON | SMC64, 1, ENTRY - 4, 0],
            [CPU_ON | SMC64, 1, ENTRY + (2 << 20), 0],
            [CPU_ON | SMC64, 1, u64::MAX, 0],
            [AFFINITY_INFO, 1, 0, 0],
        ],
    );
    let (parameters, address) = (INVALID_PARAMETERS, INVALID_ADDRESS);
    let expected = [
        ALREADY_ON, parameters, parameters, parameters, parameters, address, address, address,
        address, 1,
    ];
    assert_eq!(answers, expected, "and vCPU 1 is still off");
}

#[test]
fn affinity_info_knows_level_0_only() {
    let answers = call_all(
        &mut Machine::new(1),
        &[
            [AFFINITY_INFO, 0, 0, 0],
            [AFFINITY_INFO, 1, 0, 0],
            [AFFINITY_INFO, 2, 0, 0],
            [AFFINITY_INFO, 0, 1, 0],
            [AFFINITY_INFO, 0, 4, 0],
            [AFFINITY_INFO | SMC64, 0x100, 0, 0],
        ],
    );
    assert_eq!(answers, [0, 1, -2, -2, -2, -2]);
}

#[test]
fn suspend_waits_for_an_interrupt_and_succeeds() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        guest.listen().await;
        for id in [CPU_SUSPEND, CPU_SUSPEND | SMC64] {
            let start = guest.time();
            // Like WFI, it may return early.
            while guest.acknowledge().is_none() {
                assert_eq!(guest.hvc([id, 0x1_0000, ENTRY, 0]).await, SUCCESS);
            }
            guest.note(format!("{}", (guest.time() - start).as_millis() > 0));
            guest.typed().await;
            guest.end();
        }
    });
    let id = machine.boot("guest", program, &[("affinity", "1")]);
    for _ in 0..2 {
        machine.run_for(3 * MS);
        machine.manager.type_in(id, b"x").unwrap();
    }
    machine.run_for(3 * MS);
    assert_eq!(machine.notes(), ["true", "true"]);
}

#[test]
fn suspend_returns_at_once_when_an_interrupt_waits_already() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        guest.enable_private(&[1]).await;
        // An SGI to itself waits, masked in the CPU.
        guest.msr(ICC_SGI1R, 1 << 24 | 1).await;
        guest.note(guest.hvc([CPU_SUSPEND, 0, 0, 0]).await.to_string());
        assert_eq!(guest.acknowledge(), Some(1));
    });
    assert_eq!(notes, ["0"]);
}

#[test]
fn system_off_stops_the_vm_with_all_its_cpus() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        if guest.index == 0 {
            guest.hvc([CPU_ON, 1, ENTRY, 0]).await;
            guest.spin().await;
        }
        guest.work(MS).await;
        guest.hvc([SYSTEM_OFF, 0, 0, 0]).await;
        guest.note("goes on");
    });
    let id = machine.boot("guest", program, &[("vcpus", "2")]);
    machine.run_for(10 * MS);
    assert_eq!(machine.state(id), VmState::Stopped);
    assert!(machine.notes().is_empty());
    assert!(machine.vm(id).slots().iter().all(|slot| slot.running_on().is_none()));
    assert_eq!(machine.vm(id).is_cpu_on(0), Some(false));
}

#[test]
fn system_reset_starts_the_vm_anew() {
    for call in [SYSTEM_RESET, SYSTEM_RESET2, SYSTEM_RESET2 | SMC64] {
        let mut machine = Machine::new(2);
        let program = machine.program(move |guest| async move {
            const MARK: GuestPhysAddr = GuestPhysAddr(ENTRY + 0x8000);
            let mut mark = [0; 4];
            guest.ram.read(MARK, &mut mark).unwrap();
            guest.ram.write(MARK, b"mark").unwrap();
            let seconds = guest.time().as_millis();
            guest.note(format!("{mark:?} {seconds}"));
            guest.work(5 * MS).await;
            guest.hvc([call, 0, 0, 0]).await;
        });
        let id = machine.boot("guest", program, &[]);
        machine.run_until(100 * MS, |machine| machine.notes().len() == 4);
        assert_eq!(machine.notes(), ["[0, 0, 0, 0] 0"; 4], "RAM is zero, time begins anew");
        assert_eq!(machine.state(id), VmState::Running);
    }
}

#[test]
fn a_reset_of_a_kind_that_is_not_known_is_refused() {
    let answers = call_all(
        &mut Machine::new(1),
        &[[SYSTEM_RESET2, 1, 0, 0], [SYSTEM_RESET2 | SMC64, 0x8000_0000, 0, 0]],
    );
    assert_eq!(answers, [INVALID_PARAMETERS; 2]);
}
