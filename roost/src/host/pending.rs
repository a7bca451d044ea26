//! What waits for the headers of images on a disk: nothing is made, and nothing else is held up, before they are there.

use super::{Services, describe, refused};
use crate::bundles::{Opened, Origin, Shelf};
use alloc::format;
use alloc::string::String;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use shell::error::Error;
use shell::host::VmId;
use vm_manager::config::VmConfig;

/// How often it is tried again.
const RETRY: Duration = Duration::from_micros(500);
/// Headers that are not there by then never will be all at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be done with a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    /// To make a VM.
    Create,
    /// To say whether one could be made.
    Check,
}

/// A wish whose time has not come.
pub(super) struct Pending {
    wish: Wish,
    /// As the operator called it.
    name: String,
    config: VmConfig,
    origin: Origin,
    opened: Opened,
    until: Instant,
}

impl Pending {
    pub(super) fn new(wish: Wish, name: &str, config: VmConfig, origin: Origin) -> Self {
        let until = host::now() + PATIENCE;
        Self { wish, name: name.into(), config, origin, opened: Opened::default(), until }
    }
}

impl Services {
    /// Tries it; `None` if its time has not come.
    pub(super) fn attempt(&mut self, pending: &Pending) -> Option<Result<String, Error>> {
        let Pending { wish, name, config, origin, opened, until } = pending;
        let shelf = Shelf { bundles: &self.bundles, origin: *origin, opened, user: &config.name };
        let result = match wish {
            Wish::Create => self.manager.create(config.clone(), &shelf).map(Some),
            Wish::Check => self.manager.check(config, &shelf).map(|_| None),
        };
        match result {
            Ok(Some(id)) => {
                Some(self.vm(VmId(id)).map(|vm| describe::summary(vm, &self.manager).created()))
            }
            Ok(None) => Some(Ok(format!(
                "config '{name}' is valid: {} vCPU{}, {} MiB",
                config.vcpus,
                if config.vcpus == 1 { "" } else { "s" },
                config.memory_bytes >> 20
            ))),
            Err(error) if error.is_not_yet() && host::now() < *until => None,
            Err(error) => Some(Err(refused(error))),
        }
    }

    /// Tries all of them; when to do so again.
    pub(super) fn poll_pending(&mut self) -> Instant {
        let pending = core::mem::take(&mut self.pending);
        for (job, pending) in pending {
            match self.attempt(&pending) {
                Some(result) => {
                    self.messages.insert(job, super::Message::Now(result));
                }
                None => {
                    self.pending.insert(job, pending);
                }
            }
        }
        if self.pending.is_empty() { Instant::NEVER } else { host::now() + RETRY }
    }
}
