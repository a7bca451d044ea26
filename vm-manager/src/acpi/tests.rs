//! Tables as an operating system walks them, and as ACPICA's disassembler does where it is installed.

use super::*;

const BASE: usize = pc_map::FIRMWARE as usize;

fn virtio() -> [VirtioSlot; 2] {
    [0, 1].map(|index| VirtioSlot {
        base: 0xfeb0_0000 + 0x200 * index,
        bytes: 0x200,
        interrupt: 16 + index,
    })
}

fn quad(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// The table at this address, with its checksum looked at.
fn table(area: &[u8], address: usize) -> &[u8] {
    let table = &area[address - BASE..];
    let table = &table[..word(table, 4)];
    assert_eq!(sum(table), 0, "checksum of {}", String::from_utf8_lossy(&table[..4]));
    table
}

/// FADT and MADT, by way of RSDP and XSDT.
fn walk(area: &[u8]) -> (&[u8], &[u8]) {
    assert_eq!(&area[..8], b"RSD PTR ");
    assert_eq!((sum(&area[..20]), sum(&area[..36]), area[15]), (0, 0, 2));
    let xsdt = table(area, quad(area, 24));
    assert_eq!((&xsdt[..4], xsdt.len()), (&b"XSDT"[..], 36 + 16));
    (table(area, quad(xsdt, 36)), table(area, quad(xsdt, 44)))
}

#[test]
fn everything_is_found_from_the_first_byte() {
    let area = tables(2, &virtio());
    let (fadt, madt) = walk(&area);
    assert_eq!((&fadt[..4], fadt.len()), (&b"FACP"[..], 276));
    assert_eq!(&madt[..4], b"APIC");
    let dsdt = table(&area, word(fadt, 40));
    assert_eq!((&dsdt[..4], word(fadt, 40)), (&b"DSDT"[..], quad(fadt, 140)));
    let facs = word(fadt, 36);
    assert_eq!((&area[facs - BASE..][..4], facs % 64), (&b"FACS"[..], 0));
    assert!(area.len() < (pc_map::FIRMWARE_END - pc_map::FIRMWARE) as usize);
}

#[test]
fn the_fadt_has_the_ports_of_the_map() {
    let area = tables(1, &[]);
    let (fadt, _) = walk(&area);
    assert_eq!([word(fadt, 56), word(fadt, 64), word(fadt, 76)], [0x600, 0x604, 0x608]);
    assert_eq!(fadt[88..92], [4, 2, 0, 4]);
    assert_eq!(word(fadt, 48), 0, "no SMI command: ACPI mode from the start");
    assert_eq!(word(fadt, 112) & 1 << 4, 0, "the power button is the fixed one");
    assert_eq!((fadt[116], quad(fadt, 120), fadt[128]), (1, 0xcf9, 6));
    assert_eq!([quad(fadt, 152), quad(fadt, 176), quad(fadt, 212)], [0x600, 0x604, 0x608]);
}

#[test]
fn the_madt_lists_every_vcpu() {
    let area = tables(3, &[]);
    let (_, madt) = walk(&area);
    assert_eq!((word(madt, 36), word(madt, 40)), (0xfee0_0000, 1));
    let mut entries = Vec::new();
    let mut rest = &madt[44..];
    while let [kind, length, ..] = rest {
        entries.push((*kind, &rest[2..usize::from(*length)]));
        rest = &rest[usize::from(*length)..];
    }
    let cpus: Vec<_> =
        entries.iter().filter(|(kind, _)| *kind == 0).map(|(_, body)| *body).collect();
    assert_eq!(cpus, [[0, 0, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [2, 2, 1, 0, 0, 0]]);
    assert!(entries.contains(&(1, &[0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0])));
    assert!(entries.contains(&(2, &[0, 0, 2, 0, 0, 0, 0, 0])));
    assert!(entries.contains(&(2, &[0, 9, 9, 0, 0, 0, 13, 0])));
    assert!(entries.contains(&(4, &[0xff, 0, 0, 1])));
}

#[test]
fn the_disassembler_finds_no_error() {
    let dir = std::env::temp_dir().join(format!("roost-acpi-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let area = tables(2, &virtio());
    let (fadt, madt) = walk(&area);
    for (name, content) in [("dsdt", table(&area, word(fadt, 40))), ("facp", fadt), ("apic", madt)]
    {
        let path = dir.join(format!("{name}.dat"));
        std::fs::write(&path, content).unwrap();
        let Ok(output) = std::process::Command::new("iasl").arg("-d").arg(&path).output() else {
            // It is not installed: the walks above have to do.
            break;
        };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let source = std::fs::read_to_string(path.with_extension("dsl")).unwrap();
        assert!(output.status.success() && !text.contains("rror"), "{text}");
        assert!(!source.contains("rror"), "{source}");
        if name == "dsdt" {
            let output = std::process::Command::new("iasl")
                .arg(path.with_extension("dsl"))
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("0 Errors"), "{text}");
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
