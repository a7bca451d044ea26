//! EL2's own address space: [`own_space`](crate::own_space) in EL2's format.

use super::discovery::Platform;
use super::insn;
use super::stage::Stage1;
use crate::machine::Range;
use crate::own_space::{self, Layout};
pub(super) use crate::own_space::{adopt, bytes, root};
use crate::paging::MapError;

/// `SCTLR_EL2` with everything off: its RES1 bits. Arm ARM D19.2.119.
pub(super) const SCTLR_RES1: u64 = 0x30c5_0830;
/// MMU, data cache, stack alignment check, instruction cache, and writable implies never executed.
pub(super) const SCTLR_ON: u64 = SCTLR_RES1 | 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
/// `TCR_EL2`: 48 bits, 4 KiB granule, inner shareable write-back walks; PS is added at run time. D19.2.139.
pub(super) const TCR: u64 = 1 << 31 | 1 << 23 | 16 | 1 << 8 | 1 << 10 | 3 << 12;

/// Builds the first tables; returns the address of the root. The MMU is off.
pub(super) fn build(platform: &Platform) -> Result<u64, MapError> {
    let layout = Layout {
        ram: &platform.ram,
        holes: &platform.no_map,
        devices: &platform.devices,
        read_only: &[],
    };
    own_space::build::<Stage1>(insn::image_layout(), &layout)
}

/// A stack of `pages` pages above a page that is never mapped; the address of its top. It is never freed.
pub(super) fn new_stack(pages: usize) -> Option<u64> {
    let top = own_space::new_stack::<Stage1>(pages)?;
    // The new entries replace invalid ones, so a barrier is enough; D8.14.
    insn::dsb_ishst();
    insn::isb();
    Some(top)
}

/// Maps the registers of a device that was found since the boot.
pub(crate) fn map_device(registers: Range) -> Result<(), MapError> {
    own_space::map_device::<Stage1>(registers)?;
    // As for stacks.
    insn::dsb_ishst();
    insn::isb();
    Ok(())
}
