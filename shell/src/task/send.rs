//! `vm send`: types text on a VM's console, as fast as the guest reads it.

use super::{Progress, Task};
use crate::amount::Span;
use crate::context::Context;
use crate::error::Error;
use crate::host::VmId;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Types bytes.
pub(crate) struct Send {
    pub(crate) vm: VmId,
    /// How messages name the VM.
    pub(crate) title: String,
    pub(crate) bytes: Vec<u8>,
    /// Bytes that the guest has accepted.
    pub(crate) sent: usize,
    pub(crate) timeout: Duration,
    pub(crate) until: Duration,
}

impl Task for Send {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        let rest = self.bytes.get(self.sent..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(Progress::Done);
        }
        match context.host.vm_state(self.vm) {
            None => return Err(Error::new(format!("{} was destroyed", self.title))),
            Some(state) if state.has_ended() => {
                return Err(Error::new(format!(
                    "{} is {state}: nothing reads its console",
                    self.title
                )));
            }
            Some(_) => {}
        }
        let accepted = context.host.console_write(self.vm, rest);
        self.sent += accepted;
        if accepted > 0 {
            return Ok(Progress::More);
        }
        if context.now >= self.until {
            return Err(Error::new(format!(
                "{} has read {} of {} bytes in {}: it is not reading its console",
                self.title,
                self.sent,
                self.bytes.len(),
                Span(self.timeout)
            )));
        }
        Ok(Progress::Waiting)
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.until)
    }
}
