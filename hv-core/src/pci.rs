//! The host's PCI: its functions, their registers, and how they interrupt. PCI local bus specification 3.0, chapter 6.

// UNSAFETY: a BAR says where registers are; the driver crate's interface for configuration space is one.
#![expect(unsafe_code)]

use crate::arch::current as arch;
use crate::arch::current::virtio::Line;
use crate::machine::Range;
use crate::mmio::Mmio;
use alloc::vec::Vec;
use virtio_drivers::transport::pci::bus::{
    BarInfo, Command, ConfigurationAccess, DeviceFunction, PciRoot,
};

/// Which function of which device on which bus.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Function {
    pub(crate) bus: u8,
    /// 0 to 31.
    pub(crate) device: u8,
    /// 0 to 7.
    pub(crate) function: u8,
}

/// What a device writes where to interrupt a CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) address: u64,
    pub(crate) data: u32,
}

/// How a virtio device is told that its interrupt was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Acknowledge {
    /// By virtio-mmio's registers, which these are.
    Mmio(Mmio),
    /// By reading the byte of the interrupt status of virtio over PCI, which this is.
    Pci(Mmio),
}

impl Acknowledge {
    /// Tells it. Virtio 1.2, 4.1.4.5 and 4.2.2.
    pub(crate) fn perform(self) {
        const STATUS: u64 = 0x60;
        const ACKNOWLEDGE: u64 = 0x64;
        match self {
            Self::Mmio(registers) => {
                let status = registers.read32(STATUS);
                if status != 0 {
                    registers.write32(ACKNOWLEDGE, status);
                }
            }
            Self::Pci(status) => {
                let _ = status.read8(0);
            }
        }
    }
}

/// Configuration space, as the driver crate wants it.
#[derive(Debug)]
pub(crate) struct Access;

impl From<DeviceFunction> for Function {
    fn from(DeviceFunction { bus, device, function }: DeviceFunction) -> Self {
        Self { bus, device, function }
    }
}

impl From<Function> for DeviceFunction {
    fn from(Function { bus, device, function }: Function) -> Self {
        Self { bus, device, function }
    }
}

impl ConfigurationAccess for Access {
    fn read_word(&self, function: DeviceFunction, register: u8) -> u32 {
        arch::pci::read(function.into(), register)
    }

    fn write_word(&mut self, function: DeviceFunction, register: u8, data: u32) {
        arch::pci::write(function.into(), register, data);
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

const NOBODY: u32 = u32::MAX;

mod register {
    pub(super) const IDENTITY: u8 = 0x00;
    pub(super) const HEADER: u8 = 0x0c;
    pub(super) const BUSES: u8 = 0x18;
    pub(super) const INTERRUPT: u8 = 0x3c;
}

/// All functions that there are: on the first bus, and on those that firmware has put behind bridges.
pub(crate) fn functions() -> Vec<Function> {
    const BRIDGE: u32 = 1;
    const SEVERAL_FUNCTIONS: u32 = 0x80;
    let mut buses = alloc::vec![0_u8];
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(&bus) = buses.get(next) {
        next += 1;
        if !arch::pci::reach(bus) {
            continue;
        }
        for device in 0..32 {
            let mut last = 0;
            let mut function = 0;
            while function <= last {
                let this = Function { bus, device, function };
                function += 1;
                if arch::pci::read(this, register::IDENTITY) == NOBODY {
                    continue;
                }
                let header = arch::pci::read(this, register::HEADER) >> 16;
                if this.function == 0 && header & SEVERAL_FUNCTIONS != 0 {
                    last = 7;
                }
                if header & 0x7f == BRIDGE {
                    let below = (arch::pci::read(this, register::BUSES) >> 8) as u8;
                    if below > bus && !buses.contains(&below) {
                        buses.push(below);
                    }
                }
                found.push(this);
            }
        }
    }
    found
}

/// Vendor and device.
pub(crate) fn identity(function: Function) -> (u16, u16) {
    let word = arch::pci::read(function, register::IDENTITY);
    (word as u16, (word >> 16) as u16)
}

/// Gives BARs places that firmware has left without, one after the other.
#[derive(Debug)]
pub(crate) struct Places {
    free: Option<Range>,
}

impl Places {
    /// Whatever the machine has for that.
    pub(crate) fn new() -> Self {
        Self { free: arch::pci::free_window() }
    }

    /// `bytes` bytes at a multiple of them.
    fn take(&mut self, bytes: u64) -> Option<u64> {
        let free = self.free.as_mut()?;
        let start = free.start.checked_next_multiple_of(bytes.max(1))?;
        let end = start.checked_add(bytes)?;
        if end > free.end {
            return None;
        }
        free.start = end;
        Some(start)
    }
}

/// A function whose registers are in place and mapped, and which may master the bus.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) function: Function,
    pub(crate) root: PciRoot<Access>,
    bars: [Option<Range>; 6],
}

/// Sets a function up. `None` if its registers have no place.
pub(crate) fn set_up(function: Function, places: &mut Places) -> Option<Ready> {
    let mut root = PciRoot::new(Access);
    let mut bars = [None; 6];
    let found = root.bars(function.into()).ok()?;
    for (index, (bar, slot)) in found.iter().zip(&mut bars).enumerate() {
        let Some(BarInfo::Memory { address, size, .. }) = bar else { continue };
        let mut address = *address;
        if address == 0 {
            address = places.take(*size)?;
            if bar.as_ref().is_some_and(BarInfo::takes_two_entries) {
                root.set_bar_64(function.into(), index as u8, address);
            } else {
                root.set_bar_32(function.into(), index as u8, u32::try_from(address).ok()?);
            }
        }
        let registers = Range { start: address, end: address.checked_add(*size)? };
        arch::map_device(registers).ok()?;
        *slot = Some(registers);
    }
    let (_, command) = root.get_status_command(function.into());
    root.set_command(
        function.into(),
        (command | Command::MEMORY_SPACE | Command::BUS_MASTER) - Command::INTERRUPT_DISABLE,
    );
    Some(Ready { function, root, bars })
}

const VENDOR_CAPABILITY: u8 = 0x09;
const MSI_X_CAPABILITY: u8 = 0x11;

impl Ready {
    /// Registers at `offset` in a BAR.
    fn registers(&self, bar: u32, offset: u32) -> Option<Mmio> {
        let range = (*self.bars.get(bar as usize)?)?;
        // SAFETY: the function says that these are its registers, and they are mapped as such. It is told to access no
        // memory but that of queues and buffers.
        let bar = unsafe { Mmio::new(range.start, range.len()) };
        Some(bar.after(u64::from(offset))).filter(|registers| !registers.is_empty())
    }

    /// The part of virtio's registers of this kind: virtio 1.2, 4.1.4.
    pub(crate) fn virtio_part(&self, kind: u8) -> Option<Mmio> {
        let function = self.function;
        let capability = self.root.capabilities(function.into()).find(|capability| {
            capability.id == VENDOR_CAPABILITY && (capability.private_header >> 8) as u8 == kind
        })?;
        let word = |at: u8| Some(arch::pci::read(function, capability.offset.checked_add(at)?));
        self.registers(word(4)? & 0xff, word(8)?)
    }

    /// Has vector 0 of the function send this. `None` if it has no vectors. 6.8.2.
    pub(crate) fn send(&self, message: Message) -> Option<()> {
        const ENABLE: u32 = 1 << 31;
        const MASK_ALL: u32 = 1 << 30;
        let function = self.function;
        let mut capabilities = self.root.capabilities(function.into());
        let at = capabilities.find(|capability| capability.id == MSI_X_CAPABILITY)?.offset;
        let table = arch::pci::read(function, at.checked_add(4)?);
        let entry = self.registers(table & 7, table & !7)?;
        let control = arch::pci::read(function, at) & !MASK_ALL | ENABLE;
        entry.write32(0, message.address as u32);
        entry.write32(4, (message.address >> 32) as u32);
        entry.write32(8, message.data);
        arch::pci::write(function, at, control);
        entry.write32(12, 0);
        Some(())
    }

    /// The interrupt of its pin.
    pub(crate) fn line(&self) -> Option<Line> {
        let pin = (arch::pci::read(self.function, register::INTERRUPT) >> 8) as u8;
        (1..=4).contains(&pin).then(|| arch::pci::line(self.function, pin)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_gets_a_place_at_a_multiple_of_its_size() {
        let mut places = Places { free: Some(Range { start: 0x1000_1000, end: 0x1001_0000 }) };
        assert_eq!(places.take(0x1000), Some(0x1000_1000));
        assert_eq!(places.take(0x4000), Some(0x1000_4000));
        assert_eq!(places.take(0x1000), Some(0x1000_8000));
        assert_eq!(places.take(0x8000), None, "it would end behind the window");
        assert_eq!(places.take(0x1000), Some(0x1000_9000));
    }
}
