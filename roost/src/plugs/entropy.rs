//! Entropy for guests: a generator for each VM, stirred by what the hardware has.

use super::{Slot, Wires};
use alloc::boxed::Box;
use alloc::string::String;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use hv_core::host;
use hv_core::sync::Mutex;
use virtio::entropy::{Entropy, RandomSource};
use vm_manager::plug::{Order, Plug, Plugged, Socket};

// Roost keeps guests' vector registers where they are, and must not use them. Nothing but this says so to the crate.
#[cfg(all(target_os = "none", not(chacha20_backend = "soft")))]
compile_error!("build with --cfg chacha20_backend=\"soft\", as .cargo/config.toml has it");

pub(super) struct EntropyPlug {
    wires: Wires,
}

impl EntropyPlug {
    pub(super) fn new(order: &Order<'_>) -> Self {
        Self { wires: Wires::new(order) }
    }
}

impl Plug for EntropyPlug {
    fn name(&self) -> &'static str {
        "virtio rng"
    }

    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String> {
        Ok(Slot::new(Entropy::new(Generator(child())), self.wires.with(socket)).plugged())
    }
}

/// The generator of one VM. What one VM gets says nothing about what another does.
struct Generator(ChaCha20Rng);

impl RandomSource for Generator {
    fn fill(&mut self, buf: &mut [u8]) {
        self.0.fill_bytes(buf);
        // What the hardware gives makes it no worse, however it comes to it.
        for part in buf.chunks_mut(8) {
            let Some(number) = host::random() else { break };
            part.iter_mut().zip(number.to_le_bytes()).for_each(|(byte, other)| *byte ^= other);
        }
    }
}

/// Numbers for a guest's own generator to start from, which it has before it knows any device.
pub(crate) fn seed() -> [u64; 4] {
    let mut generator = child();
    core::array::from_fn(|_| generator.next_u64())
}

/// Numbers that nobody can guess, for the host's own network.
pub(crate) struct Random(ChaCha20Rng);

impl Random {
    pub(crate) fn new() -> Self {
        Self(child())
    }

    /// The next one.
    pub(crate) fn number(&mut self) -> u32 {
        self.0.next_u32()
    }
}

/// From which all others are seeded.
static ROOT: Mutex<Option<ChaCha20Rng>> = Mutex::new(None);

fn child() -> ChaCha20Rng {
    let mut root = ROOT.lock();
    let root = root.get_or_insert_with(|| ChaCha20Rng::from_seed(collect()));
    // What has happened since the last one is stirred in.
    let mut seed = collect();
    let mut mask = [0; 32];
    root.fill_bytes(&mut mask);
    seed.iter_mut().zip(mask).for_each(|(byte, other)| *byte ^= other);
    *root = {
        let mut next = [0; 32];
        root.fill_bytes(&mut next);
        ChaCha20Rng::from_seed(next)
    };
    ChaCha20Rng::from_seed(seed)
}

/// A seed: numbers of the hardware where there are any, and how long it takes each time to ask for the time.
fn collect() -> [u8; 32] {
    const SAMPLES: usize = 256;
    let mut seed = [0; 32];
    for (part, round) in seed.chunks_exact_mut(8).zip(1u64..) {
        let mut pool = host::random().unwrap_or(round);
        for _ in 0..SAMPLES {
            // One round of SplitMix64 for each sample, so that all bits depend on all of them.
            pool = (pool ^ host::now().0).wrapping_add(0x9e37_79b9_7f4a_7c15);
            pool = (pool ^ pool >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            pool = (pool ^ pool >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        }
        part.copy_from_slice(&pool.to_le_bytes());
    }
    seed
}
