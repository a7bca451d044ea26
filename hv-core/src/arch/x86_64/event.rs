//! Events on their way into a guest: SDM vol. 3C, 25.8.3 and 25.9.3; APM vol. 2, 15.20 and 15.7.2.
//!
//! VMX and SVM spell an event alike, in bits 0 to 31 of a field: vector 7:0, type 10:8, whether there is an error code 11,
//! validity 31. What an exit interrupted is told in the same spelling, so that it can be handed in again.

const ERROR_CODE: u64 = 1 << 11;
const VALID: u64 = 1 << 31;

/// What a vCPU is waiting to be able to take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Window {
    /// Nothing.
    Closed,
    /// An interrupt: [`InterruptWindow`](super::exit::ArchExit::InterruptWindow) comes once it can take one.
    Interrupt,
    /// An NMI: [`NmiWindow`](super::exit::ArchExit::NmiWindow) comes once it can take one.
    Nmi,
}

/// What kind of event; the number is the type in the field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum EventKind {
    /// An external interrupt.
    Interrupt = 0,
    /// A non-maskable interrupt.
    Nmi = 2,
    /// An exception that the hardware raised.
    Exception = 3,
    /// INT n.
    SoftwareInterrupt = 4,
    /// INT1; VMX only.
    PrivilegedException = 5,
    /// INT3 or INTO; VMX only. SVM calls them exceptions.
    SoftwareException = 6,
}

impl EventKind {
    /// Whether it is an instruction that raises it: then VMX wants to be told the instruction's length, and the event
    /// returns to behind the instruction.
    #[must_use]
    pub const fn is_software(self) -> bool {
        matches!(
            self,
            Self::SoftwareInterrupt | Self::PrivilegedException | Self::SoftwareException
        )
    }

    const fn from_type(field: u64) -> Option<Self> {
        Some(match field >> 8 & 7 {
            0 => Self::Interrupt,
            2 => Self::Nmi,
            3 => Self::Exception,
            4 => Self::SoftwareInterrupt,
            5 => Self::PrivilegedException,
            6 => Self::SoftwareException,
            _ => return None,
        })
    }
}

/// An event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its vector.
    pub vector: u8,
    /// Its kind.
    pub kind: EventKind,
    /// Its error code, if it has one.
    pub error_code: Option<u32>,
}

impl Event {
    /// The interrupt with this vector.
    #[must_use]
    pub const fn interrupt(vector: u8) -> Self {
        Self { vector, kind: EventKind::Interrupt, error_code: None }
    }

    /// A non-maskable interrupt.
    pub const NMI: Self = Self { vector: 2, kind: EventKind::Nmi, error_code: None };
    /// #DB.
    pub const DEBUG: Self = Self { vector: 1, kind: EventKind::Exception, error_code: None };
    /// #UD.
    pub const UNDEFINED: Self = Self { vector: 6, kind: EventKind::Exception, error_code: None };
    /// #GP(0).
    pub const PROTECTION: Self =
        Self { vector: 13, kind: EventKind::Exception, error_code: Some(0) };

    /// Whether the instruction that raised it raises it again: when its delivery was interrupted, RIP is still at INT n, INT1,
    /// INT3 or INTO, which SVM calls an exception, and so nothing is to be handed in again.
    #[must_use]
    pub const fn is_redone(self) -> bool {
        self.kind.is_software() || matches!((self.kind, self.vector), (EventKind::Exception, 3 | 4))
    }

    /// The event in an IDT-vectoring information field and its error-code field; `None` if there is none, or one of a
    /// reserved type. SDM vol. 3C, 25.9.3.
    #[must_use]
    pub const fn from_vmx(information: u32, error_code: u32) -> Option<Self> {
        Self::from_field(information as u64, error_code)
    }

    /// The event in `EXITINTINFO`. APM vol. 2, 15.7.2.
    ///
    /// QEMU 7.2 tells of an external interrupt whose delivery met a nested page fault as of an exception; no exception has
    /// such a vector, and to hand it in again as it stands makes an invalid VMCB.
    #[must_use]
    pub const fn from_svm(field: u64) -> Option<Self> {
        match Self::from_field(field, (field >> 32) as u32) {
            // Types 5 and 6 are reserved here.
            Some(Self {
                kind: EventKind::PrivilegedException | EventKind::SoftwareException,
                ..
            }) => None,
            Some(event) if is_disguised(event) => Some(Self::interrupt(event.vector)),
            event => event,
        }
    }

    const fn from_field(field: u64, error_code: u32) -> Option<Self> {
        if field & VALID == 0 {
            return None;
        }
        let Some(kind) = EventKind::from_type(field) else { return None };
        let error_code = if field & ERROR_CODE != 0 { Some(error_code) } else { None };
        Some(Self { vector: field as u8, kind, error_code })
    }

    /// The VM-entry interruption-information field and its error code. SDM vol. 3C, 25.8.3.
    #[must_use]
    pub const fn to_vmx(self) -> (u32, u32) {
        let field = self.vector as u64 | (self.kind as u64) << 8 | VALID;
        match self.error_code {
            // Bits 31:16 of an error code are reserved, and a guest in real mode takes none: the caller looks at CR0.PE.
            Some(code) => ((field | ERROR_CODE) as u32, code),
            None => (field as u32, 0),
        }
    }

    /// `EVENTINJ`. APM vol. 2, 15.20: INT1, INT3 and INTO are exceptions here.
    #[must_use]
    pub const fn to_svm(self) -> u64 {
        let kind = match self.kind {
            EventKind::PrivilegedException | EventKind::SoftwareException => EventKind::Exception,
            EventKind::Interrupt
            | EventKind::Nmi
            | EventKind::Exception
            | EventKind::SoftwareInterrupt => self.kind,
        };
        let field = self.vector as u64 | (kind as u64) << 8 | VALID;
        match self.error_code {
            Some(code) => field | ERROR_CODE | (code as u64) << 32,
            None => field,
        }
    }
}

const fn is_disguised(event: Event) -> bool {
    matches!(event.kind, EventKind::Exception) && event.vector >= 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_are_spelled_as_in_the_manuals() {
        assert_eq!(Event::interrupt(0x30).to_vmx(), (0x8000_0030, 0));
        assert_eq!(Event::NMI.to_vmx(), (0x8000_0202, 0));
        assert_eq!(Event::UNDEFINED.to_vmx(), (0x8000_0306, 0));
        assert_eq!(Event::PROTECTION.to_vmx(), (0x8000_0b0d, 0));
        assert_eq!(Event::interrupt(0x30).to_svm(), 0x8000_0030);
        let fault = Event { error_code: Some(5), vector: 14, ..Event::PROTECTION };
        assert_eq!(fault.to_svm(), 0x5_8000_0b0e);
    }

    #[test]
    fn svm_knows_no_software_exceptions() {
        let int3 = Event { vector: 3, kind: EventKind::SoftwareException, error_code: None };
        assert_eq!(int3.to_vmx().0, 0x8000_0603);
        assert_eq!(int3.to_svm(), 0x8000_0303);
    }

    #[test]
    fn an_interrupt_that_qemu_calls_an_exception_is_an_interrupt() {
        assert_eq!(Event::from_svm(0x8000_0330), Some(Event::interrupt(0x30)));
        assert_eq!(Event::from_svm(0x8000_0306), Some(Event::UNDEFINED));
    }

    #[test]
    fn an_invalid_or_reserved_field_is_no_event() {
        assert_eq!(Event::from_vmx(0x30e, 0), None);
        assert_eq!(Event::from_vmx(0x8000_0100, 0), None);
        assert_eq!(Event::from_svm(0x8000_0700), None);
        assert_eq!(Event::from_svm(0x8000_0603), None);
    }

    proptest! {
        #[test]
        fn what_was_interrupted_is_handed_in_again(field: u32, code: u32) {
            if let Some(event) = Event::from_vmx(field, code) {
                prop_assert_eq!(Event::from_vmx(event.to_vmx().0, event.to_vmx().1), Some(event));
            }
            if let Some(event) = Event::from_svm(u64::from(code) << 32 | u64::from(field)) {
                let again = Event::from_svm(event.to_svm());
                prop_assert_eq!(again.map(Event::to_svm), Some(event.to_svm()));
            }
        }
    }
}
