//! The emulated machine, before it is switched on.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use xtask::bochs::{Bochs, Pace};
use xtask::bundle::Bundle;

use crate::artifact::{Arch, Guests, build_directory, built, workspace};
use crate::emulator::{Emulator, Status};
use crate::forward::Forward;
use crate::serial::Serial;
use crate::{Cable, Disk, Roost};

/// Flags of QEMU that make it count: a nanosecond is an executed instruction, and runs repeat byte by byte.
pub const COUNTED: [&str; 6] =
    ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm", "-seed", "1"];

/// A processor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cpu {
    /// A plain one: ARMv8.0; a PC's without virtual GIF, large pages of 1 GiB, XSAVE; an Intel Haswell.
    Plain,
    /// All that QEMU has: SVE, pointer authentication, VHE and more.
    Max,
}

/// A version of Arm's interrupt controller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gic {
    /// GICv2.
    V2,
    /// GICv3.
    V3,
}

/// What kind of machine it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// QEMU's `virt`.
    Virt { gic: Gic, entry: Entry, level: Level },
    /// A PC with AMD's SVM: QEMU.
    Svm(Media),
    /// A PC with Intel's VMX: Bochs.
    Vmx,
}

/// What a PC boots from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Media {
    /// QEMU loads the ELF file, by PVH.
    Kernel,
    /// GRUB loads it from a CD, started by this firmware.
    Image(Firmware),
}

/// A PC's firmware.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
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

/// A machine, and what the boot loader hands to Roost.
#[derive(Debug)]
pub struct Machine {
    kind: Kind,
    cpus: u32,
    cpu: Cpu,
    memory_mib: u32,
    guests: Guests,
    append: String,
    files: Vec<(String, Vec<u8>)>,
    raw_bundle: Option<Vec<u8>>,
    flags: Vec<String>,
    forwards: Vec<Forward>,
}

impl Machine {
    /// QEMU's AArch64 machine: two Cortex-A57, GICv3, 1 GiB; hello and probe in the bundle.
    #[must_use]
    pub fn virt() -> Self {
        let kind = Kind::Virt { gic: Gic::V3, entry: Entry::Kernel, level: Level::El2 };
        Self::of(kind, 2, Cpu::Plain)
    }

    /// A PC with SVM in QEMU: two CPUs with all that QEMU has, 1 GiB; hello and probe in the bundle.
    #[must_use]
    pub fn svm() -> Self {
        Self::of(Kind::Svm(Media::Kernel), 2, Cpu::Max)
    }

    /// A PC with VMX in Bochs: one CPU, because it is slow; 512 MiB; hello and probe in the bundle.
    #[must_use]
    pub fn vmx() -> Self {
        Self::of(Kind::Vmx, 1, Cpu::Plain).memory_mib(512)
    }

    fn of(kind: Kind, cpus: u32, cpu: Cpu) -> Self {
        Self {
            kind,
            cpus,
            cpu,
            memory_mib: 1024,
            guests: Guests::Bare,
            append: String::new(),
            files: Vec::new(),
            raw_bundle: None,
            flags: Vec::new(),
            forwards: Vec::new(),
        }
    }

    /// Its architecture.
    #[must_use]
    pub fn arch(&self) -> Arch {
        match self.kind {
            Kind::Virt { .. } => Arch::Aarch64,
            Kind::Svm(_) | Kind::Vmx => Arch::X86_64,
        }
    }

    /// How many times as long as elsewhere things may take.
    fn slowness(&self) -> u32 {
        match self.kind {
            Kind::Virt { .. } | Kind::Svm(_) => 1,
            Kind::Vmx => 4,
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

    /// Which interrupt controller, where that is a choice.
    #[must_use]
    pub fn gic(mut self, version: Gic) -> Self {
        if let Kind::Virt { gic, .. } = &mut self.kind {
            *gic = version;
        }
        self
    }

    /// How much memory.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
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

    /// One more file in the bundle, such as `configs/bad.toml` or `autostart`, or another in place of one of the repository's,
    /// such as `configs/host.toml`.
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

    /// A machine without virtualization: AArch64's enters Roost at EL1, a PC's CPU lacks SVM.
    #[must_use]
    pub fn without_virtualization(mut self) -> Self {
        match &mut self.kind {
            Kind::Virt { level, .. } => *level = Level::El1,
            Kind::Svm(_) | Kind::Vmx => self.flags.extend(["-cpu".into(), "max,svm=off".into()]),
        }
        self
    }

    /// Enters Roost without a device tree, command line and bundle, where that is a choice.
    #[must_use]
    pub fn without_device_tree(mut self) -> Self {
        if let Kind::Virt { entry, .. } = &mut self.kind {
            *entry = Entry::Bare;
        }
        self
    }

    /// Boots from a CD with GRUB on it, where that is a choice.
    #[must_use]
    pub fn from_image(mut self, firmware: Firmware) -> Self {
        if let Kind::Svm(media) = &mut self.kind {
            *media = Media::Image(firmware);
        }
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

    /// A disk, by virtio: on a PC at PCI, otherwise memory-mapped.
    #[must_use]
    pub fn disk(self, disk: &Disk) -> Self {
        let drive = format!("file={},format=raw", disk.path().display());
        self.drive(&drive)
    }

    /// As [`Machine::disk`], by an option `-drive` of QEMU's.
    #[must_use]
    pub fn drive(self, drive: &str) -> Self {
        let bus = match self.arch() {
            Arch::Aarch64 => "virtio-blk-device",
            Arch::X86_64 => "virtio-blk-pci",
        };
        let number = self.flags.iter().filter(|flag| *flag == "-drive").count();
        let drive = format!("{drive},if=none,id=disk{number}");
        self.flags(&["-drive", &drive, "-device", &format!("{bus},drive=disk{number}")])
    }

    /// A network card, `card`, on QEMU's user network, `outside`. Ports of the loopback interface lead to these ports of Roost:
    /// [`Roost::port`] says which.
    #[must_use]
    pub fn network(self, ports: &[u16]) -> Self {
        self.outside(ports).card("outside")
    }

    /// As [`Machine::network`], with this cable on the same network.
    #[must_use]
    pub fn network_beside(self, cable: &Cable, ports: &[u16]) -> Self {
        self.outside(ports)
            .flags(&["-netdev", &cable.netdev("cable")])
            .flags(&["-netdev", "hubport,hubid=0,id=hub0,netdev=outside"])
            .flags(&["-netdev", "hubport,hubid=0,id=hub1,netdev=cable"])
            .flags(&["-netdev", "hubport,hubid=0,id=hub2"])
            .card("hub2")
    }

    fn outside(mut self, ports: &[u16]) -> Self {
        let forwards: Vec<_> = ports.iter().map(|port| Forward::to(*port)).collect();
        let options: String = forwards.iter().map(|forward| forward.option()).collect();
        self.forwards.extend(forwards);
        self.flags(&["-netdev", &format!("user,id=outside{options}")])
    }

    /// A network card on this network of QEMU's.
    #[must_use]
    pub fn card(self, netdev: &str) -> Self {
        // Nothing boots from it: a PC's needs no program for that.
        let device = match self.arch() {
            Arch::Aarch64 => format!("virtio-net-device,id=card,netdev={netdev}"),
            Arch::X86_64 => format!("virtio-net-pci,id=card,netdev={netdev},romfile="),
        };
        self.flags(&["-device", &device])
    }

    /// A configuration `name` of Linux with this disk, and its shell on a virtio console.
    #[must_use]
    pub fn linux_with_disk(self, name: &str, backing: &str) -> Self {
        self.linux_with(name, &format!("[[disk]]\nbacking = \"{backing}\"\n"))
    }

    /// A configuration `name` of Linux with its shell on a virtio console, and more lines of configuration.
    #[must_use]
    pub fn linux_with(self, name: &str, lines: &str) -> Self {
        let kernel = match self.arch() {
            Arch::Aarch64 => "Image",
            Arch::X86_64 => "bzImage",
        };
        let config = format!(
            "name = \"{name}\"\nmemory = \"192M\"\nconsole = \"virtio\"\n\
             [boot]\nkernel = \"linux/{kernel}\"\ninitrd = \"linux/initrd.cpio.gz\"\n\
             cmdline = \"console=hvc0 quiet\"\n{lines}"
        );
        self.guests(Guests::All).file(&format!("configs/{name}.toml"), config)
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
    /// When something is not built, or the emulator cannot be started.
    #[must_use]
    pub fn switch_on(self) -> Roost {
        let bundle = self.write_bundle();
        let (emulator, serial, files) = match self.kind {
            Kind::Virt { gic, entry, level } => {
                let command = self.virt_command(gic, entry, level, &bundle);
                let (emulator, serial) = Emulator::qemu(command, Status::Plain);
                (emulator, serial, vec![bundle])
            }
            Kind::Svm(Media::Kernel) => {
                let mut command = self.pc_command();
                self.kernel(&mut command, &built(Arch::X86_64, "roost.elf"), &bundle);
                let (emulator, serial) = Emulator::qemu(command, Status::Doubled);
                (emulator, serial, vec![bundle])
            }
            Kind::Svm(Media::Image(firmware)) => {
                let iso = self.write_iso(&bundle);
                let mut command = self.pc_command();
                command.arg("-cdrom").arg(&iso);
                if firmware == Firmware::Uefi {
                    command.args(["-bios", "/usr/share/ovmf/OVMF.fd"]);
                }
                let (emulator, serial) = Emulator::qemu(command, Status::Doubled);
                (emulator, serial, vec![bundle, iso])
            }
            Kind::Vmx => {
                let iso = self.write_iso(&bundle);
                let (emulator, serial) = self.start_bochs(&iso);
                (emulator, serial, vec![bundle, iso])
            }
        };
        let ports = self.forwards.iter().map(|forward| (forward.inside, forward.outside));
        Roost::new(emulator, serial, files, self.slowness(), self.arch()).with_ports(ports)
    }

    fn virt_command(&self, gic: Gic, entry: Entry, level: Level, bundle: &Path) -> Command {
        let mut machine = String::from("virt");
        if level == Level::El2 {
            machine.push_str(",virtualization=on");
        }
        machine.push_str(match gic {
            Gic::V2 => ",gic-version=2",
            Gic::V3 => ",gic-version=3",
        });
        let cpu = match self.cpu {
            Cpu::Plain => "cortex-a57",
            Cpu::Max => "max",
        };
        let mut command = Command::new("qemu-system-aarch64");
        command.args(["-M", &machine, "-cpu", cpu]);
        command.args(["-semihosting-config", "enable=on,target=native"]);
        let image = built(Arch::Aarch64, "roost.bin");
        match entry {
            Entry::Kernel => self.kernel(&mut command, &image, bundle),
            Entry::Bare => {
                let place = format!("loader,addr=0x40200000,cpu-num=0,file={}", image.display());
                command.args(["-device", &place]);
            }
        }
        self.qemu_board(&mut command);
        command
    }

    fn pc_command(&self) -> Command {
        let cpu = match self.cpu {
            Cpu::Plain => "max,vgif=off,pdpe1gb=off,xsave=off,avx=off",
            Cpu::Max => "max",
        };
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-M", "q35", "-cpu", cpu]);
        if !self.flags.iter().any(|flag| flag == "-icount") {
            command.args(["-accel", "tcg,thread=multi"]);
        }
        command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        self.qemu_board(&mut command);
        command
    }

    fn kernel(&self, command: &mut Command, image: &Path, bundle: &Path) {
        command.arg("-kernel").arg(image);
        command.arg("-initrd").arg(bundle);
        command.args(["-append", &self.append]);
    }

    fn qemu_board(&self, command: &mut Command) {
        command.args(["-smp", &self.cpus.to_string(), "-m", &self.memory_mib.to_string()]);
        command.args(["-nodefaults", "-display", "none", "-serial", "stdio"]);
        command.args(&self.flags);
    }

    fn start_bochs(&self, iso: &Path) -> (Emulator, Serial) {
        let bochs = Bochs {
            iso: iso.to_owned(),
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            model: "corei7_haswell_4770".into(),
            pace: Pace::Free,
        };
        let started = bochs.start(&iso.with_extension("bochs"));
        let (running, port) = started.unwrap_or_else(|error| panic!("{error}"));
        let writer = port.try_clone().unwrap_or_else(|error| panic!("Bochs's port: {error}"));
        (Emulator::Bochs(running), Serial::new(port, writer))
    }

    /// Writes this machine's bundle to a file of its own.
    fn write_bundle(&self) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let bytes = match &self.raw_bundle {
            Some(bytes) => bytes.clone(),
            None => self.pack().unwrap_or_else(|error| panic!("cannot pack a bundle: {error}")),
        };
        let directory = build_directory(self.arch()).join("tests");
        // Relaxed: only that each gets another number counts.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("bundle-{}-{number}.cpio", std::process::id()));
        let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, bytes));
        if let Err(error) = written {
            panic!("{}: {error}", path.display());
        }
        path
    }

    fn write_iso(&self, bundle: &Path) -> PathBuf {
        let iso = bundle.with_extension("iso");
        let elf = built(Arch::X86_64, "roost.elf");
        let status = Command::new(workspace().join("tools/iso.sh"))
            .args([elf.as_os_str(), bundle.as_os_str(), iso.as_os_str()])
            .env("APPEND", &self.append)
            .env("CMD", OsStr::new(""))
            .status();
        assert!(status.is_ok_and(|status| status.success()), "tools/iso.sh failed");
        iso
    }

    fn pack(&self) -> Result<Vec<u8>, xtask::Error> {
        let configs = workspace().join("configs").join(self.arch().name());
        let mut bundle = Bundle::new().directory("configs", &configs)?;
        for guest in self.guests.directories(self.arch()) {
            let prefix = format!("images/{guest}");
            bundle = bundle.directory(&prefix, &built(self.arch(), &prefix))?;
        }
        for (path, bytes) in &self.files {
            bundle = bundle.replace(path, bytes.as_slice());
        }
        bundle.archive()
    }
}
