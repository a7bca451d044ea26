use super::*;
use proptest::prelude::*;
use vm_fdt::FdtWriter;

/// Distributor and two regions of redistributors.
const GIC_V3: [u64; 6] = [0x800_0000, 0x1_0000, 0x80a_0000, 0xf6_0000, 0x40_0000_0000, 0x400_0000];

fn tree() -> Vec<u8> {
    tree_with_gic("arm,gic-v3", &GIC_V3)
}

fn tree_with_gic(compatible: &str, registers: &[u64]) -> Vec<u8> {
    let mut fdt = FdtWriter::new().unwrap();
    let root = fdt.begin_node("").unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 2).unwrap();
    fdt.property_string("model", "test board").unwrap();
    let chosen = fdt.begin_node("chosen").unwrap();
    fdt.property_string("stdout-path", "/uart@9001000:115200").unwrap();
    fdt.property_string("bootargs", "roost.cmd=help").unwrap();
    fdt.property_u32("linux,initrd-start", 0x4800_0000).unwrap();
    fdt.property_u32("linux,initrd-end", 0x4900_0000).unwrap();
    fdt.end_node(chosen).unwrap();
    let memory = fdt.begin_node("memory@40000000").unwrap();
    fdt.property_string("device_type", "memory").unwrap();
    fdt.property_array_u64("reg", &[0x4000_0000, 0x4000_0000, 0x8_0000_0000, 0x1000_0000]).unwrap();
    fdt.end_node(memory).unwrap();
    let reserved = fdt.begin_node("reserved-memory").unwrap();
    fdt.property_u32("#address-cells", 2).unwrap();
    fdt.property_u32("#size-cells", 2).unwrap();
    let firmware = fdt.begin_node("firmware@50000000").unwrap();
    fdt.property_array_u64("reg", &[0x5000_0000, 0x20_0000]).unwrap();
    fdt.property_null("no-map").unwrap();
    fdt.end_node(firmware).unwrap();
    fdt.end_node(reserved).unwrap();
    for (name, base, spi) in [("uart@9000000", 0x900_0000, 1), ("uart@9001000", 0x900_1000, 8)] {
        let uart = fdt.begin_node(name).unwrap();
        fdt.property_string_list("compatible", vec!["arm,pl011".into(), "arm,primecell".into()])
            .unwrap();
        fdt.property_array_u64("reg", &[base, 0x1000]).unwrap();
        fdt.property_array_u32("interrupts", &[0, spi, 4]).unwrap();
        fdt.end_node(uart).unwrap();
    }
    let gic = fdt.begin_node("intc@8000000").unwrap();
    fdt.property_string("compatible", compatible).unwrap();
    fdt.property_u32("#redistributor-regions", 2).unwrap();
    fdt.property_array_u64("reg", registers).unwrap();
    fdt.property_array_u32("interrupts", &[1, 9, 4]).unwrap();
    fdt.end_node(gic).unwrap();
    let timer = fdt.begin_node("timer").unwrap();
    fdt.property_string_list(
        "compatible",
        vec!["arm,armv8-timer".into(), "arm,armv7-timer".into()],
    )
    .unwrap();
    fdt.property_array_u32("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]).unwrap();
    fdt.end_node(timer).unwrap();
    let psci = fdt.begin_node("psci").unwrap();
    fdt.property_string("compatible", "arm,psci-1.0").unwrap();
    fdt.property_string("method", "smc").unwrap();
    fdt.end_node(psci).unwrap();
    let cpus = fdt.begin_node("cpus").unwrap();
    fdt.property_u32("#address-cells", 1).unwrap();
    fdt.property_u32("#size-cells", 0).unwrap();
    for (index, status) in ["okay", "disabled", "okay"].iter().enumerate() {
        let cpu = fdt.begin_node(&format!("cpu@{index}")).unwrap();
        fdt.property_string("device_type", "cpu").unwrap();
        fdt.property_u32("reg", index as u32).unwrap();
        fdt.property_string("status", status).unwrap();
        fdt.end_node(cpu).unwrap();
    }
    fdt.end_node(cpus).unwrap();
    fdt.end_node(root).unwrap();
    fdt.finish().unwrap()
}

fn read(tree: Vec<u8>) -> (Platform, Result<(), DiscoveryError>) {
    discover(tree.leak(), 0x4400_0000)
}

#[test]
fn a_whole_machine_is_read_from_its_tree() {
    let (platform, result) = read(tree());
    assert_eq!(result, Ok(()));
    let ranges = |regions: &Regions| -> Vec<(u64, u64)> {
        regions.iter().flatten().map(|range| (range.start, range.end)).collect()
    };
    assert_eq!(ranges(&platform.ram), [(0x4000_0000, 0x8000_0000), (0x8_0000_0000, 0x8_1000_0000)]);
    assert_eq!(ranges(&platform.no_map), [(0x5000_0000, 0x5020_0000)]);
    let uart = platform.uart.unwrap();
    assert_eq!(uart.registers.start, 0x900_1000, "the one that stdout-path names");
    assert_eq!(uart.interrupt, Some(Interrupt { intid: 40, trigger: Trigger::Level }));
    let Some(GicNode::V3(gic)) = platform.gic else { panic!("no GICv3") };
    assert_eq!(gic.redistributors.iter().flatten().count(), 2);
    assert_eq!(platform.maintenance.unwrap().intid, 25);
    assert_eq!(platform.virtual_timer.unwrap().intid, 27);
    assert_eq!(platform.hypervisor_timer.unwrap().intid, 26);
    assert_eq!(platform.conduit, Some(Conduit::Smc));
    assert_eq!(platform.cpus.iter().flatten().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(platform.bootargs, "roost.cmd=help");
    assert_eq!(platform.initrd.map(|initrd| initrd.end), Some(0x4900_0000));
    assert_eq!(platform.model, "test board");
}

#[test]
fn a_tree_without_a_console_says_so() {
    let mut tree = tree();
    while let Some(at) = tree.windows(9).position(|window| window == b"arm,pl011") {
        tree[at] = b'x';
    }
    assert_eq!(read(tree).1, Err(DiscoveryError::Missing("PL011 UART")));
}

/// As QEMU's machine without `virtualization=on`: it was silent, because the UART was looked for only if all else was well.
#[test]
fn a_machine_at_fault_still_has_the_uart_that_tells_of_it() {
    let (platform, result) = read(tree_with_gic("arm,cortex-a15-gic", &GIC_V3[..4]));
    let missing = "virtual interface of the GIC (GICH and GICV)";
    assert_eq!(result, Err(DiscoveryError::Missing(missing)));
    assert_eq!(platform.uart.unwrap().registers.start, 0x900_1000);
}

#[test]
fn a_truncated_tree_is_refused() {
    let whole = tree();
    for len in 0..whole.len() {
        assert!(read(whole[..len].to_vec()).1.is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_damage_to_the_tree_panics(damage in proptest::collection::vec((0..4096_usize, any::<u8>()), 1..8)) {
        let mut tree = tree();
        for (at, value) in damage {
            let at = at % tree.len();
            tree[at] = value;
        }
        let _ = read(tree);
    }
}
