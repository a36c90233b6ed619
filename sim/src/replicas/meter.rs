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
    level: u128,
    at: Time,
    /// The most that the level was above the burst.
    excess: u128,
}

impl Meter {
    const fn new(rate: Rate) -> Self {
        Self { rate, level: 0, at: Time::ZERO, excess: 0 }
    }

    const fn worth(&self, n: u64) -> u128 {
        n as u128 * self.rate.period.as_nanos() as u128
    }

    fn leak(&mut self, now: Time) {
        let leaked = u128::from(self.rate.amount) * u128::from(now.since(self.at).as_nanos());
        (self.level, self.at) = (self.level.saturating_sub(leaked), now);
    }

    fn take(&mut self, now: Time, n: u64) {
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
        let limit = |limit: &router_core::Limit| {
            [limit.whole.requests.map(Meter::new), limit.whole.tokens.map(Meter::new)]
        };
        let limits = config.limits().iter().map(limit).collect();
        let began = config.router().periods_began;
        Self { limits, began, purses: BTreeMap::new(), open: BTreeMap::new() }
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

    pub(super) fn input(&mut self, config: &Config, input: &Input) {
        if let Input::Submit(request) = input {
            let Request { id, input_tokens, output_max, subjects, .. } = *request;
            let output_tokens = output_max.unwrap_or_else(|| config.router().output_reserve);
            let usage = Usage { input_tokens, cached_tokens: 0, output_tokens };
            self.open.insert(id, Reserved { usage, subjects });
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
                purse.turn(elapsed);
                act(purse);
            }
        }
    }
}

fn tokens(usage: Usage) -> u64 {
    u64::from(usage.input_tokens) + u64::from(usage.output_tokens)
}
