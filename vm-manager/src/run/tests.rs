use crate::board::Board;
use crate::slot::{ATTENTION, EVICT, STOP};
use crate::testing::guest::Guest;
use crate::testing::machine::Machine;
use crate::virt_map::{PL011, PL031_SPI};
use crate::vm::VmState;
use hv_core::arch::aarch64::esr::ArchExit;
use hv_core::exit::{Exit, FaultKind};
use hv_core::guest::{GuestPhysAddr, Width};
use hv_core::machine::HostEvent;
use std::time::Duration;

const NOWHERE: u64 = 0x0d00_0000;
const MS: Duration = Duration::from_millis(1);

/// How often each kind of exit happened to vCPU 0 of VM 1.
fn count(machine: &Machine, kind: &str) -> u64 {
    let vm = machine.vm(1);
    vm.slots()[0].exits().find(|(name, _)| *name == kind).unwrap().1
}

#[test]
fn a_load_from_a_device_reads_its_register() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        let id = guest.load(PL011.base.0 + 0xfe0, Width::B4).await;
        guest.note(format!("{id:x?}"));
    });
    assert_eq!(notes, ["Some(11)"], "the first part of its identification");
    assert_eq!(count(&machine, "mmio"), 1);
}

#[test]
fn a_store_to_a_device_reaches_it_and_the_guest_goes_on() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        for byte in *b"hi" {
            guest.store(PL011.base.0, Width::B4, byte.into()).await.unwrap();
        }
        guest.note("done");
    });
    assert_eq!(notes, ["done"]);
    let vm = machine.vm(1);
    let mut text = [0; 8];
    let read = vm.sink().output().read(&mut crate::console::Cursor::BEGINNING.clone(), &mut text);
    assert_eq!(&text[..read.bytes], b"hi");
}

#[test]
fn an_access_to_nothing_is_aborted_and_counted() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        let load = guest.load(NOWHERE, Width::B4).await;
        let store = guest.store(NOWHERE + 8, Width::B8, 7).await;
        guest.note(format!("{load:?} {store:?}"));
        guest.note(format!("{:x?}", guest.load(PL011.base.0 + 0xfe0, Width::B4).await));
    });
    assert_eq!(notes, ["None None", "Some(11)"], "and the guest goes on");
    assert_eq!(machine.vm(1).bad_accesses(), (2, GuestPhysAddr(NOWHERE + 8)));
}

#[test]
fn an_instruction_that_is_not_offered_is_undefined() {
    let mut machine = Machine::new(1);
    let program = machine.exits(vec![Exit::Arch(ArchExit::Undefined), Exit::Yield]);
    machine.boot("guest", program, &[]);
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["Undefined", "Done"]);
    assert_eq!((count(&machine, "undefined"), count(&machine, "yield")), (1, 1));
}

#[test]
fn answers_come_in_the_order_of_exits() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        for round in 0..50_u64 {
            // PL011's baud rate divider keeps what is written, and CNTP_CVAL_EL0 does.
            guest.store(PL011.base.0 + 0x24, Width::B4, round).await;
            let divider = guest.load(PL011.base.0 + 0x24, Width::B4).await;
            let nothing = guest.load(NOWHERE, Width::B1).await;
            let version = guest.hvc([0x8400_0000, 0, 0, 0]).await;
            let unknown = guest.smc([0xc600_0000 + round, 0, 0, 0]).await;
            assert_eq!((divider, nothing, version, unknown), (Some(round), None, 0x1_0001, -1));
        }
        guest.note("all");
    });
    assert_eq!(notes, ["all"]);
}

#[test]
fn a_fault_crashes_the_vm_with_a_record_and_nothing_else() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        guest.hvc([0x8400_0000, 0, 0, 0]).await;
        guest.crash(FaultKind::Undecodable(GuestPhysAddr(NOWHERE))).await;
        guest.note("goes on");
    });
    let other = machine.program(|guest| async move {
        guest.work(5 * MS).await;
        guest.note("other");
    });
    let id = machine.boot("bad", program, &[]);
    machine.boot("good", other, &[]);
    machine.run_for(20 * MS);
    assert_eq!(machine.state(id), VmState::Crashed);
    assert_eq!(machine.notes(), ["other"]);
    let record = machine.vm(id).crash().unwrap();
    assert_eq!(record.fault.kind, FaultKind::Undecodable(GuestPhysAddr(NOWHERE)));
    assert_eq!((record.vcpu, record.pc), (0, 0x4000_0004), "one instruction behind the entry");
    assert_eq!(record.instruction, Some(0), "what lies there");
    assert!(!record.registers.is_empty() && !record.last_exits.is_empty());
}

#[test]
fn a_guest_without_code_crashes_alone() {
    let mut machine = Machine::new(1);
    machine.images.add("p7", vec![0xff; 8]);
    let id = machine.boot("empty", crate::testing::guest::ProgramId(7), &[]);
    machine.run_for(MS);
    assert_eq!(machine.state(id), VmState::Crashed);
}

/// Raises the line of the clock while the vCPU computes, and says what it took for the vCPU to see it.
async fn see_the_clock(guest: Guest) {
    guest.enable_shared(PL031_SPI.intid()).await;
    // PL031: matches at the second after this one.
    let now = guest.load(0x0901_0000, Width::B4).await.unwrap();
    guest.store(0x0901_0010, Width::B4, 1).await;
    guest.store(0x0901_0004, Width::B4, now).await;
    let seen = guest.acknowledge();
    guest.note(format!("{seen:?}"));
}

#[test]
fn what_an_access_makes_pending_is_there_at_the_next_instruction() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], see_the_clock);
    assert_eq!(notes, [format!("Some({})", PL031_SPI.intid())]);
}

#[test]
fn attention_is_answered_before_the_next_entry() {
    let mut machine = Machine::new(2);
    // vCPU 0 computes; an interrupt raised on another CPU is there when it is done, though it never left by itself.
    let program = machine.program(|guest| async move {
        guest.listen().await;
        guest.note("ready");
        guest.work(MS).await;
        let seen = guest.acknowledge();
        guest.note(format!("{seen:?}"));
    });
    let id = machine.boot("guest", program, &[("affinity", "1")]);
    machine.run_until(MS, |machine| machine.notes() == ["ready"]);
    let vm = machine.vm(id);
    assert_eq!(vm.board().type_in(b"x"), 1);
    assert_ne!(vm.slots()[0].events() & ATTENTION, 0);
    machine.run_for(2 * MS);
    assert_eq!(machine.notes(), ["ready", "Some(33)"]);
    assert_eq!(machine.vm(id).slots()[0].events() & ATTENTION, 0);
}

#[test]
fn who_is_to_stop_leaves_at_once() {
    for (event, is_back) in [(STOP, false), (EVICT, true)] {
        let mut machine = Machine::new(2);
        let program = machine.program(|guest| async move { guest.spin().await });
        let id = machine.boot("guest", program, &[("affinity", "1")]);
        machine.run_for(MS);
        let slot = std::sync::Arc::clone(&machine.vm(id).slots()[0]);
        assert_eq!(slot.running_on(), Some(1));
        let before = machine.sim.with_cpu(1, |cpu| cpu.loads);
        slot.ask(event);
        machine.shared.flag(1, crate::shared::RESCHEDULE);
        machine.run_for(Duration::from_micros(20));
        assert_eq!(slot.running_on().is_some(), is_back, "{event}");
        let loads = machine.sim.with_cpu(1, |cpu| cpu.loads) - before;
        assert_eq!(loads, u32::from(is_back), "it was put, and loaded again if it may run");
    }
}

#[test]
fn a_cpu_that_must_look_at_its_queue_leaves_the_guest() {
    let mut machine = Machine::new(2);
    let spin = machine.program(|guest| async move { guest.spin().await });
    let hello = machine.program(|guest| async move { guest.note("hello") });
    machine.boot("busy", spin, &[("affinity", "1")]);
    machine.run_for(MS);
    let start = machine.now();
    machine.boot("new", hello, &[("affinity", "1")]);
    machine.run_until(MS * 10, |machine| machine.notes() == ["hello"]);
    let waited = machine.now().since(start);
    assert!(waited < MS, "a newcomer does not wait for the other's slice: {waited:?}");
}

#[test]
fn the_console_takes_the_service_cpu_out_of_its_guest() {
    let mut machine = Machine::new(1);
    let spin = machine.program(|guest| async move { guest.spin().await });
    machine.boot("busy", spin, &[]);
    machine.run_for(MS);
    machine.sim.raise(0, HostEvent::Console);
    let start = machine.now();
    while machine.turn(start + 100 * MS) == crate::cpu_loop::Turn::Guests {}
    assert!(machine.now().since(start) < MS / 10, "at once");
}

#[test]
fn a_disk_of_the_host_is_heard_without_the_guest_leaving_its_cpu() {
    let mut machine = Machine::new(1);
    let spin = machine.program(|guest| async move { guest.spin().await });
    machine.boot("busy", spin, &[]);
    machine.run_for(MS);
    machine.sim.raise(0, HostEvent::Disk);
    let start = machine.now();
    while machine.turn(start + 10 * MS) == crate::cpu_loop::Turn::Guests {}
    assert!(machine.now().since(start) >= 10 * MS, "the host has nothing to do");
}

#[test]
fn an_interrupt_that_nobody_asked_for_does_no_harm() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        guest.work(MS).await;
        guest.note("done");
    });
    machine.boot("guest", program, &[]);
    machine.sim.raise(0, HostEvent::Spurious(99));
    machine.run_for(10 * MS);
    assert_eq!(machine.notes(), ["done"]);
}

#[test]
fn who_yields_alone_runs_on_and_else_lets_the_other_run() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        for _ in 0..20 {
            guest.wfe().await;
            guest.work(Duration::from_micros(10)).await;
        }
        guest.note(format!("done {}", guest.time().as_micros() / 100));
    });
    machine.boot("alone", program, &[]);
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["done 2"]);
    let spin = machine.program(|guest| async move { guest.spin().await });
    machine.boot("busy", spin, &[]);
    machine.boot("polite", program, &[]);
    machine.run_for(100 * MS);
    assert_eq!(machine.notes().len(), 2, "who yields is not forgotten: {:?}", machine.notes());
}
