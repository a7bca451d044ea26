//! Names of CPUs.

use alloc::format;
use alloc::string::String;

/// A CPU by its `MIDR_EL1`: implementer, part, variant and revision. Arm ARM D19.2.98.
pub(super) fn name(midr: u64) -> String {
    let (implementer, part) = (midr >> 24 & 0xff, midr >> 4 & 0xfff);
    let (variant, revision) = (midr >> 20 & 0xf, midr & 0xf);
    let name = match (implementer, part) {
        (0x41, 0xd03) => "Cortex-A53",
        (0x41, 0xd04) => "Cortex-A35",
        (0x41, 0xd05) => "Cortex-A55",
        (0x41, 0xd07) => "Cortex-A57",
        (0x41, 0xd08) => "Cortex-A72",
        (0x41, 0xd09) => "Cortex-A73",
        (0x41, 0xd0a) => "Cortex-A75",
        (0x41, 0xd0b) => "Cortex-A76",
        (0x41, 0xd0c) => "Neoverse-N1",
        (0x41, 0xd40) => "Neoverse-V1",
        (0x41, 0xd49) => "Neoverse-N2",
        (0x00, 0x051) => "QEMU max",
        _ => {
            return format!(
                "implementer {implementer:#04x} part {part:#05x} r{variant}p{revision}"
            );
        }
    };
    format!("{name} r{variant}p{revision}")
}
