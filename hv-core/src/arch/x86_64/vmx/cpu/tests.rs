//! A vCPU on a VMCS that is a map: exits are written to it, and what the next entry would find is read.

use super::setup::tests::setup;
use super::*;
use crate::arch::x86_64::insn::virt::fake;
use crate::arch::x86_64::register::{Segment, SegmentName, SystemRegister, cr4, efer};
use crate::arch::x86_64::start::Start;
use crate::exit::{Access, Op};
use crate::guest::{GuestMemory, GuestPhysAddr, Space};
use crate::machine::Range;
use crate::memory::tests::pool;
use crate::ram::{GuestRam, Lending};

/// Calls `test` with a vCPU that was loaded after this start.
fn loaded(start: Start, test: impl FnOnce(&mut VmxCpu, &GuestRam)) {
    let _turn = pool();
    let ram = GuestRam::new(&[Range { start: 0, end: 2 << 20 }], Lending::Never).unwrap();
    let mut cpu = VmxCpu::new(Translation(0x5000), ram.frames(), setup()).unwrap();
    cpu.reset(start);
    let this = PerCpuVirt::new();
    this.tags.set_last(9);
    cpu.load_on(&this, Duration::ZERO);
    test(&mut cpu, &ram);
}

fn long() -> Start {
    Start::Long {
        entry: GuestPhysAddr(0x10_0000),
        parameters: GuestPhysAddr(0x1000),
        page_tables: GuestPhysAddr(0x2000),
        gdt: GuestPhysAddr(0x3000),
    }
}

/// The guest exits for this reason.
fn exit(cpu: &mut VmxCpu, reason: Reason, fields: &[(u32, u64)]) -> Exit<ArchExit> {
    fake::write(Field::Vectoring as u32, 0);
    fake::write(control::ENTRY_EVENT, 0);
    for (field, value) in fields {
        fake::write(*field, *value);
    }
    fake::write(Field::Reason as u32, reason as u64);
    cpu.run()
}

#[test]
fn a_vcpu_starts_in_the_state_that_entries_check() {
    loaded(Start::startup(0x10), |_, _| {
        assert_eq!(fake::read(guest::CR0), 0x30, "NE, ET");
        assert_eq!(fake::read(control::CR0_SHADOW), 0x10);
        assert_eq!(fake::read(guest::CR4), cr4::VMXE | cr4::MCE);
        assert_eq!(fake::read(guest::LINK), u64::MAX);
        assert_eq!(fake::read(guest::RFLAGS), 2);
        assert_eq!(fake::read(guest::BASES + 2), 0x1_0000);
        assert_eq!(fake::read(guest::CS_ACCESS_RIGHTS), 0x9b);
        assert_eq!(fake::read(guest::ACCESS_RIGHTS + 14), 0x8b, "TR");
        assert_eq!(fake::read(control::ENTRY) & 1 << 9, 0);
        assert_eq!(fake::read(control::EPT_POINTER), 0x501e);
        assert_eq!(fake::read(control::VPID), 1);
    });
    loaded(long(), |cpu, _| {
        assert_eq!(fake::read(guest::EFER), efer::LME | efer::LMA);
        assert_eq!(fake::read(control::ENTRY) & 1 << 9, 1 << 9);
        assert_eq!(cpu.system(SystemRegister::Cr4), cr4::PAE);
        assert_eq!(cpu.system(SystemRegister::Cr0), 0x8000_0011);
        assert_eq!((cpu.rip(), cpu.pc(), cpu.general(6)), (0x10_0000, 0x10_0000, 0x1000));
        let cs = Segment { selector: 0x10, attributes: 0xa9b, limit: u32::MAX, base: 0 };
        assert_eq!(cpu.segment(SegmentName::Cs), cs);
    });
}

#[test]
fn a_port_is_read_into_as_much_of_rax_as_the_access_is_wide() {
    loaded(long(), |cpu, _| {
        for (size, before, value, after) in [
            (0, 0x1111_2222_3333_4444, 0xabcd, 0x1111_2222_3333_44cd),
            (1, 0x1111_2222_3333_4444, 0xabcd, 0x1111_2222_3333_abcd),
            (3, 0x1111_2222_3333_4444, 0xf_8765_4321, 0x8765_4321),
        ] {
            cpu.set_general(0, before);
            let fields = [
                (Field::Qualification as u32, decode::IN | 0x3f8 << 16 | size),
                (Field::InstructionLength as u32, 1),
                (guest::RIP, 0x1000),
            ];
            let told = exit(cpu, Reason::Io, &fields);
            let is_read = matches!(told,
                Exit::Device(Access { space: Space::Port, addr, op: Op::Read, .. }) if addr.0 == 0x3f8);
            assert!(is_read);
            cpu.finish_read(value);
            assert_eq!(
                (cpu.general(0), cpu.rip(), fake::read(guest::RIP)),
                (after, 0x1001, 0x1001)
            );
        }
        cpu.fail_access();
        assert_eq!(cpu.general(0), 0xffff_ffff, "an empty bus");
    });
}

#[test]
fn a_step_ends_the_shadow_and_wraps_outside_of_64_bit_code() {
    loaded(Start::startup(0), |cpu, _| {
        let fields = [
            (Field::InstructionLength as u32, 1),
            (guest::RIP, 0xffff_ffff),
            (guest::INTERRUPTIBILITY, NMI_BLOCKED | 1),
        ];
        assert_eq!(exit(cpu, Reason::Hlt, &fields), Exit::Idle);
        cpu.finish();
        assert_eq!(cpu.rip(), 0);
        assert_eq!(fake::read(guest::INTERRUPTIBILITY), NMI_BLOCKED);
    });
}

#[test]
fn an_event_that_an_exit_interrupted_is_handed_in_again() {
    loaded(long(), |cpu, _| {
        fake::write(guest::RFLAGS, flags::IF);
        let page_fault =
            [(Field::Vectoring as u32, 0x8000_0b0e), (Field::VectoringErrorCode as u32, 2)];
        let _ = exit(cpu, Reason::ExternalInterrupt, &page_fault);
        assert!(!cpu.can_take_interrupt());
        let _ = exit(cpu, Reason::ExternalInterrupt, &[]);
        assert_eq!(fake::read(control::ENTRY_EVENT), 0x8000_0b0e);
        assert_eq!(fake::read(control::ENTRY_ERROR_CODE), 2);
        assert!(cpu.can_take_interrupt());
        let _ = exit(cpu, Reason::ExternalInterrupt, &[]);
        assert_eq!(fake::read(control::ENTRY_EVENT), 0, "once");
    });
}

#[test]
fn an_instruction_that_raises_an_event_raises_it_again_by_itself() {
    loaded(long(), |cpu, _| {
        let _ = exit(cpu, Reason::ExternalInterrupt, &[(Field::Vectoring as u32, 0x8000_0480)]);
        assert_eq!(cpu.pending, None);
    });
}

#[test]
fn an_nmi_that_is_handed_in_again_is_not_blocked_by_itself() {
    loaded(long(), |cpu, _| {
        let fields =
            [(Field::Vectoring as u32, 0x8000_0202), (guest::INTERRUPTIBILITY, NMI_BLOCKED)];
        let _ = exit(cpu, Reason::ExternalInterrupt, &fields);
        assert_eq!((cpu.pending, fake::read(guest::INTERRUPTIBILITY)), (Some(Event::NMI), 0));
    });
}

#[test]
fn an_iret_that_faults_leaves_nmis_blocked() {
    loaded(long(), |cpu, _| {
        let fields = [(Field::Qualification as u32, 1 << 12 | 0x181), (guest::INTERRUPTIBILITY, 0)];
        let _ = exit(cpu, Reason::EptViolation, &fields);
        assert!(!cpu.can_take_nmi());
    });
}

#[test]
fn real_mode_gets_no_error_codes() {
    loaded(Start::startup(0), |cpu, _| {
        cpu.inject(Event::PROTECTION);
        let _ = exit(cpu, Reason::ExternalInterrupt, &[]);
        assert_eq!(fake::read(control::ENTRY_EVENT), 0x8000_030d);
    });
}

#[test]
fn a_window_closes_with_its_exit() {
    loaded(long(), |cpu, _| {
        let window = || fake::read(control::PRIMARY) & (1 << 2 | 1 << 22);
        cpu.set_window(Window::Interrupt);
        assert_eq!(window(), 1 << 2);
        let told = exit(cpu, Reason::InterruptWindow, &[]);
        assert_eq!((told, window()), (Exit::Arch(ArchExit::InterruptWindow), 0));
        cpu.set_window(Window::Nmi);
        assert_eq!(window(), 1 << 22);
        cpu.set_window(Window::Closed);
        assert_eq!(window(), 0);
    });
}

#[test]
fn paging_makes_long_mode_active_and_inactive() {
    loaded(Start::startup(0), |cpu, _| {
        cpu.set_system(SystemRegister::Cr4, cr4::PAE);
        cpu.set_system(SystemRegister::Efer, efer::LME | efer::NXE);
        assert_eq!(cpu.system(SystemRegister::Efer), efer::LME | efer::NXE);
        cpu.set_system(SystemRegister::Cr0, cr0::PG | cr0::PE | cr0::ET);
        assert_eq!(cpu.system(SystemRegister::Efer), efer::LME | efer::LMA | efer::NXE);
        assert_eq!(fake::read(control::ENTRY) & 1 << 9, 1 << 9);
        cpu.set_system(SystemRegister::Cr0, cr0::PE | cr0::ET);
        assert_eq!(cpu.system(SystemRegister::Efer), efer::LME | efer::NXE);
        assert_eq!(fake::read(control::ENTRY) & 1 << 9, 0);
    });
}

#[test]
fn pae_paging_loads_the_entries_of_its_root() {
    loaded(Start::startup(0), |cpu, ram| {
        let entries: Vec<u8> =
            (1..=4_u64).flat_map(|entry| (entry << 12 | 1).to_le_bytes()).collect();
        ram.write(GuestPhysAddr(0x4020), &entries).unwrap();
        cpu.set_system(SystemRegister::Cr3, 0x4020);
        cpu.set_system(SystemRegister::Cr4, cr4::PAE);
        assert_eq!(fake::read(guest::PDPTE), 0);
        cpu.set_system(SystemRegister::Cr0, cr0::PG | cr0::PE);
        let read: Vec<u64> = (0..4).map(|index| fake::read(guest::PDPTE + 2 * index)).collect();
        assert_eq!(read, [0x1001, 0x2001, 0x3001, 0x4001]);
        cpu.set_system(SystemRegister::Cr3, 0xffff_ffe0);
        assert_eq!(fake::read(guest::PDPTE), 0, "no RAM there");
    });
}

#[test]
fn what_the_last_exits_were_is_told_in_words() {
    loaded(long(), |cpu, _| {
        let _ = exit(cpu, Reason::Cpuid, &[(guest::RIP, 0x1234)]);
        assert_eq!(cpu.last_exits(), ["CPUID at 0x1234 (exit reason 0xa)"]);
    });
}

#[test]
fn an_entry_that_fails_is_fatal_to_the_guest() {
    loaded(long(), |cpu, _| {
        fake::write(Field::Reason as u32, 0x8000_0021);
        assert!(matches!(cpu.run(), Exit::Fatal(Fault { kind: FaultKind::Unexpected, .. })));
    });
}
