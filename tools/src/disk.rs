//! Disks with file systems on them: what `make disk` makes, and what machine tests boot with. No root is needed.
//!
//! A partition is written as `LABEL=KIND:SIZE:SOURCE`, such as `roost=ext4::build/aarch64/disk`:
//!
//! ```text
//! KIND     SOURCE
//! ext4     a directory: an ext4 file system with what is in it (mke2fs)
//! fat      a directory: a FAT file system with what is in it (mtools)
//! image    a file: the bytes of the partition
//! empty    nothing: zeroes
//! ```
//!
//! SIZE is that of the partition, such as `512M`; without one, it is what its content needs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::gpt::Table;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// An ext4 file system has a journal of up to a few MiB, and tables.
const LEAST_FILE_SYSTEM: u64 = 16 * MIB;
/// How much is copied at once, and what is not written if it is zero.
const COPIED: usize = 64 << 10;

/// What is in a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// An ext4 file system with the files of this directory.
    Ext4(PathBuf),
    /// A FAT file system with the files of this directory.
    Fat(PathBuf),
    /// The bytes of this file.
    Image(PathBuf),
    /// Zeroes.
    Empty,
}

/// A partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Partition {
    /// Its label.
    pub label: String,
    /// What is in it.
    pub content: Content,
    /// Its size; `None` for what its content needs.
    pub bytes: Option<u64>,
}

impl Partition {
    /// A partition as large as its content needs.
    #[must_use]
    pub fn new(label: &str, content: Content) -> Self {
        Self { label: label.into(), content, bytes: None }
    }

    /// The partition that `LABEL=KIND:SIZE:SOURCE` describes.
    ///
    /// # Errors
    /// When it does not.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::new(format!("partition '{text}': {what}; one is LABEL=KIND:SIZE:SOURCE"))
        };
        let (label, rest) = text.split_once('=').ok_or_else(|| wrong("it has no label"))?;
        let (kind, rest) = rest.split_once(':').unwrap_or((rest, ""));
        let (size, source) = rest.split_once(':').unwrap_or((rest, ""));
        let content = match (kind, source) {
            ("empty", "") => Content::Empty,
            ("ext4" | "fat" | "image", "") => return Err(wrong("it has no source")),
            ("ext4", source) => Content::Ext4(source.into()),
            ("fat", source) => Content::Fat(source.into()),
            ("image", source) => Content::Image(source.into()),
            ("empty", _) => return Err(wrong("an empty one has no source")),
            _ => return Err(wrong("its kind is none of ext4, fat, image, empty")),
        };
        let bytes = match size {
            "" => None,
            size => Some(amount(size).ok_or_else(|| wrong("its size is no amount such as 64M"))?),
        };
        if label.is_empty() || (bytes.is_none() && content == Content::Empty) {
            return Err(wrong("it has no label, or is empty and has no size"));
        }
        Ok(Self { label: label.into(), content, bytes })
    }

    /// How large it is at least.
    fn least_bytes(&self) -> Result<u64, Error> {
        if let Some(bytes) = self.bytes {
            return Ok(bytes);
        }
        match &self.content {
            // Files take whole blocks and clusters, and tables a little of all.
            Content::Ext4(directory) | Content::Fat(directory) => {
                Ok(taken(directory)? * 9 / 8 + LEAST_FILE_SYSTEM)
            }
            Content::Image(file) => Ok(size(file)?),
            Content::Empty => Ok(0),
        }
    }
}

/// Makes a disk with these partitions: a file, which is sparse where nothing is. Returns which is where.
///
/// # Errors
/// When a source is not there or does not fit, or a tool is missing or fails.
pub fn build(path: &Path, partitions: &[Partition]) -> Result<Table, Error> {
    let mut table = Table::new();
    for partition in partitions {
        if table.place(&partition.label).is_some() {
            return Err(Error::new(format!("two partitions have the label '{}'", partition.label)));
        }
        table = table.partition(&partition.label, partition.least_bytes()?);
    }
    table.create(path)?;
    for partition in partitions {
        let Some(place) = table.place(&partition.label) else { continue };
        let (start, bytes) = (place.start, place.end - place.start);
        match &partition.content {
            Content::Ext4(directory) => make_ext4(path, start, bytes, &partition.label, directory)?,
            Content::Fat(directory) => make_fat(path, start, bytes, directory)?,
            Content::Image(file) => copy(file, path, start, bytes)?,
            Content::Empty => {}
        }
    }
    Ok(table)
}

fn make_ext4(
    disk: &Path,
    start: u64,
    bytes: u64,
    label: &str,
    directory: &Path,
) -> Result<(), Error> {
    // Debian has it where only root's PATH leads.
    let program =
        ["/usr/sbin/mke2fs", "/sbin/mke2fs"].into_iter().find(|at| Path::new(at).exists());
    let mut command = Command::new(program.unwrap_or("mke2fs"));
    command.args(["-q", "-F", "-t", "ext4", "-m", "0", "-L"]);
    // The label of an ext4 file system has up to 16 bytes.
    command.arg(label.get(..16).unwrap_or(label));
    command.arg("-d").arg(directory);
    command.args(["-E", &format!("offset={start},root_owner=0:0")]);
    command.arg(disk).arg(format!("{}k", bytes / KIB));
    run(command, "e2fsprogs")
}

fn make_fat(disk: &Path, start: u64, bytes: u64, directory: &Path) -> Result<(), Error> {
    let image = format!("{}@@{start}", disk.display());
    let mut format = Command::new("mformat");
    format.args(["-i", &image, "-T", &(bytes / 512).to_string(), "-h", "64", "-s", "32"]);
    // FAT32 from where mkfs.fat would choose it.
    if bytes > 512 * MIB {
        format.arg("-F");
    }
    format.arg("::");
    run(format, "mtools")?;
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| io_error(directory, &e))? {
        entries.push(entry.map_err(|e| io_error(directory, &e))?.path());
    }
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort();
    let mut fill = Command::new("mcopy");
    fill.args(["-i", &image, "-s", "-m", "-Q"]).args(entries).arg("::/");
    run(fill, "mtools")
}

/// Runs a tool, which is in this package.
fn run(mut command: Command, package: &str) -> Result<(), Error> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        Error::new(format!("{name}: {error}; Debian's package {package} has it"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{name}: {}", text.trim())))
}

/// Copies a file into a disk, but for its zeroes.
fn copy(from: &Path, to: &Path, start: u64, bytes: u64) -> Result<(), Error> {
    let length = size(from)?;
    if length > bytes {
        let name = from.display();
        return Err(Error::new(format!("{name}: {length} bytes do not fit into {bytes}")));
    }
    let mut source = File::open(from).map_err(|e| io_error(from, &e))?;
    let mut disk = OpenOptions::new().write(true).open(to).map_err(|e| io_error(to, &e))?;
    let mut buffer = vec![0; COPIED];
    let mut at = start;
    loop {
        let count = read_full(&mut source, &mut buffer).map_err(|e| io_error(from, &e))?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { return Ok(()) };
        if read.iter().any(|byte| *byte != 0) {
            let written = disk.seek(SeekFrom::Start(at)).and_then(|_| disk.write_all(read));
            written.map_err(|e| io_error(to, &e))?;
        }
        at += count as u64;
    }
}

fn read_full(source: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// How much the files of a directory take, in blocks of 4 KiB.
fn taken(directory: &Path) -> Result<u64, Error> {
    let mut sum = 0;
    for entry in fs::read_dir(directory).map_err(|e| io_error(directory, &e))? {
        let path = entry.map_err(|e| io_error(directory, &e))?.path();
        sum += 4 * KIB;
        if path.is_dir() {
            sum += taken(&path)?;
        } else {
            sum += size(&path)?.next_multiple_of(4 * KIB);
        }
    }
    Ok(sum)
}

fn size(path: &Path) -> Result<u64, Error> {
    fs::metadata(path).map(|data| data.len()).map_err(|e| io_error(path, &e))
}

fn io_error(path: &Path, error: &io::Error) -> Error {
    Error::io(&path.display().to_string(), error)
}

/// Bytes: `64M`, `2G`, `512K`, `4096`.
fn amount(text: &str) -> Option<u64> {
    let units = [("K", KIB), ("M", MIB), ("G", MIB << 10)];
    let unit = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (digits, factor) = unit.unwrap_or((text, 1));
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_a_label_a_kind_a_size_and_a_source() {
        let parse = |text| Partition::parse(text).unwrap();
        let bundle = Partition::new("roost", Content::Ext4("build/disk".into()));
        assert_eq!(parse("roost=ext4::build/disk"), bundle);
        assert_eq!(parse("roost=ext4:2G:build/disk"), Partition { bytes: Some(2 << 30), ..bundle });
        assert_eq!(parse("d=image::a:b").content, Content::Image("a:b".into()));
        let empty = Partition { bytes: Some(64 << 20), ..Partition::new("data", Content::Empty) };
        assert_eq!(parse("data=empty:64M"), empty);
    }

    #[test]
    fn what_is_no_partition_is_named() {
        for text in
            ["roost", "=empty:1M", "a=empty", "a=ext4", "a=xfs::b", "a=ext4:1X:b", "a=empty:1M:b"]
        {
            let error = Partition::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }

    #[test]
    fn a_file_is_copied_to_its_partition_and_must_fit() {
        let directory = std::env::temp_dir().join(format!("xtask-disk-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (file, disk) = (directory.join("file"), directory.join("disk"));
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        fs::write(&file, &bytes).unwrap();
        let partition = Partition::new("two", Content::Image(file));
        let first = Partition { bytes: Some(MIB), ..Partition::new("one", Content::Empty) };
        build(&disk, &[first.clone(), partition.clone()]).unwrap();
        let built = fs::read(&disk).unwrap();
        assert_eq!(&built[2 << 20..][..bytes.len()], bytes);
        let short = Partition { bytes: Some(10), ..partition };
        // A partition is whole mebibytes, so the file fits even then.
        build(&disk, &[short]).unwrap();
        let twice = build(&disk, &[first.clone(), first]).unwrap_err().to_string();
        assert!(twice.contains("'one'"), "{twice}");
        fs::remove_dir_all(&directory).unwrap();
    }
}
