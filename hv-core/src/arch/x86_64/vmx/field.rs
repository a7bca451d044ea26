//! The fields of a VMCS that tell of an exit. Intel SDM vol. 3C, appendix B: its encodings are the numbers here.

/// A field that is only read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Field {
    /// The guest physical address of an EPT violation or misconfiguration.
    GuestPhysicalAddress = 0x2400,
    /// Why VMLAUNCH or VMRESUME failed.
    InstructionError = 0x4400,
    /// The exit reason.
    Reason = 0x4402,
    /// Which event caused the exit.
    Interruption = 0x4404,
    /// Its error code.
    InterruptionErrorCode = 0x4406,
    /// Which event the exit interrupted in its delivery.
    Vectoring = 0x4408,
    /// Its error code.
    VectoringErrorCode = 0x440a,
    /// The length of the instruction in bytes.
    InstructionLength = 0x440c,
    /// What the instruction's operands are.
    InstructionInformation = 0x440e,
    /// The exit qualification.
    Qualification = 0x6400,
    /// The guest linear address.
    GuestLinearAddress = 0x640a,
}
