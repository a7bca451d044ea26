//! Identification registers, which a hypervisor traps to hide features.

use guest::board::Board;
use guest::read_register;

use crate::batch::measure;

/// Reads one that is always there.
pub(super) fn register(_: &'static Board, name: &str) {
    measure(name, || {
        read_register!("id_aa64pfr0_el1");
    });
}
