//! What led to an output: a deadline, or the input that was held back.

use super::flight::Flight;
use super::{Auditor, Invariant};
use crate::{Abandon, Input, Observation, Outcome, Output, Rejection, RequestId, Time};

impl Auditor {
    /// Finds out what led to an output about `id`.
    pub(super) fn trigger(&mut self, id: RequestId, output: &Output) {
        let Some(flight) = self.flights.get_mut(&id) else {
            if matches!(&self.pending, Some(Input::Submit(request)) if request.id == id) {
                self.apply();
            }
            return;
        };
        if flight.deciding
            || matches!(output, Output::Observe(Observation::Ended { attempt, .. }) if flight.has_ended(*attempt))
        {
            return;
        }
        let concerned = match &self.pending {
            Some(Input::Upstream(attempt, _)) => attempt.request == id,
            Some(Input::Cancel(request)) => *request == id,
            Some(
                Input::Submit(_)
                | Input::Tick
                | Input::Reconfigure(_)
                | Input::Peers(_)
                | Input::Drain,
            )
            | None => false,
        };
        let told = flight.was_told();
        let next = |flight: &Flight| {
            if is_choice(output) { flight.due() } else { flight.due_but_hedge() }
        };
        let due = next(flight);
        if flight.hedge_due().is_some_and(|(least, most)| least != most) && is_choice(output) {
            // It was due at an instant that the books do not know.
            flight.deciding = true;
            (flight.at, flight.since) = (self.now, self.now);
            self.touched.push(id);
            return self.list(id);
        }
        let up = due < self.now || self.ticked && due == self.now;
        let waits = flight.queued.is_some() && !up;
        if due < self.now && !(told && concerned) || due == self.now && flight.is_moved() {
            return self.fire(id, due);
        }
        if waits {
            return self.called(id, output);
        }
        (flight.at, flight.since) = (self.now, self.now);
        self.apply();
        if concerned && is_commitment(output) {
            return;
        }
        match self.flights.get(&id) {
            Some(flight) if !flight.deciding && self.is_up(next(flight)) => {
                self.fire(id, next(flight));
            }
            Some(_) | None => {}
        }
    }

    /// A deadline of `id` has come.
    fn fire(&mut self, id: RequestId, due: Time) {
        self.premise(Invariant::TimeMonotone);
        self.premise(Invariant::Punctual);
        let told = self.flights.get(&id).is_some_and(Flight::was_told);
        if due < self.front && !told {
            let front = self.front;
            self.breach(Invariant::TimeMonotone, Some(id), || {
                alloc::format!("is acted on for {due}, after something of {front}")
            });
        }
        self.front = self.front.max(due);
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.deciding = true;
            (flight.at, flight.since) = (self.now, due);
            flight.woken = flight.waiting.take() == Some(due);
        }
        self.touched.push(id);
        self.list(id);
    }

    /// Whether `output` turns down a second submission of a request that is open.
    pub(super) fn is_duplicate(&self, output: &Output) -> bool {
        let why = if self.draining { Rejection::Drain } else { Rejection::Duplicate };
        let told = match output {
            Output::Finish(id, Outcome::Reject(said)) if *said == why => Some(id),
            Output::Observe(Observation::Closed { request, attempts: 0, .. }) => Some(request),
            Output::Finish(..)
            | Output::Observe(_)
            | Output::Dispatch(_)
            | Output::Abandon(..)
            | Output::Commit(_) => None,
        };
        let Some(id) = told else { return false };
        matches!(&self.pending, Some(Input::Submit(request)) if request.id == *id)
            && self
                .flights
                .get(id)
                .is_some_and(|flight| !flight.deciding && flight.due() >= self.now)
    }
}

/// Whether this belongs to a choice of whom to send an attempt to.
fn is_choice(output: &Output) -> bool {
    matches!(
        output,
        Output::Dispatch(_)
            | Output::Observe(
                Observation::Excluded { .. }
                    | Observation::Selected { .. }
                    | Observation::Held { .. }
            )
    )
}

/// Whether this tells that one attempt speaks to the client, and another will not.
fn is_commitment(output: &Output) -> bool {
    matches!(output, Output::Commit(_) | Output::Abandon(_, Abandon::Hedged))
}
