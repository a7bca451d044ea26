use super::*;
use proptest::prelude::*;

const ALL: CpuMask = u64::MAX;

/// Lets time pass: each CPU runs what it picks for its slice, or for `SLICE` when it is alone.
fn simulate(sched: &mut Scheduler<usize>, cpus: usize, turns: usize) -> Vec<Duration> {
    let mut ran = vec![Duration::ZERO; 64];
    for _ in 0..turns {
        for cpu in 0..cpus {
            if let Some(pick) = sched.pick(cpu) {
                let slice = pick.slice.unwrap_or(SLICE);
                sched.charge(cpu, slice);
                ran[pick.payload] += slice;
            }
        }
    }
    ran
}

fn ready(sched: &mut Scheduler<usize>, payload: usize, weight: u16, affinity: CpuMask) -> TaskId {
    let id = sched.add(payload, weight, affinity);
    let _ = sched.release(id);
    id
}

#[test]
fn time_is_shared_by_weight() {
    let mut sched = Scheduler::new(1);
    ready(&mut sched, 0, 100, ALL);
    ready(&mut sched, 1, 100, ALL);
    ready(&mut sched, 2, 300, ALL);
    let ran = simulate(&mut sched, 1, 10_000);
    let share = |i: usize| ran[i].as_secs_f64() / ran.iter().sum::<Duration>().as_secs_f64();
    assert!((share(0) - 0.2).abs() < 0.01, "{}", share(0));
    assert!((share(1) - 0.2).abs() < 0.01, "{}", share(1));
    assert!((share(2) - 0.6).abs() < 0.01, "{}", share(2));
}

#[test]
fn who_is_alone_gets_no_slice() {
    let mut sched = Scheduler::new(1);
    let first = ready(&mut sched, 0, 100, ALL);
    assert_eq!(sched.pick(0).unwrap().slice, None);
    let second = sched.add(1, 100, ALL);
    assert_eq!(sched.release(second), Notice::Cpu(0), "the one that runs must now share");
    assert_eq!(sched.pick(0).unwrap().slice, Some(SLICE));
    let _ = (first, second);
}

#[test]
fn a_sleeper_has_not_saved_its_time_up() {
    let mut sched = Scheduler::new(1);
    let sleeper = ready(&mut sched, 0, 100, ALL);
    sched.pick(0).unwrap();
    sched.block(0);
    ready(&mut sched, 1, 100, ALL);
    simulate(&mut sched, 1, 1000);
    let _ = sched.wake(sleeper);
    let ran = simulate(&mut sched, 1, 100);
    assert!(ran[0] < ran[1] + 3 * SLICE, "{:?} against {:?}", ran[0], ran[1]);
}

#[test]
fn a_waking_vcpu_interrupts_one_that_has_had_more() {
    let mut sched = Scheduler::new(1);
    let io = ready(&mut sched, 0, 100, ALL);
    sched.pick(0).unwrap();
    sched.block(0);
    ready(&mut sched, 1, 100, ALL);
    ready(&mut sched, 2, 100, ALL);
    simulate(&mut sched, 1, 9);
    assert_eq!(sched.wake(io), Notice::Cpu(0));
    assert_eq!(sched.pick(0).unwrap().payload, 0);
}

#[test]
fn a_waking_vcpu_goes_to_an_idle_cpu_of_its_affinity() {
    let mut sched = Scheduler::new(4);
    let pinned = ready(&mut sched, 0, 100, 0b0001);
    assert_eq!(sched.pick(0).unwrap().task, pinned);
    let other = sched.add(1, 100, 0b0101);
    assert_eq!(sched.release(other), Notice::Cpu(2));
    assert_eq!(sched.pick(1), None);
    assert_eq!(sched.pick(2).unwrap().task, other);
}

#[test]
fn an_idle_cpu_takes_what_waits_elsewhere_but_not_against_affinity() {
    let mut sched = Scheduler::new(2);
    ready(&mut sched, 0, 100, 0b01);
    ready(&mut sched, 1, 100, 0b01);
    assert_eq!(sched.pick(0).unwrap().payload, 0);
    assert_eq!(sched.pick(1), None);
    ready(&mut sched, 2, 100, 0b11);
    assert_eq!(sched.pick(1).unwrap().payload, 2);
}

#[test]
fn loaded_state_is_never_taken_by_another_cpu() {
    let mut sched = Scheduler::new(2);
    let first = ready(&mut sched, 0, 100, ALL);
    sched.pick(0).unwrap();
    sched.block(0);
    assert_eq!(sched.loaded_on(first), Some(0));
    let _ = sched.wake(first);
    assert_eq!(sched.pick(1), None, "it is in the registers of CPU 0");
    assert_eq!(sched.pick(0).unwrap().task, first);
}

#[test]
fn holding_stops_all_states() {
    let mut sched = Scheduler::new(1);
    let running = ready(&mut sched, 0, 100, ALL);
    let queued = ready(&mut sched, 1, 100, ALL);
    sched.pick(0).unwrap();
    assert_eq!(sched.hold(queued), None);
    assert_eq!(sched.state(queued), TaskState::Held);
    assert_eq!(sched.hold(running), Some(0));
    sched.leave(0, TaskState::Held);
    assert_eq!(sched.pick(0), None);
    let _ = sched.wake(running);
    assert_eq!(sched.pick(0), None, "an interrupt does not resume a VM");
    let _ = sched.release(running);
    assert_eq!(sched.pick(0).unwrap().task, running);
}

#[test]
fn a_change_of_affinity_moves_it() {
    let mut sched = Scheduler::new(2);
    let task = ready(&mut sched, 0, 100, 0b01);
    sched.pick(0).unwrap();
    assert_eq!(sched.configure(task, Some(50), Some(0b10)), Some(0));
    assert!(sched.must_leave(task, 0));
    sched.block(0);
    sched.unloaded(0);
    let _ = sched.wake(task);
    assert_eq!(sched.pick(0), None);
    assert_eq!(sched.pick(1).unwrap().task, task);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u16, u64),
    Wake(usize),
    Pick(usize),
    Block(usize),
    Hold(usize),
    Release(usize),
    Configure(usize, u16, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..500_u16, 1..16_u64).prop_map(|(w, a)| Step::Add(w, a)),
        (0..8_usize).prop_map(Step::Wake),
        (0..4_usize).prop_map(Step::Pick),
        (0..4_usize).prop_map(Step::Block),
        (0..8_usize).prop_map(Step::Hold),
        (0..8_usize).prop_map(Step::Release),
        (0..8_usize, 1..500_u16, 1..16_u64).prop_map(|(t, w, a)| Step::Configure(t, w, a)),
    ]
}

proptest! {
    #[test]
    fn a_vcpu_is_in_one_place_only(steps in proptest::collection::vec(step(), 1..200)) {
        let mut sched = Scheduler::new(4);
        let mut tasks: Vec<TaskId> = vec![];
        for step in steps {
            let task = |i: usize| tasks.get(i).copied();
            match step {
                Step::Add(weight, affinity) if tasks.len() < 8 => {
                    tasks.push(sched.add(tasks.len(), weight, affinity));
                }
                Step::Add(..) => {}
                Step::Wake(i) => if let Some(id) = task(i) { let _ = sched.wake(id); },
                Step::Pick(cpu) => if let Some(pick) = sched.pick(cpu) {
                    sched.charge(cpu, SLICE);
                    prop_assert_eq!(sched.state(pick.task), TaskState::Running);
                    prop_assert_eq!(sched.loaded_on(pick.task), Some(cpu));
                },
                Step::Block(cpu) => sched.block(cpu),
                Step::Hold(i) => if let Some(id) = task(i) && let Some(cpu) = sched.hold(id) { sched.leave(cpu, TaskState::Held); },
                Step::Release(i) => if let Some(id) = task(i) { let _ = sched.release(id); },
                Step::Configure(i, weight, affinity) => if let Some(id) = task(i) {
                    let _ = sched.configure(id, Some(weight), Some(affinity));
                },
            }
            for (index, queue) in sched.queues.iter().enumerate() {
                for id in &queue.waiting {
                    prop_assert_eq!(sched.state(*id), TaskState::Queued);
                    prop_assert_eq!(sched.cpu(*id), index);
                }
                if let Some(id) = queue.running {
                    prop_assert_eq!(sched.state(id), TaskState::Running);
                }
            }
            for id in &tasks {
                let places = sched.queues.iter().filter(|q| q.waiting.contains(id)).count();
                let runs = sched.queues.iter().filter(|q| q.running == Some(*id)).count();
                let expected = match sched.state(*id) {
                    TaskState::Queued => (1, 0),
                    TaskState::Running => (0, 1),
                    TaskState::Off | TaskState::Held | TaskState::Blocked => (0, 0),
                };
                prop_assert_eq!((places, runs), expected);
            }
        }
    }
}
