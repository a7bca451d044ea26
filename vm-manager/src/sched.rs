//! Which vCPU runs next on which CPU. Pure: time comes in, decisions go out.
//!
//! Each CPU has a run queue that is fair by weight: of those that want to run, the one that has had the least time,
//! divided by its weight, comes next (its *virtual runtime*). A vCPU stays with its CPU, where its state may still be
//! loaded; it is placed anew when it wakes and its CPU is busy while another one that it may use is not, and a CPU
//! that has nothing to do takes one that waits elsewhere.

use alloc::vec::Vec;
use core::time::Duration;

/// How long one vCPU runs while others wait.
pub const SLICE: Duration = Duration::from_millis(6);
/// How far behind a vCPU that wakes must be to interrupt the one that runs.
const WAKE_GRANULARITY_NS: u64 = 1_000_000;
/// The weight at which virtual time is real time.
const UNIT_WEIGHT: u64 = 100;

/// Names a vCPU to the scheduler.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TaskId(usize);

/// The CPUs on which a vCPU may run: bit n is CPU n.
pub type CpuMask = u64;

/// Where a vCPU is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaskState {
    /// It does not exist for the guest: never started, or switched off.
    Off,
    /// Its VM does not run.
    Held,
    /// It waits for an interrupt.
    Blocked,
    /// It waits for its CPU.
    Queued,
    /// It runs.
    Running,
}

#[derive(Debug)]
struct Task<T> {
    payload: T,
    weight: u16,
    affinity: CpuMask,
    state: TaskState,
    cpu: usize,
    /// Whether the registers of `cpu` hold it.
    is_loaded: bool,
    virtual_ns: u64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<TaskId>,
    running: Option<TaskId>,
    /// The task whose state the CPU holds, running or not.
    loaded: Option<TaskId>,
    /// The one that runs has a slice timer.
    is_sliced: bool,
    /// The one that runs waits for an interrupt, in place: the CPU is free for others.
    is_dozing: bool,
    /// Never less than the virtual time of what last ran here: where newcomers start.
    floor_ns: u64,
}

/// What a CPU does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pick<T> {
    /// Runs this one,
    pub task: TaskId,
    /// which this is,
    pub payload: T,
    /// for so long, or until it stops by itself when nobody else waits.
    pub slice: Option<Duration>,
}

/// Which CPU must look at its queue again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Notice {
    /// None.
    Nobody,
    /// This one sleeps, or runs something that must now share.
    Cpu(usize),
}

/// All run queues.
#[derive(Debug)]
pub struct Scheduler<T> {
    tasks: Vec<Option<Task<T>>>,
    queues: Vec<Queue>,
}

impl<T: Clone> Scheduler<T> {
    /// A scheduler of `cpus` CPUs, 1 to 64.
    #[must_use]
    pub fn new(cpus: usize) -> Self {
        Self {
            tasks: Vec::new(),
            queues: (0..cpus.clamp(1, 64)).map(|_| Queue::default()).collect(),
        }
    }

    /// Adds a vCPU, off. `affinity` must name a CPU that exists: others of it are ignored.
    pub fn add(&mut self, payload: T, weight: u16, affinity: CpuMask) -> TaskId {
        let affinity = self.usable(affinity);
        let cpu = self.least_busy(affinity);
        let task = Task {
            payload,
            weight: weight.max(1),
            affinity,
            state: TaskState::Off,
            cpu,
            is_loaded: false,
            virtual_ns: 0,
        };
        match self.tasks.iter().position(Option::is_none) {
            Some(index) => {
                self.tasks[index] = Some(task);
                TaskId(index)
            }
            None => {
                self.tasks.push(Some(task));
                TaskId(self.tasks.len() - 1)
            }
        }
    }

    /// The part of `mask` that exists; everything if that is nothing.
    #[must_use]
    pub fn usable(&self, mask: CpuMask) -> CpuMask {
        let all = u64::MAX >> (64 - self.queues.len());
        if mask & all == 0 { all } else { mask & all }
    }

    /// Forgets a vCPU, which neither runs nor is loaded.
    pub fn remove(&mut self, id: TaskId) {
        self.unqueue(id);
        if let Some(slot) = self.tasks.get_mut(id.0) {
            *slot = None;
        }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self, id: TaskId) -> TaskState {
        self.task(id).map_or(TaskState::Off, |task| task.state)
    }

    /// The CPU that it is with.
    #[must_use]
    pub fn cpu(&self, id: TaskId) -> usize {
        self.task(id).map_or(0, |task| task.cpu)
    }

    /// Its weight and affinity.
    #[must_use]
    pub fn settings(&self, id: TaskId) -> (u16, CpuMask) {
        self.task(id).map_or((0, 0), |task| (task.weight, task.affinity))
    }

    /// What runs on `cpu`.
    #[must_use]
    pub fn running(&self, cpu: usize) -> Option<T> {
        let id = self.queues.get(cpu)?.running?;
        self.task(id).map(|task| task.payload.clone())
    }

    /// How many vCPUs are with `cpu`.
    #[must_use]
    pub fn population(&self, cpu: usize) -> usize {
        let lives_there =
            |task: &&Task<T>| task.cpu == cpu && !matches!(task.state, TaskState::Off);
        self.tasks.iter().flatten().filter(lives_there).count()
    }

    /// Makes a vCPU that is off or held ready to run.
    pub fn release(&mut self, id: TaskId) -> Notice {
        match self.task_mut(id) {
            Some(task) if matches!(task.state, TaskState::Off | TaskState::Held) => {
                task.state = TaskState::Blocked;
                self.wake(id)
            }
            _ => Notice::Nobody,
        }
    }

    /// Makes a vCPU that waits for an interrupt ready to run; does nothing to others.
    pub fn wake(&mut self, id: TaskId) -> Notice {
        let Some(task) = self.task(id) else { return Notice::Nobody };
        if task.state != TaskState::Blocked {
            return Notice::Nobody;
        }
        let cpu = self.place(task);
        self.enqueue(id, cpu);
        let queue = &self.queues[cpu];
        let Some(running) = queue.running.and_then(|id| self.task(id)) else {
            return Notice::Cpu(cpu);
        };
        let virtual_ns = self.task(id).map_or(0, |task| task.virtual_ns);
        let is_urgent = virtual_ns + WAKE_GRANULARITY_NS < running.virtual_ns;
        if is_urgent || !queue.is_sliced || queue.is_dozing {
            Notice::Cpu(cpu)
        } else {
            Notice::Nobody
        }
    }

    /// The vCPU that runs on `cpu` waits for an interrupt. Its state stays loaded.
    pub fn block(&mut self, cpu: usize) {
        self.leave(cpu, TaskState::Blocked);
    }

    /// The vCPU that runs on `cpu` would run on, but offers its turn.
    pub fn requeue(&mut self, cpu: usize) {
        if let Some(id) = self.leave(cpu, TaskState::Blocked) {
            self.enqueue(id, cpu);
        }
    }

    /// Stops a vCPU that does not run. One that does is left to its CPU, which is returned: it must be made to
    /// leave it as held.
    pub fn hold(&mut self, id: TaskId) -> Option<usize> {
        match self.state(id) {
            TaskState::Running => return Some(self.cpu(id)),
            TaskState::Queued => self.unqueue(id),
            TaskState::Off | TaskState::Held | TaskState::Blocked => {}
        }
        if let Some(task) = self.task_mut(id)
            && task.state != TaskState::Off
        {
            task.state = TaskState::Held;
        }
        None
    }

    /// Switches a vCPU off that does not run.
    pub fn switch_off(&mut self, id: TaskId) {
        self.unqueue(id);
        if let Some(task) = self.task_mut(id)
            && task.state != TaskState::Running
        {
            task.state = TaskState::Off;
        }
    }

    /// The CPU in whose registers it is.
    #[must_use]
    pub fn loaded_on(&self, id: TaskId) -> Option<usize> {
        self.task(id).filter(|task| task.is_loaded).map(|task| task.cpu)
    }

    /// `cpu` holds nobody's state any more.
    pub fn unloaded(&mut self, cpu: usize) {
        if let Some(id) = self.queues.get_mut(cpu).and_then(|queue| queue.loaded.take())
            && let Some(task) = self.task_mut(id)
        {
            task.is_loaded = false;
        }
    }

    /// The vCPU on `cpu` waits for an interrupt, and would stay in place for it. Refused, with `false`, when others want the
    /// CPU.
    pub fn doze(&mut self, cpu: usize) -> bool {
        match self.queues.get_mut(cpu) {
            Some(queue) if queue.waiting.is_empty() => {
                queue.is_dozing = true;
                true
            }
            _ => false,
        }
    }

    /// The vCPU on `cpu` no longer waits in place.
    pub fn rouse(&mut self, cpu: usize) {
        if let Some(queue) = self.queues.get_mut(cpu) {
            queue.is_dozing = false;
        }
    }

    /// Moves a vCPU that was just unloaded to a CPU that it may use, if it waits for one that it may not.
    pub fn rehome(&mut self, id: TaskId) -> Notice {
        let Some(task) = self.task(id) else { return Notice::Nobody };
        if task.state != TaskState::Queued || task.affinity & 1 << task.cpu != 0 {
            return Notice::Nobody;
        }
        self.unqueue(id);
        self.wake(id)
    }

    /// Charges what the vCPU on `cpu` has run.
    pub fn charge(&mut self, cpu: usize, ran: Duration) {
        let Some(id) = self.queues.get(cpu).and_then(|queue| queue.running) else { return };
        let Some(task) = self.task_mut(id) else { return };
        let ran_ns = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        task.virtual_ns = task
            .virtual_ns
            .saturating_add(ran_ns.saturating_mul(UNIT_WEIGHT) / u64::from(task.weight));
    }

    /// Changes weight or affinity. Returns the CPU that must give it up, if it is with one that it may no longer use.
    pub fn configure(
        &mut self,
        id: TaskId,
        weight: Option<u16>,
        affinity: Option<CpuMask>,
    ) -> Option<usize> {
        let affinity = affinity.map(|mask| self.usable(mask));
        let task = self.task_mut(id)?;
        if let Some(weight) = weight {
            task.weight = weight.max(1);
        }
        if let Some(affinity) = affinity {
            task.affinity = affinity;
        }
        let (cpu, state) = (task.cpu, task.state);
        if task.affinity & 1 << cpu != 0 {
            return None;
        }
        if state == TaskState::Queued && !task.is_loaded {
            self.unqueue(id);
            let target = self.least_busy(self.settings(id).1);
            self.enqueue(id, target);
            return Some(target);
        }
        Some(cpu)
    }

    /// Whether the vCPU on `cpu` must leave it for want of affinity.
    #[must_use]
    pub fn must_leave(&self, id: TaskId, cpu: usize) -> bool {
        self.task(id).is_some_and(|task| task.affinity & 1 << cpu == 0)
    }

    /// What `cpu` runs now; it is running from here on. What runs on it already stays in the race.
    pub fn pick(&mut self, cpu: usize) -> Option<Pick<T>> {
        if self.queues.get(cpu)?.running.is_some() {
            self.requeue(cpu);
        }
        let id = self.first_waiting(cpu).or_else(|| self.steal(cpu))?;
        let waiting = {
            let queue = &mut self.queues[cpu];
            queue.waiting.retain(|&other| other != id);
            queue.running = Some(id);
            !queue.waiting.is_empty()
        };
        if self.queues[cpu].loaded != Some(id) {
            self.unloaded(cpu);
            self.queues[cpu].loaded = Some(id);
        }
        let task = self.task_mut(id)?;
        task.state = TaskState::Running;
        task.cpu = cpu;
        task.is_loaded = true;
        let (payload, virtual_ns) = (task.payload.clone(), task.virtual_ns);
        let queue = &mut self.queues[cpu];
        queue.is_sliced = waiting;
        queue.floor_ns = queue.floor_ns.max(virtual_ns);
        Some(Pick { task: id, payload, slice: waiting.then_some(SLICE) })
    }

    /// Whether somebody waits for `cpu`.
    #[must_use]
    pub fn has_waiting(&self, cpu: usize) -> bool {
        self.queues.get(cpu).is_some_and(|queue| !queue.waiting.is_empty())
    }

    fn first_waiting(&self, cpu: usize) -> Option<TaskId> {
        let virtual_ns = |id: &TaskId| self.task(*id).map_or(u64::MAX, |task| task.virtual_ns);
        let may_run = |id: &&TaskId| !self.must_leave(**id, cpu);
        self.queues
            .get(cpu)?
            .waiting
            .iter()
            .filter(may_run)
            .min_by_key(|id| virtual_ns(id))
            .copied()
    }

    /// Takes one that waits for another CPU, whose state is in nobody's registers.
    fn steal(&mut self, cpu: usize) -> Option<TaskId> {
        let is_free = |id: &TaskId| {
            self.task(*id).is_some_and(|task| task.affinity & 1 << cpu != 0 && !task.is_loaded)
        };
        let busiest = (0..self.queues.len())
            .filter(|&other| other != cpu)
            .filter(|&other| self.queues[other].waiting.iter().any(is_free))
            .max_by_key(|&other| self.queues[other].waiting.len())?;
        let id = self.queues[busiest].waiting.iter().copied().find(is_free)?;
        self.unqueue(id);
        self.enqueue(id, cpu);
        Some(id)
    }

    /// The CPU where a vCPU that wakes will run soonest.
    fn place(&self, task: &Task<T>) -> usize {
        let is_idle = |cpu: usize| {
            self.queues.get(cpu).is_some_and(|queue| {
                (queue.running.is_none() || queue.is_dozing) && queue.waiting.is_empty()
            })
        };
        let may_stay = task.affinity & 1 << task.cpu != 0;
        // Loaded means that only that CPU can run it, or must put it first.
        if task.is_loaded || may_stay && is_idle(task.cpu) {
            return task.cpu;
        }
        let mut allowed = (0..self.queues.len()).filter(|cpu| task.affinity & 1 << cpu != 0);
        match allowed.find(|&cpu| is_idle(cpu)) {
            Some(idle) => idle,
            None if may_stay => task.cpu,
            None => self.least_busy(task.affinity),
        }
    }

    fn least_busy(&self, affinity: CpuMask) -> usize {
        (0..self.queues.len())
            .filter(|cpu| affinity & 1 << cpu != 0)
            .min_by_key(|&cpu| self.population(cpu))
            .unwrap_or(0)
    }

    fn enqueue(&mut self, id: TaskId, cpu: usize) {
        let floor_ns = self.queues.get(cpu).map_or(0, |queue| queue.floor_ns);
        let slice_ns = SLICE.as_nanos() as u64;
        let Some(task) = self.task_mut(id) else { return };
        // Who slept has not saved time up, beyond half a slice; who comes from another CPU, whose virtual time
        // is another, starts with those here.
        let earliest = floor_ns.saturating_sub(slice_ns / 2);
        task.virtual_ns = if task.cpu == cpu { task.virtual_ns.max(earliest) } else { floor_ns };
        task.state = TaskState::Queued;
        task.cpu = cpu;
        if let Some(queue) = self.queues.get_mut(cpu) {
            queue.waiting.push(id);
        }
    }

    fn unqueue(&mut self, id: TaskId) {
        let cpu = self.cpu(id);
        if let Some(queue) = self.queues.get_mut(cpu) {
            queue.waiting.retain(|&other| other != id);
        }
        if let Some(task) = self.task_mut(id)
            && task.state == TaskState::Queued
        {
            task.state = TaskState::Blocked;
        }
    }

    /// The vCPU that runs on `cpu` stops, for this state.
    pub(crate) fn leave(&mut self, cpu: usize, state: TaskState) -> Option<TaskId> {
        let id = self.queues.get_mut(cpu)?.running.take()?;
        self.task_mut(id)?.state = state;
        Some(id)
    }

    fn task(&self, id: TaskId) -> Option<&Task<T>> {
        self.tasks.get(id.0)?.as_ref()
    }

    fn task_mut(&mut self, id: TaskId) -> Option<&mut Task<T>> {
        self.tasks.get_mut(id.0)?.as_mut()
    }
}

#[cfg(test)]
mod tests;
