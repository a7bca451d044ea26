//! Guests, written as tests want them: code that awaits whatever takes it out of its CPU.

use super::el1::TICK_NS;
use super::ram::Content;
use super::sim::{Sim, this_cpu};
use crate::virt_map::{self, GicVersion};
use hv_core::arch::aarch64::esr::{ArchExit, Direction, SystemAccess};
use hv_core::arch::aarch64::sysreg::SystemRegister;
use hv_core::exit::{Access, Exit, Fault, FaultKind, Op};
use hv_core::guest::{GuestMemory, GuestPhysAddr, Space, Width};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// What a guest does, from its entry point on.
pub(crate) type Program = Arc<dyn Fn(Guest) -> Run + Send + Sync>;
/// A guest at work.
pub(crate) type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Names a program. The first eight bytes of its image say it to the CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ProgramId(pub(crate) u32);

/// Sends software-generated interrupts.
pub(crate) const ICC_SGI1R: SystemRegister = SystemRegister::new(3, 0, 12, 11, 5);

const MAGIC: [u8; 4] = *b"FAKE";

impl ProgramId {
    /// The code of the program: an image, or a part of one.
    pub(crate) fn code(self) -> [u8; 8] {
        let mut code = [0; 8];
        code[..4].copy_from_slice(&MAGIC);
        code[4..].copy_from_slice(&self.0.to_le_bytes());
        code
    }

    /// The program whose code is at `entry`.
    pub(crate) fn find(ram: &Content, entry: GuestPhysAddr) -> Option<Self> {
        let mut code = [0; 8];
        ram.read(entry, &mut code).ok()?;
        let number = code.strip_prefix(&MAGIC)?;
        Some(Self(u32::from_le_bytes(number.try_into().ok()?)))
    }
}

/// What the guest wants its CPU to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    /// To leave it so.
    Exit(Exit<ArchExit>),
    /// To leave it by this call, with these in `x0` to `x3`.
    Call(ArchExit, [u64; 4]),
    /// To write this to a system register.
    SetRegister(SystemRegister, u64),
    /// To compute for so long.
    Work(Duration),
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// It was carried out.
    Done,
    /// It read this.
    Value(u64),
    /// The access was aborted.
    Abort,
    /// It took an Undefined Instruction exception.
    Undefined,
    /// The call returned with these in `x0` to `x3`.
    Called([u64; 4]),
}

/// Between the guest and its CPU.
#[derive(Debug, Default)]
pub(crate) struct Port {
    pub(crate) wish: Option<Wish>,
    pub(crate) answer: Option<Answer>,
}

/// What a guest's code has: its CPU.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) sim: Arc<Sim>,
    pub(crate) ram: Arc<Content>,
    pub(crate) port: Arc<Mutex<Port>>,
    /// The number of its vCPU.
    pub(crate) index: u8,
    /// What it was started with, in `x0`.
    pub(crate) argument: u64,
    pub(crate) gic: GicVersion,
}

impl Guest {
    async fn ask(&self, wish: Wish) -> Answer {
        self.port.lock().unwrap().wish = Some(wish);
        std::future::poll_fn(|_| match self.port.lock().unwrap().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    /// Leaves the CPU as it likes.
    pub(crate) async fn exit(&self, exit: Exit<ArchExit>) -> Answer {
        self.ask(Wish::Exit(exit)).await
    }

    /// HVC #0 with these in `x0` to `x3`; returns `x0`.
    pub(crate) async fn hvc(&self, x: [u64; 4]) -> i64 {
        match self.ask(Wish::Call(ArchExit::Hvc(0), x)).await {
            Answer::Called([x0, ..]) => x0.cast_signed(),
            other => panic!("HVC gave {other:?}"),
        }
    }

    /// SMC #0, likewise.
    pub(crate) async fn smc(&self, x: [u64; 4]) -> i64 {
        match self.ask(Wish::Call(ArchExit::Smc(0), x)).await {
            Answer::Called([x0, ..]) => x0.cast_signed(),
            other => panic!("SMC gave {other:?}"),
        }
    }

    /// Loads from a device; `None` if that was aborted.
    pub(crate) async fn load(&self, addr: u64, width: Width) -> Option<u64> {
        let access = Access { space: Space::Mmio, addr: GuestPhysAddr(addr), width, op: Op::Read };
        match self.exit(Exit::Device(access)).await {
            Answer::Value(value) => Some(value),
            Answer::Abort => None,
            other => panic!("a load gave {other:?}"),
        }
    }

    /// Stores to a device; `None` if that was aborted.
    pub(crate) async fn store(&self, addr: u64, width: Width, value: u64) -> Option<()> {
        let op = Op::Write(value);
        let access = Access { space: Space::Mmio, addr: GuestPhysAddr(addr), width, op };
        match self.exit(Exit::Device(access)).await {
            Answer::Done => Some(()),
            Answer::Abort => None,
            other => panic!("a store gave {other:?}"),
        }
    }

    /// MRS; `None` if it is undefined.
    pub(crate) async fn mrs(&self, register: SystemRegister) -> Option<u64> {
        let access = SystemAccess { register, general: 5, direction: Direction::Read };
        match self.exit(Exit::Arch(ArchExit::System(access))).await {
            Answer::Value(value) => Some(value),
            Answer::Undefined => None,
            other => panic!("MRS gave {other:?}"),
        }
    }

    /// MSR; `None` if it is undefined.
    pub(crate) async fn msr(&self, register: SystemRegister, value: u64) -> Option<()> {
        match self.ask(Wish::SetRegister(register, value)).await {
            Answer::Done => Some(()),
            Answer::Undefined => None,
            other => panic!("MSR gave {other:?}"),
        }
    }

    pub(crate) async fn wfi(&self) {
        assert_eq!(self.exit(Exit::Idle).await, Answer::Done);
    }

    pub(crate) async fn wfe(&self) {
        assert_eq!(self.exit(Exit::Yield).await, Answer::Done);
    }

    /// Does what no CPU can continue from.
    pub(crate) async fn crash(&self, kind: FaultKind) {
        self.exit(Exit::Fatal(Fault { kind, syndrome: 0x5eed })).await;
    }

    /// Computes for so long.
    pub(crate) async fn work(&self, time: Duration) {
        assert_eq!(self.ask(Wish::Work(time)).await, Answer::Done);
    }

    /// Computes for ever.
    pub(crate) async fn spin(&self) {
        loop {
            self.work(Duration::from_secs(3600)).await;
        }
    }

    /// Acknowledges the most important interrupt that waits.
    pub(crate) fn acknowledge(&self) -> Option<u32> {
        self.sim.with_cpu(this_cpu(), |cpu| cpu.bank.acknowledge(&mut cpu.el1.as_mut()?.running))
    }

    /// Ends the interrupt that was acknowledged last.
    pub(crate) fn end(&self) {
        self.sim.with_cpu(this_cpu(), |cpu| {
            let Some(el1) = cpu.el1.as_mut() else { panic!("not loaded") };
            if cpu.bank.end(&mut el1.running).is_some() {
                cpu.is_timer_active = false;
            }
        });
    }

    /// Waits for an interrupt in WFI, and handles it.
    pub(crate) async fn interrupt(&self) -> u32 {
        loop {
            if let Some(intid) = self.acknowledge() {
                self.end();
                return intid;
            }
            self.wfi().await;
        }
    }

    /// Its counter.
    pub(crate) fn counter(&self) -> u64 {
        let now = self.sim.now();
        self.sim.with_cpu(this_cpu(), |cpu| cpu.el1.as_ref().map_or(0, |el1| el1.counter(now)))
    }

    /// Its time since it was started.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.counter() * TICK_NS)
    }

    /// Sets its virtual timer to raise its interrupt at `time`.
    pub(crate) fn set_timer(&self, time: Duration) {
        self.with_el1(|el1| {
            el1.timer_compare = time.as_nanos() as u64 / TICK_NS;
            el1.timer_control = 1;
        });
    }

    /// Switches its virtual timer off.
    pub(crate) fn stop_timer(&self) {
        self.with_el1(|el1| el1.timer_control = 0);
    }

    pub(crate) fn with_el1<R>(&self, act: impl FnOnce(&mut super::el1::El1) -> R) -> R {
        self.sim.with_cpu(this_cpu(), |cpu| match cpu.el1.as_mut() {
            Some(el1) => act(el1),
            None => panic!("a guest runs that is not loaded"),
        })
    }

    /// The physical CPU on which it runs.
    pub(crate) fn host_cpu(&self) -> usize {
        this_cpu()
    }

    /// Tells the test.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.sim.note(text.into());
    }

    /// Switches the interrupt controller on, and these private interrupts of this vCPU.
    pub(crate) async fn enable_private(&self, intids: &[u32]) {
        let bits = intids.iter().fold(0, |bits, intid| bits | 1 << intid);
        self.store(virt_map::GICD.base.0, Width::B4, 3).await;
        let enable = match self.gic {
            GicVersion::V2 => virt_map::GICD.base.0 + 0x100,
            GicVersion::V3 => {
                virt_map::GICR.base.0 + u64::from(self.index) * virt_map::GICR.size + 0x1_0100
            }
        };
        self.store(enable, Width::B4, bits).await;
    }

    /// Enables a shared interrupt, and routes it to this vCPU.
    pub(crate) async fn enable_shared(&self, intid: u32) {
        let intid = u64::from(intid);
        self.enable_private(&[]).await;
        let distributor = virt_map::GICD.base.0;
        match self.gic {
            GicVersion::V2 => {
                self.store(distributor + 0x800 + intid, Width::B1, 1 << self.index).await
            }
            GicVersion::V3 => {
                self.store(distributor + 0x6000 + 8 * intid, Width::B8, self.index.into()).await
            }
        };
        self.store(distributor + 0x100 + intid / 32 * 4, Width::B4, 1 << (intid % 32)).await;
    }

    /// Sends a software-generated interrupt to these vCPUs.
    pub(crate) async fn send_sgi(&self, intid: u32, targets: u8) {
        let (intid, targets) = (u64::from(intid), u64::from(targets));
        match self.gic {
            GicVersion::V2 => {
                let sgir = virt_map::GICD.base.0 + 0xf00;
                self.store(sgir, Width::B4, targets << 16 | intid).await;
            }
            GicVersion::V3 => {
                self.msr(ICC_SGI1R, intid << 24 | targets).await;
            }
        }
    }

    /// Has the serial port interrupt this vCPU for each byte that is typed.
    pub(crate) async fn listen(&self) {
        let uart = virt_map::PL011.base.0;
        self.enable_shared(virt_map::PL011_SPI.intid()).await;
        // UARTCR: receive enable, UART enable. UARTIMSC: receive, receive time-out.
        self.store(uart + 0x30, Width::B4, 0x201).await;
        self.store(uart + 0x38, Width::B4, 0x50).await;
    }

    /// Reads what was typed.
    pub(crate) async fn typed(&self) -> u64 {
        self.load(virt_map::PL011.base.0, Width::B4).await.unwrap_or(0)
    }
}
