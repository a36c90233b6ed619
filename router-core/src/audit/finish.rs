//! How a request may end.

use alloc::format;
use alloc::string::String;

use super::{Answer, Auditor, Invariant};
use crate::{AttemptId, Failure, Outcome, Rejection, RequestId, Span};

type Said = Option<(Invariant, String)>;

impl Auditor {
    /// An attempt's bytes may go to the client.
    pub(super) fn committed(&mut self, id: AttemptId) {
        self.premise(Invariant::CommitIsFinal);
        let now = self.now;
        let Some(flight) = self.flights.get_mut(&id.request) else { return };
        let answered = flight.answer.is_some_and(|(attempt, _)| attempt == id);
        let live = flight.lives().find(|live| live.id == id).copied();
        let spoken = live.is_some_and(|live| live.sign.is_some() && live.stream);
        let other = flight.lives().map(|live| live.id).find(|live| *live != id);
        let before = flight.committed.replace((id, now));
        let won = flight.won.take();
        if let Some((before, _)) = before {
            self.breach(Invariant::CommitIsFinal, Some(id.request), || {
                format!("{id} is committed after {before}")
            });
        } else if !answered && !spoken {
            self.breach(Invariant::CommitIsFinal, Some(id.request), || {
                format!("{id} is committed with nothing to say")
            });
        } else if let Some(other) = other {
            self.breach(Invariant::Hedges, Some(id.request), || {
                format!("{id} is committed, and {other} is still in flight")
            });
        }
        if let Some(won) = won {
            let (attempt, used) = *won;
            self.won(&attempt, used);
        }
        if let Some(live) = live.filter(|_| spoken) {
            self.responded(&live);
            self.expected.first_token(&live, now);
            self.hedges.sample(&live, now);
        }
    }

    /// The last mention of a request.
    pub(super) fn finished(&mut self, id: RequestId, outcome: Outcome) {
        self.turns_down(id, outcome);
        let said = match outcome {
            Outcome::Serve(attempt, usage) => {
                let given = self.flights.get(&id).and_then(|flight| flight.answer);
                let given = given == Some((attempt, usage));
                self.served(id, attempt, given)
            }
            Outcome::Partial(attempt, _) => {
                let given = self.flights.get(&id).and_then(|flight| flight.cut);
                self.served(id, attempt, given == Some(attempt))
            }
            Outcome::Exhaust(failure) => self.exhausted(id, failure),
            Outcome::Reject(rejection) => self.rejected(id, rejection),
            Outcome::Expire => self.expired(id),
            Outcome::Cancel => {
                let cancelled = self.flights.get(&id).is_some_and(|flight| flight.cancelled);
                let detail = || "is cancelled, but nobody asked for that".into();
                (!cancelled).then(|| (Invariant::Conservation, detail()))
            }
            Outcome::Cached { .. } | Outcome::Static => {
                let said = self.stepped_out(id, outcome);
                said.or_else(|| self.other_rung(id, outcome))
            }
        };
        let said = said.or_else(|| self.left_out(id, outcome));
        let said = said.or_else(|| self.broke_off(id, outcome));
        if let Some((invariant, detail)) = said {
            self.breach(invariant, Some(id), || detail);
        }
        let Some(flight) = self.flights.remove(&id) else { return };
        self.queues.over(&self.config, &flight);
        self.due.remove(&(flight.listed, id));
        self.accounts.close(&flight.accounts, flight.attempts > 0);
        for live in flight.lives() {
            self.limits.release(&self.config, live.place.deployment);
            self.breach(Invariant::NothingLeaks, Some(id), || {
                format!("is finished, but {} is still in flight", live.id)
            });
        }
    }

    /// What goes for every end: a refusal that was due, and the deadline.
    fn broke_off(&self, id: RequestId, outcome: Outcome) -> Said {
        let flight = self.flights.get(&id)?;
        if let Some(rejection) = flight.refused
            && outcome != Outcome::Reject(rejection)
            && !(rejection == Rejection::Full && is_laddered(&outcome))
        {
            let invariant = match rejection {
                Rejection::Drain => Invariant::DrainHolds,
                Rejection::NoDeployment(_) => Invariant::Removed,
                Rejection::Full
                | Rejection::TooLong
                | Rejection::Subject { .. }
                | Rejection::Budget { .. }
                | Rejection::Accounts
                | Rejection::Duplicate
                | Rejection::GroupFull
                | Rejection::QueueFull(_)
                | Rejection::QueueTimeout(_)
                | Rejection::Shed(_) => Invariant::Parallel,
            };
            return Some((invariant, format!("should have been refused: {rejection:?}")));
        }
        // A deadline that was acted on late may end a request late, but not with an answer.
        let (since, deadline) = (flight.since, flight.deadline);
        let late = outcome != Outcome::Expire && since > deadline;
        late.then(|| (Invariant::Deadline, format!("ends at {since}, not by {deadline}")))
    }

    fn served(&self, id: RequestId, attempt: AttemptId, given: bool) -> Said {
        let flight = self.flights.get(&id)?;
        if !given {
            return Some((Invariant::Conservation, format!("{attempt} gave no such answer")));
        }
        let silent = flight.committed.is_none_or(|(committed, _)| committed != attempt);
        silent.then(|| (Invariant::CommitIsFinal, format!("{attempt} was never committed")))
    }

    fn exhausted(&self, id: RequestId, failure: Failure) -> Said {
        let flight = self.flights.get(&id)?;
        // What the failed call is billed for is told when the attempt ends; clients are told to
        // wait for whole milliseconds.
        let longest = Span::from_millis(u64::from(u32::MAX) - 1);
        let whole =
            |span: Span| Span::from_millis(span.as_nanos().div_ceil(1_000_000)).min(longest);
        let told = |failure: Failure| Failure {
            usage: None,
            retry_after: failure.retry_after.map(whole),
            ..failure
        };
        if flight.failed.is_none_or(|failed| told(failed.failure) != failure) {
            let detail = format!("did not fail last with {:?}", failure.kind);
            return Some((Invariant::Conservation, detail));
        }
        let silent = flight.gave_up.is_none();
        silent.then(|| (Invariant::WorkConservation, "is exhausted for no reason".into()))
    }

    fn rejected(&mut self, id: RequestId, rejection: Rejection) -> Said {
        self.premise(Invariant::WorkConservation);
        let flight = self.flights.get(&id)?;
        if flight.attempts > 0 {
            return Some((Invariant::Conservation, "is rejected after having been tried".into()));
        }
        let said = |detail: String| (Invariant::WorkConservation, detail);
        let earliest = match rejection {
            Rejection::NoDeployment(_) if flight.refused == Some(rejection) => return None,
            Rejection::NoDeployment(earliest) => {
                if earliest.is_some() && self.config.group(flight.request.group).queue.is_some() {
                    let detail = "is rejected, though there is a queue for it";
                    return Some((Invariant::WorkConservation, detail.into()));
                }
                earliest
            }
            Rejection::Subject { kind, what, earliest } => {
                return self.is_refused(flight, kind, what, earliest).map(said);
            }
            Rejection::Budget { kind, earliest } => {
                return self.is_too_dear(flight, kind, earliest).map(said);
            }
            Rejection::Accounts => {
                return self.is_crowded(id).map(said);
            }
            Rejection::GroupFull
            | Rejection::QueueFull(_)
            | Rejection::QueueTimeout(_)
            | Rejection::Shed(_) => {
                let said = self.is_turned_away(flight, rejection);
                self.premise(Invariant::QueueBound);
                return said;
            }
            Rejection::Drain | Rejection::TooLong | Rejection::Full | Rejection::Duplicate => {
                let long = rejection == Rejection::TooLong && self.too_long(flight);
                let wrong = flight.refused != Some(rejection) && !long;
                let detail = || format!("is rejected for `{rejection:?}`, which does not hold");
                return wrong.then(|| (Invariant::WorkConservation, detail()));
            }
        };
        let said = if self.too_long(flight) {
            Some("is not told that it is too long".into())
        } else if flight.queued.is_none() && self.has_credit(flight) == Answer::No {
            Some("is not told that its subject's limit is in the way".into())
        } else if self.too_dear(flight) == Answer::Yes {
            Some("is not told that a budget is in the way".into())
        } else {
            self.is_stranded(flight, earliest)
        };
        said.map(|detail| (Invariant::WorkConservation, detail))
    }

    fn expired(&mut self, id: RequestId) -> Said {
        self.premise(Invariant::Deadline);
        let flight = self.flights.get(&id)?;
        let (at, deadline) = (flight.at, flight.deadline);
        let early = at < deadline;
        early.then(|| (Invariant::TimeMonotone, format!("expires at {at}, before {deadline}")))
    }
}

/// Whether this is an answer that takes no place in the router.
const fn is_laddered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Cached { .. } | Outcome::Static)
}
