//! The driver below as the sharing of disks above wants it.

use alloc::vec::Vec;
use hv_core::disk::{
    Command, CommandError, DiskDriver, Ended, RangeLimits, Refusal, Storage, Writability,
    WriteCache,
};
use virtio::disk::buffer::LARGE_BYTES;
use virtio::disk::geometry::Limits;
use virtio::disk::raw::{RawCompleted, RawDisk, Refused, Token};
use virtio::disk::{Access, Buffer, Cache, DiskError, Geometry, Operation, Unmap};

/// A disk's driver, and the buffers whose memory it has.
pub(super) struct Driver {
    driver: DiskDriver,
    lent: Vec<(u64, Buffer)>,
}

impl Driver {
    pub(super) fn new(driver: DiskDriver) -> Self {
        let lent = Vec::with_capacity(driver.depth());
        Self { driver, lent }
    }

    /// Submits a command whose memory is the buffer's.
    fn transfer(
        &mut self,
        token: Token,
        mut buffer: Buffer,
        command: impl FnOnce(alloc::boxed::Box<[u8]>, usize) -> Command,
    ) -> Result<(), (Refusal, Buffer)> {
        let (memory, bytes) = buffer.lend();
        match self.driver.submit(token.0, command(memory, bytes)) {
            Ok(()) => {
                self.lent.push((token.0, buffer));
                Ok(())
            }
            Err(refused) => {
                buffer.restore(refused.memory.unwrap_or_default());
                Err((refused.why, buffer))
            }
        }
    }
}

fn refused(why: Refusal, operation: Operation) -> Refused {
    match why {
        Refusal::Busy => Refused::Busy(operation),
        Refusal::Failed(why) => Refused::Failed(error(why), operation),
    }
}

fn error(why: CommandError) -> DiskError {
    match why {
        CommandError::Medium => DiskError::Medium,
        CommandError::Unsupported => DiskError::Unsupported,
    }
}

fn limits(RangeLimits { sectors, alignment_sectors }: RangeLimits) -> Limits {
    Limits { sectors, alignment_sectors }
}

impl RawDisk for Driver {
    fn geometry(&self) -> Geometry {
        let info = self.driver.info();
        let most_blocks = LARGE_BYTES as u32 / info.block_bytes;
        Geometry {
            sectors: info.sectors,
            block_bytes: info.block_bytes,
            physical_exponent: info.physical_exponent,
            minimum_blocks: info.minimum_blocks,
            optimal_blocks: info.optimal_blocks.min(most_blocks),
            access: match info.writability {
                Writability::Writable => Access::ReadWrite,
                Writability::ReadOnly => Access::ReadOnly,
            },
            cache: match info.cache {
                WriteCache::Volatile => Cache::WriteBack,
                WriteCache::None => Cache::WriteThrough,
            },
            discard: info.discard.map(limits),
            write_zeroes: info.write_zeroes.map(limits),
        }
    }

    fn depth(&self) -> usize {
        self.driver.depth()
    }

    fn submit(&mut self, token: Token, operation: Operation) -> Result<(), Refused> {
        let plain = match operation {
            Operation::Read { sector, buffer } => {
                let command = |memory, bytes| Command::Read { sector, memory, bytes };
                return self
                    .transfer(token, buffer, command)
                    .map_err(|(why, buffer)| refused(why, Operation::Read { sector, buffer }));
            }
            Operation::Write { sector, buffer } => {
                let command = |memory, bytes| Command::Write { sector, memory, bytes };
                return self
                    .transfer(token, buffer, command)
                    .map_err(|(why, buffer)| refused(why, Operation::Write { sector, buffer }));
            }
            Operation::Flush => Some(Command::Flush),
            Operation::Discard(range) => u32::try_from(range.count())
                .ok()
                .map(|sectors| Command::Discard { sector: range.start(), sectors }),
            Operation::WriteZeroes(range, unmap) => {
                let storage = match unmap {
                    Unmap::Allowed => Storage::Freed,
                    Unmap::Refused => Storage::Kept,
                };
                u32::try_from(range.count()).ok().map(|sectors| Command::WriteZeroes {
                    sector: range.start(),
                    sectors,
                    storage,
                })
            }
        };
        let Some(command) = plain else {
            return Err(Refused::Failed(DiskError::OutOfRange, operation));
        };
        self.driver.submit(token.0, command).map_err(|why| refused(why.why, operation))
    }

    fn start(&mut self) {
        self.driver.start();
    }

    fn poll(&mut self) -> Option<RawCompleted> {
        let Ended { id, result, memory } = self.driver.poll()?;
        let lent = self.lent.iter().position(|(token, _)| *token == id);
        let buffer = lent.map(|index| self.lent.swap_remove(index).1).and_then(|mut buffer| {
            buffer.restore(memory?);
            Some(buffer)
        });
        Some(RawCompleted { token: Token(id), result: result.map_err(error), buffer })
    }
}
