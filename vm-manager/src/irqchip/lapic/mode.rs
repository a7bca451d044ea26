//! `IA32_APIC_BASE`: where the APIC is, and in which mode (SDM volume 3A, 11.4.4 and 11.12.5).

use hv_core::guest::GuestPhysAddr;

/// The number of the MSR.
pub const BASE_MSR: u32 = 0x1b;

/// How software reaches the APIC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Not at all: interrupts come by the pins.
    Disabled,
    /// By a page of memory.
    XApic,
    /// By MSRs.
    X2Apic,
}

/// Whether this is the CPU that starts the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It is.
    Bootstrap,
    /// It waits to be started.
    Application,
}

/// The MSR.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base(pub(super) u64);

impl Base {
    const BOOTSTRAP: u64 = 1 << 8;
    const X2APIC: u64 = 1 << 10;
    const ENABLE: u64 = 1 << 11;
    /// Up to the most that a physical address has; fewer are not checked for.
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    const RESET_ADDRESS: u64 = 0xfee0_0000;

    pub(super) const fn new(role: Role) -> Self {
        let bootstrap = match role {
            Role::Bootstrap => Self::BOOTSTRAP,
            Role::Application => 0,
        };
        Self(Self::RESET_ADDRESS | Self::ENABLE | bootstrap)
    }

    /// What a write of `value` makes of it; `None` if it has a reserved bit, or for a change of mode
    /// that there is not (figure 11-27).
    pub(super) const fn changed(self, value: u64) -> Option<Self> {
        let known = Self::ADDRESS | Self::ENABLE | Self::X2APIC | Self::BOOTSTRAP;
        if value & !known != 0 {
            return None;
        }
        let new = Self(value);
        match (self.mode(), value & Self::ENABLE != 0, value & Self::X2APIC != 0) {
            (_, false, true) | (Mode::X2Apic, true, false) | (Mode::Disabled, true, true) => None,
            (Mode::Disabled | Mode::XApic | Mode::X2Apic, _, _) => Some(new),
        }
    }

    pub(super) const fn mode(self) -> Mode {
        match (self.0 & Self::ENABLE, self.0 & Self::X2APIC) {
            (0, _) => Mode::Disabled,
            (_, 0) => Mode::XApic,
            (_, _) => Mode::X2Apic,
        }
    }

    pub(super) const fn address(self) -> GuestPhysAddr {
        GuestPhysAddr(self.0 & Self::ADDRESS)
    }
}
