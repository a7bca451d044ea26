//! The control queue (5.1.6.5): commands of a class, each answered by a byte.

use super::feature;
use super::filter::{Mac, TABLE};
use super::{Net, Port};
use crate::device::Context;
use crate::fault::Fault;
use crate::queue::{Chain, Cursor};
use alloc::vec::Vec;
use hv_core::guest::GuestMemory;

/// What is wrong with a command that is answered with an error.
struct BadCommand;

impl<P: Port> Net<P> {
    /// Carries a command out, and answers it.
    pub(super) fn command(&mut self, queue: usize, chain: Chain, context: &mut Context<'_>) {
        const DONE: u8 = 0;
        const ERROR: u8 = 1;
        let memory = context.memory();
        let mut head = [0; 2];
        let Some(last) = chain.writable_len().checked_sub(1) else {
            return context.fail(Fault::Request);
        };
        if chain.read_at(memory, 0, &mut head).is_err() {
            return context.fail(Fault::Request);
        }
        let features = context.features();
        let answer = match self.carry_out(head, chain.readable_from(2), memory, features) {
            Ok(()) => DONE,
            Err(BadCommand) => {
                self.statistics.refuse_command();
                ERROR
            }
        };
        if chain.write_at(context.memory(), last, &[answer]).is_err() {
            return context.fail(Fault::Request);
        }
        context.push(queue, chain, 1);
    }

    fn carry_out(
        &mut self,
        [class, command]: [u8; 2],
        mut data: Cursor<'_>,
        memory: &dyn GuestMemory,
        features: u64,
    ) -> Result<(), BadCommand> {
        const RX: u8 = 0;
        const MAC: u8 = 1;
        const GUEST_OFFLOADS: u8 = 5;
        let data = &mut data;
        match (class, command) {
            (RX, 0) => self.filter.set_promiscuous(is_on(data, memory)?),
            (RX, 1) => self.filter.set_all_multicast(is_on(data, memory)?),
            (MAC, 0) => {
                let mut table = Vec::new();
                // Addresses of one station, then those of groups.
                let is_whole =
                    read_table(data, memory, &mut table)? & read_table(data, memory, &mut table)?;
                // With a table that is too long all is taken, as the specification allows (5.1.6.5.2.1).
                if is_whole {
                    self.filter.set_table(table);
                } else {
                    self.filter.set_promiscuous(true);
                }
            }
            // The network knows the card by its address: it keeps it.
            (MAC, 1) if take::<6>(data, memory)? == self.mac => {}
            (GUEST_OFFLOADS, 0) if features & feature::CTRL_GUEST_OFFLOADS != 0 => {
                let wanted = u64::from_le_bytes(take(data, memory)?);
                if wanted & !(features & feature::SWITCHABLE) != 0 {
                    return Err(BadCommand);
                }
                self.set_accepts(wanted);
            }
            _ => return Err(BadCommand),
        }
        Ok(())
    }
}

fn take<const N: usize>(
    data: &mut Cursor<'_>,
    memory: &dyn GuestMemory,
) -> Result<[u8; N], BadCommand> {
    let mut bytes = [0; N];
    data.read(memory, &mut bytes).map_err(|_| BadCommand)?;
    Ok(bytes)
}

fn is_on(data: &mut Cursor<'_>, memory: &dyn GuestMemory) -> Result<bool, BadCommand> {
    match take(data, memory)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [_] => Err(BadCommand),
    }
}

/// Adds the addresses of a table; whether there was room for all of them.
fn read_table(
    data: &mut Cursor<'_>,
    memory: &dyn GuestMemory,
    table: &mut Vec<Mac>,
) -> Result<bool, BadCommand> {
    let count = u32::from_le_bytes(take(data, memory)?);
    if count as usize > TABLE.saturating_sub(table.len()) {
        return Ok(false);
    }
    for _ in 0..count {
        table.push(take(data, memory)?);
    }
    Ok(true)
}
