//! The made-up machine as the code under test sees it.

use super::chore::Chore;
use super::cpu::FakeCpu;
use super::guest::Program;
use super::ram::{FakeRam, Pool};
use super::sim::{self, STEP, Sim, Wait};
use crate::personality::virt::{ArmPlatform, Virt};
use crate::platform::Platform;
use crate::plug::{Order, Plug};
use crate::virt_map::GicVersion;
use hv_core::guest::GuestPhysAddr;
use hv_core::machine::{HostEvent, Range};
use hv_core::ram::{Lending, RamError};
use hv_core::time::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The first seed; others follow.
pub(crate) const FIRST_SEED: u64 = 0x5eed;

/// What guests run, by number.
pub(crate) type Programs = Arc<Mutex<Vec<Program>>>;

pub(crate) struct FakePlatform {
    pub(crate) sim: Arc<Sim>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) programs: Programs,
    pub(crate) gic: GicVersion,
    /// When its disks want to be looked after.
    pub(crate) disks_due: Instant,
    /// The next seed.
    pub(crate) seeds: AtomicU64,
}

impl Platform for FakePlatform {
    type Cpu = FakeCpu;
    type Ram = FakeRam;
    type Board = Virt<Self>;

    fn now(&self) -> Instant {
        self.sim.jitter();
        self.sim.now()
    }

    fn cpu_index(&self) -> usize {
        sim::this_cpu()
    }

    fn kick(&self, cpu: usize) {
        self.sim.with_cpu(cpu, |cpu| cpu.kicks += 1);
        self.sim.raise(cpu, HostEvent::Kick);
    }

    fn sleep(&self) {
        self.sim.with_cpu(sim::this_cpu(), |cpu| cpu.sleeps += 1);
        self.sim.wait(Wait::Interrupt(Instant::NEVER));
    }

    fn pause(&self) {
        self.sim.spend(STEP);
    }

    fn set_timer(&self, deadline: Instant) {
        self.sim.set_timer(deadline);
    }

    fn next_event(&self) -> Option<HostEvent> {
        self.sim.take_event()
    }

    fn hear_disks(&self) -> Instant {
        self.disks_due
    }

    fn deactivate_guest_timer(&self) {
        self.sim.with_cpu(sim::this_cpu(), |cpu| cpu.is_timer_active = false);
    }

    fn plugs(&self, order: &Order<'_>) -> Result<Vec<Box<dyn Plug>>, String> {
        if !order.config.has_rng {
            return Ok(Vec::new());
        }
        Ok(vec![Box::new(Chore::plug(Arc::clone(&order.bell)))])
    }

    fn new_ram(&self, parts: &[Range], _: Lending) -> Result<FakeRam, RamError> {
        let [part] = parts else { panic!("this machine has one part of RAM") };
        FakeRam::new(&self.pool, GuestPhysAddr(part.start), part.len())
    }

    fn seed(&self) -> [u64; 4] {
        [self.seeds.fetch_add(1, Ordering::Relaxed); 4]
    }

    fn available(&self) -> u64 {
        self.pool.free()
    }
}

impl ArmPlatform for FakePlatform {
    fn new_cpu(&self, index: u8, ram: &FakeRam, gic: GicVersion) -> FakeCpu {
        FakeCpu::new(index, Arc::clone(&self.sim), ram.content(), Arc::clone(&self.programs), gic)
    }

    fn gic_version(&self) -> GicVersion {
        self.gic
    }

    fn map_cpu_interface(&self, _: &mut FakeRam, _: GuestPhysAddr) -> Result<(), String> {
        Ok(())
    }
}
