//! What the router says of itself, held against the books.

use alloc::format;
use alloc::string::String;

use super::flight::{Flight, Scan, Selected, billed};
use super::smooth::passes;
use super::{Answer, Auditor, Invariant};
use crate::{AttemptId, GroupId, Observation, Reason, RequestId, Span, Time};

impl Auditor {
    /// An observation about an open request.
    pub(super) fn claimed(&mut self, id: RequestId, observation: Observation) {
        let said = match observation {
            Observation::Excluded { attempt, group, reason, mask } => {
                self.excluded(attempt, group, reason, mask)
            }
            Observation::Selected { attempt, group, deployment, eligible } => {
                if let Some(flight) = self.flights.get_mut(&id) {
                    let scan = flight.scan.filter(|scan| scan.group == group);
                    let held_up = scan.map_or(0, |scan| scan.held_up);
                    flight.selected = Some(Selected { group, deployment, eligible, held_up });
                }
                self.accounted(attempt, group, eligible)
            }
            Observation::Stranded { attempt, group, earliest } => {
                let said = self.accounted(attempt, group, 0);
                said.or_else(|| self.returns(id, group, earliest))
            }
            Observation::Waiting { until, why, .. } => self.waits(id, until, why),
            Observation::GaveUp { why, .. } => self.gives_up(id, why),
            Observation::Stepped { rung, .. } => {
                self.told_rung(id, rung);
                None
            }
            Observation::Held { attempt, why } => {
                self.held(attempt, why);
                None
            }
            Observation::Queued { .. } => {
                self.lines_up(id, &observation);
                None
            }
            Observation::Dequeued { .. } => {
                self.goes(id, &observation);
                None
            }
            Observation::Closed { .. } => {
                self.told = true;
                self.closed(id, &observation);
                None
            }
            Observation::Ended { attempt, .. } => {
                self.ended(attempt, &observation);
                None
            }
            Observation::Rested { .. }
            | Observation::Spared { .. }
            | Observation::Concurrency { .. }
            | Observation::Page { .. }
            | Observation::Budget { .. }
            | Observation::Late { .. }
            | Observation::Drained { .. }
            | Observation::Breaker { .. }
            | Observation::Misfit => None,
        };
        if let Some(detail) = said {
            self.breach(Invariant::WorkConservation, Some(id), || detail);
        }
    }

    /// Whether somebody is there for a request later than is said.
    fn returns(&self, id: RequestId, group: GroupId, earliest: Option<Time>) -> Option<String> {
        let flight = self.flights.get(&id)?;
        let latest = self.latest(flight, group);
        let wrong = latest.is_some_and(|latest| earliest.is_none_or(|said| said > latest))
            || earliest.is_some_and(|said| said < flight.at);
        let name = &self.config.group(group).name;
        wrong.then(|| format!("`{name}` is said to return at {earliest:?}, not {latest:?}"))
    }

    /// What is told of a whole life is what it was.
    fn closed(&mut self, id: RequestId, said: &Observation) {
        let Some(flight) = self.flights.get(&id) else { return };
        let first = flight.committed.map(|(_, at)| at.since(flight.submitted));
        let Observation::Closed { group, attempts, first_token, elapsed, .. } = *said else {
            return;
        };
        let holds = (group, attempts) == (flight.request.group, flight.attempts)
            && is_told(first, first_token)
            && elapsed == self.now.since(flight.submitted);
        if !holds {
            let made = flight.attempts;
            self.breach(Invariant::Conservation, Some(id), || {
                format!("had {made} attempts and its first token after {first:?}, not {said:?}")
            });
        }
    }

    /// What is told of an attempt is what it was, and is told once.
    fn ended(&mut self, id: AttemptId, said: &Observation) {
        let Some(flight) = self.flights.get_mut(&id.request) else { return };
        let Observation::Ended { group, deployment, end, first_token, elapsed, usage, .. } = *said
        else {
            return;
        };
        let holds = flight.end_of(id).is_some_and(|ended| {
            let committed = flight.committed.filter(|(committed, _)| *committed == id);
            let first = committed.map(|(_, at)| at.since(ended.at));
            (ended.group, ended.deployment, ended.end) == (group, deployment, end)
                && ended.elapsed == elapsed
                && ended.used == billed(usage)
                && is_told(first, first_token)
        });
        if !holds {
            self.breach(Invariant::Conservation, Some(id.request), || {
                format!("{id} did not end like that")
            });
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
        let scan = flight.scan.filter(|scan| scan.group == group);
        let scan = scan.unwrap_or(Scan { group, told: 0, held_up: 0 });
        let (told, passing) = (scan.told, if passes(reason) { mask } else { 0 });
        let held_up = scan.held_up | passing;
        flight.scan = Some(Scan { group, told: told | mask, held_up });
        if reason == Reason::Budget {
            self.dear = Some((id.request, group, mask));
        }
        let flight = self.flights.get(&id.request)?;
        let members = &self.config.group(group).members;
        let everybody = self.config.group(group).present;
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
        let fresh = |other: usize| tried & 1 << other == 0;
        let any = |wanted: &dyn Fn(usize) -> bool| {
            let open = |&index: &usize| self.could(flight, group, index, at) != Answer::No;
            let present = config.group(group).present().map(|(index, _)| index);
            Answer::from(present.filter(|&index| wanted(index)).any(|i| open(&i)))
        };
        let in_spite = |out: Answer| match out {
            Answer::No => out,
            Answer::Yes | Answer::Maybe => {
                let able = self.able(flight, group, index, at);
                out.and(able.rescued.and(able.fits).not())
            }
        };
        match reason {
            Reason::Disabled | Reason::Tags | Reason::Region | Reason::Context => {
                (self.unfit(flight, group, index) == Some(reason)).into()
            }
            Reason::Budget => self.affords(flight, member.deployment, at).not(),
            Reason::Barred => flight.barred.contains(&member.deployment).into(),
            Reason::Cooling => in_spite(self.health.resting(member.deployment, at)),
            Reason::Open => in_spite(self.health.admits(config, group, index, at).not()),
            Reason::Limit => {
                let closed = self.limits.closed(config, member.deployment, at);
                let taken = self.limits.take(config, member.deployment, at, flight.take());
                Answer::from(closed).or(taken.not())
            }
            Reason::Parallel => self.is_full(member.deployment).into(),
            Reason::Weight => Answer::from(member.weight == 0).and(any(&|other| {
                members[other].weight > 0 && members[other].tier == member.tier && fresh(other)
            })),
            Reason::Tried => Answer::from(!fresh(index)).and(any(&fresh)),
            Reason::Tier => any(&|other| members[other].tier < member.tier),
        }
    }

    /// Every member of a group is either eligible or excluded for some reason.
    fn accounted(&mut self, id: AttemptId, group: GroupId, eligible: u64) -> Option<String> {
        let flight = self.flights.get_mut(&id.request)?;
        let excluded = flight.scan.take().filter(|scan| scan.group == group);
        let excluded = excluded.map_or(0, |scan| scan.told);
        let everybody = self.config.group(group).present;
        let name = &self.config.group(group).name;
        // Of those eligible, a hedge goes only to some.
        let all = excluded | eligible == everybody || flight.live.is_some();
        (excluded & eligible != 0 || !all)
            .then(|| format!("{id}: some member of `{name}` is neither eligible nor excluded"))
    }
}

/// The longest time to first token of an attempt that can be told.
const LONGEST: Span = Span::from_micros(u32::MAX as u64 - 1);

/// Whether this is how a time to first token is told: in whole microseconds, of 32 bits.
fn is_told(first: Option<Span>, said: Option<Span>) -> bool {
    match (first, said) {
        (None, None) => true,
        (Some(first), Some(said)) => {
            said <= first && (first < said + Span::from_micros(1) || said >= LONGEST)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}
