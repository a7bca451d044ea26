//! The `virt` machine: what QEMU's machine of that name has where it has it (see [`crate::virt_map`]), around AArch64 vCPUs.

mod psci;
mod system;
mod timer;

use crate::board::{Board, DeviceInfo, Parts};
use crate::bus::{Bus, Overlap, Reply, SharedDevice};
use crate::config::VmConfig;
use crate::devices::pl011::{Pl011, Received};
use crate::devices::pl031::Pl031;
use crate::devices::pl061::Pl061;
use crate::error::Error;
use crate::fdt;
use crate::irqchip::vgic::{Frame, GicClient, HwState, Vgic};
use crate::load::{Loader, Plan, Request};
use crate::platform::{Platform, Ram};
use crate::plug::{self, Placed, Plugged, Socket};
use crate::run::Stop;
use crate::sink::ConsoleSink;
use crate::slot::{Core, VcpuSlot};
use crate::virt_map::{self, GicVersion, Window};
use crate::vm::Vm;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use hv_core::arch::aarch64::esr::ArchExit;
use hv_core::arch::aarch64::list_register::ListRegisters;
use hv_core::arch::aarch64::sysreg::SystemRegister;
use hv_core::arch::aarch64::{self, Start, TimerState, Vcpu};
use hv_core::exit::{Access, Op};
use hv_core::guest::{GuestPhysAddr, Level, Space};
use hv_core::machine::{HostEvent, Range};
use hv_core::sync::Mutex;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;
use timer::PhysicalTimer;

/// The shared interrupts that the machine has: enough for the devices and 32 virtio slots.
const SPIS: u32 = 96;

/// What this machine needs of its CPUs beyond what all guest CPUs have.
pub trait ArmCpu: GuestCpu<ArchExit = ArchExit, Start = Start> {
    /// The list registers of the CPU on which it is loaded.
    type ListRegisters: ListRegisters;
    /// Its list registers. It is loaded.
    fn list_registers(&mut self) -> &mut Self::ListRegisters;
    /// General register `index`; 31 is zero.
    fn x(&self, index: u8) -> u64;
    /// Sets general register `index`; 31 is nowhere.
    fn set_x(&mut self, index: u8, value: u64);
    /// What the guest reads in an identification register; `None` if it is none.
    fn id_register(&self, register: SystemRegister) -> Option<u64>;
    /// Has the guest take an Undefined Instruction exception.
    fn inject_undefined(&mut self);
    /// What its virtual timer is about to do. It is not loaded.
    fn timer(&self) -> TimerState;
    /// Its counter now, in ticks.
    fn counter(&self) -> u64;
    /// The time of the host at which its counter reaches `ticks`.
    fn time_of(&self, ticks: u64) -> Instant;
    /// Makes the host's virtual timer interrupt active or inactive on this CPU.
    fn set_timer_interrupt_active(&self, level: Level);
}

/// What this machine needs of the platform: CPUs of its kind, and the interrupt controller of the host.
pub trait ArmPlatform: Platform<Board = Virt<Self>, Cpu: ArmCpu> {
    /// A vCPU, off.
    fn new_cpu(&self, index: u8, ram: &Self::Ram, gic: GicVersion) -> Self::Cpu;
    /// The version of the host's interrupt controller, which is that of guests.
    fn gic_version(&self) -> GicVersion;
    /// Shows the guest the host's virtual CPU interface at `gpa` (GICv2).
    ///
    /// # Errors
    ///
    /// Says why not.
    fn map_cpu_interface(&self, ram: &mut Self::Ram, gpa: GuestPhysAddr) -> Result<(), String>;
}

/// The machine.
pub struct Virt<P: ArmPlatform> {
    vgic: Arc<Vgic>,
    bus: Bus,
    uart: Arc<Mutex<Pl011<Arc<ConsoleSink>>>>,
    gpio: Arc<Mutex<Pl061>>,
    gic: GicVersion,
    slots: Vec<Arc<VcpuSlot<P>>>,
    plugged: Vec<Placed>,
}

/// What a vCPU has to itself on this machine.
#[derive(Debug, Default)]
pub struct Private {
    timer: PhysicalTimer,
}

/// The virtual GIC's way to the vCPUs.
struct Client<P: Platform> {
    slots: Vec<Arc<VcpuSlot<P>>>,
}

impl<P: Platform> GicClient for Client<P> {
    fn notify(&self, vcpu: usize) {
        if let Some(slot) = self.slots.get(vcpu) {
            slot.attend();
        }
    }

    fn deactivate(&self, vcpu: usize, _physical: u32) {
        if let Some(slot) = self.slots.get(vcpu) {
            slot.shared().platform().deactivate_guest_timer();
        }
    }
}

const TIMER_INTID: u32 = virt_map::TIMER_VIRTUAL_PPI.intid();

impl<P: ArmPlatform> Virt<P> {
    /// Which frame of the GIC an address is in, and the offset there.
    #[inline]
    fn gic_frame(&self, addr: GuestPhysAddr) -> Option<(Frame, u64)> {
        let distributor = addr.0.wrapping_sub(virt_map::GICD.base.0);
        if distributor < virt_map::GICD.size {
            return Some((Frame::Distributor, distributor));
        }
        if self.gic == GicVersion::V2 {
            return None;
        }
        let frames = addr.0.wrapping_sub(virt_map::GICR.base.0);
        let (owner, offset) = (frames / virt_map::GICR.size, frames % virt_map::GICR.size);
        (owner < self.slots.len() as u64).then_some((Frame::Redistributor(owner as usize), offset))
    }
}

impl<P: ArmPlatform> Board<P> for Virt<P> {
    type Private = Private;
    const EXIT_NAMES: &'static [&'static str] = &["hvc", "smc", "sysreg", "undefined"];

    fn new(parts: Parts<'_, P>, ram: &mut P::Ram) -> Result<Self, String> {
        let Parts { config, slots, sink, epoch, plugs } = parts;
        plug::check_room(&plugs, virt_map::VIRTIO_SLOTS as usize)?;
        let first = slots.first().ok_or("no vCPU")?;
        let platform = first.shared().platform();
        let gic = platform.gic_version();
        if config.gic.is_some_and(|wanted| wanted != gic) {
            return Err(format!("this machine can give guests a {} only", gic.name()));
        }
        let client = Arc::new(Client { slots: slots.to_vec() });
        let vgic = Vgic::new(gic, slots.len(), SPIS, client).map_err(|e| e.to_string())?;
        if gic == GicVersion::V2 {
            platform.map_cpu_interface(ram, virt_map::GICC.base)?;
        }
        let line = |spi: virt_map::Spi| vgic.line(spi.intid()).ok_or("no such interrupt");
        let uart = Arc::new(Mutex::new(Pl011::new(sink, line(virt_map::PL011_SPI)?)));
        let rtc = Arc::new(Mutex::new(Pl031::new(epoch, line(virt_map::PL031_SPI)?)));
        let gpio = Arc::new(Mutex::new(Pl061::new(line(virt_map::PL061_SPI)?)));
        let mut bus = Bus::default();
        let mut place = |window: Window, device: SharedDevice| {
            bus.place(Space::Mmio, window.base, window.size, device)
        };
        let placed = place(virt_map::PL011, Arc::<Mutex<Pl011<Arc<ConsoleSink>>>>::clone(&uart))
            .and_then(|()| place(virt_map::PL031, rtc))
            .and_then(|()| place(virt_map::PL061, Arc::<Mutex<Pl061>>::clone(&gpio)));
        placed.map_err(|overlap: Overlap| overlap.to_string())?;
        let mut plugged = Vec::new();
        for (plug, index) in plugs.into_iter().zip(0..) {
            let (window, spi) = virt_map::virtio_slot(index);
            let name = plug.name();
            let Plugged { device, handle } =
                plug.build(Socket { memory: ram.share(), lender: ram.lender(), line: line(spi)? })?;
            bus.place(Space::Mmio, window.base, window.size, device)
                .map_err(|overlap| overlap.to_string())?;
            let (address, bytes, interrupt) = (window.base.0, window.size, spi.intid());
            plugged.push(Placed { name, address, bytes, interrupt, handle });
        }
        Ok(Self { vgic, bus, uart, gpio, gic, slots: slots.to_vec(), plugged })
    }

    fn new_core(&self, slot: &VcpuSlot<P>, ram: &P::Ram) -> Option<(P::Cpu, Private)> {
        let platform = slot.shared().platform();
        Some((platform.new_cpu(slot.index(), ram, self.gic), Private::default()))
    }

    fn ram(memory_bytes: u64) -> Vec<Range> {
        let start = virt_map::RAM_BASE.0;
        alloc::vec![Range { start, end: start.saturating_add(memory_bytes) }]
    }

    fn check(_config: &VmConfig, request: &Request) -> Result<(), Error> {
        Plan::new(request).map(|_| ()).map_err(Error::Load)
    }

    fn prepare(
        &self,
        config: &VmConfig,
        request: &Request,
        seed: [u64; 4],
    ) -> Result<(Loader, Start), Error> {
        let plan = Plan::new(request).map_err(Error::Load)?;
        let mut rng_seed = [0; 32];
        for (bytes, word) in rng_seed.chunks_exact_mut(8).zip(seed) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let machine = fdt::Machine {
            vcpus: config.vcpus,
            memory_bytes: config.memory_bytes,
            gic: self.gic,
            cmdline: &config.boot.cmdline,
            initrd: plan.initrd().map(|region| region.start..region.end),
            rng_seed: &rng_seed,
            virtio_slots: self.plugged.len() as u32,
            kaslr_seed: Some(seed[0] ^ seed[3].rotate_left(17)),
        };
        let tree = fdt::build(&machine).map_err(|error| Error::Board(error.to_string()))?;
        let start = Start { entry: plan.entry(), argument: plan.fdt().start.0 };
        Ok((Loader::new(&plan, tree).map_err(Error::Load)?, start))
    }

    fn reset(&self) {
        self.bus.reset();
        self.vgic.reset();
        self.gpio.lock().set_input(virt_map::POWER_KEY_LINE, Level::Low);
    }

    fn set_power_key(&self, level: Level) {
        self.gpio.lock().set_input(virt_map::POWER_KEY_LINE, level);
    }

    fn type_in(&self, bytes: &[u8]) -> usize {
        let mut uart = self.uart.lock();
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
        let device = |name, window: Window, spi: Option<virt_map::Spi>| DeviceInfo {
            name,
            address: window.base.0,
            bytes: window.size,
            interrupt: spi.map(virt_map::Spi::intid),
            activity: None,
        };
        let mut list = alloc::vec![device("gic distributor", virt_map::GICD, None)];
        match self.gic {
            GicVersion::V2 => list.push(device("gic cpu interface", virt_map::GICC, None)),
            GicVersion::V3 => {
                let size = virt_map::GICR.size * self.slots.len() as u64;
                let window = Window { size, ..virt_map::GICR };
                list.push(device("gic redistributors", window, None));
            }
        }
        list.push(device("pl011 uart", virt_map::PL011, Some(virt_map::PL011_SPI)));
        list.push(device("pl031 rtc", virt_map::PL031, Some(virt_map::PL031_SPI)));
        list.push(device("pl061 gpio", virt_map::PL061, Some(virt_map::PL061_SPI)));
        list.extend(self.plugged.iter().map(Placed::info));
        list
    }

    fn plugged(&self) -> &[Placed] {
        &self.plugged
    }

    fn interrupt_controller(&self) -> &'static str {
        self.gic.name()
    }

    fn restarted(&self, core: &mut Core<P>) {
        core.private.timer = PhysicalTimer::default();
        core.private.timer.update(&core.cpu, &self.vgic, usize::from(core.index));
    }

    fn loaded(&self, core: &mut Core<P>) {
        let vcpu = usize::from(core.index);
        if self.vgic.hw_state(vcpu, TIMER_INTID) == HwState::PendingOrActive {
            core.cpu.set_timer_interrupt_active(Level::High);
        }
    }

    fn unloading(&self, core: &mut Core<P>) {
        let vcpu = usize::from(core.index);
        self.vgic.fold_all(vcpu, core.cpu.list_registers());
        if self.vgic.hw_state(vcpu, TIMER_INTID) == HwState::PendingOrActive {
            // The next vCPU's timer must be able to interrupt.
            core.cpu.set_timer_interrupt_active(Level::Low);
        }
    }

    #[inline]
    fn attend(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        self.vgic.flush(usize::from(core.index), core.cpu.list_registers());
        ControlFlow::Continue(())
    }

    fn has_pending(&self, core: &mut Core<P>) -> bool {
        let vcpu = usize::from(core.index);
        self.vgic.has_pending(vcpu, Some(core.cpu.list_registers()))
    }

    #[inline(always)]
    fn host_event(&self, event: HostEvent, core: &mut Core<P>) {
        let vcpu = usize::from(core.index);
        match event {
            HostEvent::GuestTimer => {
                self.vgic.inject_hw(vcpu, TIMER_INTID, TIMER_INTID, core.cpu.list_registers());
            }
            HostEvent::GuestInterruptController => {
                self.vgic.flush(vcpu, core.cpu.list_registers());
            }
            HostEvent::Kick
            | HostEvent::Timer
            | HostEvent::Console
            | HostEvent::Disk
            | HostEvent::Network
            | HostEvent::Spurious(_) => {}
        }
    }

    #[inline]
    fn access(&self, access: Access, core: &mut Core<P>, platform: &P) -> Reply {
        if let Some((frame, offset)) = self.gic_frame(access.addr) {
            let vcpu = usize::from(core.index);
            let lrs = core.cpu.list_registers();
            return match access.op {
                Op::Read => Reply::Value(self.vgic.read(vcpu, frame, offset, access.width, lrs)),
                Op::Write(value) => {
                    self.vgic.write(vcpu, frame, offset, access.width, value, lrs);
                    Reply::Done
                }
            };
        }
        self.bus.access(access, platform.now())
    }

    #[inline]
    fn handle(&self, exit: &ArchExit, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
        match exit {
            ArchExit::Hvc(_) => psci::call(core, vm),
            ArchExit::Smc(_) => {
                // Unlike HVC, a trapped SMC has not been stepped over.
                core.cpu.finish();
                psci::call(core, vm)
            }
            ArchExit::System(access) => system::access(*access, core, &self.vgic),
            ArchExit::Undefined => {
                core.cpu.inject_undefined();
                ControlFlow::Continue(())
            }
        }
    }

    fn exit_index(exit: &ArchExit) -> usize {
        match exit {
            ArchExit::Hvc(_) => 0,
            ArchExit::Smc(_) => 1,
            ArchExit::System(_) => 2,
            ArchExit::Undefined => 3,
        }
    }

    #[inline]
    fn deadline(&self, core: &Core<P>) -> Instant {
        core.private.timer.deadline(&core.cpu)
    }

    #[inline]
    fn tick(&self, core: &mut Core<P>) {
        if core.private.timer.is_on() {
            core.private.timer.update(&core.cpu, &self.vgic, usize::from(core.index));
        }
    }

    fn wake_time(&self, core: &Core<P>) -> Instant {
        let vcpu = usize::from(core.index);
        let is_delivered = self.vgic.hw_state(vcpu, TIMER_INTID) == HwState::PendingOrActive;
        let virtual_timer = match core.cpu.timer() {
            TimerState::At(at) if !is_delivered => at,
            TimerState::At(_) | TimerState::Off => Instant::NEVER,
        };
        virtual_timer.min(core.private.timer.deadline(&core.cpu))
    }
}

impl ArmCpu for Vcpu {
    type ListRegisters = aarch64::HostListRegisters;

    #[inline]
    fn list_registers(&mut self) -> &mut Self::ListRegisters {
        Self::list_registers(self)
    }

    #[inline]
    fn x(&self, index: u8) -> u64 {
        Self::x(self, index)
    }

    #[inline]
    fn set_x(&mut self, index: u8, value: u64) {
        Self::set_x(self, index, value);
    }

    #[inline]
    fn id_register(&self, register: SystemRegister) -> Option<u64> {
        Self::id_register(self, register)
    }

    fn inject_undefined(&mut self) {
        Self::inject_undefined(self);
    }

    fn timer(&self) -> TimerState {
        Self::timer(self)
    }

    fn counter(&self) -> u64 {
        Self::counter(self)
    }

    fn time_of(&self, ticks: u64) -> Instant {
        Self::time_of(self, ticks)
    }

    fn set_timer_interrupt_active(&self, level: Level) {
        Self::set_timer_interrupt_active(self, level);
    }
}

#[cfg(test)]
mod tests;
