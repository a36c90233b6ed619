//! After a failure: rest what failed, then try again, fall back, wait, or give up.

use crate::health::Length;
use crate::router::Router;
use crate::{
    Cause, Counter, DeploymentId, Failure, FailureKind, GiveUp, GroupId, Observation, Outcome,
    Rejection, Scope, Span, Time, Wait,
};

/// The first rest after a failure that only a person can mend, and the longest of a row.
const FINAL_REST: Span = Span::from_secs(300);
const FINAL_REST_MAX: Span = Span::from_secs(3_600);
/// The least time between two looks for somebody eligible.
const LOOK_AGAIN: Span = Span::from_millis(1);

impl Router {
    /// A new request looks for its first attempt.
    pub(crate) fn launch(&mut self, slot: u32) {
        let flight = *self.flight(slot);
        let found = self.eligibility(&flight, flight.home());
        self.explain(&flight, flight.home(), &found);
        if found.eligible != 0 {
            self.dispatch(slot, flight.home(), found.eligible, Cause::Primary);
            return;
        }
        let home = self.strand(slot, flight.home());
        match self.fall_back(slot) {
            Ok(()) => {}
            Err(chain) => {
                let earliest = home.into_iter().chain(chain).min();
                self.close(slot, Outcome::Reject(Rejection::NoDeployment(earliest)));
            }
        }
    }

    /// Says that nobody of a group is eligible, and from when somebody is.
    fn strand(&mut self, slot: u32, group: GroupId) -> Option<Time> {
        let flight = *self.flight(slot);
        let earliest = self.earliest(&flight, group);
        self.observe(Observation::Stranded { attempt: flight.next_attempt(), group, earliest });
        earliest
    }

    /// Dispatches in the first group of the chain that was not visited and can serve; else tells
    /// the earliest time at which one of them could.
    fn fall_back(&mut self, slot: u32) -> Result<(), Option<Time>> {
        let flight = *self.flight(slot);
        let mut earliest: Option<Time> = None;
        for index in 0..self.config.group(flight.home()).chain(crate::Detour::Any).len() {
            let group = self.config.group(flight.home()).chain(crate::Detour::Any)[index];
            if flight.visited & 1 << group.index() != 0 {
                continue;
            }
            let found = self.eligibility(&flight, group);
            self.explain(&flight, group, &found);
            if found.eligible != 0 {
                self.dispatch(slot, group, found.eligible, Cause::Fallback);
                return Ok(());
            }
            earliest = earliest.into_iter().chain(self.strand(slot, group)).min();
        }
        Err(earliest)
    }

    /// The live attempt failed.
    pub(crate) fn fail(&mut self, slot: u32, failure: Failure) {
        self.judge(slot, &failure);
        self.flight_mut(slot).note(&failure);
        let flight = *self.flight(slot);
        let is_final = failure.kind.scope() == Scope::Request && failure.should_retry != Some(true);
        let bound = if is_final || failure.should_retry == Some(false) {
            Some(GiveUp::Final)
        } else if flight.is_committed() {
            Some(GiveUp::Committed)
        } else if flight.ordinal >= self.config.router().attempts {
            Some(GiveUp::Attempts)
        } else if flight.deadline <= self.now {
            Some(GiveUp::Deadline)
        } else {
            None
        };
        if let Some(why) = bound {
            self.give_up(slot, why);
            return;
        }
        let found = self.eligibility(&flight, flight.group());
        let allowed = self.budget.allows(&self.config.router().retry_budget, self.now);
        if allowed && found.is_fresh(flight.tried) {
            self.explain(&flight, flight.group(), &found);
            self.dispatch(slot, flight.group(), found.eligible, Cause::Retry);
            return;
        }
        let here = if found.eligible == 0 {
            self.explain(&flight, flight.group(), &found);
            self.strand(slot, flight.group())
        } else {
            Some(self.now)
        };
        let Err(elsewhere) = self.fall_back(slot) else { return };
        let earliest = here.into_iter().chain(elsewhere).min();
        if self.draining {
            self.give_up(slot, GiveUp::Drain);
        } else if allowed {
            let why = match (found.eligible != 0, failure.retry_after) {
                (true, _) => Wait::Backoff,
                (false, Some(_)) => Wait::RetryAfter,
                (false, None) => Wait::Eligible,
            };
            self.wait(slot, earliest, why);
        } else {
            self.give_up(slot, GiveUp::Budget);
        }
    }

    fn give_up(&mut self, slot: u32, why: GiveUp) {
        let flight = *self.flight(slot);
        self.observe(Observation::GaveUp { request: flight.id, why });
        self.close(slot, Outcome::Exhaust(flight.failure()));
    }

    /// Waits for the backoff and for `earliest`, if the deadline lets it.
    fn wait(&mut self, slot: u32, earliest: Option<Time>, why: Wait) {
        let flight = *self.flight(slot);
        let Some(earliest) = earliest else {
            self.give_up(slot, GiveUp::Stranded);
            return;
        };
        // A full parallel limit opens at no time that could be told, so it is looked at again
        // and again, but not at once.
        let least = if why == Wait::Backoff { Span::ZERO } else { LOOK_AGAIN };
        let until = earliest.max(self.now + self.backoff(slot).max(least));
        if until >= flight.deadline {
            self.give_up(slot, GiveUp::Deadline);
            return;
        }
        self.flight_mut(slot).mark = until;
        self.rearm(slot);
        self.observe(Observation::Waiting {
            attempt: flight.next_attempt(),
            until,
            why,
            deployment: flight.deployment,
            failure: flight.kind,
        });
    }

    /// Full jitter: uniform up to a bound that grows with each attempt. The draw is keyed by how
    /// long the request has lived, so that a second wait before the same attempt draws anew.
    fn backoff(&self, slot: u32) -> Span {
        let flight = self.flight(slot);
        let spec = &self.config.group(flight.group()).backoff;
        let grown = (1..flight.ordinal).fold(spec.base, |bound, _| bound * u64::from(spec.factor));
        let bound = grown.min(spec.max);
        let counter = Counter {
            request: flight.id.as_u64(),
            entity: 0,
            attempt: flight.ordinal,
            index: (self.now.since(flight.submitted).as_nanos() / 1_000) as u32,
        };
        let ns = self.keys.backoff.below(bound.as_nanos().saturating_add(1), counter);
        Span::from_nanos(ns)
    }

    /// A wait is over.
    pub(crate) fn resume(&mut self, slot: u32) {
        let flight = *self.flight(slot);
        assert!(!flight.is_live(), "only a waiting request has a time to resume at");
        if flight.deadline <= self.now {
            self.close(slot, Outcome::Expire);
            return;
        }
        let found = self.eligibility(&flight, flight.group());
        self.explain(&flight, flight.group(), &found);
        let allowed = self.budget.allows(&self.config.router().retry_budget, self.now);
        if allowed && found.eligible != 0 {
            self.dispatch(slot, flight.group(), found.eligible, Cause::Retry);
            return;
        }
        let here = if found.eligible == 0 { self.strand(slot, flight.group()) } else { None };
        let Err(elsewhere) = self.fall_back(slot) else { return };
        if allowed {
            self.wait(slot, here.into_iter().chain(elsewhere).min(), Wait::Eligible);
        } else {
            self.give_up(slot, GiveUp::Budget);
        }
    }

    /// What a failure says of the deployment: counts it, bars it, rests it, pages somebody.
    pub(crate) fn judge(&mut self, slot: u32, failure: &Failure) {
        let flight = *self.flight(slot);
        let deployment = flight.deployment;
        let cooldown = self.config.group(flight.group()).cooldown;
        let growing =
            Length::Growing { first: cooldown.rest, factor: cooldown.grow, max: cooldown.max };
        // A `Retry-After` of zero says nothing of when to come back.
        let asked = failure.retry_after.filter(|span| !span.is_zero());
        let asked = asked.map(|span| span.min(self.config.router().retry_after_max));
        let kind = failure.kind;
        match kind {
            FailureKind::RateLimit => {
                let length =
                    asked.map(Length::Asked).or_else(|| cooldown.enabled.then_some(growing));
                if let Some(length) = length {
                    self.rest(slot, Some(flight.key), length, kind);
                }
            }
            FailureKind::QuotaSpent | FailureKind::Authentication | FailureKind::NotFound => {
                self.bar(slot);
                let max = FINAL_REST_MAX;
                let length = Length::Growing { first: FINAL_REST, factor: 2, max };
                let key = (kind != FailureKind::NotFound).then_some(flight.key);
                let begins = self.rest(slot, key, length, kind);
                if let Some(asked) = asked {
                    self.rest(slot, key, Length::Asked(asked), kind);
                }
                if let Some(key) = key
                    && begins
                {
                    self.observe(Observation::Page { deployment, key, failure: kind });
                }
            }
            FailureKind::Server
            | FailureKind::Connect
            | FailureKind::FirstToken
            | FailureKind::Idle
            | FailureKind::Total
            | FailureKind::Reset
            | FailureKind::Truncated => {
                let (start, now) = (self.start, self.now);
                let member = usize::from(flight.member);
                self.health.count(flight.group(), member, start, now, true);
                if cooldown.enabled && self.health.is_sick(flight.group(), member, &cooldown) {
                    if self.is_spared(flight.group(), member) {
                        let group = flight.group();
                        self.observe(Observation::Spared { deployment, group });
                    } else {
                        self.health.forget(flight.group(), member);
                        self.rest(slot, None, growing, kind);
                    }
                }
                if let Some(asked) = asked {
                    self.rest(slot, None, Length::Asked(asked), kind);
                }
            }
            FailureKind::BadRequest
            | FailureKind::ContextWindow
            | FailureKind::ContentPolicy
            | FailureKind::InvalidOutput => {}
        }
    }

    /// Whether a sick member goes on: it stands alone, or too many of its group rest.
    fn is_spared(&self, group_id: GroupId, member: usize) -> bool {
        let group = self.config.group(group_id);
        if group.members.len() == 1
            && group.chain(crate::Detour::Any).is_empty()
            && !group.cooldown.lone
        {
            return true;
        }
        let others = group.members.iter().enumerate().filter(|(index, m)| {
            *index != member && self.health.of(m.deployment).cooling_until() > self.now
        });
        let most = group.ejected_max.of_ceil(group.members.len() as u64);
        others.count() as u64 + 1 > most
    }

    /// Rests the deployment (or a key of it) of a flight's attempt, with jitter; says whether a
    /// new rest began.
    fn rest(&mut self, slot: u32, key: Option<u8>, length: Length, failure: FailureKind) -> bool {
        let flight = self.flight(slot);
        let deployment: DeploymentId = flight.deployment;
        let ratio = self.config.group(flight.group()).cooldown.jitter;
        let counter = Counter {
            request: flight.id.as_u64(),
            entity: deployment.index() as u32,
            attempt: flight.ordinal,
            index: u32::from(key.is_some()),
        };
        let draws = self.keys.rest;
        let jitter = |span: Span| {
            let most = span.scale(ratio.numerator().into(), ratio.denominator().into());
            Span::from_nanos(draws.below(most.as_nanos().saturating_add(1), counter))
        };
        let Some((rest, begins)) = self.health.rest((deployment, key), length, self.now, jitter)
        else {
            return false;
        };
        let (until, streak) = (rest.until, rest.streak);
        self.observe(Observation::Rested { deployment, key, until, failure, streak });
        begins
    }
}
