//! The virtual machine control block. AMD APM vol. 2, appendix B: control area (table B-1) and state save area (table B-2).
//!
//! It is plain data: the world switch copies nothing, the CPU reads and writes it in place. A CPU with VMCB clean bits
//! (15.15) remembers what is marked clean, so whoever changes a field marks its group as [`Clean::dirty`].

use core::mem::{offset_of, size_of};

/// A segment register. Its attributes are bits 55:52 and 47:40 of a descriptor, in that order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Attributes.
    pub attributes: u16,
    /// Limit in bytes, already expanded.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

/// Groups of fields that a CPU may remember (15.15.3); the number is the bit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Group {
    /// Intercepts, TSC offset, pause filter.
    Intercepts = 0,
    /// Addresses of the permission maps.
    PermissionMaps = 1,
    /// ASID.
    Asid = 2,
    /// `V_TPR`, `V_IRQ` and their neighbours.
    VirtualInterrupt = 3,
    /// Nested paging: `NP_ENABLE`, `N_CR3`, `G_PAT`.
    NestedPaging = 4,
    /// CR0, CR3, CR4, EFER.
    ControlRegisters = 5,
    /// DR6, DR7.
    DebugRegisters = 6,
    /// GDT, IDT.
    DescriptorTables = 7,
    /// CS, DS, SS, ES, CPL.
    Segments = 8,
    /// CR2.
    Cr2 = 9,
    /// Last-branch records.
    Branches = 10,
    /// AVIC.
    Avic = 11,
    /// Shadow stacks.
    ShadowStack = 12,
}

/// The VMCB clean field.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(transparent)]
pub struct Clean(u32);

impl Clean {
    /// Everything is to be read again: after the vCPU ran on another CPU, or its VMCB is at another address.
    pub const NONE: Self = Self(0);
    /// Nothing has changed since the last exit. CPUs without clean bits ignore it.
    pub const ALL: Self = Self(0x1fff);

    /// Something in this group was changed.
    pub const fn dirty(&mut self, group: Group) {
        self.0 &= !(1 << group as u8);
    }

    /// Whether nothing in this group was changed.
    #[must_use]
    pub const fn is_clean(self, group: Group) -> bool {
        self.0 & 1 << group as u8 != 0
    }
}

/// What VMRUN forgets of the TLB: `TLB_CONTROL` (15.16.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum TlbControl {
    /// Nothing.
    Nothing = 0,
    /// All, of all ASIDs: for CPUs that know no other.
    All = 1,
    /// This guest's; with "flush by ASID" only.
    Guest = 3,
    /// This guest's but for global pages; with "flush by ASID" only.
    GuestNonGlobal = 7,
}

/// The control area.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Control {
    /// Intercepts of reads of CR0 to CR15.
    pub control_reads: u16,
    /// Intercepts of writes of CR0 to CR15.
    pub control_writes: u16,
    /// Intercepts of reads of DR0 to DR15.
    pub debug_reads: u16,
    /// Intercepts of writes of DR0 to DR15.
    pub debug_writes: u16,
    /// Intercepts of exceptions, by vector.
    pub exceptions: u32,
    /// [`FIRST`](super::intercept::FIRST) and its neighbours.
    pub intercepts_first: u32,
    /// [`SECOND`](super::intercept::SECOND) and its neighbours.
    pub intercepts_second: u32,
    /// INVLPGB, INVPCID, MCOMMIT, TLBSYNC.
    pub intercepts_third: u32,
    reserved_018: [u8; 0x24],
    /// PAUSEs nearer to each other than so many ticks count as one loop.
    pub pause_threshold: u16,
    /// So many PAUSEs of one loop pass before one exits.
    pub pause_count: u16,
    /// Physical address of the I/O permission map.
    pub io_map: u64,
    /// Physical address of the MSR permission map.
    pub msr_map: u64,
    /// What is added to the TSC.
    pub tsc_offset: u64,
    /// Address space identifier; not 0.
    pub asid: u32,
    /// [`TlbControl`].
    pub tlb_control: u8,
    reserved_05d: [u8; 3],
    /// [`virtual_interrupt`](super::virtual_interrupt).
    pub virtual_interrupt: u64,
    /// Bit 0: the guest is in an interrupt shadow. QEMU 7.2 saves it, and loads that of the host: see virt.S.
    pub interrupt_shadow: u64,
    /// Why the guest exited.
    pub exit_code: u64,
    /// More about it.
    pub exit_info1: u64,
    /// More about it.
    pub exit_info2: u64,
    /// The event whose delivery the exit interrupted.
    pub exit_interrupt_info: u64,
    /// Bit 0: nested paging.
    pub nested_paging: u64,
    avic_base: u64,
    ghcb: u64,
    /// The event that VMRUN delivers.
    pub event_injection: u64,
    /// The root of the nested page tables.
    pub nested_cr3: u64,
    /// Bit 0: last-branch records; bit 1: virtualized VMLOAD and VMSAVE.
    pub branch_virtualization: u64,
    /// What has not changed.
    pub clean: Clean,
    reserved_0c4: u32,
    /// The address of the next instruction; 0 where the CPU does not save it, as on QEMU 7.2.
    pub next_rip: u64,
    /// How many bytes of the instruction were fetched; with decode assists only.
    pub fetched_bytes: u8,
    /// The instruction; with decode assists only.
    pub instruction: [u8; 15],
    avic_page: u64,
    reserved_0e8: u64,
    avic_logical: u64,
    avic_physical: u64,
    reserved_100: u64,
    vmsa: u64,
    reserved_110: [u8; 0x2f0],
}

/// The state save area.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
#[expect(missing_docs, reason = "registers have the manual's names")]
pub struct State {
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub gdtr: Segment,
    pub ldtr: Segment,
    pub idtr: Segment,
    pub tr: Segment,
    reserved_0a0: [u8; 0x2b],
    pub cpl: u8,
    reserved_0cc: u32,
    pub efer: u64,
    reserved_0d8: [u64; 14],
    pub cr4: u64,
    pub cr3: u64,
    pub cr0: u64,
    pub dr7: u64,
    pub dr6: u64,
    pub rflags: u64,
    pub rip: u64,
    reserved_180: [u64; 11],
    pub rsp: u64,
    pub s_cet: u64,
    pub ssp: u64,
    pub isst_addr: u64,
    pub rax: u64,
    pub star: u64,
    pub lstar: u64,
    pub cstar: u64,
    pub sfmask: u64,
    pub kernel_gs_base: u64,
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub cr2: u64,
    reserved_248: [u64; 4],
    pub g_pat: u64,
    pub dbgctl: u64,
    pub br_from: u64,
    pub br_to: u64,
    pub last_exception_from: u64,
    pub last_exception_to: u64,
    reserved_298: [u64; 9],
    pub spec_ctrl: u64,
    reserved_2e8: [u64; 0x23],
    reserved_400: [u64; 0x100],
}

/// A VMCB: one page, at a physical address that is a multiple of its size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C, align(4096))]
pub struct Vmcb {
    /// The control area.
    pub control: Control,
    /// The state save area.
    pub state: State,
}

const _: () = {
    assert!(size_of::<Segment>() == 0x10);
    assert!(offset_of!(Control, exceptions) == 0x008);
    assert!(offset_of!(Control, intercepts_first) == 0x00c);
    assert!(offset_of!(Control, intercepts_second) == 0x010);
    assert!(offset_of!(Control, pause_threshold) == 0x03c);
    assert!(offset_of!(Control, pause_count) == 0x03e);
    assert!(offset_of!(Control, io_map) == 0x040);
    assert!(offset_of!(Control, msr_map) == 0x048);
    assert!(offset_of!(Control, tsc_offset) == 0x050);
    assert!(offset_of!(Control, asid) == 0x058);
    assert!(offset_of!(Control, tlb_control) == 0x05c);
    assert!(offset_of!(Control, virtual_interrupt) == 0x060);
    assert!(offset_of!(Control, interrupt_shadow) == 0x068);
    assert!(offset_of!(Control, exit_code) == 0x070);
    assert!(offset_of!(Control, exit_info1) == 0x078);
    assert!(offset_of!(Control, exit_info2) == 0x080);
    assert!(offset_of!(Control, exit_interrupt_info) == 0x088);
    assert!(offset_of!(Control, nested_paging) == 0x090);
    assert!(offset_of!(Control, event_injection) == 0x0a8);
    assert!(offset_of!(Control, nested_cr3) == 0x0b0);
    assert!(offset_of!(Control, branch_virtualization) == 0x0b8);
    assert!(offset_of!(Control, clean) == 0x0c0);
    assert!(offset_of!(Control, next_rip) == 0x0c8);
    assert!(offset_of!(Control, fetched_bytes) == 0x0d0);
    assert!(offset_of!(Control, instruction) == 0x0d1);
    assert!(offset_of!(Control, avic_page) == 0x0e0);
    assert!(offset_of!(Control, avic_logical) == 0x0f0);
    assert!(offset_of!(Control, vmsa) == 0x108);
    assert!(size_of::<Control>() == 0x400);
    assert!(offset_of!(State, cs) == 0x010);
    assert!(offset_of!(State, gdtr) == 0x060);
    assert!(offset_of!(State, tr) == 0x090);
    assert!(offset_of!(State, cpl) == 0x0cb);
    assert!(offset_of!(State, efer) == 0x0d0);
    assert!(offset_of!(State, cr4) == 0x148);
    assert!(offset_of!(State, cr3) == 0x150);
    assert!(offset_of!(State, cr0) == 0x158);
    assert!(offset_of!(State, dr7) == 0x160);
    assert!(offset_of!(State, dr6) == 0x168);
    assert!(offset_of!(State, rflags) == 0x170);
    assert!(offset_of!(State, rip) == 0x178);
    assert!(offset_of!(State, rsp) == 0x1d8);
    assert!(offset_of!(State, rax) == 0x1f8);
    assert!(offset_of!(State, star) == 0x200);
    assert!(offset_of!(State, kernel_gs_base) == 0x220);
    assert!(offset_of!(State, sysenter_eip) == 0x238);
    assert!(offset_of!(State, cr2) == 0x240);
    assert!(offset_of!(State, g_pat) == 0x268);
    assert!(offset_of!(State, dbgctl) == 0x270);
    assert!(offset_of!(State, last_exception_to) == 0x290);
    assert!(offset_of!(State, spec_ctrl) == 0x2e0);
    assert!(offset_of!(Vmcb, state) == 0x400);
    assert!(size_of::<Vmcb>() == 0x1000);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_makes_its_group_dirty_and_no_other() {
        let mut clean = Clean::ALL;
        clean.dirty(Group::ControlRegisters);
        assert!(!clean.is_clean(Group::ControlRegisters));
        assert!(clean.is_clean(Group::NestedPaging) && clean.is_clean(Group::DebugRegisters));
        assert_eq!(clean, Clean(0x1fdf));
        assert!(!Clean::NONE.is_clean(Group::Cr2));
    }
}
