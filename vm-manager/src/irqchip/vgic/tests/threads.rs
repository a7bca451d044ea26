//! Several vCPUs at the same time: nothing is lost between locks, hints and notifications.

use super::machine::Hardware;
use crate::irqchip::vgic::{Frame, GicClient, MAX_VCPUS, SgiRegister, Version, Vgic};
use hv_core::arch::aarch64::list_register::ListRegisters;
use hv_core::guest::{Level, Width};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const VCPUS: usize = 4;
/// Rounds that each token makes, and interrupts of each device.
const ROUNDS: u32 = 2_000;
const DEVICES: usize = 3;

#[derive(Default)]
struct Attention([AtomicBool; MAX_VCPUS]);

impl GicClient for Attention {
    fn notify(&self, vcpu: usize) {
        self.0[vcpu].store(true, Ordering::Release);
    }

    fn deactivate(&self, _vcpu: usize, _physical: u32) {}
}

struct World {
    vgic: Arc<Vgic>,
    attention: Arc<Attention>,
    /// How often each token was passed on, and each device handled.
    passed: [AtomicU32; VCPUS],
    handled: [AtomicU32; DEVICES],
    deadline: Instant,
}

impl World {
    fn new(version: Version) -> Self {
        let attention = Arc::new(Attention::default());
        let vgic = Vgic::new(version, VCPUS, 96, Arc::<Attention>::clone(&attention)).unwrap();
        Self {
            vgic,
            attention,
            passed: Default::default(),
            handled: Default::default(),
            deadline: Instant::now() + Duration::from_secs(60),
        }
    }

    fn is_done(&self) -> bool {
        assert!(Instant::now() < self.deadline, "an interrupt was lost");
        let passed = self.passed.iter().all(|count| count.load(Ordering::Relaxed) >= ROUNDS);
        let handled = self.handled.iter().all(|count| count.load(Ordering::Relaxed) >= ROUNDS);
        passed && handled
    }

    fn write(&self, vcpu: usize, offset: u64, value: u64, lrs: &mut impl ListRegisters) {
        self.vgic.write(vcpu, Frame::Distributor, offset, Width::B4, value, lrs);
    }

    fn send(&self, vcpu: usize, to: usize, sgi: u64, lrs: &mut impl ListRegisters) {
        match self.vgic.version() {
            Version::V2 => self.write(vcpu, 0xf00, 1 << (16 + to) | sgi, lrs),
            Version::V3 => {
                let value = 1 << to | sgi << 24;
                self.vgic.send_sgi(vcpu, SgiRegister::Sgi1r, value, lrs);
            }
        }
    }

    fn route(&self, vcpu: usize, intid: u64, to: u64, lrs: &mut impl ListRegisters) {
        let (offset, width, value) = match self.vgic.version() {
            Version::V2 => (0x800 + intid, Width::B1, 1 << to),
            Version::V3 => (0x6000 + 8 * intid, Width::B8, to),
        };
        self.vgic.write(vcpu, Frame::Distributor, offset, width, value, lrs);
    }

    /// One vCPU: it flushes when notified, moves now and then, and handles what it gets.
    fn run(&self, vcpu: usize) {
        let mut hardware = Hardware::new(4);
        let private = match self.vgic.version() {
            Version::V2 => Frame::Distributor,
            Version::V3 => Frame::Redistributor(vcpu),
        };
        let base = if private == Frame::Distributor { 0 } else { 0x1_0000 };
        self.vgic.write(vcpu, private, base + 0x100, Width::B4, 0xffff, &mut hardware);
        // Each starts a token of its own.
        self.send(vcpu, (vcpu + 1) % VCPUS, vcpu as u64, &mut hardware);
        for turn in 0_u32.. {
            if self.attention.0[vcpu].swap(false, Ordering::Acquire) || hardware.wants_maintenance()
            {
                self.vgic.flush(vcpu, &mut hardware);
            }
            match hardware.acknowledge() {
                Some((intid, _)) => self.handle(vcpu, intid, &mut hardware),
                None if self.is_done() => return,
                None => std::thread::yield_now(),
            }
            if turn % 61 == vcpu as u32 {
                self.vgic.fold_all(vcpu, &mut hardware);
                self.attention.0[vcpu].store(true, Ordering::Release);
            }
        }
    }

    fn handle(&self, vcpu: usize, intid: u32, hardware: &mut Hardware) {
        if let Some(token) = self.passed.get(intid as usize) {
            token.fetch_add(1, Ordering::Relaxed);
            self.send(vcpu, (vcpu + 1) % VCPUS, u64::from(intid), hardware);
        } else {
            self.vgic.set_level(intid, Level::Low);
            // The next one goes to another vCPU.
            self.route(vcpu, u64::from(intid), (vcpu as u64 + 1) % VCPUS as u64, hardware);
            self.handled[intid as usize - 40].fetch_add(1, Ordering::Release);
        }
        hardware.end();
    }

    /// A device raises its line, and waits until the guest has handled that.
    fn drive(&self, device: usize) {
        let line = self.vgic.line(40 + device as u32).unwrap();
        for round in 0..ROUNDS {
            line.set(Level::High);
            while self.handled[device].load(Ordering::Acquire) <= round {
                self.is_done();
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn vcpus_and_devices_that_run_at_the_same_time_lose_nothing() {
    for version in [Version::V2, Version::V3] {
        let world = World::new(version);
        let mut hardware = Hardware::new(4);
        world.write(0, 0x000, 3, &mut hardware);
        world.write(0, 0x104, 0xffff_ffff, &mut hardware);
        for device in 0..DEVICES as u64 {
            world.route(0, 40 + device, device, &mut hardware);
        }
        let world = &world;
        std::thread::scope(|scope| {
            for vcpu in 0..VCPUS {
                scope.spawn(move || world.run(vcpu));
            }
            for device in 0..DEVICES {
                scope.spawn(move || world.drive(device));
            }
        });
    }
}
