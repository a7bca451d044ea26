//! The emulated machine, before it is switched on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use xtask::bundle::Bundle;

use crate::Roost;
use crate::artifact::{Guests, build_directory, built, workspace};
use crate::serial::Serial;

/// Flags of QEMU that make it count: a nanosecond is an executed instruction, and runs repeat byte by byte.
pub const COUNTED: [&str; 6] =
    ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm", "-seed", "1"];

/// A processor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cpu {
    /// A plain ARMv8.0 processor.
    CortexA57,
    /// All that QEMU has: SVE, pointer authentication, VHE and more.
    Max,
}

/// A version of the interrupt controller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gic {
    /// GICv2.
    V2,
    /// GICv3.
    V3,
}

/// A machine, and what the boot loader hands to Roost.
#[derive(Debug)]
pub struct Machine {
    cpus: u32,
    cpu: Cpu,
    gic: Gic,
    memory: &'static str,
    guests: Guests,
    append: String,
    files: Vec<(String, Vec<u8>)>,
    raw_bundle: Option<Vec<u8>>,
    entry: Entry,
    level: Level,
    flags: Vec<String>,
}

/// How Roost gets into the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    /// By Linux' boot protocol, with a device tree.
    Kernel,
    /// Put into memory and jumped to: nothing is handed over.
    Bare,
}

/// The exception level at which Roost is entered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    El1,
    El2,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// Two Cortex-A57, GICv3, 1 GiB; hello and probe in the bundle.
    #[must_use]
    pub fn new() -> Self {
        Self {
            cpus: 2,
            cpu: Cpu::CortexA57,
            gic: Gic::V3,
            memory: "1G",
            guests: Guests::Bare,
            append: String::new(),
            files: Vec::new(),
            raw_bundle: None,
            entry: Entry::Kernel,
            level: Level::El2,
            flags: Vec::new(),
        }
    }

    /// How many CPUs it has.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Which processor.
    #[must_use]
    pub fn cpu(mut self, cpu: Cpu) -> Self {
        self.cpu = cpu;
        self
    }

    /// Which interrupt controller.
    #[must_use]
    pub fn gic(mut self, gic: Gic) -> Self {
        self.gic = gic;
        self
    }

    /// How much memory, as QEMU's `-m` has it.
    #[must_use]
    pub fn memory(mut self, memory: &'static str) -> Self {
        self.memory = memory;
        self
    }

    /// Which guests are in the bundle.
    #[must_use]
    pub fn guests(mut self, guests: Guests) -> Self {
        self.guests = guests;
        self
    }

    /// Shell commands that Roost runs at boot.
    #[must_use]
    pub fn commands(self, commands: &str) -> Self {
        let quoted = commands.replace('\\', "\\\\").replace('"', "\\\"");
        self.append(&format!("roost.cmd=\"{quoted}\""))
    }

    /// More of Roost's command line.
    #[must_use]
    pub fn append(mut self, words: &str) -> Self {
        self.append.push_str(words);
        self.append.push(' ');
        self
    }

    /// One more file in the bundle, such as `configs/bad.toml` or `autostart`.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), bytes.into()));
        self
    }

    /// These bytes in place of a bundle.
    #[must_use]
    pub fn raw_bundle(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_bundle = Some(bytes.into());
        self
    }

    /// A configuration `name` of the probe with this command line, one vCPU and 32 MiB.
    #[must_use]
    pub fn probe(self, name: &str, command_line: &str) -> Self {
        self.probe_smp(name, 1, command_line)
    }

    /// As [`Machine::probe`], with several vCPUs.
    #[must_use]
    pub fn probe_smp(self, name: &str, vcpus: u32, command_line: &str) -> Self {
        let config = format!(
            "name = \"{name}\"\nvcpus = {vcpus}\nmemory = \"32M\"\n\
             [boot]\nkernel = \"probe/probe.elf\"\ncmdline = \"{command_line}\"\n"
        );
        self.file(&format!("configs/{name}.toml"), config)
    }

    /// A machine without virtualization, which enters Roost at EL1.
    #[must_use]
    pub fn without_virtualization(mut self) -> Self {
        self.level = Level::El1;
        self
    }

    /// Enters Roost without a device tree, command line and bundle.
    #[must_use]
    pub fn without_device_tree(mut self) -> Self {
        self.entry = Entry::Bare;
        self
    }

    /// Counts instructions, see [`COUNTED`].
    #[must_use]
    pub fn counted(self) -> Self {
        self.flags(&COUNTED)
    }

    /// More of QEMU's command line.
    #[must_use]
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Switches it on, and waits for the shell's prompt.
    #[must_use]
    pub fn boot(self) -> Roost {
        let mut roost = self.switch_on();
        roost.wait_for_prompt();
        roost
    }

    /// Switches it on.
    ///
    /// # Panics
    /// When something is not built, or QEMU cannot be started.
    #[must_use]
    pub fn switch_on(self) -> Roost {
        let bundle = self.write_bundle();
        let mut command = self.command(&bundle);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("qemu-system-aarch64: {error}; `make setup` installs it"),
        };
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("QEMU has no pipes");
        };
        Roost::new(child, Serial::new(output, input), bundle)
    }

    fn command(&self, bundle: &Path) -> Command {
        let mut machine = String::from("virt");
        if self.level == Level::El2 {
            machine.push_str(",virtualization=on");
        }
        machine.push_str(match self.gic {
            Gic::V2 => ",gic-version=2",
            Gic::V3 => ",gic-version=3",
        });
        let cpu = match self.cpu {
            Cpu::CortexA57 => "cortex-a57",
            Cpu::Max => "max",
        };
        let mut command = Command::new("qemu-system-aarch64");
        command.args([
            "-M",
            &machine,
            "-cpu",
            cpu,
            "-smp",
            &self.cpus.to_string(),
            "-m",
            self.memory,
        ]);
        command.args(["-nodefaults", "-display", "none", "-serial", "stdio"]);
        command.args(["-semihosting-config", "enable=on,target=native"]);
        let image = built("roost.bin");
        match self.entry {
            Entry::Kernel => {
                command.arg("-kernel").arg(image);
                command.arg("-initrd").arg(bundle);
                command.args(["-append", &self.append]);
            }
            Entry::Bare => {
                let place = format!("loader,addr=0x40200000,cpu-num=0,file={}", image.display());
                command.args(["-device", &place]);
            }
        }
        command.args(&self.flags);
        command
    }

    /// Writes this machine's bundle to a file of its own.
    fn write_bundle(&self) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let bytes = match &self.raw_bundle {
            Some(bytes) => bytes.clone(),
            None => self.pack().unwrap_or_else(|error| panic!("cannot pack a bundle: {error}")),
        };
        let directory = build_directory().join("tests");
        // Relaxed: only that each gets another number counts.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("bundle-{}-{number}.cpio", std::process::id()));
        let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, bytes));
        if let Err(error) = written {
            panic!("{}: {error}", path.display());
        }
        path
    }

    fn pack(&self) -> Result<Vec<u8>, xtask::Error> {
        let mut bundle =
            Bundle::new().directory("configs", &workspace().join("configs/aarch64"))?;
        for guest in self.guests.directories() {
            let prefix = format!("images/{guest}");
            bundle = bundle.directory(&prefix, &built(&prefix))?;
        }
        for (path, bytes) in &self.files {
            bundle = bundle.file(path, bytes.as_slice());
        }
        bundle.archive()
    }
}
