//! A vCPU whose exits are written to its VMCB.

use super::*;
use crate::arch::x86_64::register::{SegmentName, SystemRegister, cr4};
use crate::arch::x86_64::start::Start;
use crate::exit::{Access, Op};
use crate::guest::Space;
use crate::machine::Range;
use crate::memory::tests::pool;
use crate::ram::{GuestRam, Lending};

impl SvmCpu {
    fn vmcb_mut(&mut self) -> &mut Vmcb {
        &mut self.block.get_mut().vmcb
    }
}

/// Calls `test` with a vCPU that starts so, on a CPU as QEMU has it.
fn on_qemu(start: Start, test: impl FnOnce(&mut SvmCpu, &GuestRam)) {
    let _turn = pool();
    let ram = GuestRam::new(&[Range { start: 0, end: 2 << 20 }], Lending::Never).unwrap();
    let mut cpu = SvmCpu::new(Translation(0x5000), ram.frames(), Features::default()).unwrap();
    cpu.reset(start);
    test(&mut cpu, &ram);
}

fn exit(cpu: &mut SvmCpu, code: u64, info1: u64, info2: u64) -> Exit<ArchExit> {
    let control = &mut cpu.vmcb_mut().control;
    (control.exit_code, control.exit_info1, control.exit_info2) = (code, info1, info2);
    cpu.run()
}

const CPUID: u64 = 0x72;
const INTERRUPT: u64 = 0x60;
const WINDOW: u64 = 0x64;
const IRET: u64 = 0x74;
const DEBUG: u64 = 0x41;

#[test]
fn a_vcpu_starts_in_the_state_that_vmrun_checks() {
    on_qemu(Start::startup(0x10), |cpu, _| {
        cpu.load(Duration::ZERO);
        let Vmcb { control, state } = cpu.vmcb();
        assert_eq!((state.cr0, state.cr4, state.efer), (0x10, 0, efer::SVME));
        assert_eq!((state.cs.base, state.cs.attributes, state.rip), (0x1_0000, 0x9b, 0));
        assert_eq!((state.dr6, state.dr7, state.rflags, state.cpl), (0xffff_0ff0, 0x400, 2, 0));
        assert_eq!((control.nested_paging, control.nested_cr3), (1, 0x5000));
        assert_eq!(control.intercepts_second & 1, 1, "VMRUN");
        assert_eq!(control.virtual_interrupt, virtual_interrupt::MASKING);
        assert!(control.io_map.is_multiple_of(4096) && control.msr_map.is_multiple_of(4096));
        assert_eq!(cpu.system(SystemRegister::Efer), 0, "the guest has no SVM");
    });
}

#[test]
fn an_instruction_is_stepped_over_by_its_length() {
    on_qemu(Start::startup(0), |cpu, ram| {
        ram.write(GuestPhysAddr(0x8ff0), &[0x66, 0x0f, 0xa2]).unwrap();
        cpu.set_rip(0x8ff0);
        cpu.vmcb_mut().control.interrupt_shadow = SHADOW;
        assert_eq!(exit(cpu, CPUID, 0, 0), Exit::Arch(ArchExit::Cpuid));
        cpu.finish();
        assert_eq!((cpu.rip(), cpu.vmcb().control.interrupt_shadow), (0x8ff3, 0));
        // Another one is there now.
        cpu.set_rip(0x8ff0);
        ram.write(GuestPhysAddr(0x8ff0), &[0x90]).unwrap();
        let _ = exit(cpu, CPUID, 0, 0);
        cpu.finish();
        assert_eq!(cpu.rip(), 0x8ff0, "it is executed instead");
    });
}

#[test]
fn an_instruction_across_two_pages_is_stepped_over_too() {
    on_qemu(Start::startup(0), |cpu, ram| {
        ram.write(GuestPhysAddr(0x8fff), &[0x0f, 0xa2]).unwrap();
        for _ in 0..2 {
            cpu.set_rip(0x8fff);
            let _ = exit(cpu, CPUID, 0, 0);
            cpu.finish();
            assert_eq!(cpu.rip(), 0x9001);
        }
    });
}

#[test]
fn a_port_is_read_into_as_much_of_rax_as_the_access_is_wide() {
    on_qemu(Start::startup(0), |cpu, _| {
        for (size, before, value, after) in [
            (1 << 4, 0x1111_2222_3333_4444, 0xabcd, 0x1111_2222_3333_44cd),
            (1 << 5, 0x1111_2222_3333_4444, 0xabcd, 0x1111_2222_3333_abcd),
            (1 << 6, 0x1111_2222_3333_4444, 0xf_8765_4321, 0x8765_4321),
        ] {
            cpu.set_general(0, before);
            let told = exit(cpu, Named::Io as u64, IN | size | 0x3f8 << 16, 0x1234);
            let is_read = matches!(told,
                Exit::Device(Access { space: Space::Port, addr, op: Op::Read, .. }) if addr.0 == 0x3f8);
            assert!(is_read);
            cpu.finish_read(value);
            assert_eq!((cpu.general(0), cpu.rip()), (after, 0x1234), "EXITINFO2 is the next RIP");
        }
        cpu.fail_access();
        assert_eq!(cpu.general(0), 0xffff_ffff, "an empty bus");
    });
}

#[test]
fn an_event_that_an_exit_interrupted_is_handed_in_again() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.set_rflags(flags::IF);
        // QEMU calls this interrupt an exception.
        cpu.vmcb_mut().control.exit_interrupt_info = 0x8000_0330;
        let _ = exit(cpu, INTERRUPT, 0, 0);
        assert!(!cpu.can_take_interrupt());
        cpu.vmcb_mut().control.exit_interrupt_info = 0;
        let _ = exit(cpu, INTERRUPT, 0, 0);
        assert_eq!(cpu.vmcb().control.event_injection, 0x8000_0030);
        assert!(cpu.can_take_interrupt());
        let _ = exit(cpu, INTERRUPT, 0, 0);
        assert_eq!(cpu.vmcb().control.event_injection, 0, "once");
    });
}

#[test]
fn an_instruction_that_raises_an_event_raises_it_again_by_itself() {
    on_qemu(Start::startup(0), |cpu, _| {
        for field in [0x8000_0480, 0x8000_0303] {
            cpu.vmcb_mut().control.exit_interrupt_info = field;
            let _ = exit(cpu, INTERRUPT, 0, 0);
            assert_eq!(cpu.pending, 0);
        }
    });
}

#[test]
fn real_mode_gets_no_error_codes() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.inject(Event::PROTECTION);
        assert_eq!(cpu.pending, 0x8000_030d);
        cpu.set_system(SystemRegister::Cr0, cr0::PE);
        cpu.inject(Event::PROTECTION);
        assert_eq!(cpu.pending, 0x8000_0b0d);
    });
}

#[test]
fn a_window_closes_with_its_exit() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.vmcb_mut().control.clean = Clean::ALL;
        cpu.set_window(Window::Interrupt);
        let control = &cpu.vmcb().control;
        assert_eq!(control.intercepts_first & intercept::VIRTUAL_INTERRUPT, 1 << 4);
        assert_eq!(control.virtual_interrupt & virtual_interrupt::PENDING, 1 << 8);
        assert!(!control.clean.is_clean(Group::Intercepts));
        assert_eq!(exit(cpu, WINDOW, 0, 0), Exit::Arch(ArchExit::InterruptWindow));
        let control = &cpu.vmcb().control;
        assert_eq!(control.intercepts_first & intercept::VIRTUAL_INTERRUPT, 0);
        assert_eq!(control.virtual_interrupt, virtual_interrupt::MASKING);
    });
}

#[test]
fn nmis_are_blocked_until_the_handlers_iret_is_done() {
    on_qemu(Start::startup(0), |cpu, _| {
        assert!(cpu.can_take_nmi());
        cpu.inject(Event::NMI);
        let _ = exit(cpu, INTERRUPT, 0, 0);
        assert!(!cpu.can_take_nmi());
        cpu.set_window(Window::Nmi);
        assert_eq!(cpu.vmcb().control.intercepts_first & intercept::IRET, intercept::IRET);
        // Its exit is dealt with inside, and leads to the #DB behind it.
        cpu.begin_iret();
        assert_eq!(cpu.vmcb().control.intercepts_first & intercept::IRET, 0);
        assert!(cpu.rflags() & flags::TF != 0 && !cpu.can_take_nmi());
        cpu.set_rflags(flags::RESERVED);
        cpu.vmcb_mut().state.dr6 |= 1 << 14;
        assert_eq!(exit(cpu, DEBUG, 0, 0), Exit::Arch(ArchExit::NmiWindow));
        assert!(cpu.can_take_nmi());
        assert_eq!(cpu.system(SystemRegister::Dr6), 0xffff_0ff0);
        assert_eq!(cpu.window, Window::Closed);
    });
}

#[test]
fn an_interrupt_waits_for_the_end_of_the_instruction_in_a_shadow() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.set_rflags(flags::IF);
        cpu.vmcb_mut().control.interrupt_shadow = SHADOW;
        cpu.set_window(Window::Interrupt);
        assert!(cpu.rflags() & flags::TF != 0);
        // VMRUN has lost the shadow, and a host's interrupt came before the instruction.
        cpu.vmcb_mut().control.interrupt_shadow = 0;
        let _ = exit(cpu, INTERRUPT, 0, 0);
        assert!(!cpu.can_take_interrupt());
        let control = &cpu.vmcb().control;
        assert_eq!(control.intercepts_first & intercept::VIRTUAL_INTERRUPT, 0);
        assert_eq!(exit(cpu, DEBUG, 0, 0), Exit::Arch(ArchExit::InterruptWindow));
        assert!(cpu.can_take_interrupt());
        assert_eq!((cpu.rflags() & flags::TF, cpu.window), (0, Window::Closed));
    });
}

#[test]
fn an_instruction_in_a_shadow_that_exits_ends_it() {
    on_qemu(Start::startup(0), |cpu, ram| {
        ram.write(GuestPhysAddr(0x8000), &[0x0f, 0xa2]).unwrap();
        for inject in [None, Some(Event::PROTECTION)] {
            cpu.set_rip(0x8000);
            cpu.set_rflags(flags::IF);
            cpu.vmcb_mut().control.interrupt_shadow = SHADOW;
            cpu.set_window(Window::Interrupt);
            let _ = exit(cpu, CPUID, 0, 0);
            match inject {
                None => cpu.finish(),
                Some(event) => cpu.inject(event),
            }
            assert_eq!(cpu.rflags() & flags::TF, 0);
            assert_eq!(cpu.can_take_interrupt(), inject.is_none());
            // Who waits is told, if it is not told now.
            let control = &cpu.vmcb().control;
            assert_eq!(control.intercepts_first & intercept::VIRTUAL_INTERRUPT, 1 << 4);
            cpu.set_window(Window::Closed);
            cpu.vmcb_mut().control.interrupt_shadow = 0;
        }
    });
}

#[test]
fn who_no_longer_waits_gives_the_trap_flag_back() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.vmcb_mut().control.interrupt_shadow = SHADOW;
        cpu.set_window(Window::Interrupt);
        cpu.set_window(Window::Closed);
        assert_eq!((cpu.rflags() & flags::TF, cpu.nmi), (0, Nmi::Open));
    });
}

#[test]
fn a_step_in_the_shadow_gives_the_trap_flag_back() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.vmcb_mut().control.interrupt_shadow = SHADOW;
        assert!(!cpu.can_take_nmi());
        cpu.set_window(Window::Nmi);
        assert!(cpu.rflags() & flags::TF != 0);
        cpu.vmcb_mut().control.interrupt_shadow = 0;
        assert_eq!(exit(cpu, DEBUG, 0, 0), Exit::Arch(ArchExit::NmiWindow));
        assert_eq!(cpu.rflags() & flags::TF, 0);
        assert!(cpu.can_take_nmi());
        let told = exit(cpu, DEBUG, 0, 0);
        assert!(matches!(told, Exit::Arch(ArchExit::Exception(_))), "the guest's own");
    });
}

#[test]
fn a_guest_that_steps_gets_its_trap_behind_an_emulated_instruction() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.set_rflags(flags::TF);
        let _ = exit(cpu, Named::Io as u64, 1 << 4, 0x10);
        cpu.finish();
        assert_eq!(cpu.pending, Event::DEBUG.to_svm());
        assert_eq!(cpu.system(SystemRegister::Dr6), 0xffff_4ff0);
    });
}

#[test]
fn paging_makes_long_mode_active_and_inactive() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.set_system(SystemRegister::Cr4, cr4::PAE);
        cpu.set_system(SystemRegister::Efer, efer::LME | efer::NXE);
        cpu.set_system(SystemRegister::Cr0, cr0::PG | cr0::PE);
        assert_eq!(cpu.system(SystemRegister::Efer), efer::LME | efer::LMA | efer::NXE);
        cpu.set_system(SystemRegister::Cr0, cr0::PE);
        assert_eq!(cpu.system(SystemRegister::Efer), efer::LME | efer::NXE);
        assert_eq!(cpu.vmcb().state.efer & efer::SVME, efer::SVME);
    });
}

#[test]
fn a_reset_leaves_nothing_of_before() {
    on_qemu(Start::startup(0), |cpu, _| {
        for index in 0..16 {
            cpu.set_general(index, 7);
        }
        cpu.inject(Event::NMI);
        cpu.set_window(Window::Interrupt);
        cpu.vmcb_mut().control.exit_interrupt_info = VALID;
        cpu.set_system(SystemRegister::Lstar, 5);
        let _ = exit(cpu, CPUID, 0, 0);
        cpu.reset(Start::startup(1));
        assert_eq!((0..16).map(|index| cpu.general(index)).sum::<u64>(), 0x600, "RDX only");
        assert!(cpu.can_take_nmi() && cpu.pending == 0 && cpu.window == Window::Closed);
        assert_eq!(cpu.vmcb().control.exit_interrupt_info, 0);
        assert_eq!(cpu.system(SystemRegister::Lstar), 0);
        assert_eq!(cpu.segment(SegmentName::Cs).base, 0x1000);
        assert_eq!(cpu.last_exits().len(), 0);
    });
}

#[test]
fn what_the_last_exits_were_is_told_in_words() {
    on_qemu(Start::startup(0), |cpu, _| {
        cpu.set_rip(0x1234);
        let _ = exit(cpu, CPUID, 0, 0);
        assert_eq!(cpu.last_exits(), ["CPUID at 0x1234 (exit code 0x72)"]);
    });
}
