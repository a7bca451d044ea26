//! A client's part of the host's disk.

use super::super::{
    Completed, Completer, Disk, DiskError, Geometry, Request, SectorRange, Submitted,
};
use super::client::ClientId;
use super::{ClientStatistics, HostDisk};
use alloc::sync::{Arc, Weak};

/// A part of the host's disk. When it is dropped, what has not begun is dropped with it; what has begun ends unseen, and
/// keeps others from those sectors until then.
pub struct HostWindow {
    host: Arc<HostDisk>,
    client: ClientId,
    range: SectorRange,
    geometry: Geometry,
}

impl HostWindow {
    pub(super) fn new(
        host: Arc<HostDisk>,
        client: ClientId,
        range: SectorRange,
        geometry: Geometry,
    ) -> Self {
        Self { host, client, range, geometry }
    }

    /// What was done for it.
    #[must_use]
    pub fn statistics(&self) -> ClientStatistics {
        self.host.state.lock().statistics_of(self.client)
    }

    /// Which part it is.
    #[must_use]
    pub fn range(&self) -> SectorRange {
        self.range
    }
}

impl Disk for HostWindow {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn connect(&self, completer: Weak<dyn Completer>) {
        self.host.state.lock().connect(self.client, completer);
    }

    fn submit(&self, request: Request) -> Submitted {
        let Request { id, operation } = request;
        let outer = self
            .geometry
            .check(&operation)
            .and_then(|inner| self.range.translate(inner).ok_or(DiskError::OutOfRange));
        let range = match outer {
            Ok(range) => range,
            Err(error) => return Submitted::Done(Completed::new(id, Err(error), operation)),
        };
        let operation = operation.moved_to(range.start());
        let enqueued = self.host.state.lock().enqueue(self.client, Request { id, operation });
        match enqueued {
            Ok(()) => Submitted::Later,
            Err(Request { id, operation }) => {
                Submitted::Done(Completed::new(id, Err(DiskError::Busy), operation))
            }
        }
    }

    fn start(&self) {
        self.host.start();
    }

    fn cancel(&self) {
        self.host.state.lock().cancel(self.client);
    }
}

impl Drop for HostWindow {
    fn drop(&mut self) {
        self.host.state.lock().close(self.client);
    }
}
