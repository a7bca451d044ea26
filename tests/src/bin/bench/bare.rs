//! The same guests on bare QEMU, for comparison.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use machine_tests::{Arch, COUNTED, Serial, built};

/// How long an emulator that counts may take, in real time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1200);

/// A guest on a machine without a hypervisor.
pub(crate) struct Bare<'a> {
    /// The machine's architecture.
    pub(crate) arch: Arch,
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
}

impl Bare<'_> {
    /// Runs it until it has printed `last`, and returns what it printed.
    pub(crate) fn run_until(&self, last: &str) -> Option<String> {
        let mut command = match self.arch {
            Arch::Aarch64 => {
                let mut command = Command::new("qemu-system-aarch64");
                command.args(["-M", "virt,gic-version=3", "-cpu", "cortex-a57"]);
                command
            }
            Arch::X86_64 => {
                let mut command = Command::new("qemu-system-x86_64");
                command.args(["-M", "q35", "-cpu", "max"]);
                command
            }
        };
        command.args(["-m", "256"]);
        command.args(["-smp", &self.cpus.to_string(), "-nodefaults", "-display", "none"]);
        command.args(["-serial", "stdio", "-no-reboot"]).args(COUNTED);
        command
            .arg("-kernel")
            .arg(built(self.arch, self.kernel))
            .args(["-append", self.command_line]);
        if let Some(initrd) = self.initrd {
            command.arg("-initrd").arg(built(self.arch, initrd));
        }
        if let Some(device_tree) = self.device_tree {
            command.arg("-dtb").arg(device_tree);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut serial = Serial::new(child.stdout.take()?, child.stdin.take()?);
        let text = serial.find(last, PATIENCE);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        text
    }
}
