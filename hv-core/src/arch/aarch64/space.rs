//! Identifiers of guests' translations: VMIDs. Arm ARM D8.13.2.

use super::insn;
use crate::sync::Mutex;

/// Hands out VMIDs in turn, and says when all translations must be forgotten: a VMID that was in use
/// before comes up again only after a wrap, and at each wrap everything is flushed once.
#[derive(Debug)]
struct Allocator {
    /// A set bit is a VMID in use. VMID 0 is nobody's: it is loaded when no guest is.
    used: [u64; 4],
    next: u16,
}

/// Eight bits are what every implementation has.
const VMIDS: u16 = 256;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flush {
    Nothing,
    Everything,
}

impl Allocator {
    const fn new() -> Self {
        Self { used: [1, 0, 0, 0], next: 1 }
    }

    fn is_used(&self, vmid: u16) -> bool {
        self.used[usize::from(vmid / 64)] & 1 << (vmid % 64) != 0
    }

    fn allocate(&mut self) -> Option<(u16, Flush)> {
        let mut flush = Flush::Nothing;
        for _ in 0..VMIDS {
            let vmid = self.next;
            self.next = (self.next + 1) % VMIDS;
            if self.next == 0 {
                self.next = 1;
                flush = Flush::Everything;
            }
            if !self.is_used(vmid) {
                self.used[usize::from(vmid / 64)] |= 1 << (vmid % 64);
                return Some((vmid, flush));
            }
        }
        None
    }

    fn free(&mut self, vmid: u16) {
        self.used[usize::from(vmid / 64)] &= !(1 << (vmid % 64));
    }
}

static ALLOCATOR: Mutex<Allocator> = Mutex::new(Allocator::new());

/// A VMID that is somebody's.
#[derive(Debug)]
pub struct SpaceId {
    vmid: u16,
}

impl SpaceId {
    /// A VMID that no other guest has; `None` when all 255 are taken.
    #[must_use]
    pub fn new() -> Option<Self> {
        let mut allocator = ALLOCATOR.lock();
        let (vmid, flush) = allocator.allocate()?;
        if flush == Flush::Everything {
            insn::dsb_ishst();
            insn::tlbi_alle1is();
            insn::dsb_ish();
            insn::isb();
        }
        Some(Self { vmid })
    }

    /// Forgets every translation of this guest, on all CPUs, and gives the VMID back. No vCPU of it is
    /// loaded any more.
    pub(crate) fn retire(self, translation: Translation) {
        let loaded = insn::vttbr_el2::read();
        insn::vttbr_el2::write(translation.0);
        insn::isb();
        insn::dsb_ishst();
        insn::tlbi_vmalls12e1is();
        insn::dsb_ish();
        insn::vttbr_el2::write(loaded);
        insn::isb();
        insn::ic_ialluis();
        insn::dsb_ish();
        insn::isb();
        ALLOCATOR.lock().free(self.vmid);
    }
}

/// `VTTBR_EL2` of a guest: the root of its stage 2 and its VMID.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Translation(pub(super) u64);

impl Translation {
    pub(crate) fn new(root: u64, space: Option<&SpaceId>) -> Self {
        Self(root | space.map_or(0, |space| u64::from(space.vmid)) << 48)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vmid_is_handed_out_once_and_zero_never() {
        let mut allocator = Allocator::new();
        let mut seen = [false; VMIDS as usize];
        while let Some((vmid, _)) = allocator.allocate() {
            assert!(!core::mem::replace(&mut seen[usize::from(vmid)], true));
        }
        assert_eq!(seen.iter().filter(|&&seen| seen).count(), 255);
        assert!(!seen[0]);
    }

    #[test]
    fn a_vmid_comes_again_only_after_a_flush() {
        let mut allocator = Allocator::new();
        let mut stale = [false; VMIDS as usize];
        for _ in 0..2000 {
            let (vmid, flush) = allocator.allocate().unwrap();
            if flush == Flush::Everything {
                stale.fill(false);
            }
            // The flush comes when the last identifier goes out, so that one may be stale no more.
            assert!(!stale[usize::from(vmid)], "VMID {vmid} with stale translations");
            stale[usize::from(vmid)] = true;
            allocator.free(vmid);
        }
    }
}
