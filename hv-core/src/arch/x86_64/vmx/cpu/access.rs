//! The guest's registers, as they are in the VMCS, or in the CPU. It is loaded.

use super::setup::{self, Masked};
use super::{SHADOW, SWITCHED, VmxCpu};
use crate::arch::x86_64::insn as host_insn;
use crate::arch::x86_64::insn::virt as insn;
use crate::arch::x86_64::msr;
use crate::arch::x86_64::register::{
    Segment, SegmentName, SystemRegister, cr0, cr4, efer, general,
};
use crate::arch::x86_64::vcpu::tsc::GuestTsc;
use crate::arch::x86_64::vmx::control::{Control, Group};
use crate::arch::x86_64::vmx::field::Field;
use crate::arch::x86_64::vmx::reason;
use crate::arch::x86_64::vmx::vmcs::{control, guest};
use crate::arch::x86_64::walk::{self, Paging, Purpose};
use crate::guest::{GuestMemory, GuestPhysAddr};
use crate::vcpu::RegisterDump;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl VmxCpu {
    #[inline]
    pub(in crate::arch::x86_64) fn general(&self, index: u8) -> u64 {
        match index {
            general::RSP => insn::vmread(guest::RSP),
            _ => self.registers.get(index),
        }
    }

    #[inline]
    pub(in crate::arch::x86_64) fn set_general(&mut self, index: u8, value: u64) {
        match index {
            general::RSP => insn::vmwrite(guest::RSP, value),
            _ => self.registers.set(index, value),
        }
    }

    #[inline]
    pub(in crate::arch::x86_64) fn rip(&self) -> u64 {
        self.rip
    }

    #[inline]
    pub(in crate::arch::x86_64) fn set_rip(&mut self, value: u64) {
        insn::vmwrite(guest::RIP, value);
        self.rip = value;
        let state = insn::vmread(guest::INTERRUPTIBILITY);
        if state & SHADOW != 0 {
            insn::vmwrite(guest::INTERRUPTIBILITY, state & !SHADOW);
        }
    }

    pub(in crate::arch::x86_64) fn rflags(&self) -> u64 {
        insn::vmread(guest::RFLAGS)
    }

    pub(in crate::arch::x86_64) fn set_rflags(&mut self, value: u64) {
        insn::vmwrite(guest::RFLAGS, value);
    }

    pub(in crate::arch::x86_64) fn segment(&self, name: SegmentName) -> Segment {
        setup::read_segment(name as u32)
    }

    /// The privilege level is that of SS (25.4.1).
    pub(in crate::arch::x86_64) fn privilege(&self) -> u8 {
        (insn::vmread(guest::SS_ACCESS_RIGHTS) >> 5 & 3) as u8
    }

    /// Whether it executes 64-bit code.
    pub(super) fn is_64_bit(&self) -> bool {
        const LONG: u64 = 1 << 13;
        insn::vmread(guest::EFER) & efer::LMA != 0
            && insn::vmread(guest::CS_ACCESS_RIGHTS) & LONG != 0
    }

    pub(in crate::arch::x86_64) fn system(&self, register: SystemRegister) -> u64 {
        match register {
            SystemRegister::Cr0 => Masked::cr0(&self.setup)
                .seen(insn::vmread(guest::CR0), insn::vmread(control::CR0_SHADOW)),
            SystemRegister::Cr4 => Masked::cr4(&self.setup)
                .seen(insn::vmread(guest::CR4), insn::vmread(control::CR4_SHADOW)),
            SystemRegister::Cr2 => host_insn::cr2::read(),
            SystemRegister::Dr6 => insn::dr6::read(),
            SystemRegister::TscAux => self.tsc_aux,
            SystemRegister::Xcr0 => self.extended.xcr0(),
            SystemRegister::Cr3
            | SystemRegister::Dr7
            | SystemRegister::Efer
            | SystemRegister::FsBase
            | SystemRegister::GsBase
            | SystemRegister::SysenterCs
            | SystemRegister::SysenterEsp
            | SystemRegister::SysenterEip
            | SystemRegister::Pat
            | SystemRegister::Star
            | SystemRegister::Lstar
            | SystemRegister::Cstar
            | SystemRegister::SyscallMask
            | SystemRegister::KernelGsBase => match place(register) {
                Some(Place::Field(field)) => insn::vmread(field),
                Some(Place::Msr(index)) => host_insn::rdmsr(index),
                None => 0,
            },
        }
    }

    pub(in crate::arch::x86_64) fn set_system(&mut self, register: SystemRegister, value: u64) {
        match register {
            SystemRegister::Cr0 => {
                self.write_cr0(value);
                self.write_table_pointers();
            }
            SystemRegister::Cr4 => {
                self.write_cr4(value);
                self.write_table_pointers();
            }
            SystemRegister::Cr3 => {
                insn::vmwrite(guest::CR3, value);
                self.write_table_pointers();
            }
            SystemRegister::Efer => {
                insn::vmwrite(guest::EFER, value);
                self.write_long_mode();
            }
            SystemRegister::Cr2 => host_insn::cr2::write(value),
            SystemRegister::Dr6 => insn::dr6::write(value),
            SystemRegister::TscAux => {
                self.tsc_aux = value;
                if self.setup.has_tsc_aux {
                    host_insn::wrmsr(msr::TSC_AUX, value);
                }
            }
            SystemRegister::Xcr0 => self.extended.set_xcr0(value),
            SystemRegister::Dr7
            | SystemRegister::FsBase
            | SystemRegister::GsBase
            | SystemRegister::SysenterCs
            | SystemRegister::SysenterEsp
            | SystemRegister::SysenterEip
            | SystemRegister::Pat
            | SystemRegister::Star
            | SystemRegister::Lstar
            | SystemRegister::Cstar
            | SystemRegister::SyscallMask
            | SystemRegister::KernelGsBase => match place(register) {
                Some(Place::Field(field)) => insn::vmwrite(field, value),
                Some(Place::Msr(index)) => host_insn::wrmsr(index, value),
                None => {}
            },
        }
    }

    pub(super) fn write_cr0(&self, value: u64) {
        insn::vmwrite(guest::CR0, Masked::cr0(&self.setup).held(value));
        insn::vmwrite(control::CR0_SHADOW, value);
        self.write_long_mode();
    }

    pub(super) fn write_cr4(&self, value: u64) {
        insn::vmwrite(guest::CR4, Masked::cr4(&self.setup).held(value));
        insn::vmwrite(control::CR4_SHADOW, value);
    }

    /// Long mode is active as EFER.LME and CR0.PG have it, and the entry has to be told (27.3.1.1).
    fn write_long_mode(&self) {
        const LONG: u64 = Control::GUEST_64_BIT.mask() as u64;
        let value = insn::vmread(guest::EFER);
        let is_paged = insn::vmread(guest::CR0) & cr0::PG != 0;
        let entry = u64::from(self.setup.controls.value(Group::Entry));
        let (value, entry) = if is_paged && value & efer::LME != 0 {
            (value | efer::LMA, entry | LONG)
        } else {
            (value & !efer::LMA, entry)
        };
        insn::vmwrite(guest::EFER, value);
        insn::vmwrite(control::ENTRY, entry);
    }

    /// With PAE paging, the CPU has the four entries of the root in registers, which MOV to a control register loads, and the
    /// entry takes from the VMCS (27.3.2.4). Where there is no RAM, they are not present.
    fn write_table_pointers(&self) {
        let has = |field, bit| insn::vmread(field) & bit != 0;
        let is_long = has(guest::EFER, efer::LMA);
        if !has(guest::CR0, cr0::PG) || !has(guest::CR4, cr4::PAE) || is_long {
            return;
        }
        let root = GuestPhysAddr(insn::vmread(guest::CR3) & 0xffff_ffe0);
        let mut bytes = [0; 32];
        let _ = self.frames.read(root, &mut bytes);
        let (entries, _) = bytes.as_chunks();
        for (index, entry) in (0..).zip(entries) {
            insn::vmwrite(guest::PDPTE + 2 * index, u64::from_le_bytes(*entry));
        }
    }

    pub(in crate::arch::x86_64) fn pc(&self) -> u64 {
        if self.is_64_bit() {
            self.rip
        } else {
            insn::vmread(guest::CS_BASE).wrapping_add(self.rip) & 0xffff_ffff
        }
    }

    pub(in crate::arch::x86_64) fn paging(&self) -> Paging {
        Paging {
            cr0: insn::vmread(guest::CR0),
            cr3: insn::vmread(guest::CR3),
            cr4: insn::vmread(guest::CR4),
            efer: insn::vmread(guest::EFER),
            rflags: insn::vmread(guest::RFLAGS),
            privilege: self.privilege(),
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
        insn::vmwrite(control::TSC_OFFSET, self.tsc.offset());
    }

    /// What only VMX has, for a crash record.
    pub(in crate::arch::x86_64) fn describe(&self) -> RegisterDump {
        [
            ("reason", Field::Reason as u32),
            ("qualification", Field::Qualification as u32),
            ("interruption", Field::Interruption as u32),
            ("vectoring", Field::Vectoring as u32),
            ("interruptibility", guest::INTERRUPTIBILITY),
            ("activity", guest::ACTIVITY),
            ("vpid", control::VPID),
        ]
        .map(|(name, field)| (name, insn::vmread(field)))
        .into_iter()
        .collect()
    }

    pub(in crate::arch::x86_64) fn last_exits(&self) -> Vec<String> {
        let describe = |(rip, reason): (u64, u32)| {
            format!("{} at {rip:#x} (exit reason {reason:#x})", reason::name(reason))
        };
        self.trail.iter().map(describe).collect()
    }

    /// Base and limit of GDTR and IDTR.
    pub(in crate::arch::x86_64) fn tables(&self) -> [(u64, u32); 2] {
        [(guest::GDTR_BASE, guest::GDTR_LIMIT), (guest::IDTR_BASE, guest::IDTR_LIMIT)]
            .map(|(base, limit)| (insn::vmread(base), insn::vmread(limit) as u32))
    }
}

/// Where a register is while the vCPU is loaded.
enum Place {
    Field(u32),
    Msr(u32),
}

/// Where a register is whose value nothing else depends on.
const fn place(register: SystemRegister) -> Option<Place> {
    let [star, lstar, cstar, syscall_mask, kernel_gs_base] = SWITCHED;
    Some(match register {
        SystemRegister::Cr3 => Place::Field(guest::CR3),
        SystemRegister::Dr7 => Place::Field(guest::DR7),
        SystemRegister::Efer => Place::Field(guest::EFER),
        SystemRegister::FsBase => Place::Field(guest::FS_BASE),
        SystemRegister::GsBase => Place::Field(guest::GS_BASE),
        SystemRegister::SysenterCs => Place::Field(guest::SYSENTER_CS),
        SystemRegister::SysenterEsp => Place::Field(guest::SYSENTER_ESP),
        SystemRegister::SysenterEip => Place::Field(guest::SYSENTER_EIP),
        SystemRegister::Pat => Place::Field(guest::PAT),
        SystemRegister::Star => Place::Msr(star),
        SystemRegister::Lstar => Place::Msr(lstar),
        SystemRegister::Cstar => Place::Msr(cstar),
        SystemRegister::SyscallMask => Place::Msr(syscall_mask),
        SystemRegister::KernelGsBase => Place::Msr(kernel_gs_base),
        SystemRegister::Cr0
        | SystemRegister::Cr2
        | SystemRegister::Cr4
        | SystemRegister::Dr6
        | SystemRegister::TscAux
        | SystemRegister::Xcr0 => return None,
    })
}
