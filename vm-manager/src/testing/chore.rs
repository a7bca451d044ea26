//! A device with a lot to do, which it does piece by piece.

use crate::plug::{Activity, Again, Handle, Plug, Plugged, Socket};
use crate::sink::Bell;
use hv_core::guest::{Device, GuestMemory, GuestPhysAddr, IrqLine, Level, Width};
use hv_core::sync::Mutex;
use hv_core::time::Instant;
use std::sync::Arc;

/// A guest writes how many pieces there are to do, and reads how many are left. After the last one, the device interrupts,
/// and has written to the guest's RAM how often it was called.
pub(crate) struct Chore {
    left: u64,
    calls: u64,
    memory: Arc<dyn GuestMemory + Send + Sync>,
    line: Arc<dyn IrqLine>,
    bell: Arc<dyn Bell>,
}

/// Where in RAM the count goes.
pub(crate) const COUNT_AT: u64 = 0x4010_0000;

impl Chore {
    pub(crate) fn plug(bell: Arc<dyn Bell>) -> impl Plug {
        ChorePlug(bell)
    }
}

struct ChorePlug(Arc<dyn Bell>);

impl Plug for ChorePlug {
    fn name(&self) -> &'static str {
        "chore"
    }

    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String> {
        let Socket { memory, line, .. } = socket;
        let chore = Chore { left: 0, calls: 0, memory, line, bell: self.0 };
        let device = Arc::new(Mutex::new(chore));
        Ok(Plugged { device: device.clone(), handle: Arc::new(ChoreHandle(device)) })
    }
}

impl Device for Chore {
    fn read(&mut self, _: u64, _: Width, _: Instant) -> u64 {
        self.left
    }

    fn write(&mut self, _: u64, _: Width, value: u64, _: Instant) {
        self.left = value;
        self.line.set(Level::Low);
        self.bell.ring();
    }

    fn reset(&mut self) {
        self.left = 0;
        self.line.set(Level::Low);
    }
}

struct ChoreHandle(Arc<Mutex<Chore>>);

impl Handle for ChoreHandle {
    fn go_on(&self) -> Again {
        let mut chore = self.0.lock();
        chore.left = chore.left.saturating_sub(1);
        chore.calls += 1;
        if chore.left > 0 {
            return Again::Yes;
        }
        chore.memory.write(GuestPhysAddr(COUNT_AT), &chore.calls.to_le_bytes()).unwrap();
        chore.line.set(Level::High);
        Again::No
    }

    fn activity(&self) -> Activity {
        Activity { notifications: self.0.lock().calls, ..Activity::default() }
    }
}
