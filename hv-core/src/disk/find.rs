//! Looking for disks.

// UNSAFETY: the device tree says where registers are.
#![expect(unsafe_code)]

use super::driver::{self, DiskDriver};
use super::{Command, Ended, Notice, Place};
use crate::arch::current as arch;
use crate::dma::Direct;
use crate::machine::Range;
use crate::mmio::Mmio;
use crate::pci::{self, Acknowledge, Function, Places, Ready};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::NonNull;
use core::time::Duration;
use virtio_drivers::transport::SomeTransport;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::pci::PciTransport;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const BLOCK_DEVICE: u32 = 2;

/// All disks, virtio-mmio before PCI, each in the order of addresses; and a note on each that cannot be used. To be called
/// once. Their interrupts come to the CPU that calls this.
#[must_use]
pub fn find_disks() -> (Vec<DiskDriver>, Vec<String>) {
    let mut disks = Vec::new();
    let mut notes = Vec::new();
    let mut add = |place: Place, found: Result<DiskDriver, &'static str>| match found {
        Ok(mut disk) => {
            identify(&mut disk);
            disks.push(disk);
        }
        Err(why) => notes.push(format!("the disk at {place} is left out: {why}")),
    };
    for (registers, line) in arch::virtio::windows() {
        if let Some(window) = block_device(registers) {
            add(Place::Mmio(registers.start), on_mmio(window, line));
        }
    }
    let mut places = Places::new();
    for function in pci::functions() {
        if is_block_device(function) {
            let Function { bus, device, function: number } = function;
            add(Place::Pci(bus, device, number), on_pci(function, &mut places));
        }
    }
    (disks, notes)
}

/// The registers, if a block device is there: virtio 1.2, 4.2.2.
fn block_device(registers: Range) -> Option<Mmio> {
    const DEVICE_ID: u64 = 8;
    arch::map_device(registers).ok()?;
    // SAFETY: the device tree says that these are a virtio device's, and they are mapped as such. It is told of no memory
    // but that of queues and buffers.
    let window = unsafe { Mmio::new(registers.start, registers.len()) };
    (window.read32(0) == MAGIC && window.read32(DEVICE_ID) == BLOCK_DEVICE).then_some(window)
}

fn on_mmio(window: Mmio, line: Option<arch::virtio::Line>) -> Result<DiskDriver, &'static str> {
    let header = core::ptr::with_exposed_provenance_mut(window.base() as usize);
    let header = NonNull::new(header).ok_or("it is at address 0")?;
    // SAFETY: `block_device` has found the registers there; no reference to them exists, and they stay for ever.
    let transport = unsafe { MmioTransport::new(header, window.len() as usize) };
    let mut transport: SomeTransport<'static> =
        transport.map_err(|_| "its version is not supported")?.into();
    let features = driver::negotiate(&mut transport)?;
    let notice = if line.is_some() { Notice::Interrupt } else { Notice::Polling };
    let disk = DiskDriver::new(transport, features, Place::Mmio(window.base()), notice)?;
    if let Some(line) = line {
        arch::virtio::listen(line, Acknowledge::Mmio(window));
    }
    Ok(disk)
}

/// 4.1.2, also of devices that old drivers know.
fn is_block_device(function: Function) -> bool {
    const VENDOR: u16 = 0x1af4;
    matches!(pci::identity(function), (VENDOR, 0x1001 | 0x1042))
}

fn on_pci(function: Function, places: &mut Places) -> Result<DiskDriver, &'static str> {
    let Function { bus, device, function: number } = function;
    let mut ready = pci::set_up(function, places).ok_or("its registers have no address")?;
    let transport = PciTransport::new::<Direct, _>(&mut ready.root, function.into());
    let mut transport: SomeTransport<'static> =
        transport.map_err(|_| "it has not the registers of virtio 1")?.into();
    let features = driver::negotiate(&mut transport)?;
    let notice = connect(&ready);
    DiskDriver::new(transport, features, Place::Pci(bus, device, number), notice)
}

/// Has it interrupt, by a message or else by its pin. After its reset, which forgets that, and before it has a queue.
fn connect(ready: &Ready) -> Notice {
    const COMMON: u8 = 1;
    const INTERRUPT_STATUS: u8 = 3;
    // 4.1.4.3.
    const QUEUE_SELECT: u64 = 0x16;
    const QUEUE_VECTOR: u64 = 0x1a;
    if let Some(message) = arch::pci::message()
        && let Some(common) = ready.virtio_part(COMMON)
        && ready.send(message).is_some()
    {
        common.write16(QUEUE_SELECT, 0);
        common.write16(QUEUE_VECTOR, 0);
        return Notice::Interrupt;
    }
    match (ready.line(), ready.virtio_part(INTERRUPT_STATUS)) {
        (Some(line), Some(status)) => {
            arch::virtio::listen(line, Acknowledge::Pci(status));
            Notice::Interrupt
        }
        (Some(_) | None, _) => Notice::Polling,
    }
}

/// Asks a disk what it calls itself; a disk that does not answer soon has no name.
fn identify(disk: &mut DiskDriver) {
    const PATIENCE: Duration = Duration::from_millis(100);
    let memory = Box::new([0; super::flight::SERIAL_BYTES]);
    if disk.submit(u64::MAX, Command::Identify { memory }).is_err() {
        return;
    }
    disk.start();
    let limit: Instant = arch::now() + PATIENCE;
    while arch::now() < limit {
        match disk.poll() {
            Some(Ended { result: Ok(()), memory: Some(memory), .. }) => {
                let text = memory.split(|&byte| byte == 0).next().unwrap_or_default();
                if text.iter().all(|&byte| byte.is_ascii_graphic() || byte == b' ') {
                    disk.set_serial(String::from_utf8_lossy(text).trim().into());
                }
                return;
            }
            Some(_) => return,
            None => arch::pause(),
        }
    }
}
