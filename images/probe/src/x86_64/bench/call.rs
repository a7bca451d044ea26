//! Hypervisor calls, as KVM has them: the function in RAX, arguments from RBX on.

use guest::board::Board;
use guest::{println, trap};

use crate::arch::hypercall::{self, function};
use crate::batch::measure;

/// A call that everybody answers, if only with an error.
pub(super) fn known(_: &'static Board, name: &str) {
    call(name, function::POLL);
}

/// A call that nobody implements.
pub(super) fn unknown(_: &'static Board, name: &str) {
    call(name, function::UNKNOWN);
}

fn call(name: &str, function: u64) {
    let Some(instruction) = hypercall::instruction() else {
        println!("probe: info {name} needs a hypervisor");
        return;
    };
    let trap = trap::expect(|| {
        measure(name, || {
            hypercall::call(instruction, function);
        });
    });
    if let Some(trap) = trap {
        println!("probe: info {name} {trap}");
    }
}
