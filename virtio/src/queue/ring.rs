//! The three areas of a queue in the guest's RAM, and little-endian accesses to them.

use super::chain::Segment;
use super::{MAX_SIZE, QueueConfig, QueueKind, descriptor};
use crate::fault::Fault;
use hv_core::guest::{GuestMemory, GuestPhysAddr};

/// Where the areas of a queue are: aligned, in RAM and apart when they were checked.
pub(super) struct Areas {
    pub(super) size: u16,
    pub(super) indirect: bool,
    pub(super) event_index: bool,
    descriptors: Segment,
    driver: Segment,
    device: Segment,
}

/// Alignment and bytes of one area (2.7, 2.8.10.1).
struct Shape {
    align: u64,
    bytes: u32,
}

impl Areas {
    pub(super) fn new(config: &QueueConfig, memory: &dyn GuestMemory) -> Result<Self, Fault> {
        let size = config.size;
        let is_possible = match config.kind {
            QueueKind::Split => size.is_power_of_two(),
            QueueKind::Packed => size != 0,
        };
        if !is_possible || size > MAX_SIZE {
            return Err(Fault::QueueSize);
        }
        let count = u32::from(size);
        let descriptors = Shape { align: 16, bytes: 16 * count };
        // Also without EVENT_IDX: its 2 bytes belong to the rings (2.7).
        let (driver, device) = match config.kind {
            QueueKind::Split => {
                (Shape { align: 2, bytes: 6 + 2 * count }, Shape { align: 4, bytes: 6 + 8 * count })
            }
            QueueKind::Packed => (Shape { align: 4, bytes: 4 }, Shape { align: 4, bytes: 4 }),
        };
        let descriptors = area(config.descriptors, descriptors, memory)?;
        let driver = area(config.driver, driver, memory)?;
        let device = area(config.device, device, memory)?;
        if descriptors.overlaps(driver) || descriptors.overlaps(device) || driver.overlaps(device) {
            return Err(Fault::QueueOverlap);
        }
        let QueueConfig { indirect, event_index, .. } = *config;
        Ok(Self { size, indirect, event_index, descriptors, driver, device })
    }

    /// Whether `segment` shares a byte with any area.
    pub(super) fn overlaps(&self, segment: Segment) -> bool {
        [self.descriptors, self.driver, self.device].iter().any(|area| area.overlaps(segment))
    }

    /// Where descriptor `index` is. The index is in the table.
    pub(super) fn descriptor(&self, index: u16) -> GuestPhysAddr {
        offset(self.descriptors, descriptor::BYTES * u64::from(index))
    }

    /// The address `bytes` into the driver area.
    pub(super) fn driver(&self, bytes: u64) -> GuestPhysAddr {
        offset(self.driver, bytes)
    }

    /// The address `bytes` into the device area.
    pub(super) fn device(&self, bytes: u64) -> GuestPhysAddr {
        offset(self.device, bytes)
    }
}

/// It was checked that no area wraps around.
fn offset(area: Segment, bytes: u64) -> GuestPhysAddr {
    GuestPhysAddr(area.addr.0.wrapping_add(bytes))
}

fn area(addr: GuestPhysAddr, shape: Shape, memory: &dyn GuestMemory) -> Result<Segment, Fault> {
    if !addr.0.is_multiple_of(shape.align) {
        return Err(Fault::QueueAlignment);
    }
    if !memory.contains(addr, u64::from(shape.bytes)) {
        return Err(Fault::QueueOutsideRam);
    }
    Ok(Segment { addr, len: shape.bytes })
}

/// Reads `N` bytes of a queue.
pub(super) fn read<const N: usize>(
    memory: &dyn GuestMemory,
    addr: GuestPhysAddr,
) -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    memory.read(addr, &mut bytes).map_err(|_| Fault::QueueOutsideRam)?;
    Ok(bytes)
}

/// Reads two bytes of a queue, at once.
pub(super) fn read_u16(memory: &dyn GuestMemory, addr: GuestPhysAddr) -> Result<u16, Fault> {
    read(memory, addr).map(u16::from_le_bytes)
}

/// Writes some bytes of a queue.
pub(super) fn write(
    memory: &dyn GuestMemory,
    addr: GuestPhysAddr,
    bytes: &[u8],
) -> Result<(), Fault> {
    memory.write(addr, bytes).map_err(|_| Fault::QueueOutsideRam)
}

/// Writes two bytes of a queue, at once.
pub(super) fn write_u16(
    memory: &dyn GuestMemory,
    addr: GuestPhysAddr,
    value: u16,
) -> Result<(), Fault> {
    write(memory, addr, &value.to_le_bytes())
}
