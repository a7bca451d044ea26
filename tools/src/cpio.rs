//! Archives in the `newc` format of cpio, which Linux reads as initramfs and Roost as bundle.
//!
//! Reproducible: entries are sorted by path, times are zero, and inode numbers count from 1.

use std::path::Path;

use crate::Error;
use crate::manifest::{Entry, What};

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;

/// One member of an archive.
#[derive(Debug)]
pub struct Member {
    path: String,
    mode: u32,
    device: (u32, u32),
    data: Vec<u8>,
}

impl Member {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A regular file.
    #[must_use]
    pub fn file(path: &str, mode: u32, data: Vec<u8>) -> Self {
        Self { path: path.into(), mode: S_IFREG | mode, device: (0, 0), data }
    }
}

/// Reads what the entries name, by `read`.
///
/// # Errors
/// Those of `read`.
pub fn collect(
    entries: Vec<Entry>,
    read: impl Fn(&Path) -> Result<Vec<u8>, Error>,
) -> Result<Vec<Member>, Error> {
    let mut members = Vec::with_capacity(entries.len());
    for Entry { path, what } in entries {
        let (mode, device, data) = match what {
            What::Directory { mode } => (S_IFDIR | mode, (0, 0), Vec::new()),
            What::File { mode, source } => (S_IFREG | mode, (0, 0), read(&source)?),
            What::Link { target } => (S_IFLNK | 0o777, (0, 0), target.into_bytes()),
            What::Node { mode, major, minor } => (S_IFCHR | mode, (major, minor), Vec::new()),
        };
        members.push(Member { path, mode, device, data });
    }
    Ok(members)
}

/// The archive of these members.
///
/// # Errors
/// When two members have the same path, or one has 4 GiB or more: the format has 32-bit sizes.
pub fn archive(mut members: Vec<Member>) -> Result<Vec<u8>, Error> {
    // By path, so that a directory comes before what is in it: Linux unpacks in this order.
    members.sort_by(|a, b| a.path.cmp(&b.path));
    let twins = members.windows(2).find(|pair| matches!(pair, [a, b] if a.path == b.path));
    if let Some([twin, ..]) = twins {
        return Err(Error::new(format!("{} is there twice", twin.path)));
    }
    let mut out = Vec::new();
    for (index, member) in members.iter().enumerate() {
        put(&mut out, index + 1, member)?;
    }
    let trailer = Member { path: "TRAILER!!!".into(), mode: 0, device: (0, 0), data: Vec::new() };
    put(&mut out, 0, &trailer)?;
    Ok(out)
}

fn put(out: &mut Vec<u8>, inode: usize, member: &Member) -> Result<(), Error> {
    let size = u32::try_from(member.data.len())
        .map_err(|_| Error::new(format!("{} is too large for the format", member.path)))?;
    let links = if member.mode & S_IFDIR == S_IFDIR { 2 } else { 1 };
    let fields = [
        inode as u32,
        member.mode,
        0, // owner
        0, // group
        links,
        0, // time
        size,
        0, // device of the file system
        0,
        member.device.0,
        member.device.1,
        member.path.len() as u32 + 1,
        0, // checksum, of another variant of the format
    ];
    out.extend(b"070701");
    for field in fields {
        out.extend(format!("{field:08x}").bytes());
    }
    out.extend(member.path.bytes());
    out.push(0);
    pad(out);
    out.extend(&member.data);
    pad(out);
    Ok(())
}

/// Headers and data start at multiples of four.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{archive, collect};
    use crate::Error;
    use crate::manifest::parse;

    fn read(path: &Path) -> Result<Vec<u8>, Error> {
        Ok(path.display().to_string().into_bytes())
    }

    fn pack(manifest: &str) -> Result<Vec<u8>, Error> {
        archive(collect(parse(manifest)?, read)?)
    }

    #[test]
    fn the_order_of_the_manifest_does_not_matter() {
        let one = pack("dir bin 755\nfile bin/a 644 x\n").unwrap();
        let other = pack("file bin/a 644 x\ndir bin 755\n").unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn data_follows_its_header_at_a_multiple_of_four() {
        let bytes = pack("file a 644 data\n").unwrap();
        assert!(bytes.starts_with(b"070701"));
        // 110 bytes of header, "a", a zero.
        assert_eq!(&bytes[112..116], b"data");
        assert_eq!(&bytes[116..122], b"070701");
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn the_same_path_twice_is_an_error() {
        assert!(pack("dir bin 755\nlink bin sbin\n").is_err());
    }
}
