//! After a failure: try again, fall back, wait, or give up.

use crate::fallback::{Nobody, Unfit};
use crate::flight::{Flight, NEVER, Try};
use crate::router::Router;
use crate::{
    Cause, Counter, Detour, Failure, GiveUp, Jitter, Observation, Outcome, Rejection, Request,
    Scope, Span, Time, Wait,
};

/// The least time between two looks for somebody eligible.
const LOOK_AGAIN: Span = Span::from_millis(1);

impl Router {
    /// A new request looks for its first attempt.
    pub(crate) fn launch(&mut self, slot: u32, request: &Request) {
        let is_gated = self.config.group(request.group).is_gated;
        if is_gated && self.queues.waits_for(request.group) {
            // Whoever may go by now goes first, so that the others are stuck.
            self.pump();
        }
        if self.flight(slot).aside != NEVER
            && let Err(why) = self.admit(slot)
        {
            return self.close(slot, Outcome::Reject(why));
        }
        let flight = *self.flight(slot);
        let home = flight.home();
        if is_gated && self.must_wait(slot, request) {
            return;
        }
        let found = self.eligibility(&flight, home);
        self.explain(&flight, home, &found);
        if found.eligible != 0 {
            self.dispatch(slot, home, &found, Cause::Primary);
            return;
        }
        let here = self.strand(slot, home, &found);
        let detour = if here.unfit == Unfit::Length { Detour::ContextWindow } else { Detour::Any };
        self.flight_mut(slot).keep_to(detour);
        let Err(elsewhere) = self.fall_back(slot, detour) else { return };
        let nobody = elsewhere.map_or(here, |elsewhere| here.and(elsewhere));
        match nobody.refusal() {
            Some(hopeless) => self.close(slot, Outcome::Reject(hopeless)),
            None if self.config.group(home).queue.is_some() => {
                self.line_up(slot, request, nobody.earliest);
            }
            None => {
                self.close(slot, Outcome::Reject(Rejection::NoDeployment(nobody.earliest)));
            }
        }
    }

    /// An attempt failed. If another lives the request goes on with that one.
    #[cold]
    pub(crate) fn fail(&mut self, slot: u32, ended: &Try, failure: Failure) {
        self.judge(self.flight(slot).id, ended, &failure);
        let flight = self.flight_mut(slot);
        flight.note(&failure);
        flight.keep_to(detour(&failure));
        let flight = *self.flight(slot);
        if flight.is_live() {
            self.rearm(slot);
            return;
        }
        if let Some(why) = self.bound(&flight, &failure) {
            self.give_up(slot, why);
            return;
        }
        match detour(&failure) {
            Detour::Any => self.try_again(slot, &failure),
            Detour::ContextWindow | Detour::ContentPolicy => {
                if self.fall_back(slot, flight.kept()).is_err() {
                    self.give_up(slot, GiveUp::Final);
                }
            }
        }
    }

    /// What ends a request after this failure, wherever it might go.
    fn bound(&self, flight: &Flight, failure: &Failure) -> Option<GiveUp> {
        if is_final(failure) {
            Some(GiveUp::Final)
        } else if flight.lead.is_committed() {
            Some(GiveUp::Committed)
        } else if flight.tally.made() >= self.config.router().attempts {
            Some(GiveUp::Attempts)
        } else if flight.deadline <= self.now {
            Some(GiveUp::Deadline)
        } else if !self.is_unobstructed(flight) {
            Some(GiveUp::Subject)
        } else {
            None
        }
    }

    /// Tries somebody else here, then elsewhere; else waits, if that makes sense.
    fn try_again(&mut self, slot: u32, failure: &Failure) {
        let flight = *self.flight(slot);
        let retries = self.retries(&flight, failure);
        let found = self.eligibility(&flight, flight.group());
        let affordable = self.budget.allows(&self.config.router().retry_budget, self.now);
        if affordable && retries && found.is_fresh(flight.tried) {
            self.explain(&flight, flight.group(), &found);
            self.dispatch(slot, flight.group(), &found, Cause::Retry);
            return;
        }
        let here = if found.eligible == 0 {
            self.explain(&flight, flight.group(), &found);
            self.strand(slot, flight.group(), &found)
        } else {
            Nobody { earliest: Some(self.now), unfit: Unfit::Not }
        };
        let Err(elsewhere) = self.fall_back(slot, flight.kept()) else { return };
        if self.draining {
            self.give_up(slot, GiveUp::Drain);
        } else if !retries {
            self.give_up(slot, GiveUp::Retries);
        } else if affordable {
            let why = match (found.eligible != 0, failure.retry_after) {
                (true, _) => Wait::Backoff,
                (false, Some(_)) => Wait::RetryAfter,
                (false, None) => Wait::Eligible,
            };
            let nobody = elsewhere.map_or(here, |elsewhere| here.and(elsewhere));
            self.wait(slot, nobody.earliest, why);
        } else {
            self.give_up(slot, GiveUp::Budget);
        }
    }

    /// Whether the group of the last attempt retries failures like this one once more.
    fn retries(&self, flight: &Flight, failure: &Failure) -> bool {
        let retry = &self.config.group(flight.group()).retry;
        failure.retry_class().is_none_or(|class| flight.tally.failures(class) <= retry.most(class))
    }

    #[cold]
    fn give_up(&mut self, slot: u32, why: GiveUp) {
        let flight = *self.flight(slot);
        self.observe(Observation::GaveUp { request: flight.id, why });
        self.close(slot, Outcome::Exhaust(flight.failure()));
    }

    /// Waits for the backoff and for `earliest`, if the deadline lets it.
    #[cold]
    fn wait(&mut self, slot: u32, earliest: Option<Time>, why: Wait) {
        let flight = *self.flight(slot);
        let Some(earliest) = earliest else {
            self.give_up(slot, GiveUp::Stranded);
            return;
        };
        // A full parallel limit opens at no time that could be told, so it is looked at again
        // and again, but not at once.
        let least = if why == Wait::Backoff { Span::ZERO } else { LOOK_AGAIN };
        let until = earliest.max(self.now + self.backoff(&flight).max(least));
        if until >= flight.deadline {
            self.give_up(slot, GiveUp::Deadline);
            return;
        }
        self.flight_mut(slot).lead.mark = until;
        self.rearm(slot);
        self.observe(Observation::Waiting {
            attempt: flight.next_attempt(),
            until,
            why,
            deployment: flight.lead.deployment,
            failure: flight.kind,
        });
    }

    /// A draw below a bound that grows with each attempt. It is keyed by how long the request
    /// has lived, so that a second wait before the same attempt draws anew.
    fn backoff(&self, flight: &Flight) -> Span {
        let spec = &self.config.group(flight.group()).backoff;
        let made = flight.tally.made();
        let grown = (1..made).fold(spec.base, |bound, _| bound * u64::from(spec.factor));
        let bound = grown.min(spec.max);
        let counter = Counter {
            request: flight.id.as_u64(),
            entity: 0,
            attempt: made,
            index: (self.now.since(flight.submitted).as_nanos() / 1_000) as u32,
        };
        let draw = |most: Span| {
            let ns = self.keys.backoff.below(most.as_nanos().saturating_add(1), counter);
            Span::from_nanos(ns)
        };
        match spec.jitter {
            Jitter::Full => draw(bound),
            Jitter::Equal => {
                let half = bound.scale(1, 2);
                half + draw(Span::from_nanos(bound.as_nanos() - half.as_nanos()))
            }
            Jitter::Constant => {
                let less = draw(spec.base.scale(1, 4));
                Span::from_nanos(spec.base.as_nanos() - less.as_nanos())
            }
        }
    }

    /// A wait is over.
    #[cold]
    pub(crate) fn resume(&mut self, slot: u32) {
        let flight = *self.flight(slot);
        assert!(!flight.is_live(), "only a waiting request has a time to resume at");
        if flight.deadline <= self.now {
            self.close(slot, Outcome::Expire);
            return;
        }
        if !self.is_unobstructed(&flight) {
            return self.give_up(slot, GiveUp::Subject);
        }
        let found = self.eligibility(&flight, flight.group());
        self.explain(&flight, flight.group(), &found);
        let allowed = self.budget.allows(&self.config.router().retry_budget, self.now);
        if allowed && found.eligible != 0 {
            self.dispatch(slot, flight.group(), &found, Cause::Retry);
            return;
        }
        let here = (found.eligible == 0).then(|| self.strand(slot, flight.group(), &found));
        let Err(elsewhere) = self.fall_back(slot, flight.kept()) else { return };
        if allowed {
            let earliest = [here, elsewhere].into_iter().flatten().filter_map(|n| n.earliest);
            let earliest: Option<Time> = earliest.min();
            self.wait(slot, earliest, Wait::Eligible);
        } else {
            self.give_up(slot, GiveUp::Budget);
        }
    }
}

/// Whether a failure ends its request: final for it by kind or by the provider's word, and
/// nothing that another group might take differently.
pub(crate) fn is_final(failure: &Failure) -> bool {
    let elsewhere = failure.kind.detour() != Detour::Any;
    match failure.should_retry {
        Some(again) => !again,
        None => failure.kind.scope() == Scope::Request && !elsewhere,
    }
}

/// Which fallbacks a failure that is not final leads to: a provider that says "try again" makes
/// any failure one that may pass.
pub(crate) fn detour(failure: &Failure) -> Detour {
    if failure.should_retry == Some(true) { Detour::Any } else { failure.kind.detour() }
}
