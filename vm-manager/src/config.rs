//! A VM's configuration: TOML text in, a [`VmConfig`] out in which every value is allowed.
//!
//! ```toml
//! name = "linux"                  # letters, digits, - _ . ; the file's name if left out
//! vcpus = 2                       # 1 to 8
//! memory = "256M"                 # in steps of 2M
//! gic = 3                         # AArch64 only: 2 or 3; what the host has if left out
//! rng = true                      # a source of entropy (virtio); none if left out
//!
//! [boot]
//! kernel = "linux/Image"          # in images/
//! format = "auto"                 # auto, linux, elf, flat
//! load_address = 0x40000000       # for flat: where it goes; for linux: its 2 MiB-aligned base
//! entry = 0x40000000              # for flat: where it starts, on x86-64 in real mode
//! initrd = "linux/initrd.cpio.gz"
//! cmdline = "console=ttyAMA0"
//!
//! [[load]]                        # further files, byte by byte
//! file = "rtos/table.bin"
//! address = 0x48000000
//!
//! [[disk]]                        # a virtio disk; the first is /dev/vda
//! backing = "ram:64M"             # zeroes at first; or "image:disk.img", a file of images/, which stays as it is;
//!                                 # or "disk:vda", a disk of the host; or "partition:LABEL", one of its partitions
//! readonly = false
//!
//! [[net]]                         # a virtio network card; the first is eth0
//! network = "lan"                 # a [[network]] of host.toml
//! mac = "52:54:00:12:34:56"       # made up from the VM's name if left out
//! rate = "10M"                    # bytes in a second that it may send; no limit if left out
//!
//! [cpu]
//! affinity = [0, 2]               # or "0,2-3"; all if left out
//! weight = 100                    # 1 to 10000
//!
//! [restart]
//! on = "crash"                    # never, crash, always
//! delay = "1s"                    # doubles at each crash ...
//! max_delay = "1m"                # ... up to this
//!
//! [console]                       # console = "virtio" alone is short for its first key
//! kind = "serial"                 # which console `vm console` shows: serial, virtio
//! ring = "64K"                    # output that is kept
//! port = 2301                     # a TCP port that asks for a login and then is this console; none if left out
//!
//! [time]
//! on_pause = "stop"               # stop, run: what guest time does while the VM is paused
//!
//! [virtio]
//! ring = "split"                  # split, packed: the layout of the queues of its virtio devices
//! ```
//!
//! Text is walked by hand rather than derived: so each error can name line, key, what was found and
//! what is allowed, and the shell's overrides (`memory=128M`) go through the same checks.

use crate::virt_map::{GicVersion, MAX_VCPUS};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::guest::GuestPhysAddr;

mod amount;
mod cpu_set;
mod disk;
pub(crate) mod document;
pub(crate) mod error;
pub(crate) mod found;
mod key;
mod net;
mod suggestion;

pub use cpu_set::CpuSet;
pub use disk::{Backing, DiskAccess, DiskConfig, MAX_DISKS};
pub use error::ConfigError;
pub use key::Key;
pub use net::{MAX_NETS, NetConfig};

use found::{Found, Refusal};
pub(crate) use suggestion::nearest;

/// What kind of image the kernel is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ImageFormat {
    /// Whatever its first bytes say.
    #[default]
    Auto,
    /// A Linux kernel: an arm64 `Image`, an x86 `bzImage`.
    Linux,
    /// An ELF file; on x86-64 with a PVH note or a multiboot header.
    Elf,
    /// Raw bytes; on x86-64 code for real mode.
    Flat,
}

/// What a VM starts from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Boot {
    /// Path of the kernel below `images/`.
    pub kernel: String,
    /// What it is.
    pub format: ImageFormat,
    /// Where it is loaded, if not where its format says.
    pub load_address: Option<GuestPhysAddr>,
    /// Where it starts, if not at its first byte. For flat images only.
    pub entry: Option<GuestPhysAddr>,
    /// Path of the initial RAM disk below `images/`.
    pub initrd: Option<String>,
    /// The kernel's command line.
    pub cmdline: String,
}

/// A further file that is loaded as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RawFile {
    /// Path below `images/`.
    pub file: String,
    /// Where its first byte goes.
    pub address: GuestPhysAddr,
    /// The line of the config where its `[[load]]` begins.
    pub line: u32,
}

/// When a VM that has ended is started again without being asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RestartOn {
    /// Never.
    #[default]
    Never,
    /// After a crash.
    Crash,
    /// After a crash, and after it has stopped by itself.
    Always,
}

/// How a VM is started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Restart {
    /// When.
    pub on: RestartOn,
    /// How long to wait before the first restart; twice as long before each further one.
    pub delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
}

/// Which of a VM's consoles is shown, and typed into.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ConsoleKind {
    /// Its serial port.
    #[default]
    Serial,
    /// A virtio console, which it has only then.
    Virtio,
}

/// What guest time does while a VM is paused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TimeOnPause {
    /// It stands still: the guest does not notice the pause.
    #[default]
    Stop,
    /// It runs on: the guest sees it jump.
    Run,
}

/// The layout of queues that a VM's virtio devices offer (virtio 1.2, 2.7 and 2.8). A driver may always take the split one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VirtioRing {
    /// Split, which every driver knows.
    #[default]
    Split,
    /// Packed as well, which Linux takes then.
    Packed,
}

/// A VM's configuration, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VmConfig {
    /// Name of the VM.
    pub name: String,
    /// How many vCPUs it has, 1 to 8.
    pub vcpus: u8,
    /// RAM in bytes, a multiple of 2 MiB.
    pub memory_bytes: u64,
    /// Its interrupt controller, of an AArch64 machine; `None` for what the host has.
    pub gic: Option<GicVersion>,
    /// Whether it has a source of entropy.
    pub has_rng: bool,
    /// Whether it can lend pages of its RAM.
    pub has_balloon: bool,
    /// What it starts from.
    pub boot: Boot,
    /// What else is loaded.
    pub loads: Vec<RawFile>,
    /// Its disks.
    pub disks: Vec<DiskConfig>,
    /// Its network cards.
    pub nets: Vec<NetConfig>,
    /// The host CPUs that it may run on.
    pub affinity: CpuSet,
    /// Its share of CPU time against others', 1 to 10000.
    pub weight: u16,
    /// How it is started again.
    pub restart: Restart,
    /// Which console is shown.
    pub console: ConsoleKind,
    /// How much of its console output is kept, in bytes.
    pub console_ring_bytes: usize,
    /// The TCP port of the host that leads to its console.
    pub console_port: Option<u16>,
    /// What its time does while it is paused.
    pub on_pause: TimeOnPause,
    /// The layout of the queues of its virtio devices.
    pub virtio_ring: VirtioRing,
    /// The file that it was read from, for errors that are found later.
    file: String,
    /// What was set, and in which line; line 0 for overrides.
    lines: BTreeMap<Key, u32>,
}

impl VmConfig {
    /// Reads a configuration. `file` is only for errors, and for the name if the text has none.
    ///
    /// # Errors
    ///
    /// If it is not TOML, has a key that does not exist, lacks one that must exist, or a value
    /// is not allowed.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, ConfigError> {
        let mut config = Self::blank(file);
        document::read(file, text, &mut config)?;
        if !config.lines.contains_key(&Key::Name) {
            let stem = file.rsplit('/').next().and_then(|name| name.strip_suffix(".toml"));
            // A stem that cannot be a name is no error of the file's own: it just lacks a name.
            if let Some(stem) = stem
                && config.apply(Key::Name, &Found::Word(stem)).is_ok()
            {
                config.lines.insert(Key::Name, 0);
            }
        }
        config.finish()
    }

    /// Replaces one setting, as `vm create linux memory=128M` does. `key` is one of `name`,
    /// `vcpus`, `memory`, `kernel`, `initrd`, `cmdline`, `affinity`, `weight`, or the full path of
    /// any other, such as `restart.on`.
    ///
    /// # Errors
    ///
    /// If there is no such key or the value is not allowed.
    pub fn with_override(mut self, key: &str, value: &str) -> Result<Self, ConfigError> {
        let Some(found) = Key::find_override(key) else {
            return Err(ConfigError::unknown_override(key));
        };
        self.apply(found, &Found::Word(value))
            .map_err(|refusal| ConfigError::new("", 0, found.path(), refusal.into_text()))?;
        self.lines.insert(found, 0);
        self.finish()
    }

    /// An error about one of the settings that only shows later: an image that does not exist, more
    /// memory than the machine has. It names file, line and key like those of `parse`.
    #[must_use]
    pub fn error(&self, key: Key, problem: &str) -> ConfigError {
        let line = self.lines.get(&key).copied().unwrap_or(0);
        ConfigError::new(&self.file, line, key.path(), problem.to_owned())
    }

    /// The same about a `[[load]]`.
    #[must_use]
    pub fn error_in(&self, load: &RawFile, key: Key, problem: &str) -> ConfigError {
        ConfigError::new(&self.file, load.line, key.path(), problem.to_owned())
    }

    /// The same about a `[[disk]]`.
    #[must_use]
    pub fn error_in_disk(&self, disk: &DiskConfig, problem: &str) -> ConfigError {
        let key = Key::DiskBacking.path();
        ConfigError::new(&self.file, disk.line, key, problem.to_owned())
    }

    /// The same about a `[[net]]`.
    #[must_use]
    pub fn error_in_net(&self, net: &NetConfig, problem: &str) -> ConfigError {
        let key = Key::NetNetwork.path();
        ConfigError::new(&self.file, net.line, key, problem.to_owned())
    }

    /// The file that it was read from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Everything that has a default has it; the rest is empty, and `finish` misses it.
    fn blank(file: &str) -> Self {
        Self {
            name: String::new(),
            vcpus: 1,
            memory_bytes: 0,
            gic: None,
            has_rng: false,
            has_balloon: false,
            boot: Boot::default(),
            loads: Vec::new(),
            disks: Vec::new(),
            nets: Vec::new(),
            affinity: CpuSet::ALL,
            weight: 100,
            restart: Restart {
                on: RestartOn::default(),
                delay: Duration::from_secs(1),
                max_delay: Duration::from_secs(60),
            },
            console: ConsoleKind::default(),
            console_ring_bytes: 64 << 10,
            console_port: None,
            on_pause: TimeOnPause::default(),
            virtio_ring: VirtioRing::default(),
            file: file.to_owned(),
            lines: BTreeMap::new(),
        }
    }

    /// Sets one value.
    fn apply(&mut self, key: Key, found: &Found<'_>) -> Result<(), Refusal> {
        match key {
            Key::Name => self.name = found.name()?.to_owned(),
            Key::Vcpus => self.vcpus = found.number(1..=MAX_VCPUS)?,
            Key::Memory => self.memory_bytes = found.memory()?,
            Key::Gic => {
                self.gic = Some(found.choice(&[("2", GicVersion::V2), ("3", GicVersion::V3)])?);
            }
            Key::Rng => self.has_rng = found.flag()?,
            Key::Balloon => self.has_balloon = found.flag()?,
            Key::Kernel => self.boot.kernel = found.path()?.to_owned(),
            Key::Format => {
                self.boot.format = found.choice(&[
                    ("auto", ImageFormat::Auto),
                    ("linux", ImageFormat::Linux),
                    ("elf", ImageFormat::Elf),
                    ("flat", ImageFormat::Flat),
                ])?;
            }
            Key::LoadAddress => self.boot.load_address = Some(found.address()?),
            Key::Entry => self.boot.entry = Some(found.address()?),
            Key::Initrd => self.boot.initrd = Some(found.path()?.to_owned()),
            Key::Cmdline => self.boot.cmdline = found.cmdline()?.to_owned(),
            Key::Affinity => self.affinity = found.cpu_set()?,
            Key::Weight => self.weight = found.number(1..=10_000)?,
            Key::RestartOn => {
                self.restart.on = found.choice(&[
                    ("never", RestartOn::Never),
                    ("crash", RestartOn::Crash),
                    ("always", RestartOn::Always),
                ])?;
            }
            Key::RestartDelay => self.restart.delay = found.duration()?,
            Key::RestartMaxDelay => self.restart.max_delay = found.duration()?,
            Key::ConsoleKind => {
                self.console = found
                    .choice(&[("serial", ConsoleKind::Serial), ("virtio", ConsoleKind::Virtio)])?;
            }
            Key::ConsoleRing => self.console_ring_bytes = found.ring()?,
            Key::ConsolePort => self.console_port = Some(found.number(1..=u16::MAX)?),
            Key::OnPause => {
                self.on_pause =
                    found.choice(&[("stop", TimeOnPause::Stop), ("run", TimeOnPause::Run)])?;
            }
            Key::VirtioRing => {
                self.virtio_ring = found
                    .choice(&[("split", VirtioRing::Split), ("packed", VirtioRing::Packed)])?;
            }
            // These belong to the `[[load]]` that was begun last; an override has none.
            Key::LoadFile => {
                if let Some(load) = self.loads.last_mut() {
                    load.file = found.path()?.to_owned();
                }
            }
            Key::LoadTo => {
                if let Some(load) = self.loads.last_mut() {
                    load.address = found.address()?;
                }
            }
            // Likewise to the `[[disk]]` that was begun last.
            Key::DiskBacking => {
                if let Some(disk) = self.disks.last_mut() {
                    disk.backing = found.backing()?;
                }
            }
            Key::DiskReadOnly => {
                if let Some(disk) = self.disks.last_mut() {
                    disk.access = match found.flag()? {
                        true => DiskAccess::ReadOnly,
                        false => DiskAccess::ReadWrite,
                    };
                }
            }
            // And to the `[[net]]`.
            Key::NetNetwork => {
                if let Some(net) = self.nets.last_mut() {
                    net.network = found.name()?.to_owned();
                }
            }
            Key::NetMac => {
                if let Some(net) = self.nets.last_mut() {
                    net.mac = Some(found.mac()?);
                }
            }
            Key::NetRate => {
                if let Some(net) = self.nets.last_mut() {
                    net.rate = Some(found.rate()?);
                }
            }
        }
        Ok(())
    }

    /// Checks what concerns more than one key.
    fn finish(self) -> Result<Self, ConfigError> {
        for key in [Key::Name, Key::Memory, Key::Kernel] {
            if !self.lines.contains_key(&key) {
                return Err(self.error(key, "missing; every VM must have it"));
            }
        }
        if self.restart.max_delay < self.restart.delay {
            let problem = format!(
                "found {:?}, allowed restart.delay ({:?}) or longer",
                self.restart.max_delay, self.restart.delay,
            );
            return Err(self.error(Key::RestartMaxDelay, &problem));
        }
        for (key, value) in
            [(Key::LoadAddress, self.boot.load_address), (Key::Entry, self.boot.entry)]
        {
            let is_flat_only = match self.boot.format {
                ImageFormat::Elf => true,
                ImageFormat::Linux => key == Key::Entry,
                ImageFormat::Auto | ImageFormat::Flat => false,
            };
            if value.is_some() && is_flat_only {
                return Err(
                    self.error(key, "the image itself says where; allowed for format = \"flat\"")
                );
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
