use crate::testing::machine::Machine;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn percentages_are_those_of_the_last_second() {
    let mut machine = Machine::new(2);
    // A quarter of the time.
    let quarter = machine.program(|guest| async move {
        guest.enable_private(&[27]).await;
        loop {
            guest.work(Duration::from_millis(25)).await;
            guest.set_timer(guest.time() + Duration::from_millis(75));
            while guest.interrupt().await != 27 {}
            guest.stop_timer();
        }
    });
    let spin = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("quarter", quarter, &[("affinity", "1")]);
    machine.run_for(3 * SECOND);
    assert!(
        (24..=26).contains(&machine.manager.vm_percent(id)),
        "{}",
        machine.manager.vm_percent(id)
    );
    assert!((24..=26).contains(&machine.manager.cpu_percent(1)));
    assert!(machine.manager.cpu_percent(0) <= 1, "the service CPU sleeps");

    let busy = machine.boot("busy", spin, &[("affinity", "1")]);
    machine.run_for(3 * SECOND);
    assert!(machine.manager.cpu_percent(1) >= 99);
    let sum = machine.manager.vm_percent(id) + machine.manager.vm_percent(busy);
    assert!((98..=101).contains(&sum), "{sum}");

    machine.manager.pause(busy).unwrap();
    machine.run_for(3 * SECOND);
    assert_eq!(machine.manager.vm_percent(busy), 0);
    assert!((24..=26).contains(&machine.manager.vm_percent(id)));
}

#[test]
fn a_vm_on_several_cpus_uses_more_than_a_hundred_percent() {
    let mut machine = Machine::new(3);
    let program = machine.program(|guest| async move {
        if guest.index == 0 {
            guest.hvc([0x8400_0003, 1, 0x4000_0000, 0]).await;
        }
        guest.spin().await;
    });
    let id = machine.boot("smp", program, &[("vcpus", "2"), ("affinity", "1,2")]);
    machine.run_for(3 * SECOND);
    assert!(
        (198..=200).contains(&machine.manager.vm_percent(id)),
        "{}",
        machine.manager.vm_percent(id)
    );
}

#[test]
fn time_that_is_still_running_counts() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("vm", program, &[("affinity", "1")]);
    let start = machine.now();
    machine.run_for(SECOND);
    let (ran, all) = (machine.vm(id).ran(machine.now()), machine.now().since(start));
    assert!(ran <= all && ran > all * 99 / 100, "it never left its CPU: {ran:?} of {all:?}");
}

#[test]
fn who_was_destroyed_uses_nothing() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move { guest.spin().await });
    let id = machine.boot("vm", program, &[]);
    machine.run_for(3 * SECOND);
    assert!(machine.manager.vm_percent(id) > 90);
    let job = machine.manager.destroy(id).unwrap();
    machine.finish(job).unwrap();
    assert_eq!(machine.manager.vm_percent(id), 0);
}
