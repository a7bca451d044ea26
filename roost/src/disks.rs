//! The disks of the host: found at boot, and shared by those who open them or parts of them.

mod driver;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::time::Duration;
use driver::Driver;
use hv_core::device::Notice;
use hv_core::disk::{DiskDriver, DiskInfo};
use hv_core::host;
use hv_core::sync::Mutex;
use hv_core::time::Instant;
use spin::Once;
use virtio::disk::gpt::{GptError, Table};
use virtio::disk::host::{
    ClientStatistics, HostDisk, HostStatistics, HostWindow, OpenError, PollBell,
};
use virtio::disk::reader::{DiskReader, Patience};
use virtio::disk::{Access, Disk, DiskError, SectorRange};

/// A command that has not ended by then has failed.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the boot waits for a partition table.
const TABLE_PATIENCE: Duration = Duration::from_secs(1);
/// How often a disk that does not interrupt is asked.
const POLLING: Duration = Duration::from_millis(1);

static DISKS: Once<Disks> = Once::new();

/// All disks of the host; none before [`adopt`].
pub(crate) fn get() -> &'static Disks {
    static NONE: Disks = Disks { found: Vec::new(), claims: Mutex::new(Vec::new()) };
    DISKS.get().unwrap_or(&NONE)
}

/// Takes them into use. Called once, on the CPU that then polls them, for which `bell` rings.
pub(crate) fn adopt(drivers: Vec<DiskDriver>, bell: &Arc<dyn PollBell>) {
    let found = drivers.into_iter().enumerate().map(|(index, driver)| {
        let info = driver.info().clone();
        let disk = HostDisk::new(Box::new(Driver::new(driver)), TIMEOUT, Arc::clone(bell));
        let table = read_table(&disk);
        let found = Found { name: name(index), info, disk, table };
        log::info!("{}: {} MiB at {}", found.name, found.info.sectors >> 11, found.info.place);
        found
    });
    let found = found.collect();
    DISKS.call_once(|| Disks { found, claims: Mutex::new(Vec::new()) });
}

/// As Linux has it: vda, vdb, ... vdz, vdaa.
pub(crate) fn name(index: usize) -> String {
    let mut letters = String::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.insert(0, char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    format!("vd{letters}")
}

fn read_table(disk: &Arc<HostDisk>) -> Result<Table, GptError> {
    let all = SectorRange::new(0, disk.geometry().sectors).ok_or(GptError::Shape)?;
    let window = disk.open(all, Access::ReadOnly).map_err(|_| GptError::Shape)?;
    let limit = host::now() + TABLE_PATIENCE;
    let wait = || {
        let now = host::now();
        let _ = disk.poll(now);
        host::pause();
        if now < limit { Patience::Wait } else { Patience::GiveUp }
    };
    let reader = DiskReader::new(Arc::new(window), wait);
    Table::read(&mut reader.map_err(|_| GptError::Disk(DiskError::NoSpace))?)
}

/// A disk of the host.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) info: DiskInfo,
    disk: Arc<HostDisk>,
    pub(crate) table: Result<Table, GptError>,
}

/// Who has a part of which disk open, for as long as the window is there.
struct Claim {
    disk: usize,
    range: SectorRange,
    user: String,
    access: Access,
    window: Weak<HostWindow>,
}

/// Who has a part of a disk open, and what was done for it.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) range: SectorRange,
    pub(crate) access: Access,
    pub(crate) statistics: ClientStatistics,
}

/// The disks, and who uses them.
pub(crate) struct Disks {
    found: Vec<Found>,
    claims: Mutex<Vec<Claim>>,
}

impl Disks {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.found.iter()
    }

    /// Looks after all of them; returns when to do so again at the latest.
    pub(crate) fn poll(&self, now: Instant) -> Instant {
        self.found.iter().map(|found| found.poll(now)).min().unwrap_or(Instant::NEVER)
    }

    /// Opens all of a disk.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what there is.
    pub(crate) fn open_disk(
        &self,
        name: &str,
        access: Access,
        user: &str,
    ) -> Result<Arc<dyn Disk>, String> {
        let Some(index) = self.found.iter().position(|found| found.name == name) else {
            let names = self.found.iter().map(|found| found.name.as_str());
            return Err(format!("the host has no such disk: {}", listed(names)));
        };
        let sectors = self.found.get(index).map_or(0, |found| found.info.sectors);
        let all = SectorRange::new(0, sectors).ok_or("the disk is too large")?;
        self.open(index, all, access, user)
    }

    /// Opens the partition of a label.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what there is.
    pub(crate) fn open_partition(
        &self,
        label: &str,
        access: Access,
        user: &str,
    ) -> Result<Arc<dyn Disk>, String> {
        let partitions = || {
            let disks = self.found.iter().enumerate();
            disks.flat_map(|(index, found)| {
                found.partitions().iter().map(move |partition| (index, partition))
            })
        };
        let mut matching = partitions().filter(|(_, partition)| partition.label == label);
        match (matching.next(), matching.next()) {
            (Some((index, partition)), None) => self.open(index, partition.range, access, user),
            (Some(_), Some(_)) => Err("several partitions have that label".to_string()),
            (None, _) => {
                let labels = partitions().map(|(_, partition)| partition.label.as_str());
                let damaged = self.found.iter().filter_map(|found| match found.table {
                    Ok(_) | Err(GptError::NoTable) => None,
                    Err(why) => Some(format!("; {}: {why}", found.name)),
                });
                Err(format!(
                    "no disk of the host has a partition of that label: {}{}",
                    listed(labels),
                    damaged.collect::<String>()
                ))
            }
        }
    }

    /// What the partition of a label is called: `vda1`.
    pub(crate) fn partition_name(&self, label: &str) -> Option<String> {
        self.found.iter().find_map(|found| {
            let partition = found.partitions().iter().find(|of| of.label == label)?;
            Some(format!("{}{}", found.name, partition.number))
        })
    }

    fn open(
        &self,
        index: usize,
        range: SectorRange,
        access: Access,
        user: &str,
    ) -> Result<Arc<dyn Disk>, String> {
        let found = self.found.get(index).ok_or("there is no such disk")?;
        let window = found.disk.open(range, access).map_err(|error| match error {
            OpenError::InUse => {
                format!("{error}: {}", self.users(&found.name, range).join(", "))
            }
            OpenError::OutOfRange | OpenError::Unaligned | OpenError::ReadOnly => error.to_string(),
        })?;
        let window = Arc::new(window);
        let user = user.into();
        let claim = Claim { disk: index, range, user, access, window: Arc::downgrade(&window) };
        let mut claims = self.claims.lock();
        claims.retain(|claim| claim.window.strong_count() > 0);
        claims.push(claim);
        Ok(window)
    }

    /// Who has some of this part of a disk open.
    pub(crate) fn users(&self, name: &str, range: SectorRange) -> Vec<String> {
        let index = self.found.iter().position(|found| found.name == name);
        let claims = self.claims.lock();
        let of_range = claims.iter().filter(|claim| {
            Some(claim.disk) == index
                && claim.range.overlaps(range)
                && claim.window.strong_count() > 0
        });
        let mut users: Vec<String> = of_range.map(|claim| claim.user.clone()).collect();
        // One VM may have several images open.
        users.dedup();
        users
    }

    /// Everybody who has some of a disk open.
    pub(crate) fn all_users(&self, name: &str) -> Vec<User> {
        let index = self.found.iter().position(|found| found.name == name);
        let claims = self.claims.lock();
        let of_disk = claims.iter().filter(|claim| Some(claim.disk) == index);
        let user = |claim: &Claim| {
            let statistics = claim.window.upgrade()?.statistics();
            let &Claim { range, access, .. } = claim;
            Some(User { name: claim.user.clone(), range, access, statistics })
        };
        of_disk.filter_map(user).collect()
    }
}

impl Found {
    fn poll(&self, now: Instant) -> Instant {
        let next = self.disk.poll(now);
        match self.info.notice {
            Notice::Polling if next != Instant::NEVER => next.min(now + POLLING),
            Notice::Polling | Notice::Interrupt => next,
        }
    }

    /// Its partitions; none if it has no table.
    pub(crate) fn partitions(&self) -> &[virtio::disk::gpt::Partition] {
        self.table.as_ref().map_or(&[], |table| &table.partitions)
    }

    /// What was done with it.
    pub(crate) fn statistics(&self) -> HostStatistics {
        self.disk.statistics()
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    if names.is_empty() { "there is none".into() } else { format!("there is {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn disks_are_called_as_linux_calls_them() {
        assert_eq!(
            [0, 1, 25, 26, 27, 701, 702].map(name),
            ["vda", "vdb", "vdz", "vdaa", "vdab", "vdzz", "vdaaa"]
        );
    }
}
