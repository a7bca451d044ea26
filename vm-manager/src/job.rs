//! What takes longer than one slice: loading, waiting for a guest, taking a VM apart.

use crate::board::Board;
use crate::error::Error;
use crate::load::Loader;
use crate::platform::{Platform, Ram};
use crate::slot::Start;
use crate::vm::{Rest, Vm, VmEvent, VmState};
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;
use hv_core::guest::Level;
use hv_core::time::Instant;

/// Names a job.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct JobId(pub u64);

/// How far a job is.
#[derive(Debug)]
pub enum JobStatus {
    /// It goes on.
    Running {
        /// Bytes done.
        done_bytes: u64,
        /// Bytes in all; 0 when it does not count bytes.
        total_bytes: u64,
        /// What it does.
        what: String,
    },
    /// It ended.
    Done(Result<(), Error>),
}

/// What a job is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Goal {
    /// To load and start a VM that does not run.
    Start,
    /// To start it anew, whatever it does.
    Reset,
    /// The same, for its guest.
    GuestReset,
    /// The same, after its end, at this time.
    Restart { at: Instant },
    /// To have the guest switch itself off.
    PowerKey { after: Duration },
    /// To stop it at once.
    Stop,
    /// Its guest has switched it off: to stop its other vCPUs.
    PowerOff,
    /// Its guest cannot go on: likewise.
    Crash,
    /// To take it apart.
    Destroy,
}

enum Phase<P: Platform> {
    /// Until that time.
    Delay(Instant),
    /// Until no vCPU runs or is loaded.
    Quiesce,
    Zero {
        done: u64,
    },
    Load {
        loader: Loader,
        start: Start<P>,
    },
    /// The power key is down until then.
    KeyDown {
        until: Instant,
        deadline: Instant,
    },
    /// The guest has until then.
    Await {
        deadline: Instant,
    },
}

/// How a slice of a job ended it.
pub(crate) struct Ended {
    /// What it was for.
    pub(crate) goal: Goal,
    pub(crate) result: Result<(), Error>,
}

/// One thing that is being done to a VM.
pub(crate) struct Job<P: Platform> {
    vm: Arc<Vm<P>>,
    goal: Goal,
    phase: Phase<P>,
    is_abandoned: bool,
}

/// RAM zeroed in one slice: less than a millisecond of work.
const ZERO_BYTES: u64 = 16 << 20;
/// Image bytes copied in one slice.
const LOAD_BYTES: usize = 1 << 20;
/// How long the power key stays down: longer than the debounce time of `gpio-keys`.
const KEY_DOWN: Duration = Duration::from_millis(100);

impl<P: Platform> Job<P> {
    pub(crate) fn new(vm: Arc<Vm<P>>, goal: Goal, now: Instant) -> Self {
        let phase = match goal {
            Goal::Restart { at } => Phase::Delay(at),
            Goal::PowerKey { after } => {
                vm.board().set_power_key(Level::High);
                Phase::KeyDown { until: now + KEY_DOWN, deadline: now + after }
            }
            Goal::Start
            | Goal::Reset
            | Goal::GuestReset
            | Goal::Stop
            | Goal::PowerOff
            | Goal::Crash
            | Goal::Destroy => Phase::Quiesce,
        };
        Self { vm, goal, phase, is_abandoned: false }
    }

    pub(crate) fn vm(&self) -> &Arc<Vm<P>> {
        &self.vm
    }

    pub(crate) fn vm_id(&self) -> u32 {
        self.vm.id()
    }

    /// It does nothing itself: other things may be done to the VM meanwhile.
    pub(crate) fn waits_for_guest(&self) -> bool {
        matches!(self.phase, Phase::KeyDown { .. } | Phase::Await { .. } | Phase::Delay(_))
    }

    /// It is the start of a VM that has ended, when its time comes.
    pub(crate) fn is_delayed(&self) -> bool {
        matches!(self.phase, Phase::Delay(_))
    }

    /// Nobody waits for it any more. Returns whether there is nothing left for it to do.
    pub(crate) fn abandon(&mut self) -> bool {
        self.is_abandoned = true;
        matches!(self.phase, Phase::Await { .. })
    }

    /// Ends the loading of a VM, if that is what it does: what is in RAM is not a guest. Returns whether it did.
    pub(crate) fn stop_loading(&self) -> bool {
        let is_loading = match self.phase {
            Phase::Zero { .. } | Phase::Load { .. } => true,
            // Nothing was changed yet.
            Phase::Quiesce => self.goal == Goal::Start,
            Phase::Delay(_) | Phase::KeyDown { .. } | Phase::Await { .. } => false,
        };
        if is_loading {
            self.vm.request().release();
            self.vm.change(VmEvent::LoadFailed);
            log::warn!("{}: loading was given up", self.vm.title());
        }
        is_loading
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    pub(crate) fn status(&self) -> JobStatus {
        let plain =
            |what: &str| JobStatus::Running { done_bytes: 0, total_bytes: 0, what: what.into() };
        match &self.phase {
            Phase::Delay(_) => plain("waiting to restart"),
            Phase::Quiesce => plain("stopping vCPUs"),
            Phase::KeyDown { .. } | Phase::Await { .. } => plain("waiting for the guest"),
            Phase::Zero { done } => JobStatus::Running {
                done_bytes: *done,
                total_bytes: self.vm.ram().bytes(),
                what: "zeroing RAM".into(),
            },
            Phase::Load { loader, .. } => {
                let progress = loader.progress();
                JobStatus::Running {
                    done_bytes: progress.done_bytes,
                    total_bytes: progress.total_bytes,
                    what: alloc::format!("loading {}", progress.what),
                }
            }
        }
    }

    /// When the next slice is worth the while.
    pub(crate) fn wants_step_at(&self, now: Instant) -> Instant {
        const LOOK: Duration = Duration::from_millis(5);
        // For a disk that does not interrupt, or has done so before it was looked at.
        const DISK: Duration = Duration::from_micros(500);
        match &self.phase {
            Phase::Delay(at) => *at,
            Phase::Load { loader, .. } if loader.progress().waits => now + DISK,
            Phase::Zero { done } if *done == self.vm.ram().bytes() => now + DISK,
            Phase::Quiesce | Phase::Zero { .. } | Phase::Load { .. } => now,
            Phase::KeyDown { until, .. } => *until,
            Phase::Await { .. } => now + LOOK,
        }
    }

    /// Does a slice. Returns how that ended the job, after which it is to be forgotten.
    pub(crate) fn step(&mut self, platform: &P) -> Option<Ended> {
        let result = match &mut self.phase {
            Phase::Delay(at) => {
                if platform.now() >= *at {
                    self.phase = Phase::Quiesce;
                    self.vm.life.lock().restarts += 1;
                }
                return None;
            }
            Phase::Quiesce => {
                if self.vm.quiesce() != Rest::Home {
                    return None;
                }
                self.quiet()
            }
            Phase::Zero { done } => match self.vm.ram().zero(*done, ZERO_BYTES) {
                Ok(bytes) => {
                    *done += bytes;
                    if *done < self.vm.ram().bytes() {
                        return None;
                    }
                    match self.prepare_load(platform) {
                        // Of the files, headers are read first.
                        Err(error) if error.is_not_yet() => return None,
                        prepared => prepared.map(Some),
                    }
                }
                Err(cause) => Err(Error::Memory { name: self.vm.name().into(), cause }),
            },
            Phase::Load { loader, start } => match loader.step(self.vm.ram(), LOAD_BYTES) {
                Ok(progress) if !progress.finished => return None,
                Ok(_) => {
                    let start = *start;
                    self.vm.request().release();
                    self.vm.ram().publish();
                    self.vm.change(VmEvent::Loaded);
                    self.vm.start(start, platform.now());
                    Ok(None)
                }
                Err(error) => Err(Error::Load(error)),
            },
            Phase::KeyDown { until, deadline } => {
                if platform.now() < *until {
                    return None;
                }
                self.vm.board().set_power_key(Level::Low);
                Ok(Some(Phase::Await { deadline: *deadline }))
            }
            Phase::Await { deadline } => match self.vm.state() {
                VmState::Stopped => Ok(None),
                VmState::Running | VmState::Paused if platform.now() < *deadline => return None,
                VmState::Running | VmState::Paused => Err(self.timed_out()),
                VmState::Created | VmState::Loading | VmState::Crashed => Ok(None),
            },
        };
        match result {
            Ok(Some(phase)) => {
                self.phase = phase;
                None
            }
            Ok(None) => Some(Ended { goal: self.goal, result: Ok(()) }),
            Err(error) => {
                self.vm.request().release();
                self.vm.change(VmEvent::LoadFailed);
                log::error!("{}: {error}", self.vm.title());
                Some(Ended { goal: self.goal, result: Err(error) })
            }
        }
    }

    fn timed_out(&self) -> Error {
        self.vm.life.lock().is_asked_to_stop = false;
        let after = if let Goal::PowerKey { after } = self.goal { after } else { Duration::ZERO };
        Error::TimedOut { vm: self.vm.title(), after }
    }

    /// No vCPU runs: what comes next.
    fn quiet(&self) -> Result<Option<Phase<P>>, Error> {
        self.vm.switch_off();
        match self.goal {
            Goal::Start | Goal::Reset | Goal::GuestReset | Goal::Restart { .. } => {
                self.vm.change(VmEvent::Load);
                self.vm.reset_devices();
                Ok(Some(Phase::Zero { done: 0 }))
            }
            Goal::Stop | Goal::PowerOff => {
                self.vm.change(VmEvent::PowerOff);
                Ok(None)
            }
            Goal::Crash => {
                self.vm.change(VmEvent::Crash);
                Ok(None)
            }
            Goal::Destroy => {
                self.vm.retire();
                Ok(None)
            }
            Goal::PowerKey { .. } => Ok(None),
        }
    }

    fn prepare_load(&self, platform: &P) -> Result<Phase<P>, Error> {
        let seed = platform.seed();
        let (loader, start) = self.vm.board().prepare(self.vm.config(), self.vm.request(), seed)?;
        Ok(Phase::Load { loader, start })
    }
}
