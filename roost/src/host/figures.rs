//! Figures for Prometheus: what there is, what it has used, and what went wrong, under the names that `docs/remote.md` lists.
//!
//! A VM is known by its name, of which there is one at a time. Its counters begin anew when it is made anew.

mod network;

use super::Services;
use crate::{disks, journal};
use alloc::collections::BTreeMap;
use alloc::string::ToString as _;
use core::fmt;
use core::time::Duration;
use hv_core::host;
use net::metrics::{Exposition, Kind, Value};
use shell::host::{Host as _, HostDiskSummary, Registry as _, VmState};

type Written = fmt::Result;

impl Services {
    /// Writes all figures.
    ///
    /// # Errors
    ///
    /// If the output takes no more.
    pub(crate) fn figures(&self, output: &mut impl fmt::Write) -> Written {
        let mut all = Exposition::new(output);
        self.machine_figures(&mut all)?;
        self.cpu_figures(&mut all)?;
        self.memory_figures(&mut all)?;
        self.vm_figures(&mut all)?;
        self.vcpu_figures(&mut all)?;
        self.session_figures(&mut all)?;
        self.network_figures(&mut all)?;
        disk_figures(&mut all)?;
        log_figures(&mut all)
    }

    fn machine_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        let version = self.version();
        let labels = [
            ("version", version.version.as_str()),
            ("commit", version.commit.as_str()),
            ("architecture", version.architecture.as_str()),
        ];
        all.family("roost_build_info", Kind::Gauge, "What runs; the value is always 1.")?
            .sample(&labels, Value::Count(1))?;
        all.family("roost_uptime_seconds", Kind::Gauge, "Time since power-on.")?
            .sample(&[], Value::Seconds(self.uptime()))
    }

    fn cpu_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        let now = host::now();
        let shared = self.manager.shared();
        let mut idle = all.family(
            "roost_cpu_idle_seconds_total",
            Kind::Counter,
            "Time that a CPU of the host has slept, since it was started.",
        )?;
        for cpu in 0..shared.cpu_count() {
            let time = Duration::from_nanos(shared.idle_ns(cpu, now));
            idle.sample(&[("cpu", &cpu.to_string())], Value::Seconds(time))?;
        }
        Ok(())
    }

    fn memory_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        let memory = self.memory();
        let figures = [
            ("roost_memory_bytes", "Memory of the host.", memory.total_bytes),
            ("roost_memory_free_bytes", "Memory that nobody uses.", memory.free_bytes),
            ("roost_memory_guests_bytes", "Memory of guests.", memory.guests_bytes),
            ("roost_memory_hypervisor_bytes", "Memory of Roost itself.", memory.hypervisor_bytes),
            ("roost_heap_bytes", "Roost's heap, a part of its memory.", memory.heap_bytes),
            ("roost_heap_used_bytes", "What is used of the heap.", memory.heap_used_bytes),
        ];
        for (name, help, bytes) in figures {
            all.family(name, Kind::Gauge, help)?.sample(&[], Value::Count(bytes))?;
        }
        Ok(())
    }

    fn vm_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        let vms = self.vms();
        let mut states = all.family("roost_vms", Kind::Gauge, "VMs in a state.")?;
        for state in VmState::ALL {
            let count = vms.iter().filter(|vm| vm.state == state).count();
            states.sample(&[("state", state.name())], Value::Count(count as u64))?;
        }
        let mut state =
            all.family("roost_vm_state", Kind::Gauge, "The state of a VM; the value is always 1.")?;
        for vm in &vms {
            state.sample(&[("vm", &vm.name), ("state", vm.state.name())], Value::Count(1))?;
        }
        let mut memory = all.family("roost_vm_memory_bytes", Kind::Gauge, "The memory of a VM.")?;
        for vm in &vms {
            memory.sample(&[("vm", &vm.name)], Value::Count(vm.memory_bytes))?;
        }
        let mut restarts = all.family(
            "roost_vm_restarts_total",
            Kind::Counter,
            "How often a VM was started again after its end.",
        )?;
        for vm in self.manager.vms() {
            restarts.sample(&[("vm", vm.name())], Value::Count(vm.restarts().into()))?;
        }
        let mut printed = all.family(
            "roost_vm_console_bytes_total",
            Kind::Counter,
            "Bytes that a VM has printed on its console.",
        )?;
        for vm in self.manager.vms() {
            let bytes = vm.sink().output().total_bytes();
            printed.sample(&[("vm", vm.name())], Value::Count(bytes))?;
        }
        Ok(())
    }

    fn session_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        let sessions = self.people.sessions();
        let mut links: BTreeMap<&str, u64> = BTreeMap::new();
        for session in &sessions {
            *links.entry(session.link.as_str()).or_default() += 1;
        }
        let mut family =
            all.family("roost_sessions", Kind::Gauge, "Sessions, by what they are reached by.")?;
        for (link, count) in links {
            family.sample(&[("link", link)], Value::Count(count))?;
        }
        let lost = self.people.lost_bytes();
        all.family(
            "roost_session_lost_bytes_total",
            Kind::Counter,
            "Bytes of output that sessions did not take, and lost.",
        )?
        .sample(&[], Value::Count(lost))
    }

    fn vcpu_figures(&self, all: &mut Exposition<'_, impl fmt::Write>) -> Written {
        let mut times = all.family(
            "roost_vm_cpu_seconds_total",
            Kind::Counter,
            "CPU time that a vCPU has used.",
        )?;
        for vcpu in self.vcpus(None) {
            let labels = [("vm", vcpu.vm_name.as_str()), ("vcpu", &vcpu.vcpu.to_string())];
            times.sample(&labels, Value::Seconds(Duration::from_nanos(vcpu.cpu_time_ns)))?;
        }
        let mut exits = all.family(
            "roost_vm_exits_total",
            Kind::Counter,
            "How often the vCPUs of a VM have left the guest, by reason.",
        )?;
        for vm in self.manager.vms() {
            // Every slot counts the same reasons, in the same order.
            let Some(first) = vm.slots().first() else { continue };
            for (index, (reason, _)) in first.exits().enumerate() {
                let counts = vm.slots().iter().filter_map(|slot| slot.exits().nth(index));
                let count: u64 = counts.map(|(_, count)| count).sum();
                if count > 0 {
                    exits.sample(&[("vm", vm.name()), ("reason", reason)], Value::Count(count))?;
                }
            }
        }
        Ok(())
    }
}

fn disk_figures(all: &mut Exposition<'_, impl fmt::Write>) -> Written {
    type Figure = (&'static str, Kind, &'static str, fn(&HostDiskSummary) -> u64);
    const FIGURES: [Figure; 7] = [
        ("roost_disk_bytes", Kind::Gauge, "The size of a disk of the host.", |disk| {
            disk.size_bytes
        }),
        ("roost_disk_read_bytes_total", Kind::Counter, "Bytes read from a disk.", |disk| {
            disk.read_bytes
        }),
        ("roost_disk_written_bytes_total", Kind::Counter, "Bytes written to a disk.", |disk| {
            disk.written_bytes
        }),
        ("roost_disk_commands_total", Kind::Counter, "Commands that a disk was given.", |disk| {
            disk.commands
        }),
        ("roost_disk_flushes_total", Kind::Counter, "Flushes among them.", |disk| disk.flushes),
        ("roost_disk_errors_total", Kind::Counter, "Commands that a disk failed.", |disk| {
            disk.errors
        }),
        ("roost_disk_commands_in_flight", Kind::Gauge, "Commands that a disk works on.", |disk| {
            disk.in_flight
        }),
    ];
    let disks = disks::get();
    let disks: alloc::vec::Vec<_> =
        disks.iter().map(|found| super::describe::disk(disks, found)).collect();
    for (name, kind, help, figure) in FIGURES {
        let mut family = all.family(name, kind, help)?;
        for disk in &disks {
            family.sample(&[("disk", &disk.name)], Value::Count(figure(disk)))?;
        }
    }
    Ok(())
}

fn log_figures(all: &mut Exposition<'_, impl fmt::Write>) -> Written {
    let mut lines =
        all.family("roost_log_lines_total", Kind::Counter, "Lines of Roost's own log, by level.")?;
    for (level, count) in journal::counts() {
        lines.sample(&[("level", level)], Value::Count(count))?;
    }
    Ok(())
}
