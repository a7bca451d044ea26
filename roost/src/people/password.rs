//! A password that is being changed: the old one is compared first if there must be one, and then the new one is hashed.

use super::Person;
use crate::plugs;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use net::login::{
    Cost, Directory, Gate, Hasher, PasswordHash, Progress, SALT_BYTES, User, Working,
};
use shell::error::Error;
use shell::host::PasswordChange;
use shell::session::SessionId;

/// Bytes that do not stay in memory.
struct Secret(Vec<u8>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // So that the zeroes are written though nobody reads them.
        core::hint::black_box(&self.0);
    }
}

enum Step {
    /// The old password is hashed as the one that it shall be.
    Compare(Hasher, PasswordHash),
    /// The new one is hashed.
    Hash(Hasher, [u8; SALT_BYTES]),
    Done(Result<String, Error>),
}

/// A change of a password.
pub(super) struct Change {
    session: SessionId,
    user: String,
    new: Secret,
    /// Whether an administrator changes it for somebody else.
    is_for_other: bool,
    step: Step,
}

impl Change {
    /// Begins it.
    pub(super) fn begin(
        session: SessionId,
        change: PasswordChange,
        users: &Directory,
    ) -> Result<Self, Error> {
        let PasswordChange { user, old, new } = change;
        let new = Secret(new);
        let is_for_other = old.is_none();
        let step = match (old.map(Secret), users.find(&user)) {
            (Some(old), Some(known)) => {
                let expected = known.password().clone();
                Step::Compare(hasher(&old, expected.salt(), expected.cost())?, expected)
            }
            // Nobody has logged in with a password that is not there.
            (Some(_), None) => return Err(wrong()),
            (None, _) => hash(&new)?,
        };
        Ok(Self { session, user, new, is_for_other, step })
    }

    pub(super) fn is_of(&self, session: SessionId) -> bool {
        self.session == session
    }

    pub(super) fn is_running(&self) -> bool {
        !matches!(self.step, Step::Done(_))
    }

    pub(super) fn result(self) -> Result<String, Error> {
        match self.step {
            Step::Done(result) => result,
            Step::Compare(..) | Step::Hash(..) => Ok(String::new()),
        }
    }

    /// Goes on by at most `budget` blocks.
    pub(super) fn step(&mut self, budget: usize, gate: &mut Gate, persons: &[Person]) -> Working {
        self.step = match &mut self.step {
            Step::Done(_) => return Working::Idle,
            Step::Compare(hasher, expected) => match hasher.step(budget) {
                Progress::More => return Working::More,
                Progress::Done(tag) if expected.is_of(&tag) => {
                    hash(&self.new).unwrap_or_else(|error| Step::Done(Err(error)))
                }
                Progress::Done(_) => Step::Done(Err(wrong())),
            },
            Step::Hash(hasher, salt) => match hasher.step(budget) {
                Progress::More => return Working::More,
                Progress::Done(tag) => {
                    let hash = PasswordHash::new(Cost::DEFAULT, *salt, tag);
                    let result = set(&self.user, hash, gate, persons);
                    if result.is_ok() && self.is_for_other {
                        // Who has forgotten it has tried what it might be.
                        gate.forgive(&self.user);
                    }
                    Step::Done(result)
                }
            },
        };
        Working::More
    }
}

fn set(
    name: &str,
    hash: PasswordHash,
    gate: &mut Gate,
    persons: &[Person],
) -> Result<String, Error> {
    let users = gate.users_mut();
    let result = if users.find(name).is_some() {
        users.set_password(name, hash)
    } else {
        let person = persons.iter().find(|person| person.name == name);
        let person = person.ok_or_else(|| Error::new(format!("there is no user '{name}'")))?;
        User::new(name, &hash.text(), person.role, person.grants.clone())
            .and_then(|user| users.add(user))
    };
    result.map_err(|error| Error::new(format!("{error}")))?;
    Ok(format!("{name} has a new password until the machine is turned off"))
}

fn hash(new: &Secret) -> Result<Step, Error> {
    let mut salt = [0; SALT_BYTES];
    for (place, word) in salt.chunks_exact_mut(8).zip(plugs::seed()) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    Ok(Step::Hash(hasher(new, &salt, Cost::DEFAULT)?, salt))
}

fn hasher(password: &Secret, salt: &[u8], cost: Cost) -> Result<Hasher, Error> {
    Hasher::new(&password.0, salt, cost)
        .map_err(|_| Error::new("there is not enough memory to hash a password now"))
}

fn wrong() -> Error {
    Error::new("the old password is wrong; it stays as it is")
}
