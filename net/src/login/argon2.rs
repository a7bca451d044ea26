//! Argon2id (RFC 9106) in slices: it fills as many blocks as it is told to, and goes on later.

use super::block::{Block, WORDS};
use super::phc::Cost;
use alloc::vec::Vec;
use blake2::{Blake2b256, Blake2b512, Digest};

/// Slices of a pass (3.2): within one, lanes do not look at each other.
const SLICES: usize = 4;
/// The version 1.3, as a number.
const VERSION: u32 = 0x13;
/// Argon2id.
const KIND: u32 = 2;
/// Bytes of a hash: what is usual, and no other.
pub(super) const TAG_BYTES: usize = 32;
/// What of a hash goes into a longer one (3.3).
const HALF: usize = 32;

/// Why there is no hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HashError {
    /// There is no memory for it.
    NoMemory,
    /// The password is longer than any.
    Length,
}

/// How far it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// There is more to do.
    More,
    /// The hash.
    Done([u8; TAG_BYTES]),
}

/// A hash that is being made. Its memory is as large as its cost says.
pub struct Hasher {
    blocks: Vec<Block>,
    first: [u8; 64],
    place: Place,
    addresses: Block,
    passes: usize,
    lanes: usize,
    columns: usize,
}

/// Which block is next.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    pass: usize,
    slice: usize,
    lane: usize,
    /// Within the slice.
    index: usize,
}

impl Hasher {
    /// Begins to hash `password`. Cheap but for memory that is reserved.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub fn new(password: &[u8], salt: &[u8], cost: Cost) -> Result<Self, HashError> {
        Self::with_secret(password, salt, [&[], &[]], cost)
    }

    fn with_secret(
        password: &[u8],
        salt: &[u8],
        [secret, data]: [&[u8]; 2],
        cost: Cost,
    ) -> Result<Self, HashError> {
        let lanes = cost.lanes().max(1) as usize;
        let columns = cost.memory_kib() as usize / (SLICES * lanes) * SLICES;
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(columns * lanes).map_err(|_| HashError::NoMemory)?;
        let mut hash = Blake2b512::default();
        let numbers =
            [lanes as u32, TAG_BYTES as u32, cost.memory_kib(), cost.passes(), VERSION, KIND];
        for number in numbers {
            hash.update(number.to_le_bytes());
        }
        for part in [password, salt, secret, data] {
            let len = u32::try_from(part.len()).map_err(|_| HashError::Length)?;
            hash.update(len.to_le_bytes());
            hash.update(part);
        }
        Ok(Self {
            blocks,
            first: hash.finalize().into(),
            place: Place::default(),
            addresses: Block::ZERO,
            passes: cost.passes() as usize,
            lanes,
            columns,
        })
    }

    /// Fills at most `budget` blocks; each takes one or two microseconds. The memory itself is filled with zeroes first, which counts
    /// as well.
    pub fn step(&mut self, budget: usize) -> Progress {
        let total = self.lanes * self.columns;
        let mut rest = budget;
        while rest != 0 && self.blocks.len() < total {
            self.blocks.push(Block::ZERO);
            rest -= 1;
        }
        while rest != 0 && self.place.pass < self.passes {
            self.fill();
            self.advance();
            rest -= 1;
        }
        if self.blocks.len() < total || self.place.pass < self.passes {
            return Progress::More;
        }
        let mut sum = Block::ZERO;
        for lane in 0..self.lanes {
            sum.xor(self.block(lane, self.columns - 1));
        }
        Progress::Done(tag_hash(&sum))
    }

    fn segment(&self) -> usize {
        self.columns / SLICES
    }

    fn advance(&mut self) {
        let segment = self.segment();
        let place = &mut self.place;
        place.index += 1;
        if place.index == segment {
            (place.index, place.lane) = (0, place.lane + 1);
        }
        if place.lane == self.lanes {
            (place.lane, place.slice) = (0, place.slice + 1);
        }
        if place.slice == SLICES {
            (place.slice, place.pass) = (0, place.pass + 1);
        }
    }

    /// The block at `place` (3.2, steps 3 to 6).
    fn fill(&mut self) {
        let Place { pass, slice, lane, index } = self.place;
        let column = slice * self.segment() + index;
        let block = if pass == 0 && column < 2 {
            let place = [(column as u32).to_le_bytes(), (lane as u32).to_le_bytes()];
            Block::from_bytes(&block_hash(&[&self.first, place.as_flattened()]))
        } else {
            let before = (column + self.columns - 1) % self.columns;
            let random = self.random(before);
            let (other_lane, other_column) = self.reference(random);
            let mut block =
                Block::compress(self.block(lane, before), self.block(other_lane, other_column));
            if pass != 0 {
                block.xor(self.block(lane, column));
            }
            block
        };
        if let Some(place) = self.blocks.get_mut(lane * self.columns + column) {
            *place = block;
        }
    }

    /// `J_1` and `J_2` (3.4.1): in the first half of the first pass they do not depend on the password.
    fn random(&mut self, before: usize) -> u64 {
        let Place { pass, slice, lane, index } = self.place;
        if pass != 0 || slice >= SLICES / 2 {
            return self.block(lane, before).0[0];
        }
        // The first two blocks of a lane need none, but are counted.
        if index % WORDS == 0 || (slice == 0 && index == 2) {
            let mut input = Block::ZERO;
            let numbers = [
                pass,
                lane,
                slice,
                self.lanes * self.columns,
                self.passes,
                KIND as usize,
                index / WORDS + 1,
            ];
            for (word, number) in input.0.iter_mut().zip(numbers) {
                *word = number as u64;
            }
            let once = Block::compress(&Block::ZERO, &input);
            self.addresses = Block::compress(&Block::ZERO, &once);
        }
        self.addresses.0[index % WORDS]
    }

    /// Lane and column of the block that goes into the one at `place` (3.4.2).
    fn reference(&self, random: u64) -> (usize, usize) {
        let Place { pass, slice, lane, index } = self.place;
        let (low, high) = (random & 0xffff_ffff, random >> 32);
        let is_first = pass == 0 && slice == 0;
        let other = if is_first { lane } else { (high % self.lanes as u64) as usize };
        let segment = self.segment();
        let finished = if pass == 0 { slice * segment } else { self.columns - segment };
        let area = if other == lane {
            finished + index - 1
        } else if index == 0 {
            finished - 1
        } else {
            finished
        };
        let nearness = (area as u64 * ((low * low) >> 32)) >> 32;
        let distance = area - 1 - nearness as usize;
        let start = if pass == 0 { 0 } else { (slice + 1) % SLICES * segment };
        (other, (start + distance) % self.columns)
    }

    fn block(&self, lane: usize, column: usize) -> &Block {
        self.blocks.get(lane * self.columns + column).unwrap_or(const { &Block::ZERO })
    }
}

/// `H'` (3.3) for a whole block: of each hash the first half, of the last all.
fn block_hash(parts: &[&[u8]]) -> [u8; 8 * WORDS] {
    let mut hash = Blake2b512::default();
    hash.update((8 * WORDS as u32).to_le_bytes());
    for part in parts {
        hash.update(part);
    }
    let mut last: [u8; 2 * HALF] = hash.finalize().into();
    let mut output = [0; 8 * WORDS];
    let (halves, end) = output.split_at_mut(8 * WORDS - 2 * HALF);
    for place in halves.chunks_exact_mut(HALF) {
        place.copy_from_slice(&last[..HALF]);
        last = Blake2b512::digest(last).into();
    }
    end.copy_from_slice(&last);
    output
}

/// `H'` for the result.
fn tag_hash(sum: &Block) -> [u8; TAG_BYTES] {
    let mut hash = Blake2b256::default();
    hash.update((TAG_BYTES as u32).to_le_bytes());
    hash.update(sum.to_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(mut hasher: Hasher, budget: usize) -> [u8; TAG_BYTES] {
        loop {
            if let Progress::Done(tag) = hasher.step(budget) {
                return tag;
            }
        }
    }

    fn cost(memory_kib: u32, passes: u32, lanes: u32) -> Cost {
        Cost::new(memory_kib, passes, lanes).unwrap()
    }

    /// RFC 9106, 5.3.
    #[test]
    fn the_manuals_example_comes_out() {
        let others: [&[u8]; 2] = [&[3; 8], &[4; 12]];
        let hasher = Hasher::with_secret(&[1; 32], &[2; 16], others, cost(32, 3, 4)).unwrap();
        let expected = [
            0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b,
            0x53, 0xc9, 0xd0, 0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9,
            0x6b, 0x01, 0xe6, 0x59,
        ];
        assert_eq!(run(hasher, 1), expected);
    }

    #[test]
    fn more_than_128_blocks_of_a_slice_are_as_others_have_them() {
        check(b"password", b"somesalt", cost(1100, 2, 1), 1000);
        check(b"password", b"somesalt", cost(4096, 3, 1), usize::MAX);
    }

    fn check(password: &[u8], salt: &[u8], cost: Cost, budget: usize) {
        let params =
            argon2::Params::new(cost.memory_kib(), cost.passes(), cost.lanes(), Some(TAG_BYTES));
        let other = argon2::Argon2::new(
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            params.unwrap(),
        );
        let mut expected = [0; TAG_BYTES];
        other.hash_password_into(password, salt, &mut expected).unwrap();
        assert_eq!(run(Hasher::new(password, salt, cost).unwrap(), budget), expected, "{cost:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_what_others_make_however_it_is_sliced(
            password in prop::collection::vec(any::<u8>(), 0..80),
            salt in prop::collection::vec(any::<u8>(), 8..40),
            (memory, passes, lanes) in (32..200u32, 1..4u32, 1..5u32),
            budget in 1..300usize,
        ) {
            check(&password, &salt, cost(memory, passes, lanes), budget);
        }
    }
}
