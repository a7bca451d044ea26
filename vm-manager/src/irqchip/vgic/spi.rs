//! The shared peripheral interrupts of one VM: their banks, and where each one goes.

use super::bank::{Bank, Bit, Gates};
use super::{MAX_VCPUS, Version};
use alloc::vec::Vec;

/// The first shared interrupt.
pub(super) const FIRST_SPI: u32 = 32;

/// Thirty-two shared interrupts.
#[derive(Debug)]
pub(super) struct SpiBank {
    pub(super) bank: Bank,
    /// What the guest wrote: `GICD_IROUTER<n>` (affinity only), or a byte of `GICD_ITARGETSR<n>`.
    route: [u32; 32],
    /// The same turned about: those that go to vCPU `n`. At most one vCPU has each.
    targets: [u32; MAX_VCPUS],
    /// The same for each interrupt, as a bit map of vCPUs with at most one set.
    target_mask: [u32; 32],
    /// For those resident or active: which vCPU has them in its list registers, or had them there
    /// and will end them.
    holder: [u8; 32],
}

impl SpiBank {
    fn new(valid: u32, version: Version, vcpus: usize) -> Self {
        // Firmware leaves all interrupts in Group 1 where there are two; guests that were made for
        // the non-secure side cannot move them there by themselves.
        let group1 = match version {
            Version::V2 => 0,
            Version::V3 => u32::MAX,
        };
        let mut targets = [0; MAX_VCPUS];
        let mut target_mask = [0; 32];
        // An IROUTER of zero is vCPU 0. An ITARGETSR of zero is nobody, except where there is only
        // one CPU and thus no such register (IHI 0048 4.3.12).
        if version == Version::V3 || vcpus == 1 {
            targets[0] = valid;
            target_mask = [1; 32];
        }
        let bank = Bank::new(valid, 0, group1);
        Self { bank, route: [0; 32], targets, target_mask, holder: [0; 32] }
    }

    /// What the guest wrote as the route of one interrupt.
    pub(super) const fn route(&self, bit: Bit) -> u32 {
        self.route[bit.index()]
    }

    /// Routes one interrupt to `target`, or to nobody; `route` is what the guest shall read back.
    pub(super) fn set_route(&mut self, bit: Bit, route: u32, target: Option<usize>) {
        let mask = bit.mask() & self.bank.valid;
        if mask == 0 {
            return;
        }
        self.route[bit.index()] = route;
        self.target_mask[bit.index()] = target.map_or(0, |vcpu| 1 << vcpu);
        for (vcpu, bits) in self.targets.iter_mut().enumerate() {
            *bits &= !mask;
            if target == Some(vcpu) {
                *bits |= mask;
            }
        }
    }

    /// Those that go to `vcpu`.
    pub(super) fn targets(&self, vcpu: usize) -> u32 {
        self.targets.get(vcpu).copied().unwrap_or(0)
    }

    /// The vCPU that one interrupt goes to, as a bit map with at most one set.
    pub(super) const fn target_mask(&self, bit: Bit) -> u32 {
        self.target_mask[bit.index()]
    }

    /// Notes that `vcpu` has, or is to have, one interrupt in its list registers.
    pub(super) const fn set_holder(&mut self, bit: Bit, vcpu: usize) {
        self.holder[bit.index()] = vcpu as u8;
    }

    /// Gives those of `bits` that the guest made active by hand to the vCPUs that they go to, which
    /// shall end them.
    pub(super) fn adopt(&mut self, bits: u32) {
        let mut left = bits & !self.bank.resident;
        while let Some(bit) = Bit::lowest(left) {
            left &= left - 1;
            let target = Bit::lowest(self.target_mask[bit.index()]);
            self.set_holder(bit, target.map_or(0, Bit::index));
        }
    }

    /// Those that want a list register of `vcpu`.
    #[inline]
    pub(super) fn wanting(&self, gates: Gates, vcpu: usize) -> u32 {
        let mut stranded = self.bank.stranded();
        let mut wanting = self.bank.ready(gates) & self.targets(vcpu);
        while let Some(bit) = Bit::lowest(stranded) {
            stranded &= stranded - 1;
            if usize::from(self.holder[bit.index()]) == vcpu {
                wanting |= bit.mask();
            }
        }
        wanting
    }

    /// The vCPUs that have to look again after `changed` changed: those that hold them or are to hold
    /// them, and those that they are now ready for.
    pub(super) fn concerned(&self, changed: u32, gates: Gates) -> u32 {
        let mut vcpus = 0;
        let mut held = (self.bank.resident | self.bank.active) & changed;
        while let Some(bit) = Bit::lowest(held) {
            held &= held - 1;
            vcpus |= 1 << self.holder[bit.index()];
        }
        let mut ready = self.bank.ready(gates) & changed;
        while let Some(bit) = Bit::lowest(ready) {
            ready &= ready - 1;
            vcpus |= self.target_mask[bit.index()];
        }
        vcpus
    }
}

/// All shared interrupts of one VM.
#[derive(Debug)]
pub(super) struct Spis {
    banks: Vec<SpiBank>,
}

impl Spis {
    /// `count` interrupts after power-on.
    pub(super) fn new(count: u32, version: Version, vcpus: usize) -> Self {
        let mut spis = Self { banks: Vec::new() };
        spis.banks.extend((0..count).step_by(32).map(|first| {
            let left = count - first;
            let valid = if left >= 32 { u32::MAX } else { (1 << left) - 1 };
            SpiBank::new(valid, version, vcpus)
        }));
        spis
    }

    /// Bank `number` of the distributor's registers; bank 0 is private to each vCPU.
    pub(super) fn bank(&self, number: usize) -> Option<&SpiBank> {
        self.banks.get(number.checked_sub(1)?)
    }

    /// Bank `number` of the distributor's registers; bank 0 is private to each vCPU.
    pub(super) fn bank_mut(&mut self, number: usize) -> Option<&mut SpiBank> {
        self.banks.get_mut(number.checked_sub(1)?)
    }

    /// The bank of interrupt `intid`.
    pub(super) fn of(&mut self, intid: u32) -> Option<&mut SpiBank> {
        self.bank_mut(intid as usize / 32)
    }

    /// All banks.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SpiBank> {
        self.banks.iter()
    }

    /// Those of the banks in the bit map `banks` that exist, each with its number.
    fn some(&self, banks: u32) -> impl Iterator<Item = (u32, &SpiBank)> {
        let mut left = banks;
        core::iter::from_fn(move || {
            while let Some(bit) = Bit::lowest(left) {
                left &= left - 1;
                if let Some(spis) = self.bank(bit.index()) {
                    return Some((bit.index() as u32, spis));
                }
            }
            None
        })
    }

    /// The one of these banks that is to get a list register of `vcpu` first, and its rank.
    pub(super) fn first(&self, banks: u32, gates: Gates, vcpu: usize) -> Option<(u32, u32)> {
        let of =
            |(bank, spis): (u32, &SpiBank)| spis.bank.first(spis.wanting(gates, vcpu), bank * 32);
        self.some(banks).filter_map(of).min()
    }

    /// How many of these banks want a list register of `vcpu`.
    pub(super) fn count_wanting(&self, banks: u32, gates: Gates, vcpu: usize) -> u32 {
        let count = |(_, spis): (u32, &SpiBank)| spis.wanting(gates, vcpu).count_ones();
        self.some(banks).map(count).sum()
    }

    /// Whether one of these banks is ready for `vcpu`.
    pub(super) fn is_ready(&self, banks: u32, gates: Gates, vcpu: usize) -> bool {
        self.some(banks).any(|(_, spis)| spis.bank.ready(gates) & spis.targets(vcpu) != 0)
    }
}
