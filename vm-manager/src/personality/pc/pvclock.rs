//! The paravirtual clock: a line of guest memory by which a guest makes its time out of its TSC, and one that says what time of
//! day that began. Linux, Documentation/virt/kvm/x86/msr.rst, and arch/x86/include/asm/pvclock-abi.h there.
//!
//! The guest's time is that of the host less what the VM is behind. It and the TSC go on together, so the line is written again
//! only when somebody moves one against the other: when the guest writes its TSC, and when a pause moves both by what their
//! clocks do not count alike.

use alloc::sync::Arc;
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use hv_core::sync::Mutex;
use hv_core::time::Instant;

/// Bit 0 of the register: the clock is wanted.
const ENABLED: u64 = 1;
/// The time is one for all vCPUs.
const STABLE: u8 = 1;

/// A point at which TSC and guest time were read together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reference {
    pub(super) tsc: u64,
    pub(super) guest: Instant,
    /// How far the guest was behind then: another pause makes another point.
    pub(super) behind_ns: u64,
}

/// The point that all vCPUs of a VM tell, so that none reads a time that another one has passed.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedReference(Arc<Mutex<Option<Reference>>>);

impl SharedReference {
    /// The point that was told first since the last pause.
    pub(super) fn agree(&self, own: Reference) -> Reference {
        let mut shared = self.0.lock();
        match *shared {
            Some(reference) if reference.behind_ns == own.behind_ns => reference,
            _ => *shared.insert(own),
        }
    }

    pub(super) fn forget(&self) {
        *self.0.lock() = None;
    }
}

/// By what ticks are multiplied to give nanoseconds: `(ticks << shift) * multiplier >> 32`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Scale {
    multiplier: u32,
    shift: i8,
}

impl Scale {
    /// For a TSC of this frequency.
    pub(super) fn new(tsc_hz: u64) -> Self {
        const NANOS: u64 = 1_000_000_000;
        let mut hertz = tsc_hz.max(1);
        let mut shift = 0;
        // The multiplier is the ratio as a fraction of 32 bits, so shift it to between a half and one.
        while hertz <= NANOS {
            hertz <<= 1;
            shift += 1;
        }
        while hertz > 2 * NANOS {
            hertz >>= 1;
            shift -= 1;
        }
        // Below one, as `hertz` is above, so it fits.
        let multiplier = (NANOS << 32) / hertz;
        Self { multiplier: multiplier as u32, shift }
    }
}

/// The clock of one vCPU.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    /// What was written to `MSR_KVM_SYSTEM_TIME_NEW`.
    register: u64,
    version: u32,
    /// The guest has set its TSC: nobody else's point is good for it.
    own: Option<OwnTsc>,
    /// How far the guest was behind when it was told last; `None` if it has to be told anew.
    told_behind_ns: Option<u64>,
}

/// The guest has written this vCPU's TSC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct OwnTsc;

/// Whether times of different vCPUs may be compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stability {
    /// They may.
    Stable,
    /// The TSC does not run evenly.
    Unstable,
}

/// What all clocks of a VM have in common.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub(super) scale: Scale,
    pub(super) stability: Stability,
    pub(super) shared: SharedReference,
}

impl Clock {
    /// What was written to the register.
    pub(super) const fn register(&self) -> u64 {
        self.register
    }

    const fn is_on(&self) -> bool {
        self.register & ENABLED != 0
    }

    /// Whether the guest wants to know, and has not been told since the last pause.
    #[inline]
    pub(super) fn is_stale(&self, behind_ns: u64) -> bool {
        self.is_on() && self.told_behind_ns != Some(behind_ns)
    }

    /// Writes the register; [`Self::write`] follows.
    pub(super) fn set_register(&mut self, value: u64) {
        self.register = value;
        self.told_behind_ns = None;
    }

    /// The guest has set its TSC; [`Self::write`] follows.
    pub(super) fn tsc_was_set(&mut self) {
        self.own = Some(OwnTsc);
        self.told_behind_ns = None;
    }

    /// Tells the guest the time, if it wants to know. Where it wants that and has no memory, it is not told.
    pub(super) fn write(&mut self, reference: Reference, pace: &Pace, memory: &dyn GuestMemory) {
        if !self.is_on() {
            return;
        }
        self.told_behind_ns = Some(reference.behind_ns);
        let reference = match self.own {
            None => pace.shared.agree(reference),
            Some(OwnTsc) => reference,
        };
        let is_stable = pace.stability == Stability::Stable && self.own.is_none();
        let flags = if is_stable { STABLE } else { 0 };
        self.version = self.version.wrapping_add(2) & !1;
        let mut line = [0; 32];
        let Scale { multiplier, shift } = pace.scale;
        put(&mut line, 0, &(self.version | 1).to_le_bytes());
        put(&mut line, 8, &reference.tsc.to_le_bytes());
        put(&mut line, 16, &reference.guest.0.to_le_bytes());
        put(&mut line, 24, &multiplier.to_le_bytes());
        put(&mut line, 28, &[shift.cast_unsigned(), flags]);
        let at = GuestPhysAddr(self.register & !ENABLED);
        // Odd while the rest is not right.
        if memory.write(at, &line).is_ok() {
            let _ = memory.write(at, &self.version.to_le_bytes());
        }
    }
}

fn put(line: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(part) = line.get_mut(at..at + bytes.len()) {
        part.copy_from_slice(bytes);
    }
}

/// Writes the time of day at which the guest's time began, in nanoseconds since 1970, to where `register` says. Where the guest
/// has no memory, it is not told.
pub(super) fn write_wall_clock(register: u64, began_ns: u64, memory: &dyn GuestMemory) {
    const NANOS: u64 = 1_000_000_000;
    let at = GuestPhysAddr(register);
    let mut version = [0; 4];
    if memory.read(at, &mut version).is_err() {
        return;
    }
    let version = u32::from_le_bytes(version).wrapping_add(2) & !1;
    let mut line = [0; 12];
    put(&mut line, 0, &(version | 1).to_le_bytes());
    put(&mut line, 4, &((began_ns / NANOS) as u32).to_le_bytes());
    put(&mut line, 8, &((began_ns % NANOS) as u32).to_le_bytes());
    if memory.write(at, &line).is_ok() {
        let _ = memory.write(at, &version.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_core::guest::BadAddress;
    use proptest::prelude::*;
    use std::sync::Mutex as StdMutex;

    struct Page(StdMutex<[u8; 64]>);

    impl GuestMemory for Page {
        fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
            let start = addr.0.checked_sub(0x1000).ok_or(BadAddress)? as usize;
            let end = start.checked_add(buf.len()).ok_or(BadAddress)?;
            buf.copy_from_slice(self.0.lock().unwrap().get(start..end).ok_or(BadAddress)?);
            Ok(())
        }

        fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
            let start = addr.0.checked_sub(0x1000).ok_or(BadAddress)? as usize;
            let end = start.checked_add(buf.len()).ok_or(BadAddress)?;
            let mut bytes = self.0.lock().unwrap();
            bytes.get_mut(start..end).ok_or(BadAddress)?.copy_from_slice(buf);
            Ok(())
        }
    }

    fn page() -> Page {
        Page(StdMutex::new([0; 64]))
    }

    fn pace(tsc_hz: u64) -> Pace {
        Pace {
            scale: Scale::new(tsc_hz),
            stability: Stability::Stable,
            shared: SharedReference::default(),
        }
    }

    fn number<const N: usize>(page: &Page, at: usize) -> [u8; N] {
        page.0.lock().unwrap()[at..at + N].try_into().unwrap()
    }

    /// As Linux reads it: `__pvclock_read_cycles`.
    fn time(page: &Page, tsc: u64) -> u64 {
        assert_eq!(number::<4>(page, 0)[0] & 1, 0, "it is being written");
        let delta = tsc - u64::from_le_bytes(number(page, 8));
        let shift = i8::from_le_bytes(number(page, 28));
        let delta = if shift < 0 { delta >> -shift } else { delta << shift };
        let multiplier = u32::from_le_bytes(number(page, 24));
        let passed = ((u128::from(delta) * u128::from(multiplier)) >> 32) as u64;
        u64::from_le_bytes(number(page, 16)) + passed
    }

    #[test]
    fn the_guest_reads_its_time() {
        let (page, pace) = (page(), pace(2_500_000_000));
        let mut clock = Clock::default();
        let reference = Reference { tsc: 5000, guest: Instant(2000), behind_ns: 7 };
        clock.write(reference, &pace, &page);
        assert_eq!(number::<32>(&page, 0), [0; 32], "it is not wanted");
        clock.set_register(0x1001);
        clock.write(reference, &pace, &page);
        assert_eq!((time(&page, 5000), time(&page, 5000 + 2_500_000)), (2000, 2000 + 999_999));
        assert_eq!(number::<1>(&page, 29), [1], "stable");
        let version = number::<4>(&page, 0);
        clock.write(reference, &pace, &page);
        assert_ne!(number::<4>(&page, 0), version);
    }

    #[test]
    fn all_vcpus_tell_one_point_until_a_pause() {
        let (page, pace) = (page(), pace(1_000_000_000));
        let mut clocks = [Clock::default(), Clock::default()];
        for (clock, at) in clocks.iter_mut().zip([0x1001, 0x1021]) {
            clock.set_register(at);
        }
        let [first, second] = &mut clocks;
        first.write(Reference { tsc: 100, guest: Instant(100), behind_ns: 7 }, &pace, &page);
        second.write(Reference { tsc: 200, guest: Instant(203), behind_ns: 7 }, &pace, &page);
        assert_eq!(number::<16>(&page, 8), number::<16>(&page, 40));
        second.write(Reference { tsc: 300, guest: Instant(303), behind_ns: 9 }, &pace, &page);
        first.write(Reference { tsc: 400, guest: Instant(404), behind_ns: 9 }, &pace, &page);
        assert_eq!(number::<8>(&page, 16), 303_u64.to_le_bytes());
        assert_eq!(number::<16>(&page, 8), number::<16>(&page, 40));
        first.tsc_was_set();
        first.write(Reference { tsc: 5, guest: Instant(500), behind_ns: 9 }, &pace, &page);
        assert_eq!((time(&page, 7), number::<1>(&page, 29)), (502, [0]));
    }

    #[test]
    fn an_address_outside_of_ram_is_ignored() {
        let (page, pace) = (page(), pace(1_000_000_000));
        for at in [0, 0x1035, u64::MAX] {
            let mut clock = Clock::default();
            clock.set_register(at | 1);
            clock.write(Reference { tsc: 1, guest: Instant(1), behind_ns: 0 }, &pace, &page);
            write_wall_clock(at, 17, &page);
        }
        assert_eq!(number::<64>(&page, 0), [0; 64]);
    }

    #[test]
    fn the_wall_clock_says_when_time_began() {
        let page = page();
        write_wall_clock(0x1004, 1_700_000_000_000_000_005, &page);
        assert_eq!(number::<4>(&page, 4), 2_u32.to_le_bytes());
        assert_eq!(number::<4>(&page, 8), 1_700_000_000_u32.to_le_bytes());
        assert_eq!(number::<4>(&page, 12), 5_u32.to_le_bytes());
    }

    proptest! {
        #[test]
        fn a_second_of_ticks_is_a_second(hertz in 1_000_000..10_000_000_000_u64) {
            let (page, pace) = (page(), pace(hertz));
            let mut clock = Clock::default();
            clock.set_register(0x1001);
            clock.write(Reference { tsc: 0, guest: Instant(0), behind_ns: 0 }, &pace, &page);
            let second = time(&page, hertz);
            prop_assert!(second.abs_diff(1_000_000_000) <= 2, "{second}");
        }

        #[test]
        fn any_frequency_has_a_scale(hertz: u64) {
            let _ = Scale::new(hertz);
        }
    }
}
