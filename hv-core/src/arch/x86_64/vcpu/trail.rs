//! The last exits of a vCPU, for a crash record.

/// The last exits: instruction pointer and exit reason.
#[derive(Debug, Default)]
pub(in crate::arch::x86_64) struct Trail {
    entries: [(u64, u32); 16],
    next: usize,
}

impl Trail {
    #[inline(always)]
    pub(in crate::arch::x86_64) fn note(&mut self, rip: u64, reason: u32) {
        let index = self.next % self.entries.len();
        self.entries[index] = (rip, reason);
        self.next = self.next.wrapping_add(1);
    }

    /// The oldest first.
    pub(in crate::arch::x86_64) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        let len = self.entries.len();
        let used = self.next.min(len);
        (0..used).map(move |i| self.entries[(self.next - used + i) % len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sixteen_exits_are_kept() {
        let mut trail = Trail::default();
        trail.note(1, 10);
        assert_eq!(trail.iter().collect::<Vec<_>>(), [(1, 10)]);
        for rip in 2..40 {
            trail.note(rip, 0);
        }
        let rips: Vec<u64> = trail.iter().map(|(rip, _)| rip).collect();
        assert_eq!(rips, (24..40).collect::<Vec<_>>());
    }
}
