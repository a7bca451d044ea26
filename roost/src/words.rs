//! Words for things that listings show.

/// What an image is, by its first bytes.
pub(crate) fn image_kind(bytes: &[u8]) -> &'static str {
    const ARM64_MAGIC_AT: usize = 56;
    match bytes {
        _ if bytes.get(ARM64_MAGIC_AT..ARM64_MAGIC_AT + 4) == Some(b"ARM\x64") => {
            "Linux arm64 Image"
        }
        [0x7f, b'E', b'L', b'F', ..] => "ELF",
        [0x1f, 0x8b, ..] => "gzip",
        [b'0', b'7', b'0', b'7', b'0', ..] => "cpio archive",
        [b'#', b'!', ..] => "script",
        _ => "data",
    }
}
