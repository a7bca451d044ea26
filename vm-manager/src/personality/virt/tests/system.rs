//! Trapped system registers.

use crate::testing::cpu::HOST_IDS;
use crate::testing::guest::{Guest, ICC_SGI1R};
use crate::testing::machine::Machine;
use crate::testing::sim::Pace;
use crate::virt_map::GicVersion;
use hv_core::arch::aarch64::sysreg::SystemRegister;
use hv_core::guest::Width;
use std::time::Duration;

const ICC_ASGI1R: SystemRegister = SystemRegister::new(3, 0, 12, 11, 6);
const ICC_SGI0R: SystemRegister = SystemRegister::new(3, 0, 12, 11, 7);
const CNTPCT: SystemRegister = SystemRegister::new(3, 3, 14, 0, 1);
const TVAL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 0);
const CTL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 1);
const CVAL: SystemRegister = SystemRegister::new(3, 3, 14, 2, 2);
const PFR0: SystemRegister = SystemRegister::new(3, 0, 0, 4, 0);
const DFR0: SystemRegister = SystemRegister::new(3, 0, 0, 5, 0);
const ENABLE: u64 = 1;
const IMASK: u64 = 2;
const ISTATUS: u64 = 4;
const TIMER: u32 = 30;

/// Runs `code` on a machine of its own; it must come to its end.
fn on_a_guest<F: Future<Output = ()> + Send + 'static>(
    code: impl Fn(Guest) -> F + Send + Sync + 'static + Clone,
) {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], move |guest| {
        let code = code.clone();
        async move {
            code(guest.clone()).await;
            guest.note("end");
        }
    });
    assert_eq!(notes, ["end"]);
}

#[test]
fn identification_registers_say_what_is_offered() {
    on_a_guest(|guest| async move {
        let pfr0 = guest.mrs(PFR0).await.unwrap();
        assert_eq!(pfr0 & 0xff, 0x11, "EL0 and EL1 in AArch64");
        assert_eq!(pfr0 >> 24 & 0xf, 1, "GIC system registers");
        assert_ne!(pfr0, HOST_IDS.pfr0);
        assert_eq!(guest.mrs(DFR0).await.unwrap() >> 8 & 0xf, 0, "no PMU");
        assert_eq!(guest.mrs(SystemRegister::new(3, 0, 0, 7, 7)).await, Some(0), "reserved");
    });
}

#[test]
fn identification_registers_cannot_be_written() {
    on_a_guest(|guest| async move { assert_eq!(guest.msr(PFR0, 0).await, None) });
}

#[test]
fn a_register_that_is_not_offered_is_undefined() {
    on_a_guest(|guest| async move {
        for (op1, crn, crm, op2) in [
            (0, 1, 0, 5),   // RGSR_EL1
            (0, 1, 2, 0),   // ZCR_EL1
            (0, 12, 12, 4), // ICC_CTLR_EL1, had it trapped
            (3, 9, 12, 0),  // PMCR_EL0
            (3, 13, 13, 0), // SCXTNUM, AMU
            (0, 15, 0, 0),  // implementation defined
            (4, 1, 1, 0),   // HCR_EL2
        ] {
            let register = SystemRegister::new(3, op1, crn, crm, op2);
            assert_eq!((guest.mrs(register).await, guest.msr(register, 1).await), (None, None));
        }
    });
}

#[test]
fn debug_registers_read_zero_and_ignore_writes() {
    on_a_guest(|guest| async move {
        // MDSCR_EL1, DBGBVR0_EL1, DBGWCR1_EL1, OSDLR_EL1, OSLAR_EL1.
        for (crn, crm, op2) in [(0, 2, 2), (0, 0, 4), (0, 1, 7), (1, 3, 4), (1, 0, 4)] {
            let register = SystemRegister::new(2, 0, crn, crm, op2);
            assert_eq!(guest.msr(register, u64::MAX).await, Some(()));
            assert_eq!(guest.mrs(register).await, Some(0));
        }
        let oslsr = guest.mrs(SystemRegister::new(2, 0, 1, 1, 4)).await;
        assert_eq!(oslsr, Some(1 << 3), "OSLSR_EL1: there is a lock, and it is open");
    });
}

#[test]
fn the_auxiliary_control_register_reads_zero_and_ignores_writes() {
    on_a_guest(|guest| async move {
        let actlr = SystemRegister::new(3, 0, 1, 0, 1);
        assert_eq!((guest.msr(actlr, 7).await, guest.mrs(actlr).await), (Some(()), Some(0)));
    });
}

#[test]
fn the_physical_counter_is_the_guests_own_and_runs() {
    on_a_guest(|guest| async move {
        let first = guest.mrs(CNTPCT).await.unwrap();
        assert!(first < 62_500_000, "it began when the guest did");
        guest.work(Duration::from_millis(1)).await;
        let ticks = guest.mrs(CNTPCT).await.unwrap() - first;
        assert!((62_500..63_000).contains(&ticks), "{ticks} ticks of 16 ns");
        assert_eq!(guest.msr(CNTPCT, 1).await, None, "it is read-only");
    });
}

#[test]
fn the_timer_value_is_a_signed_distance_of_32_bits() {
    on_a_guest(|guest| async move {
        guest.msr(TVAL, 1000).await;
        let compare = guest.mrs(CVAL).await.unwrap();
        assert!(compare.abs_diff(guest.counter() + 1000) < 200);
        assert!(guest.mrs(TVAL).await.unwrap() <= 1000);
        guest.work(Duration::from_micros(100)).await;
        let late = guest.mrs(TVAL).await.unwrap();
        assert!(
            late > 0xffff_0000 && late <= u64::from(u32::MAX),
            "negative, and 32 bits: {late:#x}"
        );
        // Minus one, with junk above.
        guest.msr(TVAL, 0x7654_3210_ffff_ffff).await;
        let compare = guest.mrs(CVAL).await.unwrap();
        assert!(compare < guest.counter() && compare + 200 > guest.counter(), "{compare}");
        guest.msr(CVAL, 0x1_0001_0000 + guest.counter()).await;
        let low = guest.mrs(TVAL).await.unwrap();
        assert!(low <= 0x1_0000 && low > 0xff00, "the low 32 bits of the distance: {low:#x}");
    });
}

#[test]
fn the_timers_status_is_that_of_the_moment() {
    on_a_guest(|guest| async move {
        assert_eq!(guest.mrs(CTL).await, Some(0), "off after a reset");
        guest.msr(CVAL, guest.counter() + 10_000).await;
        guest.msr(CTL, ENABLE | IMASK).await;
        assert_eq!(guest.mrs(CTL).await, Some(ENABLE | IMASK));
        guest.work(Duration::from_micros(200)).await;
        assert_eq!(
            guest.mrs(CTL).await,
            Some(ENABLE | IMASK | ISTATUS),
            "masked, and due all the same"
        );
        guest.msr(CTL, u64::MAX).await;
        assert_eq!(guest.mrs(CTL).await, Some(ENABLE | IMASK | ISTATUS), "other bits are ignored");
        guest.msr(CVAL, guest.counter() + 10_000).await;
        assert_eq!(guest.mrs(CTL).await, Some(ENABLE | IMASK), "and not due again");
        guest.msr(CTL, 0).await;
        guest.msr(CVAL, 0).await;
        assert_eq!(guest.mrs(CTL).await, Some(0), "who is off is not due");
        guest.msr(CVAL, u64::MAX).await;
        guest.msr(CTL, ENABLE).await;
        assert_eq!(guest.mrs(CTL).await, Some(ENABLE), "a day that never comes");
    });
}

#[test]
fn the_timers_interrupt_is_a_level() {
    on_a_guest(|guest| async move {
        guest.enable_private(&[TIMER]).await;
        guest.msr(CVAL, 0).await;
        guest.msr(CTL, ENABLE | IMASK).await;
        assert_eq!(guest.acknowledge(), None, "masked");
        guest.msr(CTL, ENABLE).await;
        for _ in 0..3 {
            assert_eq!(guest.acknowledge(), Some(TIMER));
            guest.end();
            guest.wfe().await;
        }
        assert_eq!(guest.acknowledge(), Some(TIMER), "as long as it is due");
        guest.msr(CTL, ENABLE | IMASK).await;
        guest.end();
        guest.wfe().await;
        assert_eq!(guest.acknowledge(), None, "and no longer");
        guest.msr(CTL, ENABLE).await;
        assert_eq!(guest.acknowledge(), Some(TIMER));
        guest.msr(CVAL, u64::MAX).await;
        guest.end();
        guest.wfe().await;
        assert_eq!(guest.acknowledge(), None);
    });
}

#[test]
fn the_physical_timer_is_off_after_a_reset_of_its_cpu() {
    let mut machine = Machine::new(1);
    let notes = machine.run(&[], |guest| async move {
        let control = guest.mrs(CTL).await.unwrap();
        guest.note(format!("{control}"));
        guest.msr(CVAL, 0).await;
        guest.msr(CTL, ENABLE).await;
        if guest.time() < Duration::from_millis(1) {
            guest.work(Duration::from_millis(1)).await;
            guest.hvc([0x8400_0009, 0, 0, 0]).await;
        }
    });
    assert!(notes.len() > 1 && notes.iter().all(|note| note == "0"), "{notes:?}");
}

#[test]
fn an_sgi_reaches_the_vcpus_that_it_names() {
    for cpus in [1, 3] {
        let mut machine = Machine::new(cpus);
        let program = machine.program(|guest| async move {
            guest.enable_private(&[0, 5, 7]).await;
            if guest.index == 0 {
                for cpu in 1..3 {
                    guest.hvc([0x8400_0003, cpu, 0x4000_0000, 0]).await;
                    while guest.interrupt().await != 0 {}
                }
                // To vCPU 2, to all others, to nobody there, to an affinity that does not exist.
                for value in
                    [5 << 24 | 0b100, 1 << 40 | 7 << 24, 5 << 24 | 0b1000, 1 << 16 | 5 << 24 | 2]
                {
                    guest.msr(ICC_SGI1R, value).await.unwrap();
                    guest.work(Duration::from_micros(100)).await;
                }
                return;
            }
            guest.msr(ICC_SGI1R, 1).await;
            loop {
                let intid = guest.interrupt().await;
                guest.note(format!("{}: {intid}", guest.index));
            }
        });
        machine.boot("guest", program, &[("vcpus", "3")]);
        machine.run_for(Duration::from_millis(20));
        let mut notes = machine.notes();
        notes[1..].sort();
        assert_eq!(notes, ["2: 5", "1: 7", "2: 7"]);
    }
}

#[test]
fn sgis_of_other_groups_are_accepted() {
    on_a_guest(|guest| async move {
        const IGROUPR0: u64 = crate::virt_map::GICR.base.0 + 0x1_0080;
        guest.enable_private(&[3]).await;
        for register in [ICC_SGI0R, ICC_ASGI1R] {
            guest.store(IGROUPR0, Width::B4, u64::MAX >> 32).await;
            guest.msr(register, 3 << 24 | 1).await.unwrap();
            assert_eq!(guest.acknowledge(), None, "it is in Group 1");
            guest.store(IGROUPR0, Width::B4, 0).await;
            guest.msr(register, 3 << 24 | 1).await.unwrap();
            assert_eq!(guest.acknowledge(), Some(3), "it is in Group 0");
            guest.end();
        }
        assert_eq!(guest.mrs(ICC_SGI1R).await, None, "they cannot be read");
    });
}

#[test]
fn a_gicv2_guest_has_no_sgi_registers() {
    let mut machine = Machine::with(1, Pace::Simulated, GicVersion::V2);
    let notes = machine.run(&[], |guest| async move {
        let sgi = guest.msr(ICC_SGI1R, 1).await;
        let gic = guest.mrs(PFR0).await.unwrap() >> 24 & 0xf;
        guest.note(format!("{sgi:?} {gic}"));
    });
    assert_eq!(notes, ["None 0"]);
}
