//! A part of another disk, as a disk of its own: a partition of an image, say.

use super::{Completed, Completer, Disk, DiskError, Geometry, Request, SectorRange, Submitted};
use alloc::sync::{Arc, Weak};

/// Some sectors of a disk. It is the only client of that disk.
pub struct Window {
    disk: Arc<dyn Disk>,
    range: SectorRange,
}

impl Window {
    /// Those sectors of `disk`.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`] if it has not all of them, [`DiskError::Unaligned`] if they do not begin and end with its
    /// blocks.
    pub fn new(disk: Arc<dyn Disk>, range: SectorRange) -> Result<Self, DiskError> {
        let geometry = disk.geometry();
        if !range.is_within(geometry.sectors) {
            return Err(DiskError::OutOfRange);
        }
        if !range.is_aligned(geometry.block_bytes) {
            return Err(DiskError::Unaligned);
        }
        Ok(Self { disk, range })
    }
}

impl Disk for Window {
    fn geometry(&self) -> Geometry {
        Geometry { sectors: self.range.count(), ..self.disk.geometry() }
    }

    fn connect(&self, completer: Weak<dyn Completer>) {
        self.disk.connect(completer);
    }

    fn submit(&self, request: Request) -> Submitted {
        let Request { id, operation } = request;
        let outer = self
            .geometry()
            .check(&operation)
            .and_then(|inner| self.range.translate(inner).ok_or(DiskError::OutOfRange));
        match outer {
            Ok(range) => {
                let operation = operation.moved_to(range.start());
                self.disk.submit(Request { id, operation })
            }
            Err(error) => Submitted::Done(Completed::new(id, Err(error), operation)),
        }
    }

    fn start(&self) {
        self.disk.start();
    }

    fn cancel(&self) {
        self.disk.cancel();
    }
}
