//! How a vCPU comes to be, how it is reset, and what its VMCS holds then.

use super::{FixedBits, SWITCHED, VmxCpu};
use crate::arch::x86_64::event::Window;
use crate::arch::x86_64::fpu::ExtendedState;
use crate::arch::x86_64::insn::virt as insn;
use crate::arch::x86_64::insn::virt::Launch;
use crate::arch::x86_64::register::{Segment, cr0, cr4, general};
use crate::arch::x86_64::space::{Tag, Translation};
use crate::arch::x86_64::start::Start;
use crate::arch::x86_64::vcpu::debug::DebugAddresses;
use crate::arch::x86_64::vcpu::initial::{self, Initial};
use crate::arch::x86_64::vcpu::registers::Registers;
use crate::arch::x86_64::vcpu::trail::Trail;
use crate::arch::x86_64::vcpu::tsc::GuestTsc;
use crate::arch::x86_64::vmx::bitmap;
use crate::arch::x86_64::vmx::control::Group;
use crate::arch::x86_64::vmx::host::{self, Setup};
use crate::arch::x86_64::vmx::vmcs::{control, guest};
use crate::ram::GuestFrames;
use alloc::sync::Arc;

/// As for SVM: #MC is the host's, and #DB and #AC must not be delivered for ever.
const EXCEPTIONS: u64 = 1 << 1 | 1 << 17 | 1 << 18;
/// Bits of CR4 that the guest changes without an exit, as far as the CPU lets it: those that every CPU with VMX has. MCE is the
/// host's.
const GUESTS_CR4: u64 = cr4::VME
    | cr4::PVI
    | cr4::TSD
    | cr4::DE
    | cr4::PSE
    | cr4::PAE
    | cr4::PGE
    | cr4::OSFXSR
    | cr4::OSXMMEXCPT;
/// Ticks between the PAUSEs of a loop at most, and how long a loop may be.
const PAUSE_GAP: u64 = 128;
const PAUSE_WINDOW: u64 = 4096;

/// The bits of a control register that are not the guest's: it reads what it has written, and the CPU has what it needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Masked {
    /// A write that would change one of these exits.
    pub(super) mask: u64,
    fixed: FixedBits,
    /// Bits that are clear, whatever the guest has written.
    clear: u64,
    /// Bits that are set.
    set: u64,
}

impl Masked {
    /// CR0. CD and NW would switch the caches of the physical CPU off, the host's time included: neither entries nor exits
    /// change them (27.3.2.1).
    pub(super) fn cr0(setup: &Setup) -> Self {
        let fixed = setup.capabilities.guest_cr0();
        let clear = cr0::CD | cr0::NW;
        Self { mask: fixed.fixed() | clear, fixed, clear, set: 0 }
    }

    /// CR4. Without MCE, a machine check in a guest would shut the machine down.
    pub(super) fn cr4(setup: &Setup) -> Self {
        let fixed = setup.capabilities.cr4();
        Self { mask: fixed.fixed() | !GUESTS_CR4, fixed, clear: 0, set: cr4::MCE }
    }

    /// What the register holds when the guest has written `value`.
    pub(super) fn held(self, value: u64) -> u64 {
        self.fixed.apply(value & !self.clear | self.set)
    }

    /// What the guest reads.
    pub(super) fn seen(self, held: u64, shadow: u64) -> u64 {
        held & !self.mask | shadow & self.mask
    }
}

impl VmxCpu {
    /// A vCPU that is off: see [`Self::reset`]. `None` if there is no memory.
    pub(in crate::arch::x86_64) fn new(
        translation: Translation,
        frames: Arc<GuestFrames>,
        setup: Setup,
    ) -> Option<Self> {
        let mut cpu = Self {
            registers: Registers::default(),
            region: host::region(&setup.capabilities)?,
            launch: Launch::First,
            rip: 0,
            pending: None,
            window: Window::Closed,
            setup,
            trail: Trail::default(),
            tag: Tag::default(),
            translation,
            frames,
            extended: ExtendedState::new()?,
            debug: DebugAddresses::default(),
            dr6: initial::DR6,
            cr2: 0,
            switched: [0; SWITCHED.len()],
            tsc: GuestTsc::default(),
            tsc_aux: 0,
            initial: None,
            host_of: 0,
        };
        cpu.reset(Start::startup(0));
        Some(cpu)
    }

    /// Goes to the state after a reset, about to start so. It is not loaded, so the VMCS has to wait.
    pub(in crate::arch::x86_64) fn reset(&mut self, start: Start) {
        let initial = Initial::new(start);
        self.registers = Registers::default();
        for (index, value) in [
            (general::RAX, initial.rax),
            (general::RBX, initial.rbx),
            (general::RDX, initial.rdx),
            (general::RSI, initial.rsi),
        ] {
            self.registers.set(index, value);
        }
        self.rip = initial.rip;
        self.pending = None;
        self.window = Window::Closed;
        self.trail = Trail::default();
        self.extended.reset();
        self.debug = DebugAddresses::default();
        self.dr6 = initial::DR6;
        self.cr2 = 0;
        self.switched = [0; SWITCHED.len()];
        self.tsc = GuestTsc::default();
        self.tsc_aux = 0;
        self.initial = Some(initial);
    }

    pub(super) fn write_controls(&self) {
        let Setup { capabilities, controls, .. } = &self.setup;
        let [io_a, io_b] = bitmap::io();
        let value = |group| u64::from(controls.value(group));
        for (field, value) in [
            (control::PIN, value(Group::Pin)),
            (control::PRIMARY, value(Group::Primary)),
            (control::SECONDARY, value(Group::Secondary)),
            (control::EXIT, value(Group::Exit)),
            (control::ENTRY, value(Group::Entry)),
            (control::EXCEPTIONS, EXCEPTIONS),
            (control::PAGE_FAULT_MASK, 0),
            (control::PAGE_FAULT_MATCH, 0),
            (control::CR3_TARGETS, 0),
            (control::EXIT_MSR_STORES, 0),
            (control::EXIT_MSR_LOADS, 0),
            (control::ENTRY_MSR_LOADS, 0),
            (control::ENTRY_EVENT, 0),
            (control::IO_BITMAP_A, io_a),
            (control::IO_BITMAP_B, io_b),
            (control::MSR_BITMAPS, bitmap::msrs()),
            (control::EPT_POINTER, capabilities.ept_pointer(self.translation.0)),
            (control::CR0_MASK, Masked::cr0(&self.setup).mask),
            (control::CR4_MASK, Masked::cr4(&self.setup).mask),
        ] {
            insn::vmwrite(field, value);
        }
        if controls.has(super::Control::PAUSE_LOOP_EXITING) {
            insn::vmwrite(control::PAUSE_GAP, PAUSE_GAP);
            insn::vmwrite(control::PAUSE_WINDOW, PAUSE_WINDOW);
        }
    }

    pub(super) fn write_state(&self, initial: &Initial) {
        for (index, segment) in (0..).zip(initial.segments) {
            write_segment(index, segment);
        }
        for (field, value) in [
            (guest::GDTR_BASE, initial.gdtr.0),
            (guest::GDTR_LIMIT, u64::from(initial.gdtr.1)),
            (guest::IDTR_BASE, initial.idtr.0),
            (guest::IDTR_LIMIT, u64::from(initial.idtr.1)),
            (guest::CR3, initial.cr3),
            (guest::PAT, initial::PAT),
            (guest::EFER, initial.efer),
            (guest::DR7, initial::DR7),
            (guest::RSP, 0),
            (guest::RIP, initial.rip),
            (guest::RFLAGS, initial.rflags),
            (guest::LINK, u64::MAX),
            (guest::DEBUGCTL, 0),
            (guest::INTERRUPTIBILITY, 0),
            (guest::ACTIVITY, 0),
            (guest::PENDING_DEBUG, 0),
            (guest::SYSENTER_CS, 0),
            (guest::SYSENTER_ESP, 0),
            (guest::SYSENTER_EIP, 0),
        ] {
            insn::vmwrite(field, value);
        }
        self.write_cr4(initial.cr4);
        self.write_cr0(initial.cr0);
    }
}

/// Bit 16 of access rights: the register is unusable (25.4.1).
const UNUSABLE: u64 = 1 << 16;

/// Writes segment register `index`. Access rights have bits 55:52 of a descriptor in 15:12, where we have them in 11:8.
fn write_segment(index: u32, segment: Segment) {
    for (field, value) in [
        (guest::SELECTORS, u64::from(segment.selector)),
        (guest::LIMITS, u64::from(segment.limit)),
        (guest::ACCESS_RIGHTS, access_rights(segment.attributes)),
        (guest::BASES, segment.base),
    ] {
        insn::vmwrite(field + 2 * index, value);
    }
}

/// Access rights of a segment with these attributes.
fn access_rights(attributes: u16) -> u64 {
    const PRESENT: u16 = 1 << 7;
    let attributes = u64::from(attributes) & 0xff | (u64::from(attributes) & 0xf00) << 4;
    if attributes & u64::from(PRESENT) == 0 { attributes | UNUSABLE } else { attributes }
}

/// What segment register `index` holds. One that is unusable is not present.
pub(super) fn read_segment(index: u32) -> Segment {
    let read = |field| insn::vmread(field + 2 * index);
    Segment {
        selector: read(guest::SELECTORS) as u16,
        attributes: attributes(read(guest::ACCESS_RIGHTS)),
        limit: read(guest::LIMITS) as u32,
        base: read(guest::BASES),
    }
}

fn attributes(access_rights: u64) -> u16 {
    if access_rights & UNUSABLE != 0 {
        return 0;
    }
    (access_rights & 0xff | access_rights >> 4 & 0xf00) as u16
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::arch::x86_64::vmx::capability::Capabilities;
    use crate::arch::x86_64::vmx::capability::tests::haswell;
    use crate::arch::x86_64::vmx::control::Controls;

    pub(in crate::arch::x86_64::vmx::cpu) fn setup() -> Setup {
        let capabilities = Capabilities::read(haswell);
        let controls = Controls::new(&capabilities).unwrap();
        Setup { capabilities, controls, has_tsc_aux: true }
    }

    #[test]
    fn attributes_survive_the_way_to_access_rights_and_back() {
        for present in (0..=0xfff).filter(|attributes: &u16| attributes & 0x80 != 0) {
            assert_eq!(attributes(access_rights(present)), present);
        }
        assert_eq!(access_rights(0xa9b), 0xa09b);
        assert_eq!(access_rights(0xc93), 0xc093);
        assert_eq!(access_rights(0), UNUSABLE);
        assert_eq!(attributes(UNUSABLE | 0xc093), 0);
    }

    #[test]
    fn a_guest_cannot_switch_the_caches_off_or_numeric_errors() {
        let masked = Masked::cr0(&setup());
        let written = cr0::ET | cr0::CD | cr0::NW | cr0::PE;
        assert_eq!(masked.held(written), cr0::ET | cr0::PE | cr0::NE);
        assert_eq!(masked.seen(masked.held(written), written), written);
        assert_eq!(masked.mask & (cr0::PE | cr0::PG | cr0::TS | cr0::WP), 0, "its own");
    }

    #[test]
    fn a_guest_sees_neither_vmx_nor_the_hosts_machine_checks() {
        let masked = Masked::cr4(&setup());
        let written = cr4::PAE | cr4::PGE;
        assert_eq!(masked.held(written), written | cr4::VMXE | cr4::MCE);
        assert_eq!(masked.seen(masked.held(written), written), written);
        assert_eq!(masked.mask & cr4::VMXE, cr4::VMXE);
        assert_eq!(masked.mask & GUESTS_CR4, 0);
    }
}
