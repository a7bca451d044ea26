//! A disk of the emulated machine: a file with a partition table.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use xtask::disk::Partition;
use xtask::gpt::Table;

use crate::artifact::build_root;

/// A file that the emulator has as a disk. It is deleted when this is dropped.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    table: Table,
}

impl Disk {
    /// A disk of zeroes with these partitions: their labels and their sizes in MiB.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(partitions: &[(&str, u64)]) -> Self {
        let add = |table: Table, &(label, mib): &(&str, u64)| table.partition(label, mib << 20);
        let table = partitions.iter().fold(Table::new(), add);
        let path = scratch("disk.img");
        if let Err(error) = table.create(&path) {
            panic!("{error}");
        }
        Self { path, table }
    }

    /// A disk with these partitions and what is in them.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn of(partitions: &[Partition]) -> Self {
        let path = scratch("disk.img");
        match xtask::disk::build(&path, partitions) {
            Ok(table) => Self { path, table },
            Err(error) => panic!("{error}"),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a partition begins, in bytes.
    #[must_use]
    pub fn start(&self, label: &str) -> u64 {
        self.place(label).start
    }

    /// Writes over what is there: `bytes` at an offset.
    pub fn overwrite(&self, offset: u64, bytes: &[u8]) {
        let write = || {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)
        };
        self.must(write());
    }

    /// How large it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.table.disk_bytes()
    }

    /// Cuts off what is behind so many bytes.
    pub fn truncate(&self, bytes: u64) {
        let file = self.must(OpenOptions::new().write(true).open(&self.path));
        self.must(file.set_len(bytes));
    }

    /// What is in a partition.
    #[must_use]
    pub fn read(&self, label: &str) -> Vec<u8> {
        let place = self.place(label);
        let read = || {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(place.start))?;
            let mut bytes = Vec::new();
            file.take(place.end - place.start).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        self.must(read())
    }

    /// Makes an ext4 file system in a partition, with a journal.
    pub fn make_ext4(&self, label: &str) {
        let place = self.place(label);
        let offset = format!("offset={}", place.start);
        let size = format!("{}k", (place.end - place.start) >> 10);
        let mut command = Command::new("mke2fs");
        command.args(["-q", "-F", "-t", "ext4", "-E", &offset]).arg(&self.path).arg(size);
        run(command, &[0]);
    }

    /// Checks the ext4 file system in a partition: it may need its journal, and nothing else.
    pub fn check_ext4(&self, label: &str) {
        let copy = scratch("partition.img");
        self.must(fs::write(&copy, self.read(label)));
        let check = |options: &[&str], good: &[i32]| {
            let mut command = Command::new("e2fsck");
            command.args(options).arg(&copy);
            run(command, good);
        };
        // 1: something was changed, as replaying the journal does.
        check(&["-y", "-E", "journal_only"], &[0, 1]);
        check(&["-f", "-n"], &[0]);
        // What is left behind does no harm.
        let _ = fs::remove_file(&copy);
    }

    fn place(&self, label: &str) -> std::ops::Range<u64> {
        self.table.place(label).unwrap_or_else(|| panic!("the disk has no partition '{label}'"))
    }

    fn must<T>(&self, result: std::io::Result<T>) -> T {
        result.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is left behind does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// A file that no other test has.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let directory = build_root().join("tests");
    if let Err(error) = fs::create_dir_all(&directory) {
        panic!("{}: {error}", directory.display());
    }
    // Relaxed: only that each gets another number counts.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    directory.join(format!("{}-{number}-{name}", std::process::id()))
}

/// Runs a tool that must end with one of these statuses.
fn run(mut command: Command, good: &[i32]) {
    // Debian has these where not every user's search path leads.
    let path = std::env::var("PATH").unwrap_or_default();
    match command.env("PATH", format!("{path}:/usr/sbin:/sbin")).output() {
        Ok(output) if output.status.code().is_some_and(|status| good.contains(&status)) => {}
        Ok(output) => panic!(
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{command:?}: {error}; `make setup` installs it"),
    }
}
