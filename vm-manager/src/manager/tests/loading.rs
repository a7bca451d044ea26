//! Start and reset: RAM zeroed and images loaded, slice by slice.

use crate::config::VmConfig;
use crate::cpu_loop::Turn;
use crate::job::JobStatus;
use crate::load::{Images, ReadError, Source};
use crate::testing::machine::Machine;
use crate::vm::VmState;
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const ENTRY: GuestPhysAddr = GuestPhysAddr(0x4000_0000);

#[test]
fn a_start_goes_in_slices_and_says_how_far_it_is() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { guest.note("runs") });
    let mut image = program.code().to_vec();
    image.resize(3 << 20, 0x77);
    machine.images.add("p0", image);
    let id = machine.create("vm", program, &[("memory", "64M")]);
    let job = machine.manager.start(id).unwrap();
    let mut seen: Vec<(String, u64)> = Vec::new();
    loop {
        machine.manager.poll();
        match machine.manager.job(job) {
            JobStatus::Running { done_bytes, total_bytes, what } => {
                assert!(done_bytes <= total_bytes);
                assert_eq!(machine.state(id), VmState::Loading, "{what}");
                seen.push((what, done_bytes));
            }
            JobStatus::Done(result) => break result.unwrap(),
        }
    }
    assert_eq!(machine.state(id), VmState::Running);
    let slices = |text: &str| seen.iter().filter(|(what, _)| what.contains(text)).count();
    assert!(slices("zeroing RAM") >= 3, "{seen:?}");
    assert!(slices("loading kernel p0") >= 3, "{seen:?}");
    assert!(machine.notes().is_empty(), "nothing runs before it is loaded");
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["runs"]);
    let mut end = [0];
    machine.vm(id).ram().read(GuestPhysAddr(ENTRY.0 + (3 << 20) - 1), &mut end).unwrap();
    assert_eq!(end, [0x77], "the whole image is there");
}

#[test]
fn others_run_while_one_is_loaded() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        loop {
            guest.work(Duration::from_micros(1)).await;
            guest.note("tick");
        }
    });
    machine.boot("runs", program, &[]);
    let large = machine.program(|guest| async move { guest.spin().await });
    let mut image = large.code().to_vec();
    image.resize(16 << 20, 0);
    machine.images.add("p1", image);
    let id = machine.create("large", large, &[("memory", "200M")]);
    machine.run_for(MS);
    let job = machine.manager.start(id).unwrap();
    let before = machine.notes().len();
    for slice in 1..20 {
        // As the service CPU does it: guests have a millisecond between two slices.
        machine.manager.poll();
        let limit = machine.now() + MS;
        while machine.turn(limit) == Turn::Guests {}
        let ticks = machine.notes().len() - before;
        assert!(ticks >= slice * 500, "{ticks} ticks in {slice} slices");
        assert_eq!(machine.state(id), VmState::Loading);
    }
    machine.finish(job).unwrap();
    assert_eq!(machine.state(id), VmState::Running);
}

#[test]
fn new_ram_is_zero() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        let mut all = vec![1; (2 << 20) - 0x2_0008];
        guest.ram.read(GuestPhysAddr(ENTRY.0 + 8), &mut all).unwrap();
        guest.note(format!("{}", all.iter().all(|&byte| byte == 0)));
    });
    machine.boot("vm", program, &[]);
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["true"], "all but the image and the device tree");
}

#[test]
fn a_reset_reloads_the_image_and_zeroes_the_rest() {
    let mut machine = Machine::new(2);
    let program = machine.program(|guest| async move {
        const SCRATCH: GuestPhysAddr = GuestPhysAddr(ENTRY.0 + 0x1000);
        let mut bytes = [0; 8];
        guest.ram.read(SCRATCH, &mut bytes).unwrap();
        guest.note(format!("{bytes:?}"));
        guest.ram.write(SCRATCH, &[1; 8]).unwrap();
        guest.ram.write(ENTRY, &[0xff; 8]).unwrap();
        guest.listen().await;
        guest.spin().await;
    });
    let id = machine.boot("vm", program, &[("affinity", "1")]);
    machine.run_for(MS);
    let job = machine.manager.reset(id).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(MS);
    assert_eq!(
        machine.notes(),
        ["[0, 0, 0, 0, 0, 0, 0, 0]"; 2],
        "the code is there again, the rest zero"
    );
    assert_eq!(machine.state(id), VmState::Running);
    assert!(machine.vm(id).uptime(machine.now()) < 5 * MS);
}

#[test]
fn a_reset_resets_devices() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move {
        let uart = crate::virt_map::PL011.base.0;
        let mask = guest.load(uart + 0x38, hv_core::guest::Width::B4).await;
        let pending = guest.acknowledge();
        guest.note(format!("{mask:?} {pending:?}"));
        guest.listen().await;
        guest.msr(crate::testing::guest::ICC_SGI1R, 1).await;
        guest.wfi().await;
    });
    let id = machine.boot("vm", program, &[]);
    machine.run_for(MS);
    machine.manager.type_in(id, b"x").unwrap();
    machine.run_for(MS);
    let job = machine.manager.reset(id).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["Some(0) None"; 2]);
}

/// A file on a medium that fails behind the first page.
struct Weak {
    bytes: Vec<u8>,
    is_broken: Arc<AtomicBool>,
}

impl Source for Weak {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        let end = offset as usize + buf.len();
        if end > 4096 && self.is_broken.load(Ordering::Relaxed) {
            return Err(ReadError::Medium);
        }
        buf.copy_from_slice(self.bytes.get(offset as usize..end).ok_or(ReadError::PastEnd)?);
        Ok(())
    }
}

impl Images for Weak {
    fn open(&self, _: &str) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Self { bytes: self.bytes.clone(), is_broken: Arc::clone(&self.is_broken) }))
    }

    fn paths(&self) -> Vec<String> {
        vec!["kernel".into()]
    }
}

#[test]
fn a_load_that_fails_leaves_the_vm_stopped_and_can_be_tried_again() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { guest.note("runs") });
    let mut bytes = program.code().to_vec();
    bytes.resize(64 << 10, 0);
    let is_broken = Arc::new(AtomicBool::new(true));
    let images = Weak { bytes, is_broken: Arc::clone(&is_broken) };
    let config: VmConfig = machine.config("vm", program, &[]);
    let id = machine.manager.create(config, &images).unwrap();
    for _ in 0..2 {
        let job = machine.manager.start(id).unwrap();
        let error = machine.finish(job).unwrap_err().to_string();
        assert_eq!(error, "p0: the medium that it is on has failed");
        assert_eq!(machine.state(id), VmState::Stopped);
        assert!(!machine.manager.is_busy(id));
    }
    machine.run_for(5 * MS);
    assert!(machine.notes().is_empty());
    is_broken.store(false, Ordering::Relaxed);
    let job = machine.manager.start(id).unwrap();
    machine.finish(job).unwrap();
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["runs"]);
}

/// A file on a medium that answers a read when it is asked for the same again, until it is released.
struct Slow {
    bytes: Vec<u8>,
    asked: Mutex<BTreeSet<u64>>,
    released: AtomicU32,
    is_stuck: AtomicBool,
}

impl Source for Arc<Slow> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        let is_new = self.asked.lock().unwrap().insert(offset);
        if is_new || self.is_stuck.load(Ordering::Relaxed) {
            return Err(ReadError::NotYet);
        }
        let end = offset as usize + buf.len();
        buf.copy_from_slice(self.bytes.get(offset as usize..end).ok_or(ReadError::PastEnd)?);
        Ok(())
    }

    fn release(&self) {
        self.asked.lock().unwrap().clear();
        self.released.fetch_add(1, Ordering::Relaxed);
    }
}

struct SlowImages(Arc<Slow>);

impl Images for SlowImages {
    fn open(&self, _: &str) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Arc::clone(&self.0)))
    }

    fn paths(&self) -> Vec<String> {
        vec!["kernel".into()]
    }
}

#[test]
fn a_slow_medium_is_asked_again_until_everything_is_loaded() {
    let mut machine = Machine::new(1);
    let program = machine.program(|guest| async move { guest.note("runs") });
    let mut bytes = program.code().to_vec();
    bytes.resize(100 << 10, 0x55);
    let slow = Arc::new(Slow {
        bytes,
        asked: Mutex::default(),
        released: AtomicU32::new(0),
        is_stuck: AtomicBool::new(false),
    });
    let images = SlowImages(Arc::clone(&slow));
    let config: VmConfig = machine.config("vm", program, &[]);
    let mut tries = 0;
    let id = loop {
        match machine.manager.create(config.clone(), &images) {
            Ok(id) => break id,
            Err(error) => assert!(error.is_not_yet(), "{error}"),
        }
        tries += 1;
        assert!(tries < 100);
    };
    assert!(tries > 0);
    assert_eq!(slow.released.load(Ordering::Relaxed), 1);

    // It can be given up while it waits.
    slow.is_stuck.store(true, Ordering::Relaxed);
    let job = machine.manager.start(id).unwrap();
    for _ in 0..50 {
        machine.manager.poll();
        assert!(matches!(machine.manager.job(job), JobStatus::Running { .. }));
    }
    assert_eq!(machine.state(id), VmState::Loading);
    assert!(machine.manager.give_up(job));
    assert_eq!(machine.state(id), VmState::Stopped);
    assert!(!machine.manager.is_busy(id));
    assert_eq!(slow.released.load(Ordering::Relaxed), 2);

    slow.is_stuck.store(false, Ordering::Relaxed);
    let job = machine.manager.start(id).unwrap();
    machine.finish(job).unwrap();
    assert_eq!(slow.released.load(Ordering::Relaxed), 3);
    machine.run_for(MS);
    assert_eq!(machine.notes(), ["runs"]);
    let mut end = [0];
    machine.vm(id).ram().read(GuestPhysAddr(ENTRY.0 + (100 << 10) - 1), &mut end).unwrap();
    assert_eq!(end, [0x55]);
}
