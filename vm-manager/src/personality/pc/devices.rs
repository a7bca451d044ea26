//! The devices around the CPUs, and when they want to look at the time.
//!
//! All but one count the guest's time, which stands still with it. The CMOS clock shows the time of day, which does not.

use super::PcPlatform;
use super::apics::Apics;
use super::wires::{BoardLine, Intr, Io, PinLine, PowerSwitch};
use crate::acpi::VirtioSlot;
use crate::bus::{Bus, Overlap, Reply};
use crate::devices::acpi_pm::{self, AcpiPm};
use crate::devices::cmos_rtc::CmosRtc;
use crate::devices::pit8254::{Pit8254, PortB};
use crate::devices::reset_port::{Kind, ResetPort};
use crate::devices::uart16550::Uart16550;
use crate::irqchip::ioapic::{self, IoApic};
use crate::irqchip::pic8259::{self, Pic8259};
use crate::pc_map;
use crate::platform::Ram;
use crate::plug::{Placed, Plug, Plugged, Socket};
use crate::sink::ConsoleSink;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use hv_core::exit::{Access, Op};
use hv_core::guest::{Device, GuestPhysAddr, IrqLine, Space, Width};
use hv_core::sync::Mutex;
use hv_core::time::Instant;

/// A moment, as the host has it and as the guest does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Now {
    pub(super) host: Instant,
    /// How far the guest's time is behind.
    pub(super) behind_ns: u64,
}

impl Now {
    /// The guest's time.
    pub(super) const fn guest(self) -> Instant {
        Instant(self.host.0.saturating_sub(self.behind_ns))
    }

    /// The host's time at the guest's time `at`; never is never.
    pub(super) const fn host_at(behind_ns: u64, at: Instant) -> Instant {
        Instant(at.0.saturating_add(behind_ns))
    }
}

/// The devices.
pub(super) struct Devices<P: PcPlatform> {
    bus: Bus,
    pub(super) uart: Arc<Mutex<Uart16550<Arc<ConsoleSink>>>>,
    pub(super) power_management: Arc<Mutex<AcpiPm<Arc<PowerSwitch>>>>,
    pub(super) pair: Arc<Mutex<Pic8259>>,
    pub(super) ioapic: Arc<Mutex<Io<P>>>,
    timer: Arc<Mutex<Pit8254>>,
    clock: Mutex<CmosRtc>,
    power: Arc<PowerSwitch>,
    /// When the first of them wants to look at the time: the host's, in nanoseconds. Vcpu 0 sees to it.
    deadline_ns: AtomicU64,
}

const SYSTEM_CONTROL: u16 = 0x61;
const KEYBOARD_CONTROLLER: u16 = 0x64;
/// How many of the two chips' ports there are.
const PIC_PORTS: [(u16, pic8259::Block); 3] = [
    (0x20, pic8259::Block::Master),
    (0xa0, pic8259::Block::Slave),
    (0x4d0, pic8259::Block::Levels),
];

impl<P: PcPlatform> Devices<P> {
    pub(super) fn new(
        apics: &Arc<Apics<P>>,
        sink: &Arc<ConsoleSink>,
        epoch: Duration,
        memory_bytes: u64,
    ) -> Result<Self, Overlap> {
        let pair = Arc::new(Mutex::new(Pic8259::new(Arc::new(Intr(Arc::clone(apics))))));
        let ioapic = Arc::new(Mutex::new(IoApic::new(Arc::clone(apics))));
        let line = |irq| -> Arc<dyn IrqLine> {
            Arc::new(BoardLine { pair: Arc::clone(&pair), ioapic: Arc::clone(&ioapic), irq })
        };
        let power = Arc::new(PowerSwitch::default());
        let uart = Uart16550::new(Arc::clone(sink), line(pc_map::SERIAL.interrupt));
        let uart = Arc::new(Mutex::new(uart));
        let timer = Arc::new(Mutex::new(Pit8254::new(line(pc_map::TIMER.interrupt))));
        let management = AcpiPm::new(Arc::clone(&power), line(pc_map::SCI));
        let power_management = Arc::new(Mutex::new(management));
        let mut clock = CmosRtc::new(epoch, line(pc_map::RTC.interrupt));
        preset_memory(&mut clock, memory_bytes);

        let mut bus = Bus::default();
        let mut ports = |base: u16, count: u64, device: Arc<Mutex<dyn Device>>| {
            bus.place(Space::Port, GuestPhysAddr(base.into()), count, device)
        };
        ports(pc_map::SERIAL.base, pc_map::SERIAL.count.into(), uart.clone())?;
        ports(pc_map::TIMER.base, pc_map::TIMER.count.into(), timer.clone())?;
        ports(SYSTEM_CONTROL, 1, Arc::new(Mutex::new(PortB::new(Arc::clone(&timer)))))?;
        for (base, block) in PIC_PORTS {
            let chip = pic8259::Ports::new(Arc::clone(&pair), block);
            ports(base, 2, Arc::new(Mutex::new(chip)))?;
        }
        for (base, kind) in [
            (KEYBOARD_CONTROLLER, Kind::KeyboardController),
            (pc_map::RESET, Kind::ControlRegister),
        ] {
            ports(base, 1, Arc::new(Mutex::new(ResetPort::new(kind, Arc::clone(&power)))))?;
        }
        ports(pc_map::PM_EVENT, acpi_pm::WINDOW_BYTES, power_management.clone())?;
        let at = GuestPhysAddr(pc_map::IOAPIC.into());
        bus.place(Space::Mmio, at, ioapic::WINDOW_BYTES, ioapic.clone())?;
        let deadline_ns = AtomicU64::new(Instant::NEVER.0);
        Ok(Self {
            bus,
            uart,
            power_management,
            pair,
            ioapic,
            timer,
            clock: Mutex::new(clock),
            power,
            deadline_ns,
        })
    }

    /// Places what is plugged in at `slot`.
    pub(super) fn plug(
        &mut self,
        plug: Box<dyn Plug>,
        slot: VirtioSlot,
        ram: &P::Ram,
    ) -> Result<Placed, String> {
        let VirtioSlot { base, bytes, interrupt } = slot;
        let ioapic = Arc::clone(&self.ioapic);
        let line = Arc::new(PinLine { ioapic, pin: interrupt as usize });
        let name = plug.name();
        let Plugged { device, handle } =
            plug.build(Socket { memory: ram.share(), lender: ram.lender(), line })?;
        let (address, bytes) = (u64::from(base), u64::from(bytes));
        let placed = self.bus.place(Space::Mmio, GuestPhysAddr(address), bytes, device);
        placed.map_err(|overlap| overlap.to_string())?;
        Ok(Placed { name, address, bytes, interrupt, handle })
    }

    /// The state after power-on.
    pub(super) fn reset(&self) {
        self.clock.lock().reset();
        self.bus.reset();
        // What was asked for has been done.
        let _ = self.power.take();
        self.deadline_ns.store(Instant::NEVER.0, Ordering::Relaxed);
    }

    /// Performs an access to a port. One that nothing is at reads ones, as on a PC, whose software likes to probe.
    #[inline]
    pub(super) fn port(&self, access: Access, now: Now) -> Reply {
        let port = access.addr.0 as u16;
        let reply = match port.wrapping_sub(pc_map::RTC.base) {
            offset if offset < pc_map::RTC.count.into() => {
                self.clock_port(offset.into(), access, now)
            }
            _ => self.bus.access(access, now.guest()),
        };
        match reply {
            Reply::NoDevice if access.op == Op::Read => Reply::Value(access.width.ones()),
            Reply::Done => match self.power.take() {
                Some(stop) => Reply::Ends(stop),
                None => Reply::Done,
            },
            Reply::NoDevice => Reply::Done,
            Reply::Value(_) | Reply::Ends(_) => reply,
        }
    }

    fn clock_port(&self, offset: u64, access: Access, now: Now) -> Reply {
        let mut clock = self.clock.lock();
        match access.op {
            Op::Read => Reply::Value(clock.read(offset, access.width, now.host)),
            Op::Write(value) => {
                clock.write(offset, access.width, value, now.host);
                Reply::Done
            }
        }
    }

    /// Performs an access to memory that is not RAM.
    pub(super) fn memory(&self, access: Access, now: Now) -> Reply {
        self.bus.access(access, now.guest())
    }

    /// Whether this access may change when a device wants to look at the time.
    #[inline]
    pub(super) fn has_deadline(access: &Access) -> bool {
        const PM_EVENT_END: u16 = pc_map::PM_EVENT + 4;
        match access.addr.0 as u16 {
            0x40..=0x43 | SYSTEM_CONTROL | 0x71 | pc_map::PM_EVENT..PM_EVENT_END => true,
            // The index of the clock, and perhaps the data behind it.
            0x70 => access.width != Width::B1,
            _ => false,
        }
    }

    /// When the first of them wants to look at the time. Relaxed: whoever makes it earlier asks for vCPU 0's attention.
    #[inline]
    pub(super) fn deadline(&self) -> Instant {
        Instant(self.deadline_ns.load(Ordering::Relaxed))
    }

    /// Asks them anew. Says whether it is sooner than it was.
    pub(super) fn find_deadline(&self, behind_ns: u64) -> bool {
        let timer = self.timer.lock().next_deadline();
        let management = self.power_management.lock().next_deadline();
        let first = Now::host_at(behind_ns, timer.min(management));
        let first = first.min(self.clock.lock().next_deadline());
        self.deadline_ns.swap(first.0, Ordering::Relaxed) > first.0
    }

    /// They look at the time.
    pub(super) fn poll(&self, now: Now) {
        self.timer.lock().poll(now.guest());
        self.power_management.lock().poll(now.guest());
        self.clock.lock().poll(now.host);
        self.find_deadline(now.behind_ns);
    }
}

/// Tells software where firmware would: in the CMOS RAM (Phoenix, "System BIOS for IBM PCs", 1989, the CMOS RAM's map), in KiB
/// below 1 MiB and above, and in units of 64 KiB above 16 MiB.
fn preset_memory(clock: &mut CmosRtc, memory_bytes: u64) {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let units = |from: u64, unit: u64| {
        let low = pc_map::low_ram(memory_bytes).end.0;
        (low.saturating_sub(from) / unit).min(u16::MAX.into()) as u16
    };
    for (index, value) in [
        (0x15, 640),
        (0x17, units(MIB, KIB)),
        (0x30, units(MIB, KIB)),
        (0x34, units(16 * MIB, 64 * KIB)),
    ] {
        let [low, high] = value.to_le_bytes();
        clock.preset(index, low);
        clock.preset(index + 1, high);
    }
}
