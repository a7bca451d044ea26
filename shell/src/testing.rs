//! What the tests of this crate share: a host that is made up, a terminal, and a user.

pub(crate) mod fake_host;
pub(crate) mod fake_registry;
pub(crate) mod noise;
pub(crate) mod user;
pub(crate) mod vt100;
