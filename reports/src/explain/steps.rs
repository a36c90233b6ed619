//! What a story says of a ladder: why the full answer was left, and each rung that had nothing.

use std::sync::Arc;

use router_core::{
    Cached, End, FailureKind, GiveUp, GroupId, Observation, Outcome, Rejection, Request, Rung, Time,
};

use super::say;
use super::story::Story;
use crate::words::count;

/// Where on its ladder the call's latest try is, and what is known of the way there.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// When it was submitted.
    submitted: Time,
    /// How many rungs below the full answer are behind it.
    place: usize,
    /// How many attempts were made.
    made: u8,
    /// What it was refused for, if that leads to narrower fallbacks.
    refused: Option<&'static str>,
    /// Groups in which nobody could take it.
    stranded: Vec<GroupId>,
    /// When it was told last why something came to nothing, and why it was given up.
    told: Option<Time>,
    gave_up: Option<GiveUp>,
    /// Whether it waits in a queue.
    queued: bool,
    /// Requests of all clients in flight.
    open: u64,
}

impl Steps {
    pub(super) fn opened(&mut self) {
        self.open += 1;
    }

    pub(super) const fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    pub(super) fn submitted(&mut self, now: Time) {
        *self = Self { submitted: now, open: self.open, ..Self::default() };
    }

    pub(super) const fn dispatched(&mut self, ordinal: u8) {
        self.made = ordinal;
    }

    /// Something is observed of the call.
    pub(super) fn observe(&mut self, now: Time, observation: &Observation) {
        match *observation {
            Observation::Stranded { group, .. } => {
                self.told = Some(now);
                self.stranded.push(group);
            }
            Observation::GaveUp { why, .. } => {
                self.told = Some(now);
                self.gave_up = Some(why);
            }
            Observation::Queued { .. } => self.queued = true,
            Observation::Dequeued { .. } => self.queued = false,
            Observation::Ended { end: End::Failed(FailureKind::ContextWindow), .. } => {
                self.refused = Some("length");
            }
            Observation::Ended { end: End::Failed(FailureKind::ContentPolicy), .. } => {
                self.refused = Some("content");
            }
            Observation::Ended { .. }
            | Observation::Excluded { .. }
            | Observation::Selected { .. }
            | Observation::Waiting { .. }
            | Observation::Held { .. }
            | Observation::Rested { .. }
            | Observation::Breaker { .. }
            | Observation::Concurrency { .. }
            | Observation::Spared { .. }
            | Observation::Page { .. }
            | Observation::Budget { .. }
            | Observation::Stepped { .. }
            | Observation::Closed { .. }
            | Observation::Late { .. }
            | Observation::Drained { .. }
            | Observation::Misfit => {}
        }
    }
}

impl Story {
    /// The call takes a rung that is not the full answer.
    pub(super) fn stepped(&mut self, now: Time, rung: Rung) {
        let Some(request) = self.request else { return };
        let config = Arc::clone(&self.whereabouts.config);
        let ladder = &config.group(request.group).ladder;
        let untried = self.steps.made == 0 && self.steps.told != Some(now);
        if untried && self.steps.submitted == now && ladder.spares(request.cached) == Some(rung) {
            let text = format!("{}: nobody is asked", self.has(rung, &request));
            return self.line(now, 0, text);
        }
        if self.steps.told != Some(now) {
            let why = self.left(now, &request);
            self.line(now, 0, why);
        }
        let below = ladder.below.iter().copied().enumerate().skip(self.steps.place);
        let passed: Vec<(usize, Rung)> = below.take_while(|(_, other)| *other != rung).collect();
        let text = self.has(rung, &request);
        self.line(now, 0, text);
        for (_, rung) in &passed {
            let text = self.has_nothing(now, *rung, &request);
            self.line(now, 1, text);
        }
        self.steps.place += passed.len() + 1;
    }

    /// The call ends in an error, whatever its ladder is.
    pub(super) fn unsoftened(&mut self, now: Time, outcome: &Outcome) {
        let Some(request) = self.request else { return };
        let config = Arc::clone(&self.whereabouts.config);
        let below = config.group(request.group).ladder.below.iter().copied();
        let left: Vec<Rung> = below.skip(self.steps.place).collect();
        if left.is_empty() {
            return;
        }
        let is_final = matches!(self.steps.gave_up, Some(GiveUp::Final | GiveUp::Committed));
        let never = match outcome {
            Outcome::Exhaust(_) => is_final,
            Outcome::Reject(Rejection::Drain | Rejection::Duplicate | Rejection::TooLong) => true,
            Outcome::Expire => self.deadline(&request) <= self.steps.submitted,
            Outcome::Reject(_) => false,
            Outcome::Serve(..) | Outcome::Partial(..) | Outcome::Cancel => return,
            Outcome::Cached { .. } | Outcome::Static => return,
        };
        if never {
            return self.line(now, 0, "no rung of its ladder is for that".to_owned());
        }
        self.line(now, 0, "no rung of its ladder has something".to_owned());
        for rung in left {
            let text = self.has_nothing(now, rung, &request);
            self.line(now, 1, text);
        }
    }

    /// What a rung has for it.
    fn has(&self, rung: Rung, request: &Request) -> String {
        match (rung, request.cached) {
            (Rung::Fresh | Rung::Stale, Cached::Fresh) => {
                "its ladder has an answer from the cache, within its time to live".to_owned()
            }
            (Rung::Fresh | Rung::Stale, Cached::Stale | Cached::None) => {
                "its ladder has an answer from the cache, past its time to live".to_owned()
            }
            (Rung::Static, _) => "its ladder has the static text".to_owned(),
            (Rung::Group(group), _) => {
                format!("its ladder leads down to the group `{}`", self.group(group))
            }
        }
    }

    fn deadline(&self, request: &Request) -> Time {
        let own = self.steps.submitted + self.whereabouts.config.router().deadline;
        request.deadline.unwrap_or(Time::MAX).min(own)
    }

    /// Why the full answer is not to be had, where the router did not say so.
    fn left(&self, now: Time, request: &Request) -> String {
        if now >= self.deadline(request) {
            let took = say::span(now.since(self.steps.submitted));
            return format!("its deadline came after {took}, before an answer");
        }
        let group = self.whereabouts.config.group(request.group);
        if self.steps.queued {
            let waited = now.since(self.steps.submitted);
            let long = say::span(waited);
            return match &group.queue {
                Some(queue) if waited >= queue.timeout => {
                    format!("its wait in the queue is over after {long} (`queue.timeout`)")
                }
                Some(_) | None => format!("it makes room in the queue for another after {long}"),
            };
        }
        let room = u64::from(self.whereabouts.config.router().in_flight);
        if self.steps.open > room {
            let room = count(room);
            return format!("no room: `router.in_flight` is {room}, and as many are in flight");
        }
        let subjects = "a limit or a budget of its subjects has no room for it";
        let full = match (&group.queue, group.in_flight < u32::MAX) {
            (Some(_), _) => "the queue of its group is full",
            (None, true) => "its group has `in_flight` requests on their way",
            (None, false) => return subjects.to_owned(),
        };
        if request.subjects == [0; 4] { full.to_owned() } else { format!("{full}, or {subjects}") }
    }

    /// Why a rung has nothing.
    fn has_nothing(&self, now: Time, rung: Rung, request: &Request) -> String {
        let group = match rung {
            Rung::Fresh if request.cached == Cached::Stale => {
                return "not `fresh`: what the cache has is past its time to live".to_owned();
            }
            Rung::Fresh => return "not `fresh`: the cache has no answer to it".to_owned(),
            Rung::Stale => return "not `stale`: the cache has no answer to it".to_owned(),
            // It has something for everybody.
            Rung::Static => return "not `static`".to_owned(),
            Rung::Group(group) => group,
        };
        let (router, home) =
            (self.whereabouts.config.router(), self.whereabouts.config.group(request.group));
        let why = if self.steps.made == 0 && self.steps.open > u64::from(router.in_flight) {
            "who has no place in the router is sent to nobody".to_owned()
        } else if self.steps.made >= router.attempts {
            format!("it had its {} attempts (`router.attempts`)", router.attempts)
        } else if now >= self.deadline(request) {
            "its deadline has come".to_owned()
        } else if let Some(what) = self.steps.refused {
            format!("a provider refused it for its {what}")
        } else if self.tried.iter().any(|(tried, ..)| *tried == group) {
            "it was there before".to_owned()
        } else if self.steps.stranded.contains(&group) {
            "nobody there can take it".to_owned()
        } else if self.steps.made == 0 && home.in_flight < u32::MAX {
            "the group asked for is full, or a limit of its subjects is".to_owned()
        } else {
            "a limit of its subjects has no room for another attempt".to_owned()
        };
        format!("not `group:{}`: {why}", self.group(group))
    }
}
