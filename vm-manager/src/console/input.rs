//! What was typed for a guest and its serial port has not yet taken.

use alloc::collections::VecDeque;

/// A bounded queue towards the guest. What does not fit is not taken: the sender keeps it and
/// offers it again later.
#[derive(Debug)]
pub struct InputQueue {
    bytes: VecDeque<u8>,
    capacity: usize,
    total: u64,
}

impl InputQueue {
    /// Enough for some lines of pasted text.
    pub const DEFAULT_CAPACITY: usize = 1024;

    /// A queue for `capacity` bytes, which it allocates at once.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::with_capacity(capacity), capacity, total: 0 }
    }

    /// Appends as many of `bytes` as fit, and says how many did.
    pub fn offer(&mut self, bytes: &[u8]) -> usize {
        let room = self.capacity - self.bytes.len();
        let accepted = room.min(bytes.len());
        self.bytes.extend(bytes.iter().take(accepted));
        self.total += accepted as u64;
        accepted
    }

    /// Takes the oldest byte.
    pub fn take(&mut self) -> Option<u8> {
        self.bytes.pop_front()
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes were accepted, ever.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// Forgets what waits: the guest that it was meant for is gone.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl Default for InputQueue {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_with_the_sender() {
        let mut queue = InputQueue::new(4);
        assert_eq!(queue.offer(b"abcdef"), 4);
        assert_eq!(queue.offer(b"ef"), 0);
        assert_eq!(queue.take(), Some(b'a'));
        assert_eq!(queue.offer(b"ef"), 1);
        let rest: Vec<u8> = core::iter::from_fn(|| queue.take()).collect();
        assert_eq!(rest, b"bcde");
        assert_eq!(queue.total_bytes(), 5);
    }
}
