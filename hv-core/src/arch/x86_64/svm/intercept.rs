//! Bits of the intercept fields at 0x00c and 0x010 of a VMCB. AMD APM vol. 2, appendix B, table B-1.

/// Field 0x00c: INTR, NMI, SMI, INIT, VINTR.
pub const INTERRUPT: u32 = 1;
/// NMI.
pub const NMI: u32 = 1 << 1;
/// INIT.
pub const INIT: u32 = 1 << 3;
/// A virtual interrupt can be taken.
pub const VIRTUAL_INTERRUPT: u32 = 1 << 4;
/// RDPMC.
pub const RDPMC: u32 = 1 << 15;
/// CPUID.
pub const CPUID: u32 = 1 << 18;
/// RSM.
pub const RSM: u32 = 1 << 19;
/// IRET.
pub const IRET: u32 = 1 << 20;
/// INVD.
pub const INVD: u32 = 1 << 22;
/// PAUSE.
pub const PAUSE: u32 = 1 << 23;
/// HLT.
pub const HLT: u32 = 1 << 24;
/// INVLPGA.
pub const INVLPGA: u32 = 1 << 26;
/// I/O instructions, by the permission map.
pub const IO: u32 = 1 << 27;
/// RDMSR and WRMSR, by the permission map.
pub const MSR: u32 = 1 << 28;
/// Task switches.
pub const TASK_SWITCH: u32 = 1 << 29;
/// Shutdown: a triple fault.
pub const SHUTDOWN: u32 = 1 << 31;

/// Field 0x010: VMRUN, which must be intercepted (15.5.1).
pub const VMRUN: u32 = 1;
/// VMMCALL.
pub const VMMCALL: u32 = 1 << 1;
/// VMLOAD.
pub const VMLOAD: u32 = 1 << 2;
/// VMSAVE.
pub const VMSAVE: u32 = 1 << 3;
/// STGI.
pub const STGI: u32 = 1 << 4;
/// CLGI.
pub const CLGI: u32 = 1 << 5;
/// SKINIT.
pub const SKINIT: u32 = 1 << 6;
/// WBINVD.
pub const WBINVD: u32 = 1 << 9;
/// MONITOR.
pub const MONITOR: u32 = 1 << 10;
/// MWAIT.
pub const MWAIT: u32 = 1 << 11;
/// XSETBV. QEMU 7.2 does not have it: hide XSAVE there, or save XCR0 around the guest.
pub const XSETBV: u32 = 1 << 13;
/// RDPRU.
pub const RDPRU: u32 = 1 << 14;

/// What Roost intercepts, of field 0x00c.
pub const FIRST: u32 = INTERRUPT
    | NMI
    | INIT
    | RDPMC
    | CPUID
    | RSM
    | INVD
    | PAUSE
    | HLT
    | INVLPGA
    | IO
    | MSR
    | TASK_SWITCH
    | SHUTDOWN;
/// What Roost intercepts, of field 0x010.
pub const SECOND: u32 = VMRUN
    | VMMCALL
    | VMLOAD
    | VMSAVE
    | STGI
    | CLGI
    | SKINIT
    | WBINVD
    | MONITOR
    | MWAIT
    | XSETBV
    | RDPRU;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vmrun_is_intercepted_as_it_must_be() {
        assert_eq!(SECOND & VMRUN, 1);
    }
}
