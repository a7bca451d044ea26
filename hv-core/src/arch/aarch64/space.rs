//! Identifiers of guests' translations: VMIDs. Arm ARM D8.13.2.

use super::discovery::MAX_CPUS;
use super::insn;
use crate::sync::Mutex;
use core::sync::atomic::{AtomicU8, Ordering};

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
        self.forget(translation);
        ALLOCATOR.lock().free(self.vmid);
    }

    /// Forgets every translation of this guest, on all CPUs, and what they hold of instructions: its frames may be somebody
    /// else's next. No vCPU of it is loaded.
    pub(crate) fn forget(&self, translation: Translation) {
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
    }
}

/// A page that was a hole is mapped now, while vCPUs may run: their walks find it. A hole is in no TLB (Arm ARM D8.14), so
/// that there is nothing to forget.
pub(crate) fn publish_mapping() {
    insn::dsb_ishst();
    insn::isb();
}

/// `VTTBR_EL2` of a guest: the root of its stage 2 and its VMID.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Translation(pub(super) u64);

impl Translation {
    pub(crate) fn new(root: u64, space: Option<&SpaceId>) -> Self {
        Self(root | space.map_or(0, |space| u64::from(space.vmid)) << 48)
    }
}

/// Which vCPU of one guest each CPU had last.
///
/// A CPU of the guest may use an address space identifier for something else than the next one does (without FEAT_TTCNP;
/// Arm ARM D8.13.3), and two that take turns on one CPU share the VMID: the translations of the one must go before the other
/// runs there.
#[derive(Debug)]
pub struct LastHere([AtomicU8; MAX_CPUS]);

/// What the TLB of a CPU may hold of a guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leftovers {
    /// Nothing that the vCPU may not use.
    Own,
    /// Translations of another vCPU of the same guest.
    Foreign,
}

impl LastHere {
    /// No CPU has had any.
    #[must_use]
    pub fn new() -> Self {
        Self([const { AtomicU8::new(0) }; MAX_CPUS])
    }

    /// vCPU `index` comes to CPU `cpu`.
    pub(super) fn comes(&self, index: u8, cpu: usize) -> Leftovers {
        let Some(last) = self.0.get(cpu) else { return Leftovers::Foreign };
        let me = index.saturating_add(1);
        // Relaxed: only that CPU itself writes and reads it.
        let before = last.load(Ordering::Relaxed);
        last.store(me, Ordering::Relaxed);
        if before == 0 || before == me { Leftovers::Own } else { Leftovers::Foreign }
    }
}

impl Default for LastHere {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_vcpu_of_the_guest_left_in_the_tlb_is_known() {
        let last = LastHere::new();
        assert_eq!(last.comes(0, 3), Leftovers::Own, "the first");
        assert_eq!(last.comes(0, 3), Leftovers::Own, "the same again");
        assert_eq!(last.comes(1, 3), Leftovers::Foreign);
        assert_eq!(last.comes(1, 2), Leftovers::Own, "another CPU");
        assert_eq!(last.comes(0, 3), Leftovers::Foreign);
        assert_eq!(last.comes(0, MAX_CPUS), Leftovers::Foreign, "to be safe");
    }

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
