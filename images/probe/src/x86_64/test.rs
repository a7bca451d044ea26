//! Tests of what only a PC has.

use crate::test::Test;

/// Each by its name.
pub(crate) const TESTS: &[(&str, Test)] = &[];
