//! Whatever a driver does to a console's registers and memory, a reset makes it good.
#![no_main]

use hv_core::guest::{Device, GuestPhysAddr, Width};
use hv_core::time::Instant;
use libfuzzer_sys::fuzz_target;
use virtio::console::{Console, ConsolePort, TerminalSize};
use virtio::queue::QueueKind;
use virtio::testing::guest::{Guest, RAM_BASE, Taste};

/// The most bytes that any one access makes a port take.
const MOST: usize = 64 << 10;

#[derive(Default)]
struct End {
    output: Vec<u8>,
    input: usize,
}

impl ConsolePort for End {
    fn write(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
    }
    fn has_input(&self) -> bool {
        self.input != 0
    }
    fn read(&mut self, buf: &mut [u8]) -> usize {
        let count = buf.len().min(self.input);
        self.input -= count;
        count
    }
}

/// What the driver does next: an access, or bytes in its RAM.
type Step = (u8, u16, u32);

fuzz_target!(|input: (bool, bool, Vec<u8>, Vec<Step>)| {
    let (is_packed, has_ports, bytes, steps) = input;
    let others = has_ports.then(|| ("other", End::default()));
    let kind = if is_packed { QueueKind::Packed } else { QueueKind::Split };
    let taste = Taste { kind, ..Taste::default() };
    let mut guest = Guest::new(Console::new(End::default(), others), taste);
    guest.ram.put(GuestPhysAddr(RAM_BASE), &bytes);
    for (what, place, value) in steps {
        match what % 8 {
            0 => guest.set(0x050, value % 8),
            1 => guest.device.write(
                u64::from(place % 0x200),
                Width::B4,
                u64::from(value),
                Instant(0),
            ),
            2 => guest.device.write(
                u64::from(place % 0x200),
                Width::B1,
                u64::from(value),
                Instant(0),
            ),
            3 => drop(guest.device.read(u64::from(place % 0x200), Width::B8, Instant(0))),
            4 => {
                let _ = guest.device.poll();
            }
            5 => {
                let size = TerminalSize { columns: place, rows: value as u16 };
                guest.device.call(|console, context| console.resize(size, context));
            }
            6 => guest.device.call(|console, context| {
                if let Some(end) = console.port(usize::from(place % 2)) {
                    end.input = usize::from(place);
                }
                let _ = console.input_arrived(context);
            }),
            _ => guest.ram.put(GuestPhysAddr(RAM_BASE + u64::from(place)), &value.to_le_bytes()),
        }
        for port in 0..2 {
            let sent = guest.device.call(|console, _| {
                console.port(port).map_or(0, |end| core::mem::take(&mut end.output).len())
            });
            // A poll calls each queue once.
            assert!(sent <= MOST);
        }
    }
    guest.start();
    guest.send(1, &[b"good"], &[]).unwrap();
    let output = guest.device.call(|console, _| console.port(0).map(|end| end.output.clone()));
    assert!(output.is_some_and(|output| output.ends_with(b"good")));
});
