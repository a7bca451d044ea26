//! What a CPU's VMX can do, by its capability MSRs. Intel SDM vol. 3D, appendix A.

use super::control::{Control, Group, Unsuitable};
use core::fmt;

/// `IA32_FEATURE_CONTROL`, 0x3a: firmware switches VMX on there, or off, and locks it.
pub const FEATURE_CONTROL: u32 = 0x3a;

const BASIC: u32 = 0x480;
const PIN: u32 = 0x481;
const MISC: u32 = 0x485;
const CR0_FIXED0: u32 = 0x486;
const CR0_FIXED1: u32 = 0x487;
const CR4_FIXED0: u32 = 0x488;
const CR4_FIXED1: u32 = 0x489;
const SECONDARY: u32 = 0x48b;
const EPT_VPID: u32 = 0x48c;
/// The MSRs that know which of the controls that used to be 1 may be 0 (A.2 to A.5).
const TRUE_PIN: u32 = 0x48d;

/// What firmware has decided. SDM vol. 3C, 24.7.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Firmware {
    /// VMX may be used.
    On,
    /// Nothing is decided yet: this value is to be written first, for VMX may only be used when it is locked.
    Undecided(u64),
    /// It is locked off.
    Off,
}

impl Firmware {
    /// What `IA32_FEATURE_CONTROL` says.
    #[must_use]
    pub const fn new(feature_control: u64) -> Self {
        const LOCKED: u64 = 1;
        const OUTSIDE_SMX: u64 = 1 << 2;
        match (feature_control & LOCKED != 0, feature_control & OUTSIDE_SMX != 0) {
            (true, true) => Self::On,
            (true, false) => Self::Off,
            (false, _) => Self::Undecided(feature_control | LOCKED | OUTSIDE_SMX),
        }
    }
}

/// What the bits of a field of controls may be (A.3): in the MSR, bits that must be 1 below, bits that may be 1 above.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Allowed(u64);

impl Allowed {
    /// The bits that must be 1.
    #[must_use]
    pub const fn required(self) -> u32 {
        self.0 as u32
    }

    /// The bits that may be 1.
    #[must_use]
    pub const fn possible(self) -> u32 {
        (self.0 >> 32) as u32 | self.required()
    }

    /// Checks that a control of this field may be set.
    ///
    /// # Errors
    ///
    /// [`Unsuitable::Missing`].
    pub const fn check(self, control: Control) -> Result<(), Unsuitable> {
        if self.possible() & control.mask() == 0 {
            Err(Unsuitable::Missing(control))
        } else {
            Ok(())
        }
    }
}

/// Bits of a control register that VMX operation fixes (A.7, A.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FixedBits {
    ones: u64,
    may_be_one: u64,
}

impl FixedBits {
    const fn new(fixed0: u64, fixed1: u64) -> Self {
        Self { ones: fixed0, may_be_one: fixed1 }
    }

    /// `value` as VMX operation wants it.
    #[must_use]
    pub const fn apply(self, value: u64) -> u64 {
        value & self.may_be_one | self.ones
    }

    /// Whether VMX operation takes `value` as it is.
    #[must_use]
    pub const fn allows(self, value: u64) -> bool {
        self.apply(value) == value
    }

    /// The bits that a guest cannot decide on: a guest-host mask has them.
    #[must_use]
    pub const fn fixed(self) -> u64 {
        self.ones | !self.may_be_one
    }
}

/// What the capability MSRs say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    basic: u64,
    misc: u64,
    groups: [Allowed; 5],
    ept_vpid: u64,
    cr0: FixedBits,
    cr4: FixedBits,
}

/// Something that EPT or VPID lacks (A.10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MissingEpt(&'static str);

impl fmt::Display for MissingEpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the CPU's EPT lacks {}", self.0)
    }
}

/// The type of INVEPT and INVVPID that forgets what belongs to any EPT pointer or VPID (SDM vol. 3C, 31.3).
pub const ALL_CONTEXTS: u64 = 2;

impl Capabilities {
    /// Reads the capability MSRs. `rdmsr` is called for none that the CPU does not have.
    #[must_use]
    pub fn read(rdmsr: impl Fn(u32) -> u64) -> Self {
        let basic = rdmsr(BASIC);
        // Bit 55: the "true" MSRs are there. They are in the order of the others.
        let first = if basic & 1 << 55 != 0 { TRUE_PIN } else { PIN };
        let [pin, primary, exit, entry] = [0, 1, 2, 3].map(|index| Allowed(rdmsr(first + index)));
        let may = |allowed: Allowed, control: Control| allowed.possible() & control.mask() != 0;
        let secondary = if may(primary, Control::SECONDARY_CONTROLS) {
            Allowed(rdmsr(SECONDARY))
        } else {
            Allowed::default()
        };
        let has_ept = may(secondary, Control::EPT) || may(secondary, Control::VPID);
        Self {
            basic,
            misc: rdmsr(MISC),
            groups: [pin, primary, secondary, exit, entry],
            ept_vpid: if has_ept { rdmsr(EPT_VPID) } else { 0 },
            cr0: FixedBits::new(rdmsr(CR0_FIXED0), rdmsr(CR0_FIXED1)),
            cr4: FixedBits::new(rdmsr(CR4_FIXED0), rdmsr(CR4_FIXED1)),
        }
    }

    /// What a field of controls may be.
    #[must_use]
    pub const fn allowed(&self, group: Group) -> Allowed {
        let [pin, primary, secondary, exit, entry] = self.groups;
        match group {
            Group::Pin => pin,
            Group::Primary => primary,
            Group::Secondary => secondary,
            Group::Exit => exit,
            Group::Entry => entry,
        }
    }

    /// The number that a VMXON region and a VMCS begin with (A.1).
    #[must_use]
    pub const fn revision(&self) -> u32 {
        self.basic as u32 & 0x7fff_ffff
    }

    /// The length of such a region in bytes, at most 4 KiB.
    #[must_use]
    pub const fn region_bytes(&self) -> u64 {
        self.basic >> 32 & 0x1fff
    }

    /// By how many bits the TSC is shifted to the right to get the ticks of the preemption timer (A.6).
    #[must_use]
    pub const fn preemption_timer_shift(&self) -> u32 {
        self.misc as u32 & 0x1f
    }

    /// What VMX operation fixes in the host's CR0.
    #[must_use]
    pub const fn host_cr0(&self) -> FixedBits {
        self.cr0
    }

    /// What VMX operation fixes in CR4, the guest's as well as the host's.
    #[must_use]
    pub const fn cr4(&self) -> FixedBits {
        self.cr4
    }

    /// What VMX operation fixes in an unrestricted guest's CR0: not PE and PG (SDM vol. 3C, 24.8, 27.3.1.1).
    #[must_use]
    pub const fn guest_cr0(&self) -> FixedBits {
        const PE: u64 = 1;
        const PG: u64 = 1 << 31;
        FixedBits { ones: self.cr0.ones & !(PE | PG), ..self.cr0 }
    }

    /// Checks that EPT can do what Roost's tables ask for.
    ///
    /// # Errors
    ///
    /// What it lacks.
    pub fn check_ept(&self) -> Result<(), MissingEpt> {
        const NEEDED: [(u32, &str); 5] = [
            (6, "page walks of four levels"),
            (14, "write-back tables"),
            (16, "pages of 2 MiB"),
            (20, "INVEPT"),
            (26, "INVEPT of all contexts"),
        ];
        let missing = NEEDED.iter().find(|(bit, _)| self.ept_vpid & 1 << bit == 0);
        missing.map_or(Ok(()), |(_, what)| Err(MissingEpt(what)))
    }

    /// Whether EPT has pages of 1 GiB.
    #[must_use]
    pub const fn has_huge_pages(&self) -> bool {
        self.ept_vpid & 1 << 17 != 0
    }

    /// Whether EPT notes in its entries what was accessed and written.
    #[must_use]
    pub const fn has_dirty_bits(&self) -> bool {
        self.ept_vpid & 1 << 21 != 0
    }

    /// The pointer to the EPT with its root at this physical address (SDM vol. 3C, 25.6.11). No accessed and dirty bits:
    /// nobody reads them, and with them each walk of the guest's tables counts as a write.
    #[must_use]
    pub const fn ept_pointer(&self, root: u64) -> u64 {
        const WRITE_BACK: u64 = 6;
        const FOUR_LEVELS: u64 = (4 - 1) << 3;
        root | WRITE_BACK | FOUR_LEVELS
    }

    /// Whether VPIDs are to be used: whoever has them must be able to have all of them forgotten (A.10).
    #[must_use]
    pub const fn can_forget_vpids(&self) -> bool {
        const INVVPID: u64 = 1 << 32;
        const OF_ALL: u64 = 1 << 42;
        self.ept_vpid & (INVVPID | OF_ALL) == INVVPID | OF_ALL
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Capability MSRs like those of a Haswell.
    pub(in crate::arch::x86_64::vmx) fn haswell(msr: u32) -> u64 {
        match msr {
            0x480 => 0x00da_0400_0000_0012,
            0x481 => 0x0000_007f_0000_0016,
            0x482 => 0xfff9_fffe_0401_e172,
            0x483 => 0x007f_ffff_0003_6dff,
            0x484 => 0x0000_ffff_0000_11ff,
            0x485 => 0x3004_81e5,
            0x486 => 0x8000_0021,
            0x487 => 0xffff_ffff,
            0x488 => 0x2000,
            0x489 => 0x0017_27ff,
            0x48b => 0x0000_7cff_0000_0000,
            0x48c => 0x0000_0f01_0633_4141,
            0x48d => 0x0000_007f_0000_0016,
            0x48e => 0xfff9_fffe_0400_6172,
            0x48f => 0x007f_ffff_0003_6dfb,
            0x490 => 0x0000_ffff_0000_11fb,
            _ => panic!("no MSR {msr:#x}"),
        }
    }

    #[test]
    fn firmware_has_the_first_word() {
        assert_eq!(Firmware::new(5), Firmware::On);
        assert_eq!(Firmware::new(1), Firmware::Off);
        assert_eq!(Firmware::new(0), Firmware::Undecided(5));
        assert_eq!(Firmware::new(1 << 20), Firmware::Undecided(1 << 20 | 5));
    }

    #[test]
    fn the_msrs_say_what_appendix_a_says() {
        let cpu = Capabilities::read(haswell);
        assert_eq!((cpu.revision(), cpu.region_bytes()), (0x12, 0x400));
        assert_eq!(cpu.preemption_timer_shift(), 5);
        assert_eq!(cpu.check_ept(), Ok(()));
        assert!(cpu.has_huge_pages() && cpu.has_dirty_bits());
        assert!(cpu.can_forget_vpids());
        assert_eq!(cpu.ept_pointer(0x1234_5000), 0x1234_501e);
    }

    #[test]
    fn fixed_bits_are_fixed_except_for_real_mode() {
        let cpu = Capabilities::read(haswell);
        assert_eq!(cpu.host_cr0().apply(0x10), 0x8000_0031);
        assert!(!cpu.host_cr0().allows(0x21));
        assert!(cpu.guest_cr0().allows(0x30));
        assert!(!cpu.guest_cr0().allows(0x10), "NE");
        assert_eq!(cpu.cr4().apply(0x20_0020), 0x2020, "VMXE is on, SMAP of a later CPU off");
        assert_eq!(cpu.cr4().fixed() & 0x2001, 0x2000);
    }

    #[test]
    fn msrs_that_are_not_there_are_not_read() {
        // A Merom: no secondary controls, no true MSRs.
        let cpu = Capabilities::read(|msr| match msr {
            0x480 => 0x0018_0400_0000_000b,
            0x482 => 0x7784_fffe_0401_e172,
            0x481 | 0x483..=0x489 => haswell(msr),
            _ => panic!("no MSR {msr:#x}"),
        });
        assert_eq!(cpu.allowed(Group::Secondary), Allowed::default());
        assert_eq!(
            cpu.check_ept().unwrap_err().to_string(),
            "the CPU's EPT lacks page walks of four levels"
        );
        assert!(!cpu.can_forget_vpids());
    }
}
