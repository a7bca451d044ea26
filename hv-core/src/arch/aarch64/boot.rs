//! From power-on to the composition root: a list, with one place that reports.

// UNSAFETY: the device tree arrives as an address, and other CPUs get theirs likewise.
#![expect(unsafe_code)]

use super::discovery::{self, DiscoveryError, MAX_CPUS, Platform};
use super::percpu::PerCpu;
use super::uart::HostUart;
use super::{clock, cpu, gic, insn, lines, mmu, psci};
use crate::console::SerialPort;
use crate::machine::{Machine, Range};
use crate::memory;
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use spin::Once;

/// What `prepare` leaves for `primary`. No atomics: with the MMU off, they may not work.
struct Handover(UnsafeCell<Option<(Platform, u64)>>);
// SAFETY: only the boot CPU touches it, in `prepare` and then in `primary`.
unsafe impl Sync for Handover {}
static HANDOVER: Handover = Handover(UnsafeCell::new(None));

/// The machine, for whoever comes later.
static PLATFORM: Once<Platform> = Once::new();

pub(super) fn platform() -> Option<&'static Platform> {
    PLATFORM.get()
}

const EL2: u64 = 2;

/// The first Rust that runs, with the MMU off. Returns the root of the tables to switch on, or 0 to halt.
pub(super) extern "C" fn prepare(device_tree: u64, current_el: u64) -> u64 {
    let tree = blob_at(device_tree);
    let Some(tree) = tree else {
        report(fallback_uart().as_mut(), format_args!("{}", DiscoveryError::NoDeviceTree));
        return 0;
    };
    let (platform, result) = discovery::discover(tree, device_tree);
    let mut uart = platform.uart.as_ref().and_then(HostUart::new).or_else(fallback_uart);
    if current_el >> 2 != EL2 {
        report(
            uart.as_mut(),
            format_args!(
                "started at EL{}, but a hypervisor needs EL2; under QEMU give -M virt,virtualization=on",
                current_el >> 2
            ),
        );
        return 0;
    }
    if let Err(error) = result {
        report(uart.as_mut(), format_args!("{error}"));
        return 0;
    }
    match mmu::build(&platform) {
        Ok(root) => {
            // SAFETY: the boot CPU is alone, and `primary` has not run.
            unsafe { *HANDOVER.0.get() = Some((platform, root)) };
            root
        }
        Err(error) => {
            report(uart.as_mut(), format_args!("the hypervisor's own page tables: {error}"));
            0
        }
    }
}

fn blob_at(addr: u64) -> Option<&'static [u8]> {
    if addr == 0 || !addr.is_multiple_of(8) {
        return None;
    }
    let start = core::ptr::with_exposed_provenance::<u8>(addr as usize);
    // SAFETY: the boot protocol says that x0 is the address of a device tree, in RAM, whose header is at least
    // this long. There is nothing to check it against.
    let header = unsafe { start.cast::<[u8; 8]>().read_volatile() };
    let size = discovery::checked_size(header)?;
    // SAFETY: as above; the header gives the size, at most 2 MiB, and nobody writes to it.
    Some(unsafe { core::slice::from_raw_parts(start, size) })
}

/// A UART for complaints where there is no device tree, if the build was told of one (`ROOST_EARLYCON`, hexadecimal).
fn fallback_uart() -> Option<HostUart> {
    let address = option_env!("ROOST_EARLYCON")?.trim_start_matches("0x");
    let start = u64::from_str_radix(address, 16).ok()?;
    let registers = Range { start, end: start + 0x1000 };
    HostUart::new(&discovery::UartNode { registers, interrupt: None, clock_hz: None })
}

struct Polled<'a>(&'a mut HostUart);

impl Write for Polled<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const PATIENCE: u32 = 1_000_000;
        for byte in text.bytes() {
            for _ in 0..PATIENCE {
                if self.0.try_send(byte) {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn report(uart: Option<&mut HostUart>, what: fmt::Arguments<'_>) {
    if let Some(uart) = uart {
        // Polled never fails.
        let _ = write!(Polled(uart), "\r\nroost: cannot start: {what}\r\n");
    }
}

unsafe extern "Rust" {
    /// The composition root, in the binary.
    #[cfg(target_os = "none")]
    safe fn roost_main(machine: Machine) -> !;
}

/// The boot CPU, with the MMU on.
pub(super) extern "C" fn primary(_device_tree: u64) -> ! {
    // SAFETY: `prepare` has filled it, and nobody else looks.
    let handover = unsafe { (*HANDOVER.0.get()).take() };
    let Some((platform, root)) = handover else { halt() };
    match start(platform, root) {
        #[cfg(target_os = "none")]
        Ok(machine) => roost_main(machine),
        #[cfg(not(target_os = "none"))]
        Ok(_) => halt(),
        Err(error) => {
            let mut uart = platform_uart();
            report(uart.as_mut(), format_args!("{error}"));
            halt()
        }
    }
}

fn halt() -> ! {
    loop {
        insn::wfi();
    }
}

pub(super) fn platform_uart() -> Option<HostUart> {
    platform().and_then(|platform| platform.uart.as_ref()).and_then(HostUart::new)
}

/// What stands in the way of starting.
enum BootError {
    NoRoom,
    Gic(gic::GicError),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => f.write_str("there is no free RAM"),
            Self::Gic(error) => error.fmt(f),
        }
    }
}

fn start(platform: Platform, root: u64) -> Result<Machine, BootError> {
    // First of all, so that every failure below can be told.
    let platform = PLATFORM.call_once(|| platform);
    let image = insn::image_layout();
    let taken = platform
        .reserved
        .iter()
        .flatten()
        .copied()
        .chain([Range { start: image.start, end: image.end }, platform.device_tree])
        .chain(platform.initrd);
    let ram = platform.ram.iter().flatten().copied();
    // SAFETY: `prepare` mapped all RAM, and `taken` is everything in it that is somebody's.
    unsafe { memory::init(ram, taken) }.map_err(|_| BootError::NoRoom)?;
    mmu::adopt(root);
    psci::init(platform.conduit);
    clock::init();
    lines::init(platform);
    let boot_cpu = insn::mpidr_el1::read() & AFFINITY;
    PerCpu::new(0, boot_cpu).install();
    if let Some(uart) = platform_uart() {
        uart.line_up(platform.uart.and_then(|uart| uart.clock_hz));
    }
    if let Some(uart) = platform_uart() {
        crate::console::init(Box::new(uart));
    }
    // Before any CPU interface: it resets what interfaces see.
    if let Some(node) = &platform.gic {
        gic::init(node);
    }
    init_this_cpu(platform).map_err(BootError::Gic)?;
    if let (Some(gic), Some(interrupt)) =
        (gic::get(), platform.uart.and_then(|uart| uart.interrupt))
    {
        gic.enable_shared(interrupt);
    }
    let mut notes = Vec::new();
    if platform.surplus_cpus > 0 {
        notes.push(format!("{} CPUs beyond {MAX_CPUS} stay off", platform.surplus_cpus));
    }
    Ok(Machine {
        model: platform.model,
        command_line: platform.bootargs,
        bundle: bundle(platform, &mut notes),
        notes,
        cpus_present: platform.cpus.iter().flatten().count().max(1),
        wall_clock_seconds: platform.rtc.map(|rtc| u64::from(rtc.device().read32(0))),
    })
}

/// The affinity fields of `MPIDR_EL1`.
const AFFINITY: u64 = 0xff_00ff_ffff;

fn init_this_cpu(platform: &Platform) -> Result<(), gic::GicError> {
    cpu::configure();
    let private = [platform.maintenance, platform.virtual_timer, platform.hypervisor_timer];
    let mut interrupts = private.iter().flatten().copied();
    let list = [interrupts.next(), interrupts.next(), interrupts.next()];
    let list: Vec<_> = list.into_iter().flatten().collect();
    let interface = gic::init_cpu(&list)?;
    if let Some(this) = super::percpu::this() {
        this.set_interface(interface);
    }
    Ok(())
}

/// The initrd, if it is where RAM is.
fn bundle(platform: &Platform, notes: &mut Vec<String>) -> Option<&'static [u8]> {
    let initrd = platform.initrd?;
    let is_ram = |ram: &&Range| ram.start <= initrd.start && initrd.end <= ram.end;
    let overlaps = platform.no_map.iter().flatten().any(|hole| hole.overlaps(initrd));
    if !platform.ram.iter().flatten().any(|ram| is_ram(&ram)) || overlaps {
        notes.push(format!("the initrd at {:#x} is not in RAM, and was ignored", initrd.start));
        return None;
    }
    let start = core::ptr::with_exposed_provenance(initrd.start as usize);
    // SAFETY: it is RAM, mapped, and reserved: nobody writes to it.
    Some(unsafe { core::slice::from_raw_parts(start, initrd.len() as usize) })
}

/// What a CPU that starts needs before it has an address space.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SecondaryBoot {
    pub(super) root: u64,
    pub(super) stack_top: u64,
    cpu: Option<&'static PerCpu>,
    arrival: AtomicU8,
    failed: Mutex<Option<gic::GicError>>,
}

/// A CPU is still awaited,
const AWAITED: u8 = 0;
/// has come in time and runs,
const ONLINE_IN_TIME: u8 = 1;
/// or is not waited for any more: its number may be another one's by now.
const GIVEN_UP: u8 = 2;

impl SecondaryBoot {
    /// Settles once and for all what becomes of the CPU; `false` if the other side was faster.
    fn settle(&self, outcome: u8) -> bool {
        // AcqRel: what the CPU wrote before it came online is seen by who finds it so.
        self.arrival.compare_exchange(AWAITED, outcome, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What the other CPUs run.
static SECONDARY_MAIN: Once<fn(usize) -> !> = Once::new();
/// Every CPU that runs, by number.
static ONLINE: Mutex<Vec<&'static PerCpu>> = Mutex::new(Vec::new());

/// The running CPU of number `index`.
pub(super) fn online(index: usize) -> Option<&'static PerCpu> {
    ONLINE.lock().iter().copied().find(|cpu| cpu.index() == index)
}

/// Starts all other CPUs, each of which then runs `main` with its number. Returns how many CPUs run now, and a
/// note for each that does not.
pub(crate) fn start_cpus(main: fn(usize) -> !) -> (usize, Vec<String>) {
    SECONDARY_MAIN.call_once(|| main);
    let mut notes = Vec::new();
    let Some(platform) = platform() else { return (1, notes) };
    let boot_cpu = insn::mpidr_el1::read() & AFFINITY;
    if let Some(this) = super::percpu::this() {
        ONLINE.lock().push(this);
    }
    let mut running = 1;
    for mpidr in platform.cpus.iter().flatten().copied().filter(|&mpidr| mpidr != boot_cpu) {
        match start_cpu(running, mpidr) {
            Ok(()) => running += 1,
            Err(why) => notes.push(format!("CPU with MPIDR {mpidr:#x} is left out: {why}")),
        }
    }
    (running, notes)
}

fn start_cpu(index: usize, mpidr: u64) -> Result<(), String> {
    const STACK_PAGES: usize = 8;
    const PATIENCE: Duration = Duration::from_secs(2);
    let stack_top = mmu::new_stack(STACK_PAGES).ok_or("no memory for its stack")?;
    let cpu = PerCpu::new(index, mpidr);
    let boot: &'static SecondaryBoot = Box::leak(Box::new(SecondaryBoot {
        root: mmu::root(),
        stack_top,
        cpu: Some(cpu),
        arrival: AtomicU8::new(AWAITED),
        failed: Mutex::new(None),
    }));
    let address = core::ptr::from_ref(boot).expose_provenance() as u64;
    // It reads this with its caches off.
    cpu::clean(address, size_of::<SecondaryBoot>() as u64);
    psci::cpu_on(mpidr, insn::secondary_entry(), address).map_err(|why| format!("PSCI: {why}"))?;
    let deadline = clock::now() + PATIENCE;
    // Acquire: what it wrote before it came online is seen.
    while boot.arrival.load(Ordering::Acquire) == AWAITED {
        if let Some(error) = *boot.failed.lock() {
            return Err(format!("{error}"));
        }
        if clock::now() > deadline && boot.settle(GIVEN_UP) {
            return Err(String::from("it did not answer within 2 s"));
        }
        insn::pause();
    }
    ONLINE.lock().push(cpu);
    Ok(())
}

/// Another CPU, with the MMU on.
pub(super) extern "C" fn secondary(boot: &'static SecondaryBoot) -> ! {
    if let (Some(cpu), Some(platform)) = (boot.cpu, platform()) {
        cpu.install();
        match init_this_cpu(platform) {
            Ok(()) => {
                if boot.settle(ONLINE_IN_TIME)
                    && let Some(main) = SECONDARY_MAIN.get()
                {
                    main(cpu.index());
                }
            }
            Err(error) => *boot.failed.lock() = Some(error),
        }
    }
    halt()
}
