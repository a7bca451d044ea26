//! A set of the 256 interrupt vectors, as `IRR`, `ISR` and `TMR` are.

/// The set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Vectors([u64; 4]);

impl Vectors {
    const fn place(vector: u8) -> (usize, u64) {
        ((vector >> 6) as usize, 1 << (vector & 63))
    }

    #[inline]
    pub(super) fn insert(&mut self, vector: u8) {
        let (word, bit) = Self::place(vector);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, vector: u8) {
        let (word, bit) = Self::place(vector);
        if let Some(word) = self.0.get_mut(word) {
            *word &= !bit;
        }
    }

    #[inline]
    pub(super) fn contains(&self, vector: u8) -> bool {
        let (word, bit) = Self::place(vector);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The most urgent.
    #[inline]
    pub(super) fn highest(&self) -> Option<u8> {
        let (place, word) = self.0.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        Some((place as u32 * 64 + word.ilog2()) as u8)
    }

    /// The 32 vectors from 32 × `index` on, as a register shows them.
    pub(super) fn register(&self, index: usize) -> u32 {
        self.0.get(index / 2).map_or(0, |word| (word >> (32 * (index % 2))) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(
            steps in proptest::collection::vec((any::<u8>(), any::<bool>()), 0..100),
        ) {
            let (mut vectors, mut model) = (Vectors::default(), BTreeSet::new());
            for (vector, is_inserted) in steps {
                if is_inserted {
                    vectors.insert(vector);
                    model.insert(vector);
                } else {
                    vectors.remove(vector);
                    model.remove(&vector);
                }
                prop_assert_eq!(vectors.contains(vector), is_inserted);
                prop_assert_eq!(vectors.highest(), model.last().copied());
                for vector in 0..=u8::MAX {
                    let register = vectors.register(usize::from(vector / 32));
                    prop_assert_eq!(register >> (vector % 32) & 1 != 0, model.contains(&vector));
                }
            }
        }
    }
}
