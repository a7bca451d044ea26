//! Carries out a plan, a slice at a time.

use super::content::{self, Content, Packing};
use super::error::LoadError;
use super::gzip::Inflater;
use super::pc_plan::PcPlan;
use super::plan::{Item, Piece, Plan};
use super::request::File;
use super::source;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::{GuestMemory, GuestPhysAddr};

/// How far a loader is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress<'a> {
    /// How many bytes are loaded.
    pub done_bytes: u64,
    /// How many will have been in the end.
    pub total_bytes: u64,
    /// What is loaded now: `kernel linux/Image`.
    pub what: &'a str,
    /// Whether everything is loaded.
    pub finished: bool,
    /// Whether it waits for the medium of a file.
    pub waits: bool,
}

/// Copies what was planned into a guest's RAM, which must be zero before.
pub struct Loader {
    items: Vec<Item>,
    /// The item that is being loaded, and how.
    current: usize,
    /// `None` if it has not begun.
    state: Option<State>,
    done_bytes: u64,
    total_bytes: u64,
    scratch: Vec<u8>,
    waits: bool,
}

/// How far the current item is.
enum State {
    /// As it is in the file: so many pieces are copied, and so many bytes of the next.
    Copying { pieces: usize, bytes: u64 },
    /// Packed: so many bytes are unpacked.
    Unpacking { inflater: Inflater, bytes: u64 },
    /// All of it is loaded.
    Done,
}

impl State {
    fn begin(item: &Item) -> Self {
        match &item.content.packing {
            Packing::Plain => Self::Copying { pieces: 0, bytes: 0 },
            Packing::Gzip(member) => {
                Self::Unpacking { inflater: Inflater::new(member.clone()), bytes: 0 }
            }
        }
    }
}

/// What a turn came to: it has loaded so many bytes, and looked at as many as it cost.
struct Turn {
    loaded: u64,
    cost: usize,
}

impl Loader {
    /// A loader that carries out `plan`, and puts `fdt` where the plan has room for it.
    ///
    /// # Errors
    ///
    /// If the device tree is larger than that.
    pub fn new(plan: &Plan, fdt: Vec<u8>) -> Result<Self, LoadError> {
        let (room, bytes) = (plan.fdt(), fdt.len() as u64);
        if bytes > room.bytes() {
            let what = String::from("the device tree");
            return Err(LoadError::NoRoom { what, bytes, ram: room });
        }
        let mut items = plan.items.clone();
        let file = File { name: "device tree".into(), source: Arc::new(fdt) };
        items.push(Item {
            what: file.name.clone(),
            content: Content::plain(&file),
            pieces: vec![Piece { from: 0, bytes, to: room.start }],
        });
        Ok(Self::of(items))
    }

    /// A loader that carries out `plan`, which has everything in it that a guest of the `pc` machine is told.
    #[must_use]
    pub fn for_pc(plan: &PcPlan) -> Self {
        Self::of(plan.items().to_vec())
    }

    fn of(items: Vec<Item>) -> Self {
        let total_bytes = items.iter().map(total).fold(0, u64::saturating_add);
        Self {
            items,
            current: 0,
            state: None,
            done_bytes: 0,
            total_bytes,
            scratch: Vec::new(),
            waits: false,
        }
    }

    /// Loads about `budget_bytes` more; less if the medium of a file has not answered yet. Behind the end it does nothing.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is damaged, or RAM is not what was planned with. Nothing more
    /// can be loaded then, and what is in RAM is not a guest.
    pub fn step(
        &mut self,
        ram: &dyn GuestMemory,
        budget_bytes: usize,
    ) -> Result<Progress<'_>, LoadError> {
        let mut budget = budget_bytes.max(1);
        self.waits = false;
        while budget != 0
            && let Some(item) = self.items.get(self.current)
        {
            let state = self.state.get_or_insert_with(|| State::begin(item));
            let turn = match state {
                State::Copying { pieces, bytes } => {
                    copy(item, pieces, bytes, ram, budget, &mut self.scratch)
                }
                State::Unpacking { inflater, bytes } => {
                    let unpacked = unpack(item, inflater, bytes, ram, budget);
                    if let Ok((_, true)) = unpacked {
                        *state = State::Done;
                    }
                    unpacked.map(|(turn, _)| Some(turn))
                }
                State::Done => Ok(None),
            };
            let turn = match turn {
                Err(error) if error.is_not_yet() => {
                    self.waits = true;
                    break;
                }
                turn => turn?,
            };
            match turn {
                Some(turn) => {
                    self.done_bytes += turn.loaded;
                    // A turn that came to nothing has cost something, too.
                    budget = budget.saturating_sub(turn.cost.max(1));
                }
                None => {
                    self.current += 1;
                    self.state = None;
                }
            }
        }
        Ok(self.progress())
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress<'_> {
        let current = self.items.get(self.current);
        Progress {
            done_bytes: self.done_bytes,
            total_bytes: self.total_bytes,
            what: current.or(self.items.last()).map_or("", |item| &item.what),
            finished: current.is_none(),
            waits: self.waits,
        }
    }
}

/// How many bytes an item counts in the progress.
fn total(item: &Item) -> u64 {
    match &item.content.packing {
        Packing::Plain => item.pieces.iter().map(|piece| piece.bytes).fold(0, u64::saturating_add),
        // What is packed is unpacked to its end, so that its checksum is known.
        Packing::Gzip(member) => member.unpacked_bytes(),
    }
}

/// Copies more of an item; `None` if there is no more.
fn copy(
    item: &Item,
    pieces: &mut usize,
    bytes: &mut u64,
    ram: &dyn GuestMemory,
    budget: usize,
    scratch: &mut Vec<u8>,
) -> Result<Option<Turn>, LoadError> {
    let Some(piece) = item.pieces.get(*pieces) else { return Ok(None) };
    let left = piece.bytes.saturating_sub(*bytes);
    if left == 0 {
        (*pieces, *bytes) = (*pieces + 1, 0);
        return Ok(Some(Turn { loaded: 0, cost: 0 }));
    }
    let file = &item.content.file;
    let at_most = usize::try_from(left).unwrap_or(usize::MAX).min(budget);
    let data = source::view(&*file.source, piece.from + *bytes, at_most, scratch)
        .map_err(|error| content::read_error(file, error))?;
    write(item, ram, piece.to.checked_add(*bytes), data)?;
    *bytes += data.len() as u64;
    Ok(Some(Turn { loaded: data.len() as u64, cost: data.len() }))
}

/// Unpacks more of an item, and says whether that was the last.
fn unpack(
    item: &Item,
    inflater: &mut Inflater,
    bytes: &mut u64,
    ram: &dyn GuestMemory,
    budget: usize,
) -> Result<(Turn, bool), LoadError> {
    let file = &item.content.file;
    let run =
        inflater.next(&*file.source, budget).map_err(|error| content::gzip_error(file, error))?;
    let run_start = *bytes;
    let run_end = run_start + run.bytes.len() as u64;
    for piece in &item.pieces {
        let start = run_start.max(piece.from);
        let end = run_end.min(piece.from + piece.bytes);
        if start < end {
            let part = (start - run_start) as usize..(end - run_start) as usize;
            let data = run.bytes.get(part).unwrap_or_default();
            write(item, ram, piece.to.checked_add(start - piece.from), data)?;
        }
    }
    *bytes = run_end;
    let turn = Turn { loaded: run_end - run_start, cost: run.bytes.len().max(run.packed_bytes) };
    Ok((turn, run.is_last))
}

fn write(
    item: &Item,
    ram: &dyn GuestMemory,
    to: Option<GuestPhysAddr>,
    data: &[u8],
) -> Result<(), LoadError> {
    let written = to.is_some_and(|to| ram.write(to, data).is_ok());
    if written { Ok(()) } else { Err(LoadError::Memory { what: item.what.clone() }) }
}
