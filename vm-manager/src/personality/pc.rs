//! The `pc` machine: what QEMU's machine of that name has, as far as kernels of today look for it (see [`crate::pc_map`]),
//! around x86-64 vCPUs.
//!
//! ```text
//!  16550, 8254, CMOS clock, PM block ──┬──→ 8259 pair ──→ LINT0 of vCPU 0 ┐
//!                                      └──→ IOAPIC ────→ local APICs ─────┴──→ the vCPU's attention
//! ```
//!
//! # Locks
//!
//! Device, then 8259 pair or IOAPIC, then a local APIC: see `apics.rs`.

mod apics;
mod control;
pub mod cpu;
pub mod cpuid;
mod devices;
pub mod emulate;
mod exits;
mod interrupts;
mod memory;
mod model_specific;
pub mod msr;
mod pvclock;
mod registers;
mod startup;
#[cfg(test)]
pub(crate) mod testing;
mod wires;

use crate::acpi;
use crate::board::{Board, DeviceInfo, Parts};
use crate::bus::Reply;
use crate::config::{Key, VmConfig};
use crate::devices::acpi_pm;
use crate::devices::frequency::Frequency;
use crate::devices::uart16550::Received;
use crate::error::Error;
use crate::irqchip::ioapic;
use crate::load::{Loader, PcBoot, PcPlan, Request};
use crate::pc_map;
use crate::platform::Platform;
use crate::plug::{self, Placed};
use crate::run::Stop;
use crate::shared::Shared;
use crate::slot::{Core, VcpuSlot};
use crate::vm::Vm;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use apics::{Apics, Port};
use control::Offered;
use core::ops::ControlFlow;
use core::time::Duration;
use cpu::{PcCpu, Window};
use cpuid::{Cpuid, ExtendedState, Profile, TscRate, Vendor};
use devices::{Devices, Now};
use emulate::Emulator;
use hv_core::arch::x86_64::exit::ArchExit;
use hv_core::arch::x86_64::start::Start;
use hv_core::exit::Access;
use hv_core::guest::{Level, Space};
use hv_core::machine::{HostEvent, Range};
use hv_core::time::Instant;
use msr::Msrs;
use pvclock::{Pace, Scale, SharedReference, Stability};

/// The frequency from which local APICs' timers divide. The highest that there is makes the finest timer.
const APIC_HZ: u32 = 1_000_000_000;
/// Bytes of a local APIC's page.
const APIC_PAGE_BYTES: u64 = 0x1000;

/// What this machine needs of the platform: CPUs of its kind, and what the host's are.
pub trait PcPlatform: Platform<Board = Pc<Self>, Cpu: PcCpu> {
    /// A vCPU, off; `None` if there is not enough memory for it.
    fn new_cpu(&self, index: u8, ram: &Self::Ram) -> Option<Self::Cpu>;
    /// CPUID of the host.
    fn host_cpuid(&self, leaf: u32, subleaf: u32) -> cpuid::Leaf;
    /// The frequency of the host's TSC, which is that of guests.
    fn tsc_hz(&self) -> u64;
    /// Whether it keeps that.
    fn tsc_rate(&self) -> TscRate;
    /// Whether guests can have XSAVE.
    fn extended_state(&self) -> ExtendedState;
}

/// The machine.
pub struct Pc<P: PcPlatform> {
    shared: Arc<Shared<P>>,
    apics: Arc<Apics<P>>,
    devices: Devices<P>,
    plugged: Vec<Placed>,
    cpuid: Cpuid,
    offered: Offered,
    vendor: Vendor,
    pace: Pace,
    /// The time of day when the host's clock read zero.
    epoch: Duration,
}

/// Whether a vCPU executes instructions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Activity {
    /// It does.
    Runs,
    /// It has executed HLT, and no interrupt that it takes has come since.
    Halted,
}

/// What a vCPU has to itself on this machine.
#[derive(Debug)]
pub struct Private {
    msrs: Msrs,
    emulator: Emulator,
    clock: pvclock::Clock,
    activity: Activity,
    /// What its CPU was told to exit for.
    window: Window,
    /// How far its time is behind the host's, since it was loaded.
    behind_ns: u64,
    /// When its local APIC wants to look at the time: the host's.
    apic_deadline: Instant,
    /// The earliest deadline for which the CPU's timer has been set, or will be before it runs.
    armed: Instant,
    /// DR0 to DR3, where they are not the CPU's.
    breakpoints: [u64; 4],
}

impl Private {
    fn new(vendor: Vendor) -> Self {
        Self {
            msrs: Msrs::new(vendor),
            emulator: Emulator::default(),
            clock: pvclock::Clock::default(),
            activity: Activity::Runs,
            window: Window::Closed,
            behind_ns: 0,
            apic_deadline: Instant::NEVER,
            armed: Instant::NEVER,
            breakpoints: [0; 4],
        }
    }
}

impl<P: PcPlatform> Pc<P> {
    #[inline]
    fn platform(&self) -> &P {
        self.shared.platform()
    }

    /// The vCPU's own local APIC.
    #[inline]
    fn port(&self, core: &Core<P>) -> Option<&Port<P>> {
        self.apics.port(core.index)
    }

    #[inline]
    fn now(&self, core: &Core<P>) -> Now {
        Now { host: self.platform().now(), behind_ns: core.private.behind_ns }
    }

    /// When the loaded vCPU has something to look at the time for.
    #[inline]
    fn first_deadline(&self, core: &Core<P>) -> Instant {
        let own = core.private.apic_deadline;
        if core.index == 0 { own.min(self.devices.deadline()) } else { own }
    }

    /// Says so if the CPU's timer has to be set to an earlier time than it was.
    #[inline]
    fn rearm(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        let deadline = self.first_deadline(core);
        if deadline >= core.private.armed {
            return ControlFlow::Continue(());
        }
        core.private.armed = deadline;
        ControlFlow::Break(Stop::Sooner)
    }

    /// The devices' deadline may be another: if it is sooner, vCPU 0 has to know.
    #[inline(never)]
    fn find_deadline(&self, behind_ns: u64) {
        if self.devices.find_deadline(behind_ns)
            && let Some(first) = self.apics.port(0)
        {
            first.slot().attend();
        }
    }
}

impl<P: PcPlatform> Board<P> for Pc<P> {
    type Private = Private;
    const EXIT_NAMES: &'static [&'static str] = exits::NAMES;

    fn new(parts: Parts<'_, P>, ram: &mut P::Ram) -> Result<Self, String> {
        // Before there is a guest whose exit would allocate.
        emulate::warm_up();
        let Parts { config, slots, sink, epoch, plugs } = parts;
        plug::check_room(&plugs, pc_map::VIRTIO_SLOTS as usize)?;
        let shared = Arc::clone(slots.first().ok_or("no vCPU")?.shared());
        let platform = shared.platform();
        let tsc_rate = platform.tsc_rate();
        let profile = Profile {
            vcpus: config.vcpus.into(),
            tsc_hz: platform.tsc_hz(),
            apic_hz: APIC_HZ,
            tsc_rate,
            extended_state: platform.extended_state(),
        };
        let cpuid = Cpuid::new(|leaf, subleaf| platform.host_cpuid(leaf, subleaf), &profile);
        let vendor = Vendor::new(platform.host_cpuid(0, 0));
        let stability = match tsc_rate {
            TscRate::Invariant => Stability::Stable,
            TscRate::Varying => Stability::Unstable,
        };
        let pace = Pace {
            scale: Scale::new(profile.tsc_hz),
            stability,
            shared: SharedReference::default(),
        };
        let apics = Arc::new(Apics::new(slots, Frequency::from_hertz(APIC_HZ)));
        let devices = Devices::new(&apics, &sink, epoch, config.memory_bytes);
        let mut devices = devices.map_err(|overlap| overlap.to_string())?;
        let plugged = plugs.into_iter().zip(0..).map(|(plug, index)| {
            let slot = pc_map::virtio_slot(index);
            devices.plug(plug, slot, ram)
        });
        let plugged = plugged.collect::<Result<_, _>>()?;
        let offered = Offered::new(&cpuid);
        Ok(Self { apics, devices, plugged, cpuid, offered, vendor, pace, epoch, shared })
    }

    fn new_core(&self, slot: &VcpuSlot<P>, ram: &P::Ram) -> Option<(P::Cpu, Private)> {
        let cpu = self.platform().new_cpu(slot.index(), ram)?;
        Some((cpu, Private::new(self.vendor)))
    }

    fn ram(memory_bytes: u64) -> Vec<Range> {
        let parts = [pc_map::low_ram(memory_bytes), pc_map::high_ram(memory_bytes)];
        let ranges = parts.map(|region| Range { start: region.start.0, end: region.end.0 });
        ranges.into_iter().filter(|range| !range.is_empty()).collect()
    }

    fn check(config: &VmConfig, request: &Request) -> Result<(), Error> {
        if config.gic.is_some() {
            let problem =
                "allowed on AArch64 only; the interrupt controllers of this machine are APICs";
            return Err(Error::Config(config.error(Key::Gic, problem)));
        }
        plan(config, request, 0).map(|_| ())
    }

    fn prepare(
        &self,
        config: &VmConfig,
        request: &Request,
        _seed: [u64; 4],
    ) -> Result<(Loader, Start), Error> {
        let plan = plan(config, request, self.plugged.len() as u32)?;
        Ok((Loader::for_pc(&plan), plan.start()))
    }

    fn reset(&self) {
        self.devices.reset();
        self.apics.reset();
        self.pace.shared.forget();
    }

    fn set_power_key(&self, level: Level) {
        if level == Level::High {
            self.devices.power_management.lock().press_power_button();
        }
    }

    fn type_in(&self, bytes: &[u8]) -> usize {
        let mut uart = self.devices.uart.lock();
        let mut taken = 0;
        for &byte in bytes {
            if !uart.has_room() || uart.receive(byte) != Received::Stored {
                break;
            }
            taken += 1;
        }
        taken
    }

    fn devices(&self) -> Vec<DeviceInfo> {
        let device = |name, address: u64, bytes: u64, interrupt: Option<u8>| DeviceInfo {
            name,
            address,
            bytes,
            interrupt: interrupt.map(u32::from),
            activity: None,
        };
        let ports = |name, ports: pc_map::Ports| {
            device(name, ports.base.into(), ports.count.into(), Some(ports.interrupt))
        };
        let mut list = alloc::vec![
            device("8259 interrupt controllers", 0x20, 2, None),
            ports("8254 timer", pc_map::TIMER),
            ports("cmos clock", pc_map::RTC),
            ports("16550 uart", pc_map::SERIAL),
            device(
                "acpi power management",
                pc_map::PM_EVENT.into(),
                acpi_pm::WINDOW_BYTES,
                Some(pc_map::SCI)
            ),
            device("reset control", pc_map::RESET.into(), 1, None),
            device("ioapic", pc_map::IOAPIC.into(), ioapic::WINDOW_BYTES, None),
            device("local apic", pc_map::LOCAL_APIC.into(), APIC_PAGE_BYTES, None),
        ];
        list.extend(self.plugged.iter().map(Placed::info));
        list
    }

    fn plugged(&self) -> &[Placed] {
        &self.plugged
    }

    fn interrupt_controller(&self) -> &'static str {
        "APIC"
    }

    fn restarted(&self, core: &mut Core<P>) {
        // Its local APIC is as after power-on, or after the INIT that it took: where it was done, it need not be done again.
        let behind_ns = core.private.behind_ns;
        core.private = Private { behind_ns, ..Private::new(self.vendor) };
    }

    fn loaded(&self, core: &mut Core<P>) {
        let Some(port) = self.port(core) else { return };
        let Some(vm) = port.slot().vm() else { return };
        let behind = vm.behind(Instant(0));
        let behind_ns = u64::try_from(behind.as_nanos()).unwrap_or(u64::MAX);
        if behind_ns != core.private.behind_ns {
            core.private.behind_ns = behind_ns;
            core.private.apic_deadline =
                Now::host_at(behind_ns, port.apic().lock().next_deadline());
            if core.index == 0 {
                self.devices.find_deadline(behind_ns);
            }
        }
        self.tell_time(core, vm.ram());
    }

    fn unloading(&self, _core: &mut Core<P>) {}

    #[inline]
    fn attend(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        self.look(core)
    }

    fn has_pending(&self, core: &mut Core<P>) -> bool {
        self.halt(core)
    }

    #[inline]
    fn must_sleep(&self, core: &mut Core<P>) -> bool {
        self.sleeps_on(core)
    }

    fn host_event(&self, _event: HostEvent, _core: &mut Core<P>) {}

    #[inline]
    fn access(&self, access: Access, core: &mut Core<P>, platform: &P) -> Reply {
        let now = Now { host: platform.now(), behind_ns: core.private.behind_ns };
        if access.space == Space::Mmio {
            return self.devices.memory(access, now);
        }
        let reply = self.devices.port(access, now);
        if Devices::<P>::has_deadline(&access) {
            self.find_deadline(now.behind_ns);
        }
        reply
    }

    #[inline]
    fn handle(&self, exit: &ArchExit, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
        self.exit(exit, core, vm)
    }

    fn exit_index(exit: &ArchExit) -> usize {
        exits::index(exit)
    }

    #[inline]
    fn deadline(&self, core: &Core<P>) -> Instant {
        self.first_deadline(core)
    }

    #[inline]
    fn tick(&self, core: &mut Core<P>) {
        let deadline = self.first_deadline(core);
        if deadline != Instant::NEVER {
            self.look_at_time(core);
        }
        // The CPU's timer is set after this.
        core.private.armed = self.first_deadline(core);
    }

    fn wake_time(&self, core: &Core<P>) -> Instant {
        self.first_deadline(core)
    }
}

fn plan(config: &VmConfig, request: &Request, virtio: u32) -> Result<PcPlan, Error> {
    let slots: Vec<_> = (0..virtio).map(pc_map::virtio_slot).collect();
    let boot = PcBoot {
        memory_bytes: config.memory_bytes,
        cmdline: config.boot.cmdline.clone(),
        acpi: acpi::tables(config.vcpus, &slots),
    };
    PcPlan::new(request, &boot).map_err(Error::Load)
}

const _: () = assert!(crate::virt_map::MAX_VCPUS <= pc_map::MAX_VCPUS);

#[cfg(test)]
mod tests;
