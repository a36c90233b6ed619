//! Other replicas, and what they say.

use super::Dice;
use crate::{Consumption, Kind, LimitId, OnOutage, PeersSpec, Span, Time};

impl Dice {
    pub(super) fn peers(&mut self) -> Option<PeersSpec> {
        self.once_in(2).then(|| PeersSpec {
            replicas: 2 + self.below(2) as u16,
            stale: self.ms(10_000),
            on_outage: self.pick(&OnOutage::ALL),
        })
    }

    /// What a peer says at `now` of a subject; the clock of all began `elapsed` ago.
    fn of_subject(&mut self, now: Time, elapsed: Span) -> Consumption {
        let (replica, kind) = (self.below(3) as u16, self.below(2) as u8);
        let first = if self.once_in(3) { Kind::OTHERS } else { 0 };
        let subject = first + 1 + self.below(4) as u32;
        if self.once_in(2) {
            let since = Time::from_nanos(now.as_nanos() >> 34 << 34);
            let requests = self.below(6);
            let (input_tokens, output_tokens) = (self.below(3_000), self.below(3_000));
            return Consumption::Taken {
                replica,
                kind,
                subject,
                since,
                requests,
                input_tokens,
                output_tokens,
            };
        }
        // Of a window that nobody may have: periods hit and miss.
        let window = self.pick(&[1, 2, 5, 10, 20]);
        let period = (elapsed.as_nanos() / (window * 1_000_000_000)).saturating_sub(1);
        let (budget, period) = (self.below(2) as u8, period + self.below(4));
        let most = self.pick(&[1_000, 30_000, 300_000]);
        let spent = self.below(most);
        Consumption::Spent { replica, kind, subject, budget, period, spent }
    }

    pub(in crate::audit::swarm) fn peer(
        &mut self,
        limits: u64,
        (now, elapsed): (Time, Span),
    ) -> Consumption {
        if self.once_in(2) {
            return self.of_subject(now, elapsed);
        }
        let replica = self.below(3) as u16;
        if limits == 0 || self.once_in(3) {
            return Consumption::Alive { replica };
        }
        let limit = LimitId::at(self.below(limits) as usize);
        let requests = self.below(20);
        let (input_tokens, output_tokens) = (self.below(5_000), self.below(5_000));
        if self.once_in(4) {
            return Consumption::Own { limit, requests, input_tokens, output_tokens };
        }
        Consumption::Used { replica, limit, requests, input_tokens, output_tokens }
    }
}
