//! `vm wait`: waits until a VM is in one of some states.

use super::{Progress, Task};
use crate::amount::{Span, listed};
use crate::context::Context;
use crate::error::Error;
use crate::host::{VmId, VmState};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

/// Waits for a state.
pub(crate) struct Wait {
    pub(crate) vm: VmId,
    /// How messages name the VM.
    pub(crate) title: String,
    pub(crate) states: Vec<VmState>,
    /// The state that was seen last.
    pub(crate) last: VmState,
    pub(crate) timeout: Duration,
    pub(crate) until: Duration,
}

impl Task for Wait {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        let wanted = listed(&self.states, "or");
        let Some(state) = context.host.vm_state(self.vm) else {
            return Err(Error::new(format!("{} was destroyed before it was {wanted}", self.title)));
        };
        if self.states.contains(&state) {
            writeln!(context.out, "{} is {state}", self.title)?;
            return Ok(Progress::Done);
        }
        // A script that waits for the end of a VM wants to hear of its crash now, not in a minute.
        if state == VmState::Crashed && self.last != VmState::Crashed {
            let why = context.host.vm_info(self.vm).ok().and_then(|info| info.reason);
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            return Err(Error::new(format!("{} crashed before it was {wanted}{why}", self.title)));
        }
        self.last = state;
        if context.now >= self.until {
            let span = Span(self.timeout);
            return Err(Error::new(format!(
                "{} is {state}, not {wanted}, after {span}",
                self.title
            )));
        }
        Ok(Progress::Waiting)
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.until)
    }
}
