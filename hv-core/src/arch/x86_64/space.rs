//! Identifiers of guests' translations: ASIDs (AMD APM vol. 2, 15.16) and VPIDs (Intel SDM vol. 3C, 29.1).
//!
//! Each CPU hands out its own, one to each vCPU that comes to it, in turn. When the last one is out, it forgets all
//! translations, and a new generation begins, in which every vCPU needs a new one. So an identifier never has translations of
//! somebody else; and a vCPU that was on another CPU meanwhile gets a fresh one, because what its guest invalidated there is
//! still known here.
//!
//! What VMX knows of the second level does not belong to VPIDs but to the root of the EPT: see [`SpaceId::retire`].

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a vCPU has on the CPU that it is, or was last, loaded on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tag {
    /// [`PerCpuVirt::identity`](super::virt::PerCpuVirt::identity).
    cpu: u64,
    generation: u64,
    number: u32,
}

impl Tag {
    /// The ASID or VPID; 0 before there is one, which no guest may have.
    pub(super) fn number(self) -> u32 {
        self.number
    }

    /// Whether it was last loaded on that CPU.
    pub(super) fn is_of(self, cpu: u64) -> bool {
        self.cpu == cpu
    }
}

/// What is to be forgotten before a guest runs with its tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Flush {
    /// Nothing.
    Nothing,
    /// All translations of all tags.
    Everything,
}

/// The tags of one CPU. Only that CPU itself uses it, so all accesses are relaxed.
#[derive(Debug)]
pub(super) struct Tags {
    generation: AtomicU64,
    next: AtomicU32,
    /// The last tag that there is.
    last: AtomicU32,
}

impl Tags {
    pub(super) const fn new() -> Self {
        Self { generation: AtomicU64::new(1), next: AtomicU32::new(1), last: AtomicU32::new(1) }
    }

    /// There are tags 1 to `last`, at least one.
    pub(super) fn set_last(&self, last: u32) {
        self.last.store(last.max(1), Ordering::Relaxed);
    }

    /// Sees that `tag` is one of CPU `cpu`, whose tags these are, and of its present generation.
    pub(super) fn assign(&self, tag: &mut Tag, cpu: u64) -> Flush {
        let mut generation = self.generation.load(Ordering::Relaxed);
        if tag.cpu == cpu && tag.generation == generation {
            return Flush::Nothing;
        }
        let mut flush = Flush::Nothing;
        let mut number = self.next.load(Ordering::Relaxed);
        if number > self.last.load(Ordering::Relaxed) {
            number = 1;
            generation += 1;
            self.generation.store(generation, Ordering::Relaxed);
            flush = Flush::Everything;
        }
        self.next.store(number + 1, Ordering::Relaxed);
        *tag = Tag { cpu, generation, number };
        flush
    }
}

/// How often a guest's tables have changed or gone.
static RETIRED: AtomicU64 = AtomicU64::new(0);

/// How often a guest's tables have changed or gone: a CPU that has not forgotten its translations since must do so before it
/// loads a guest.
pub(super) fn retired() -> u64 {
    // Acquire: whoever runs a guest with frames of one that is gone has them from the pool, whose lock orders this as well.
    RETIRED.load(Ordering::Acquire)
}

/// A guest's right to translations. There are as many as anybody wants.
#[derive(Debug)]
pub struct SpaceId(());

impl SpaceId {
    /// Another one.
    #[must_use]
    pub fn new() -> Option<Self> {
        Some(Self(()))
    }

    /// The guest is gone; none of its vCPUs is loaded any more, nor will be.
    ///
    /// Its tags are not handed out again before a flush. But a new guest may have its EPT root in the same frame, and what
    /// VMX knows of that it keeps by the root's address: so each CPU forgets all of it before it next loads a guest. Until
    /// then it uses none of it, since translations of the second level are used, speculatively as well, only while their
    /// guest runs.
    pub(crate) fn retire(self, translation: Translation) {
        self.forget(translation);
    }

    /// Tables of the guest have changed, and none of its vCPUs is loaded: each CPU forgets what it knows before it next loads
    /// a guest.
    pub(crate) fn forget(&self, _translation: Translation) {
        RETIRED.fetch_add(1, Ordering::Release);
    }
}

/// A page that was a hole is mapped now, while vCPUs may run. Nothing is kept of an entry that is not present (SDM vol. 3A,
/// 4.10.2.3 and 4.10.3; APM vol. 2, 5.5), and stores are seen in order.
pub(crate) fn publish_mapping() {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// The root of a guest's second-level tables.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Translation(pub(super) u64);

impl Translation {
    pub(crate) fn new(root: u64, _space: Option<&SpaceId>) -> Self {
        Self(root)
    }
}

/// Which vCPU of one guest each CPU had last: nobody needs to know, since each vCPU has tags of its own.
#[derive(Debug, Default)]
pub struct LastHere(());

impl LastHere {
    /// It knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_vcpu_keeps_its_tag_while_it_stays() {
        let tags = Tags::new();
        tags.set_last(15);
        let mut tag = Tag::default();
        assert_eq!(tag.number(), 0);
        assert_eq!(tags.assign(&mut tag, 7), Flush::Nothing);
        let first = tag;
        assert_eq!((tags.assign(&mut tag, 7), tag), (Flush::Nothing, first));
        assert!(tag.is_of(7) && !tag.is_of(8));
    }

    #[test]
    fn a_vcpu_that_was_elsewhere_gets_a_fresh_tag() {
        let (here, there) = (Tags::new(), Tags::new());
        here.set_last(15);
        there.set_last(15);
        let mut tag = Tag::default();
        let _ = here.assign(&mut tag, 1);
        let before = tag.number();
        let _ = there.assign(&mut tag, 2);
        let _ = here.assign(&mut tag, 1);
        assert_ne!(tag.number(), before);
    }

    #[test]
    fn when_all_are_out_everything_is_forgotten_once() {
        let tags = Tags::new();
        tags.set_last(3);
        let mut vcpus = [Tag::default(); 4];
        let flushes: Vec<Flush> = vcpus.iter_mut().map(|tag| tags.assign(tag, 1)).collect();
        use Flush::{Everything, Nothing};
        assert_eq!(flushes, [Nothing, Nothing, Nothing, Everything]);
        // Those of the generation before need new ones.
        assert_eq!(tags.assign(&mut vcpus[0], 1), Nothing);
        assert_eq!((vcpus[0].number(), vcpus[3].number()), (2, 1));
    }

    proptest! {
        #[test]
        fn no_two_have_a_tag_between_two_flushes(
            last in 1..20_u32,
            comings in proptest::collection::vec((0..6_usize, 0..2_usize), 0..200),
        ) {
            let cpus = [Tags::new(), Tags::new()];
            for tags in &cpus {
                tags.set_last(last);
            }
            let mut vcpus = [Tag::default(); 6];
            // Who may have translations under which tag, by CPU.
            let mut known = [const { std::collections::BTreeMap::new() }; 2];
            let mut was_on = [usize::MAX; 6];
            for (vcpu, cpu) in comings {
                let before = vcpus[vcpu];
                if cpus[cpu].assign(&mut vcpus[vcpu], cpu as u64 + 1) == Flush::Everything {
                    known[cpu].clear();
                }
                let number = vcpus[vcpu].number();
                prop_assert!((1..=last).contains(&number));
                let owner = *known[cpu].entry(number).or_insert(vcpu);
                prop_assert_eq!(owner, vcpu);
                if was_on[vcpu] == cpu {
                    prop_assert!(before == vcpus[vcpu] || before.generation < vcpus[vcpu].generation);
                }
                was_on[vcpu] = cpu;
            }
        }
    }
}
