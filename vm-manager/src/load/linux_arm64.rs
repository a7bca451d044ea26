//! The header of an arm64 Linux `Image`, and what it asks of the boot loader (Linux,
//! Documentation/arch/arm64/booting.rst).

use alloc::format;
use alloc::string::String;

/// The header's length in bytes.
pub(super) const HEADER_SIZE: usize = 64;
/// What base addresses are multiples of.
pub(super) const BASE_ALIGN: u64 = 2 << 20;
/// Kernel and initial RAM disk lie within a window of this size, which begins at a multiple of
/// [`WINDOW_ALIGN`].
pub(super) const WINDOW: u64 = 32 << 30;
/// Where such a window may begin.
pub(super) const WINDOW_ALIGN: u64 = 1 << 30;

const MAGIC: [u8; 4] = *b"ARM\x64";
const FLAG_BIG_ENDIAN: u64 = 1;

/// What the header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    /// How far behind a base address the image goes.
    pub(super) text_offset: u64,
    /// How much memory it needs from its first byte on, also for what is not in the file.
    pub(super) image_bytes: u64,
}

impl Header {
    /// Whether this is such a header at all.
    pub(super) fn is_one(head: &[u8; HEADER_SIZE]) -> bool {
        head.get(56..60) == Some(&MAGIC[..])
    }

    /// Reads the header of a file of `file_bytes`; else says why it cannot be used.
    pub(super) fn parse(head: &[u8; HEADER_SIZE], file_bytes: u64) -> Result<Self, String> {
        let field = |at: usize| {
            let bytes = head.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let (text_offset, image_bytes, flags) = (field(8), field(16), field(24));
        if image_bytes == 0 {
            return Err("its header has image_size 0, as kernels before 3.17 have; newer ones \
                        are supported"
                .into());
        }
        if flags & FLAG_BIG_ENDIAN != 0 {
            return Err("a big-endian kernel, little-endian ones are supported".into());
        }
        if text_offset.checked_add(image_bytes).is_none() {
            return Err(format!(
                "its header has text_offset {text_offset:#x} and image_size {image_bytes:#x}, which \
                 is more than there are addresses"
            ));
        }
        // The file may be longer than it says, for instance by a signature; that is loaded as well.
        Ok(Self { text_offset, image_bytes: image_bytes.max(file_bytes) })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header with these three fields, little-endian and otherwise empty.
    pub(in crate::load) fn header(text_offset: u64, image_bytes: u64, flags: u64) -> [u8; 64] {
        let mut head = [0; 64];
        head[8..16].copy_from_slice(&text_offset.to_le_bytes());
        head[16..24].copy_from_slice(&image_bytes.to_le_bytes());
        head[24..32].copy_from_slice(&flags.to_le_bytes());
        head[56..60].copy_from_slice(&MAGIC);
        head
    }

    #[test]
    fn a_header_says_where_and_how_much() {
        let head = header(0x8_0000, 0x200_0000, 0xa);
        assert!(Header::is_one(&head));
        assert_eq!(
            Header::parse(&head, 0x180_0000),
            Ok(Header { text_offset: 0x8_0000, image_bytes: 0x200_0000 })
        );
    }

    #[test]
    fn a_file_longer_than_it_says_is_loaded_wholly() {
        assert_eq!(Header::parse(&header(0, 0x1000, 0), 0x2000).unwrap().image_bytes, 0x2000);
    }

    #[test]
    fn headers_that_lie_are_refused() {
        for (head, problem) in [
            (header(0x8_0000, 0, 0), "image_size 0"),
            (header(0, 0x1000, 1), "big-endian"),
            (header(u64::MAX, 2, 0), "more than there are addresses"),
        ] {
            let error = Header::parse(&head, 0x1000).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_header_has_an_answer(text_offset: u64, image_bytes: u64, flags: u64, file: u64) {
            let _ = Header::parse(&header(text_offset, image_bytes, flags), file);
        }
    }
}
