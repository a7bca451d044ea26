//! Echo requests that wait for their answers.

use alloc::collections::VecDeque;
use core::net::IpAddr;
use core::time::Duration;
use hv_core::time::Instant;
use net::stack::Pong;

/// Requests at once, of all sessions together: the oldest are forgotten first.
const MOST: usize = 64;

struct Request {
    sequence: u16,
    to: IpAddr,
    sent: Instant,
    round_trip: Option<Duration>,
}

/// What was asked.
#[derive(Default)]
pub(crate) struct Echoes {
    requests: VecDeque<Request>,
    next: u16,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Echo {
    /// There is no answer yet.
    Waiting,
    /// It was answered, after so long.
    Answered(Duration),
}

impl Echoes {
    /// Notes a request that is sent now; the number that it is to bear.
    pub(crate) fn begin(&mut self, to: IpAddr, now: Instant) -> u16 {
        if self.requests.len() >= MOST {
            self.requests.pop_front();
        }
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        self.requests.push_back(Request { sequence, to, sent: now, round_trip: None });
        sequence
    }

    /// An answer has come. Nobody but who was asked may answer, and once only.
    pub(crate) fn answered(&mut self, pong: &Pong, now: Instant) {
        let is_it = |request: &&mut Request| {
            request.sequence == pong.sequence
                && request.to == pong.from
                && request.round_trip.is_none()
        };
        if let Some(request) = self.requests.iter_mut().find(is_it) {
            request.round_trip = Some(now.since(request.sent));
        }
    }

    /// What became of the request of this number.
    pub(crate) fn state(&self, sequence: u16) -> Echo {
        let request = self.requests.iter().find(|request| request.sequence == sequence);
        let round_trip = request.and_then(|request| request.round_trip);
        round_trip.map_or(Echo::Waiting, Echo::Answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const TO: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));

    fn pong(sequence: u16) -> Pong {
        Pong { from: TO, sequence, bytes: 40 }
    }

    #[test]
    fn an_answer_counts_once_and_from_who_was_asked_only() {
        let mut echoes = Echoes::default();
        let sequence = echoes.begin(TO, Instant(1000));
        let stranger = IpAddr::V4(Ipv4Addr::LOCALHOST);
        echoes.answered(&Pong { from: stranger, ..pong(sequence) }, Instant(1500));
        assert_eq!(echoes.state(sequence), Echo::Waiting);
        echoes.answered(&pong(sequence), Instant(3000));
        echoes.answered(&pong(sequence), Instant(9000));
        assert_eq!(echoes.state(sequence), Echo::Answered(Duration::from_nanos(2000)));
    }

    #[test]
    fn requests_without_answers_do_not_pile_up() {
        let mut echoes = Echoes::default();
        for _ in 0..100_000 {
            echoes.begin(TO, Instant(0));
        }
        assert_eq!(echoes.requests.len(), MOST);
    }
}
