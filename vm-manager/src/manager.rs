//! All VMs, and what is done to them. It runs on the service CPU only.

mod lending;

use crate::board::Board;
use crate::config::{RestartOn, VmConfig};
use crate::error::Error;
use crate::job::{Goal, Job, JobId, JobStatus};
use crate::load::{Images, Request};
use crate::platform::Platform;
use crate::shared::{self, Shared};
use crate::usage::Usage;
use crate::vm::{Rest, Vm, VmEvent, VmState};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::time::Instant;

/// All VMs.
pub struct Manager<P: Platform> {
    shared: Arc<Shared<P>>,
    vms: BTreeMap<u32, Arc<Vm<P>>>,
    next_vm: u32,
    jobs: BTreeMap<u64, Job<P>>,
    /// How jobs ended that somebody waits for. What a job had is gone by then.
    results: BTreeMap<u64, Result<(), Error>>,
    next_job: u64,
    usage: Usage,
    /// The time of day when the machine's clock read zero, since 1970.
    epoch: Duration,
    collection: lending::Collection,
}

impl<P: Platform> Manager<P> {
    /// A manager without VMs. `epoch` is the time of day when the machine's clock read zero.
    #[must_use]
    pub fn new(shared: Arc<Shared<P>>, epoch: Duration) -> Self {
        Self {
            shared,
            vms: BTreeMap::new(),
            next_vm: 1,
            jobs: BTreeMap::new(),
            results: BTreeMap::new(),
            next_job: 1,
            usage: Usage::default(),
            epoch,
            collection: lending::Collection::default(),
        }
    }

    /// What all CPUs share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared<P>> {
        &self.shared
    }

    /// All VMs, by number.
    pub fn vms(&self) -> impl Iterator<Item = &Arc<Vm<P>>> {
        self.vms.values()
    }

    /// VM number `id`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchVm`].
    pub fn vm(&self, id: u32) -> Result<&Arc<Vm<P>>, Error> {
        self.vms.get(&id).ok_or(Error::NoSuchVm(id))
    }

    /// Percent of one CPU that VM `id` has used lately.
    #[must_use]
    pub fn vm_percent(&self, id: u32) -> u32 {
        self.usage.vm_percent(id)
    }

    /// Percent of its time that CPU `cpu` has been busy lately.
    #[must_use]
    pub fn cpu_percent(&self, cpu: usize) -> u32 {
        self.usage.cpu_percent(cpu)
    }

    fn now(&self) -> Instant {
        self.shared.platform().now()
    }

    /// Makes a VM. Its memory is its own from now on; its images are checked, and loaded when it starts.
    ///
    /// # Errors
    ///
    /// [`Error`]; nothing was made. One that [is not yet](Error::is_not_yet) one goes away if the same is asked for again,
    /// with the same sources.
    pub fn create(&mut self, config: VmConfig, images: &dyn Images) -> Result<u32, Error> {
        if let Some(other) = self.vms.values().find(|vm| vm.name() == config.name) {
            return Err(Error::NameTaken { name: config.name, id: other.id() });
        }
        if let Some(port) = config.console_port
            && let Some(other) = self.vms.values().find(|vm| vm.config().console_port == Some(port))
        {
            return Err(Error::PortTaken { port, vm: other.title() });
        }
        let request = self.check(&config, images)?;
        let id = self.next_vm;
        let name = config.name.clone();
        let vm = Vm::new(id, config, request, images, &self.shared, self.epoch)
            .map_err(|failure| failure.into_error(name))?;
        self.next_vm += 1;
        log::info!("{} created", vm.title());
        vm.request().release();
        self.vms.insert(id, vm);
        Ok(id)
    }

    /// Whether a VM could be made of `config`, memory aside; what it would load.
    ///
    /// # Errors
    ///
    /// [`Error::Config`], [`Error::Load`].
    pub fn check(&self, config: &VmConfig, images: &dyn Images) -> Result<Request, Error> {
        let ram = P::Board::ram(config.memory_bytes);
        let request = Request::new(config, &ram, images).map_err(Error::Config)?;
        P::Board::check(config, &request)?;
        let last = self.shared.cpu_count() - 1;
        let all = u64::MAX >> (63 - last.min(63));
        if config.affinity.bits() & all == 0 {
            return Err(Error::NoSuchCpu { last });
        }
        Ok(request)
    }

    /// Begins to load and start a VM.
    ///
    /// # Errors
    ///
    /// It runs, or is paused, or something else is being done to it.
    pub fn start(&mut self, id: u32) -> Result<JobId, Error> {
        let vm = self.idle_vm(id)?;
        let advice = match vm.state() {
            VmState::Created | VmState::Stopped | VmState::Crashed => {
                self.cancel_restart(id);
                return Ok(self.begin(vm, Goal::Start));
            }
            VmState::Paused => "'vm resume' lets it go on",
            VmState::Running | VmState::Loading => "'vm reset' starts it anew",
        };
        Err(wrong_state(&vm, advice))
    }

    /// Begins to start a VM anew: images loaded again, RAM zeroed, devices reset.
    ///
    /// # Errors
    ///
    /// It was never started, or something else is being done to it.
    pub fn reset(&mut self, id: u32) -> Result<JobId, Error> {
        let vm = self.idle_vm(id)?;
        if vm.state() == VmState::Created {
            return Err(wrong_state(&vm, "'vm start' starts it"));
        }
        self.cancel_restart(id);
        Ok(self.begin(vm, Goal::Reset))
    }

    /// Begins to stop a VM: by its power key, with so much time to do it, or at once.
    ///
    /// # Errors
    ///
    /// It does not run, or something else is being done to it.
    pub fn stop(&mut self, id: u32, patience: Option<Duration>) -> Result<JobId, Error> {
        let vm = self.idle_vm(id)?;
        let goal = match (vm.state(), patience) {
            (VmState::Running, Some(after)) => Goal::PowerKey { after },
            (VmState::Paused, Some(_)) => {
                return Err(wrong_state(&vm, "it cannot be asked; resume it, or use --force"));
            }
            (VmState::Running | VmState::Paused | VmState::Crashed, None) => Goal::Stop,
            (VmState::Crashed | VmState::Stopped, _) if self.awaits_restart(id) => Goal::Stop,
            _ => return Err(wrong_state(&vm, "there is nothing to stop")),
        };
        vm.life.lock().is_asked_to_stop = true;
        self.cancel_restart(id);
        Ok(self.begin(vm, goal))
    }

    /// Whether a VM that has ended is to be started again.
    fn awaits_restart(&self, id: u32) -> bool {
        self.jobs.values().any(|job| job.vm_id() == id && job.is_delayed())
    }

    /// An operator's command takes the place of a restart that was to come.
    fn cancel_restart(&mut self, id: u32) {
        self.jobs.retain(|_, job| job.vm_id() != id || !job.is_delayed());
    }

    /// Begins to destroy a VM, whatever it does, and to give back all that it has.
    ///
    /// # Errors
    ///
    /// There is no such VM.
    pub fn destroy(&mut self, id: u32) -> Result<JobId, Error> {
        let vm = Arc::clone(self.vm(id)?);
        // Whatever else was being done to it ends here.
        for (number, _) in self.jobs.extract_if(.., |_, job| job.vm_id() == id) {
            self.results.insert(number, Ok(()));
        }
        Ok(self.begin(vm, Goal::Destroy))
    }

    /// Stops a VM's CPUs and its time.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn pause(&mut self, id: u32) -> Result<(), Error> {
        let vm = self.idle_vm(id)?;
        if vm.change(VmEvent::Pause).is_none() {
            return Err(wrong_state(&vm, "only a running VM can be paused"));
        }
        self.wait_until_quiet(&vm);
        vm.life.lock().paused_at = Some(self.now());
        Ok(())
    }

    /// Lets a paused VM go on.
    ///
    /// # Errors
    ///
    /// It is not paused.
    pub fn resume(&mut self, id: u32) -> Result<(), Error> {
        let vm = self.idle_vm(id)?;
        if vm.change(VmEvent::Resume).is_none() {
            return Err(wrong_state(&vm, "only a paused VM can be resumed"));
        }
        let paused_at = vm.life.lock().paused_at.take();
        if let Some(paused_at) = paused_at {
            vm.delay(self.now().since(paused_at));
        }
        vm.release();
        Ok(())
    }

    /// Changes weight (1 to 10,000) or affinity (a bit for each CPU) of a VM, which may be running.
    ///
    /// # Errors
    ///
    /// None of these CPUs exists.
    pub fn configure(
        &mut self,
        id: u32,
        weight: Option<u16>,
        affinity: Option<u64>,
    ) -> Result<(), Error> {
        let vm = Arc::clone(self.vm(id)?);
        let last = self.shared.cpu_count() - 1;
        let all = u64::MAX >> (63 - last.min(63));
        if affinity.is_some_and(|mask| mask & !all != 0 || mask == 0) {
            return Err(Error::NoSuchCpu { last });
        }
        vm.configure(weight, affinity);
        Ok(())
    }

    /// How far a job is. One that is done is forgotten when this has said so.
    pub fn job(&mut self, id: JobId) -> JobStatus {
        match self.jobs.get(&id.0) {
            Some(job) => job.status(),
            None => JobStatus::Done(self.results.remove(&id.0).unwrap_or(Ok(()))),
        }
    }

    /// Waits no longer for a job. One that only waits for the guest ends; others go on by themselves.
    pub fn abandon(&mut self, id: JobId) {
        self.results.remove(&id.0);
        if self.jobs.get_mut(&id.0).is_some_and(Job::abandon) {
            self.jobs.remove(&id.0);
        }
    }

    /// Gives a job up: as [`Self::abandon`], but a VM that is being loaded for an operator is stopped as it is. Returns
    /// whether the job ended.
    pub fn give_up(&mut self, id: JobId) -> bool {
        if let Some(job) = self.jobs.get(&id.0)
            && job.stop_loading()
        {
            self.jobs.remove(&id.0);
        }
        self.abandon(id);
        !self.jobs.contains_key(&id.0)
    }

    /// Whether something is being done to a VM.
    #[must_use]
    pub fn is_busy(&self, id: u32) -> bool {
        self.jobs.values().any(|job| job.vm_id() == id)
    }

    /// Does a slice of all that is to be done. Returns when it wants to be called again.
    pub fn poll(&mut self) -> Instant {
        let now = self.now();
        for request in self.shared.take_requests() {
            self.serve(request);
        }
        let mut next = self.usage.sample(now, &self.shared, self.vms.values());
        next = next.min(self.collect_lent(now));
        let ids: Vec<u64> = self.jobs.keys().copied().collect();
        for id in ids {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let Some(ended) = job.step(self.shared.platform()) else {
                next = next.min(job.wants_step_at(now));
                continue;
            };
            let Some(job) = self.jobs.remove(&id) else { continue };
            let vm = Arc::clone(job.vm());
            if !job.is_abandoned() {
                self.results.insert(id, ended.result);
            }
            if ended.goal == Goal::Destroy {
                log::info!("{} destroyed", vm.title());
                self.vms.remove(&vm.id());
                self.usage.forget(vm.id());
            } else {
                self.restart_if_wanted(&vm, ended.goal, now);
            }
            next = now;
        }
        next
    }

    fn serve(&mut self, request: shared::Request) {
        use shared::Request as R;
        let (id, goal) = match request {
            R::PowerOff(id) => (id, Goal::PowerOff),
            R::Reset(id) => (id, Goal::GuestReset),
            R::Crash(id, record) => {
                if let Ok(vm) = self.vm(id) {
                    log::error!("{} crashed: {} at {:#x}", vm.title(), record.fault, record.pc);
                    let mut life = vm.life.lock();
                    life.crash = Some(record);
                }
                (id, Goal::Crash)
            }
        };
        let Ok(vm) = self.vm(id) else { return };
        let vm = Arc::clone(vm);
        // A reset or a stop that was ordered meanwhile takes care of it.
        let is_overtaken =
            self.jobs.values().any(|job| job.vm_id() == id && !job.waits_for_guest());
        if vm.state() != VmState::Running && vm.state() != VmState::Paused || is_overtaken {
            return;
        }
        let job = self.begin(vm, goal);
        self.abandon(job);
    }

    fn restart_if_wanted(&mut self, vm: &Arc<Vm<P>>, ended: Goal, now: Instant) {
        let policy = vm.config().restart.on;
        let wants = match ended {
            Goal::Crash => policy == RestartOn::Crash || policy == RestartOn::Always,
            Goal::PowerOff => policy == RestartOn::Always && !vm.life.lock().is_asked_to_stop,
            Goal::Start
            | Goal::Reset
            | Goal::GuestReset
            | Goal::Restart { .. }
            | Goal::PowerKey { .. }
            | Goal::Stop
            | Goal::Destroy => false,
        };
        if !wants {
            return;
        }
        let at = now + vm.restart_delay(now);
        log::info!("{} is restarted in {} s", vm.title(), at.since(now).as_secs());
        let job = self.begin(Arc::clone(vm), Goal::Restart { at });
        self.abandon(job);
    }

    fn begin(&mut self, vm: Arc<Vm<P>>, goal: Goal) -> JobId {
        let id = self.next_job;
        self.next_job += 1;
        self.jobs.insert(id, Job::new(vm, goal, self.now()));
        JobId(id)
    }

    /// The VM, if nothing that changes its state is being done to it.
    fn idle_vm(&self, id: u32) -> Result<Arc<Vm<P>>, Error> {
        let vm = self.vm(id)?;
        let blocks = |job: &&Job<P>| job.vm_id() == id && !job.waits_for_guest();
        match self.jobs.values().find(blocks) {
            Some(_) => Err(Error::Busy(vm.title())),
            None => Ok(Arc::clone(vm)),
        }
    }

    /// Waits until no vCPU runs: the others' CPUs leave their guests within microseconds.
    fn wait_until_quiet(&self, vm: &Vm<P>) {
        const PATIENCE: Duration = Duration::from_millis(200);
        let deadline = self.now() + PATIENCE;
        while vm.quiesce() == Rest::Running && self.now() < deadline {
            self.shared.platform().pause();
        }
    }

    /// Types on a VM's console; returns how many bytes it took.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchVm`].
    pub fn type_in(&self, id: u32, bytes: &[u8]) -> Result<usize, Error> {
        Ok(self.vm(id)?.type_in(bytes))
    }

    /// Whoever types on a VM's console has a terminal with so many characters in a line, and lines.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchVm`].
    pub fn resize_console(&self, id: u32, columns: u16, rows: u16) -> Result<(), Error> {
        self.vm(id)?.resize_console(columns, rows);
        Ok(())
    }

    /// Bytes of RAM of all guests, and of the tables that show it to them.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        self.vms.values().map(|vm| vm.memory()).fold((0, 0), |sum, vm| (sum.0 + vm.0, sum.1 + vm.1))
    }
}

fn wrong_state<P: Platform>(vm: &Vm<P>, advice: &'static str) -> Error {
    Error::WrongState { vm: vm.title(), state: vm.state(), advice }
}

impl<P: Platform> Vm<P> {
    /// As messages name it: `vm 1 'linux'`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("vm {} '{}'", self.id(), self.name())
    }
}

#[cfg(test)]
mod tests;
