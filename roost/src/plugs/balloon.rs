//! A VM's balloon: pages that its guest lends are the machine's until it wants them back.

use super::{Slot, Wires};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use hv_core::guest::{GuestPhysAddr, Lender, NoPage};
use virtio::balloon::{Balloon, NoMemory, PAGE_BYTES, PageSink};
use vm_manager::plug::{self, Activity, Again, BalloonState, Handle, Order, Plug, Plugged, Socket};
use vm_manager::sink::Bell;

pub(super) struct BalloonPlug {
    wires: Wires,
    manager: Arc<dyn Bell>,
}

impl BalloonPlug {
    pub(super) fn new(order: &Order<'_>) -> Self {
        Self { wires: Wires::new(order), manager: Arc::clone(&order.manager) }
    }
}

impl Plug for BalloonPlug {
    fn name(&self) -> &'static str {
        "virtio balloon"
    }

    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String> {
        let lender = socket.lender.clone().ok_or("pages of this RAM cannot be lent")?;
        let pages = Pages { lender, manager: self.manager };
        let slot = Slot::new(Balloon::new(pages), self.wires.with(socket));
        let device = Arc::clone(&slot.device);
        Ok(Plugged { device, handle: Arc::new(BalloonHandle(slot)) })
    }
}

/// The guest's RAM, and who takes what is lent of it.
struct Pages {
    lender: Arc<dyn Lender>,
    manager: Arc<dyn Bell>,
}

impl PageSink for Pages {
    fn take(&mut self, page: GuestPhysAddr) {
        self.lender.lend(page);
        self.manager.ring();
    }

    fn give_back(&mut self, page: GuestPhysAddr) -> Result<(), NoMemory> {
        self.lender.take_back(page).map_err(|NoPage| {
            // It looks from time to time whether there is some.
            self.manager.ring();
            NoMemory
        })
    }

    fn give_all_back(&mut self) {
        self.lender.forget_lent();
    }
}

struct BalloonHandle(Slot<Balloon<Pages>>);

impl Handle for BalloonHandle {
    fn go_on(&self) -> Again {
        self.0.go_on()
    }

    fn balloon(&self) -> Option<&dyn plug::Balloon> {
        Some(self)
    }

    fn activity(&self) -> Activity {
        self.0.activity()
    }
}

impl plug::Balloon for BalloonHandle {
    fn set_target(&self, bytes: u64) {
        let pages = u32::try_from(bytes / PAGE_BYTES).unwrap_or(u32::MAX);
        self.0.device.lock().call(|balloon, context| balloon.set_target(pages, context));
    }

    fn state(&self) -> BalloonState {
        let mut device = self.0.device.lock();
        device.call(|balloon, context| balloon.request_statistics(context));
        let balloon = device.device();
        let statistics = balloon.statistics();
        let named = [
            ("free bytes", statistics.free_bytes),
            ("available bytes", statistics.available_bytes),
            ("total bytes", statistics.total_bytes),
            ("cache bytes", statistics.cache_bytes),
            ("swapped in bytes", statistics.swapped_in_bytes),
            ("swapped out bytes", statistics.swapped_out_bytes),
            ("minor faults", statistics.minor_faults),
            ("major faults", statistics.major_faults),
        ];
        let given = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        BalloonState {
            target_bytes: u64::from(balloon.target()) * PAGE_BYTES,
            claimed_bytes: u64::from(balloon.actual()) * PAGE_BYTES,
            statistics: given.collect(),
        }
    }

    fn waits_for_memory(&self) -> bool {
        self.0.device.lock().device().is_short()
    }

    fn retry(&self) {
        self.0.device.lock().call(|balloon, context| balloon.retry(context));
    }
}
