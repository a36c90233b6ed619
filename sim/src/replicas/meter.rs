//! What all replicas together take of what they share, and by how much that is too much.

use std::collections::BTreeMap;

use router_core::{
    BudgetUnit, Config, Dispatch, Input, LimitId, Observation, OnOutage, Output, Rate, Request,
    RequestId, Span, Time, Usage,
};

/// By how much what replicas share was overshot at worst, at any time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Overshoot {
    /// For every limit on requests: those that all sent in any window beyond its burst and rate.
    pub requests: Vec<(LimitId, u64)>,
    /// The same of every limit on tokens, prompt and completion, as reserved when they were sent.
    pub tokens: Vec<(LimitId, u64)>,
    /// For every kind and number of a subject with a budget that refuses, and place of the budget:
    /// tokens or pico-dollars that were spent or reserved beyond it when more was sent.
    pub budgets: BTreeMap<(u8, u32, u8), (BudgetUnit, u64)>,
}

/// One bucket for all replicas, in exact integers: what is taken raises its level by the period,
/// a nanosecond lowers it by the amount.
#[derive(Clone, Copy, Debug)]
struct Meter {
    rate: Rate,
    /// Whether the limit has this rate still.
    live: bool,
    level: u128,
    at: Time,
    /// The most that the level was above the burst.
    excess: u128,
}

impl Meter {
    const fn new(rate: Rate, at: Time) -> Self {
        Self { rate, live: true, level: 0, at, excess: 0 }
    }

    /// Another rate from now on, or none. What was overshot was overshot.
    fn revise(&mut self, now: Time, rate: Option<Rate>) {
        self.leak(now);
        self.live = rate.is_some();
        let Some(rate) = rate else { return };
        let worth = self.worth(1);
        self.rate = rate;
        let convert = |level: u128| level / worth * self.worth(1);
        (self.level, self.excess) = (convert(self.level), convert(self.excess));
    }

    const fn worth(&self, n: u64) -> u128 {
        n as u128 * self.rate.period.as_nanos() as u128
    }

    fn leak(&mut self, now: Time) {
        let leaked = u128::from(self.rate.amount) * u128::from(now.since(self.at).as_nanos());
        (self.level, self.at) = (self.level.saturating_sub(leaked), now);
    }

    fn take(&mut self, now: Time, n: u64) {
        if !self.live {
            return;
        }
        self.leak(now);
        self.level += self.worth(n);
        let depth = self.worth(self.rate.burst.unwrap_or(self.rate.amount));
        self.excess = self.excess.max(self.level.saturating_sub(depth));
    }

    /// From what was reserved to what was used: what that is too much is nobody's overshoot.
    fn correct(&mut self, now: Time, reserved: u64, used: u64) {
        self.leak(now);
        self.level = (self.level + self.worth(used)).saturating_sub(self.worth(reserved));
    }

    /// In whole units; what is less than one is the rounding of an instant.
    fn overshoot(&self) -> u64 {
        (self.excess / self.worth(1)) as u64
    }
}

/// One subject's budget for all replicas.
#[derive(Clone, Copy, Debug)]
struct Purse {
    amount: u64,
    unit: BudgetUnit,
    period: Span,
    number: u64,
    spent: u64,
    reserved: u64,
    excess: u64,
}

impl Purse {
    /// Periods begin where they do for a router whose clock is right, each with the whole amount.
    fn turn(&mut self, elapsed: Span) {
        let number = elapsed.as_nanos() / self.period.as_nanos();
        if number != self.number {
            (self.number, self.spent) = (number, 0);
        }
    }

    const fn cost(&self, usage: Usage, pico: u64) -> u64 {
        match self.unit {
            BudgetUnit::Usd => pico,
            BudgetUnit::Tokens => usage.input_tokens as u64 + usage.output_tokens as u64,
        }
    }
}

/// What a request reserves, and on whose account.
#[derive(Clone, Copy, Debug)]
struct Reserved {
    usage: Usage,
    subjects: [u32; 4],
}

/// Everything that is measured. It sees what each router does.
#[derive(Clone, Debug)]
pub(super) struct Meters {
    limits: Vec<[Option<Meter>; 2]>,
    /// How long before time zero the first periods began.
    began: Span,
    purses: BTreeMap<(u8, u32, u8), Purse>,
    open: BTreeMap<RequestId, Reserved>,
}

impl Meters {
    pub(super) fn new(config: &Config) -> Self {
        let began = config.router().periods_began;
        let (purses, open) = (BTreeMap::new(), BTreeMap::new());
        let mut meters = Self { limits: Vec::new(), began, purses, open };
        meters.revise(Time::ZERO, config);
        meters
    }

    /// The limits are these from now on. Each keeps its number.
    fn revise(&mut self, now: Time, config: &Config) {
        let count = self.limits.len().max(config.limits().len());
        self.limits.resize(count, [None; 2]);
        for (meters, limit) in self.limits.iter_mut().zip(config.limits()) {
            for (meter, rate) in meters.iter_mut().zip([limit.whole.requests, limit.whole.tokens]) {
                match meter {
                    Some(meter) => meter.revise(now, rate),
                    None => *meter = rate.map(|rate| Meter::new(rate, now)),
                }
            }
        }
    }

    pub(super) fn overshoot(&self) -> Overshoot {
        let of = |index: usize| {
            let limits = self.limits.iter().enumerate();
            let metered = limits.filter_map(move |(limit, meters)| {
                Some((LimitId::at(limit), meters[index]?.overshoot()))
            });
            metered.collect()
        };
        let purse = |(who, purse): (&(u8, u32, u8), &Purse)| (*who, (purse.unit, purse.excess));
        Overshoot {
            requests: of(0),
            tokens: of(1),
            budgets: self.purses.iter().map(purse).collect(),
        }
    }

    pub(super) fn input(&mut self, config: &Config, now: Time, input: &Input) {
        match input {
            Input::Submit(request) => {
                let Request { id, input_tokens, output_max, subjects, .. } = *request;
                let output_tokens = output_max.unwrap_or_else(|| config.router().output_reserve);
                let usage = Usage { input_tokens, cached_tokens: 0, output_tokens };
                self.open.insert(id, Reserved { usage, subjects });
            }
            Input::Reconfigure(next) if config.fits(next) => self.revise(now, next),
            Input::Cancel(_) | Input::Upstream(..) | Input::Tick | Input::Reconfigure(_) => {}
            Input::Peers(_) | Input::Drain => {}
        }
    }

    pub(super) fn output(&mut self, config: &Config, now: Time, output: &Output) {
        match output {
            Output::Dispatch(dispatch) => self.dispatched(config, now, *dispatch),
            Output::Observe(Observation::Ended { attempt, deployment, usage, .. }) => {
                let Some(reserved) = self.open.get(&attempt.request).copied() else { return };
                for limit in &config.deployment(*deployment).limits {
                    if let Some([_, Some(meter)]) = self.limits.get_mut(limit.index()) {
                        meter.correct(now, tokens(reserved.usage), tokens(*usage));
                    }
                }
                let price = config.deployment(*deployment).price;
                let (was, is) = (price.of(reserved.usage), price.of(*usage));
                self.purses(config, now, reserved.subjects, |purse| {
                    let was = purse.cost(reserved.usage, was);
                    purse.reserved = purse.reserved.saturating_sub(was);
                    purse.spent = purse.spent.saturating_add(purse.cost(*usage, is));
                });
            }
            Output::Finish(request, _) => _ = self.open.remove(request),
            Output::Abandon(..) | Output::Commit(_) | Output::Observe(_) => {}
        }
    }

    fn dispatched(&mut self, config: &Config, now: Time, dispatch: Dispatch) {
        let Some(reserved) = self.open.get(&dispatch.attempt.request).copied() else { return };
        let deployment = config.deployment(dispatch.deployment);
        for limit in &deployment.limits {
            let Some(meters) = self.limits.get_mut(limit.index()) else { continue };
            let amounts = [1, tokens(reserved.usage)];
            for (meter, n) in meters.iter_mut().zip(amounts) {
                meter.iter_mut().for_each(|meter| meter.take(now, n));
            }
        }
        let pico = deployment.price.of(reserved.usage);
        self.purses(config, now, reserved.subjects, |purse| {
            let cost = purse.cost(reserved.usage, pico);
            purse.reserved = purse.reserved.saturating_add(cost);
            let excess = (purse.spent + purse.reserved).saturating_sub(purse.amount);
            purse.excess = purse.excess.max(if cost > 0 { excess } else { 0 });
        });
    }

    /// Each budget that refuses, of each of these subjects.
    fn purses(
        &mut self,
        config: &Config,
        now: Time,
        subjects: [u32; 4],
        mut act: impl FnMut(&mut Purse),
    ) {
        let elapsed = now.since(Time::ZERO) + self.began;
        let parts = match config.router().peers.map(|peers| (peers.on_outage, peers.replicas)) {
            Some((OnOutage::Share, replicas)) => u64::from(replicas),
            Some((OnOutage::Open | OnOutage::Closed, _)) | None => 1,
        };
        for (kind, number) in subjects.into_iter().enumerate() {
            let Some(policy) = config.policy(kind, number) else { continue };
            for (index, spec) in policy.budgets.iter().enumerate().filter(|(_, b)| b.hard) {
                let fresh = Purse {
                    amount: spec.amount.saturating_mul(parts),
                    unit: spec.unit,
                    period: spec.period,
                    number: 0,
                    spent: 0,
                    reserved: 0,
                    excess: 0,
                };
                let who = (kind as u8, number, index as u8);
                let purse = self.purses.entry(who).or_insert(fresh);
                if (purse.unit, purse.period) == (spec.unit, spec.period) {
                    purse.amount = fresh.amount;
                } else {
                    // A reload made it another one; what was overshot was overshot.
                    let excess = if purse.unit == spec.unit { purse.excess } else { 0 };
                    *purse = Purse { excess, ..fresh };
                }
                purse.turn(elapsed);
                act(purse);
            }
        }
    }
}

fn tokens(usage: Usage) -> u64 {
    u64::from(usage.input_tokens) + u64::from(usage.output_tokens)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use router_core::{
        AttemptId, Cause, DeploymentId, DeploymentSpec, GroupId, GroupSpec, LimitSpec, MemberSpec,
        Spec,
    };

    use super::*;

    /// Two deployments, each with a limit of so many requests a minute, or none.
    fn spec(rates: [Option<u64>; 2]) -> Spec {
        let mut spec = Spec::default();
        let mut group = GroupSpec::new("chat".to_owned());
        for (name, amount) in ["a", "b"].into_iter().zip(rates) {
            let mut deployment = DeploymentSpec::new(name.to_owned());
            let period = Span::from_secs(60);
            let requests = amount.map(|amount| Rate { amount, period, burst: None });
            deployment.limit = requests.map(|_| LimitSpec { requests, ..LimitSpec::default() });
            spec.deployments.push(deployment);
            group.members.push(MemberSpec { deployment: name.to_owned(), weight: 1, tier: 0 });
        }
        spec.groups.push(group);
        spec
    }

    struct Metered(Arc<Config>, Meters, u64);

    impl Metered {
        fn reload(&mut self, at: Time, rates: [Option<u64>; 2]) {
            let next = Arc::new(self.0.revise(&spec(rates)).expect("it is valid"));
            // As each of two replicas is told.
            for _ in 0..2 {
                self.1.input(&self.0, at, &Input::Reconfigure(Arc::clone(&next)));
            }
            self.0 = next;
        }

        fn send(&mut self, at: Time, to: usize, requests: u64) {
            for _ in 0..requests {
                self.2 += 1;
                let request = RequestId::new(0, self.2, 0);
                let group = GroupId::at(0);
                self.1.input(&self.0, at, &Input::Submit(Request::new(request, group, 10)));
                let (attempt, deployment) =
                    (AttemptId { request, ordinal: 1 }, DeploymentId::at(to));
                let (connect, heartbeat, cause) = (Span::MAX, Span::MAX, Cause::Primary);
                let key = 0;
                let dispatch =
                    Dispatch { attempt, group, deployment, key, cause, connect, heartbeat };
                self.1.output(&self.0, at, &Output::Dispatch(dispatch));
            }
        }

        fn told(&self) -> Vec<u64> {
            self.1.overshoot().requests.into_iter().map(|(_, most)| most).collect()
        }
    }

    #[test]
    fn limits_are_metered_as_reloads_have_them() {
        let config = Arc::new(Config::new(&spec([Some(10), None])).expect("it is valid"));
        let meters = Meters::new(&config);
        let mut metered = Metered(config, meters, 0);
        metered.send(Time::ZERO, 0, 12);
        metered.send(Time::ZERO, 1, 100);
        assert_eq!(metered.told(), [2]);
        // One more limit, and more of the other: twelve of twenty are there, and 13 overshoot.
        metered.reload(Time::ZERO, [Some(20), Some(10)]);
        metered.send(Time::ZERO, 0, 8);
        metered.send(Time::ZERO, 1, 13);
        assert_eq!(metered.told(), [2, 3]);
        metered.send(Time::ZERO, 0, 5);
        assert_eq!(metered.told(), [5, 3]);
        // Without a limit nothing is too much; what was stays.
        metered.reload(Time::from_secs(60), [None, Some(10)]);
        metered.send(Time::from_secs(60), 0, 100);
        metered.send(Time::from_secs(120), 1, 10);
        assert_eq!(metered.told(), [5, 3]);
    }
}
