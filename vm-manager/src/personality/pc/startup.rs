//! How a CPU of a PC is stopped and started by others: INIT, and then a start-up IPI. Intel SDM vol. 3A, 9.4 and 11.6.1.
//!
//! ```text
//!          start-up                INIT               the CPU takes it
//!   Off ────────────→ Running ───────────→ Reset ───────────────────────→ Waiting
//!                        ↑                   │ start-up                      │ start-up
//!                        │ the CPU takes it  ↓                               │
//!                        └──────────────── Started ←─────────────────────────┘
//! ```
//!
//! A CPU that waits is not switched off, but sleeps: so a start-up that comes right behind the INIT, while the CPU is still on
//! its way to sleep, is not lost.

/// Where a CPU is between an INIT and its start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Startup {
    /// It has never run since the machine was started.
    Off,
    /// It runs, or could.
    Running,
    /// An INIT has come, and it has not noticed yet.
    Reset,
    /// It has taken an INIT.
    Waiting,
    /// It is to start at this page, after an INIT.
    Started(u8),
}

/// What a message comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Reaction {
    /// Nothing.
    Ignored,
    /// The CPU has to look.
    Attend,
    /// It is to be switched on, at this page.
    SwitchOn(u8),
}

/// What a CPU has to do that looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Order {
    /// Nothing.
    RunOn,
    /// To take the INIT, and then to sleep.
    Reset,
    /// To sleep on.
    Sleep,
    /// To take the INIT, if it has not yet, and to start at this page.
    Start(u8),
}

impl Startup {
    /// An INIT comes.
    pub(super) fn init(&mut self) -> Reaction {
        match self {
            Self::Off | Self::Reset | Self::Waiting => Reaction::Ignored,
            Self::Running | Self::Started(_) => {
                *self = Self::Reset;
                Reaction::Attend
            }
        }
    }

    /// A start-up IPI comes. Of several, the first counts.
    pub(super) fn startup(&mut self, page: u8) -> Reaction {
        match self {
            Self::Off => {
                *self = Self::Running;
                Reaction::SwitchOn(page)
            }
            Self::Reset | Self::Waiting => {
                *self = Self::Started(page);
                Reaction::Attend
            }
            Self::Running | Self::Started(_) => Reaction::Ignored,
        }
    }

    /// The CPU looks.
    pub(super) fn take(&mut self) -> Order {
        match *self {
            Self::Off | Self::Running => Order::RunOn,
            Self::Reset => {
                *self = Self::Waiting;
                Order::Reset
            }
            Self::Waiting => Order::Sleep,
            Self::Started(page) => {
                *self = Self::Running;
                Order::Start(page)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_startup_switches_a_cpu_on_and_others_are_ignored() {
        let mut cpu = Startup::Off;
        assert_eq!(cpu.init(), Reaction::Ignored);
        assert_eq!(cpu.startup(8), Reaction::SwitchOn(8));
        assert_eq!(cpu.startup(9), Reaction::Ignored, "Linux sends two");
        assert_eq!(cpu.take(), Order::RunOn);
    }

    #[test]
    fn a_startup_right_behind_the_init_is_not_lost() {
        let mut cpu = Startup::Running;
        assert_eq!(cpu.init(), Reaction::Attend);
        assert_eq!(cpu.startup(3), Reaction::Attend);
        assert_eq!(cpu.startup(4), Reaction::Ignored);
        assert_eq!(cpu.take(), Order::Start(3));
        assert_eq!(cpu.take(), Order::RunOn);
    }

    #[test]
    fn a_cpu_that_took_an_init_sleeps_until_it_is_started() {
        let mut cpu = Startup::Running;
        assert_eq!(cpu.init(), Reaction::Attend);
        assert_eq!(cpu.take(), Order::Reset);
        assert_eq!(
            (cpu.take(), cpu.init(), cpu.take()),
            (Order::Sleep, Reaction::Ignored, Order::Sleep)
        );
        assert_eq!(cpu.startup(3), Reaction::Attend);
        assert_eq!(cpu.take(), Order::Start(3));
    }

    #[test]
    fn an_init_takes_a_start_back_that_has_not_begun() {
        let mut cpu = Startup::Started(3);
        assert_eq!(cpu.init(), Reaction::Attend);
        assert_eq!(cpu.take(), Order::Reset);
    }
}
