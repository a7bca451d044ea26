//! Password hashes as strings: `$argon2id$v=19$m=8192,t=3,p=1$SALT$HASH` (the PHC string format).

use super::argon2::TAG_BYTES;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64Unpadded, Encoding};
use core::fmt;
use subtle::ConstantTimeEq;

/// Bytes of salt in strings that are made here (RFC 9106, 3.1).
pub const SALT_BYTES: usize = 16;
/// The longest string that is looked at.
const LONGEST: usize = 200;

/// What a hash costs. The bounds keep a string in a configuration from stopping the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// What `make passwd` and `passwd` use: 8 MiB, since the heap must bear it, and three passes.
    pub const DEFAULT: Self = Self { memory_kib: 8 << 10, passes: 3, lanes: 1 };

    /// At most 64 MiB, 16 passes and 8 lanes; at least 8 KiB for each lane.
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let is_good = (1..=8).contains(&lanes)
            && (8 * lanes..=64 << 10).contains(&memory_kib)
            && (1..=16).contains(&passes);
        is_good.then_some(Self { memory_kib, passes, lanes })
    }

    /// Its memory.
    #[must_use]
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// How often that is gone through.
    #[must_use]
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Parts of the memory that could be filled at once.
    #[must_use]
    pub fn lanes(self) -> u32 {
        self.lanes
    }

    /// Blocks that are filled in all: how long it takes.
    #[must_use]
    pub fn blocks(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

/// Why a string is no password hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadHash {
    /// It is not `$argon2id$v=19$m=...,t=...,p=...$SALT$HASH`.
    Form,
    /// It is of another kind or version.
    Kind,
    /// It costs more than is allowed here, or less than is possible.
    Cost,
    /// The salt is shorter than 8 bytes or longer than 48, or the hash is not of 32.
    Length,
}

impl fmt::Display for BadHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "it is not of the form $argon2id$v=19$m=...,t=...,p=...$SALT$HASH",
            Self::Kind => "its kind is not argon2id, version 19",
            Self::Cost => "its cost is beyond m=65536,t=16,p=8, or less than m=8 for each of p",
            Self::Length => "its salt is not of 8 to 48 bytes, or its hash not of 32",
        })
    }
}

/// A salted hash of a password.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    tag: [u8; TAG_BYTES],
}

impl PasswordHash {
    /// A hash that was made.
    #[must_use]
    pub fn new(cost: Cost, salt: [u8; SALT_BYTES], tag: [u8; TAG_BYTES]) -> Self {
        Self { cost, salt: salt.to_vec(), tag }
    }

    /// Reads the string.
    ///
    /// # Errors
    ///
    /// If it is no hash, or not one that can be had here.
    pub fn parse(text: &str) -> Result<Self, BadHash> {
        if text.len() > LONGEST {
            return Err(BadHash::Form);
        }
        let mut parts = text.split('$');
        let mut part = || parts.next().ok_or(BadHash::Form);
        let [before, kind, version, cost, salt, tag] =
            [part()?, part()?, part()?, part()?, part()?, part()?];
        if !before.is_empty() || parts.next().is_some() {
            return Err(BadHash::Form);
        }
        if (kind, version) != ("argon2id", "v=19") {
            return Err(BadHash::Kind);
        }
        let decode = |text| Base64Unpadded::decode_vec(text).map_err(|_| BadHash::Form);
        let (cost, salt) = (parse_cost(cost)?, decode(salt)?);
        let tag = decode(tag)?.try_into().map_err(|_| BadHash::Length)?;
        if !(8..=48).contains(&salt.len()) {
            return Err(BadHash::Length);
        }
        Ok(Self { cost, salt, tag })
    }

    /// What it costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Its salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether the hash of a password is this one. It takes the same time whatever differs.
    #[must_use]
    pub fn is_of(&self, tag: &[u8; TAG_BYTES]) -> bool {
        self.tag.ct_eq(tag).into()
    }

    /// The string.
    #[must_use]
    pub fn text(&self) -> String {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let [salt, tag] = [&self.salt[..], &self.tag].map(Base64Unpadded::encode_string);
        format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${tag}")
    }
}

/// Says what it costs, and nothing of the hash.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

fn parse_cost(text: &str) -> Result<Cost, BadHash> {
    let mut parts = text.split(',');
    let mut number = |name: &str| {
        let digits = parts.next()?.strip_prefix(name)?.strip_prefix('=')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { digits.parse().ok() } else { None }
    };
    let numbers = (number("m"), number("t"), number("p"));
    let (Some(memory), Some(passes), Some(lanes), None) =
        (numbers.0, numbers.1, numbers.2, parts.next())
    else {
        return Err(BadHash::Form);
    };
    Cost::new(memory, passes, lanes).ok_or(BadHash::Cost)
}

#[cfg(test)]
mod tests {
    use super::super::argon2::{Hasher, Progress};
    use super::*;
    use proptest::prelude::*;

    /// Made by Debian's `echo -n password | argon2 somesalt -id -m 6 -t 2 -p 1 -e`.
    const OF_OTHERS: &str =
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI";

    #[test]
    fn a_string_of_another_tool_is_understood() {
        let hash = PasswordHash::parse(OF_OTHERS).unwrap();
        assert_eq!(hash.text(), OF_OTHERS);
        let tag = |password| match Hasher::new(password, hash.salt(), hash.cost())
            .unwrap()
            .step(usize::MAX)
        {
            Progress::Done(tag) => tag,
            Progress::More => panic!("it has an end"),
        };
        assert!(hash.is_of(&tag(b"password")) && !hash.is_of(&tag(b"Password")));
        assert!(!format!("{hash:?}").contains("FqGkmHNG"));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_why_is_said() {
        let change = |from: &str, to: &str| PasswordHash::parse(&OF_OTHERS.replace(from, to));
        assert_eq!(change("argon2id", "argon2i"), Err(BadHash::Kind));
        assert_eq!(change("v=19", "v=16"), Err(BadHash::Kind));
        assert_eq!(change("m=64", "m=4294967295"), Err(BadHash::Cost));
        assert_eq!(change("m=64", "m=7"), Err(BadHash::Cost));
        assert_eq!(change("t=2", "t=0"), Err(BadHash::Cost));
        assert_eq!(change("p=1", "p=9"), Err(BadHash::Cost));
        for (from, to) in [
            ("p=1", "p=1,q=1"),
            ("m=64", "m=+64"),
            ("m=64", "m=99999999999"),
            (",p=1", ""),
            ("c29t", "c2=t"),
        ] {
            assert_eq!(change(from, to), Err(BadHash::Form), "{to}");
        }
        assert_eq!(change("c29tZXNhbHQ", "c29t"), Err(BadHash::Length));
        assert_eq!(PasswordHash::parse(""), Err(BadHash::Form));
        assert_eq!(PasswordHash::parse(&"$".repeat(1 << 20)), Err(BadHash::Form));
    }

    proptest! {
        #[test]
        fn every_string_ends_in_an_answer(text in "[$argon2id=v19m,t0-9A-Z+/ ]{0,80}") {
            let _ = PasswordHash::parse(&text);
        }
    }
}
