//! How the host is reached: its network, and the ports of consoles.

use super::Services;
use crate::consoles;
use crate::network::Network;
use alloc::format;
use hv_core::time::Instant;
use net::stack::Stack;
use shell::error::Error;
use vm_manager::config::VmConfig;

impl Services {
    /// The VMs whose consoles have a TCP port, and these.
    pub(crate) fn console_ports(&self) -> impl Iterator<Item = (u32, u16)> {
        self.manager.vms().filter_map(|vm| Some((vm.id(), vm.config().console_port?)))
    }

    /// The stack, for connections.
    pub(crate) fn stack(&mut self) -> Option<&mut Stack> {
        self.network.stack()
    }

    /// The host's network.
    pub(crate) fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Somebody has given the network something to send.
    pub(crate) fn has_sent(&mut self) {
        self.network.touch();
    }

    /// Sends what was given to the network since the last poll, if there is something; when it wants the next.
    pub(crate) fn flush(&mut self) -> Instant {
        self.network.send_off()
    }

    /// Refuses a port for a console that something else of the host has.
    pub(super) fn check_console_port(&self, config: &VmConfig) -> Result<(), Error> {
        let Some(port) = config.console_port else { return Ok(()) };
        match consoles::owner(&self.bundles.host_config().0, port) {
            None if self.console_ports().count() >= consoles::MOST => Err(Error::new(format!(
                "console.port: {} consoles have a port of their own, and there cannot be more",
                consoles::MOST
            ))),
            None => Ok(()),
            Some(section) => Err(Error::new(format!(
                "console.port: {port} is that of [{section}] in host.toml; give another one with console.port=N"
            ))),
        }
    }
}
