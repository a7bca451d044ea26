//! Instructions of VMX and SVM, and of the state that changes hands with the vCPU.
//!
//! On other targets a VMCS is a map, of the thread that asks, so that tests see what was written to it.

use super::super::vcpu::registers::Registers;

/// Runs the guest until it exits. `vmcb` is the address of its [`Block`](super::super::svm::cpu::Block); that, and everything that
/// VMLOAD takes from it, is this guest's; the global interrupt flag is clear.
#[inline(always)]
pub(in super::super) fn svm_enter(vmcb: u64) {
    on_target!({
        // SAFETY: the stub reads and writes the block; of ours it keeps RBX, RBP and RSP, and all others are declared lost. What
        // the guest does is confined by its nested tables, which map its own RAM only, and by its intercepts.
        unsafe {
            core::arch::asm!("call roost_svm_enter", inout("rax") vmcb => _, out("r12") _, out("r13") _, out("r14") _,
                out("r15") _, clobber_abi("C"));
        }
    } else { let _ = vmcb; });
}

/// Whether the current VMCS was launched since it was cleared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub(in super::super) enum Launch {
    /// It was not.
    First = 0,
    /// It was.
    Again = 1,
}

/// VMLAUNCH or VMRESUME failed: `VM-instruction error` of the VMCS says why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct EntryFailed;

/// Runs the guest of the current VMCS until it exits.
#[inline(always)]
pub(in super::super) fn vmx_enter(
    registers: &mut Registers,
    launch: Launch,
) -> Result<(), EntryFailed> {
    on_target!({
        let failed: u32;
        // SAFETY: as for `svm_enter`, with EPT and the controls of the current VMCS.
        unsafe {
            core::arch::asm!("call roost_vmx_enter", inout("rdi") core::ptr::from_mut(registers) => _,
                inout("esi") launch as u32 => _, lateout("eax") failed, out("r12") _, out("r13") _, out("r14") _,
                out("r15") _, clobber_abi("C"));
        }
        if failed == 0 { Ok(()) } else { Err(EntryFailed) }
    } else { let _ = (registers, launch); Ok(()) })
}

/// Where exits go: the value of `HOST_RIP`.
pub(in super::super) fn vmx_exit_address() -> u64 {
    on_target!({ (super::virt_stubs::roost_vmx_exit as *const ()).addr() as u64 } else { 0 })
}

macro_rules! with_address {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub(in super::super) fn $name(address: u64) {
                on_target!({
                    // SAFETY: the address is that of a VMCB of ours; the registers that change are the guest's, or those
                    // of the host that were saved there.
                    unsafe { core::arch::asm!($asm, in("rax") address, options(nostack)) };
                } else { let _ = address; });
            }
        )*
    };
}

with_address! {
    /// Saves FS, GS, TR, LDTR and what belongs to SYSCALL and SYSENTER in the VMCB at this physical address.
    vmsave = "vmsave rax";
    /// Loads them.
    vmload = "vmload rax";
}

macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub(in super::super) fn $name() {
                on_target!({
                    // SAFETY: it changes whether interrupts are taken, whose handlers touch nothing of their caller's, or
                    // leaves VMX operation.
                    unsafe { core::arch::asm!($asm) };
                } else {});
            }
        )*
    };
}

plain! {
    /// Sets the global interrupt flag: what waits is taken.
    stgi = "stgi";
    /// Clears it: not even NMIs are taken.
    clgi = "clgi";
    /// Leaves VMX operation.
    vmxoff = "vmxoff";
    /// Calls the host's handler of NMIs, whose IRET ends the blocking of NMIs.
    call_nmi_handler = "int 2";
}

/// An instruction of VMX did not do what it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct VmxError;

macro_rules! with_pointer {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            pub(in super::super) fn $name(region: u64) -> Result<(), VmxError> {
                on_target!({
                    let failed: u8;
                    // SAFETY: the CPU gets a region of a VMCS or of VMXON that is ours, and nobody else's.
                    unsafe {
                        core::arch::asm!(concat!($asm, " qword ptr [{}]"), "setbe {}", in(reg) &raw const region,
                            lateout(reg_byte) failed, options(nostack));
                    }
                    if failed == 0 { Ok(()) } else { Err(VmxError) }
                } else { let _ = region; Ok(()) })
            }
        )*
    };
}

with_pointer! {
    /// Enters VMX operation with the VMXON region at this physical address.
    vmxon = "vmxon";
    /// Has the CPU write back the VMCS at this physical address and forget it.
    vmclear = "vmclear";
    /// Makes the VMCS at this physical address the current one.
    vmptrld = "vmptrld";
}

/// Reads a field of the current VMCS.
#[inline(always)]
pub(in super::super) fn vmread(field: u32) -> u64 {
    on_target!({
        let value: u64;
        // SAFETY: reading a field changes nothing.
        unsafe {
            core::arch::asm!("vmread {}, {}", out(reg) value, in(reg) u64::from(field), options(nomem, nostack));
        }
        value
    } else { fake::read(field) })
}

/// Writes a field of the current VMCS.
#[inline(always)]
pub(in super::super) fn vmwrite(field: u32, value: u64) {
    on_target!({
        // SAFETY: what is in a VMCS takes effect at the next entry or exit: `super::super::vmx` makes guests confined, and the
        // host's state that of the host.
        unsafe {
            core::arch::asm!("vmwrite {}, {}", in(reg) u64::from(field), in(reg) value, options(nomem, nostack));
        }
    } else { fake::write(field, value) });
}

macro_rules! invalidations {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            pub(in super::super) fn $name(kind: u64, what: u64) {
                on_target!({
                    let descriptor = [what, 0_u64];
                    // SAFETY: forgetting translations changes no data.
                    unsafe {
                        core::arch::asm!(concat!($asm, " {}, xmmword ptr [{}]"), in(reg) kind, in(reg) &raw const descriptor,
                            options(nostack));
                    }
                } else { let _ = (kind, what); });
            }
        )*
    };
}

invalidations! {
    /// Forgets translations by EPT pointer.
    invept = "invept";
    /// Forgets translations by VPID.
    invvpid = "invvpid";
}

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            #[expect(clippy::allow_attributes, reason = "for some, nothing is there to expect")]
            pub(in super::super) mod $name {
                /// Reads the register.
                #[allow(dead_code, reason = "some registers are only written")]
                pub(in super::super::super) fn read() -> u64 {
                    on_target!({
                        let value: u64;
                        // SAFETY: reading this register changes nothing.
                        unsafe {
                            core::arch::asm!(concat!("mov {}, ", $asm), out(reg) value,
                                options(nomem, nostack, preserves_flags));
                        }
                        value
                    } else { 0 })
                }
                /// Writes the register.
                #[allow(dead_code, reason = "some registers are only read")]
                pub(in super::super::super) fn write(value: u64) {
                    on_target!({
                        // SAFETY: the guest's registers do nothing to the host; of the host's, what is written keeps its
                        // paging as it is.
                        unsafe {
                            core::arch::asm!(concat!("mov ", $asm, ", {}"), in(reg) value, options(nostack, preserves_flags));
                        }
                    } else { let _ = value; });
                }
            }
        )*
    };
}

registers! {
    /// DR0.
    dr0 = "dr0";
    /// DR1.
    dr1 = "dr1";
    /// DR2.
    dr2 = "dr2";
    /// DR3.
    dr3 = "dr3";
    /// DR6.
    dr6 = "dr6";
    /// CS.
    cs = "cs";
    /// SS.
    ss = "ss";
    /// DS.
    ds = "ds";
    /// ES.
    es = "es";
}

/// XCR0.
pub(in super::super) fn xgetbv() -> u64 {
    on_target!({
        let (low, high): (u32, u32);
        // SAFETY: reading XCR0 changes nothing. It is there where XSAVE is: our caller has asked.
        unsafe {
            core::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high,
                options(nomem, nostack, preserves_flags));
        }
        u64::from(high) << 32 | u64::from(low)
    } else { 1 })
}

/// Sets XCR0 to a value that the CPU takes.
pub(in super::super) fn xsetbv(value: u64) {
    on_target!({
        // SAFETY: the host uses none of the state that XCR0 switches.
        unsafe {
            core::arch::asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32,
                options(nomem, nostack, preserves_flags));
        }
    } else { let _ = value; });
}

macro_rules! state {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// The area is the caller's, as long as XCR0 and the instruction want it, aligned to 64 bytes, and holds what the
            /// instruction can load, if it does.
            // UNSAFETY: it is given an address.
            #[expect(unsafe_code)]
            pub(in super::super) unsafe fn $name(area: u64) {
                on_target!({
                    // SAFETY: our caller answers for the area; the host uses none of these registers.
                    unsafe {
                        core::arch::asm!(concat!($asm, " [{}]"), in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX,
                            options(nostack, preserves_flags));
                    }
                } else { let _ = area; });
            }
        )*
    };
}

state! {
    /// Saves all state that XCR0 names.
    xsave = "xsave64";
    /// Loads it.
    xrstor = "xrstor64";
    /// Saves x87 and SSE state.
    fxsave = "fxsave64";
    /// Loads it.
    fxrstor = "fxrstor64";
}

/// Where the host's descriptor tables are, and its task register.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct DescriptorTables {
    pub(in super::super) gdt: u64,
    pub(in super::super) idt: u64,
    pub(in super::super) tr: u16,
}

/// The address of the task-state segment that TR selects, from its descriptor (SDM vol. 3A, 8.2.3).
pub(in super::super) fn task_state(tables: DescriptorTables) -> u64 {
    on_target!({
        let at = tables.gdt + u64::from(tables.tr & !7);
        let descriptor = core::ptr::with_exposed_provenance::<[u64; 2]>(at as usize);
        // SAFETY: TR was loaded from there, so it is a descriptor of 16 bytes; the table is at its physical address.
        let [low, high] = unsafe { descriptor.read_unaligned() };
        low >> 16 & 0xff_ffff | low >> 56 << 24 | high << 32
    } else { let _ = tables; 0 })
}

/// Reads GDTR, IDTR and TR.
pub(in super::super) fn descriptor_tables() -> DescriptorTables {
    on_target!({
        #[repr(C, packed)]
        struct Pointer { limit: u16, base: u64 }
        let (mut gdt, mut idt) = (Pointer { limit: 0, base: 0 }, Pointer { limit: 0, base: 0 });
        let tr: u16;
        // SAFETY: the instructions write ten bytes each.
        unsafe {
            core::arch::asm!("sgdt [{}]", "sidt [{}]", "str {:x}", in(reg) &raw mut gdt, in(reg) &raw mut idt, out(reg) tr,
                options(nostack, preserves_flags));
        }
        let _ = (gdt.limit, idt.limit);
        DescriptorTables { gdt: gdt.base, idt: idt.base, tr }
    } else { DescriptorTables::default() })
}

#[cfg(all(test, not(target_os = "none")))]
#[allow(clippy::allow_attributes, reason = "for the host")]
pub(in super::super) mod fake {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    std::thread_local! {
        static VMCS: RefCell<BTreeMap<u32, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(in super::super::super) fn read(field: u32) -> u64 {
        VMCS.with_borrow(|vmcs| vmcs.get(&field).copied().unwrap_or(0))
    }

    pub(in super::super::super) fn write(field: u32, value: u64) {
        VMCS.with_borrow_mut(|vmcs| vmcs.insert(field, value));
    }
}

#[cfg(not(test))]
#[allow(clippy::allow_attributes, dead_code, reason = "for hosts that only check")]
mod fake {
    pub(super) fn read(_field: u32) -> u64 {
        0
    }

    pub(super) fn write(_field: u32, _value: u64) {}
}
