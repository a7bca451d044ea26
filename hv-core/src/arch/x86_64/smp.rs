//! The other CPUs: INIT, start-up, and where they come from there. SDM vol. 3A, 9.4.

// UNSAFETY: code is copied to where a CPU starts, and it finds its record through a variable.
#![expect(unsafe_code)]

use super::own_table::Stage1;
use super::percpu::{self, PerCpu, STACK_BYTES};
use super::{apic, boot, clock, insn, virt};
use crate::own_space;
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use spin::Once;

/// What a CPU that starts needs before it has an address space.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SecondaryBoot {
    pub(super) root: u64,
    pub(super) stack_top: u64,
    cpu: Option<&'static PerCpu>,
    arrival: AtomicU8,
    /// Why it cannot run guests, while others can.
    failed: Mutex<Option<virt::Unsupported>>,
    /// What it calls itself.
    name: Mutex<String>,
}

/// A CPU is still awaited,
const AWAITED: u8 = 0;
/// has come in time and runs,
const ONLINE_IN_TIME: u8 = 1;
/// or is not waited for any more: its number may be another one's by now.
const GIVEN_UP: u8 = 2;

impl SecondaryBoot {
    /// Settles once and for all what becomes of the CPU; `false` if the other side was faster.
    fn settle(&self, outcome: u8) -> bool {
        // AcqRel: what the CPU wrote before it came online is seen by who finds it so.
        self.arrival.compare_exchange(AWAITED, outcome, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What the other CPUs run.
static SECONDARY_MAIN: Once<fn(usize) -> !> = Once::new();
/// Every CPU that runs, by number, with what it calls itself.
static ONLINE: Mutex<Vec<(&'static PerCpu, String)>> = Mutex::new(Vec::new());

/// The APIC identifier of CPU `index`, if it runs.
#[inline]
pub(super) fn apic_id(index: usize) -> Option<u32> {
    ONLINE.lock().get(index).map(|(cpu, _)| cpu.apic_id())
}

/// What CPU `index` calls itself, and its APIC identifier.
pub(super) fn describe(index: usize) -> (String, u64) {
    let online = ONLINE.lock();
    let found = online.get(index);
    found.map_or_else(Default::default, |(cpu, name)| (name.clone(), u64::from(cpu.apic_id())))
}

/// Starts all other CPUs, each of which then runs `main` with its number. Returns how many CPUs run now, and a
/// note for each that does not.
pub(crate) fn start_cpus(main: fn(usize) -> !) -> (usize, Vec<String>) {
    SECONDARY_MAIN.call_once(|| main);
    let mut notes = Vec::new();
    let (Some(platform), Some(this)) = (boot::platform(), percpu::this()) else {
        return (1, notes);
    };
    ONLINE.lock().push((this, percpu::name()));
    let others = || platform.cpus.iter().flatten().copied().filter(|&id| id != this.apic_id());
    if others().next().is_none() {
        return (1, notes);
    }
    let Some(page) = platform.trampoline() else {
        notes.push(String::from(
            "the other CPUs stay off: there is no free page below 512 KiB to start them in",
        ));
        return (1, notes);
    };
    copy_trampoline(page);
    let mut running = 1;
    for id in others() {
        match start_cpu(running, id, page) {
            Ok(()) => running += 1,
            Err(why) => notes.push(format!("the CPU of APIC {id} is left out: {why}")),
        }
    }
    (running, notes)
}

fn copy_trampoline(page: u64) {
    let (start, end) = insn::trampoline();
    let source = core::ptr::with_exposed_provenance::<u8>(start as usize);
    let target = core::ptr::with_exposed_provenance_mut::<u8>(page as usize);
    // SAFETY: the code is part of our image, and shorter than a page; the page is RAM that nobody has: the pool begins at 1 MiB.
    unsafe { core::ptr::copy_nonoverlapping(source, target, (end - start) as usize) };
}

fn wait(time: Duration) {
    let end = clock::now() + time;
    while clock::now() < end {
        insn::pause();
    }
}

fn start_cpu(index: usize, apic_id: u32, page: u64) -> Result<(), String> {
    const PAGES: usize = (STACK_BYTES / 4096) as usize;
    const PATIENCE: Duration = Duration::from_secs(2);
    // Long ago, CPUs needed 10 ms after an INIT; those that can virtualize do not.
    const AFTER_INIT: Duration = Duration::from_micros(200);
    const AFTER_STARTUP: Duration = Duration::from_millis(10);
    let stack_top = own_space::new_stack::<Stage1>(PAGES).ok_or("no memory for its stack")?;
    let cpu = PerCpu::new(index, apic_id);
    // SAFETY: a new stack of the right size and alignment, whose top boot.S leaves alone.
    unsafe { cpu.own_stack(stack_top) };
    let boot: &'static SecondaryBoot = Box::leak(Box::new(SecondaryBoot {
        root: own_space::root(),
        stack_top,
        cpu: Some(cpu),
        arrival: AtomicU8::new(AWAITED),
        failed: Mutex::new(None),
        name: Mutex::new(String::new()),
    }));
    let record = core::ptr::with_exposed_provenance_mut::<u64>(insn::secondary_record() as usize);
    // SAFETY: boot.S's variable; CPUs are started one by one, and one that was given up finds GIVEN_UP in a record or comes
    // with the stack of the next, which its arrival settles.
    unsafe { record.write_volatile(core::ptr::from_ref(boot).expose_provenance() as u64) };
    apic::send_init(apic_id);
    wait(AFTER_INIT);
    let deadline = clock::now() + PATIENCE;
    let page = (page >> 12) as u8;
    apic::send_startup(apic_id, page);
    let second = clock::now() + AFTER_STARTUP;
    let mut is_asked_again = Asked::Once;
    // Acquire: what it wrote before it came online is seen.
    while boot.arrival.load(Ordering::Acquire) == AWAITED {
        if let Some(why) = *boot.failed.lock() {
            return Err(format!("{why}"));
        }
        let now = clock::now();
        if now > second && is_asked_again == Asked::Once {
            apic::send_startup(apic_id, page);
            is_asked_again = Asked::Twice;
        }
        if now > deadline && boot.settle(GIVEN_UP) {
            // It must not come later, when the record is another one's.
            apic::send_init(apic_id);
            return Err(String::from("it did not answer within 2 s"));
        }
        insn::pause();
    }
    ONLINE.lock().push((cpu, boot.name.lock().clone()));
    Ok(())
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Asked {
    Once,
    Twice,
}

/// Another CPU, with our tables.
pub(super) extern "C" fn secondary(boot: &'static SecondaryBoot) -> ! {
    if let Some(cpu) = boot.cpu {
        boot::init_this_cpu(cpu);
        *boot.name.lock() = percpu::name();
        match virt::enable_on_this_cpu() {
            // Where no CPU runs guests, this one is as good as the others.
            Err(why) if virt::kind().is_some() => *boot.failed.lock() = Some(why),
            Ok(()) | Err(_) => {
                if boot.settle(ONLINE_IN_TIME)
                    && let Some(main) = SECONDARY_MAIN.get()
                {
                    main(cpu.index());
                }
            }
        }
    }
    loop {
        insn::halt();
    }
}
