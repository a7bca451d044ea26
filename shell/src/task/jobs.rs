//! Operations of the host, one VM after another.

use super::{Progress, Task};
use crate::context::{Context, ProgressLine};
use crate::error::Error;
use crate::host::{JobId, JobStatus, Stop, Urgency, VmId};
use crate::output::Column;
use alloc::collections::VecDeque;
use core::fmt::Write;
use core::time::Duration;

/// How often the progress line is rewritten.
const REFRESH: Duration = Duration::from_millis(100);
/// A terminal's "erase to the end of the line" (VT100 EL).
const ERASE_LINE: &[u8] = b"\r\x1b[K";
const MIB: u64 = 1 << 20;

/// What is done with each VM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    Start,
    Stop(Stop),
    Reset,
    Destroy(Urgency),
}

/// Jobs that run one after another. The first error ends them.
pub(crate) struct Jobs {
    running: Option<JobId>,
    rest: Option<(Order, VecDeque<VmId>)>,
    is_shown: bool,
    refresh_at: Duration,
}

impl Jobs {
    /// Waits for one job.
    pub(crate) fn one(job: JobId) -> Self {
        Self { running: Some(job), rest: None, is_shown: false, refresh_at: Duration::ZERO }
    }

    /// Gives an order to each of these VMs.
    pub(crate) fn each(order: Order, vms: VecDeque<VmId>) -> Self {
        Self {
            running: None,
            rest: Some((order, vms)),
            is_shown: false,
            refresh_at: Duration::ZERO,
        }
    }

    fn begin_next(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        let Some((order, vms)) = &mut self.rest else { return Ok(Progress::Done) };
        let Some(vm) = vms.pop_front() else { return Ok(Progress::Done) };
        self.running = Some(match *order {
            Order::Start => context.host.vm_start(vm),
            Order::Stop(stop) => context.host.vm_stop(vm, stop),
            Order::Reset => context.host.vm_reset(vm),
            Order::Destroy(urgency) => context.host.vm_destroy(vm, urgency),
        }?);
        Ok(Progress::More)
    }

    fn show(
        &mut self,
        context: &mut Context<'_>,
        what: &str,
        done: u64,
        total: u64,
    ) -> Result<(), Error> {
        let is_wanted = context.progress_line == ProgressLine::Rewritten;
        if !is_wanted || context.now < self.refresh_at || !context.out.is_empty() {
            return Ok(());
        }
        self.refresh_at = context.now.saturating_add(REFRESH);
        self.is_shown = true;
        context.out.control(ERASE_LINE, Column::First);
        write!(context.out, "{what}")?;
        if total > 0 {
            write!(context.out, "  {}/{} MiB", done / MIB, total.div_ceil(MIB))?;
        }
        Ok(())
    }

    fn unshow(&mut self, context: &mut Context<'_>) {
        if core::mem::take(&mut self.is_shown) {
            context.out.control(ERASE_LINE, Column::First);
        }
    }
}

impl Task for Jobs {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        let Some(job) = self.running else { return self.begin_next(context) };
        match context.host.job(job) {
            JobStatus::Running { done_bytes, total_bytes, what } => {
                self.show(context, &what, done_bytes, total_bytes)?;
                Ok(Progress::Waiting)
            }
            JobStatus::Done(result) => {
                self.running = None;
                self.unshow(context);
                let message = result?;
                if !message.is_empty() {
                    writeln!(context.out, "{message}")?;
                }
                Ok(Progress::More)
            }
        }
    }

    fn interrupt(&mut self, context: &mut Context<'_>) {
        let Some(job) = self.running else { return };
        self.unshow(context);
        if let Err(error) = context.host.cancel(job) {
            _ = writeln!(context.out, "it goes on without you: {error}");
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.is_shown.then_some(self.refresh_at)
    }
}
