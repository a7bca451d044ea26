//! Which device answers at which address of a VM.

use crate::run::Stop;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use hv_core::exit::{Access, Op};
use hv_core::guest::{Device, GuestPhysAddr, Space};
use hv_core::sync::Mutex;
use hv_core::time::Instant;

/// A device that its owner also speaks to.
pub type SharedDevice = Arc<Mutex<dyn Device>>;

/// Two windows would share an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overlap;

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two devices would share an address")
    }
}

/// What became of an access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It read this.
    Value(u64),
    /// It wrote.
    Done,
    /// No device is there.
    NoDevice,
    /// It wrote, and that ends the run of the vCPU, or of its whole machine.
    Ends(Stop),
}

struct Window {
    base: u64,
    len: u64,
    device: SharedDevice,
}

/// A VM's devices, by address.
#[derive(Default)]
pub struct Bus {
    /// Sorted by base, as are the ports.
    memory: Vec<Window>,
    ports: Vec<Window>,
}

impl Bus {
    /// Places `device` at `base`, `len` bytes long.
    ///
    /// # Errors
    ///
    /// [`Overlap`] if any byte of the window is taken, or if it wraps around.
    pub fn place(
        &mut self,
        space: Space,
        base: GuestPhysAddr,
        len: u64,
        device: SharedDevice,
    ) -> Result<(), Overlap> {
        let end = base.0.checked_add(len).ok_or(Overlap)?;
        let windows = match space {
            Space::Mmio => &mut self.memory,
            Space::Port => &mut self.ports,
        };
        let clashes = |window: &Window| window.base < end && base.0 < window.base + window.len;
        if windows.iter().any(clashes) {
            return Err(Overlap);
        }
        let at = windows.partition_point(|window| window.base < base.0);
        windows.insert(at, Window { base: base.0, len, device });
        Ok(())
    }

    /// Performs `access`.
    #[inline]
    pub fn access(&self, access: Access, now: Instant) -> Reply {
        let Access { space, addr, width, op } = access;
        let windows = match space {
            Space::Mmio => &self.memory,
            Space::Port => &self.ports,
        };
        let at = windows.partition_point(|window| window.base <= addr.0);
        let Some(window) = at.checked_sub(1).and_then(|at| windows.get(at)) else {
            return Reply::NoDevice;
        };
        let offset = addr.0 - window.base;
        if offset >= window.len {
            return Reply::NoDevice;
        }
        let mut device = window.device.lock();
        match op {
            Op::Read => Reply::Value(device.read(offset, width, now)),
            Op::Write(value) => {
                device.write(offset, width, value, now);
                Reply::Done
            }
        }
    }

    /// Returns all devices to the state after power-on.
    pub fn reset(&self) {
        for window in self.memory.iter().chain(&self.ports) {
            window.device.lock().reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_core::guest::Width;

    struct Cell(u64);
    impl Device for Cell {
        fn read(&mut self, offset: u64, _: Width, _: Instant) -> u64 {
            self.0 + offset
        }
        fn write(&mut self, _: u64, _: Width, value: u64, _: Instant) {
            self.0 = value;
        }
        fn reset(&mut self) {
            self.0 = 0;
        }
    }

    fn cell(value: u64) -> SharedDevice {
        Arc::new(Mutex::new(Cell(value)))
    }

    fn access(space: Space, addr: u64, op: Op) -> Access {
        Access { space, addr: GuestPhysAddr(addr), width: Width::B4, op }
    }

    #[test]
    fn an_access_reaches_the_device_at_its_address() {
        let mut bus = Bus::default();
        bus.place(Space::Mmio, GuestPhysAddr(0x2000), 0x1000, cell(200)).unwrap();
        bus.place(Space::Mmio, GuestPhysAddr(0x1000), 0x1000, cell(100)).unwrap();
        bus.place(Space::Port, GuestPhysAddr(0x1000), 0x10, cell(300)).unwrap();
        let read = |space, addr| bus.access(access(space, addr, Op::Read), Instant(0));
        assert_eq!(read(Space::Mmio, 0x1fff), Reply::Value(100 + 0xfff));
        assert_eq!(read(Space::Mmio, 0x2000), Reply::Value(200));
        assert_eq!(read(Space::Port, 0x1001), Reply::Value(301));
        assert_eq!(read(Space::Mmio, 0xfff), Reply::NoDevice);
        assert_eq!(read(Space::Mmio, 0x3000), Reply::NoDevice);
        assert_eq!(read(Space::Port, 0x2000), Reply::NoDevice);
        assert_eq!(read(Space::Port, 0x20), Reply::NoDevice, "below all windows of its space");
        assert_eq!(bus.access(access(Space::Mmio, 0x1000, Op::Write(7)), Instant(0)), Reply::Done);
        assert_eq!(read(Space::Mmio, 0x1000), Reply::Value(7));
        bus.reset();
        assert_eq!(read(Space::Mmio, 0x1000), Reply::Value(0));
    }

    #[test]
    fn windows_never_overlap() {
        let mut bus = Bus::default();
        bus.place(Space::Mmio, GuestPhysAddr(0x1000), 0x1000, cell(0)).unwrap();
        for (base, len) in [(0x1fff, 1), (0, 0x1001), (0x1800, 0x10), (0, 0x10_0000), (u64::MAX, 2)]
        {
            assert_eq!(bus.place(Space::Mmio, GuestPhysAddr(base), len, cell(0)), Err(Overlap));
        }
        bus.place(Space::Mmio, GuestPhysAddr(0x2000), 0x1000, cell(0)).unwrap();
    }
}
