//! Users, and what they may do.

use super::phc::{BadHash, Cost, PasswordHash};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// Users of a machine.
const MOST_USERS: usize = 64;
/// The longest name.
pub(super) const LONGEST_NAME: usize = 32;

/// What somebody may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Look at everything, and change nothing.
    Viewer,
    /// Run VMs: start, stop, type on consoles.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// The role of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.name() == name)
    }

    /// Its name in configurations and listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a command is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope<'a> {
    /// The machine, or all VMs.
    Machine,
    /// The VM of this name.
    Vm(&'a str),
}

/// Somebody who may log in.
#[derive(Clone, Debug)]
pub struct User {
    name: String,
    role: Option<Role>,
    grants: Vec<(String, Role)>,
    password: PasswordHash,
}

impl User {
    /// A user with a role on the whole machine, or none, and with roles on single VMs.
    ///
    /// # Errors
    ///
    /// If the name cannot be one, or the password is not a hash.
    pub fn new(
        name: &str,
        password: &str,
        role: Option<Role>,
        grants: Vec<(String, Role)>,
    ) -> Result<Self, BadUser> {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_letter) {
            return Err(BadUser::Name);
        }
        let password = PasswordHash::parse(password).map_err(BadUser::Password)?;
        Ok(Self { name: name.to_string(), role, grants, password })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The role on the whole machine.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// The password's hash.
    #[must_use]
    pub fn password(&self) -> &PasswordHash {
        &self.password
    }

    /// Whether this user may do what `needed` may, with what `scope` says.
    #[must_use]
    pub fn may(&self, needed: Role, scope: Scope<'_>) -> bool {
        let granted = self.grants.iter().filter(|(vm, _)| scope == Scope::Vm(vm));
        let role = granted.map(|(_, role)| *role).chain(self.role).max();
        role.is_some_and(|role| role >= needed)
    }
}

/// Why somebody is no user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadUser {
    /// The name is not of 1 to 32 letters, digits, `_`, `.` and `-`.
    Name,
    /// The password is no hash.
    Password(BadHash),
    /// Another user has the name.
    Twice,
    /// There are too many users.
    TooMany,
    /// There is no such user.
    Unknown,
}

impl fmt::Display for BadUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a user's name has 1 to 32 letters, digits, _, . and -"),
            Self::Password(why) => write!(f, "not a password's hash: {why}"),
            Self::Twice => f.write_str("two users have this name"),
            Self::TooMany => write!(f, "there are more than {MOST_USERS} users"),
            Self::Unknown => f.write_str("there is no such user"),
        }
    }
}

/// All users.
#[derive(Clone, Debug, Default)]
pub struct Directory(Vec<User>);

impl Directory {
    /// These users.
    ///
    /// # Errors
    ///
    /// If two have one name, or there are too many.
    pub fn new(users: Vec<User>) -> Result<Self, BadUser> {
        if users.len() > MOST_USERS {
            return Err(BadUser::TooMany);
        }
        let mut names: Vec<_> = users.iter().map(|user| &user.name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(BadUser::Twice);
        }
        Ok(Self(users))
    }

    /// Whether nobody can log in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The user of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.name == name)
    }

    /// The users.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.0.iter()
    }

    /// Adds a user.
    ///
    /// # Errors
    ///
    /// If there is one of that name, or there are too many.
    pub fn add(&mut self, user: User) -> Result<(), BadUser> {
        if self.find(&user.name).is_some() {
            return Err(BadUser::Twice);
        }
        if self.0.len() >= MOST_USERS {
            return Err(BadUser::TooMany);
        }
        self.0.push(user);
        Ok(())
    }

    /// Gives a user another password, until the next boot.
    ///
    /// # Errors
    ///
    /// If there is no such user.
    pub fn set_password(&mut self, name: &str, password: PasswordHash) -> Result<(), BadUser> {
        let user = self.0.iter_mut().find(|user| user.name == name).ok_or(BadUser::Unknown)?;
        user.password = password;
        Ok(())
    }

    /// What a password is compared with: the user's hash, or for a name that nobody has one that no password has and that
    /// costs as much as the hash of somebody. Who that is depends on the name, so that trying it again tells nothing.
    pub(super) fn password(&self, name: &str) -> PasswordHash {
        if let Some(user) = self.find(name) {
            return user.password.clone();
        }
        let sum = name.bytes().fold(7usize, |sum, byte| sum.wrapping_mul(31) ^ usize::from(byte));
        let other = sum.checked_rem(self.0.len()).and_then(|index| self.0.get(index));
        let cost = other.map_or(Cost::DEFAULT, |user| user.password.cost());
        // A hash of zeroes is as unlikely as any other, and nobody is let in by it anyhow.
        PasswordHash::new(cost, [0; 16], [0; 32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI";

    fn user(name: &str, role: Option<Role>, grants: &[(&str, Role)]) -> Result<User, BadUser> {
        let grants = grants.iter().map(|(vm, role)| ((*vm).to_string(), *role)).collect();
        User::new(name, HASH, role, grants)
    }

    #[test]
    fn a_role_may_what_those_below_it_may() {
        let operator = user("o", Some(Role::Operator), &[]).unwrap();
        for scope in [Scope::Machine, Scope::Vm("web")] {
            assert!(operator.may(Role::Viewer, scope) && operator.may(Role::Operator, scope));
            assert!(!operator.may(Role::Admin, scope));
        }
    }

    #[test]
    fn a_grant_is_for_its_vm_only_and_never_takes_away() {
        let guest = user("g", None, &[("web", Role::Operator)]).unwrap();
        assert!(guest.may(Role::Operator, Scope::Vm("web")));
        assert!(
            !guest.may(Role::Viewer, Scope::Vm("web2")) && !guest.may(Role::Viewer, Scope::Machine)
        );
        let both = user("b", Some(Role::Operator), &[("web", Role::Viewer)]).unwrap();
        assert!(both.may(Role::Operator, Scope::Vm("web")));
    }

    #[test]
    fn names_are_short_plain_and_of_one() {
        for name in ["", "a b", "a\x1b", "ä", &"a".repeat(33)] {
            assert_eq!(user(name, None, &[]).unwrap_err(), BadUser::Name, "{name}");
        }
        let twice = vec![user("a", None, &[]).unwrap(), user("a", None, &[]).unwrap()];
        assert_eq!(Directory::new(twice).unwrap_err(), BadUser::Twice);
        assert_eq!(Role::from_name("operator"), Some(Role::Operator));
        assert_eq!(Role::from_name("root"), None);
    }

    #[test]
    fn a_name_that_nobody_has_costs_what_somebodys_does() {
        let directory = Directory::new(vec![user("a", None, &[]).unwrap()]).unwrap();
        for name in ["a", "b", "", "admin"] {
            assert_eq!(directory.password(name).cost().memory_kib(), 64, "{name}");
        }
        assert_eq!(Directory::default().password("a").cost(), Cost::DEFAULT);
    }
}
