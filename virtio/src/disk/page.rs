//! Memory for disks that are kept in memory, page by page.

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4 << 10;
/// Sectors of a page.
pub const PAGE_SECTORS: u64 = PAGE_BYTES as u64 / super::SECTOR_BYTES;

/// Gives pages to disks. One disk has one store, or several share one, and so a limit.
pub trait PageStore: Send + Sync {
    /// A page: [`PAGE_BYTES`] bytes. It goes back to the store when it is dropped.
    type Page: AsRef<[u8]> + AsMut<[u8]> + Send;

    /// A page full of zeroes: whatever its last owner left in it is gone. `None` if there is no more.
    fn take_zeroed(&self) -> Option<Self::Page>;
}
