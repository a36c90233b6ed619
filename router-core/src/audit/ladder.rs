//! What a ladder may give instead of the full answer, and when it must.
//!
//! Rungs that are no groups have something or not, by the request's own word; a group has something
//! if it may still be asked and somebody there can certainly take the request.

use alloc::format;
use alloc::string::String;

use super::flight::{Failed, Flight};
use super::{Answer, Auditor, Invariant};
use crate::{Cached, Detour, Dispatch, GroupId, Outcome, Rejection, RequestId, Rung};

type Said = Option<(Invariant, String)>;

/// What a rung that is no group gives to who has this in the cache.
fn gives(rung: Rung, cached: Cached) -> Option<Outcome> {
    match rung {
        Rung::Fresh if cached == Cached::Fresh => Some(Outcome::Cached { stale: false }),
        Rung::Stale if cached != Cached::None => {
            Some(Outcome::Cached { stale: cached == Cached::Stale })
        }
        Rung::Static => Some(Outcome::Static),
        Rung::Fresh | Rung::Stale | Rung::Group(_) => None,
    }
}

const fn is_group(rung: Rung) -> bool {
    matches!(rung, Rung::Group(_))
}

impl Auditor {
    /// What is above the full answer and has something for a new request; what comes too late has
    /// nothing to gain.
    pub(super) fn spares(&self, flight: &Flight) -> Option<Outcome> {
        let above = &self.config.group(flight.request.group).ladder.above;
        let mut given = above.iter().filter_map(|rung| gives(*rung, flight.request.cached));
        given.next().filter(|_| flight.deadline > flight.submitted)
    }

    /// The rungs that are left below, from the top.
    fn below<'a>(&'a self, flight: &Flight) -> impl Iterator<Item = Rung> + use<'a> {
        let below = &self.config.group(flight.request.group).ladder.below;
        let here =
            flight.rung.and_then(|on| below.iter().position(|rung| *rung == Rung::Group(on)));
        below[here.map_or(0, |place| place + 1)..].iter().copied()
    }

    /// Whether a request may be sent to a group of its ladder at all; without a place in the router
    /// it goes nowhere.
    fn may_visit(&self, flight: &Flight, group: GroupId) -> bool {
        flight.refused.is_none()
            && flight.attempts < self.config.router().attempts
            && flight.deadline > flight.at
            && self.has_credit(flight) != Answer::No
            && self.detour(flight) == Detour::Any
            && flight.visited & 1 << group.index() == 0
            && (flight.attempts > 0 || !self.queues.is_full(&self.config, flight.request.group))
    }

    /// Whether a rung certainly has something for a request.
    fn has(&self, flight: &Flight, rung: Rung) -> bool {
        match rung {
            Rung::Group(group) => {
                self.may_visit(flight, group)
                    && self.has_credit(flight) == Answer::Yes
                    && self.somebody(flight, group, 0, flight.at).is_some()
            }
            Rung::Fresh | Rung::Stale | Rung::Static => {
                gives(rung, flight.request.cached).is_some()
            }
        }
    }

    /// Whether a dispatch to this group is a step down. To a group that is a fallback as well it is
    /// if that is said of a first attempt: whoever is put out of a queue may be sent where it had
    /// to wait to go.
    pub(super) fn steps(&self, flight: &Flight, group: GroupId) -> bool {
        let falls_back = self.candidates(flight, self.detour(flight)).any(|other| other == group);
        let said = flight.attempts == 0 && flight.told_rung == Some(Rung::Group(group));
        group != flight.group
            && (!falls_back || said)
            && self.may_visit(flight, group)
            && self.below(flight).any(|rung| rung == Rung::Group(group))
    }

    /// Whether an attempt should not have been made, or not yet, for what the ladder has.
    pub(super) fn misstep(&self, flight: &Flight, dispatch: Dispatch) -> Said {
        let said = |detail| Some((Invariant::Ladder, detail));
        let id = dispatch.attempt;
        if flight.spared.is_some() {
            return said(format!("{id}: the cache has what it asks for"));
        }
        if !self.steps(flight, dispatch.group) {
            return None;
        }
        let name = &self.config.group(dispatch.group).name;
        if let Some(detail) = self.is_unfinished(flight) {
            return said(format!("{id}: steps down to `{name}`, though it {detail}"));
        }
        let mut above = self.below(flight).take_while(|rung| *rung != Rung::Group(dispatch.group));
        let passed = above.find(|rung| self.has(flight, *rung))?;
        said(format!("{id}: steps down past {passed:?} to `{name}`"))
    }

    /// Why the full answer, or that of the rung it is on, may still be had.
    fn is_unfinished(&self, flight: &Flight) -> Option<String> {
        if let Some((committed, _)) = flight.committed {
            return Some(format!("is answered by {committed}"));
        }
        if flight.at >= flight.deadline || flight.refused == Some(Rejection::Full) {
            return None;
        }
        if flight.attempts == 0 && self.has_credit(flight) != Answer::Yes {
            return None;
        }
        if flight.attempts == 0
            && let Some(has_to_wait) = self.has_to_wait(flight)
        {
            return has_to_wait.then(|| "has to wait".into());
        }
        if flight.failed.is_some() {
            let silent = flight.gave_up.is_none();
            return silent.then(|| "has not given up".into());
        }
        let at = flight.at;
        let here = self.somebody(flight, flight.request.group, 0, at).map(|_| flight.group);
        let group = here.or_else(|| self.elsewhere(flight, None, at))?;
        Some(format!("could go to `{}`", self.config.group(group).name))
    }

    /// A request is answered by nobody in particular.
    pub(super) fn stepped_out(&mut self, id: RequestId, outcome: Outcome) -> Said {
        self.premise(Invariant::Ladder);
        // Without an account it goes nowhere.
        let crowded = self.flights.get(&id)?.attempts == 0 && self.is_crowded(id).is_none();
        let flight = self.flights.get(&id)?;
        let said = |detail| Some((Invariant::Ladder, detail));
        if let Some(spared) = flight.spared {
            let wrong = spared != outcome;
            return wrong.then(|| (Invariant::Ladder, format!("is answered past {spared:?}")));
        }
        let cached = flight.request.cached;
        let Some(rung) = self.below(flight).find(|rung| gives(*rung, cached) == Some(outcome))
        else {
            return said(format!("is answered `{outcome:?}`, which no rung has for it"));
        };
        let expires = flight.at >= flight.deadline;
        if !expires && flight.failed.as_ref().is_some_and(Failed::is_final) {
            return said("is answered by its ladder, though its failure is final".into());
        }
        if let Some(detail) = self.is_unfinished(flight).filter(|_| !crowded) {
            return said(format!("is answered by its ladder, though it {detail}"));
        }
        let mut above = self.below(flight).take_while(|other| *other != rung);
        let passed = above.find(|rung| !(crowded && is_group(*rung)) && self.has(flight, *rung))?;
        said(format!("is answered by {rung:?}, past {passed:?}"))
    }

    /// A request ends with nothing, though a rung of its ladder had something.
    pub(super) fn left_out(&self, id: RequestId, outcome: Outcome) -> Said {
        let flight = self.flights.get(&id)?;
        let soft = match outcome {
            Outcome::Expire => flight.deadline > flight.submitted,
            Outcome::Reject(why) => match why {
                Rejection::Drain | Rejection::Duplicate | Rejection::TooLong => false,
                // Its group is not there any more, nor is its ladder for who comes now.
                Rejection::NoDeployment(_) => flight.refused.is_none(),
                // Whoever is out of time on arrival is turned away all the same.
                Rejection::Full => flight.deadline > flight.submitted,
                Rejection::Subject { .. }
                | Rejection::Budget { .. }
                | Rejection::Accounts
                | Rejection::GroupFull
                | Rejection::QueueFull(_)
                | Rejection::QueueTimeout(_)
                | Rejection::Shed(_) => true,
            },
            Outcome::Exhaust(_) => flight
                .failed
                .as_ref()
                .is_some_and(|failed| !failed.is_final() && !failed.is_detoured()),
            Outcome::Serve(..)
            | Outcome::Partial(..)
            | Outcome::Cancel
            | Outcome::Cached { .. }
            | Outcome::Static => false,
        };
        if !soft || flight.committed.is_some() {
            return None;
        }
        let crowded = outcome == Outcome::Reject(Rejection::Accounts);
        let mut rungs = self.below(flight).filter(|rung| !(crowded && is_group(*rung)));
        let passed = rungs.find(|rung| self.has(flight, *rung));
        if passed.is_none() && flight.spared.is_none() {
            return None;
        }
        Some((Invariant::Ladder, format!("ends in an error, though {passed:?} has something")))
    }

    /// The router says which rung has something: it is held to that by what it does next.
    pub(super) fn told_rung(&mut self, id: RequestId, rung: Rung) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.told_rung = Some(rung);
        }
    }

    /// Whether another rung was told of than the one that an end came from.
    pub(super) fn other_rung(&self, id: RequestId, outcome: Outcome) -> Said {
        let flight = self.flights.get(&id)?;
        let wrong = match flight.told_rung? {
            Rung::Fresh => outcome != Outcome::Cached { stale: false },
            Rung::Stale => !matches!(outcome, Outcome::Cached { .. }),
            Rung::Static => outcome != Outcome::Static,
            Rung::Group(_) => true,
        };
        wrong.then(|| (Invariant::ClaimsHold, format!("ends with {outcome:?}, not as it is told")))
    }
}
