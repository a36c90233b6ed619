//! What the router says of itself, held against the books.

use alloc::format;
use alloc::string::String;

use super::flight::{Failed, Flight, billed};
use super::health::Place;
use super::{Answer, Auditor, Invariant};
use crate::{
    AttemptId, BreakerMode, GiveUp, GroupId, Observation, Reason, RequestId, Span, Time, Wait,
};

/// A request that nobody could take at its wake-up waits at least this much longer.
const AGAIN: Span = Span::from_millis(1);

impl Auditor {
    /// An observation about an open request.
    pub(super) fn claimed(&mut self, id: RequestId, observation: Observation) {
        let said = match observation {
            Observation::Excluded { attempt, group, reason, mask } => {
                self.excluded(attempt, group, reason, mask)
            }
            Observation::Selected { attempt, group, deployment, eligible } => {
                let said = self.accounted(attempt, group, eligible);
                if let Some(flight) = self.flights.get_mut(&id) {
                    flight.selected = Some((group, deployment));
                }
                said
            }
            Observation::Stranded { attempt, group, .. } => self.accounted(attempt, group, 0),
            Observation::Waiting { until, why, .. } => self.waits(id, until, why),
            Observation::GaveUp { why, .. } => self.gives_up(id, why),
            Observation::Closed { attempts, .. } => {
                let made = self.flights.get(&id).map_or(0, |flight| flight.attempts);
                if attempts != made {
                    self.breach(Invariant::Conservation, Some(id), || {
                        format!("is said to have had {attempts} attempts, and had {made}")
                    });
                }
                None
            }
            Observation::Ended { attempt, group, deployment, elapsed, usage, .. } => {
                let happened = self.flights.get_mut(&id).is_some_and(|flight| {
                    flight.ended.take().is_some_and(|(ended, used)| {
                        let Place { group: g, deployment: d, .. } = ended.place;
                        (ended.id, g, d) == (attempt, group, deployment)
                            && flight.at.since(ended.at) == elapsed
                            && used == billed(usage)
                    })
                });
                if !happened {
                    self.breach(Invariant::Conservation, Some(id), || {
                        format!("{attempt} did not end like that")
                    });
                }
                None
            }
            Observation::Rested { .. }
            | Observation::Spared { .. }
            | Observation::Page { .. }
            | Observation::Late { .. }
            | Observation::Breaker { .. }
            | Observation::Held { .. }
            | Observation::Misfit => None,
        };
        if let Some(detail) = said {
            self.breach(Invariant::WorkConservation, Some(id), || detail);
        }
    }

    /// Every exclusion names a bound that holds.
    fn excluded(
        &mut self,
        id: AttemptId,
        group: GroupId,
        reason: Reason,
        mask: u64,
    ) -> Option<String> {
        self.premise(Invariant::WorkConservation);
        let flight = self.flights.get_mut(&id.request)?;
        let (_, told) = flight.scan.filter(|(last, _)| *last == group).unwrap_or((group, 0));
        flight.scan = Some((group, told | mask));
        let flight = self.flights.get(&id.request)?;
        let members = &self.config.group(group).members;
        let everybody = u64::MAX >> (64 - members.len());
        if mask == 0 || mask & !everybody != 0 || told & mask != 0 {
            return Some(format!("{id}: the members excluded for `{reason}` make no sense"));
        }
        let wrong = (0..members.len())
            .filter(|index| mask & 1 << index != 0)
            .find(|&index| self.holds(flight, group, reason, index) == Answer::No)?;
        let name = &self.config.deployment(members[wrong].deployment).name;
        Some(format!("{id}: `{name}` is excluded for `{reason}`, which does not hold"))
    }

    /// Whether a reason of exclusion holds for a member.
    fn holds(&self, flight: &Flight, group: GroupId, reason: Reason, index: usize) -> Answer {
        let (config, at) = (&*self.config, flight.at);
        let members = &config.group(group).members;
        let member = &members[index];
        let tried = if group == flight.group { flight.tried } else { 0 };
        let any = |wanted: &dyn Fn(usize) -> bool| {
            let open = |&index: &usize| self.could(flight, group, index, at) != Answer::No;
            Answer::from((0..members.len()).filter(|&index| wanted(index)).any(|i| open(&i)))
        };
        match reason {
            Reason::Weight => (member.weight == 0).into(),
            Reason::Disabled => (member.breaker == BreakerMode::ForcedOpen).into(),
            Reason::Tags => {
                (config.group(group).tagged(flight.request.tags) >> index & 1 == 0).into()
            }
            Reason::Region => {
                let wanted = flight.request.region;
                (wanted != 0 && wanted != member.region).into()
            }
            Reason::Context => {
                let output = u64::from(flight.request.output_max.unwrap_or(0));
                let whole = u64::from(flight.request.input_tokens) + output;
                (whole > u64::from(member.context)).into()
            }
            Reason::Open => match member.breaker {
                BreakerMode::Enforce => Answer::Maybe,
                BreakerMode::Observe | BreakerMode::Disabled | BreakerMode::ForcedOpen => {
                    Answer::No
                }
            },
            Reason::Barred => flight.barred.contains(&member.deployment).into(),
            Reason::Cooling => self.health.resting(member.deployment, at),
            Reason::Limit => self.limits.take(config, member.deployment, at, flight.take()).not(),
            Reason::Parallel => self.limits.full(config, member.deployment).into(),
            Reason::Tried => {
                Answer::from(tried & 1 << index != 0).and(any(&|other| tried & 1 << other == 0))
            }
            Reason::Tier => any(&|other| members[other].tier < member.tier),
        }
    }

    /// Every member of a group is either eligible or excluded for some reason.
    fn accounted(&mut self, id: AttemptId, group: GroupId, eligible: u64) -> Option<String> {
        let flight = self.flights.get_mut(&id.request)?;
        let excluded = flight.scan.take().filter(|(last, _)| *last == group);
        let excluded = excluded.map_or(0, |(_, mask)| mask);
        let everybody = u64::MAX >> (64 - self.config.group(group).members.len());
        let name = &self.config.group(group).name;
        (excluded & eligible != 0 || excluded | eligible != everybody)
            .then(|| format!("{id}: some member of `{name}` is neither eligible nor excluded"))
    }

    /// When somebody of a group can take this request at the latest, if nothing else happens.
    pub(super) fn latest(&self, flight: &Flight, group: GroupId) -> Option<Time> {
        let (config, at) = (&*self.config, flight.at);
        let take = flight.take();
        let members = config.group(group).members.iter();
        members
            .filter(|m| m.weight > 0 && !flight.barred.contains(&m.deployment))
            .filter(|m| !self.limits.full(config, m.deployment))
            .filter_map(|m| {
                let limits = self.limits.latest(config, m.deployment, at, take)?;
                Some(limits.max(self.health.latest(m.deployment, at)))
            })
            .min()
    }

    /// The longest wait that the configuration allows after a failure.
    fn backoff(&self, flight: &Flight, failed: &Failed) -> Span {
        let backoff = self.config.group(flight.group).backoff;
        let mut bound = backoff.base.min(backoff.max);
        for _ in 1..failed.ordinal {
            bound = (bound * u64::from(backoff.factor)).min(backoff.max);
        }
        bound
    }

    /// Why somebody should have been tried at once.
    fn idles(&mut self, id: RequestId) -> Option<String> {
        let flight = self.flights.get(&id)?;
        let at = flight.at;
        if flight.deadline <= at {
            return None;
        }
        let affordable = self.budget.allows(&self.config, at);
        let spare = if flight.woken { 0 } else { flight.tried };
        if flight.woken && !affordable && !self.nobody(flight) {
            // It woke for its own group, and that may have been the end of it.
            return None;
        }
        let here = self.somebody(flight, flight.group, spare, at).filter(|_| affordable);
        if let Some(index) = here {
            let member = self.config.group(flight.group).members[index].deployment;
            let name = &self.config.deployment(member).name;
            return Some(format!("is not tried at once, though `{name}` could take it"));
        }
        let group = self.elsewhere(flight, None, at)?;
        let name = &self.config.group(group).name;
        Some(format!("does not fall back, though `{name}` could take it"))
    }

    /// Whether certainly nobody of the current group could take this request now.
    fn nobody(&self, flight: &Flight) -> bool {
        let (group, at) = (flight.group, flight.at);
        let mut members = 0..self.config.group(group).members.len();
        members.all(|index| self.could(flight, group, index, at) == Answer::No)
    }

    fn waits(&mut self, id: RequestId, until: Time, why: Wait) -> Option<String> {
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

    /// Whether a wait is too long, or for nothing.
    fn pointless(&self, flight: &Flight, until: Time, why: Wait) -> Option<String> {
        let Some(failed) = &flight.failed else { return Some("waits before any failure".into()) };
        let at = flight.at;
        let most = self.config.router().attempts.max(flight.planned);
        if failed.is_final() || flight.attempts >= most {
            return Some("waits though nothing may follow".into());
        }
        if until < at || until >= flight.deadline {
            return Some(format!("waits at {at} until {until}, when nothing can follow"));
        }
        let backoff = at + self.backoff(flight, failed);
        let asked = failed.failure.retry_after;
        if why == Wait::RetryAfter && asked.is_none() {
            return Some("waits for a `Retry-After` that nobody sent".into());
        }
        let members = 0..self.config.group(flight.group).members.len();
        let nobody =
            || members.clone().all(|i| self.could(flight, flight.group, i, at) == Answer::No);
        if why == Wait::Backoff && (until > backoff || nobody()) {
            return Some(format!("waits at {at} until {until} for a backoff within {backoff}"));
        }
        let eligible = self.latest(flight, flight.group).unwrap_or(Time::MAX);
        let most = backoff.max(eligible) + AGAIN;
        (until > most).then(|| format!("waits at {at} until {until}, not {most}"))
    }

    fn gives_up(&mut self, id: RequestId, why: GiveUp) -> Option<String> {
        self.premise(Invariant::WorkConservation);
        let idle = match why {
            GiveUp::Final | GiveUp::Committed | GiveUp::Attempts | GiveUp::Retries => None,
            GiveUp::Budget | GiveUp::Deadline | GiveUp::Stranded | GiveUp::Drain => self.idles(id),
        };
        let flight = self.flights.get_mut(&id)?;
        flight.gave_up = Some(why);
        let at = flight.at;
        let affordable = self.budget.allows(&self.config, at);
        let flight = self.flights.get(&id)?;
        let Some(failed) = &flight.failed else { return Some("gives up unfailed".into()) };
        let holds = match why {
            GiveUp::Final => failed.is_final(),
            GiveUp::Committed => flight.committed.is_some(),
            GiveUp::Attempts => flight.attempts >= self.config.router().attempts,
            GiveUp::Retries => true,
            GiveUp::Budget => !affordable,
            GiveUp::Deadline => {
                let eligible = self.latest(flight, flight.group).unwrap_or(Time::MAX);
                eligible.max(at + self.backoff(flight, failed)) + AGAIN >= flight.deadline
            }
            GiveUp::Stranded => self.latest(flight, flight.group).is_none(),
            GiveUp::Drain => self.draining,
        };
        match why {
            GiveUp::Final => self.premise(Invariant::FinalFailures),
            GiveUp::Attempts => self.premise(Invariant::AttemptCap),
            GiveUp::Budget => self.premise(Invariant::RetryBudget),
            GiveUp::Committed
            | GiveUp::Retries
            | GiveUp::Deadline
            | GiveUp::Stranded
            | GiveUp::Drain => {}
        }
        if holds { idle } else { Some(format!("gives up for `{why:?}`, which does not hold")) }
    }
}
