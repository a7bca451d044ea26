//! Encodings of the fields of a VMCS that Roost writes. Intel SDM vol. 3C, appendix B. Those that tell of an exit are in
//! [`field`](super::field).

/// Control fields.
pub mod control {
    /// Virtual-processor identifier.
    pub const VPID: u32 = 0x0000;
    /// Address of I/O bitmap A, of ports up to 0x7fff.
    pub const IO_BITMAP_A: u32 = 0x2000;
    /// Address of I/O bitmap B.
    pub const IO_BITMAP_B: u32 = 0x2002;
    /// Address of the MSR bitmaps.
    pub const MSR_BITMAPS: u32 = 0x2004;
    /// TSC offset.
    pub const TSC_OFFSET: u32 = 0x2010;
    /// EPT pointer.
    pub const EPT_POINTER: u32 = 0x201a;
    /// Pin-based VM-execution controls.
    pub const PIN: u32 = 0x4000;
    /// Primary processor-based VM-execution controls.
    pub const PRIMARY: u32 = 0x4002;
    /// Exception bitmap.
    pub const EXCEPTIONS: u32 = 0x4004;
    /// Page-fault error-code mask.
    pub const PAGE_FAULT_MASK: u32 = 0x4006;
    /// Page-fault error-code match.
    pub const PAGE_FAULT_MATCH: u32 = 0x4008;
    /// CR3-target count.
    pub const CR3_TARGETS: u32 = 0x400a;
    /// VM-exit controls.
    pub const EXIT: u32 = 0x400c;
    /// VM-exit MSR-store count.
    pub const EXIT_MSR_STORES: u32 = 0x400e;
    /// VM-exit MSR-load count.
    pub const EXIT_MSR_LOADS: u32 = 0x4010;
    /// VM-entry controls.
    pub const ENTRY: u32 = 0x4012;
    /// VM-entry MSR-load count.
    pub const ENTRY_MSR_LOADS: u32 = 0x4014;
    /// VM-entry interruption-information field.
    pub const ENTRY_EVENT: u32 = 0x4016;
    /// VM-entry exception error code.
    pub const ENTRY_ERROR_CODE: u32 = 0x4018;
    /// Secondary processor-based VM-execution controls.
    pub const SECONDARY: u32 = 0x401e;
    /// PLE gap.
    pub const PAUSE_GAP: u32 = 0x4020;
    /// PLE window.
    pub const PAUSE_WINDOW: u32 = 0x4022;
    /// CR0 guest/host mask.
    pub const CR0_MASK: u32 = 0x6000;
    /// CR4 guest/host mask.
    pub const CR4_MASK: u32 = 0x6002;
    /// CR0 read shadow.
    pub const CR0_SHADOW: u32 = 0x6004;
    /// CR4 read shadow.
    pub const CR4_SHADOW: u32 = 0x6006;
}

/// Guest-state fields.
pub mod guest {
    /// The selector of ES; those of the other segment registers follow, two apart, in the order of encodings, LDTR and TR last.
    pub const SELECTORS: u32 = 0x0800;
    /// VMCS link pointer.
    pub const LINK: u32 = 0x2800;
    /// `IA32_DEBUGCTL`.
    pub const DEBUGCTL: u32 = 0x2802;
    /// `IA32_PAT`.
    pub const PAT: u32 = 0x2804;
    /// `IA32_EFER`.
    pub const EFER: u32 = 0x2806;
    /// The first of four PDPTEs, two apart.
    pub const PDPTE: u32 = 0x280a;
    /// The limit of ES; as for the selectors.
    pub const LIMITS: u32 = 0x4800;
    /// Limit of GDTR.
    pub const GDTR_LIMIT: u32 = 0x4810;
    /// Limit of IDTR.
    pub const IDTR_LIMIT: u32 = 0x4812;
    /// The access rights of ES; as for the selectors.
    pub const ACCESS_RIGHTS: u32 = 0x4814;
    /// The access rights of CS.
    pub const CS_ACCESS_RIGHTS: u32 = ACCESS_RIGHTS + 2;
    /// The access rights of SS.
    pub const SS_ACCESS_RIGHTS: u32 = ACCESS_RIGHTS + 4;
    /// Interruptibility state.
    pub const INTERRUPTIBILITY: u32 = 0x4824;
    /// Activity state.
    pub const ACTIVITY: u32 = 0x4826;
    /// `IA32_SYSENTER_CS`.
    pub const SYSENTER_CS: u32 = 0x482a;
    /// CR0.
    pub const CR0: u32 = 0x6800;
    /// CR3.
    pub const CR3: u32 = 0x6802;
    /// CR4.
    pub const CR4: u32 = 0x6804;
    /// The base of ES; as for the selectors.
    pub const BASES: u32 = 0x6806;
    /// The base of CS.
    pub const CS_BASE: u32 = BASES + 2;
    /// The base of FS.
    pub const FS_BASE: u32 = BASES + 8;
    /// The base of GS.
    pub const GS_BASE: u32 = BASES + 10;
    /// Base of GDTR.
    pub const GDTR_BASE: u32 = 0x6816;
    /// Base of IDTR.
    pub const IDTR_BASE: u32 = 0x6818;
    /// DR7.
    pub const DR7: u32 = 0x681a;
    /// RSP.
    pub const RSP: u32 = 0x681c;
    /// RIP.
    pub const RIP: u32 = 0x681e;
    /// RFLAGS.
    pub const RFLAGS: u32 = 0x6820;
    /// Pending debug exceptions.
    pub const PENDING_DEBUG: u32 = 0x6822;
    /// `IA32_SYSENTER_ESP`.
    pub const SYSENTER_ESP: u32 = 0x6824;
    /// `IA32_SYSENTER_EIP`.
    pub const SYSENTER_EIP: u32 = 0x6826;
}

/// Host-state fields.
pub mod host {
    /// Selector of ES.
    pub const ES: u32 = 0x0c00;
    /// Selector of CS.
    pub const CS: u32 = 0x0c02;
    /// Selector of SS.
    pub const SS: u32 = 0x0c04;
    /// Selector of DS.
    pub const DS: u32 = 0x0c06;
    /// Selector of FS.
    pub const FS: u32 = 0x0c08;
    /// Selector of GS.
    pub const GS: u32 = 0x0c0a;
    /// Selector of TR.
    pub const TR: u32 = 0x0c0c;
    /// `IA32_PAT`.
    pub const PAT: u32 = 0x2c00;
    /// `IA32_EFER`.
    pub const EFER: u32 = 0x2c02;
    /// `IA32_SYSENTER_CS`.
    pub const SYSENTER_CS: u32 = 0x4c00;
    /// CR0.
    pub const CR0: u32 = 0x6c00;
    /// CR3.
    pub const CR3: u32 = 0x6c02;
    /// CR4.
    pub const CR4: u32 = 0x6c04;
    /// Base of FS.
    pub const FS_BASE: u32 = 0x6c06;
    /// Base of GS.
    pub const GS_BASE: u32 = 0x6c08;
    /// Base of TR.
    pub const TR_BASE: u32 = 0x6c0a;
    /// Base of GDTR.
    pub const GDTR_BASE: u32 = 0x6c0c;
    /// Base of IDTR.
    pub const IDTR_BASE: u32 = 0x6c0e;
    /// `IA32_SYSENTER_ESP`.
    pub const SYSENTER_ESP: u32 = 0x6c10;
    /// `IA32_SYSENTER_EIP`.
    pub const SYSENTER_EIP: u32 = 0x6c12;
    /// RSP.
    pub const RSP: u32 = 0x6c14;
    /// RIP.
    pub const RIP: u32 = 0x6c16;
}
