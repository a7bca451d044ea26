//! TCP ports of VMs' consoles, `[console] port` of their configurations: a telnet login, and then the console. Who leaves it ends the
//! connection.

use crate::host::Services;
use crate::remote::Remote;
use crate::sessions::Sessions;
use alloc::collections::BTreeMap;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use vm_manager::host_config::HostConfig;

/// How many VMs can have one: a stack has sixteen, of which three are the host's own.
pub(crate) const MOST: usize = 12;
/// How long the connections of a VM that is gone have to be told so.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where a console is.
struct Port {
    number: u16,
    remote: Remote,
    /// Since when its VM is gone.
    gone: Option<Instant>,
}

/// The ports of all VMs, by their numbers.
#[derive(Default)]
pub(crate) struct Consoles(BTreeMap<u32, Port>);

impl Consoles {
    /// Opens ports of new VMs, closes those of VMs that are gone, and looks after the others; when there is more to do.
    pub(crate) fn poll(&mut self, sessions: &mut Sessions, services: &mut Services) -> Instant {
        let now = host::now();
        self.follow(services, now);
        let mut next = Instant::NEVER;
        for port in self.0.values_mut() {
            next = next.min(port.remote.poll(sessions, services));
            if let Some(since) = port.gone {
                next = next.min(since + LAST_WORDS);
            }
        }
        next
    }

    fn follow(&mut self, services: &mut Services, now: Instant) {
        let wanted: BTreeMap<u32, u16> = services.console_ports().collect();
        for (vm, port) in &mut self.0 {
            if port.gone.is_none() && !wanted.contains_key(vm) {
                port.gone = Some(now);
            }
        }
        let is_wanted = |port: &Port| wanted.values().any(|number| *number == port.number);
        let over = self.0.extract_if(.., |_, port| {
            port.gone.is_some_and(|since| now.since(since) >= LAST_WORDS || is_wanted(port))
        });
        for (_, port) in over {
            port.remote.end(services);
        }
        for (vm, number) in wanted {
            self.0.entry(vm).or_insert_with(|| {
                let remote = Remote::of_console(number, vm);
                Port { number, remote, gone: None }
            });
        }
    }
}

/// The section of the host's configuration that has this port for something else.
pub(crate) fn owner(config: &HostConfig, port: u16) -> Option<&'static str> {
    let HostConfig { telnet, programs, metrics, .. } = config;
    let ports = [("telnet", telnet.port), ("programs", programs.port), ("metrics", metrics.port)];
    ports.into_iter().find(|(_, own)| *own == Some(port)).map(|(section, _)| section)
}
