//! The compression function of Argon2 (RFC 9106, 3.5 and 3.6).

/// Words of a block.
pub(super) const WORDS: usize = 128;

/// 1 KiB of Argon2's memory.
#[derive(Clone)]
pub(super) struct Block(pub(super) [u64; WORDS]);

impl Block {
    pub(super) const ZERO: Self = Self([0; WORDS]);

    /// A block of little-endian words.
    pub(super) fn from_bytes(bytes: &[u8; 8 * WORDS]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let mut block = Self::ZERO;
        for (word, bytes) in block.0.iter_mut().zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        block
    }

    /// The bytes of its words, little-endian.
    pub(super) fn to_bytes(&self) -> [u8; 8 * WORDS] {
        let mut bytes = [0; 8 * WORDS];
        let (places, _) = bytes.as_chunks_mut::<8>();
        for (place, word) in places.iter_mut().zip(self.0) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    pub(super) fn xor(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word ^= other;
        }
    }

    /// `G(x, y)`: the permutation on the rows, and then on the columns, of their sum.
    pub(super) fn compress(x: &Self, y: &Self) -> Self {
        let mut sum = x.clone();
        sum.xor(y);
        let mut block = sum.clone();
        let (rows, _) = block.0.as_chunks_mut::<16>();
        for row in rows {
            permute(row);
        }
        for column in 0..8 {
            // Registers of two words: each row has eight, and a column has one of each row.
            let place = |word: usize| 2 * column + 16 * (word / 2) + word % 2;
            let mut words: [u64; 16] = core::array::from_fn(|word| block.0[place(word)]);
            permute(&mut words);
            for (word, value) in words.into_iter().enumerate() {
                block.0[place(word)] = value;
            }
        }
        block.xor(&sum);
        block
    }
}

/// `P`: a round of BLAKE2b with multiplications.
fn permute(v: &mut [u64; 16]) {
    let mut mix = |a: usize, b: usize, c: usize, d: usize| {
        v[a] = add(v[a], v[b]);
        v[d] = (v[d] ^ v[a]).rotate_right(32);
        v[c] = add(v[c], v[d]);
        v[b] = (v[b] ^ v[c]).rotate_right(24);
        v[a] = add(v[a], v[b]);
        v[d] = (v[d] ^ v[a]).rotate_right(16);
        v[c] = add(v[c], v[d]);
        v[b] = (v[b] ^ v[c]).rotate_right(63);
    };
    mix(0, 4, 8, 12);
    mix(1, 5, 9, 13);
    mix(2, 6, 10, 14);
    mix(3, 7, 11, 15);
    mix(0, 5, 10, 15);
    mix(1, 6, 11, 12);
    mix(2, 7, 8, 13);
    mix(3, 4, 9, 14);
}

fn add(a: u64, b: u64) -> u64 {
    let product = u64::from(a as u32).wrapping_mul(u64::from(b as u32));
    a.wrapping_add(b).wrapping_add(product.wrapping_mul(2))
}
