//! A machine to test on, with its manager.

use super::guest::{Guest, Program, ProgramId};
use super::images::FakeImages;
use super::platform::{FIRST_SEED, FakePlatform, Programs};
use super::ram::Pool;
use super::sim::{Pace, STEP, Sim};
use crate::config::VmConfig;
use crate::cpu_loop::{CpuLoop, Turn};
use crate::error::Error;
use crate::job::{JobId, JobStatus};
use crate::manager::Manager;
use crate::shared::Shared;
use crate::virt_map::GicVersion;
use crate::vm::{Vm, VmState};
use hv_core::arch::aarch64::esr::ArchExit;
use hv_core::exit::Exit;
use hv_core::time::Instant;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// RAM of the machine.
pub(crate) const POOL_BYTES: u64 = 256 << 20;
/// RAM of a guest, unless its test wants it otherwise.
pub(crate) const GUEST_BYTES: u64 = 2 << 20;
/// The time of day when the machine's clock read zero.
pub(crate) const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// The machine. The test's thread is CPU 0, the service CPU.
pub(crate) struct Machine {
    pub(crate) sim: Arc<Sim>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) shared: Arc<Shared<FakePlatform>>,
    pub(crate) manager: Manager<FakePlatform>,
    pub(crate) images: FakeImages,
    cpu: CpuLoop<FakePlatform>,
    programs: Programs,
    threads: Vec<JoinHandle<()>>,
}

impl Machine {
    /// With so many CPUs, and a GICv3.
    pub(crate) fn new(cpus: usize) -> Self {
        Self::with(cpus, Pace::Simulated, GicVersion::V3)
    }

    pub(crate) fn with(cpus: usize, pace: Pace, gic: GicVersion) -> Self {
        let sim = Arc::new(Sim::new(cpus, pace));
        let pool = Pool::new(POOL_BYTES);
        let programs = Programs::default();
        let platform = FakePlatform {
            sim: Arc::clone(&sim),
            pool: Arc::clone(&pool),
            programs: Arc::clone(&programs),
            gic,
            disks_due: Instant::NEVER,
            seeds: AtomicU64::new(FIRST_SEED),
        };
        let shared = Shared::new(platform, cpus);
        let threads = (1..cpus).map(|cpu| start_cpu(cpu, &sim, &shared)).collect();
        Self {
            manager: Manager::new(Arc::clone(&shared), EPOCH),
            cpu: CpuLoop::new(Arc::clone(&shared), 0),
            images: FakeImages::default(),
            sim,
            pool,
            shared,
            programs,
            threads,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.sim.now()
    }

    /// A program of guests. Its image is `p` and its number.
    pub(crate) fn program<F>(
        &mut self,
        code: impl Fn(Guest) -> F + Send + Sync + 'static,
    ) -> ProgramId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut programs = self.programs.lock().unwrap();
        let id = ProgramId(programs.len() as u32);
        let program: Program = Arc::new(move |guest| Box::pin(code(guest)));
        programs.push(program);
        self.images.add(&format!("p{}", id.0), id.code().to_vec());
        id
    }

    /// A program that leaves its CPU so, in turn, and notes each answer.
    pub(crate) fn exits(&mut self, exits: Vec<Exit<ArchExit>>) -> ProgramId {
        self.program(move |guest| {
            let exits = exits.clone();
            async move {
                for exit in exits {
                    let answer = guest.exit(exit).await;
                    guest.note(format!("{answer:?}"));
                }
            }
        })
    }

    /// A configuration, with settings as those of `vm create`.
    pub(crate) fn config(
        &self,
        name: &str,
        program: ProgramId,
        settings: &[(&str, &str)],
    ) -> VmConfig {
        let text =
            format!("memory = \"2M\"\n[boot]\nkernel = \"p{}\"\nformat = \"flat\"\n", program.0);
        let config = VmConfig::parse(&format!("{name}.toml"), text.as_bytes()).unwrap();
        settings
            .iter()
            .fold(config, |config, (key, value)| config.with_override(key, value).unwrap())
    }

    /// Makes a VM that runs `program`.
    pub(crate) fn create(
        &mut self,
        name: &str,
        program: ProgramId,
        settings: &[(&str, &str)],
    ) -> u32 {
        let config = self.config(name, program, settings);
        self.manager.create(config, &self.images).unwrap()
    }

    /// Makes a VM and starts it.
    pub(crate) fn boot(
        &mut self,
        name: &str,
        program: ProgramId,
        settings: &[(&str, &str)],
    ) -> u32 {
        let id = self.create(name, program, settings);
        let job = self.manager.start(id).unwrap();
        self.finish(job).unwrap();
        id
    }

    /// Boots one VM with `code`, and runs it until it does nothing more. Returns what it noted.
    pub(crate) fn run<F>(
        &mut self,
        settings: &[(&str, &str)],
        code: impl Fn(Guest) -> F + Send + Sync + 'static,
    ) -> Vec<String>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let program = self.program(code);
        self.boot("guest", program, settings);
        self.run_for(Duration::from_millis(50));
        self.notes()
    }

    pub(crate) fn vm(&self, id: u32) -> Arc<Vm<FakePlatform>> {
        Arc::clone(self.manager.vm(id).unwrap())
    }

    pub(crate) fn state(&self, id: u32) -> VmState {
        self.vm(id).state()
    }

    /// What the guests noted.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.sim.notes()
    }

    /// One turn of CPU 0.
    pub(crate) fn turn(&mut self, limit: Instant) -> Turn {
        self.sim.spend(STEP);
        self.cpu.turn(limit)
    }

    /// One slice of the manager's work, and guests until the next.
    pub(crate) fn serve(&mut self, limit: Instant) {
        self.sim.spend(STEP);
        let limit = self.manager.poll().min(limit);
        while self.turn(limit) == Turn::Guests {}
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.serve(end);
        }
    }

    /// Lets time pass until `is_true`, or panics after `patience`.
    pub(crate) fn run_until(
        &mut self,
        patience: Duration,
        mut is_true: impl FnMut(&mut Self) -> bool,
    ) {
        const STRIDE: Duration = Duration::from_micros(100);
        let end = self.now() + patience;
        while !is_true(self) {
            assert!(self.now() < end, "it does not happen within {patience:?}: {:?}", self.notes());
            self.serve(self.now() + STRIDE);
        }
    }

    /// Waits for a job, a minute at most.
    pub(crate) fn finish(&mut self, job: JobId) -> Result<(), Error> {
        let mut result = None;
        self.run_until(Duration::from_secs(60), |machine| match machine.manager.job(job) {
            JobStatus::Running { .. } => false,
            JobStatus::Done(done) => {
                result = Some(done);
                true
            }
        });
        result.unwrap()
    }
}

fn start_cpu(cpu: usize, sim: &Arc<Sim>, shared: &Arc<Shared<FakePlatform>>) -> JoinHandle<()> {
    let (sim, shared) = (Arc::clone(sim), Arc::clone(shared));
    thread::spawn(move || {
        let mut cpu_loop = CpuLoop::new(shared, cpu);
        let work = || loop {
            sim.spend(STEP);
            cpu_loop.turn(Instant::NEVER);
        };
        sim.be_cpu(cpu, work);
    })
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.sim.end();
        for thread in self.threads.drain(..) {
            // What it found was reported by `Sim::wait`.
            let _ = thread.join();
        }
    }
}
