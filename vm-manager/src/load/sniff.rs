//! What a file is that is no kernel, by its first bytes, so that an error can say it.

use alloc::format;
use alloc::string::String;

/// Magic numbers, where they are, and what has them.
const KNOWN: [(usize, &[u8], &str); 15] = [
    (4, b"zimg", "a compressed EFI kernel (vmlinuz.efi; unpack it first)"),
    (0x24, b"\x18\x28\x6f\x01", "a 32-bit Arm zImage"),
    (0x202, b"HdrS", "an x86 bzImage"),
    (0, b"MZ", "an EFI program"),
    (0, b"\xfd7zXZ", "xz data (unpack it first)"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data (unpack it first)"),
    (0, b"\x02\x21\x4c\x18", "lz4 data (unpack it first)"),
    (0, b"\x04\x22\x4d\x18", "lz4 data (unpack it first)"),
    (0, b"BZh", "bzip2 data (unpack it first)"),
    (0, b"\x27\x05\x19\x56", "a U-Boot image"),
    (0, b"\xd0\x0d\xfe\xed", "a device tree or FIT image"),
    (0, b"07070", "a cpio archive"),
    (0, b"#!", "a script"),
    (0, b"!<arch>", "an ar archive or Debian package"),
    (0x101, b"ustar", "a tar archive"),
];

/// How much of a file is looked at.
pub(super) const HEAD: usize = 0x206;

/// Says what begins with `head`.
pub(super) fn describe(head: &[u8]) -> String {
    if head.is_empty() {
        return String::from("an empty file");
    }
    let known = KNOWN
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    let name = known.map_or("something", |(_, _, name)| name);
    let mut text = format!("{name} that begins with");
    for byte in head.iter().take(8) {
        text += &format!(" {byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_are_always_said() {
        assert_eq!(describe(b""), "an empty file");
        assert_eq!(describe(b"\x01\x02"), "something that begins with 01 02");
        assert_eq!(describe(b"#!/bin/sh\n"), "a script that begins with 23 21 2f 62 69 6e 2f 73");
    }
}
