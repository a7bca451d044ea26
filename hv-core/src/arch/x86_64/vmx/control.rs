//! Which VM-execution, VM-exit and VM-entry controls are set. Intel SDM vol. 3C, 25.6 to 25.8.
//!
//! Each control names its field and its bit. What Roost needs it needs on every CPU; what it wishes for it uses where it is.

use super::capability::{Allowed, Capabilities};
use core::fmt;

/// A field of controls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    /// Pin-based VM-execution controls.
    Pin,
    /// Primary processor-based VM-execution controls.
    Primary,
    /// Secondary processor-based VM-execution controls.
    Secondary,
    /// Primary VM-exit controls.
    Exit,
    /// VM-entry controls.
    Entry,
}

impl Group {
    const ALL: [Self; 5] = [Self::Pin, Self::Primary, Self::Secondary, Self::Exit, Self::Entry];

    /// The field's name in the manual.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pin => "pin-based VM-execution controls",
            Self::Primary => "primary processor-based VM-execution controls",
            Self::Secondary => "secondary processor-based VM-execution controls",
            Self::Exit => "VM-exit controls",
            Self::Entry => "VM-entry controls",
        }
    }
}

/// A control.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Control {
    /// Its field.
    pub group: Group,
    bit: u8,
    name: &'static str,
}

impl Control {
    /// Its bit in the field, as a mask.
    #[must_use]
    pub const fn mask(self) -> u32 {
        1 << self.bit
    }

    /// Its name in the manual.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

macro_rules! controls {
    ($($group:ident { $($name:ident = $bit:literal, $words:literal;)* })*) => {
        impl Control {
            $($(
                #[doc = concat!("\"", $words, "\"")]
                pub const $name: Self = Self { group: Group::$group, bit: $bit, name: $words };
            )*)*
        }
    };
}

controls! {
    Pin {
        EXTERNAL_INTERRUPT_EXITING = 0, "external-interrupt exiting";
        NMI_EXITING = 3, "NMI exiting";
        VIRTUAL_NMIS = 5, "virtual NMIs";
        PREEMPTION_TIMER = 6, "activate VMX-preemption timer";
    }
    Primary {
        INTERRUPT_WINDOW_EXITING = 2, "interrupt-window exiting";
        TSC_OFFSETTING = 3, "use TSC offsetting";
        HLT_EXITING = 7, "HLT exiting";
        INVLPG_EXITING = 9, "INVLPG exiting";
        MWAIT_EXITING = 10, "MWAIT exiting";
        RDPMC_EXITING = 11, "RDPMC exiting";
        RDTSC_EXITING = 12, "RDTSC exiting";
        CR3_LOAD_EXITING = 15, "CR3-load exiting";
        CR3_STORE_EXITING = 16, "CR3-store exiting";
        CR8_LOAD_EXITING = 19, "CR8-load exiting";
        CR8_STORE_EXITING = 20, "CR8-store exiting";
        TPR_SHADOW = 21, "use TPR shadow";
        NMI_WINDOW_EXITING = 22, "NMI-window exiting";
        MOV_DR_EXITING = 23, "MOV-DR exiting";
        UNCONDITIONAL_IO_EXITING = 24, "unconditional I/O exiting";
        IO_BITMAPS = 25, "use I/O bitmaps";
        MONITOR_TRAP_FLAG = 27, "monitor trap flag";
        MSR_BITMAPS = 28, "use MSR bitmaps";
        MONITOR_EXITING = 29, "MONITOR exiting";
        PAUSE_EXITING = 30, "PAUSE exiting";
        SECONDARY_CONTROLS = 31, "activate secondary controls";
    }
    Secondary {
        VIRTUALIZE_APIC_ACCESSES = 0, "virtualize APIC accesses";
        EPT = 1, "enable EPT";
        DESCRIPTOR_TABLE_EXITING = 2, "descriptor-table exiting";
        RDTSCP = 3, "enable RDTSCP";
        VIRTUALIZE_X2APIC = 4, "virtualize x2APIC mode";
        VPID = 5, "enable VPID";
        WBINVD_EXITING = 6, "WBINVD exiting";
        UNRESTRICTED_GUEST = 7, "unrestricted guest";
        APIC_REGISTERS = 8, "APIC-register virtualization";
        INTERRUPT_DELIVERY = 9, "virtual-interrupt delivery";
        PAUSE_LOOP_EXITING = 10, "PAUSE-loop exiting";
        INVPCID = 12, "enable INVPCID";
        XSAVES = 20, "enable XSAVES/XRSTORS";
        TSC_SCALING = 25, "use TSC scaling";
    }
    Exit {
        SAVE_DEBUG = 2, "save debug controls";
        HOST_64_BIT = 9, "host address-space size";
        ACKNOWLEDGE_INTERRUPT = 15, "acknowledge interrupt on exit";
        SAVE_PAT = 18, "save IA32_PAT";
        LOAD_HOST_PAT = 19, "load IA32_PAT";
        SAVE_EFER = 20, "save IA32_EFER";
        LOAD_HOST_EFER = 21, "load IA32_EFER";
        SAVE_PREEMPTION_TIMER = 22, "save VMX-preemption timer value";
    }
    Entry {
        LOAD_DEBUG = 2, "load debug controls";
        GUEST_64_BIT = 9, "IA-32e mode guest";
        LOAD_GUEST_PAT = 14, "load IA32_PAT";
        LOAD_GUEST_EFER = 15, "load IA32_EFER";
    }
}

/// Without these, Roost runs no guests.
const NEEDED: &[Control] = &[
    Control::EXTERNAL_INTERRUPT_EXITING,
    Control::NMI_EXITING,
    Control::TSC_OFFSETTING,
    Control::HLT_EXITING,
    Control::MWAIT_EXITING,
    Control::RDPMC_EXITING,
    Control::MONITOR_EXITING,
    Control::CR8_LOAD_EXITING,
    Control::CR8_STORE_EXITING,
    Control::IO_BITMAPS,
    Control::MSR_BITMAPS,
    Control::SECONDARY_CONTROLS,
    Control::EPT,
    Control::UNRESTRICTED_GUEST,
    Control::SAVE_DEBUG,
    Control::HOST_64_BIT,
    Control::SAVE_PAT,
    Control::LOAD_HOST_PAT,
    Control::SAVE_EFER,
    Control::LOAD_HOST_EFER,
    Control::LOAD_DEBUG,
    Control::LOAD_GUEST_PAT,
    Control::LOAD_GUEST_EFER,
];

/// These are set for a while only, and must then be there.
const SWITCHED: &[Control] = &[Control::INTERRUPT_WINDOW_EXITING, Control::GUEST_64_BIT];

/// These are used where they are. What the guest's CPUID may offer depends on the enabling ones among them.
const WISHED: &[Control] = &[
    Control::VIRTUAL_NMIS,
    Control::VPID,
    Control::RDTSCP,
    Control::INVPCID,
    Control::WBINVD_EXITING,
    Control::PAUSE_LOOP_EXITING,
];

/// These cost exits that nobody handles: a CPU that forces them is none that Roost runs guests on.
const UNWANTED: &[Control] = &[
    Control::CR3_LOAD_EXITING,
    Control::CR3_STORE_EXITING,
    Control::INVLPG_EXITING,
    Control::RDTSC_EXITING,
    Control::UNCONDITIONAL_IO_EXITING,
    Control::MONITOR_TRAP_FLAG,
];

/// Why a CPU cannot run guests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsuitable {
    /// It does not have this control.
    Missing(Control),
    /// It does not let this control be clear.
    Forced(Control),
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (control, verb) = match self {
            Self::Missing(control) => (control, "lacks"),
            Self::Forced(control) => (control, "insists on"),
        };
        write!(
            f,
            "the CPU's VMX {verb} \"{}\" ({}, bit {})",
            control.name,
            control.group.name(),
            control.bit
        )
    }
}

/// The values of the five fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Controls {
    values: [u32; 5],
}

impl Controls {
    /// The controls for a CPU that can do this.
    ///
    /// # Errors
    ///
    /// If it cannot do what is needed; the first such control.
    pub fn new(cpu: &Capabilities) -> Result<Self, Unsuitable> {
        let mut values = [0; 5];
        for (value, group) in values.iter_mut().zip(Group::ALL) {
            *value = field(group, cpu.allowed(group))?;
        }
        let mut controls = Self { values };
        if !cpu.can_forget_vpids() {
            controls.renounce(Control::VPID);
        }
        // 27.2.1.1: the NMI window needs virtual NMIs, and both need NMI exiting, which is needed anyway.
        if controls.has(Control::VIRTUAL_NMIS) {
            cpu.allowed(Group::Primary).check(Control::NMI_WINDOW_EXITING)?;
        }
        Ok(controls)
    }

    /// The value of a field.
    #[must_use]
    pub const fn value(&self, group: Group) -> u32 {
        let [pin, primary, secondary, exit, entry] = self.values;
        match group {
            Group::Pin => pin,
            Group::Primary => primary,
            Group::Secondary => secondary,
            Group::Exit => exit,
            Group::Entry => entry,
        }
    }

    /// Whether a control is set.
    #[must_use]
    pub const fn has(&self, control: Control) -> bool {
        self.value(control.group) & control.mask() != 0
    }

    fn renounce(&mut self, control: Control) {
        for (value, group) in self.values.iter_mut().zip(Group::ALL) {
            if group == control.group {
                *value &= !control.mask();
            }
        }
    }
}

fn field(group: Group, allowed: Allowed) -> Result<u32, Unsuitable> {
    let of_group = |controls: &'static [Control]| {
        controls.iter().copied().filter(move |control| control.group == group)
    };
    let mut value = allowed.required();
    if let Some(control) = of_group(UNWANTED).find(|control| value & control.mask() != 0) {
        return Err(Unsuitable::Forced(control));
    }
    for control in of_group(SWITCHED) {
        allowed.check(control)?;
    }
    for control in of_group(NEEDED) {
        allowed.check(control)?;
        value |= control.mask();
    }
    for control in of_group(WISHED) {
        value |= control.mask() & allowed.possible();
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::x86_64::vmx::capability::tests::haswell;
    use proptest::prelude::*;

    #[test]
    fn a_haswell_runs_guests() {
        let controls = Controls::new(&Capabilities::read(haswell)).unwrap();
        assert_eq!(controls.value(Group::Pin), 0x16 | 0x29);
        for control in NEEDED.iter().chain(WISHED) {
            assert!(controls.has(*control), "{}", control.name());
        }
        for control in UNWANTED.iter().chain(SWITCHED) {
            assert!(!controls.has(*control), "{}", control.name());
        }
        assert!(!controls.has(Control::PREEMPTION_TIMER), "it would run down at once");
    }

    #[test]
    fn a_missing_control_is_named() {
        let without = |msr, control: Control| {
            let cpu = Capabilities::read(|number| {
                haswell(number) & !if number == msr { u64::from(control.mask()) << 32 } else { 0 }
            });
            Controls::new(&cpu).map(|_| ()).unwrap_err()
        };
        let error = without(0x48b, Control::UNRESTRICTED_GUEST);
        assert_eq!(error, Unsuitable::Missing(Control::UNRESTRICTED_GUEST));
        assert_eq!(
            error.to_string(),
            "the CPU's VMX lacks \"unrestricted guest\" (secondary processor-based VM-execution controls, bit 7)"
        );
        assert_eq!(
            without(0x48e, Control::SECONDARY_CONTROLS),
            Unsuitable::Missing(Control::SECONDARY_CONTROLS)
        );
        assert_eq!(
            without(0x490, Control::GUEST_64_BIT),
            Unsuitable::Missing(Control::GUEST_64_BIT)
        );
    }

    #[test]
    fn without_the_true_msrs_the_exits_on_cr3_are_forced() {
        let cpu = Capabilities::read(|number| match number {
            0x480 => haswell(number) & !(1 << 55),
            _ => haswell(number),
        });
        let error = Controls::new(&cpu).unwrap_err();
        assert_eq!(error, Unsuitable::Forced(Control::CR3_LOAD_EXITING));
    }

    #[test]
    fn vpids_that_cannot_be_forgotten_are_not_used() {
        let cpu = Capabilities::read(|number| {
            haswell(number) & !if number == 0x48c { 1 << 42 } else { 0 }
        });
        assert!(!Controls::new(&cpu).unwrap().has(Control::VPID));
    }

    proptest! {
        #[test]
        fn whatever_is_set_is_allowed(msrs: [u64; 5]) {
            let cpu = Capabilities::read(|number| match number {
                0x48d..=0x490 => msrs[number as usize - 0x48d] | haswell(number),
                0x48b => msrs[4] << 32 | haswell(number),
                _ => haswell(number),
            });
            if let Ok(controls) = Controls::new(&cpu) {
                for group in Group::ALL {
                    let (value, allowed) = (controls.value(group), cpu.allowed(group));
                    prop_assert_eq!(value & allowed.required(), allowed.required());
                    prop_assert_eq!(value & !allowed.possible(), 0);
                }
            }
        }
    }
}
