//! Configurations as people write them, and as nobody should.

use super::*;
use crate::host_config::HostConfig;
use proptest::prelude::*;

const FULL: &str = r#"
name = "linux"
vcpus = 2
memory = "256M"
gic = 2

[boot]
kernel = "linux/Image"
format = "flat"
load_address = 0x4020_0000
entry = 0x40200040
initrd = "linux/initrd.cpio.gz"
cmdline = "console=ttyAMA0"

[[load]]
file = "a.bin"
address = 0x48000000

[[load]]
file = "b.bin"
address = "0x49000000"

[cpu]
affinity = [0, 2]
weight = 300

[restart]
on = "crash"
delay = "500ms"
max_delay = "1m"

[console]
ring = "128K"
port = 2301

[time]
on_pause = "run"

[virtio]
ring = "packed"
"#;

const MINIMAL: &str = "memory = \"64M\"\n[boot]\nkernel = \"k\"\n";

fn parse(text: &str) -> Result<VmConfig, String> {
    VmConfig::parse("linux.toml", text.as_bytes()).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err()
}

#[test]
fn every_key_arrives() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.name, "linux");
    assert_eq!(
        (config.vcpus, config.memory_bytes, config.gic),
        (2, 256 << 20, Some(GicVersion::V2))
    );
    assert_eq!(
        config.boot,
        Boot {
            kernel: "linux/Image".into(),
            format: ImageFormat::Flat,
            load_address: Some(GuestPhysAddr(0x4020_0000)),
            entry: Some(GuestPhysAddr(0x4020_0040)),
            initrd: Some("linux/initrd.cpio.gz".into()),
            cmdline: "console=ttyAMA0".into(),
        }
    );
    let loads: Vec<_> =
        config.loads.iter().map(|load| (&*load.file, load.address.0, load.line)).collect();
    assert_eq!(loads, [("a.bin", 0x4800_0000, 15), ("b.bin", 0x4900_0000, 19)]);
    assert_eq!(config.affinity, CpuSet::from_bits(0b101));
    assert_eq!(config.weight, 300);
    assert_eq!(
        config.restart,
        Restart {
            on: RestartOn::Crash,
            delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(60),
        }
    );
    assert_eq!(config.console_ring_bytes, 128 << 10);
    assert_eq!(config.console_port, Some(2301));
    assert_eq!(config.on_pause, TimeOnPause::Run);
    assert_eq!(config.virtio_ring, VirtioRing::Packed);
}

#[test]
fn disks_console_and_entropy_arrive() {
    let text = |rest: &str| format!("rng = true\n{MINIMAL}\n{rest}");
    let config = parse(&text(
        "[[disk]]\nbacking = \"ram:64M\"\n[[disk]]\nbacking = \"image:a/b.img\"\nreadonly = true\n\
         [console]\nkind = \"virtio\"",
    ))
    .unwrap();
    assert!(config.has_rng);
    assert_eq!(config.console, ConsoleKind::Virtio);
    let disks: Vec<_> = config.disks.iter().map(|disk| (&disk.backing, disk.access)).collect();
    assert_eq!(
        disks,
        [
            (&Backing::Ram(64 << 20), DiskAccess::ReadWrite),
            (&Backing::Image("a/b.img".into()), DiskAccess::ReadOnly)
        ]
    );
    let short = parse(&format!("console = \"virtio\"\n{MINIMAL}")).unwrap();
    assert_eq!((short.console, short.has_rng), (ConsoleKind::Virtio, false));
    let long = short.with_override("console", "serial").unwrap();
    assert_eq!(long.console, ConsoleKind::Serial);
    assert!(long.with_override("rng", "true").unwrap().has_rng);
}

#[test]
fn cards_arrive_with_their_networks() {
    let text = format!(
        "{MINIMAL}[[net]]\nnetwork = \"lan\"\nmac = \"52:54:00:12:34:fF\"\nrate = \"10M\"\n\
         [[net]]\nnetwork = \"nat\"\n"
    );
    let config = parse(&text).unwrap();
    let [one, other] = &config.nets[..] else { panic!("{:?}", config.nets) };
    assert_eq!((&one.network[..], one.rate), ("lan", Some(10 << 20)));
    assert_eq!(one.mac, Some([0x52, 0x54, 0, 0x12, 0x34, 0xff]));
    assert_eq!((&other.network[..], other.mac, other.rate), ("nat", None, None));
    assert!(config.error_in_net(other, "no such network").to_string().contains("net.network"));
    let error = error(&format!("{MINIMAL}{}", "[[net]]\nnetwork = \"lan\"\n".repeat(5)));
    assert!(error.contains("allowed up to 4"), "{error}");
}

#[test]
fn a_disk_can_be_one_of_the_host_or_a_part_of_it() {
    let backing = |text: &str| {
        let text = format!("{MINIMAL}\n[[disk]]\nbacking = \"{text}\"\n");
        VmConfig::parse("a.toml", text.as_bytes()).map(|config| config.disks[0].backing.clone())
    };
    assert_eq!(backing("disk:vda"), Ok(Backing::Disk("vda".into())));
    assert_eq!(backing("partition:a b:c"), Ok(Backing::Partition("a b:c".into())));
    assert_eq!(backing("none"), Ok(Backing::None));
    assert!(backing("disk:").is_err() && backing("partition:").is_err());
}

#[test]
fn what_is_attached_is_written_as_in_a_configuration() {
    for text in ["ram:64M", "ram:4K", "ram:3G", "image:a/b.img", "disk:vda", "partition:a b"] {
        assert_eq!(Backing::parse(text).unwrap().to_string(), text);
    }
    assert!(Backing::parse("none").unwrap_err().contains("no disk"));
    let error = Backing::parse("vda").unwrap_err();
    assert!(error.starts_with("found ") && error.contains("\"disk:NAME\""), "{error}");
}

#[test]
fn the_example_in_the_readme_is_valid() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let config = VmConfig::parse("readme.toml", example.as_bytes()).unwrap();
    assert_eq!((config.vcpus, config.loads.len()), (2, 1));
}

#[test]
fn the_configurations_of_the_repository_are_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let files = |folder: &std::path::Path| {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
    };
    // A folder for each architecture.
    for path in files(folder.as_ref()).flat_map(|folder| files(&folder)) {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read(&path).unwrap();
        if file == "host.toml" {
            HostConfig::parse(&file, &text).unwrap_or_else(|error| panic!("{error}"));
            continue;
        }
        let config = VmConfig::parse(&file, &text);
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(Some(&*config.name), file.strip_suffix(".toml"));
    }
}

#[test]
fn everything_but_memory_and_kernel_has_a_default() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.name, "linux", "the file's name");
    assert_eq!((config.vcpus, config.gic, config.weight), (1, None, 100));
    assert_eq!(config.affinity, CpuSet::ALL);
    assert_eq!(config.restart.on, RestartOn::Never);
    assert_eq!(config.console_ring_bytes, 64 << 10);
    assert_eq!(config.on_pause, TimeOnPause::Stop);
    assert_eq!(config.virtio_ring, VirtioRing::Split);
    assert_eq!(config.boot.format, ImageFormat::Auto);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_was_meant() {
    assert_eq!(
        error("name = \"x\"\n\n\nmemroy = \"64M\"\n"),
        "linux.toml:4: memroy: unknown key; did you mean 'memory'? allowed: name, vcpus, memory, \
         gic, rng, balloon, boot, load, disk, net, cpu, restart, console, time, virtio"
    );
    assert_eq!(
        error("memory = \"64M\"\n[boot]\nkernle = \"x\""),
        "linux.toml:3: boot.kernle: unknown key; did you mean 'kernel'? allowed: kernel, format, \
         load_address, entry, initrd, cmdline"
    );
    assert_eq!(
        error("[cpu]\nbanana = 1"),
        "linux.toml:2: cpu.banana: unknown key; allowed: affinity, weight"
    );
    assert!(
        error("[bot]\nkernel = \"x\"")
            .starts_with("linux.toml:1: bot: unknown key; did you mean 'boot'?")
    );
}

#[test]
fn a_value_out_of_range_says_what_was_found_and_what_is_allowed() {
    for (text, expected) in [
        ("vcpus = 99", "linux.toml:1: vcpus: found 99, allowed 1 to 8"),
        ("vcpus = 0", "linux.toml:1: vcpus: found 0, allowed 1 to 8"),
        ("vcpus = -1", "linux.toml:1: vcpus: found -1, allowed 1 to 8"),
        ("vcpus = \"two\"", "linux.toml:1: vcpus: found 'two', allowed 1 to 8"),
        ("vcpus = 1.5", "linux.toml:1: vcpus: found a value of type float, allowed 1 to 8"),
        (
            "memory = \"3M\"",
            "linux.toml:1: memory: found '3M', allowed 2M to 255G in steps of 2M, such as \"256M\"",
        ),
        ("gic = 4", "linux.toml:1: gic: found 4, allowed 2, 3"),
        (
            "name = \"7up\"",
            "linux.toml:1: name: found '7up', allowed a letter and up to 31 more letters, digits, '-', '_' or '.'",
        ),
        (
            "[boot]\nformat = \"zImage\"",
            "linux.toml:2: boot.format: found 'zImage', allowed auto, linux, elf, flat",
        ),
        (
            "[cpu]\naffinity = []",
            "linux.toml:2: cpu.affinity: found [], allowed host CPUs, 0 to 63, such as [0, 2] or \"0,2-3\"",
        ),
        (
            "[cpu]\naffinity = [0, 64]",
            "linux.toml:2: cpu.affinity: found [0, 64], allowed host CPUs, 0 to 63, such as [0, 2] or \"0,2-3\"",
        ),
        ("[cpu]\nweight = 10001", "linux.toml:2: cpu.weight: found 10001, allowed 1 to 10000"),
        (
            "[restart]\non = \"sometimes\"",
            "linux.toml:2: restart.on: found 'sometimes', allowed never, crash, always",
        ),
        (
            "[restart]\ndelay = 1",
            "linux.toml:2: restart.delay: found 1, allowed 0s to 24h with a unit of ms, s, m or h, such as \"1s\"",
        ),
        (
            "[console]\nring = 0",
            "linux.toml:2: console.ring: found 0, allowed 1K to 16M, such as \"64K\"",
        ),
        ("[console]\nport = 0", "linux.toml:2: console.port: found 0, allowed 1 to 65535"),
        ("console = \"vga\"", "linux.toml:1: console: found 'vga', allowed serial, virtio"),
        ("console = 1", "linux.toml:1: console: found 1, allowed a section [console]"),
        (
            "[virtio]\nring = \"round\"",
            "linux.toml:2: virtio.ring: found 'round', allowed split, packed",
        ),
        ("rng = 1", "linux.toml:1: rng: found 1, allowed true, false"),
        (
            "[[disk]]\nbacking = \"ram:1\"",
            "linux.toml:2: disk.backing: found 'ram:1', allowed \"ram:SIZE\" of 4K to 64G in steps of 4K, such as \"ram:64M\", \"image:PATH\" of a file in images/, \"disk:NAME\" of a disk of the host, \"partition:LABEL\" of one of its partitions and \"none\" for an empty slot",
        ),
        (
            "[[disk]]\nreadonly = true",
            "linux.toml:1: disk.backing: missing; every [[disk]] must have it",
        ),
        (
            "[[net]]\nnetwork = \"lan\"\nmac = \"01:00:5e:00:00:01\"",
            "linux.toml:3: net.mac: found '01:00:5e:00:00:01', allowed the address of one station, such as \"52:54:00:12:34:56\"",
        ),
        (
            "[[net]]\nnetwork = \"lan\"\nrate = 5",
            "linux.toml:3: net.rate: found 5, allowed 1K to 1024G bytes in a second, such as \"10M\"",
        ),
        (
            "[[net]]\nrate = \"1M\"",
            "linux.toml:1: net.network: missing; every [[net]] must have it",
        ),
        (
            "[disk]\nbacking = \"ram:4K\"",
            "linux.toml:1: disk: found [disk], allowed [[disk]], of which there may be several",
        ),
        (
            "[boot]\ncmdline = \"a\\u001bb\"",
            "linux.toml:2: boot.cmdline: found 'a\\u{1b}b', allowed up to 2047 bytes without control characters",
        ),
        (
            "[load]\nfile = \"x\"",
            "linux.toml:1: load: found [load], allowed [[load]], of which there may be several",
        ),
        (
            "[[load]]\nfile = \"x\"",
            "linux.toml:1: load.address: missing; every [[load]] must have it",
        ),
        ("boot = 1", "linux.toml:1: boot: found 1, allowed a section [boot]"),
        ("memory = \"64M\"", "linux.toml: boot.kernel: missing; every VM must have it"),
        ("vcpus = 1\nvcpus = 2", "linux.toml:2: not valid TOML: duplicate key"),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn a_syntax_error_names_its_line() {
    assert!(error("vcpus = 1\nmemory = \"64M\n").starts_with("linux.toml:2: not valid TOML: "));
    let error = VmConfig::parse("a.toml", b"vcpus = 1\n\n\"\xff\" = 2").unwrap_err();
    assert_eq!(error.to_string(), "a.toml:3: found bytes that are not UTF-8");
    assert_eq!(error.line(), Some(3));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let text = format!("{MINIMAL}format = \"elf\"\nentry = 0x40000000\n");
    assert_eq!(
        error(&text),
        "linux.toml:5: boot.entry: the image itself says where; allowed for format = \"flat\""
    );
    let text = format!("{MINIMAL}[restart]\ndelay = \"2m\"\n");
    assert_eq!(
        error(&text),
        "linux.toml: restart.max_delay: found 60s, allowed restart.delay (120s) or longer"
    );
}

#[test]
fn what_is_too_large_to_be_a_config_is_not_parsed() {
    let text = "#".repeat(100_000);
    assert_eq!(error(&text), "linux.toml: found 100000 bytes, allowed up to 65536");
}

#[test]
fn deep_nesting_is_an_error_not_a_stack_overflow() {
    for text in
        ["x = ".to_owned() + &"[".repeat(60_000), "[a".to_owned() + &".a".repeat(30_000) + "]"]
    {
        assert!(parse(&text).is_err());
    }
}

#[test]
fn an_override_replaces_one_setting() {
    let config = parse(FULL).unwrap();
    let changed = [
        ("memory", "128M"),
        ("vcpus", "3"),
        ("weight", "5"),
        ("affinity", "1,3-4"),
        ("cmdline", "quiet single"),
        ("kernel", "other"),
        ("initrd", "other.cpio"),
        ("name", "second"),
        ("restart.on", "never"),
        ("gic", "3"),
    ]
    .into_iter()
    .try_fold(config, |config, (key, value)| config.with_override(key, value))
    .unwrap();
    assert_eq!((changed.memory_bytes, changed.vcpus, changed.weight), (128 << 20, 3, 5));
    assert_eq!(changed.affinity, CpuSet::from_bits(0b11010));
    assert_eq!(changed.boot.cmdline, "quiet single");
    assert_eq!(
        (&*changed.boot.kernel, changed.boot.initrd.as_deref()),
        ("other", Some("other.cpio"))
    );
    assert_eq!((&*changed.name, changed.restart.on), ("second", RestartOn::Never));
    assert_eq!(changed.gic, Some(GicVersion::V3));
}

#[test]
fn a_bad_override_says_what_is_allowed() {
    let error =
        |key, value| parse(FULL).unwrap().with_override(key, value).unwrap_err().to_string();
    assert_eq!(error("vcpus", "99"), "vcpus: found '99', allowed 1 to 8");
    assert_eq!(
        error("vcpu", "1"),
        "vcpu: unknown key; did you mean 'vcpus'? allowed: name, vcpus, memory, kernel, initrd, \
         cmdline, affinity, weight, and paths such as restart.on"
    );
    assert!(error("load.file", "x").starts_with("load.file: unknown key"));
}

#[test]
fn an_error_found_later_names_file_line_and_key() {
    let config = parse(FULL).unwrap();
    assert_eq!(
        config.error(Key::Kernel, "no such file").to_string(),
        "linux.toml:8: boot.kernel: no such file"
    );
    assert_eq!(
        config.error_in(&config.loads[1], Key::LoadFile, "no such file").to_string(),
        "linux.toml:19: load.file: no such file"
    );
    let config = config.with_override("kernel", "x").unwrap();
    assert_eq!(
        config.error(Key::Kernel, "no such file").to_string(),
        "linux.toml: boot.kernel: no such file"
    );
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(bytes: Vec<u8>) {
        let _ = VmConfig::parse("x.toml", &bytes);
    }

    #[test]
    fn any_text_of_toml_like_characters_has_an_answer(text in "[a-z\\[\\]=\"'.,0-9{}#\\-_ \n]{0,200}") {
        let _ = VmConfig::parse("x.toml", text.as_bytes());
    }

    #[test]
    fn a_mutated_config_is_read_or_refused_by_an_error_of_one_printable_line(
        edits in proptest::collection::vec((0..FULL.len(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut bytes = FULL.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at.min(bytes.len() - 1);
            match kind {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
        }
        if let Err(error) = VmConfig::parse("x.toml", &bytes) {
            let text = error.to_string();
            prop_assert!(text.starts_with("x.toml:"), "{}", text);
            prop_assert!(!text.chars().any(char::is_control), "{}", text);
            prop_assert!(error.line().unwrap_or(1) as usize <= bytes.len());
        }
    }

    #[test]
    fn any_override_has_an_answer(key: String, value: String) {
        let config = parse(FULL).unwrap();
        let _ = config.clone().with_override(&key, &value);
        for key in ["memory", "affinity", "name", "cmdline", "restart.delay", "boot.entry"] {
            let _ = config.clone().with_override(key, &value);
        }
    }
}
