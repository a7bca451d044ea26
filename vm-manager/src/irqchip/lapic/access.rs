//! How software reaches the registers: the page of an xAPIC and the MSRs of an x2APIC.

use super::error::ErrorBit;
use super::local_vectors::LocalVectors;
use super::mode::Mode;
use super::register::{Alike, Register};
use super::{
    DESTINATION_FORMAT_ONES, Effect, GeneralProtection, LocalApic, SPURIOUS_WRITABLE, VERSION,
};
use crate::irqchip::apic_message::{Destination, Trigger};
use hv_core::guest::Width;
use hv_core::time::Instant;

/// The first MSR of an x2APIC.
const X2APIC_MSR: u32 = 0x800;
/// Bits of the command's low half that can be written, and in an x2APIC may be.
const COMMAND_WRITABLE: u32 = 0x000c_cfff;
const LOW_HALF: u64 = 0xffff_ffff;

impl LocalApic {
    /// Reads from the page of the APIC, `offset` bytes from its base. In other modes than xAPIC there
    /// is no such page: it reads as an empty bus does.
    pub fn read_page(&mut self, offset: u64, width: Width, now: Instant) -> u64 {
        if self.mode() != Mode::XApic {
            return width.ones();
        }
        self.poll(now);
        // Registers are the first 4 bytes of each 16; the rest is reserved.
        if offset & 0xc != 0 {
            return 0;
        }
        let value = u64::from(self.read_xapic((offset >> 4) as u32, now));
        (value >> (8 * (offset & 3))) & width.ones()
    }

    /// Writes to the page of the APIC, `offset` bytes from its base, if it is in xAPIC mode.
    /// Registers are written by 32 bits (11.4.1.2); narrower writes are ignored.
    pub fn write_page(&mut self, offset: u64, width: Width, value: u64, now: Instant) -> Effect {
        if self.mode() != Mode::XApic {
            return Effect::None;
        }
        self.poll(now);
        match width {
            Width::B4 | Width::B8 if offset & 0xf == 0 => {
                self.write_xapic((offset >> 4) as u32, value as u32, now)
            }
            Width::B1 | Width::B2 | Width::B4 | Width::B8 => Effect::None,
        }
    }

    /// Reads an MSR from 0x800 to 0x8ff.
    ///
    /// # Errors
    ///
    /// [`GeneralProtection`] if it is none of the APIC's, is for writing only, or if the APIC is not
    /// in x2APIC mode.
    pub fn read_msr(&mut self, msr: u32, now: Instant) -> Result<u64, GeneralProtection> {
        self.poll(now);
        match self.x2apic_register(msr)? {
            Register::Id => Ok(u64::from(self.id)),
            Register::LogicalDestination => Ok(u64::from(self.logical_id())),
            Register::Command => Ok(self.command),
            Register::Alike(Alike::EndOfInterrupt)
            | Register::SelfInterrupt
            | Register::ArbitrationPriority
            | Register::RemoteRead
            | Register::DestinationFormat
            | Register::CommandHigh => Err(GeneralProtection),
            Register::Alike(register) => Ok(u64::from(self.read_alike(register, now))),
        }
    }

    /// Writes an MSR from 0x800 to 0x8ff.
    ///
    /// # Errors
    ///
    /// [`GeneralProtection`], nothing having changed, if it is none of the APIC's, is for reading
    /// only, if a reserved bit is set, or if the APIC is not in x2APIC mode.
    pub fn write_msr(
        &mut self,
        msr: u32,
        value: u64,
        now: Instant,
    ) -> Result<Effect, GeneralProtection> {
        self.poll(now);
        let low = value as u32;
        let check =
            |allowed: u64| if value & !allowed == 0 { Ok(()) } else { Err(GeneralProtection) };
        match self.x2apic_register(msr)? {
            Register::Command => {
                check(!LOW_HALF | u64::from(COMMAND_WRITABLE))?;
                self.command = value;
                Ok(self.send(low, Destination::from_word((value >> 32) as u32, low)))
            }
            Register::SelfInterrupt => {
                check(0xff)?;
                // It waits, or is illegal, which is noted.
                let _ = self.request(low as u8, Trigger::Edge);
                Ok(Effect::None)
            }
            Register::Alike(register) => {
                check(writable(register).ok_or(GeneralProtection)?)?;
                Ok(self.write_alike(register, low, now))
            }
            Register::Id
            | Register::ArbitrationPriority
            | Register::RemoteRead
            | Register::LogicalDestination
            | Register::DestinationFormat
            | Register::CommandHigh => Err(GeneralProtection),
        }
    }

    fn x2apic_register(&self, msr: u32) -> Result<Register, GeneralProtection> {
        match (self.mode(), msr.checked_sub(X2APIC_MSR).and_then(Register::at)) {
            (Mode::X2Apic, Some(register)) => Ok(register),
            (Mode::X2Apic | Mode::XApic | Mode::Disabled, _) => Err(GeneralProtection),
        }
    }

    fn read_xapic(&mut self, number: u32, now: Instant) -> u32 {
        match Register::at(number) {
            Some(Register::Id) => u32::from(self.xapic_id) << 24,
            Some(Register::LogicalDestination) => self.logical_destination,
            Some(Register::DestinationFormat) => self.destination_format,
            Some(Register::ArbitrationPriority) => u32::from(self.arbitration_priority()),
            Some(Register::Command) => self.command as u32,
            Some(Register::CommandHigh) => (self.command >> 32) as u32,
            Some(Register::RemoteRead) => 0,
            Some(Register::Alike(register)) => self.read_alike(register, now),
            Some(Register::SelfInterrupt) | None => {
                self.raise_error(ErrorBit::IllegalRegister);
                0
            }
        }
    }

    fn write_xapic(&mut self, number: u32, value: u32, now: Instant) -> Effect {
        match Register::at(number) {
            Some(Register::Alike(register)) => return self.write_alike(register, value, now),
            Some(Register::Command) => {
                let low = value & COMMAND_WRITABLE;
                self.command = self.command & !LOW_HALF | u64::from(low);
                return self.send(low, Destination::from_byte((self.command >> 56) as u8, low));
            }
            Some(Register::CommandHigh) => {
                let high = u64::from(value & 0xff00_0000) << 32;
                self.command = self.command & LOW_HALF | high;
            }
            Some(Register::Id) => self.xapic_id = (value >> 24) as u8,
            Some(Register::LogicalDestination) => self.logical_destination = value & 0xff00_0000,
            Some(Register::DestinationFormat) => {
                self.destination_format = value | DESTINATION_FORMAT_ONES;
            }
            Some(Register::ArbitrationPriority | Register::RemoteRead) => {}
            Some(Register::SelfInterrupt) | None => self.raise_error(ErrorBit::IllegalRegister),
        }
        Effect::None
    }

    fn read_alike(&self, register: Alike, now: Instant) -> u32 {
        match register {
            Alike::Version => VERSION,
            Alike::TaskPriority => u32::from(self.task_priority),
            Alike::ProcessorPriority => u32::from(self.processor_priority()),
            Alike::EndOfInterrupt => 0,
            Alike::Spurious => self.spurious,
            Alike::InService(index) => self.in_service.register(index),
            Alike::TriggerMode(index) => self.levels.register(index),
            Alike::Requests(index) => self.requests.register(index),
            Alike::ErrorStatus => self.error_status,
            Alike::Local(source) => self.local.get(source).0,
            Alike::InitialCount => self.timer.initial(),
            Alike::CurrentCount => self.timer.current(now),
            Alike::DivideConfiguration => self.timer.divide(),
        }
    }

    #[inline(always)]
    fn write_alike(&mut self, register: Alike, value: u32, now: Instant) -> Effect {
        match register {
            Alike::EndOfInterrupt => return self.end_of_interrupt(),
            Alike::TaskPriority => self.task_priority = value as u8,
            Alike::Spurious => self.set_spurious(value),
            Alike::ErrorStatus => self.latch_errors(),
            Alike::Local(source) => self.set_local(source, value, now),
            Alike::InitialCount => self.timer.set_initial(value, now),
            Alike::DivideConfiguration => self.timer.set_divide(value, now),
            Alike::Version
            | Alike::ProcessorPriority
            | Alike::InService(_)
            | Alike::TriggerMode(_)
            | Alike::Requests(_)
            | Alike::CurrentCount => {}
        }
        Effect::None
    }
}

/// The bits that a write to an x2APIC may set; `None` if the register is for reading only.
const fn writable(register: Alike) -> Option<u64> {
    Some(match register {
        Alike::TaskPriority => 0xff,
        Alike::EndOfInterrupt | Alike::ErrorStatus => 0,
        Alike::Spurious => SPURIOUS_WRITABLE as u64,
        // Software may write back what it read.
        Alike::Local(source) => (LocalVectors::writable(source) | LocalVectors::READ_ONLY) as u64,
        Alike::InitialCount => LOW_HALF,
        Alike::DivideConfiguration => 0xb,
        Alike::Version
        | Alike::ProcessorPriority
        | Alike::InService(_)
        | Alike::TriggerMode(_)
        | Alike::Requests(_)
        | Alike::CurrentCount => return None,
    })
}
