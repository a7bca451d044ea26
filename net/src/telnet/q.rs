//! One option of one side, by the Q method (RFC 1143): no loop of replies can come about.
//!
//! The same states serve both sides. For an option of ours the peer says Do and Dont, and we say Will and Wont; for one of
//! the peer's it says Will and Wont, and we say Do and Dont.

/// What is said of an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Say {
    /// Will, or Do.
    Yes,
    /// Wont, or Dont.
    No,
}

/// Whether the opposite of the change that is under way is to follow it (RFC 1143's queue bit).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Queue {
    /// No.
    Empty,
    /// Yes.
    Opposite,
}

/// An option's state (RFC 1143, section 7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Q {
    /// Off.
    No,
    /// On.
    Yes,
    /// We asked to end it, and wait for the answer.
    WantNo(Queue),
    /// We asked for it, and wait for the answer.
    WantYes(Queue),
}

impl Q {
    /// Whether the option is on, for certain.
    pub(super) fn is_on(self) -> bool {
        self == Self::Yes
    }

    /// We want it on or off: the state then, and what is to be said.
    pub(super) fn want(self, say: Say) -> (Self, Option<Say>) {
        match (self, say) {
            (Self::No, Say::Yes) => (Self::WantYes(Queue::Empty), Some(Say::Yes)),
            (Self::Yes, Say::No) => (Self::WantNo(Queue::Empty), Some(Say::No)),
            (Self::WantNo(_), Say::Yes) => (Self::WantNo(Queue::Opposite), None),
            (Self::WantNo(_), Say::No) => (Self::WantNo(Queue::Empty), None),
            (Self::WantYes(_), Say::Yes) => (Self::WantYes(Queue::Empty), None),
            (Self::WantYes(_), Say::No) => (Self::WantYes(Queue::Opposite), None),
            (Self::No, Say::No) | (Self::Yes, Say::Yes) => (self, None),
        }
    }

    /// The peer said `heard`, and we agree to have it on or not (`agree`): the state then, and what is to be said.
    pub(super) fn hear(self, heard: Say, agree: Say) -> (Self, Option<Say>) {
        match (self, heard) {
            (Self::No, Say::Yes) if agree == Say::Yes => (Self::Yes, Some(Say::Yes)),
            (Self::No, Say::Yes) => (Self::No, Some(Say::No)),
            (Self::Yes, Say::No) => (Self::No, Some(Say::No)),
            // The first is an error of the peer's: it answered a No by a Yes.
            (Self::WantNo(Queue::Empty), Say::Yes | Say::No) => (Self::No, None),
            (Self::WantNo(_), Say::Yes) => (Self::Yes, None),
            (Self::WantNo(_), Say::No) => (Self::WantYes(Queue::Empty), Some(Say::Yes)),
            (Self::WantYes(Queue::Empty), Say::Yes) => (Self::Yes, None),
            (Self::WantYes(_), Say::Yes) => (Self::WantNo(Queue::Empty), Some(Say::No)),
            (Self::WantYes(_), Say::No) => (Self::No, None),
            (Self::No, Say::No) | (Self::Yes, Say::Yes) => (self, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const STATES: [Q; 6] = [
        Q::No,
        Q::Yes,
        Q::WantNo(Queue::Empty),
        Q::WantNo(Queue::Opposite),
        Q::WantYes(Queue::Empty),
        Q::WantYes(Queue::Opposite),
    ];

    #[test]
    fn a_statement_of_what_is_already_so_is_not_answered() {
        for agree in [Say::Yes, Say::No] {
            assert_eq!(Q::No.hear(Say::No, agree), (Q::No, None));
            assert_eq!(Q::Yes.hear(Say::Yes, agree), (Q::Yes, None));
        }
    }

    #[test]
    fn a_no_is_always_believed() {
        for state in STATES {
            let (next, said) = state.hear(Say::No, Say::Yes);
            assert!(!next.is_on(), "{state:?}");
            assert!(said != Some(Say::Yes) || state == Q::WantNo(Queue::Opposite));
        }
    }

    fn say(is_yes: bool) -> Say {
        if is_yes { Say::Yes } else { Say::No }
    }

    proptest! {
        /// RFC 1143's proof, tried: whatever both want, and however messages cross, talk ends and both agree.
        #[test]
        fn two_sides_always_come_to_rest_in_the_same_state(
            steps in prop::collection::vec((0..4u8, any::<bool>()), 0..40),
            agree in [any::<bool>(), any::<bool>()],
        ) {
            let mut states = [Q::No; 2];
            let mut wires: [VecDeque<Say>; 2] = Default::default();
            let mut sent = 0;
            let mut wants = 0;
            let deliver = |to: usize, states: &mut [Q; 2], wires: &mut [VecDeque<Say>; 2]| {
                let Some(heard) = wires[to].pop_front() else { return 0 };
                let (next, said) = states[to].hear(heard, say(agree[to]));
                states[to] = next;
                wires[1 - to].extend(said);
                usize::from(said.is_some())
            };
            for (what, is_yes) in steps {
                let side = usize::from(what % 2);
                if what < 2 {
                    wants += 1;
                    let (next, said) = states[side].want(say(is_yes));
                    states[side] = next;
                    wires[1 - side].extend(said);
                    sent += usize::from(said.is_some());
                } else {
                    sent += deliver(side, &mut states, &mut wires);
                }
            }
            while wires.iter().any(|wire| !wire.is_empty()) {
                sent += deliver(0, &mut states, &mut wires) + deliver(1, &mut states, &mut wires);
                prop_assert!(sent <= 4 * wants + 2);
            }
            prop_assert_eq!(states[0], states[1]);
            prop_assert!(matches!(states[0], Q::Yes | Q::No));
        }
    }
}
