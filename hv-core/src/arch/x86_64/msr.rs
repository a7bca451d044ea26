//! Numbers of the model-specific registers that the vCPU itself knows. Intel SDM vol. 4; AMD APM vol. 2, appendix A.

/// `IA32_PAT`.
pub(super) const PAT: u32 = 0x277;
/// `IA32_SYSENTER_CS`.
pub(super) const SYSENTER_CS: u32 = 0x174;
/// `IA32_SYSENTER_ESP`.
pub(super) const SYSENTER_ESP: u32 = 0x175;
/// `IA32_SYSENTER_EIP`.
pub(super) const SYSENTER_EIP: u32 = 0x176;
/// EFER.
pub(super) const EFER: u32 = 0xc000_0080;
/// STAR.
pub(super) const STAR: u32 = 0xc000_0081;
/// LSTAR.
pub(super) const LSTAR: u32 = 0xc000_0082;
/// CSTAR.
pub(super) const CSTAR: u32 = 0xc000_0083;
/// SFMASK.
pub(super) const SYSCALL_MASK: u32 = 0xc000_0084;
/// The base of FS.
pub(super) const FS_BASE: u32 = 0xc000_0100;
/// The base of GS.
pub(super) const GS_BASE: u32 = 0xc000_0101;
/// What SWAPGS exchanges it with.
pub(super) const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// What RDTSCP and RDPID read.
pub(super) const TSC_AUX: u32 = 0xc000_0103;
/// `VM_CR`.
pub(super) const VM_CR: u32 = 0xc001_0114;
/// `VM_HSAVE_PA`.
pub(super) const VM_HSAVE_PA: u32 = 0xc001_0117;

/// What guests read and write without an exit: it changes hands with the vCPU, and any value is harmless to others.
pub(super) const GUESTS_OWN: [u32; 10] = [
    SYSENTER_CS,
    SYSENTER_ESP,
    SYSENTER_EIP,
    STAR,
    LSTAR,
    CSTAR,
    SYSCALL_MASK,
    FS_BASE,
    GS_BASE,
    KERNEL_GS_BASE,
];

/// Whether the CPU has [`TSC_AUX`]: RDTSCP, or RDPID.
pub(super) fn has_tsc_aux(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> bool {
    const RDTSCP: u32 = 1 << 27;
    const EXTENDED: u32 = 0x8000_0000;
    cpuid(EXTENDED, 0)[0] > EXTENDED && cpuid(EXTENDED + 1, 0)[3] & RDTSCP != 0
}
