//! Who watches which console, and who of them types.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use shell::host::Attendance;
use shell::session::SessionId;

/// A session that watches.
struct Watcher {
    session: SessionId,
    /// Whether it gets the keyboard when nobody else has it.
    wants_to_type: bool,
}

/// The watchers of one console, in the order in which they came.
#[derive(Default)]
struct Watchers {
    all: Vec<Watcher>,
    holder: Option<SessionId>,
}

/// The watchers of all consoles, by the ids of their VMs.
#[derive(Default)]
pub(super) struct Audience(BTreeMap<u32, Watchers>);

impl Audience {
    /// A session joins, and may get the keyboard.
    pub(super) fn join(&mut self, vm: u32, session: SessionId, wish: Attendance) {
        let watchers = self.0.entry(vm).or_default();
        watchers.all.retain(|one| one.session != session);
        watchers.all.push(Watcher { session, wants_to_type: wish != Attendance::Watch });
        match wish {
            Attendance::Watch => {}
            Attendance::Type => _ = watchers.holder.get_or_insert(session),
            Attendance::Take => watchers.holder = Some(session),
        }
    }

    /// A session leaves. Its keyboard goes to whoever has waited for it longest.
    pub(super) fn leave(&mut self, vm: u32, session: SessionId) {
        let Some(watchers) = self.0.get_mut(&vm) else { return };
        watchers.all.retain(|one| one.session != session);
        if watchers.holder == Some(session) {
            let next = watchers.all.iter().find(|one| one.wants_to_type);
            watchers.holder = next.map(|one| one.session);
        }
        if watchers.all.is_empty() {
            self.0.remove(&vm);
        }
    }

    pub(super) fn holder(&self, vm: u32) -> Option<SessionId> {
        self.0.get(&vm)?.holder
    }

    pub(super) fn count(&self, vm: u32) -> usize {
        self.0.get(&vm).map_or(0, |watchers| watchers.all.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);
    const C: SessionId = SessionId(3);

    #[test]
    fn one_of_those_who_want_to_type_does() {
        let mut audience = Audience::default();
        audience.join(1, A, Attendance::Watch);
        assert_eq!(audience.holder(1), None);
        audience.join(1, B, Attendance::Type);
        audience.join(1, C, Attendance::Type);
        assert_eq!((audience.holder(1), audience.count(1)), (Some(B), 3));
        assert_eq!(audience.holder(2), None);
        audience.leave(1, B);
        assert_eq!(audience.holder(1), Some(C));
        audience.leave(1, C);
        assert_eq!((audience.holder(1), audience.count(1)), (None, 1));
    }

    #[test]
    fn a_keyboard_that_was_taken_comes_back() {
        let mut audience = Audience::default();
        audience.join(1, A, Attendance::Type);
        audience.join(1, B, Attendance::Take);
        assert_eq!(audience.holder(1), Some(B));
        audience.leave(1, B);
        assert_eq!(audience.holder(1), Some(A));
        audience.leave(1, A);
        assert_eq!(audience.count(1), 0);
    }
}
