//! The keys that a configuration may have.

/// One key. The order is that of the documentation.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// `name`
    Name,
    /// `vcpus`
    Vcpus,
    /// `memory`
    Memory,
    /// `gic`
    Gic,
    /// `rng`
    Rng,
    /// `balloon`
    Balloon,
    /// `boot.kernel`
    Kernel,
    /// `boot.format`
    Format,
    /// `boot.load_address`
    LoadAddress,
    /// `boot.entry`
    Entry,
    /// `boot.initrd`
    Initrd,
    /// `boot.cmdline`
    Cmdline,
    /// `load.file`
    LoadFile,
    /// `load.address`
    LoadTo,
    /// `disk.backing`
    DiskBacking,
    /// `disk.readonly`
    DiskReadOnly,
    /// `net.network`
    NetNetwork,
    /// `net.mac`
    NetMac,
    /// `net.rate`
    NetRate,
    /// `cpu.affinity`
    Affinity,
    /// `cpu.weight`
    Weight,
    /// `restart.on`
    RestartOn,
    /// `restart.delay`
    RestartDelay,
    /// `restart.max_delay`
    RestartMaxDelay,
    /// `console.kind`, or `console` alone
    ConsoleKind,
    /// `console.ring`
    ConsoleRing,
    /// `console.port`
    ConsolePort,
    /// `time.on_pause`
    OnPause,
    /// `virtio.ring`
    VirtioRing,
}

/// All keys, with what stands before the dot of their path: their section, if any.
const KEYS: [(Key, &str); 29] = [
    (Key::Name, "name"),
    (Key::Vcpus, "vcpus"),
    (Key::Memory, "memory"),
    (Key::Gic, "gic"),
    (Key::Rng, "rng"),
    (Key::Balloon, "balloon"),
    (Key::Kernel, "boot.kernel"),
    (Key::Format, "boot.format"),
    (Key::LoadAddress, "boot.load_address"),
    (Key::Entry, "boot.entry"),
    (Key::Initrd, "boot.initrd"),
    (Key::Cmdline, "boot.cmdline"),
    (Key::LoadFile, "load.file"),
    (Key::LoadTo, "load.address"),
    (Key::DiskBacking, "disk.backing"),
    (Key::DiskReadOnly, "disk.readonly"),
    (Key::NetNetwork, "net.network"),
    (Key::NetMac, "net.mac"),
    (Key::NetRate, "net.rate"),
    (Key::Affinity, "cpu.affinity"),
    (Key::Weight, "cpu.weight"),
    (Key::RestartOn, "restart.on"),
    (Key::RestartDelay, "restart.delay"),
    (Key::RestartMaxDelay, "restart.max_delay"),
    (Key::ConsoleKind, "console.kind"),
    (Key::ConsoleRing, "console.ring"),
    (Key::ConsolePort, "console.port"),
    (Key::OnPause, "time.on_pause"),
    (Key::VirtioRing, "virtio.ring"),
];

/// The sections, in the order of the documentation.
pub(super) const SECTIONS: [&str; 9] =
    ["boot", LOAD, DISK, NET, "cpu", "restart", CONSOLE, "time", "virtio"];

/// The sections of which there may be several.
pub(super) const REPEATED: [&str; 3] = [LOAD, DISK, NET];
pub(super) const LOAD: &str = "load";
pub(super) const DISK: &str = "disk";
pub(super) const NET: &str = "net";

/// The section whose first key may stand for all of it.
pub(super) const CONSOLE: &str = "console";

/// The keys that a command line may name without their section.
pub(super) const SHORT: [Key; 8] = [
    Key::Name,
    Key::Vcpus,
    Key::Memory,
    Key::Kernel,
    Key::Initrd,
    Key::Cmdline,
    Key::Affinity,
    Key::Weight,
];

impl Key {
    /// The key as errors name it: `memory`, `boot.kernel`.
    #[must_use]
    pub fn path(self) -> &'static str {
        KEYS.iter().find(|(key, _)| *key == self).map_or("", |(_, path)| path)
    }

    /// The key within its section.
    pub(super) fn name(self) -> &'static str {
        split(self.path()).1
    }

    /// The key of this name in `section`; the section of what has none is empty.
    pub(super) fn find(section: &str, name: &str) -> Option<Self> {
        KEYS.iter().find(|(_, path)| split(path) == (section, name)).map(|(key, _)| *key)
    }

    /// The key that an override means.
    pub(super) fn find_override(word: &str) -> Option<Self> {
        if word == CONSOLE {
            return Some(Self::ConsoleKind);
        }
        let short = SHORT.into_iter().find(|key| key.name() == word);
        short.or_else(|| {
            let (section, name) = split(word);
            Self::find(section, name).filter(|_| !REPEATED.contains(&section))
        })
    }

    /// The names of all keys of `section`.
    pub(super) fn names_in(section: &str) -> impl Iterator<Item = &'static str> {
        KEYS.iter()
            .map(|(_, path)| split(path))
            .filter(move |key| key.0 == section)
            .map(|key| key.1)
    }
}

fn split(path: &str) -> (&str, &str) {
    path.split_once('.').unwrap_or(("", path))
}
