//! What other replicas have used, charged here as it becomes known, and whether they are heard.

use alloc::vec::Vec;

use crate::health::MEND_MAX;
use crate::limit::Charge;
use crate::router::Router;
use crate::{Config, Consumption, DeploymentId, LimitId, OnOutage, Output, PeersSpec, Span, Time};

/// Of how many peers it is remembered when they were last heard of: the most replicas there are.
const HEARD_MAX: usize = 1_000;

/// The last cumulative counters heard of each replica and limit, sorted, and signs of life.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    pub(crate) heard: Vec<((u16, LimitId), [u64; 3])>,
    /// When each peer was last heard of, the latest last.
    pub(crate) signs: Vec<(Time, u16)>,
    /// From when silence counts.
    pub(crate) since: Time,
    /// From when on nothing that takes from a rate is sent, unless a peer is heard of.
    pub(crate) closed_from: Time,
}

impl Peers {
    pub(crate) fn new(config: &Config, since: Time) -> Self {
        let (heard, signs) = (Vec::new(), Vec::new());
        let mut peers = Self { heard, signs, since, closed_from: Time::MAX };
        peers.look(config);
        peers
    }

    /// Finds when the silence of some peer will be an outage. Of whom nothing was heard, nothing
    /// was heard since silence counts.
    pub(crate) fn look(&mut self, config: &Config) {
        self.closed_from = match config.router().peers {
            Some(PeersSpec { replicas, stale, on_outage: OnOutage::Closed }) => {
                let others = usize::from(replicas) - 1;
                let last = self.signs.len().checked_sub(others).map(|place| self.signs[place].0);
                last.map_or(self.since, |last| last.max(self.since)) + stale
            }
            Some(PeersSpec { on_outage: OnOutage::Open | OnOutage::Share, .. }) | None => Time::MAX,
        };
    }

    fn note_sign(&mut self, replica: u16, now: Time) {
        if let Some(place) = self.signs.iter().rposition(|(_, known)| *known == replica) {
            self.signs.remove(place);
        } else if self.signs.len() == HEARD_MAX {
            self.signs.remove(0);
        }
        self.signs.push((now, replica));
    }

    /// Notes counters, and tells by how much they grew since they were last heard of. The first
    /// ones heard tell nothing: how much of them is recent cannot be known, and a router that was
    /// started anew would go into debt for what its peers used hours ago. Nor does older news.
    fn grown(&mut self, from: (u16, LimitId), counters: [u64; 3]) -> [u64; 3] {
        match self.heard.binary_search_by_key(&from, |(from, _)| *from) {
            Ok(place) => grown(&mut self.heard[place].1, counters),
            Err(place) => {
                self.heard.insert(place, (from, counters));
                [0; 3]
            }
        }
    }
}

/// By how much counters are above those known, which become the greater of both.
pub(crate) fn grown(known: &mut [u64; 3], counters: [u64; 3]) -> [u64; 3] {
    let mut grown = [0; 3];
    for index in 0..3 {
        grown[index] = counters[index].saturating_sub(known[index]);
        known[index] = known[index].max(counters[index]);
    }
    grown
}

impl Router {
    /// What this replica has used of each limit with a rate since it was started, and of subjects'
    /// rates and budgets since they were last whole or their period began, for its driver to tell
    /// the others: at once when it starts, and then often. They are as late as that, so
    /// all together overshoot a rate by at most one burst and what it grants in that time for each
    /// replica but one. Counters stand for reservations from the dispatch on, and for what was
    /// used when an attempt has ended; they may then fall a little, which harms nobody.
    ///
    /// Numbers of limits are those of this router's configuration. Where replicas may run
    /// different revisions, drivers translate by name. If there is nothing to tell, tell
    /// [`Consumption::Alive`].
    pub fn consumption(&self, replica: u16) -> impl Iterator<Item = Consumption> {
        let subjects = self.accounts.consumption(&self.config, replica, self.clock());
        let rated = self.limits.iter().enumerate().filter(|(_, limit)| limit.is_rated());
        let limits = rated.map(move |(index, limit)| {
            let [requests, input_tokens, output_tokens] = limit.used().counters;
            let limit = LimitId::at(index);
            Consumption::Used { replica, limit, requests, input_tokens, output_tokens }
        });
        limits.chain(subjects)
    }

    /// What is left at `now` of a rest that this replica began itself, as it has observed, for its driver to
    /// tell the others; `None` if it is over.
    pub fn resting(
        &self,
        now: Time,
        (deployment, key): (DeploymentId, Option<u8>),
        until: Time,
    ) -> Option<Consumption> {
        let asked = self.health.is_asked(deployment, key, until);
        let remaining = until.since(now);
        (until > now).then_some(Consumption::Resting { deployment, key, remaining, asked })
    }

    #[cold]
    pub(crate) fn hear_peer(&mut self, consumption: Consumption) {
        self.queues.stirred = true;
        match consumption {
            Consumption::Used { replica, limit, requests, input_tokens, output_tokens } => {
                self.hear_sign(replica);
                if limit.index() >= self.limits.len() {
                    return;
                }
                let counters = [requests, input_tokens, output_tokens];
                let [requests, input, output] = self.peers.grown((replica, limit), counters);
                let divided =
                    self.config.router().peers.is_some_and(|p| p.on_outage == OnOutage::Share);
                if !divided {
                    let charge = Charge { requests, input, output };
                    self.limits[limit.index()].charge(charge, self.now);
                }
            }
            Consumption::Alive { replica } => self.hear_sign(replica),
            Consumption::Own { limit, requests, input_tokens, output_tokens } => {
                if let Some(limit) = self.limits.get_mut(limit.index()) {
                    limit.resume([requests, input_tokens, output_tokens], self.now);
                }
            }
            Consumption::Taken {
                replica,
                kind,
                subject,
                since,
                requests,
                input_tokens,
                output_tokens,
            } => {
                self.hear_sign(replica);
                let taken = (since, [requests, input_tokens, output_tokens]);
                let clock = self.clock();
                self.accounts.hear_taken(&self.config, (kind, subject, replica), taken, clock);
            }
            Consumption::Spent { replica, kind, subject, budget, period, spent } => {
                self.hear_sign(replica);
                let (whom, clock) = ((kind, subject, replica), self.clock());
                let tell = |news| self.outputs.push(Output::Observe(news));
                let spent = (budget, period, spent);
                self.accounts.hear_spent(&self.config, whom, spent, clock, tell);
            }
            Consumption::Resting { deployment, key, remaining, asked } => {
                let most = longest_rest(&self.config, deployment, asked);
                let until = self.now + remaining.min(most);
                self.health.rest_until(deployment, key, until, asked);
            }
        }
    }

    fn hear_sign(&mut self, replica: u16) {
        self.peers.note_sign(replica, self.now);
        self.peers.look(&self.config);
    }

    /// Whether nothing may be sent there as peers are silent: whatever takes from a rate.
    #[inline]
    pub(crate) fn is_withheld(&self, deployment: DeploymentId) -> bool {
        self.now >= self.peers.closed_from && self.is_rated(deployment)
    }

    #[cold]
    fn is_rated(&self, deployment: DeploymentId) -> bool {
        let limits = &self.config.deployment(deployment).limits;
        limits.iter().any(|limit| self.limits[limit.index()].is_rated())
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
