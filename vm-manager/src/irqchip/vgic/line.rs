//! The wire from a device to a shared interrupt.

use super::Vgic;
use super::spi::FIRST_SPI;
use alloc::sync::Arc;
use hv_core::guest::{IrqLine, Level};

/// One wire to a shared interrupt of one VM's GIC.
pub struct SpiLine {
    vgic: Arc<Vgic>,
    intid: u32,
}

impl IrqLine for SpiLine {
    fn set(&self, level: Level) {
        self.vgic.set_level(self.intid, level);
    }
}

impl Vgic {
    /// The wire to the shared interrupt `intid`, 32 up; `None` if there is no such interrupt.
    /// Whether its level or its rising edge counts is the guest's choice (`GICD_ICFGR<n>`).
    #[must_use]
    pub fn line(self: &Arc<Self>, intid: u32) -> Option<Arc<dyn IrqLine>> {
        let spi = intid.checked_sub(FIRST_SPI)?;
        (spi < self.spi_count)
            .then(|| -> Arc<dyn IrqLine> { Arc::new(SpiLine { vgic: Arc::clone(self), intid }) })
    }
}
