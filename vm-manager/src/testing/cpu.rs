//! A guest CPU that runs a [`Program`](super::guest::Program), and insists on the contract of [`GuestCpu`].

use super::el1::{El1, TICK_NS};
use super::guest::{Answer, Guest, Port, ProgramId, Run, Wish};
use super::list_registers::FakeListRegisters;
use super::platform::Programs;
use super::ram::Content;
use super::sim::{STEP, Sim, Wait, this_cpu};
use crate::personality::virt::ArmCpu;
use crate::virt_map::GicVersion;
use hv_core::arch::aarch64::Start;
use hv_core::arch::aarch64::esr::{ArchExit, Direction, SystemAccess};
use hv_core::arch::aarch64::idregs::{GuestIds, HostIds};
use hv_core::arch::aarch64::sysreg::SystemRegister;
use hv_core::arch::aarch64::{self, TimerState};
use hv_core::exit::{Exit, Fault, FaultKind, Op};
use hv_core::guest::{GuestPhysAddr, Level};
use hv_core::time::Instant;
use hv_core::vcpu::{GuestCpu, RegisterDump};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What the last exit still wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Owed {
    /// It was answered, or wants nothing.
    Nothing,
    /// A value, or an abort.
    Load,
    /// A step, or an abort.
    Store,
    /// A value, or an exception.
    RegisterRead,
    /// A step, or an exception.
    RegisterWrite,
    /// A step.
    Step,
    /// A step, and then the results of the call.
    Smc,
    /// The results of the call: the instruction is stepped over already.
    Results,
    /// An exception.
    Exception,
    /// It cannot go on.
    Reset,
}

pub(crate) struct FakeCpu {
    index: u8,
    sim: Arc<Sim>,
    ram: Arc<Content>,
    programs: Programs,
    gic: GicVersion,
    x: [u64; 31],
    pc: u64,
    port: Arc<Mutex<Port>>,
    run: Option<Run>,
    owed: Owed,
    /// What it has yet to compute.
    work: Duration,
    el1: El1,
    list_registers: FakeListRegisters,
    loaded_on: Option<usize>,
}

/// The registers of the host's CPUs from which guests' identification registers are made.
pub(crate) const HOST_IDS: HostIds = HostIds {
    pfr0: 0x1100_0000_1111_1122,
    pfr1: 0x1111,
    isar0: 0x1021_1111_0001_1120,
    isar1: 0x11_0110,
    isar2: 0,
    mmfr0: 0x1125,
    mmfr1: 0x1111_1122,
    mmfr2: 0x11,
};

impl FakeCpu {
    pub(crate) fn new(
        index: u8,
        sim: Arc<Sim>,
        ram: Arc<Content>,
        programs: Programs,
        gic: GicVersion,
    ) -> Self {
        let list_registers = FakeListRegisters { sim: Arc::clone(&sim), cpu: usize::MAX };
        Self {
            index,
            sim,
            ram,
            programs,
            gic,
            x: [0; 31],
            pc: 0,
            port: Arc::default(),
            run: None,
            owed: Owed::Nothing,
            work: Duration::ZERO,
            el1: El1::default(),
            list_registers,
            loaded_on: None,
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.owed = Owed::Nothing;
        self.port.lock().unwrap().answer = Some(answer);
    }

    fn check_loaded(&self) {
        assert_eq!(
            self.loaded_on,
            Some(this_cpu()),
            "vCPU {} is used where it is not loaded",
            self.index
        );
    }

    /// Takes the exit, and notes what has to be done about it.
    fn leave(&mut self, exit: Exit<ArchExit>) -> Exit<ArchExit> {
        self.owed = match exit {
            Exit::Device(access) if access.op == Op::Read => Owed::Load,
            Exit::Device(_) => Owed::Store,
            Exit::Idle | Exit::Yield => Owed::Step,
            Exit::Interrupt => panic!("interrupts are not a guest's to ask for"),
            Exit::Arch(ArchExit::Hvc(_)) => {
                self.pc += 4;
                Owed::Results
            }
            Exit::Arch(ArchExit::Smc(_)) => Owed::Smc,
            Exit::Arch(ArchExit::System(access)) => match access.direction {
                Direction::Read => Owed::RegisterRead,
                Direction::Write => Owed::RegisterWrite,
            },
            Exit::Arch(ArchExit::Undefined) => Owed::Exception,
            Exit::Fatal(_) => Owed::Reset,
        };
        exit
    }

    /// Runs the program up to its next wish.
    fn advance(&mut self) -> Option<Wish> {
        match self.owed {
            Owed::Nothing => {}
            Owed::Results => {
                let [x0, x1, x2, x3, ..] = self.x;
                self.answer(Answer::Called([x0, x1, x2, x3]));
            }
            owed => panic!("vCPU {} runs on, and {owed:?} is still owed", self.index),
        }
        let run = self.run.as_mut()?;
        match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(()) => None,
            Poll::Pending => self.port.lock().unwrap().wish.take(),
        }
    }

    fn fulfil(&mut self, wish: Wish) -> Option<Exit<ArchExit>> {
        match wish {
            Wish::Exit(exit) => Some(self.leave(exit)),
            Wish::Call(call, x) => {
                self.x[..4].copy_from_slice(&x);
                Some(self.leave(Exit::Arch(call)))
            }
            Wish::SetRegister(register, value) => {
                self.x[7] = value;
                let access = SystemAccess { register, general: 7, direction: Direction::Write };
                Some(self.leave(Exit::Arch(ArchExit::System(access))))
            }
            Wish::Work(time) => {
                self.work = time;
                None
            }
        }
    }
}

impl GuestCpu for FakeCpu {
    type ArchExit = ArchExit;
    type Start = Start;

    fn reset(&mut self, start: Start) {
        assert_eq!(self.loaded_on, None, "reset while loaded");
        self.x = [0; 31];
        self.x[0] = start.argument;
        self.pc = start.entry.0;
        self.owed = Owed::Nothing;
        self.work = Duration::ZERO;
        self.el1 = El1::default();
        self.port = Arc::default();
        let program = ProgramId::find(&self.ram, start.entry);
        let program =
            program.and_then(|id| self.programs.lock().unwrap().get(id.0 as usize).cloned());
        self.run = program.map(|program| {
            let guest = Guest {
                sim: Arc::clone(&self.sim),
                ram: Arc::clone(&self.ram),
                port: Arc::clone(&self.port),
                index: self.index,
                argument: start.argument,
                gic: self.gic,
            };
            let code = program(guest.clone());
            let run: Run = Box::pin(async move {
                code.await;
                // Who has nothing more to do waits.
                loop {
                    guest.interrupt().await;
                }
            });
            run
        });
    }

    fn load(&mut self, behind: Duration) {
        assert_eq!(self.loaded_on, None, "loaded twice");
        let here = this_cpu();
        self.loaded_on = Some(here);
        self.list_registers.cpu = here;
        self.el1.behind_ns = behind.as_nanos() as u64;
        let el1 = self.el1.clone();
        self.sim.with_cpu(here, |cpu| {
            assert_eq!(cpu.el1, None, "CPU {here} has another vCPU's registers");
            assert!(cpu.bank.is_empty(), "CPU {here} has another vCPU's interrupts");
            assert!(!cpu.is_timer_active, "CPU {here} has another vCPU's timer interrupt");
            cpu.el1 = Some(el1);
            cpu.loads += 1;
        });
    }

    fn put(&mut self) {
        self.check_loaded();
        self.loaded_on = None;
        let el1 = self.sim.with_cpu(this_cpu(), |cpu| {
            assert!(cpu.bank.is_empty(), "interrupts are left in list registers");
            cpu.el1.take()
        });
        self.el1 = el1.unwrap_or_default();
    }

    fn run(&mut self) -> Exit<ArchExit> {
        self.check_loaded();
        self.sim.jitter();
        loop {
            if self.sim.is_interrupted() {
                // Entry and exit take a moment, so that an interrupt that stays does not stop time.
                self.sim.spend(STEP);
                return Exit::Interrupt;
            }
            if self.work != Duration::ZERO {
                let start = self.sim.now();
                self.sim.wait(Wait::Interrupt(start + self.work));
                self.work = self.work.saturating_sub(self.sim.now().since(start));
                if self.work == Duration::ZERO {
                    self.answer(Answer::Done);
                }
                continue;
            }
            self.sim.spend(STEP);
            let Some(wish) = self.advance() else {
                let kind = FaultKind::Fetch(GuestPhysAddr(self.pc));
                return self.leave(Exit::Fatal(Fault { kind, syndrome: 0 }));
            };
            if let Some(exit) = self.fulfil(wish) {
                return exit;
            }
        }
    }

    fn finish_read(&mut self, value: u64) {
        assert!(
            matches!(self.owed, Owed::Load | Owed::RegisterRead),
            "a value for {:?}",
            self.owed
        );
        self.pc += 4;
        self.answer(Answer::Value(value));
    }

    fn finish(&mut self) {
        self.pc += 4;
        match self.owed {
            Owed::Store | Owed::Step | Owed::RegisterWrite => self.answer(Answer::Done),
            Owed::Smc => self.owed = Owed::Results,
            owed => panic!("a step for {owed:?}"),
        }
    }

    fn fail_access(&mut self) {
        assert!(matches!(self.owed, Owed::Load | Owed::Store), "an abort for {:?}", self.owed);
        self.answer(Answer::Abort);
    }

    fn pc(&self) -> u64 {
        self.pc
    }

    fn dump(&mut self) -> RegisterDump {
        vec![("pc", self.pc), ("x0", self.x[0])]
    }

    fn last_exits(&self) -> Vec<String> {
        vec![format!("{:?} at {:#x}", self.owed, self.pc)]
    }

    fn instruction_address(&self) -> Option<GuestPhysAddr> {
        self.check_loaded();
        Some(GuestPhysAddr(self.pc))
    }
}

impl ArmCpu for FakeCpu {
    type ListRegisters = FakeListRegisters;

    fn list_registers(&mut self) -> &mut FakeListRegisters {
        self.check_loaded();
        &mut self.list_registers
    }

    fn x(&self, index: u8) -> u64 {
        self.x.get(usize::from(index)).copied().unwrap_or(0)
    }

    fn set_x(&mut self, index: u8, value: u64) {
        if let Some(x) = self.x.get_mut(usize::from(index)) {
            *x = value;
        }
    }

    fn id_register(&self, register: SystemRegister) -> Option<u64> {
        let gic = match self.gic {
            GicVersion::V2 => aarch64::GicVersion::V2,
            GicVersion::V3 => aarch64::GicVersion::V3,
        };
        GuestIds::new(&HOST_IDS, gic).get(register)
    }

    fn inject_undefined(&mut self) {
        self.check_loaded();
        let owed = [Owed::RegisterRead, Owed::RegisterWrite, Owed::Exception];
        assert!(owed.contains(&self.owed), "an exception for {:?}", self.owed);
        self.answer(Answer::Undefined);
    }

    fn timer(&self) -> TimerState {
        assert_eq!(self.loaded_on, None, "the timer is in the CPU");
        self.el1.timer()
    }

    fn counter(&self) -> u64 {
        self.el1.counter(self.sim.now())
    }

    fn time_of(&self, ticks: u64) -> Instant {
        Instant(ticks.saturating_mul(TICK_NS).saturating_add(self.el1.behind_ns))
    }

    fn set_timer_interrupt_active(&self, level: Level) {
        self.check_loaded();
        self.sim.with_cpu(this_cpu(), |cpu| cpu.is_timer_active = level == Level::High);
    }
}
