//! What the boot CPU does beside running guests: the sessions of the shell, the VM manager, and the end of it all.

use crate::bundles::Bundles;
use crate::host::Services;
use crate::network::{Company, Network};
use crate::people::People;
use crate::platform::Hardware;
use crate::ports::Ports;
use crate::sessions::{Door, Newcomer, Script, Serial, Sessions};
use crate::{boot_line, disks, journal, networks};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::device::Devices;
use hv_core::machine::{End, Machine};
use hv_core::time::Instant;
use hv_core::{console, host};
use shell::session::{Lifetime, TerminalKind};
use spin::Once;
use virtio::disk::host::PollBell;
use vm_manager::bundle::Bundle;
use vm_manager::cpu_loop::{CpuLoop, Turn};
use vm_manager::manager::Manager;
use vm_manager::shared::Shared;
use vm_manager::sink::Bell;

/// What the other CPUs need to begin.
static SHARED: Once<Arc<Shared<Hardware>>> = Once::new();

/// Every CPU but the first runs this.
fn other_cpu(index: usize) -> ! {
    let shared = loop {
        match SHARED.get() {
            Some(shared) => break shared,
            None => host::sleep(),
        }
    };
    let mut cpu = CpuLoop::new(Arc::clone(shared), index);
    loop {
        cpu.turn(Instant::NEVER);
    }
}

/// The boot CPU.
pub(crate) fn run(machine: Machine) -> ! {
    let Service { services, sessions, ports, door, cpu } = set_up(machine);
    serve(services, sessions, ports, door, cpu)
}

/// What the loop looks after.
struct Service {
    services: Box<Services>,
    sessions: Sessions,
    ports: Ports,
    /// Where the serial port asks for a login, too.
    door: Option<Door>,
    cpu: CpuLoop<Hardware>,
}

/// Makes everything. It returns, because it takes more of the stack than the loop has to spare.
#[inline(never)]
fn set_up(machine: Machine) -> Service {
    journal::init();
    for note in &machine.notes {
        log::warn!("{note}");
    }
    let (cpus, notes) = host::start_cpus(other_cpu);
    for note in &notes {
        log::warn!("{note}");
    }
    let shared = SHARED.call_once(|| Shared::new(Hardware, cpus));
    for cpu in 1..cpus {
        host::kick(cpu);
    }
    let bell: Arc<dyn PollBell> = Arc::new(DiskBell(Arc::clone(shared)));
    let Devices { disks, cards, notes: device_notes } = hv_core::device::find();
    for note in &device_notes {
        log::warn!("{note}");
    }
    disks::adopt(disks, &bell);
    let (bundles, bundle_notes) = Bundles::find(read_bundle(&machine), machine.command_line);
    let (config, config_note) = bundles.host_config();
    networks::set_up(&config.networks);
    let network_bell: Arc<dyn Bell> = Arc::<Shared<Hardware>>::clone(shared);
    let (network, network_notes) = Network::new(cards, &config, &network_bell);
    let (people, people_notes) = People::of(&config);
    let config_notes: Vec<String> =
        config_note.into_iter().chain(network_notes).chain(people_notes).collect();
    for note in bundle_notes.iter().chain(&config_notes) {
        log::warn!("{note}");
    }
    let epoch = epoch(&machine);
    let manager = Manager::new(Arc::clone(shared), epoch);
    let banner = banner(&machine, cpus);
    let terminal = match boot_line::value(machine.command_line, "roost.terminal").as_deref() {
        Some("plain") => TerminalKind::Plain,
        _ => TerminalKind::Probe,
    };
    let script = start_script(&machine, &bundles);
    // Nobody must be kept from the machine for want of a password.
    let asks = config.login.on_serial && people.are_welcome();
    let lifetime = if asks { Lifetime::Script } else { Lifetime::Machine };
    let local = Newcomer::local(terminal, lifetime, script);
    let door = asks.then(|| Door::new(terminal));
    write_all(&banner);
    for note in machine
        .notes
        .iter()
        .chain(&notes)
        .chain(&device_notes)
        .chain(&bundle_notes)
        .chain(&config_notes)
    {
        write_all(&format!("warning: {note}\r\n"));
    }
    let mut services = Box::new(Services::new(manager, bundles, machine, people, notes, network));
    let mut sessions = Sessions::default();
    sessions.add(Box::new(Serial), local, &mut services);
    let ports = Ports::new(&config);
    Service { services, sessions, ports, door, cpu: CpuLoop::new(Arc::clone(shared), 0) }
}

/// Has this CPU look after the disks soon.
struct DiskBell(Arc<Shared<Hardware>>);

impl PollBell for DiskBell {
    fn ring(&self) {
        Bell::ring(&*self.0);
    }
}

fn read_bundle(machine: &Machine) -> Bundle<'static> {
    match machine.bundle.map(Bundle::parse) {
        Some(Ok(bundle)) => bundle,
        Some(Err(error)) => {
            log::error!("the bundle cannot be used: {error}");
            write_all(&format!("error: the bundle cannot be used: {error}\r\n"));
            Bundle::default()
        }
        None => {
            log::warn!("there is no bundle (initrd): no configurations and no images");
            Bundle::default()
        }
    }
}

/// The time of day when the machine's clock read zero.
fn epoch(machine: &Machine) -> Duration {
    let now = Duration::from_nanos(host::now().0);
    let wall = Duration::from_secs(machine.wall_clock_seconds.unwrap_or(0));
    wall.saturating_sub(now)
}

fn banner(machine: &Machine, cpus: usize) -> String {
    let memory = hv_core::memory::counters();
    format!(
        "\r\nRoost {} on {}: {} CPU{}, {} MiB of RAM free. 'help' lists the commands.\r\n",
        env!("CARGO_PKG_VERSION"),
        if machine.model.is_empty() { "an unnamed machine" } else { machine.model },
        cpus,
        if cpus == 1 { "" } else { "s" },
        memory.free >> 20
    )
}

fn start_script(machine: &Machine, bundles: &Bundles) -> Option<Script> {
    if let Some(commands) = boot_line::value(machine.command_line, "roost.cmd") {
        return Some(Script::Commands("roost.cmd", commands));
    }
    match core::str::from_utf8(bundles.autostart()?) {
        Ok(text) => Some(Script::File("autostart", text.into())),
        Err(_) => {
            write_all("error: autostart is not text\r\n");
            None
        }
    }
}

/// Before the session has the console.
fn write_all(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let taken = console::write(rest);
        rest = rest.get(taken..).unwrap_or_default();
        console::service();
    }
}

/// Does the host's own work and runs guests, in turn, for ever.
fn serve(
    mut services: Box<Services>,
    mut sessions: Sessions,
    mut ports: Ports,
    mut door: Option<Door>,
    mut cpu: CpuLoop<Hardware>,
) -> ! {
    loop {
        let company = if cpu.has_guests() { Company::Guests } else { Company::None };
        services.network_mut().set_company(company);
        let mut limit = services.poll();
        limit = limit.min(ports.poll(&mut sessions, &mut services));
        limit = limit.min(sessions.poll(&mut services));
        if let Some(door) = &mut door {
            limit = limit.min(door.poll(&mut sessions, &mut services));
        }
        limit = limit.min(services.flush());
        if let Some(end) = services.wanted_end()
            && sessions.have_parted(&mut services)
            && console::is_drained()
        {
            finish(end, &mut services);
        }
        let now = host::now();
        if limit <= now {
            // There is more to do at once. Guests get their share in between; without any that wants to run, the turn only
            // looks after interrupts and what is asked of the vCPU that is loaded.
            limit = if cpu.has_guests() { now + SHARE } else { now };
        }
        while cpu.turn(limit) == Turn::Guests {}
    }
}

/// How long guests run on this CPU between two slices of the host's own work.
const SHARE: Duration = Duration::from_millis(1);

fn finish(end: End, services: &mut Services) {
    host::end(end);
    // Still here: the machine cannot be ended so.
    services.end_failed(end);
}
