//! What a guest's CPUID says: of the host's features those that are virtualized, the VM's own topology, and a hypervisor that
//! knows how fast its clocks run.
//!
//! A table is made once per VM; an answer is looked up in it, and completed with what depends on the vCPU. Leaves that are
//! not named here are empty, so a feature that a future CPU has is hidden until someone has thought about it. Intel SDM
//! vol. 2A, CPUID; AMD APM vol. 3, appendix E.

mod feature;

use alloc::vec::Vec;
use feature::{Offer, XSAVE_LEGACY_BYTES};

/// The four registers of an answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "registers have the manual's names")]
pub struct Leaf {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// Whether guests get XSAVE and what is built on it, AVX first of all.
///
/// The hypervisor must be able to keep XCR0 apart: SVM in QEMU 7.2 does not intercept XSETBV.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExtendedState {
    /// They do, as far as the host has it.
    Offered,
    /// They get SSE, and no more.
    Hidden,
}

/// Whether the host's TSC runs at one rate, whatever the CPU does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TscRate {
    /// It does; guests may keep time with it.
    Invariant,
    /// It does not, or nobody knows.
    Varying,
}

/// What the VM is, as far as CPUID tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Profile {
    /// How many vCPUs it has; their APIC identifiers count from 0.
    pub vcpus: u32,
    /// The frequency of its TSC, in Hz.
    pub tsc_hz: u64,
    /// The frequency from which its local APICs' timers divide, in Hz.
    pub apic_hz: u32,
    /// Whether the TSC keeps it.
    pub tsc_rate: TscRate,
    /// Whether it has XSAVE.
    pub extended_state: ExtendedState,
}

/// What of an answer depends on the vCPU, and on what it has written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VcpuState {
    /// Its APIC identifier.
    pub apic_id: u32,
    /// Its CR4.
    pub cr4: u64,
    /// Its XCR0.
    pub xcr0: u64,
}

/// Who made the host's CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Vendor {
    /// Intel, or who follows its manual.
    Intel,
    /// AMD or Hygon.
    Amd,
}

impl Vendor {
    /// By leaf 0.
    #[must_use]
    pub const fn new(leaf_0: Leaf) -> Self {
        match (leaf_0.ebx, leaf_0.edx, leaf_0.ecx) {
            // "AuthenticAMD", "HygonGenuine".
            (0x6874_7541, 0x6974_6e65, 0x444d_4163) | (0x6f67_7948, 0x6e65_476e, 0x656e_6975) => {
                Self::Amd
            }
            _ => Self::Intel,
        }
    }
}

/// The last basic leaf: topology.
const BASIC_MAX: u32 = 0x1f;
const HYPERVISOR: u32 = 0x4000_0000;
/// The last leaf of the hypervisor: frequencies.
const TIMING: u32 = 0x4000_0010;
const EXTENDED: u32 = 0x8000_0000;
const EXTENDED_MAX: u32 = 0x8000_0008;

/// A VM's CPUID.
#[derive(Clone, Debug)]
pub struct Cpuid {
    /// By leaf and subleaf, sorted.
    leaves: Vec<(u64, Leaf)>,
    /// Those that have no subleaves, or subleaf 0: see [`place`].
    first: [Leaf; PLACES],
}

/// Leaves of each class that have a place of their own.
const CLASS_PLACES: usize = 32;
const PLACES: usize = 3 * CLASS_PLACES;

/// Where a leaf is found without a search: basic ones, the hypervisor's and extended ones, 32 of each.
#[inline]
const fn place(leaf: u32) -> Option<usize> {
    let class = match leaf & !0x1f {
        0 => 0,
        HYPERVISOR => 1,
        EXTENDED => 2,
        _ => return None,
    };
    Some(class * CLASS_PLACES + (leaf & 0x1f) as usize)
}

impl Cpuid {
    /// The CPUID of a VM on a host whose own CPUID is `host`, called with leaf and subleaf. Of the host, subleaves are asked
    /// for only where there are any.
    #[must_use]
    pub fn new(host: impl Fn(u32, u32) -> Leaf, profile: &Profile) -> Self {
        let host = |leaf, subleaf| {
            let class = leaf & EXTENDED;
            // Beyond its last leaf, an Intel CPU repeats that.
            if host(class, 0).eax >= leaf { host(leaf, subleaf) } else { Leaf::default() }
        };
        let vendor = Vendor::new(host(0, 0));
        let offer = Offer::new(&host, vendor, profile);
        let mut table = Self { leaves: Vec::new(), first: [Leaf::default(); PLACES] };
        table.basic(&host, &offer, profile);
        table.hypervisor(profile);
        table.extended(&host, &offer, profile);
        table.leaves.sort_unstable_by_key(|(key, _)| *key);
        table
    }

    /// The answer where neither the subleaf nor the vCPU matters; `None`: see [`Self::answer`].
    #[inline]
    #[must_use]
    pub fn fixed(&self, leaf: u32) -> Option<&Leaf> {
        if leaf == 1 || has_subleaves(leaf) { None } else { self.first.get(place(leaf)?) }
    }

    /// The answer to CPUID on a vCPU. Where there is nothing, all registers are zero.
    #[inline]
    #[must_use]
    pub fn answer(&self, leaf: u32, subleaf: u32, vcpu: &VcpuState) -> Leaf {
        let mut answer = self.find(leaf, subleaf);
        match leaf {
            1 => {
                answer.ebx |= vcpu.apic_id << 24;
                if answer.ecx & feature::XSAVE != 0 && vcpu.cr4 & CR4_OSXSAVE != 0 {
                    answer.ecx |= feature::OSXSAVE;
                }
            }
            0xb | 0x1f => {
                answer.ecx |= subleaf & 0xff;
                answer.edx = vcpu.apic_id;
            }
            0xd if answer != Leaf::default() => match subleaf {
                0 => answer.ebx = self.standard_bytes(vcpu.xcr0),
                1 => answer.ebx = self.compacted_bytes(vcpu.xcr0),
                _ => {}
            },
            _ => {}
        }
        answer
    }

    /// The bits of XCR0 that a guest may set.
    #[must_use]
    pub fn xcr0(&self) -> u64 {
        u64::from(self.find(0xd, 0).eax)
    }

    #[inline]
    fn find(&self, leaf: u32, subleaf: u32) -> Leaf {
        let Some(place) = place(leaf) else { return Leaf::default() };
        if subleaf == 0 || !has_subleaves(leaf) {
            return self.first.get(place).copied().unwrap_or_default();
        }
        self.search(leaf, subleaf)
    }

    #[inline(never)]
    fn search(&self, leaf: u32, subleaf: u32) -> Leaf {
        let key = key(leaf, subleaf);
        let found = self.leaves.binary_search_by_key(&key, |(key, _)| *key);
        found.ok().and_then(|at| self.leaves.get(at)).map_or_else(Leaf::default, |(_, leaf)| *leaf)
    }

    fn put(&mut self, leaf: u32, subleaf: u32, content: Leaf) {
        if subleaf == 0
            && let Some(first) = place(leaf).and_then(|place| self.first.get_mut(place))
        {
            *first = content;
        }
        self.leaves.push((key(leaf, subleaf), content));
    }

    fn basic(&mut self, host: &impl Fn(u32, u32) -> Leaf, offer: &Offer, profile: &Profile) {
        let ids = profile.vcpus.max(1).next_power_of_two();
        self.put(0, 0, Leaf { eax: BASIC_MAX, ..host(0, 0) });
        // EBX: cache line for CLFLUSH 15:8, identifiers in the package 23:16; the APIC identifier comes later.
        let one = host(1, 0);
        let ebx = one.ebx & 0xff00 | ids.min(0xff) << 16;
        self.put(1, 0, Leaf { eax: one.eax, ebx, ecx: offer.one_ecx, edx: offer.one_edx });
        if offer.vendor == Vendor::Intel {
            self.put(2, 0, host(2, 0));
            self.caches(host, ids);
        }
        self.put(6, 0, Leaf { eax: feature::APIC_TIMER_ALWAYS_RUNS, ..Leaf::default() });
        let seven =
            Leaf { ebx: offer.seven_ebx, ecx: offer.seven_ecx, edx: offer.seven_edx, eax: 0 };
        self.put(7, 0, seven);
        for leaf in [0xb, 0x1f] {
            self.topology(leaf, profile.vcpus.max(1), ids);
        }
        self.extended_state(host, offer);
        self.frequencies(profile);
    }

    /// Leaf 4: the host's caches, of which the last level is shared by all vCPUs, and the others by none.
    fn caches(&mut self, host: &impl Fn(u32, u32) -> Leaf, ids: u32) {
        const CACHES_MAX: u32 = 8;
        for subleaf in 0..CACHES_MAX {
            let cache = host(4, subleaf);
            if cache.eax & 0x1f == 0 {
                break;
            }
            // Cores in the package 31:26, threads that share it 25:14, each less one; level 7:5.
            let shared = if cache.eax >> 5 & 7 >= 3 { ids.min(0x1000) - 1 } else { 0 };
            let eax = cache.eax & 0x3fff | shared << 14 | (ids.min(64) - 1) << 26;
            self.put(4, subleaf, Leaf { eax, ..cache });
        }
    }

    /// Leaves 0xb and 0x1f: cores with one thread each, all in one package. By how much to shift an x2APIC identifier to get
    /// that of the next level, how many there are, and which level it is.
    fn topology(&mut self, leaf: u32, vcpus: u32, ids: u32) {
        const THREADS: u32 = 1 << 8;
        const CORES: u32 = 2 << 8;
        self.put(leaf, 0, Leaf { eax: 0, ebx: 1, ecx: THREADS, edx: 0 });
        self.put(leaf, 1, Leaf { eax: ids.trailing_zeros(), ebx: vcpus, ecx: CORES, edx: 0 });
    }

    /// Leaf 0xd: the components of the XSAVE area.
    fn extended_state(&mut self, host: &impl Fn(u32, u32) -> Leaf, offer: &Offer) {
        if offer.xcr0 == 0 {
            return;
        }
        let one = Leaf { eax: host(0xd, 1).eax & feature::XSAVE_VARIANTS, ..Leaf::default() };
        for component in (2..32).filter(|component| offer.xcr0 & 1 << component != 0) {
            self.put(0xd, component, Leaf { edx: 0, ..host(0xd, component) });
        }
        self.put(0xd, 1, one);
        self.leaves.sort_unstable_by_key(|(key, _)| *key);
        let ecx = self.standard_bytes(u64::from(offer.xcr0));
        self.put(0xd, 0, Leaf { eax: offer.xcr0, ebx: 0, ecx, edx: 0 });
    }

    /// Leaves 0x15 and 0x16: crystal clock, which is the APIC's, its ratio to the TSC, and that in MHz.
    fn frequencies(&mut self, profile: &Profile) {
        let (tsc_khz, apic_khz) = khz(profile);
        let divisor = greatest_common_divisor(tsc_khz, apic_khz).max(1);
        let (ebx, eax) = (tsc_khz / divisor, apic_khz / divisor);
        // Linux multiplies crystal and numerator in 32 bits: a ratio that does not fit is better not told.
        if apic_khz.checked_mul(ebx).is_some() {
            self.put(0x15, 0, Leaf { eax, ebx, ecx: profile.apic_hz, edx: 0 });
        }
        let mhz = tsc_khz / 1000;
        self.put(0x16, 0, Leaf { eax: mhz, ebx: mhz, ecx: apic_khz / 1000, edx: 0 });
    }

    /// The hypervisor's leaves, with the signature by which guests know the paravirtual clock (Linux,
    /// Documentation/virt/kvm/x86/cpuid.rst), and frequencies as VMware started and others took over.
    fn hypervisor(&mut self, profile: &Profile) {
        let word = u32::from_le_bytes;
        let signature =
            Leaf { eax: TIMING, ebx: word(*b"KVMK"), ecx: word(*b"VMKV"), edx: word(*b"M\0\0\0") };
        self.put(HYPERVISOR, 0, signature);
        let mut eax = feature::NO_IO_DELAY | feature::CLOCK;
        if profile.tsc_rate == TscRate::Invariant {
            eax |= feature::CLOCK_IS_STABLE;
        }
        self.put(HYPERVISOR + 1, 0, Leaf { eax, ..Leaf::default() });
        let (tsc_khz, apic_khz) = khz(profile);
        self.put(TIMING, 0, Leaf { eax: tsc_khz, ebx: apic_khz, ecx: 0, edx: 0 });
    }

    fn extended(&mut self, host: &impl Fn(u32, u32) -> Leaf, offer: &Offer, profile: &Profile) {
        let vcpus = profile.vcpus.max(1);
        self.put(EXTENDED, 0, Leaf { eax: EXTENDED_MAX, ..host(EXTENDED, 0) });
        let one = host(EXTENDED + 1, 0);
        let ecx = offer.extended_ecx;
        self.put(EXTENDED + 1, 0, Leaf { eax: one.eax, ebx: 0, ecx, edx: offer.extended_edx });
        // Name of the CPU; caches as AMD tells them.
        for leaf in [2, 3, 4, 5, 6].map(|leaf| EXTENDED + leaf) {
            self.put(leaf, 0, host(leaf, 0));
        }
        if profile.tsc_rate == TscRate::Invariant {
            self.put(EXTENDED + 7, 0, Leaf { edx: feature::INVARIANT_TSC, ..Leaf::default() });
        }
        // The widths of addresses. ECX, AMD: vCPUs less one, and the bits of their identifiers.
        let ecx = match offer.vendor {
            Vendor::Amd => (vcpus - 1) & 0xff | vcpus.next_power_of_two().trailing_zeros() << 12,
            Vendor::Intel => 0,
        };
        let eax = host(EXTENDED + 8, 0).eax & 0xffff;
        self.put(EXTENDED + 8, 0, Leaf { eax, ebx: offer.eight_ebx, ecx, edx: 0 });
    }

    /// The length of an XSAVE area with these components, each at its place.
    fn standard_bytes(&self, xcr0: u64) -> u32 {
        let ends =
            self.components(xcr0).map(|component| component.ebx.saturating_add(component.eax));
        ends.fold(XSAVE_LEGACY_BYTES, u32::max)
    }

    /// The length of an XSAVE area with these components one behind the other.
    fn compacted_bytes(&self, xcr0: u64) -> u32 {
        const ALIGNED: u32 = 1 << 1;
        self.components(xcr0).fold(XSAVE_LEGACY_BYTES, |end, component| {
            let start =
                if component.ecx & ALIGNED != 0 { end.saturating_add(63) & !63 } else { end };
            start.saturating_add(component.eax)
        })
    }

    fn components(&self, xcr0: u64) -> impl Iterator<Item = Leaf> {
        let wanted = (2..32).filter(move |component| xcr0 & 1 << component != 0);
        wanted.map(|component| self.find(0xd, component))
    }
}

const CR4_OSXSAVE: u64 = 1 << 18;

const fn key(leaf: u32, subleaf: u32) -> u64 {
    (leaf as u64) << 32 | subleaf as u64
}

const fn has_subleaves(leaf: u32) -> bool {
    matches!(leaf, 4 | 7 | 0xb | 0xd | 0x1f)
}

/// TSC and APIC, in kHz.
fn khz(profile: &Profile) -> (u32, u32) {
    (u32::try_from(profile.tsc_hz / 1000).unwrap_or(u32::MAX), profile.apic_hz / 1000)
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests;
