//! CPUID as Linux reads it.

use super::*;
use proptest::prelude::*;

const VCPU: VcpuState = VcpuState { apic_id: 2, cr4: 0, xcr0: 1 };

fn profile() -> Profile {
    Profile {
        vcpus: 3,
        tsc_hz: 2_500_000_000,
        apic_hz: 1_000_000_000,
        tsc_rate: TscRate::Invariant,
        extended_state: ExtendedState::Offered,
    }
}

/// An Intel CPU that says yes to everything, with AVX-512.
fn intel(leaf: u32, subleaf: u32) -> Leaf {
    let all = Leaf { eax: !0, ebx: !0, ecx: !0, edx: !0 };
    match (leaf, subleaf) {
        (0, _) => Leaf { eax: 0x20, ebx: 0x756e_6547, ecx: 0x6c65_746e, edx: 0x4965_6e69 },
        (1, _) => Leaf { eax: 0x306c3, ebx: 0x1210_0800, ..all },
        // 32 KiB data, 32 KiB instructions, 1 MiB, 8 MiB shared by 16.
        (4, 0) => Leaf { eax: 0x1c00_4121, ebx: 0x1c0_003f, ecx: 63, edx: 0 },
        (4, 1) => Leaf { eax: 0x1c00_4122, ebx: 0x1c0_003f, ecx: 63, edx: 0 },
        (4, 2) => Leaf { eax: 0x1c00_4143, ebx: 0x3c0_003f, ecx: 1023, edx: 0 },
        (4, 3) => Leaf { eax: 0x1c03_c163, ebx: 0x3c0_003f, ecx: 8191, edx: 6 },
        (4, _) => Leaf::default(),
        (0xd, 0) => Leaf { eax: 0x2e7, ebx: 576, ecx: 2696, edx: 0 },
        (0xd, 2) => Leaf { eax: 256, ebx: 576, ecx: 0, edx: 0 },
        (0xd, 5) => Leaf { eax: 64, ebx: 1088, ecx: 0, edx: 0 },
        (0xd, 6) => Leaf { eax: 512, ebx: 1152, ecx: 0, edx: 0 },
        (0xd, 7) => Leaf { eax: 1024, ebx: 1664, ecx: 2, edx: 0 },
        (0x8000_0000, _) => Leaf { eax: 0x8000_0008, ..Leaf::default() },
        (0x8000_0008, _) => Leaf { eax: 0x3027, ebx: !0, ..Leaf::default() },
        _ => all,
    }
}

fn amd(leaf: u32, subleaf: u32) -> Leaf {
    match leaf {
        0 => Leaf { eax: 0xd, ebx: 0x6874_7541, ecx: 0x444d_4163, edx: 0x6974_6e65 },
        4 | 0xb => Leaf::default(),
        _ => intel(leaf, subleaf),
    }
}

fn has(register: u32, bit: u32) -> bool {
    register & 1 << bit != 0
}

#[test]
fn what_is_not_virtualized_is_hidden() {
    let table = Cpuid::new(intel, &profile());
    let one = table.answer(1, 0, &VCPU);
    // MONITOR, VMX, SMX, EST, PDCM, OSXSAVE; DS, ACPI, SS, TM, PBE.
    for bit in [2, 3, 5, 6, 7, 8, 15, 18, 27] {
        assert!(!has(one.ecx, bit), "ECX {bit}");
    }
    for bit in [21, 22, 27, 29, 31] {
        assert!(!has(one.edx, bit), "EDX {bit}");
    }
    let seven = table.answer(7, 0, &VCPU);
    // SGX, HLE, RTM, MPX, PT.
    for bit in [2, 4, 11, 14, 25] {
        assert!(!has(seven.ebx, bit), "EBX {bit}");
    }
    // AMX, speculation controls, CET-IBT.
    assert_eq!(seven.edx, 1 << 4);
    assert_eq!((seven.eax, table.answer(7, 1, &VCPU)), (0, Leaf::default()));
    let extended = table.answer(0x8000_0001, 0, &VCPU);
    assert!(!has(extended.ecx, 2), "SVM");
    for leaf in [3, 5, 0xa, 0xf, 0x10, 0x12, 0x14, 0x18, 0x20, 0x8000_000a, 0x8000_001f] {
        assert_eq!(table.answer(leaf, 0, &VCPU), Leaf::default(), "{leaf:#x}");
    }
}

#[test]
fn what_is_virtual_is_there_whatever_the_host_has() {
    let table = Cpuid::new(|_, _| Leaf::default(), &profile());
    let one = table.answer(1, 0, &VCPU);
    assert!(has(one.ecx, 21) && has(one.ecx, 24) && has(one.ecx, 31));
    assert!(has(one.edx, 9) && has(one.edx, 12));
    assert_eq!(table.answer(6, 0, &VCPU).eax, 4);
}

#[test]
fn each_vcpu_has_its_own_identifier() {
    let table = Cpuid::new(intel, &profile());
    let one = table.answer(1, 7, &VCPU);
    assert_eq!(one.ebx, 0x0204_0800);
    assert!(has(one.edx, 28));
    for leaf in [0xb, 0x1f] {
        assert_eq!(table.answer(leaf, 0, &VCPU), Leaf { eax: 0, ebx: 1, ecx: 0x100, edx: 2 });
        assert_eq!(table.answer(leaf, 1, &VCPU), Leaf { eax: 2, ebx: 3, ecx: 0x201, edx: 2 });
        assert_eq!(table.answer(leaf, 2, &VCPU), Leaf { eax: 0, ebx: 0, ecx: 2, edx: 2 });
    }
}

#[test]
fn a_single_vcpu_is_alone() {
    let table = Cpuid::new(intel, &Profile { vcpus: 1, ..profile() });
    let vcpu = VcpuState { apic_id: 0, ..VCPU };
    let one = table.answer(1, 0, &vcpu);
    assert_eq!((one.ebx >> 16, has(one.edx, 28)), (1, false));
    assert_eq!(table.answer(0xb, 1, &vcpu), Leaf { eax: 0, ebx: 1, ecx: 0x201, edx: 0 });
    assert_eq!(table.answer(4, 3, &vcpu).eax >> 14, 0);
}

#[test]
fn the_last_cache_is_shared_and_no_other() {
    let table = Cpuid::new(intel, &profile());
    let eax = |subleaf| table.answer(4, subleaf, &VCPU).eax;
    // Four identifiers in the package.
    assert_eq!([0, 1, 2, 3].map(|subleaf| eax(subleaf) >> 26), [3; 4]);
    assert_eq!([0, 1, 2, 3].map(|subleaf| eax(subleaf) >> 14 & 0xfff), [0, 0, 0, 3]);
    assert_eq!([0, 1, 2, 3].map(|subleaf| eax(subleaf) & 0x3fff), [0x121, 0x122, 0x143, 0x163]);
    assert_eq!(table.answer(4, 4, &VCPU), Leaf::default());
}

#[test]
fn the_hypervisor_has_a_name_a_clock_and_frequencies() {
    let table = Cpuid::new(intel, &profile());
    let name = table.answer(0x4000_0000, 0, &VCPU);
    let bytes: Vec<u8> =
        [name.ebx, name.ecx, name.edx].iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(bytes, b"KVMKVMKVM\0\0\0");
    assert_eq!(name.eax, 0x4000_0010);
    assert_eq!(table.answer(0x4000_0001, 0, &VCPU).eax, 1 << 1 | 1 << 3 | 1 << 24);
    let timing = table.answer(0x4000_0010, 0, &VCPU);
    assert_eq!((timing.eax, timing.ebx), (2_500_000, 1_000_000));
    assert_eq!(table.answer(0x15, 0, &VCPU), Leaf { eax: 2, ebx: 5, ecx: 1_000_000_000, edx: 0 });
    assert_eq!(table.answer(0x16, 0, &VCPU), Leaf { eax: 2500, ebx: 2500, ecx: 1000, edx: 0 });
    assert_eq!(table.answer(0x8000_0007, 0, &VCPU).edx, 1 << 8);
}

#[test]
fn a_ratio_that_overflows_in_the_guest_is_not_told() {
    let table = Cpuid::new(intel, &Profile { tsc_hz: 2_712_347_000, ..profile() });
    assert_eq!(table.answer(0x15, 0, &VCPU), Leaf::default());
    assert_eq!(table.answer(0x4000_0010, 0, &VCPU).eax, 2_712_347);
}

#[test]
fn a_clock_that_varies_is_not_called_stable() {
    let table = Cpuid::new(intel, &Profile { tsc_rate: TscRate::Varying, ..profile() });
    assert!(!has(table.answer(0x4000_0001, 0, &VCPU).eax, 24));
    assert_eq!(table.answer(0x8000_0007, 0, &VCPU), Leaf::default());
    assert!(!has(table.answer(1, 0, &VCPU).ecx, 24));
}

#[test]
fn the_xsave_area_is_as_long_as_what_is_enabled() {
    let table = Cpuid::new(intel, &profile());
    assert_eq!(table.xcr0(), 0xe7, "no MPX, no PKRU");
    let vcpu = |xcr0| VcpuState { cr4: 1 << 18, xcr0, ..VCPU };
    let sizes = |xcr0| {
        let (standard, compacted) =
            (table.answer(0xd, 0, &vcpu(xcr0)), table.answer(0xd, 1, &vcpu(xcr0)));
        (standard.ebx, standard.ecx, compacted.ebx)
    };
    assert_eq!(sizes(1), (576, 2688, 576));
    assert_eq!(sizes(7), (832, 2688, 832));
    assert_eq!(sizes(0xe7), (2688, 2688, 2432));
    assert_eq!(table.answer(0xd, 1, &VCPU).eax, 0b111, "no XSAVES");
    assert_eq!(table.answer(0xd, 9, &VCPU), Leaf::default());
    assert!(has(table.answer(1, 0, &vcpu(1)).ecx, 27));
}

#[test]
fn without_xsave_there_is_nothing_that_needs_it() {
    let hidden = Profile { extended_state: ExtendedState::Hidden, ..profile() };
    let table = Cpuid::new(intel, &hidden);
    let vcpu = VcpuState { cr4: 1 << 18, ..VCPU };
    let (one, seven) = (table.answer(1, 0, &vcpu), table.answer(7, 0, &vcpu));
    for bit in [12, 26, 27, 28, 29] {
        assert!(!has(one.ecx, bit), "{bit}");
    }
    assert!(!has(seven.ebx, 5) && !has(seven.ebx, 16) && !has(seven.ecx, 9) && !has(seven.ecx, 11));
    assert_eq!((table.answer(0xd, 0, &vcpu), table.xcr0()), (Leaf::default(), 0));
}

#[test]
fn amd_says_some_things_in_its_own_places() {
    let table = Cpuid::new(amd, &profile());
    let extended = table.answer(0x8000_0001, 0, &VCPU);
    assert!(
        has(extended.ecx, 1)
            && has(extended.edx, 29)
            && has(extended.edx, 9)
            && has(extended.edx, 0)
    );
    assert_eq!(
        table.answer(0x8000_0008, 0, &VCPU),
        Leaf { eax: 0x3027, ebx: 1, ecx: 0x2002, edx: 0 }
    );
    assert_eq!(table.answer(4, 0, &VCPU), Leaf::default());
    assert_eq!(table.answer(0xb, 1, &VCPU).ebx, 3);
    let intel = Cpuid::new(intel, &profile());
    assert!(!has(intel.answer(0x8000_0001, 0, &VCPU).edx, 9));
}

proptest! {
    #[test]
    fn any_host_and_any_leaf_have_an_answer(
        eax: u32, ebx: u32, ecx: u32, edx: u32, vcpus in 0..70u32, tsc_hz: u64, apic_hz: u32,
        leaf in prop_oneof![0..0x40u32, 0x4000_0000..0x4000_0020u32, 0x8000_0000..0x8000_0020u32, any::<u32>()],
        subleaf: u32, cr4: u64, xcr0: u64,
    ) {
        let profile = Profile { vcpus, tsc_hz, apic_hz, ..profile() };
        let table = Cpuid::new(|_, _| Leaf { eax, ebx, ecx, edx }, &profile);
        let _ = table.answer(leaf, subleaf, &VcpuState { apic_id: 1, cr4, xcr0 });
    }
}

#[test]
fn a_fixed_answer_is_the_answer_whoever_asks() {
    let cpuid = Cpuid::new(intel, &profile());
    let other = VcpuState { apic_id: 1, cr4: u64::MAX, xcr0: 7 };
    let basic = 0..0x40;
    let fixed: Vec<u32> = basic
        .chain(0x4000_0000..0x4000_0020)
        .chain(0x8000_0000..0x8000_0020)
        .filter(|leaf| cpuid.fixed(*leaf).is_some())
        .collect();
    assert!(fixed.len() > 80);
    for leaf in fixed {
        for subleaf in [0, 1, u32::MAX] {
            for vcpu in [&VCPU, &other] {
                let answer = cpuid.answer(leaf, subleaf, vcpu);
                assert_eq!(cpuid.fixed(leaf), Some(&answer), "{leaf:#x}");
            }
        }
    }
}
