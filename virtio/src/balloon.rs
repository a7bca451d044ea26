//! The traditional memory balloon (5.5): the guest lends pages to the host, and says how it gets along.
//!
//! The device only says how many pages it wants; which ones, and when, is the driver's decision. A page that the
//! guest lends is gone from its RAM until it wants it back, and then holds zeroes or what it held.

mod statistics;

use crate::config_space;
use crate::device::{Context, DeviceId, More, VirtioDevice};
use crate::fault::Fault;
use crate::queue::Chain;
use hv_core::guest::{GuestPhysAddr, Width};
pub use statistics::Statistics;

/// `VIRTIO_BALLOON_F_MUST_TELL_HOST`: the guest asks before it uses a page again.
const FEATURE_MUST_TELL_HOST: u64 = 1 << 0;
/// `VIRTIO_BALLOON_F_STATS_VQ`: there is a queue for statistics.
const FEATURE_STATISTICS: u64 = 1 << 1;

const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATISTICS: usize = 2;

/// Bytes of a page, whatever the guest's are (5.5.6).
pub const PAGE_BYTES: u64 = 4096;
/// Pages that one call takes or gives back.
const BUDGET_PAGES: u64 = 256;
/// Buffers that one call handles.
const BUDGET_CHAINS: usize = 16;
/// Page numbers that are copied at a time.
const PIECE: usize = 64;
/// Bytes of a page number.
const ENTRY: u64 = 4;
/// Offset of `actual` in the configuration.
const ACTUAL: usize = 4;

/// There is no memory to give a page back with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoMemory;

/// Takes the guest's pages.
///
/// A hostile driver lends pages twice, and wants back what it never lent: neither may do harm. It may also touch a page
/// that it has lent. All pages that come are in the guest's RAM, or were when they were lent.
pub trait PageSink: Send {
    /// Takes the page at `page` from the guest.
    fn take(&mut self, page: GuestPhysAddr);
    /// Gives the page at `page` back.
    ///
    /// # Errors
    ///
    /// There is none to give.
    fn give_back(&mut self, page: GuestPhysAddr) -> Result<(), NoMemory>;
    /// The guest starts anew, and has all of its pages.
    fn give_all_back(&mut self);
}

/// A balloon in a guest.
pub struct Balloon<S> {
    sink: S,
    /// `num_pages` and `actual` (5.5.4).
    config: [u8; 8],
    /// A buffer of each of the first two queues that is not done, and how many bytes of it are.
    unfinished: [Option<(Chain, u64)>; 2],
    /// The buffer of statistics, which the driver gets back when it shall fill another.
    held: Option<Chain>,
    statistics: Statistics,
    /// Whether a page is wanted back that there is no memory for.
    is_short: bool,
}

impl<S: PageSink> Balloon<S> {
    /// An empty balloon whose pages go to `sink`.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            config: [0; 8],
            unfinished: [None, None],
            held: None,
            statistics: Statistics::default(),
            is_short: false,
        }
    }

    /// Wants the guest to lend `pages` pages in all, of 4 KiB. The wish outlasts a reset.
    pub fn set_target(&mut self, pages: u32, context: &mut Context<'_>) {
        if pages != self.target() {
            config_space::write(&mut self.config, 0, Width::B4, u64::from(pages));
            context.config_changed();
        }
    }

    /// How many pages the guest shall lend.
    #[must_use]
    pub fn target(&self) -> u32 {
        config_space::read(&self.config, 0, Width::B4) as u32
    }

    /// How many pages the guest says that it lends. It may say anything.
    #[must_use]
    pub fn actual(&self) -> u32 {
        config_space::read(&self.config, ACTUAL as u64, Width::B4) as u32
    }

    /// What the guest said last of its memory.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Asks the guest for new statistics; they come some time later, or never.
    pub fn request_statistics(&mut self, context: &mut Context<'_>) {
        if let Some(chain) = self.held.take() {
            context.push(STATISTICS, chain, 0);
        }
    }

    /// Whether it waits for memory to give a page back with.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    /// There may be memory now for what it waits for.
    pub fn retry(&mut self, context: &mut Context<'_>) {
        if core::mem::take(&mut self.is_short) && self.handle_pages(DEFLATE, context) == More::Yes {
            context.call_again(DEFLATE);
        }
    }

    /// What takes the pages.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Takes pages, or gives some back.
    fn handle_pages(&mut self, queue: usize, context: &mut Context<'_>) -> More {
        let mut budget = BUDGET_PAGES * ENTRY;
        for _ in 0..BUDGET_CHAINS {
            let Some(slot) = self.unfinished.get_mut(queue) else { return More::No };
            let next = slot.take().or_else(|| context.pop(queue).map(|chain| (chain, 0)));
            let Some((chain, done)) = next else { return More::No };
            let len = chain.readable_len();
            // Numbers of pages, whole ones (5.5.6).
            if len == 0 || !len.is_multiple_of(ENTRY) {
                context.fail(Fault::Request);
                return More::No;
            }
            let part = done..len.min(done.saturating_add(budget));
            let end = match self.handle_part(queue, &chain, part.clone(), context) {
                Ok(end) => end,
                Err(fault) => {
                    context.fail(fault);
                    return More::No;
                }
            };
            budget -= end - done;
            if end == len {
                context.push(queue, chain, 0);
            } else if let Some(slot) = self.unfinished.get_mut(queue) {
                *slot = Some((chain, end));
            }
            if end < part.end {
                // The driver waits: it has agreed on not using a page before its buffer is back.
                self.is_short = true;
                return More::No;
            }
            if budget == 0 {
                break;
            }
        }
        More::Yes
    }

    /// Returns how far it came: to the end, unless there is no memory.
    fn handle_part(
        &mut self,
        queue: usize,
        chain: &Chain,
        part: core::ops::Range<u64>,
        context: &Context<'_>,
    ) -> Result<u64, Fault> {
        let mut at = part.start;
        while at < part.end {
            let mut bytes = [0; PIECE * ENTRY as usize];
            let len = usize::try_from(part.end - at).unwrap_or(bytes.len()).min(bytes.len());
            let bytes = bytes.get_mut(..len).unwrap_or_default();
            chain.read_at(context.memory(), at, bytes).map_err(|_| Fault::SegmentOutsideRam)?;
            for entry in bytes.chunks_exact(ENTRY as usize) {
                let number = config_space::read(entry, 0, Width::B4);
                let page = GuestPhysAddr(number * PAGE_BYTES);
                if self.handle_page(queue, page, context).is_err() {
                    return Ok(at);
                }
                at += ENTRY;
            }
        }
        Ok(at)
    }

    fn handle_page(
        &mut self,
        queue: usize,
        page: GuestPhysAddr,
        context: &Context<'_>,
    ) -> Result<(), NoMemory> {
        if queue == DEFLATE {
            return self.sink.give_back(page);
        }
        // A page that was lent already may count as RAM or not; neither does harm.
        if context.memory().contains(page, PAGE_BYTES) {
            self.sink.take(page);
        }
        Ok(())
    }

    /// Reads what the guest says of itself, and keeps the buffer.
    fn handle_statistics(&mut self, context: &mut Context<'_>) -> More {
        for _ in 0..BUDGET_CHAINS {
            let Some(chain) = context.pop(STATISTICS) else { return More::No };
            let Some(statistics) = Statistics::read(&chain, context.memory()) else {
                context.fail(Fault::SegmentOutsideRam);
                return More::No;
            };
            self.statistics = statistics;
            // A driver shall make one available at a time (5.5.6.3); of more, the newest is kept.
            if let Some(older) = self.held.replace(chain) {
                context.push(STATISTICS, older, 0);
            }
        }
        More::Yes
    }
}

impl<S: PageSink> VirtioDevice for Balloon<S> {
    fn device_id(&self) -> DeviceId {
        DeviceId::Balloon
    }

    fn features(&self) -> u64 {
        FEATURE_MUST_TELL_HOST | FEATURE_STATISTICS
    }

    fn queue_sizes(&self) -> &[u16] {
        &[64, 64, 8]
    }

    fn read_config(&self, offset: u64, width: Width) -> u64 {
        config_space::read(&self.config, offset, width)
    }

    /// The driver writes `actual` alone.
    fn write_config(&mut self, offset: u64, width: Width, value: u64) {
        let before = self.config;
        config_space::write(&mut self.config, offset, width, value);
        for (place, byte) in self.config.iter_mut().zip(before).take(ACTUAL) {
            *place = byte;
        }
    }

    /// Linux fills the first buffer of statistics, and notifies of it, before it says that it is ready (virtballoon_probe).
    fn activate(&mut self, _: u64, context: &mut Context<'_>) {
        if self.notify(STATISTICS, context) == More::Yes {
            context.call_again(STATISTICS);
        }
    }

    fn notify(&mut self, queue: usize, context: &mut Context<'_>) -> More {
        match queue {
            // A page at a time is waited for, whatever else is asked for meanwhile.
            DEFLATE if self.is_short => More::No,
            INFLATE | DEFLATE => self.handle_pages(queue, context),
            _ if context.features() & FEATURE_STATISTICS == 0 => More::No,
            _ => self.handle_statistics(context),
        }
    }

    fn reset(&mut self) {
        if let Some(actual) = self.config.get_mut(ACTUAL..) {
            actual.fill(0);
        }
        self.unfinished = [None, None];
        self.is_short = false;
        self.held = None;
        self.statistics = Statistics::default();
        self.sink.give_all_back();
    }
}

#[cfg(test)]
mod tests;
