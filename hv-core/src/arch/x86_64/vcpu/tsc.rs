//! The guest's time-stamp counter: the host's, less what the guest's time is behind, plus what the guest has written.

use super::super::clock;
use crate::time::Instant;
use core::time::Duration;

/// How a guest's TSC follows from the host's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::arch::x86_64) struct GuestTsc {
    behind: u64,
    written: u64,
}

impl GuestTsc {
    /// Guest time is `behind` the host's.
    pub(in crate::arch::x86_64) fn set_behind(&mut self, behind: Duration) {
        let nanos = u64::try_from(behind.as_nanos()).unwrap_or(u64::MAX);
        self.behind = clock::ns_to_ticks(nanos);
    }

    /// What is added to the host's TSC.
    pub(in crate::arch::x86_64) fn offset(self) -> u64 {
        self.written.wrapping_sub(self.behind)
    }

    /// It now.
    pub(in crate::arch::x86_64) fn now(self) -> u64 {
        clock::tsc().wrapping_add(self.offset())
    }

    /// It is to be `value` now.
    pub(in crate::arch::x86_64) fn set(&mut self, value: u64) {
        let change = value.wrapping_sub(self.now());
        self.written = self.written.wrapping_add(change);
    }

    /// The host's time when it reaches `tsc`.
    pub(in crate::arch::x86_64) fn time_of(self, tsc: u64) -> Instant {
        time_of(clock::tsc(), self.offset(), tsc)
            .map_or(Instant::NEVER, |ticks| Instant(clock::ticks_to_ns(ticks)))
    }

    /// It, and the host's time then.
    pub(in crate::arch::x86_64) fn reference(self) -> (u64, Instant) {
        let host = clock::tsc();
        (host.wrapping_add(self.offset()), Instant(clock::ticks_to_ns(host)))
    }
}

/// The value of the host's TSC when a guest's with this offset reaches `tsc`; `None`: not in this world. What is past already
/// was at the latest now: a counter that is ahead of the guest's may have been so before the host's was 0.
fn time_of(host: u64, offset: u64, tsc: u64) -> Option<u64> {
    /// Nearly three centuries, at 1 GHz.
    const FAR: u64 = 1 << 63;
    let now = host.wrapping_add(offset);
    if tsc <= now {
        return Some(host.saturating_sub(now - tsc));
    }
    let ahead = tsc - now;
    if ahead >= FAR { None } else { host.checked_add(ahead) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_deadline_is_where_the_guests_counter_reaches_it() {
        assert_eq!(time_of(1000, 0_u64.wrapping_sub(400), 600), Some(1000));
        assert_eq!(time_of(1000, 0_u64.wrapping_sub(400), 700), Some(1100));
        assert_eq!(time_of(1000, 0_u64.wrapping_sub(400), 500), Some(900));
        assert_eq!(time_of(1000, 1 << 40, 5), Some(0), "before the host was switched on");
        assert_eq!(time_of(1000, 0, u64::MAX), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64) {
            let mut tsc = GuestTsc { behind: 7, written: 9 };
            tsc.set(value);
            prop_assert!(tsc.now().wrapping_sub(value) < 1 << 40);
        }

        #[test]
        fn no_deadline_overflows(host: u64, offset: u64, tsc: u64) {
            if let Some(at) = time_of(host, offset, tsc) {
                prop_assert_eq!(at >= host, tsc >= host.wrapping_add(offset));
            }
        }
    }
}
