//! The same guests on bare QEMU, for comparison.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use machine_tests::{Arch, COUNTED, Serial, built};

/// How long an emulator that counts may take, in real time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1200);

/// A machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Board {
    /// AArch64's.
    Virt,
    /// A PC.
    Pc,
    /// A small PC, whose virtio devices are memory-mapped as those of Roost's guests are.
    Microvm,
}

impl Board {
    fn arch(self) -> Arch {
        match self {
            Self::Virt => Arch::Aarch64,
            Self::Pc | Self::Microvm => Arch::X86_64,
        }
    }
}

/// How time passes on a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Clock {
    /// With the instructions that it executes.
    Counted,
    /// As on the wall.
    Wall,
}

/// A guest on a machine without a hypervisor.
pub(crate) struct Bare<'a> {
    /// What it is.
    pub(crate) board: Board,
    /// Its kernel, as the build names it.
    pub(crate) kernel: &'a str,
    /// Its initrd, likewise.
    pub(crate) initrd: Option<&'a str>,
    /// Its command line.
    pub(crate) command_line: &'a str,
    /// A device tree in place of QEMU's own.
    pub(crate) device_tree: Option<&'a Path>,
    /// CPUs of the machine.
    pub(crate) cpus: u32,
    /// Its time.
    pub(crate) clock: Clock,
}

impl Bare<'_> {
    /// Runs it until it has printed `last`, and returns what it printed.
    pub(crate) fn run_until(&self, last: &str) -> Option<String> {
        self.start(&["-serial", "stdio"])?.serial.find(last, PATIENCE)
    }

    /// Starts it, with `devices` in QEMU's words, one of which is on its standard input and output.
    pub(crate) fn start(&self, devices: &[&str]) -> Option<Running> {
        let mut command = match self.board {
            Board::Virt => {
                let mut command = Command::new("qemu-system-aarch64");
                command.args(["-M", "virt,gic-version=3", "-cpu", "cortex-a57"]);
                command
            }
            Board::Pc => {
                let mut command = Command::new("qemu-system-x86_64");
                command.args(["-M", "q35", "-cpu", "max"]);
                command
            }
            Board::Microvm => {
                let mut command = Command::new("qemu-system-x86_64");
                // Against its 8254 Linux measures its clock, which instructions do for one that counts them.
                let timer = match self.clock {
                    Clock::Counted => "",
                    Clock::Wall => ",pit=on,pic=on",
                };
                command.args(["-M", &format!("microvm,acpi=on,rtc=on{timer}"), "-cpu", "max"]);
                command
            }
        };
        command.args(["-m", "256"]);
        command.args(["-smp", &self.cpus.to_string(), "-nodefaults", "-display", "none"]);
        command.args(["-no-reboot"]).args(devices);
        match self.clock {
            Clock::Counted => command.args(COUNTED),
            Clock::Wall => &mut command,
        };
        let arch = self.board.arch();
        command.arg("-kernel").arg(built(arch, self.kernel)).args(["-append", self.command_line]);
        if let Some(initrd) = self.initrd {
            command.arg("-initrd").arg(built(arch, initrd));
        }
        if let Some(device_tree) = self.device_tree {
            command.arg("-dtb").arg(device_tree);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let serial = Serial::new(child.stdout.take()?, child.stdin.take()?);
        Some(Running { child, serial })
    }
}

/// A machine that runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    /// What is on its standard input and output.
    pub(crate) serial: Serial,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
