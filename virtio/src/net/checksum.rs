//! The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit words.

/// A sum that grows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds bytes. Whatever is added before another must have an even number of them.
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        // The sum of words of any size, folded, is that of their 16-bit words (RFC 1071, 2); and it does not depend on the
        // order of bytes but for the result's.
        let (wide, rest) = bytes.as_chunks::<4>();
        let mut sum = self.0;
        for word in wide {
            // 2^32 words of 32 bits fit; a frame has fewer.
            sum = sum.wrapping_add(u64::from(u32::from_be_bytes(*word)));
        }
        let mut last = [0; 4];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        Self(sum.wrapping_add(u64::from(u32::from_be_bytes(last))))
    }

    /// Adds a number of 16 bits.
    pub(super) fn add_u16(self, number: u16) -> Self {
        Self(self.0.wrapping_add(u64::from(number)))
    }

    /// The sum itself: what is in the field of a checksum that is yet to be completed (virtio 1.2, 5.1.6.2).
    pub(super) fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    /// The checksum. Never zero, which UDP has for none (RFC 768) and which is the same to the others.
    pub(super) fn checksum(self) -> u16 {
        match !self.folded() {
            0 => 0xffff,
            checksum => checksum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As RFC 1071 has it in words.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            let word = u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
            sum += word;
            if sum > 0xffff {
                sum -= 0xffff;
            }
        }
        sum as u16
    }

    #[test]
    fn the_example_of_the_rfc_sums_up() {
        let sum = Sum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.folded(), 0xddf2);
        assert_eq!(sum.checksum(), !0xddf2);
    }

    proptest! {
        #[test]
        fn a_sum_is_that_of_its_words(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Sum::default().add(&bytes).folded(), naive(&bytes));
        }

        #[test]
        fn a_sum_may_be_made_in_parts(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..150usize) {
            let (one, other) = bytes.split_at((2 * at).min(bytes.len() / 2 * 2));
            let parts = Sum::default().add(one).add(other);
            prop_assert_eq!(parts.folded(), naive(&bytes));
        }

        #[test]
        fn what_bears_its_checksum_sums_up_to_nothing(mut bytes in prop::collection::vec(any::<u8>(), 2..100)) {
            bytes[..2].fill(0);
            let checksum = Sum::default().add(&bytes).checksum();
            bytes[..2].copy_from_slice(&checksum.to_be_bytes());
            prop_assert_eq!(Sum::default().add(&bytes).folded(), 0xffff);
        }
    }
}
