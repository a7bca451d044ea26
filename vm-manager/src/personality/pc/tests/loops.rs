//! Guests that run in the CPU's loop.

use super::machine::{FakePc, START_NS, config, request};
use crate::board::Board;
use crate::cpu_loop::CpuLoop;
use crate::personality::pc::testing::{FakePcCpu, Script};
use crate::platform::Platform;
use crate::shared::Shared;
use crate::vm::Vm;
use hv_core::arch::x86_64::exit::ArchExit;
use hv_core::arch::x86_64::register::flags;
use hv_core::arch::x86_64::start::Start;
use hv_core::exit::Exit;
use hv_core::time::Instant;
use std::sync::{Arc, Mutex};

const MS: u64 = 1_000_000;

/// What came of a run.
struct Ran {
    /// The times and vectors of the interrupts that were taken.
    taken: Vec<(u64, u8)>,
    shared: Arc<Shared<FakePc>>,
    vm: Arc<Vm<FakePc>>,
}

type Notes = Arc<Mutex<Vec<(u64, u8)>>>;

/// Runs `script` until `end`.
fn run(
    end: u64,
    mut script: impl FnMut(&mut FakePcCpu, usize) -> Exit<ArchExit> + Send + 'static,
) -> Ran {
    let platform = FakePc::new();
    let notes = Notes::default();
    let (taken, mut step) = (Arc::clone(&notes), 0);
    let script: Script = Box::new(move |cpu| {
        let now = cpu.clock.load(std::sync::atomic::Ordering::SeqCst);
        for event in cpu.taken.drain(..) {
            taken.lock().unwrap().push((now - START_NS, event.vector));
        }
        let exit = script(cpu, step);
        step += 1;
        Some(exit)
    });
    *platform.scripts.lock().unwrap() = vec![Some(script)];
    let shared = Shared::new(platform, 1);
    let config = config(&[]);
    let request = request(&config);
    let vm = Vm::new(
        1,
        config,
        request,
        &crate::testing::images::FakeImages::default(),
        &shared,
        std::time::Duration::ZERO,
    )
    .ok()
    .unwrap();
    vm.board().reset();
    vm.start(Start::Real { segment: 0, offset: 0x7c00 }, shared.platform().now());
    let mut cpu = CpuLoop::new(Arc::clone(&shared), 0);
    let end = Instant(START_NS + end);
    for _ in 0..1000 {
        if shared.platform().now() >= end {
            break;
        }
        cpu.turn(end);
    }
    assert!(shared.platform().now() >= end, "it does not get there");
    let taken = notes.lock().unwrap().clone();
    Ran { taken, shared, vm }
}

fn write(index: u32, value: u64) -> Exit<ArchExit> {
    Exit::Arch(ArchExit::WriteMsr { index, value })
}

/// x2APIC on, its timer with TSC deadlines at vector 0x40.
fn set_up(step: usize) -> Option<Exit<ArchExit>> {
    Some(match step {
        0 => write(0x1b, 0xfee0_0d00),
        1 => write(0x80f, 0x1ff),
        2 => write(0x832, 2 << 17 | 0x40),
        _ => return None,
    })
}

#[test]
fn a_halted_cpu_wakes_for_each_tick_without_leaving_its_loop() {
    let Ran { taken, shared, vm } = run(10 * MS, |cpu, step| {
        cpu.rflags |= flags::IF;
        set_up(step).unwrap_or(match step % 3 {
            0 => write(0x6e0, (step as u64 / 3) * MS),
            1 => Exit::Idle,
            _ => write(0x80b, 0),
        })
    });
    let expected: Vec<_> = (1..10).map(|ms| (ms * MS, 0x40)).collect();
    assert_eq!(taken.get(..9), Some(expected.as_slice()));
    assert!(shared.platform().timers_set.lock().unwrap().len() < 30);
    let idles = vm.slots()[0].exits().find(|(name, _)| *name == "idle").unwrap().1;
    assert!(idles <= 11, "{idles}");
}

#[test]
fn a_cpu_that_halts_with_interrupts_off_sleeps_for_ever() {
    let Ran { taken, vm, .. } = run(50 * MS, |cpu, step| {
        cpu.rflags &= !flags::IF;
        set_up(step).unwrap_or(match step {
            3 => write(0x6e0, MS),
            _ => Exit::Idle,
        })
    });
    assert_eq!(taken, []);
    let idles = vm.slots()[0].exits().find(|(name, _)| *name == "idle").unwrap().1;
    assert_eq!(idles, 1);
}

#[test]
fn a_deadline_that_moves_is_met_by_a_cpu_that_computes() {
    // It exits for an interrupt of the host whenever one waits.
    let Ran { taken, .. } = run(10 * MS, |cpu, step| {
        cpu.rflags |= flags::IF;
        set_up(step).unwrap_or_else(|| match step {
            3 => write(0x6e0, 5 * MS),
            4 => write(0x6e0, 2 * MS),
            _ => {
                cpu.clock.fetch_add(MS / 4, std::sync::atomic::Ordering::SeqCst);
                Exit::Interrupt
            }
        })
    });
    assert_eq!(taken.len(), 1);
    let (at, vector) = taken[0];
    assert_eq!(vector, 0x40);
    assert!((2 * MS..=2 * MS + MS / 2).contains(&at), "{at}");
}
