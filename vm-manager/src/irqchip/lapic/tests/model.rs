//! Requests, service and ends against a model made of sets.

use super::machine::{EOI, IRR, ISR, Machine, TPR};
use crate::irqchip::apic_message::{Delivery, Destination, Message, Trigger};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Default)]
struct Model {
    requests: BTreeSet<u8>,
    in_service: BTreeSet<u8>,
    levels: BTreeSet<u8>,
    task_priority: u8,
}

impl Model {
    /// SDM volume 3A, 11.8.3.1, word by word.
    fn processor_class(&self) -> u8 {
        let served = self.in_service.last().map_or(0, |vector| vector >> 4);
        (self.task_priority >> 4).max(served)
    }

    fn take(&mut self) -> Option<u8> {
        let vector = *self.requests.last()?;
        if vector >> 4 <= self.processor_class() {
            return None;
        }
        self.requests.remove(&vector);
        self.in_service.insert(vector);
        Some(vector)
    }

    /// Gives the vector of which the end is broadcast.
    fn end(&mut self) -> Option<u8> {
        self.in_service.pop_last().filter(|vector| self.levels.contains(vector))
    }
}

fn shown(machine: &mut Machine, base: u64) -> BTreeSet<u8> {
    (0..=u8::MAX)
        .filter(|vector| {
            let register = machine.read(0, base + 0x10 * u64::from(vector / 32));
            register >> (vector % 32) & 1 != 0
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_taken_is_what_the_manual_says(
        steps in proptest::collection::vec((0..6u8, 16..=255u8, any::<bool>()), 0..200),
    ) {
        let (mut machine, mut model) = (Machine::enabled(1), Model::default());
        machine.write(0, TPR, 0);
        let mut ended = Vec::new();
        for (step, vector, is_level) in steps {
            match step {
                0 | 1 => {
                    let trigger = if is_level { Trigger::Level } else { Trigger::Edge };
                    machine.deliver(&Message {
                        destination: Destination::Physical(0),
                        delivery: Delivery::Fixed,
                        vector,
                        trigger,
                    });
                    model.requests.insert(vector);
                    match trigger {
                        Trigger::Level => model.levels.insert(vector),
                        Trigger::Edge => model.levels.remove(&vector),
                    };
                }
                2 | 3 => prop_assert_eq!(machine.take(0), model.take()),
                4 => {
                    machine.write(0, EOI, 0);
                    ended.extend(model.end());
                }
                _ => {
                    let priority = vector & 0x7f;
                    machine.write(0, TPR, u32::from(priority));
                    model.task_priority = priority;
                }
            }
            prop_assert_eq!(machine.apics[0].processor_priority() >> 4, model.processor_class());
        }
        prop_assert_eq!(shown(&mut machine, IRR), model.requests.clone());
        prop_assert_eq!(shown(&mut machine, ISR), model.in_service.clone());
        // Those in service are of classes of their own, each above the one before.
        let classes: BTreeSet<u8> = model.in_service.iter().map(|vector| vector >> 4).collect();
        prop_assert_eq!(classes.len(), model.in_service.len());
        prop_assert_eq!(machine.ended, ended);
    }
}
