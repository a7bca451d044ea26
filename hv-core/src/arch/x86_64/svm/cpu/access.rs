//! The guest's registers, as they are in the VMCB, or in the CPU.

use super::{SHADOW, SvmCpu};
use crate::arch::x86_64::insn as host_insn;
use crate::arch::x86_64::insn::virt as insn;
use crate::arch::x86_64::msr;
use crate::arch::x86_64::register::{Segment, SegmentName, SystemRegister, cr0, efer};
use crate::arch::x86_64::svm::code::Code;
use crate::arch::x86_64::svm::length::CodeSize;
use crate::arch::x86_64::svm::vmcb::{self, Group, Vmcb};
use crate::arch::x86_64::vcpu::tsc::GuestTsc;
use crate::arch::x86_64::walk::{self, Paging, Purpose};
use crate::guest::{GuestMemory, GuestPhysAddr};
use crate::vcpu::RegisterDump;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl SvmCpu {
    #[inline]
    pub(in crate::arch::x86_64) fn rip(&self) -> u64 {
        self.vmcb().state.rip
    }

    #[inline]
    pub(in crate::arch::x86_64) fn set_rip(&mut self, value: u64) {
        let Vmcb { control, state } = &mut self.block.get_mut().vmcb;
        state.rip = value;
        control.interrupt_shadow &= !SHADOW;
        if self.nmi.is_in_shadow() {
            self.leave_shadow();
        }
    }

    pub(in crate::arch::x86_64) fn rflags(&self) -> u64 {
        self.vmcb().state.rflags
    }

    pub(in crate::arch::x86_64) fn set_rflags(&mut self, value: u64) {
        self.block.get_mut().vmcb.state.rflags = value;
    }

    pub(in crate::arch::x86_64) fn segment(&self, name: SegmentName) -> Segment {
        if matches!(name, SegmentName::Fs | SegmentName::Gs | SegmentName::Ldtr | SegmentName::Tr) {
            self.sync();
        }
        let state = &self.vmcb().state;
        let vmcb::Segment { selector, attributes, limit, base } = match name {
            SegmentName::Es => state.es,
            SegmentName::Cs => state.cs,
            SegmentName::Ss => state.ss,
            SegmentName::Ds => state.ds,
            SegmentName::Fs => state.fs,
            SegmentName::Gs => state.gs,
            SegmentName::Ldtr => state.ldtr,
            SegmentName::Tr => state.tr,
        };
        Segment { selector, attributes, limit, base }
    }

    pub(in crate::arch::x86_64) fn privilege(&self) -> u8 {
        self.vmcb().state.cpl
    }

    pub(in crate::arch::x86_64) fn system(&self, register: SystemRegister) -> u64 {
        if is_outside(register) {
            self.sync();
        }
        let state = &self.vmcb().state;
        match register {
            SystemRegister::Cr0 => state.cr0,
            SystemRegister::Cr2 => state.cr2,
            SystemRegister::Cr3 => state.cr3,
            SystemRegister::Cr4 => state.cr4,
            SystemRegister::Dr6 => state.dr6,
            SystemRegister::Dr7 => state.dr7,
            SystemRegister::Efer => state.efer & !efer::SVME,
            SystemRegister::Star => state.star,
            SystemRegister::Lstar => state.lstar,
            SystemRegister::Cstar => state.cstar,
            SystemRegister::SyscallMask => state.sfmask,
            SystemRegister::FsBase => state.fs.base,
            SystemRegister::GsBase => state.gs.base,
            SystemRegister::KernelGsBase => state.kernel_gs_base,
            SystemRegister::SysenterCs => state.sysenter_cs,
            SystemRegister::SysenterEsp => state.sysenter_esp,
            SystemRegister::SysenterEip => state.sysenter_eip,
            SystemRegister::Pat => state.g_pat,
            SystemRegister::TscAux => self.tsc_aux,
            SystemRegister::Xcr0 => self.extended.xcr0(),
        }
    }

    pub(in crate::arch::x86_64) fn set_system(&mut self, register: SystemRegister, value: u64) {
        if is_outside(register) {
            self.leave();
        }
        let Vmcb { control, state } = &mut self.block.get_mut().vmcb;
        match register {
            SystemRegister::Cr0 => {
                state.cr0 = value | cr0::ET;
                state.efer = with_active(state.efer, value);
            }
            SystemRegister::Cr2 => state.cr2 = value,
            SystemRegister::Cr3 => state.cr3 = value,
            SystemRegister::Cr4 => state.cr4 = value,
            SystemRegister::Dr6 => state.dr6 = value,
            SystemRegister::Dr7 => state.dr7 = value,
            SystemRegister::Efer => {
                state.efer = with_active(value | efer::SVME, state.cr0);
            }
            SystemRegister::Star => state.star = value,
            SystemRegister::Lstar => state.lstar = value,
            SystemRegister::Cstar => state.cstar = value,
            SystemRegister::SyscallMask => state.sfmask = value,
            SystemRegister::FsBase => state.fs.base = value,
            SystemRegister::GsBase => state.gs.base = value,
            SystemRegister::KernelGsBase => state.kernel_gs_base = value,
            SystemRegister::SysenterCs => state.sysenter_cs = value,
            SystemRegister::SysenterEsp => state.sysenter_esp = value,
            SystemRegister::SysenterEip => state.sysenter_eip = value,
            SystemRegister::Pat => state.g_pat = value,
            SystemRegister::TscAux => {
                self.tsc_aux = value;
                if self.features.has_tsc_aux {
                    host_insn::wrmsr(msr::TSC_AUX, value);
                }
            }
            SystemRegister::Xcr0 => self.extended.set_xcr0(value),
        }
        for group in [
            Group::ControlRegisters,
            Group::Cr2,
            Group::DebugRegisters,
            Group::Segments,
            Group::NestedPaging,
        ] {
            control.clean.dirty(group);
        }
    }

    #[inline]
    pub(in crate::arch::x86_64) fn pc(&self) -> u64 {
        let state = &self.vmcb().state;
        if self.code_size() == CodeSize::Long {
            state.rip
        } else {
            state.cs.base.wrapping_add(state.rip) & 0xffff_ffff
        }
    }

    pub(in crate::arch::x86_64) fn paging(&self) -> Paging {
        let state = &self.vmcb().state;
        Paging {
            cr0: state.cr0,
            cr3: state.cr3,
            cr4: state.cr4,
            efer: state.efer,
            rflags: state.rflags,
            privilege: state.cpl,
        }
    }

    pub(in crate::arch::x86_64) fn instruction_address(&self) -> Option<GuestPhysAddr> {
        let read = |addr, buf: &mut [u8]| self.frames.read(addr, buf);
        walk::translate(&self.paging(), self.pc(), Purpose::Fetch, read).ok()
    }

    pub(in crate::arch::x86_64) fn guest_tsc(&self) -> GuestTsc {
        self.tsc
    }

    pub(in crate::arch::x86_64) fn set_tsc(&mut self, value: u64) {
        self.tsc.set(value);
        let control = &mut self.block.get_mut().vmcb.control;
        control.tsc_offset = self.tsc.offset();
        control.clean.dirty(Group::Intercepts);
    }

    /// What only SVM has, for a crash record.
    pub(in crate::arch::x86_64) fn describe(&self) -> RegisterDump {
        let control = &self.vmcb().control;
        [
            ("exitcode", control.exit_code),
            ("exitinfo1", control.exit_info1),
            ("exitinfo2", control.exit_info2),
            ("exitintinfo", control.exit_interrupt_info),
            ("eventinj", self.pending),
            ("asid", u64::from(control.asid)),
        ]
        .into_iter()
        .collect()
    }

    pub(in crate::arch::x86_64) fn last_exits(&self) -> Vec<String> {
        let describe = |(rip, code): (u64, u32)| {
            let name = Code::from_exit_code(u64::from(code)).map_or("unknown exit", Code::name);
            format!("{name} at {rip:#x} (exit code {code:#x})")
        };
        self.trail.iter().map(describe).collect()
    }

    /// Base and limit of GDTR and IDTR.
    pub(in crate::arch::x86_64) fn tables(&self) -> [(u64, u32); 2] {
        let state = &self.vmcb().state;
        [state.gdtr, state.idtr].map(|table| (table.base, table.limit))
    }
}

/// Whether VMLOAD takes it.
const fn is_outside(register: SystemRegister) -> bool {
    matches!(
        register,
        SystemRegister::Star
            | SystemRegister::Lstar
            | SystemRegister::Cstar
            | SystemRegister::SyscallMask
            | SystemRegister::FsBase
            | SystemRegister::GsBase
            | SystemRegister::KernelGsBase
            | SystemRegister::SysenterCs
            | SystemRegister::SysenterEsp
            | SystemRegister::SysenterEip
    )
}

/// EFER with LMA as LME and CR0.PG have it (APM vol. 2, 14.6.1).
const fn with_active(value: u64, control: u64) -> u64 {
    if value & efer::LME != 0 && control & cr0::PG != 0 {
        value | efer::LMA
    } else {
        value & !efer::LMA
    }
}
