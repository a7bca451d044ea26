//! Failures that are remembered: the next attempt waits, longer each time, and after too many there is none.

use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// How failures are answered.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleConfig {
    /// How long the attempt after the first failure waits; each failure doubles it.
    pub first_delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// Failures after which there is no attempt.
    pub lock_after: u32,
    /// How long there is none then. After as long without a failure all is forgotten.
    pub lock: Duration,
    /// Keys that are remembered.
    pub keys: usize,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    last: Instant,
}

/// Whether there may be an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// At this time, or later.
    At(Instant),
    /// Not before this time, and nobody shall wait for it.
    Locked(Instant),
}

/// Failures by key.
#[derive(Debug)]
pub(super) struct Throttle<K> {
    config: ThrottleConfig,
    records: BTreeMap<K, Record>,
}

impl<K: Ord + Clone> Throttle<K> {
    pub(super) fn new(config: ThrottleConfig) -> Self {
        Self { config, records: BTreeMap::new() }
    }

    /// When there may be an attempt with this key.
    pub(super) fn turn(&self, key: &K, now: Instant) -> Turn {
        let Some(record) = self.records.get(key).filter(|record| !self.is_over(record, now)) else {
            return Turn::At(now);
        };
        if record.failures >= self.config.lock_after {
            return Turn::Locked(record.last + self.config.lock);
        }
        let doubled = 1u32.checked_shl(record.failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = self.config.first_delay.saturating_mul(doubled).min(self.config.longest_delay);
        Turn::At((record.last + delay).max(now))
    }

    /// An attempt has failed; how often in a row that was.
    pub(super) fn fail(&mut self, key: K, now: Instant) -> u32 {
        let is_new = self.records.get(&key).is_none_or(|record| self.is_over(record, now));
        if is_new {
            self.records.remove(&key);
            self.make_room(now);
        }
        let record = self.records.entry(key).or_insert(Record { failures: 0, last: now });
        record.failures = record.failures.saturating_add(1);
        record.last = now;
        record.failures
    }

    /// Forgets a key: an attempt has succeeded, or somebody lifts the lock.
    pub(super) fn forgive(&mut self, key: &K) {
        self.records.remove(key);
    }

    fn is_over(&self, record: &Record, now: Instant) -> bool {
        now.since(record.last) >= self.config.lock
    }

    /// Of a full table the record goes that says least: that of the fewest failures, and of those the oldest. So locks outlast a
    /// flood of new keys.
    fn make_room(&mut self, now: Instant) {
        if self.records.len() < self.config.keys.max(1) {
            return;
        }
        let weight = |record: &Record| (!self.is_over(record, now), record.failures, record.last);
        let least = self.records.iter().min_by_key(|(_, record)| weight(record));
        if let Some(key) = least.map(|(key, _)| key.clone()) {
            self.records.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1);
    const SECOND: Duration = Duration::from_secs(1);
    const CONFIG: ThrottleConfig = ThrottleConfig {
        first_delay: SECOND,
        longest_delay: Duration::from_secs(8),
        lock_after: 7,
        lock: Duration::from_secs(600),
        keys: 10,
    };

    #[test]
    fn delays_double_up_to_the_lock_and_end_with_it() {
        let mut throttle = Throttle::new(CONFIG);
        assert_eq!(throttle.turn(&1, NOW), Turn::At(NOW));
        for delay in [1, 2, 4, 8, 8, 8] {
            throttle.fail(1, NOW);
            assert_eq!(throttle.turn(&1, NOW), Turn::At(NOW + SECOND * delay));
        }
        assert_eq!(throttle.fail(1, NOW), 7);
        let end = NOW + CONFIG.lock;
        assert_eq!(throttle.turn(&1, NOW), Turn::Locked(end));
        assert_eq!(throttle.turn(&1, end), Turn::At(end));
        assert_eq!(throttle.fail(1, end), 1);
        assert_eq!(throttle.turn(&2, NOW), Turn::At(NOW));
    }

    #[test]
    fn success_is_forgiveness() {
        let mut throttle = Throttle::new(CONFIG);
        throttle.fail(1, NOW);
        throttle.forgive(&1);
        assert_eq!(throttle.turn(&1, NOW), Turn::At(NOW));
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_lifts_no_lock() {
        let mut throttle = Throttle::new(CONFIG);
        for _ in 0..7 {
            throttle.fail(0, NOW);
        }
        for key in 1..100_000 {
            throttle.fail(key, NOW + SECOND);
        }
        assert_eq!(throttle.records.len(), CONFIG.keys);
        assert!(matches!(throttle.turn(&0, NOW + SECOND), Turn::Locked(_)));
    }
}
