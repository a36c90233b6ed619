//! Other replicas, and what they say.

use super::Dice;
use crate::{Consumption, LimitId, OnOutage, PeersSpec};

impl Dice {
    pub(super) fn peers(&mut self) -> Option<PeersSpec> {
        self.once_in(2).then(|| PeersSpec {
            replicas: 2 + self.below(2) as u16,
            stale: self.ms(10_000),
            on_outage: self.pick(&OnOutage::ALL),
        })
    }

    pub(in crate::audit::swarm) fn peer(&mut self, limits: u64) -> Consumption {
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
