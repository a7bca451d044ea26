//! From power-on to the composition root: a list, with one place that reports.

// UNSAFETY: what the boot loader tells arrives as an address.
#![expect(unsafe_code)]

use super::boot_info::{BootInfo, BootInfoError};
use super::discovery::{Acpi, MAX_CPUS, Platform};
use super::interrupts::CONSOLE;
use super::own_table::Stage1;
use super::percpu::{self, PerCpu};
use super::{apic, clock, cpu, insn, io_apic, rtc, uart, virt};
use crate::machine::{Machine, Range};
use crate::memory;
use crate::own_space::{self, Layout};
use crate::paging::MapError;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use spin::Once;

/// What `prepare` leaves for `primary`.
struct Handover(UnsafeCell<Option<(Platform, u64)>>);
// SAFETY: only the boot CPU touches it, in `prepare` and then in `primary`.
unsafe impl Sync for Handover {}
static HANDOVER: Handover = Handover(UnsafeCell::new(None));

/// The machine, for whoever comes later.
static PLATFORM: Once<Platform> = Once::new();

pub(super) fn platform() -> Option<&'static Platform> {
    PLATFORM.get()
}

/// Why the boot CPU runs no guests.
static NO_GUESTS: Once<virt::Unsupported> = Once::new();

pub(super) fn why_no_guests() -> Option<String> {
    NO_GUESTS.get().map(|why| format!("{why}"))
}

/// What stands in the way of starting.
#[derive(Clone, Copy, Debug)]
enum BootError {
    BootInfo(BootInfoError),
    Tables(MapError),
    NoRoom,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BootInfo(error) => error.fmt(f),
            Self::Tables(error) => write!(f, "the hypervisor's own page tables: {error}"),
            Self::NoRoom => f.write_str("there is no free RAM"),
        }
    }
}

/// The first Rust that runs, with the first 4 GiB mapped. Returns the root of the tables to switch to, or 0 to halt.
pub(super) extern "C" fn prepare(info: u64, magic: u64) -> u64 {
    // From here on, complaints are heard.
    let _ = uart::HostUart::find();
    let prepared = BootInfo::read(magic as u32, info)
        .map_err(BootError::BootInfo)
        .map(Platform::discover)
        .and_then(|platform| Ok((platform, map(&platform).map_err(BootError::Tables)?)));
    match prepared {
        Ok((platform, root)) => {
            // SAFETY: the boot CPU is alone, and `primary` has not run.
            unsafe { *HANDOVER.0.get() = Some((platform, root)) };
            root
        }
        Err(error) => {
            report(format_args!("{error}"));
            0
        }
    }
}

fn map(platform: &Platform) -> Result<u64, MapError> {
    let layout = Layout {
        ram: &platform.boot.ram,
        holes: &[],
        devices: &platform.devices(apic::page()),
        read_only: &[],
    };
    own_space::build::<Stage1>(insn::image_layout(), &layout)
}

struct Polled;

impl Write for Polled {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(uart::emergency_write);
        Ok(())
    }
}

fn report(what: fmt::Arguments<'_>) {
    // Polled never fails.
    let _ = write!(Polled, "\r\nroost: cannot start: {what}\r\n");
}

unsafe extern "Rust" {
    /// The composition root, in the binary.
    #[cfg(target_os = "none")]
    safe fn roost_main(machine: Machine) -> !;
}

/// The boot CPU, with our tables.
pub(super) extern "C" fn primary() -> ! {
    // SAFETY: `prepare` has filled it, and nobody else looks.
    let handover = unsafe { (*HANDOVER.0.get()).take() };
    if let Some((platform, root)) = handover {
        match start(platform, root) {
            #[cfg(target_os = "none")]
            Ok(machine) => roost_main(machine),
            #[cfg(not(target_os = "none"))]
            Ok(_) => {}
            Err(error) => report(format_args!("{error}")),
        }
    }
    loop {
        insn::halt();
    }
}

fn start(platform: Platform, root: u64) -> Result<Machine, BootError> {
    let platform = PLATFORM.call_once(|| platform);
    let image = insn::image_layout();
    let taken =
        [Range { start: image.start, end: image.end }].into_iter().chain(platform.boot.bundle);
    // SAFETY: `prepare` mapped all RAM, and `taken` is everything in it that is somebody's: what the boot loader told us has
    // been copied.
    unsafe { memory::init(platform.free_ram(), taken) }.map_err(|_| BootError::NoRoom)?;
    own_space::adopt(root);
    let boot_cpu = PerCpu::new(0, apic::id());
    // SAFETY: the boot stack has this size and alignment, and boot.S leaves its top alone.
    unsafe { boot_cpu.own_stack(percpu::stack_top()) };
    apic::silence_8259();
    io_apic::silence(&platform.io_apics);
    init_this_cpu(boot_cpu);
    clock::init(platform);
    let mut notes = Vec::new();
    if let Some(uart) = uart::HostUart::find() {
        let line = platform.serial_lines.get(uart.index()).copied();
        crate::console::init(Box::new(uart));
        if let Some(line) = line {
            io_apic::route(&platform.io_apics, line, boot_cpu.apic_id(), CONSOLE);
        }
    }
    if let Err(why) = virt::enable_on_this_cpu() {
        notes.push(format!("no guest can run here: {why}"));
        NO_GUESTS.call_once(|| why);
    }
    if platform.has_acpi == Acpi::Missing {
        notes.push(String::from("the firmware has no ACPI tables: one CPU is used, and the machine cannot be switched off"));
    }
    if platform.surplus_cpus > 0 {
        notes.push(format!("{} CPUs beyond {MAX_CPUS} stay off", platform.surplus_cpus));
    }
    if platform.boot.surplus_areas > 0 {
        notes.push(format!("{} areas of RAM are left out", platform.boot.surplus_areas));
    }
    Ok(Machine {
        model: Box::leak(percpu::name().into_boxed_str()),
        command_line: platform.boot.command_line,
        bundle: bundle(platform, &mut notes),
        notes,
        cpus_present: platform.cpus.iter().flatten().count().max(1),
        wall_clock_seconds: rtc::seconds(),
    })
}

/// Sets up the CPU that runs this.
pub(super) fn init_this_cpu(this: &'static PerCpu) {
    this.install();
    cpu::configure();
    apic::init_this_cpu();
    clock::init_this_cpu();
}

/// The module, if it is where RAM is.
fn bundle(platform: &Platform, notes: &mut Vec<String>) -> Option<&'static [u8]> {
    let module = platform.boot.bundle?;
    let is_ram = |ram: &Range| ram.start <= module.start && module.end <= ram.end;
    if module.is_empty() || !platform.boot.ram.iter().flatten().any(is_ram) {
        notes.push(format!("the bundle at {:#x} is not in RAM, and was ignored", module.start));
        return None;
    }
    let start = core::ptr::with_exposed_provenance(module.start as usize);
    // SAFETY: it is RAM, mapped, and reserved: nobody writes to it.
    Some(unsafe { core::slice::from_raw_parts(start, module.len() as usize) })
}
