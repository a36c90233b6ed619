//! What a request is given when the full answer is not needed, or not to be had: the rungs of its
//! group's ladder. One that calls nobody spends nothing: no limit, no budget, no place.

use crate::fallback::Unfit;
use crate::flight::{DEGRADED, Flight};
use crate::retry::{detour, is_final};
use crate::router::Router;
use crate::{Cause, Detour, GroupId, Observation, Outcome, Rejection, Request, Rung, Time};

/// What the driver's response cache holds for a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cached {
    /// Nothing.
    #[default]
    None,
    /// An answer past its time to live.
    Stale,
    /// An answer within its time to live.
    Fresh,
}

impl Router {
    /// Answers a new request from above the full answer, if something there has one.
    #[cold]
    pub(crate) fn is_spared(&mut self, request: &Request, deadline: Time) -> bool {
        let ladder = &self.config.group(request.group).ladder;
        let Some(rung) = ladder.spares(request.cached).filter(|_| deadline > self.now) else {
            return false;
        };
        let Some(outcome) = rung.answer(request.cached) else { return false };
        self.observe(Observation::Stepped { request: request.id, rung });
        self.close_unseated(request, outcome);
        true
    }

    /// A new request that there is no room for: whatever its ladder has that calls nobody.
    #[cold]
    pub(crate) fn turn_away(&mut self, request: &Request, deadline: Time, why: Rejection) {
        let ladder = &self.config.group(request.group).ladder;
        let mut rungs = ladder.below.iter().filter(|_| deadline > self.now);
        let found = rungs.find_map(|rung| Some((*rung, rung.answer(request.cached)?)));
        if let Some((rung, _)) = found {
            self.observe(Observation::Stepped { request: request.id, rung });
        }
        let outcome = found.map_or(Outcome::Reject(why), |(_, outcome)| outcome);
        self.close_unseated(request, outcome);
    }

    /// What a request that is to end like this ends with; `None` if it goes on, in a smaller group.
    #[cold]
    pub(crate) fn step_down(&mut self, slot: u32, outcome: Outcome) -> Option<Outcome> {
        let flight = *self.flight(slot);
        if flight.lead.is_committed() || !is_failure(&outcome) {
            return Some(outcome);
        }
        let (home, cached) = (flight.home(), self.aside(&flight).cached);
        let ladder = &self.config.group(home).ladder;
        let on_a_rung = flight.lead.is(DEGRADED);
        let mut place = if on_a_rung { ladder.after(flight.group()) } else { 0 };
        while let Some(&rung) = self.config.group(home).ladder.below.get(place) {
            place += 1;
            let answer = rung.answer(cached);
            if answer.is_some() {
                self.observe(Observation::Stepped { request: flight.id, rung });
                return answer;
            }
            // Without an account there is nobody to charge.
            if let Rung::Group(group) = rung
                && outcome != Outcome::Reject(Rejection::Accounts)
                && self.visit(slot, &flight, group)
            {
                return None;
            }
        }
        Some(outcome)
    }

    /// Whether a request that was never dispatched may be: its group has a place for it, and it is
    /// not too long for everybody there, which its narrower fallbacks are for.
    fn may_set_out(&self, flight: &Flight) -> bool {
        let home = flight.home();
        flight.tally.made() > 0
            || !self.queues.is_full(home, self.config.group(home))
                && self.eligibility(flight, home).unfit(self.config.group(home)) != Unfit::Length
    }

    /// Sends a request to a group of its ladder, if it may go there and somebody can take it.
    fn visit(&mut self, slot: u32, flight: &Flight, group: GroupId) -> bool {
        let may = flight.tally.made() < self.config.router().attempts
            && flight.deadline > self.now
            && flight.kept() == Detour::Any
            && flight.visited & 1 << group.index() == 0
            && self.may_set_out(flight)
            && self.is_unobstructed(flight);
        if !may {
            return false;
        }
        let found = self.eligibility(flight, group);
        self.explain(flight, group, &found);
        if found.eligible == 0 {
            self.strand(slot, group, &found);
            return false;
        }
        self.observe(Observation::Stepped { request: flight.id, rung: Rung::Group(group) });
        self.flight_mut(slot).lead.flags |= DEGRADED;
        self.dispatch(slot, group, &found, Cause::Degraded);
        true
    }
}

/// Whether an end is one that a ladder may soften: not what nobody could answer, nor what the
/// driver itself asked for.
fn is_failure(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Serve(..)
        | Outcome::Partial(..)
        | Outcome::Cancel
        | Outcome::Cached { .. }
        | Outcome::Static => false,
        Outcome::Expire => true,
        Outcome::Exhaust(failure) => !is_final(failure) && detour(failure) == Detour::Any,
        Outcome::Reject(why) => match why {
            Rejection::Drain | Rejection::Duplicate | Rejection::TooLong => false,
            Rejection::NoDeployment(_)
            | Rejection::Full
            | Rejection::Subject { .. }
            | Rejection::Budget { .. }
            | Rejection::Accounts
            | Rejection::GroupFull
            | Rejection::QueueFull(_)
            | Rejection::QueueTimeout(_)
            | Rejection::Shed(_) => true,
        },
    }
}
