//! The entropy device (5.4): one queue of buffers to fill.

use crate::device::{Context, DeviceId, More, VirtioDevice};
use crate::fault::Fault;
use hv_core::guest::Width;

/// Where random bytes come from.
pub trait RandomSource: Send {
    /// Fills `buf` with bytes that nobody can foresee. It never waits: it stretches what entropy it has.
    fn fill(&mut self, buf: &mut [u8]);
}

/// Bytes that a buffer gets at most; a driver that wants more asks again (5.4.6.2).
const MOST_BYTES: usize = 256;
/// Buffers that one call fills.
const BUDGET_CHAINS: usize = 16;

/// A source of entropy for the guest.
pub struct Entropy<S> {
    source: S,
}

impl<S: RandomSource> Entropy<S> {
    /// One that gives what `source` gives.
    pub fn new(source: S) -> Self {
        Self { source }
    }
}

impl<S: RandomSource> VirtioDevice for Entropy<S> {
    fn device_id(&self) -> DeviceId {
        DeviceId::Entropy
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        &[16]
    }

    fn read_config(&self, _: u64, _: Width) -> u64 {
        0
    }

    fn write_config(&mut self, _: u64, _: Width, _: u64) {}

    fn activate(&mut self, _: u64, _: &mut Context<'_>) {}

    fn notify(&mut self, queue: usize, context: &mut Context<'_>) -> More {
        for _ in 0..BUDGET_CHAINS {
            let Some(chain) = context.pop(queue) else { return More::No };
            let mut bytes = [0; MOST_BYTES];
            let len = usize::try_from(chain.writable_len()).unwrap_or(MOST_BYTES).min(MOST_BYTES);
            // At least one byte has to be written, so a buffer that has no room is not one.
            let Some(bytes) = bytes.get_mut(..len).filter(|bytes| !bytes.is_empty()) else {
                context.fail(Fault::Request);
                return More::No;
            };
            self.source.fill(bytes);
            if chain.write_at(context.memory(), 0, bytes).is_err() {
                context.fail(Fault::SegmentOutsideRam);
                return More::No;
            }
            context.push(queue, chain, len as u32);
        }
        More::Yes
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::guest::{Guest, Taste};

    /// Counts.
    struct Counter(u8);

    impl RandomSource for Counter {
        fn fill(&mut self, buf: &mut [u8]) {
            for byte in buf {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
        }
    }

    #[test]
    fn a_buffer_gets_bytes_that_no_other_gets() {
        let mut guest = Guest::new(Entropy::new(Counter(0)), Taste::default());
        guest.send(0, &[], &[3, 2]).unwrap();
        guest.send(0, &[], &[2]).unwrap();
        assert_eq!(guest.take(0).unwrap().data, [1, 2, 3, 4, 5]);
        assert_eq!(guest.take(0).unwrap().data, [6, 7]);
    }

    #[test]
    fn a_huge_buffer_is_filled_in_part() {
        let mut guest = Guest::new(Entropy::new(Counter(0)), Taste::default());
        guest.send(0, &[], &[1 << 20]).unwrap();
        let done = guest.take(0).unwrap();
        assert_eq!(done.len, 256);
        assert!(done.data[256..].iter().all(|byte| *byte == 0xee));
    }

    #[test]
    fn a_buffer_that_cannot_be_written_is_a_fault() {
        let mut guest = Guest::new(Entropy::new(Counter(0)), Taste::default());
        guest.send(0, &[b"x"], &[]).unwrap();
        assert!(guest.needs_reset());
    }
}
