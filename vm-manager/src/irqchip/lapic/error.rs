//! The error status register (SDM volume 3A, 11.5.3).

use super::LocalApic;
use super::local_vectors::Source;

/// What can go wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub(super) enum ErrorBit {
    SendIllegalVector = 1 << 5,
    ReceiveIllegalVector = 1 << 6,
    IllegalRegister = 1 << 7,
}

impl LocalApic {
    /// Notes an error, and interrupts if it is new. An error of the error interrupt's own vector is
    /// noted as well, and goes no further.
    pub(super) fn raise_error(&mut self, error: ErrorBit) {
        let bit = error as u32;
        let is_new = self.pending_errors & bit == 0;
        self.pending_errors |= bit;
        if is_new {
            // The entry has a vector, which `pending` tells.
            let _ = self.fire(Source::Error);
        }
    }

    /// A write shows what was noted since the one before, and begins anew.
    pub(super) fn latch_errors(&mut self) {
        self.error_status = self.pending_errors;
        self.pending_errors = 0;
    }
}
