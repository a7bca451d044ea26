//! The bundle: configurations and images in one cpio archive, which the boot loader hands over.
//!
//! ```text
//! configs/linux.toml     what `vm create linux` reads
//! images/linux/Image     what a config's `kernel = "linux/Image"` means
//! autostart              shell commands that are run at boot, if there is this file
//! ```
//!
//! The format is "newc" (magic 070701), also with checksums (070702): Linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst. Each file is a header of hexadecimal
//! numbers, its path and its data, both padded to 4 bytes; an entry called `TRAILER!!!` ends it.
//!
//! Only headers are looked at: an archive of any size is read in time that depends on the number of
//! its files, and none of their data is copied. Checksums, where there are some, cost a look
//! at each byte.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

/// More entries than this are not a bundle: each one takes memory of the hypervisor.
const MAX_ENTRIES: usize = 4096;
const HEADER_SIZE: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";
/// The bits of a mode that say what kind of file it is, and a regular file's.
const MODE_KIND: u32 = 0o170_000;
const MODE_REGULAR: u32 = 0o100_000;

/// The files of an archive, by path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bundle<'a> {
    files: BTreeMap<&'a str, &'a [u8]>,
}

/// Why bytes are no archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BundleError {
    /// The byte of the archive at which the entry begins that is wrong.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Problem {
    /// Something else than a header is where one is expected.
    Magic,
    /// A field of the header is not a hexadecimal number.
    Number,
    /// The path is empty, not UTF-8 or does not end with a zero byte.
    Path,
    /// The archive ends within the entry.
    Truncated,
    /// The data of this file does not add up to its checksum.
    Checksum(String),
    /// There are too many entries.
    TooMany,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bundle, byte {:#x}: ", self.offset)?;
        match &self.problem {
            Problem::Magic => f.write_str("no cpio header of format newc (070701 or 070702)"),
            Problem::Number => f.write_str("a field of the header is not hexadecimal"),
            Problem::Path => f.write_str("the path is empty, not UTF-8 or not terminated"),
            Problem::Truncated => f.write_str("the archive ends within the entry"),
            Problem::Checksum(path) => write!(f, "{}: wrong checksum", path.escape_debug()),
            Problem::TooMany => write!(f, "more than {MAX_ENTRIES} entries"),
        }
    }
}

impl core::error::Error for BundleError {}

impl<'a> Bundle<'a> {
    /// Reads the headers of an archive. What follows its end is ignored. Of two files of the same
    /// path the later counts, as it does when an archive is unpacked; what is no regular file
    /// is left out.
    ///
    /// # Errors
    ///
    /// If an entry is not well-formed.
    pub fn parse(archive: &'a [u8]) -> Result<Self, BundleError> {
        let mut files = BTreeMap::new();
        let mut linked = BTreeMap::new();
        let mut links = alloc::vec::Vec::new();
        let mut offset = 0;
        for _ in 0..MAX_ENTRIES {
            let entry =
                Entry::at(archive, offset).map_err(|problem| BundleError { offset, problem })?;
            let Some(entry) = entry else {
                // All names of a file with several may come before its data.
                for (path, identity) in links {
                    if let Some(data) = linked.get(&identity) {
                        files.insert(path, *data);
                    }
                }
                return Ok(Self { files });
            };
            if entry.mode & MODE_KIND == MODE_REGULAR {
                files.insert(entry.path, entry.data);
                if entry.links > 1 {
                    if entry.data.is_empty() {
                        links.push((entry.path, entry.identity));
                    } else {
                        linked.insert(entry.identity, entry.data);
                    }
                }
            }
            offset = entry.end;
        }
        Err(BundleError { offset, problem: Problem::TooMany })
    }

    /// The content of a file, by its path in the archive without `./` or `/` at the beginning.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&'a [u8]> {
        self.files.get(path).copied()
    }

    /// All files, in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.files.iter().map(|(path, data)| (*path, *data))
    }

    /// The configuration of this name: `configs/<name>.toml`.
    #[must_use]
    pub fn config(&self, name: &str) -> Option<&'a [u8]> {
        self.configs().find(|(found, _)| *found == name).map(|(_, text)| text)
    }

    /// All configurations, by name.
    pub fn configs(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.below("configs/").filter_map(|(path, text)| Some((path.strip_suffix(".toml")?, text)))
    }

    /// The image at this path below `images/`.
    #[must_use]
    pub fn image(&self, path: &str) -> Option<&'a [u8]> {
        self.images().find(|(found, _)| *found == path).map(|(_, data)| data)
    }

    /// All images, by path below `images/`.
    pub fn images(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.below("images/")
    }

    /// The commands to run at boot.
    #[must_use]
    pub fn autostart(&self) -> Option<&'a [u8]> {
        self.file("autostart")
    }

    fn below(&self, folder: &'static str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.files().filter_map(move |(path, data)| Some((path.strip_prefix(folder)?, data)))
    }
}

/// One entry of an archive.
struct Entry<'a> {
    path: &'a str,
    data: &'a [u8],
    mode: u32,
    links: u32,
    /// Inode and device: the same for all names of one file.
    identity: (u32, u32, u32),
    /// Where the next entry begins.
    end: usize,
}

impl<'a> Entry<'a> {
    /// The entry at `offset`, or `None` if it is the trailer.
    fn at(archive: &'a [u8], offset: usize) -> Result<Option<Self>, Problem> {
        let rest = archive.get(offset..).ok_or(Problem::Truncated)?;
        let magic = rest.get(..6).ok_or(Problem::Truncated)?;
        let is_checksummed = match magic {
            b"070701" => false,
            b"070702" => true,
            _ => return Err(Problem::Magic),
        };
        let header = rest.get(6..HEADER_SIZE).ok_or(Problem::Truncated)?;
        let (fields, _) = header.as_chunks::<8>();
        let mut numbers = [0; 13];
        for (number, field) in numbers.iter_mut().zip(fields) {
            *number = hexadecimal(field).ok_or(Problem::Number)?;
        }
        let [inode, mode, _, _, links, _, size, major, minor, _, _, path_size, checksum] = numbers;

        let path_start = offset + HEADER_SIZE;
        let path_end = add(path_start, path_size)?;
        let path = archive.get(path_start..path_end).ok_or(Problem::Truncated)?;
        let (&0, path) = path.split_last().ok_or(Problem::Path)? else {
            return Err(Problem::Path);
        };
        if path == TRAILER {
            return Ok(None);
        }
        let path = core::str::from_utf8(path).map_err(|_| Problem::Path)?;
        if path.is_empty() || path.contains('\0') {
            return Err(Problem::Path);
        }

        let data_start = padded(path_end)?;
        let data_end = add(data_start, size)?;
        let data = archive.get(data_start..data_end).ok_or(Problem::Truncated)?;
        if is_checksummed && sum(data) != checksum {
            return Err(Problem::Checksum(path.to_owned()));
        }
        // Where an archive is cut within the padding, the next entry is missing at its end.
        let end = padded(data_end)?.min(archive.len());
        Ok(Some(Self {
            path: path.trim_start_matches("./").trim_start_matches('/'),
            data,
            mode,
            links,
            identity: (inode, major, minor),
            end,
        }))
    }
}

fn add(offset: usize, size: u32) -> Result<usize, Problem> {
    usize::try_from(size).ok().and_then(|size| offset.checked_add(size)).ok_or(Problem::Truncated)
}

fn padded(offset: usize) -> Result<usize, Problem> {
    offset.checked_next_multiple_of(4).ok_or(Problem::Truncated)
}

fn hexadecimal(field: &[u8; 8]) -> Option<u32> {
    field.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
}

fn sum(data: &[u8]) -> u32 {
    data.iter().fold(0, |sum, &byte| sum.wrapping_add(u32::from(byte)))
}

#[cfg(test)]
impl Bundle<'static> {
    /// A bundle of these files, without an archive.
    pub(crate) fn of(files: &[(&'static str, &'static [u8])]) -> Self {
        Self { files: files.iter().copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct File<'a> {
        path: &'a str,
        data: &'a [u8],
        mode: u32,
        inode: u32,
        links: u32,
    }

    fn regular<'a>(path: &'a str, data: &'a [u8]) -> File<'a> {
        File { path, data, mode: 0o100_644, inode: 1, links: 1 }
    }

    fn append(archive: &mut Vec<u8>, magic: &str, file: &File<'_>, checksum: u32) {
        archive.extend(magic.bytes());
        let (size, path_size) = (file.data.len() as u32, file.path.len() as u32 + 1);
        for number in
            [file.inode, file.mode, 0, 0, file.links, 0, size, 0, 0, 0, 0, path_size, checksum]
        {
            archive.extend(format!("{number:08X}").bytes());
        }
        archive.extend(file.path.bytes().chain([0]));
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(file.data);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }

    fn archive(files: &[File<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for file in files {
            append(&mut bytes, "070701", file, 0);
        }
        append(&mut bytes, "070701", &regular("TRAILER!!!", b""), 0);
        bytes
    }

    #[test]
    fn files_are_found_by_path_without_its_beginning() {
        let bytes = archive(&[
            regular("./configs/linux.toml", b"name"),
            regular("/images/linux/Image", b"MZ"),
            regular("images/hello.elf", b"\x7fELF"),
            regular("configs/readme", b""),
            File { mode: 0o040_755, ..regular("images", b"") },
            File { mode: 0o120_777, ..regular("images/link", b"hello.elf") },
            regular("autostart", b"vm list\n"),
        ]);
        let bundle = Bundle::parse(&bytes).unwrap();
        assert_eq!(bundle.file("configs/linux.toml"), Some(&b"name"[..]));
        assert_eq!(bundle.config("linux"), Some(&b"name"[..]));
        assert_eq!(bundle.configs().count(), 1);
        assert_eq!(bundle.image("linux/Image"), Some(&b"MZ"[..]));
        let images: Vec<_> = bundle.images().map(|(path, _)| path).collect();
        assert_eq!(images, ["hello.elf", "linux/Image"]);
        assert_eq!(bundle.autostart(), Some(&b"vm list\n"[..]));
        assert_eq!(bundle.file("images"), None);
        assert_eq!(bundle.image("link"), None);
    }

    #[test]
    fn what_follows_the_trailer_is_ignored() {
        let mut bytes = archive(&[regular("a", b"x")]);
        bytes.extend([0xff; 1000]);
        assert_eq!(Bundle::parse(&bytes).unwrap().files().count(), 1);
    }

    #[test]
    fn the_later_of_two_files_counts() {
        let bytes = archive(&[regular("a", b"old"), regular("./a", b"new")]);
        assert_eq!(Bundle::parse(&bytes).unwrap().file("a"), Some(&b"new"[..]));
    }

    #[test]
    fn every_name_of_a_file_with_several_has_its_data() {
        let name = |path, data, inode| File { inode, links: 2, ..regular(path, data) };
        let bytes = archive(&[
            name("first", b"", 7),
            name("empty", b"", 8),
            name("second", b"data", 7),
            name("empty too", b"", 8),
        ]);
        let bundle = Bundle::parse(&bytes).unwrap();
        assert_eq!(bundle.file("first"), Some(&b"data"[..]));
        assert_eq!(bundle.file("second"), Some(&b"data"[..]));
        assert_eq!(bundle.file("empty"), Some(&b""[..]));
    }

    #[test]
    fn a_checksum_is_verified() {
        for (checksum, is_right) in [(u32::from(b'a') + u32::from(b'b'), true), (1, false)] {
            let mut bytes = Vec::new();
            append(&mut bytes, "070702", &regular("f", b"ab"), checksum);
            append(&mut bytes, "070702", &regular("TRAILER!!!", b""), 0);
            let result = Bundle::parse(&bytes);
            assert_eq!(result.is_ok(), is_right);
            if let Err(error) = result {
                assert_eq!(error.to_string(), "bundle, byte 0x0: f: wrong checksum");
            }
        }
    }

    #[test]
    fn an_error_names_the_offset_of_the_entry() {
        let good = archive(&[regular("a", b"x"), regular("b", b"y")]);
        let second = 0x74;
        let broken = |at: usize, byte| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Bundle::parse(&bytes).unwrap_err()
        };
        assert_eq!(broken(second, b'1'), BundleError { offset: second, problem: Problem::Magic });
        assert_eq!(broken(second + 7, b'g').problem, Problem::Number);
        assert_eq!(broken(second + 7, b'+').problem, Problem::Number);
        assert_eq!(broken(second + 54, b'7').problem, Problem::Truncated);
        assert_eq!(broken(second + 110, 0xff).problem, Problem::Path);
        assert_eq!(broken(second + 111, b'x').problem, Problem::Path);
        for length in 0..good.len() - 12 {
            let error = Bundle::parse(&good[..length]).unwrap_err();
            assert!(error.offset <= length, "{length}: {error}");
        }
        assert_eq!(
            Bundle::parse(b"MZ\0\0\0\0").unwrap_err().to_string(),
            "bundle, byte 0x0: no cpio header of format newc (070701 or 070702)"
        );
    }

    #[test]
    fn too_many_entries_are_refused() {
        let files: Vec<_> = (0..MAX_ENTRIES).map(|_| regular("a", b"")).collect();
        let bytes = archive(&files);
        assert_eq!(Bundle::parse(&bytes).unwrap_err().problem, Problem::TooMany);
        assert!(Bundle::parse(&archive(&files[1..])).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes: Vec<u8>) {
            let _ = Bundle::parse(&bytes);
        }

        #[test]
        fn what_was_packed_is_found(
            files in proptest::collection::btree_map(
                "[a-z][a-z/]{0,20}", proptest::collection::vec(any::<u8>(), 0..50), 0..10),
        ) {
            let list: Vec<_> = files.iter().map(|(path, data)| regular(path, data)).collect();
            let bytes = archive(&list);
            let bundle = Bundle::parse(&bytes).unwrap();
            let found: Vec<_> = bundle.files().collect();
            let packed: Vec<_> = files.iter().map(|(path, data)| (&**path, &**data)).collect();
            prop_assert_eq!(found, packed);
        }

        #[test]
        fn a_mutated_archive_never_gives_data_from_outside_of_itself(
            edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..10),
        ) {
            let mut bytes = archive(&[regular("a", b"data"), regular("b", b"more data")]);
            for (at, byte) in edits {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Ok(bundle) = Bundle::parse(&bytes) {
                let total: usize = bundle.files().map(|(_, data)| data.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
