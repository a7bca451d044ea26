//! `ping`: asks an address for echoes, one after the other.

use super::{Progress, Task};
use crate::amount::Span;
use crate::arguments::Format;
use crate::context::Context;
use crate::error::Error;
use crate::host::EchoId;
use alloc::format;
use core::fmt::{self, Write};
use core::net::IpAddr;
use core::time::Duration;
use serde::Serialize;

/// From one request to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Asks and waits.
pub(crate) struct Ping {
    to: IpAddr,
    format: Format,
    /// Requests in all.
    count: u64,
    /// How long each waits for its answer.
    timeout: Duration,
    sent: u64,
    waiting: Option<EchoId>,
    /// When the last one was sent.
    since: Duration,
    trips: Trips,
}

/// How long answers took.
#[derive(Clone, Copy, Debug, Default)]
struct Trips {
    answered: u64,
    least: Duration,
    most: Duration,
    sum: Duration,
}

impl Trips {
    fn note(&mut self, trip: Duration) {
        self.least = if self.answered == 0 { trip } else { self.least.min(trip) };
        self.most = self.most.max(trip);
        self.sum = self.sum.saturating_add(trip);
        self.answered += 1;
    }

    fn mean(&self) -> Duration {
        let nanos = self.sum.as_nanos() / u128::from(self.answered.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Milliseconds and microseconds.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_millis(), self.0.subsec_micros() % 1000)
    }
}

#[derive(Serialize)]
struct Answer {
    address: alloc::string::String,
    sent: u64,
    answered: u64,
    least_ns: u64,
    mean_ns: u64,
    most_ns: u64,
}

impl Ping {
    pub(crate) fn new(to: IpAddr, format: Format, count: u64, timeout: Duration) -> Self {
        let trips = Trips::default();
        Self { to, format, count, timeout, sent: 0, waiting: None, since: Duration::ZERO, trips }
    }

    /// Asks once more.
    fn ask(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        self.waiting = Some(context.host.ping(self.to)?);
        self.sent += 1;
        self.since = context.now;
        Ok(())
    }

    /// Looks for the answer; whether nothing more is waited for.
    fn listen(&mut self, id: EchoId, context: &mut Context<'_>) -> Result<bool, Error> {
        let is_told = self.format == Format::Text;
        if let Some(trip) = context.host.echo(id) {
            self.trips.note(trip);
            if is_told {
                writeln!(
                    context.out,
                    "{}: answer {} after {} ms",
                    self.to,
                    self.sent,
                    Millis(trip)
                )?;
            }
            return Ok(true);
        }
        let is_late = context.now >= self.since.saturating_add(self.timeout);
        if is_late && is_told {
            writeln!(
                context.out,
                "{}: no answer {} within {}",
                self.to,
                self.sent,
                Span(self.timeout)
            )?;
        }
        Ok(is_late)
    }

    fn sum_up(&self, context: &mut Context<'_>) -> Result<(), Error> {
        let Trips { answered, least, most, .. } = self.trips;
        if answered == 0 && self.format == Format::Json {
            return Ok(());
        }
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.trips.mean();
        match self.format {
            Format::Text if answered == 0 => {
                writeln!(context.out, "{} sent, none answered", self.sent)?
            }
            Format::Text => writeln!(
                context.out,
                "{} sent, {answered} answered after {} to {} ms, {} on average",
                self.sent,
                Millis(least),
                Millis(most),
                Millis(mean)
            )?,
            Format::Json => {
                let answer = Answer {
                    address: format!("{}", self.to),
                    sent: self.sent,
                    answered,
                    least_ns: nanos(least),
                    mean_ns: nanos(mean),
                    most_ns: nanos(most),
                };
                let json = serde_json::to_string(&answer);
                let json = json.map_err(|error| Error::new(format!("{error}")))?;
                writeln!(context.out, "{json}")?;
            }
        }
        Ok(())
    }
}

impl Task for Ping {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        if let Some(id) = self.waiting {
            if !self.listen(id, context)? {
                return Ok(Progress::Waiting);
            }
            self.waiting = None;
            return Ok(Progress::More);
        }
        if self.sent >= self.count {
            self.sum_up(context)?;
            if self.trips.answered == 0 {
                let to = self.to;
                return Err(Error::new(format!("{to} does not answer")));
            }
            return Ok(Progress::Done);
        }
        if self.sent > 0 && context.now < self.since.saturating_add(INTERVAL) {
            return Ok(Progress::Waiting);
        }
        self.ask(context)?;
        Ok(Progress::Waiting)
    }

    fn interrupt(&mut self, context: &mut Context<'_>) {
        // Whoever ends it early wants to know how it went so far; there may be no room for that any more.
        _ = self.sum_up(context);
    }

    fn deadline(&self) -> Option<Duration> {
        let wait = if self.waiting.is_some() { self.timeout } else { INTERVAL };
        Some(if self.sent == 0 { Duration::ZERO } else { self.since.saturating_add(wait) })
    }
}
