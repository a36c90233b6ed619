//! What other replicas have used, charged here as it becomes known.

use alloc::vec::Vec;

use crate::health::MEND_MAX;
use crate::limit::Charge;
use crate::router::Router;
use crate::{Config, Consumption, DeploymentId, LimitId, Span};

/// The last cumulative counters heard of each replica and limit, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    pub(crate) heard: Vec<((u16, LimitId), [u64; 3])>,
}

impl Peers {
    /// Notes counters, and tells by how much they grew since they were last heard of. The first
    /// ones heard tell nothing: how much of them is recent cannot be known, and a router that was
    /// started anew would go into debt for what its peers used hours ago. Nor does older news.
    fn grown(&mut self, from: (u16, LimitId), counters: [u64; 3]) -> [u64; 3] {
        match self.heard.binary_search_by_key(&from, |(from, _)| *from) {
            Ok(place) => {
                let known = &mut self.heard[place].1;
                let mut grown = [0; 3];
                for index in 0..3 {
                    grown[index] = counters[index].saturating_sub(known[index]);
                    known[index] = known[index].max(counters[index]);
                }
                grown
            }
            Err(place) => {
                self.heard.insert(place, (from, counters));
                [0; 3]
            }
        }
    }
}

impl Router {
    #[cold]
    pub(crate) fn hear_peer(&mut self, consumption: Consumption) {
        match consumption {
            Consumption::Used { replica, limit, requests, input_tokens, output_tokens } => {
                if limit.index() >= self.limits.len() {
                    return;
                }
                let counters = [requests, input_tokens, output_tokens];
                let [requests, input, output] = self.peers.grown((replica, limit), counters);
                let charge = Charge { requests, input, output };
                self.limits[limit.index()].charge(charge, self.now);
            }
            Consumption::Resting { deployment, key, remaining, asked } => {
                let most = longest_rest(&self.config, deployment, asked);
                let until = self.now + remaining.min(most);
                self.health.rest_until(deployment, key, until, asked);
            }
        }
    }
}

/// The longest rest of a deployment that this configuration might begin, jitter aside: a peer may
/// run another one, or have lost its mind.
fn longest_rest(config: &Config, deployment: DeploymentId, asked: bool) -> Span {
    if asked {
        return config.router().retry_after_max.max(MEND_MAX);
    }
    let groups = config.groups().iter();
    let own = groups.filter(|group| group.members.iter().any(|m| m.deployment == deployment));
    own.map(|group| group.cooldown.max).max().unwrap_or(Span::ZERO)
}
