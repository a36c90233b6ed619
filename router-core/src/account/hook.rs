//! Where a request's life meets its subjects' accounts.

use alloc::sync::Arc;

use super::{Clock, Cost, Payer};
use crate::flight::{Flight, NEVER, Try};
use crate::limit::Charge;
use crate::router::{Dropped, Router};
use crate::{
    Config, DeploymentId, Group, Measure, Observation, Output, Rejection, Subject, Time, Usage,
};

/// What keeps a subject from a further attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Obstacle {
    pub(crate) kind: u8,
    pub(crate) what: Measure,
    pub(crate) earliest: Option<Time>,
}

impl Router {
    /// Now, as budgets see it.
    pub(crate) fn clock(&self) -> Clock {
        let began = self.config.router().periods_began;
        let elapsed = self.now.since(self.start) + began;
        Clock { now: self.now, elapsed, closed: self.now >= self.peers.closed_from }
    }

    /// What a request that was asked for on somebody's account is charged to.
    pub(crate) fn payer(&self, flight: &Flight) -> &Payer {
        &self.aside(flight).payer
    }

    /// Opens the accounts of a new request, or says why it is refused.
    pub(crate) fn admit(&mut self, slot: u32) -> Result<(), Rejection> {
        let Payer { subjects, mut places, reserved } = *self.payer(self.flight(slot));
        let (config, clock) = (&self.config, self.clock());
        let mut crowded = false;
        for (kind, number) in subjects.into_iter().enumerate() {
            if !config.policy(kind, number).is_some_and(Subject::is_metered) {
                continue;
            }
            let Some(place) = self.accounts.open(config, kind, number, clock) else {
                crowded = true;
                break;
            };
            self.accounts.hold(place);
            places[kind] = place;
        }
        let flight = &mut self.flights[slot as usize];
        self.asides.make(&mut flight.aside).payer = Payer { subjects, places, reserved };
        if crowded {
            return Err(Rejection::Accounts);
        }
        match self.obstacle(self.flight(slot)) {
            Some(Obstacle { kind, what, earliest }) => {
                Err(Rejection::Subject { kind, what, earliest })
            }
            None => Ok(()),
        }
    }

    /// What keeps a request's subjects from its next attempt, if anything does.
    pub(crate) fn obstacle(&self, flight: &Flight) -> Option<Obstacle> {
        let (charge, first) = next_charge(flight);
        let (now, closed) = (self.now, self.now >= self.peers.closed_from);
        let accounts = self
            .payer(flight)
            .accounts()
            .map(|(kind, place)| (kind as u8, &self.accounts.of(place).limit));
        let mut accounts = accounts.peekable();
        accounts.peek()?;
        let mut found: Option<(u8, Measure)> = None;
        let mut earliest = Some(now);
        for (kind, limit) in accounts {
            let withheld = || limit.first_rate().filter(|_| closed);
            let obstacle = || limit.obstacle(charge, first, now).or_else(withheld);
            found = found.or_else(|| Some((kind, obstacle()?)));
            let at = limit.earliest(charge, now).filter(|_| withheld().is_none());
            earliest = earliest.and_then(|latest| at.map(|at| latest.max(at)));
        }
        found.map(|(kind, what)| Obstacle { kind, what, earliest })
    }

    /// Whether nothing keeps a request's subjects from its next attempt.
    pub(crate) fn is_unobstructed(&self, flight: &Flight) -> bool {
        flight.aside == NEVER || self.obstacle(flight).is_none()
    }

    /// The members whose price a budget of the request's subjects has no room for, as a mask.
    pub(crate) fn unaffordable(&self, flight: &Flight, group: &Group) -> u64 {
        let clock = self.clock();
        self.budgeted(flight).fold(0, |mask, (place, policy)| {
            let account = self.accounts.of(place);
            let members = group.members.iter().enumerate();
            members.fold(mask, |mask, (index, member)| {
                let cost = reserve(&self.config, flight, member.deployment);
                mask | u64::from(!account.affords(policy, cost, clock)) << index
            })
        })
    }

    /// The accounts of a request that have budgets, with what goes for each.
    fn budgeted(&self, flight: &Flight) -> impl Iterator<Item = (u32, &Subject)> {
        let payer = self.payer(flight);
        payer.accounts().filter_map(|(kind, place)| {
            let policy = self.config.policy(kind, payer.subjects[kind])?;
            (!policy.budgets.is_empty()).then_some((place, policy))
        })
    }

    /// When every budget of the request's subjects can pay a deployment; `None` if one never can.
    /// What attempts in flight have reserved is given back by then, or `stays`.
    pub(crate) fn affords_at(
        &self,
        flight: &Flight,
        deployment: DeploymentId,
        stays: bool,
    ) -> Option<Time> {
        let clock = self.clock();
        let cost = reserve(&self.config, flight, deployment);
        self.budgeted(flight).try_fold(clock.now, |latest, (place, policy)| {
            let account = self.accounts.of(place);
            Some(latest.max(account.affords_at(policy, cost, clock, stays)?))
        })
    }

    /// The kind of the first subject whose budget keeps a request from some member of a group.
    #[cold]
    pub(crate) fn refusing_kind(&self, flight: &Flight, group: &Group) -> u8 {
        let clock = self.clock();
        let refusing = self.budgeted(flight).find(|(place, policy)| {
            let account = self.accounts.of(*place);
            group.present().any(|(_, member)| {
                !account.affords(policy, reserve(&self.config, flight, member.deployment), clock)
            })
        });
        refusing.map_or(0, |(place, _)| self.accounts.of(place).kind)
    }

    /// An attempt is dispatched: its request's subjects reserve what it may cost.
    #[inline(never)]
    pub(crate) fn reserve_accounts(&mut self, slot: u32, attempt: &Try) {
        let (config, clock) = (&self.config, self.clock());
        let flight = &mut self.flights[slot as usize];
        let payer = self.asides.get(flight.aside).payer;
        if payer.places == Payer::NONE.places {
            return;
        }
        // Those that wait may have nothing left.
        self.queues.stirred = true;
        let cost = reserve(config, flight, attempt.deployment);
        let requests = u64::from(attempt.ordinal == 1);
        let charge = Charge { requests, ..flight.charge() };
        for (kind, place) in payer.accounts() {
            let policy = config.policy(kind, payer.subjects[kind]);
            self.accounts.of_mut(place).reserve(policy, (charge, cost), clock);
        }
        let parity = usize::from(attempt.ordinal & 1);
        self.asides.make(&mut flight.aside).payer.reserved[parity] = cost.pico;
    }

    /// An attempt is over: what it used stands in for what it reserved.
    #[inline(never)]
    pub(crate) fn settle_accounts(&mut self, slot: u32, ended: &Try, usage: Usage) {
        let (config, clock) = (&self.config, self.clock());
        let flight = &mut self.flights[slot as usize];
        let payer = self.asides.get(flight.aside).payer;
        if payer.places == Payer::NONE.places {
            return;
        }
        let reserved = held(&payer, flight, ended);
        let used = (Charge::of(usage), Cost::of(usage, config.deployment(ended.deployment).price));
        for (kind, place) in payer.accounts() {
            let policy = config.policy(kind, payer.subjects[kind]);
            let account = self.accounts.of_mut(place);
            account.settle(policy, ((flight.charge(), reserved), used), clock);
            account.news(policy, |news| self.outputs.push(Output::Observe(news)));
        }
        self.asides.make(&mut flight.aside).payer.reserved[usize::from(ended.ordinal & 1)] = 0;
    }

    /// A request is over.
    #[inline(never)]
    pub(crate) fn release_accounts(&mut self, flight: &Flight) {
        for (_, place) in self.payer(flight).accounts() {
            if flight.tally.made() > 0 {
                self.accounts.of_mut(place).limit.leave();
            }
            self.accounts.release(place, self.now);
        }
    }

    /// Late news corrects what subjects were charged for an attempt that was dropped.
    #[cold]
    pub(crate) fn correct_accounts(&mut self, dropped: &Dropped, usage: Usage) {
        let (config, clock) = (&self.config, self.clock());
        let price = config.deployment(dropped.deployment).price;
        let used = (Charge::of(usage), Cost::of(usage, price));
        let charged = Cost { pico: dropped.pico, ..Cost::of(dropped.usage, price) };
        let charged = (Charge::of(dropped.usage), charged);
        let then = dropped.at.since(self.start) + config.router().periods_began;
        for (kind, number) in dropped.subjects.into_iter().enumerate().filter(|(_, n)| *n > 0) {
            // If there is no place for its account any more, it was whole, and is charged no more.
            let Some(place) = self.accounts.open(config, kind, number, clock) else { continue };
            let policy = config.policy(kind, number);
            let account = self.accounts.of_mut(place);
            account.correct(policy, (charged, used), then, clock);
            account.news(policy, |news| self.outputs.push(Output::Observe(news)));
            self.accounts.relist(place, clock.now);
        }
    }

    /// What an attempt that is dropped for `usage` was charged to subjects for.
    pub(crate) fn dropped(&self, flight: &Flight, attempt: &Try, usage: Usage) -> Dropped {
        let payer = self.payer(flight);
        let mut subjects = [0; super::KINDS];
        payer.accounts().for_each(|(kind, _)| subjects[kind] = payer.subjects[kind]);
        let pico = self.config.deployment(attempt.deployment).price.of(usage);
        let (deployment, at) = (attempt.deployment, self.now);
        Dropped { attempt: flight.name(attempt), deployment, usage, subjects, pico, at }
    }

    /// Tells of budgets that have just kept a request from somebody, once per period.
    #[cold]
    pub(crate) fn tell_refusals(&mut self, flight: &Flight, group: &Group, mask: u64) {
        let (config, clock) = (&self.config, self.clock());
        let payer = self.asides.get(flight.aside).payer;
        for (index, member) in group.members.iter().enumerate() {
            if mask & 1 << index == 0 {
                continue;
            }
            let cost = reserve(config, flight, member.deployment);
            for (kind, place) in payer.accounts() {
                if let Some(policy) = config.policy(kind, payer.subjects[kind]) {
                    let tell = |news: Observation| self.outputs.push(Output::Observe(news));
                    self.accounts.of_mut(place).refusals(policy, cost, clock, tell);
                }
            }
        }
    }

    /// Other policies have taken effect: what is in flight is reserved under them.
    #[cold]
    pub(crate) fn revise_accounts(&mut self, last: &Config) {
        let (next, clock) = (Arc::clone(&self.config), self.clock());
        let mut accounts = self.accounts.revised(last, &next, clock);
        core::mem::swap(&mut self.accounts, &mut accounts);
        for slot in self.seated() {
            let flight = *self.flight(slot);
            if flight.aside == NEVER {
                continue;
            }
            let mut payer = *self.payer(&flight);
            for (kind, _) in payer.accounts() {
                let place = self.accounts.find(kind, payer.subjects[kind]);
                payer.places[kind] = place.expect("whoever is in flight keeps an account");
            }
            let flight = &mut self.flights[slot as usize];
            self.asides.make(&mut flight.aside).payer = payer;
            let (flight, twin) = (*flight, self.asides.get(flight.aside).twin);
            self.set_aside(&next, &flight, [Some(flight.lead), twin]);
        }
    }

    /// Enters what a flight's live attempts have reserved of budgets.
    pub(crate) fn set_aside(&mut self, config: &Config, flight: &Flight, live: [Option<Try>; 2]) {
        let payer = *self.payer(flight);
        for attempt in live.into_iter().flatten().filter(Try::is_live) {
            let cost = held(&payer, flight, &attempt);
            for (kind, place) in payer.accounts() {
                let policy = config.policy(kind, payer.subjects[kind]);
                self.accounts.of_mut(place).set_aside(policy, cost);
            }
        }
    }
}

/// What a flight's next attempt reserves, and whether that is its first.
fn next_charge(flight: &Flight) -> (Charge, bool) {
    let first = flight.tally.made() == 0;
    (Charge { requests: u64::from(first), ..flight.charge() }, first)
}

/// What an attempt at a deployment reserves of budgets.
fn reserve(config: &Config, flight: &Flight, deployment: DeploymentId) -> Cost {
    let (input_tokens, output_tokens) = (flight.input_tokens, flight.output_reserve);
    let usage = Usage { input_tokens, cached_tokens: 0, output_tokens };
    Cost::of(usage, config.deployment(deployment).price)
}

/// What a live attempt has reserved, at the price of its dispatch.
fn held(payer: &Payer, flight: &Flight, attempt: &Try) -> Cost {
    let Charge { input, output, .. } = flight.charge();
    Cost { pico: payer.reserved[usize::from(attempt.ordinal & 1)], tokens: input + output }
}
