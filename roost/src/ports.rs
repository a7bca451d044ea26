//! What listens on the network.

use crate::consoles::Consoles;
use crate::host::Services;
use crate::programs::Programs;
use crate::remote::Remote;
use crate::scrapes::Scrapes;
use crate::sessions::Sessions;
use hv_core::time::Instant;
use vm_manager::host_config::HostConfig;

/// All ports.
pub(crate) struct Ports {
    telnet: Remote,
    consoles: Consoles,
    programs: Programs,
    scrapes: Scrapes,
}

impl Ports {
    /// As the configuration has them.
    pub(crate) fn new(config: &HostConfig) -> Self {
        Self {
            telnet: Remote::new(config),
            consoles: Consoles::default(),
            programs: Programs::new(config),
            scrapes: Scrapes::new(config.metrics.port),
        }
    }

    /// Does some work for each; when there is more to do.
    pub(crate) fn poll(&mut self, sessions: &mut Sessions, services: &mut Services) -> Instant {
        let telnet = self.telnet.poll(sessions, services);
        let programs = self.programs.poll(sessions, services);
        let consoles = self.consoles.poll(sessions, services);
        telnet.min(consoles).min(programs).min(self.scrapes.poll(services))
    }
}
