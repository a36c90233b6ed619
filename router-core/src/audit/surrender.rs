//! Why a request waits, or is given up.

use alloc::format;
use alloc::string::String;

use super::flight::{Failed, Flight};
use super::{Answer, Auditor, Invariant};
use crate::{GiveUp, Jitter, RequestId, Span, Time, Wait};

/// A request that nobody could take at its wake-up waits at least this much longer.
const AGAIN: Span = Span::from_millis(1);

impl Auditor {
    /// A request is said to wait.
    pub(super) fn waits(&mut self, id: RequestId, until: Time, why: Wait) -> Option<String> {
        self.premise(Invariant::WorkConservation);
        let idle = self.idles(id);
        let flight = self.flights.get(&id)?;
        let at = flight.at;
        let said = self.pointless(flight, until, why).or(idle);
        let flight = self.flights.get_mut(&id)?;
        if !flight.woken {
            flight.planned = self.config.router().attempts;
        }
        (flight.deciding, flight.woken) = (false, false);
        flight.waiting = Some(until.max(at));
        flight.scan = None;
        said
    }

    /// A failed request is said not to be tried again.
    pub(super) fn gives_up(&mut self, id: RequestId, why: GiveUp) -> Option<String> {
        self.premise(Invariant::WorkConservation);
        let idle = match why {
            GiveUp::Committed | GiveUp::Attempts | GiveUp::Subject => None,
            GiveUp::Final
            | GiveUp::Retries
            | GiveUp::Budget
            | GiveUp::Deadline
            | GiveUp::Stranded
            | GiveUp::Drain => self.idles(id),
        };
        let flight = self.flights.get_mut(&id)?;
        flight.gave_up = Some(why);
        let at = flight.at;
        let affordable = self.budget.allows(&self.config, at);
        let flight = self.flights.get(&id)?;
        let Some(failed) = &flight.failed else { return Some("gives up unfailed".into()) };
        if let Some(live) = &flight.live {
            return Some(format!("gives up, though {} is in flight", live.id));
        }
        let holds = match why {
            GiveUp::Final => failed.is_final() || failed.is_detoured(),
            GiveUp::Committed => flight.committed.is_some(),
            GiveUp::Attempts => flight.attempts >= self.config.router().attempts,
            GiveUp::Retries => !failed.is_detoured() && !flight.may_retry(&self.config),
            GiveUp::Budget => !affordable,
            GiveUp::Deadline => {
                let eligible = self.latest(flight, flight.group).unwrap_or(Time::MAX);
                let (_, backoff) = self.backoff(flight);
                eligible.max(at + backoff) + AGAIN >= flight.deadline
            }
            GiveUp::Stranded => self.latest(flight, flight.group).is_none(),
            GiveUp::Drain => self.draining,
            GiveUp::Subject => self.has_credit(flight) != Answer::Yes,
        };
        match why {
            GiveUp::Final => self.premise(Invariant::FinalFailures),
            GiveUp::Attempts => self.premise(Invariant::AttemptCap),
            GiveUp::Budget | GiveUp::Retries => self.premise(Invariant::RetryBudget),
            GiveUp::Subject => self.premise(Invariant::Subjects),
            GiveUp::Committed | GiveUp::Deadline | GiveUp::Stranded | GiveUp::Drain => {}
        }
        if holds { idle } else { Some(format!("gives up for `{why:?}`, which does not hold")) }
    }

    /// Why somebody should have been tried at once.
    fn idles(&mut self, id: RequestId) -> Option<String> {
        let flight = self.flights.get(&id)?;
        let at = flight.at;
        if self.has_credit(flight) != Answer::Yes {
            return None;
        }
        if flight.deadline <= at || flight.failed.as_ref().is_some_and(Failed::is_final) {
            return None;
        }
        let affordable = self.budget.allows(&self.config, at);
        let spare = if flight.woken { 0 } else { flight.tried };
        if flight.woken && !affordable && !self.nobody(flight, at) {
            // It woke for its own group, and that may have been the end of it.
            return None;
        }
        let allowed = affordable && (flight.woken || flight.may_retry(&self.config));
        let here = if allowed { self.somebody(flight, flight.group, spare, at) } else { None };
        if let Some(index) = here {
            let member = self.config.group(flight.group).members[index].deployment;
            let name = &self.config.deployment(member).name;
            return Some(format!("is not tried at once, though `{name}` could take it"));
        }
        let group = self.elsewhere(flight, None, at)?;
        let name = &self.config.group(group).name;
        Some(format!("does not fall back, though `{name}` could take it"))
    }

    /// Whether a wait is too long, too short, or for nothing.
    fn pointless(&self, flight: &Flight, until: Time, why: Wait) -> Option<String> {
        let Some(failed) = &flight.failed else { return Some("waits before any failure".into()) };
        if let Some(live) = &flight.live {
            return Some(format!("waits, though {} is in flight", live.id));
        }
        let at = flight.at;
        if self.has_credit(flight) == Answer::No {
            return Some("waits, though a subject's limit is in its way".into());
        }
        let most = self.config.router().attempts.max(flight.planned);
        let retries = flight.woken || flight.may_retry(&self.config);
        if failed.is_final() || flight.attempts >= most || !retries {
            return Some("waits though nothing may follow".into());
        }
        let (shortest, longest) = self.backoff(flight);
        if until < at + shortest || until >= flight.deadline {
            return Some(format!("waits at {at} until {until}, when nothing can follow"));
        }
        let backoff = at + longest;
        let asked = failed.failure.retry_after;
        if why == Wait::RetryAfter && asked.is_none() {
            return Some("waits for a `Retry-After` that nobody sent".into());
        }
        if why == Wait::Backoff && (until > backoff || self.nobody(flight, at)) {
            return Some(format!("waits at {at} until {until} for a backoff within {backoff}"));
        }
        let eligible = self.latest(flight, flight.group).unwrap_or(Time::MAX);
        let most = backoff.max(eligible) + AGAIN;
        (until > most).then(|| format!("waits at {at} until {until}, not {most}"))
    }

    /// The shortest and the longest wait that the configuration allows now.
    fn backoff(&self, flight: &Flight) -> (Span, Span) {
        let spec = self.config.group(flight.group).backoff;
        let quarter = |span: Span| Span::from_nanos(span.as_nanos() - span.as_nanos() / 4);
        let mut bound = spec.base.min(spec.max);
        for _ in 1..flight.attempts {
            bound = (bound * u64::from(spec.factor)).min(spec.max);
        }
        match spec.jitter {
            Jitter::Full => (Span::ZERO, bound),
            Jitter::Equal => (bound.scale(1, 2), bound),
            Jitter::Constant => (quarter(spec.base), spec.base),
        }
    }

    /// Whether a request may be told that nobody takes it before `earliest`.
    pub(super) fn is_stranded(&self, flight: &Flight, earliest: Option<Time>) -> Option<String> {
        let at = flight.at;
        let here = self.somebody(flight, flight.request.group, 0, at).map(|_| flight.group);
        if let Some(group) = here.or_else(|| self.elsewhere(flight, None, at)) {
            let name = &self.config.group(group).name;
            return Some(format!("is rejected, though `{name}` could take it"));
        }
        let candidates = self.candidates(flight, self.detour(flight));
        let groups = core::iter::once(flight.request.group).chain(candidates);
        let latest = groups.filter_map(|group| self.latest(flight, group)).min();
        let wrong = latest.is_some_and(|latest| earliest.is_none_or(|said| said > latest))
            || earliest.is_some_and(|said| said < at);
        let said = earliest.unwrap_or(Time::MAX);
        wrong.then(|| format!("is told to come back at {said}, not {latest:?}"))
    }
}
