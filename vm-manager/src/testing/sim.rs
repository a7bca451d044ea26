//! Time and interrupts of the made-up machine, and whose turn it is.
//!
//! Each CPU is a thread, but only one of them runs: it hands on when it sleeps, waits for another one, or lets a guest
//! compute. What the hypervisor does itself takes no time. So a test runs the same each time, or, with
//! [`Pace::Shuffled`], in as many ways as there are seeds. With [`Pace::RealTime`] all of them run at once, as on
//! real hardware, and time is that of the host.

use super::el1::El1;
use super::list_registers::Bank;
use hv_core::arch::aarch64::TimerState;
use hv_core::machine::HostEvent;
use hv_core::time::Instant;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as HostInstant};

/// How time passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// In the same steps each time.
    Simulated,
    /// In steps that this seed decides.
    Shuffled(u64),
    /// As on the host, all CPUs at once.
    RealTime(HostInstant),
}

/// What a CPU waits for while others run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// This time.
    Until(Instant),
    /// An interrupt, or this time.
    Interrupt(Instant),
}

/// One CPU.
#[derive(Debug)]
pub(crate) struct Cpu {
    wait: Wait,
    /// Edges that came, the oldest first.
    events: VecDeque<HostEvent>,
    timer: Instant,
    /// Each deadline that was set.
    pub(crate) timers_set: Vec<Instant>,
    /// How often it was kicked.
    pub(crate) kicks: u32,
    /// How often it went to sleep.
    pub(crate) sleeps: u32,
    /// How often a vCPU was loaded.
    pub(crate) loads: u32,
    /// Whether the virtual timer's physical interrupt is active.
    pub(crate) is_timer_active: bool,
    /// The guest's registers, while a vCPU is loaded.
    pub(crate) el1: Option<El1>,
    pub(crate) bank: Bank,
}

impl Cpu {
    fn new() -> Self {
        Self {
            wait: Wait::Until(Instant(0)),
            events: VecDeque::new(),
            timer: Instant::NEVER,
            timers_set: Vec::new(),
            kicks: 0,
            sleeps: 0,
            loads: 0,
            is_timer_active: false,
            el1: None,
            bank: Bank::new(LIST_REGISTERS),
        }
    }

    /// When the next interrupt comes by itself.
    fn next_interrupt(&self, now: Instant) -> Instant {
        if !self.events.is_empty() || self.el1.is_some() && self.bank.wants_maintenance() {
            return now;
        }
        let guest = match self.el1.as_ref().map(El1::timer) {
            Some(TimerState::At(at)) if !self.is_timer_active => at,
            Some(TimerState::At(_) | TimerState::Off) | None => Instant::NEVER,
        };
        guest.min(self.timer)
    }

    fn wakes_at(&self, now: Instant) -> Instant {
        match self.wait {
            Wait::Until(at) => at.max(now),
            Wait::Interrupt(at) => self.next_interrupt(now).min(at).max(now),
        }
    }

    fn take_event(&mut self, now: Instant) -> Option<HostEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if self.timer <= now {
            self.timer = Instant::NEVER;
            return Some(HostEvent::Timer);
        }
        let el1 = self.el1.as_ref()?;
        if self.bank.wants_maintenance() {
            return Some(HostEvent::GuestInterruptController);
        }
        match el1.timer() {
            TimerState::At(at) if at <= now && !self.is_timer_active => {
                self.is_timer_active = true;
                Some(HostEvent::GuestTimer)
            }
            TimerState::At(_) | TimerState::Off => None,
        }
    }
}

#[derive(Debug)]
struct State {
    now: Instant,
    running: usize,
    cpus: Vec<Cpu>,
    random: u64,
    must_end: bool,
    failure: Option<String>,
    /// How often CPUs have waited.
    steps: u64,
    notes: Vec<String>,
}

/// The machine's time and CPUs.
#[derive(Debug)]
pub(crate) struct Sim {
    pace: Pace,
    state: Mutex<State>,
    turns: Vec<Condvar>,
}

const LIST_REGISTERS: usize = 4;
/// A test that takes more steps than this goes round in circles.
const MAX_STEPS: u64 = 5_000_000;
/// What each step costs: small against everything that is measured.
pub(crate) const STEP: Duration = Duration::from_nanos(250);

/// What unwinds a CPU's thread when the test is over.
struct End;

thread_local! {
    static THIS_CPU: Cell<usize> = const { Cell::new(0) };
}

/// The CPU that this thread is.
pub(crate) fn this_cpu() -> usize {
    THIS_CPU.get()
}

impl Sim {
    pub(crate) fn new(cpus: usize, pace: Pace) -> Self {
        let state = State {
            now: Instant(1_000_000),
            running: 0,
            cpus: (0..cpus).map(|_| Cpu::new()).collect(),
            random: if let Pace::Shuffled(seed) = pace { seed | 1 } else { 0 },
            must_end: false,
            failure: None,
            steps: 0,
            notes: Vec::new(),
        };
        Self { pace, state: Mutex::new(state), turns: (0..cpus).map(|_| Condvar::new()).collect() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A CPU whose test has failed may have held it: the failure is reported elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        match self.pace {
            Pace::RealTime(start) => Instant(start.elapsed().as_nanos() as u64),
            Pace::Simulated | Pace::Shuffled(_) => self.state().now,
        }
    }

    pub(crate) fn with_cpu<R>(&self, cpu: usize, act: impl FnOnce(&mut Cpu) -> R) -> R {
        act(&mut self.state().cpus[cpu])
    }

    pub(crate) fn note(&self, text: String) {
        self.state().notes.push(text);
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.state().notes.clone()
    }

    /// An interrupt of the host for CPU `cpu`.
    pub(crate) fn raise(&self, cpu: usize, event: HostEvent) {
        let mut state = self.state();
        let events = &mut state.cpus[cpu].events;
        if !events.contains(&event) {
            events.push_back(event);
        }
        drop(state);
        if let Pace::RealTime(_) = self.pace {
            self.turns[cpu].notify_one();
        }
    }

    pub(crate) fn set_timer(&self, deadline: Instant) {
        self.jitter();
        self.with_cpu(this_cpu(), |cpu| {
            cpu.timer = deadline;
            cpu.timers_set.push(deadline);
        });
    }

    pub(crate) fn take_event(&self) -> Option<HostEvent> {
        self.jitter();
        let now = self.now();
        self.with_cpu(this_cpu(), |cpu| cpu.take_event(now))
    }

    /// Whether an interrupt waits for this CPU.
    pub(crate) fn is_interrupted(&self) -> bool {
        let now = self.now();
        self.with_cpu(this_cpu(), |cpu| cpu.next_interrupt(now) <= now)
    }

    /// Sometimes lets others run for a moment.
    pub(crate) fn jitter(&self) {
        if let Pace::Shuffled(_) = self.pace {
            let ns = self.state().random(8);
            if ns < 3 {
                self.wait(Wait::Until(self.now() + Duration::from_nanos(ns * 60)));
            }
        }
    }

    /// This CPU does something for so long.
    pub(crate) fn spend(&self, time: Duration) {
        if !matches!(self.pace, Pace::RealTime(_)) {
            self.wait(Wait::Until(self.now() + time));
        }
    }

    /// Lets the others run until then.
    pub(crate) fn wait(&self, wait: Wait) {
        let me = this_cpu();
        let mut state = self.state();
        state.cpus[me].wait = wait;
        if let Pace::RealTime(_) = self.pace {
            loop {
                self.leave_if_over(&state);
                let now = self.now();
                let at = state.cpus[me].wakes_at(now);
                if at <= now {
                    return;
                }
                // Looks up now and then, so that a test that hangs can be ended.
                let patience = at.since(now).min(Duration::from_millis(50));
                let waited = self.turns[me].wait_timeout(state, patience);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        let next = state.next(me);
        if next != me {
            state.running = next;
            self.turns[next].notify_one();
        }
        self.await_turn(state, me);
    }

    fn await_turn(&self, mut state: MutexGuard<'_, State>, me: usize) {
        while state.running != me && !state.must_end && state.failure.is_none() {
            state = self.turns[me].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.leave_if_over(&state);
    }

    fn leave_if_over(&self, state: &State) {
        // The test itself is CPU 0: it reports what the others found.
        match &state.failure {
            Some(failure) if this_cpu() == 0 && !std::thread::panicking() => panic!("{failure}"),
            _ if (state.must_end || state.failure.is_some()) && this_cpu() != 0 => {
                panic::resume_unwind(Box::new(End))
            }
            _ => {}
        }
    }

    /// What the thread of CPU `cpu` does: `work`, until the test is over.
    pub(crate) fn be_cpu(&self, cpu: usize, work: impl FnOnce()) {
        THIS_CPU.set(cpu);
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            if !matches!(self.pace, Pace::RealTime(_)) {
                self.await_turn(self.state(), cpu);
            }
            work();
        }));
        if let Err(payload) = result
            && !payload.is::<End>()
        {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
            self.state().failure = Some(format!("CPU {cpu}: {}", text.unwrap_or_default()));
            self.turns[0].notify_one();
        }
    }

    /// Ends the other CPUs' threads.
    pub(crate) fn end(&self) {
        self.state().must_end = true;
        for turn in &self.turns {
            turn.notify_one();
        }
    }
}

impl State {
    fn random(&mut self, below: u64) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Whose turn it is when CPU `me` waits: whoever has to wait least.
    fn next(&mut self, me: usize) -> usize {
        let now = self.now;
        let count = self.cpus.len();
        self.steps += 1;
        if self.steps > MAX_STEPS {
            self.failure = Some(format!("goes round in circles: {:#?}", self.cpus));
            return 0;
        }
        let soonest = self.cpus.iter().map(|cpu| cpu.wakes_at(now)).min().unwrap_or(Instant::NEVER);
        if soonest == Instant::NEVER {
            self.failure = Some(format!("all CPUs sleep for ever: {:#?}", self.cpus));
            return 0;
        }
        self.now = soonest;
        let ready: Vec<usize> = (1..=count)
            .map(|step| (me + step) % count)
            .filter(|&cpu| self.cpus[cpu].wakes_at(now) <= soonest)
            .collect();
        let choice = if self.random == 0 { 0 } else { self.random(ready.len() as u64) as usize };
        ready[choice]
    }
}
