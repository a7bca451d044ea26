//! A guest of one instruction at a time: assembled, run, and compared with what the manual says.

mod moves;
mod refusals;
mod registers;
mod remembered;
mod results;
mod strings;

use super::super::testing::{FakePcCpu, Mode};
use super::*;
use hv_core::arch::x86_64::register::SegmentName;
use hv_core::exit::Op;
use hv_core::guest::{BadAddress, Space, Width};
use hv_core::vcpu::GuestCpu;
use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;
use std::cell::RefCell;

/// Where the guest's code is, and its RIP when CS has no base.
const CODE: u64 = 0x8000;
/// Where the device is that all exits are about.
const DEVICE: u64 = 0xfee0_0000;
/// The linear address of the device in long mode.
const WINDOW: u64 = 0x20_0000;
const RAM_BYTES: usize = 2 << 20;

/// RAM from address 0 on.
struct Ram(RefCell<Vec<u8>>);

impl Ram {
    fn range(at: GuestPhysAddr, len: usize) -> Result<core::ops::Range<usize>, BadAddress> {
        let start = usize::try_from(at.0).map_err(|_| BadAddress)?;
        let end = start.checked_add(len).filter(|end| *end <= RAM_BYTES).ok_or(BadAddress)?;
        Ok(start..end)
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.write(GuestPhysAddr(at), bytes).unwrap();
    }

    fn get<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(GuestPhysAddr(at), &mut bytes).unwrap();
        bytes
    }
}

impl GuestMemory for Ram {
    fn read(&self, at: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        buf.copy_from_slice(&self.0.borrow()[Self::range(at, buf.len())?]);
        Ok(())
    }

    fn write(&self, at: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.0.borrow_mut()[Self::range(at, buf.len())?].copy_from_slice(buf);
        Ok(())
    }
}

struct Guest {
    cpu: FakePcCpu,
    ram: Ram,
    /// The device's page of registers, which are bytes.
    device: [u8; 4096],
    /// What a port reads; each read counts it up.
    port: u64,
    accesses: Vec<Access>,
    emulator: Emulator,
    /// Whether the hardware tells the linear address.
    linear: Option<u64>,
}

impl Guest {
    /// In long mode, [`WINDOW`] is the device; otherwise the device is at its physical address, which in real mode takes a
    /// segment: FS.
    fn new(mode: Mode) -> Self {
        let mut cpu = FakePcCpu::new(mode);
        cpu.rip = CODE;
        let ram = Ram(RefCell::new(vec![0; RAM_BYTES]));
        match mode {
            Mode::Bits16 => cpu.segments[SegmentName::Fs as usize].base = DEVICE,
            Mode::Bits32 => {}
            Mode::Bits64 => {
                const RWU: u64 = 7;
                const LARGE: u64 = 1 << 7;
                for (at, entry) in [
                    (0x1000, 0x2000 | RWU),
                    (0x2000, 0x3000 | RWU),
                    (0x3000, LARGE | RWU),
                    (0x3008, DEVICE | LARGE | RWU),
                    (0x3010, 0x4000 | RWU),
                    // 0x40_0000: the last page of RAM, then nothing.
                    (0x4000, (RAM_BYTES as u64 - 0x1000) | RWU),
                ] {
                    ram.put(at, &entry.to_le_bytes());
                }
                cpu.set_system(SystemRegister::Cr3, 0x1000);
            }
        }
        let mut device = [0; 4096];
        for (index, byte) in device.iter_mut().enumerate() {
            *byte = (index * 7 + 0x81) as u8;
        }
        Self {
            cpu,
            ram,
            device,
            port: 0x1234_5678,
            accesses: Vec::new(),
            emulator: Emulator::default(),
            linear: None,
        }
    }

    fn size(&self) -> u32 {
        CodeSize::of(&self.cpu).bits()
    }

    /// Puts an instruction where the CPU is. Returns its length.
    fn assemble(
        &mut self,
        assemble: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> u64 {
        let mut assembler = CodeAssembler::new(self.size()).unwrap();
        assemble(&mut assembler).unwrap();
        let bytes = assembler.assemble(self.cpu.rip).unwrap();
        self.ram.put(self.cpu.pc(), &bytes);
        bytes.len() as u64
    }

    /// The exit for an access at `offset` of the device's page.
    fn exit(&mut self, offset: u64, direction: Direction) -> Outcome {
        let addr = GuestPhysAddr(DEVICE + offset);
        let access = MemoryAccess { addr, linear: self.linear, direction };
        let Self { cpu, ram, device, accesses, emulator, port, .. } = self;
        emulator.memory(access, cpu, ram, |access| answer(device, port, accesses, access))
    }

    fn string_port(&mut self, access: StringPort) -> Outcome {
        let Self { cpu, ram, device, accesses, emulator, port, .. } = self;
        emulator.string_port(access, cpu, ram, |access| answer(device, port, accesses, access))
    }

    /// Assembles an instruction, and has it done; it must be stepped over.
    fn does(
        &mut self,
        offset: u64,
        direction: Direction,
        assemble: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) {
        let length = self.assemble(assemble);
        let next = self.cpu.rip + length;
        let outcome = self.exit(offset, direction);
        assert_eq!(outcome, Outcome::Done, "{:x?}", self.ram.get::<15>(self.cpu.pc()));
        assert_eq!(self.cpu.rip, next);
    }

    /// The device's registers from `offset` on.
    fn register(&self, offset: usize, width: Width) -> u64 {
        let bytes = &self.device[offset..][..width.bytes() as usize];
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

fn answer(device: &mut [u8], port: &mut u64, accesses: &mut Vec<Access>, access: Access) -> u64 {
    accesses.push(access);
    match (access.space, access.op) {
        (Space::Port, _) => {
            *port += 1;
            *port - 1
        }
        (Space::Mmio, op) => {
            assert!((DEVICE..DEVICE + 4096).contains(&access.addr.0), "{access:x?}");
            let offset = (access.addr.0 - DEVICE) as usize;
            let registers = &mut device[offset..][..access.width.bytes() as usize];
            match op {
                // More than is wanted: only so many bytes count.
                Op::Read => registers
                    .iter()
                    .rev()
                    .fold(u64::MAX, |value, byte| value << 8 | u64::from(*byte)),
                Op::Write(value) => {
                    assert_eq!(value & !access.width.ones(), 0);
                    registers.copy_from_slice(&value.to_le_bytes()[..registers.len()]);
                    0
                }
            }
        }
    }
}
