//! The device tree as guests' parsers see it.

use super::*;
use ::fdt::Fdt;
use ::fdt::node::FdtNode;
use proptest::prelude::*;
use std::io::Write;
use std::process::{Command, Stdio};

fn machine() -> Machine<'static> {
    Machine {
        vcpus: 2,
        memory_bytes: 256 << 20,
        gic: GicVersion::V3,
        cmdline: "console=ttyAMA0",
        initrd: Some(GuestPhysAddr(0x4800_0000)..GuestPhysAddr(0x4810_0001)),
        rng_seed: &[7; 32],
        virtio_slots: 0,
        kaslr_seed: None,
    }
}

#[test]
fn each_virtio_slot_with_a_device_is_named_as_qemu_names_it() {
    let bytes = build(&Machine { virtio_slots: 2, ..machine() }).unwrap();
    let tree = Fdt::new(&bytes).unwrap();
    for (path, base, spi) in
        [("/virtio_mmio@a000000", 0x0a00_0000, 16), ("/virtio_mmio@a000200", 0x0a00_0200, 17)]
    {
        let node = node(&tree, path);
        assert_eq!(text(node, "compatible"), "virtio,mmio");
        assert_eq!(cells(node, "reg"), [0, base, 0, 0x200]);
        assert_eq!(cells(node, "interrupts"), [0, spi, 1]);
        assert!(node.property("dma-coherent").is_some());
    }
    assert!(tree.find_node("/virtio_mmio@a000400").is_none());
}

fn node<'b, 'a>(tree: &'b Fdt<'a>, path: &str) -> FdtNode<'b, 'a> {
    tree.find_node(path).unwrap_or_else(|| panic!("no node {path}"))
}

fn cells(node: FdtNode<'_, '_>, property: &str) -> Vec<u32> {
    let value = node.property(property).unwrap_or_else(|| panic!("no property {property}")).value;
    value.as_chunks::<4>().0.iter().map(|cell| u32::from_be_bytes(*cell)).collect()
}

fn text(node: FdtNode<'_, '_>, property: &str) -> String {
    node.property(property).unwrap().as_str().unwrap().to_owned()
}

#[test]
fn a_parser_finds_memory_cpus_console_and_command_line() {
    let bytes = build(&machine()).unwrap();
    let tree = Fdt::new(&bytes).unwrap();
    let memory = tree.memory();
    let regions: Vec<_> =
        memory.regions().map(|region| (region.starting_address as usize, region.size)).collect();
    assert_eq!(regions, [(0x4000_0000, Some(256 << 20))]);
    let cpus: Vec<_> = tree.cpus().map(|cpu| cpu.ids().first()).collect();
    assert_eq!(cpus, [0, 1]);
    assert_eq!(tree.chosen().bootargs(), Some("console=ttyAMA0"));
    assert_eq!(tree.chosen().stdout().unwrap().name, "pl011@9000000");
    assert_eq!(tree.aliases().unwrap().resolve("serial0"), Some("/pl011@9000000"));
    let chosen = node(&tree, "/chosen");
    assert_eq!(cells(chosen, "linux,initrd-start"), [0, 0x4800_0000]);
    assert_eq!(cells(chosen, "linux,initrd-end"), [0, 0x4810_0001]);
    assert_eq!(chosen.property("rng-seed").unwrap().value, [7; 32]);
    assert!(chosen.property("kaslr-seed").is_none());
}

#[test]
fn devices_are_where_the_map_says() {
    let bytes = build(&machine()).unwrap();
    let tree = Fdt::new(&bytes).unwrap();
    for (path, base, spi) in [
        ("/pl011@9000000", 0x0900_0000, 1),
        ("/pl031@9010000", 0x0901_0000, 2),
        ("/pl061@9030000", 0x0903_0000, 7),
    ] {
        let device = node(&tree, path);
        assert_eq!(cells(device, "reg"), [0, base, 0, 0x1000]);
        assert_eq!(cells(device, "interrupts"), [0, spi, 4]);
        assert!(device.compatible().unwrap().all().any(|name| name == "arm,primecell"));
    }
    let gpio = cells(node(&tree, "/pl061@9030000"), "phandle");
    let key = node(&tree, "/gpio-keys/poweroff");
    assert_eq!(cells(key, "gpios"), [gpio[0], 3, 0]);
    assert_eq!(cells(key, "linux,code"), [116]);
    assert_eq!(text(node(&tree, "/psci"), "method"), "hvc");
}

#[test]
fn each_gic_has_its_own_regions_and_timer_flags() {
    for (gic, compatible, second, flags) in [
        (GicVersion::V2, "arm,cortex-a15-gic", [0x0801_0000, 0x1_0000], 0x304),
        (GicVersion::V3, "arm,gic-v3", [0x080a_0000, 0x4_0000], 4),
    ] {
        let bytes = build(&Machine { gic, ..machine() }).unwrap();
        let tree = Fdt::new(&bytes).unwrap();
        let intc = node(&tree, "/intc@8000000");
        assert_eq!(intc.compatible().unwrap().first(), compatible);
        assert_eq!(cells(intc, "reg"), [0, 0x0800_0000, 0, 0x1_0000, 0, second[0], 0, second[1]]);
        assert_eq!(cells(node(&tree, "/"), "interrupt-parent"), cells(intc, "phandle"));
        assert_eq!(
            cells(node(&tree, "/timer"), "interrupts"),
            [1, 13, flags, 1, 14, flags, 1, 11, flags, 1, 10, flags]
        );
    }
}

#[test]
fn a_command_line_with_a_zero_byte_is_an_error() {
    let error = build(&Machine { cmdline: "a\0b", ..machine() }).unwrap_err();
    assert!(error.to_string().starts_with("device tree: "));
}

/// The reference compiler reads the tree without a warning. Skipped where it is not installed.
#[test]
fn dtc_has_nothing_to_say_about_it() {
    for gic in [GicVersion::V2, GicVersion::V3] {
        let bytes = build(&Machine { gic, kaslr_seed: Some(1), ..machine() }).unwrap();
        let child = Command::new("dtc")
            .args(["-I", "dtb", "-O", "dts", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: dtc is not installed");
            return;
        };
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(String::from_utf8_lossy(&output.stdout).contains("gpio-keys"));
    }
}

proptest! {
    #[test]
    fn any_machine_has_a_tree_that_parses_and_fits_its_room(
        vcpus in 1..=8u8,
        blocks in 1..=1000u64,
        cmdline in "[ -~]{0,2047}",
        seed in proptest::collection::vec(any::<u8>(), 0..64),
        kaslr_seed: Option<u64>,
        is_v3: bool,
    ) {
        let gic = if is_v3 { GicVersion::V3 } else { GicVersion::V2 };
        let machine = Machine {
            vcpus, memory_bytes: blocks << 21, gic, cmdline: &cmdline, rng_seed: &seed, kaslr_seed,
            initrd: None, virtio_slots: 0,
        };
        let bytes = build(&machine).unwrap();
        prop_assert!(bytes.len() < 16 << 10);
        let tree = Fdt::new(&bytes).unwrap();
        prop_assert_eq!(tree.cpus().count(), usize::from(vcpus));
        if !cmdline.is_empty() {
            prop_assert_eq!(tree.chosen().bootargs(), Some(&*cmdline));
        }
    }
}
