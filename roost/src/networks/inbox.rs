//! What has come for a port and was not taken yet.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use hv_core::sync::Mutex;
use virtio::net::packet::Packet;
use vm_manager::sink::Bell;

/// Bytes of frames that wait: what a connection has under way, while its receiver does not run.
const MOST_BYTES: usize = 4 << 20;
/// Frames that wait.
const MOST_FRAMES: usize = 1024;

/// Whether the receiver knows that there is something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Receiver {
    /// It does not want anything.
    Away,
    /// It has taken everything, and is to be told of the next.
    Idle,
    /// It was told, or is about to take more by itself.
    Told,
}

struct Queue {
    packets: VecDeque<Arc<Packet>>,
    bytes: usize,
    receiver: Receiver,
}

/// A bounded queue with a bell. Nothing is called with its lock held.
pub(super) struct Inbox {
    queue: Mutex<Queue>,
    bell: Arc<dyn Bell>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Put {
    /// It waits.
    Kept,
    /// There was no room, or nobody.
    Dropped,
}

impl Inbox {
    /// Of a receiver that is away.
    pub(super) fn new(bell: Arc<dyn Bell>) -> Self {
        let queue = Queue { packets: VecDeque::new(), bytes: 0, receiver: Receiver::Away };
        Self { queue: Mutex::new(queue), bell }
    }

    /// The receiver is there.
    pub(super) fn open(&self) {
        let mut queue = self.queue.lock();
        if queue.receiver == Receiver::Away {
            queue.receiver = Receiver::Idle;
        }
    }

    /// It is away: nothing is kept for it.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.receiver = Receiver::Away;
        queue.bytes = 0;
        let packets = core::mem::take(&mut queue.packets);
        drop(queue);
        drop(packets);
    }

    /// A frame for the receiver, who is told if it does not know of others already.
    pub(super) fn put(&self, packet: Arc<Packet>) -> Put {
        let mut queue = self.queue.lock();
        let bytes = queue.bytes.saturating_add(packet.footprint());
        let has_room = queue.packets.len() < MOST_FRAMES && bytes <= MOST_BYTES;
        if queue.receiver == Receiver::Away || !has_room || queue.packets.try_reserve(1).is_err() {
            return Put::Dropped;
        }
        queue.bytes = bytes;
        queue.packets.push_back(packet);
        let before = core::mem::replace(&mut queue.receiver, Receiver::Told);
        drop(queue);
        if before == Receiver::Idle {
            self.bell.ring();
        }
        Put::Kept
    }

    /// The next frame. After `None` the bell rings for the next.
    pub(super) fn take(&self) -> Option<Arc<Packet>> {
        let mut queue = self.queue.lock();
        let packet = queue.packets.pop_front();
        match &packet {
            Some(packet) => queue.bytes = queue.bytes.saturating_sub(packet.footprint()),
            None if queue.receiver == Receiver::Told => queue.receiver = Receiver::Idle,
            None => {}
        }
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering};
    use virtio::net::Offload;
    use virtio::net::packet::Pool;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Bell for Count {
        fn ring(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn packet(len: usize) -> Arc<Packet> {
        Arc::new(Pool::default().packet(len, Offload::None, |_| Some(())).unwrap())
    }

    #[test]
    fn the_bell_rings_once_until_all_was_taken() {
        let bell = Arc::new(Count::default());
        let inbox = Inbox::new(Arc::<Count>::clone(&bell));
        assert_eq!(inbox.put(packet(60)), Put::Dropped);
        inbox.open();
        for _ in 0..3 {
            assert_eq!(inbox.put(packet(60)), Put::Kept);
        }
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        assert_eq!((0..9).map_while(|_| inbox.take()).count(), 3);
        assert_eq!(inbox.put(packet(60)), Put::Kept);
        assert_eq!(bell.0.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_receiver_that_takes_nothing_keeps_a_bounded_amount() {
        let inbox = Inbox::new(Arc::new(Count::default()));
        inbox.open();
        let kept = |len: usize| {
            (0..2 * MOST_FRAMES).filter(|_| inbox.put(packet(len)) == Put::Kept).count()
        };
        assert!(kept(65_000) <= MOST_BYTES / 65_000);
        inbox.close();
        inbox.open();
        assert_eq!(kept(60), MOST_FRAMES);
        inbox.close();
        assert!(inbox.take().is_none());
    }
}
