//! The way of each call through router and providers, piece by piece, and what its time went
//! into.

use std::collections::BTreeMap;

use router_core::{
    Abandon, AttemptId, Call, Cause, DeploymentId, Dispatch, End, FailureKind, GiveUp, GroupId,
    Input, Observation, Outcome, Output, RequestId, Span, Time, Upstream, Usage, Wait,
};

/// The way of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    pub(super) pieces: Vec<Piece>,
    /// The last failure of the present try.
    after: Option<(DeploymentId, FailureKind)>,
    group: Option<GroupId>,
    /// When the latest try ended.
    finished: Option<Time>,
    /// Whether a restart of the router cuts the present try.
    cut: bool,
}

/// A piece of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    Attempt(Leg),
    Wait {
        why: Wait,
        deployment: DeploymentId,
        failure: FailureKind,
        from: Time,
        until: Option<Time>,
    },
    /// In its group's queue.
    Queue {
        from: Time,
        until: Option<Time>,
    },
    /// The client's own wait before it tries again.
    Client {
        from: Time,
        until: Time,
    },
    /// The router said no more than this of a try.
    Verdict(Verdict),
}

/// How a try ended other than with an answer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Verdict {
    GaveUp(GiveUp),
    Rejected,
    Expired,
    Cancelled,
    /// A restart of the router cut it.
    Cut,
}

/// An attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) attempt: AttemptId,
    pub(super) deployment: DeploymentId,
    pub(super) why: Why,
    pub(super) from: Time,
    pub(super) connected: Option<Time>,
    pub(super) committed: Option<Time>,
    pub(super) end: Option<(Time, End, Usage)>,
    /// Whether a restart of the router ended it.
    cut: bool,
}

/// What led to an attempt.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Why {
    /// It is the first of a call.
    First,
    /// It is the first of a client's further try.
    ClientTry,
    Hedge,
    /// It follows a failure in the same group.
    Retry(Option<(FailureKind, DeploymentId)>),
    /// It follows a failure, or nobody being there, in another group.
    Fallback(Option<(FailureKind, DeploymentId)>),
}

/// What time went into.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Toll {
    Dead(Death, DeploymentId),
    Waited(Wait, FailureKind, DeploymentId),
    Client,
    Queue,
    Connecting(DeploymentId),
    FirstToken(DeploymentId),
    Streaming(DeploymentId),
    /// None of these: the router's own time, which is none in a simulation.
    Own,
}

/// How an attempt ended that did not answer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Death {
    Failed(FailureKind),
    Dropped(Abandon),
    /// It was still under way when another had answered.
    Outrun,
    /// A restart of the router ended it.
    Cut,
}

impl Leg {
    /// How it ended, if it did not answer.
    pub(super) fn death(&self) -> Option<Death> {
        match self.end {
            Some((_, End::Abandoned(Abandon::Cancel), _)) if self.cut => Some(Death::Cut),
            Some((_, End::Failed(kind), _)) => Some(Death::Failed(kind)),
            Some((_, End::Abandoned(why), _)) => Some(Death::Dropped(why)),
            Some((_, End::Answered, _)) => None,
            None => Some(Death::Outrun),
        }
    }

    /// When its bytes reached the client, if it is the one that served until then: it answered,
    /// or streamed on.
    pub(super) fn won(&self, until: Time) -> Option<Time> {
        let streamed = self.death().is_none() || self.ended().is_none_or(|at| at > until);
        self.committed.filter(|at| *at <= until && streamed)
    }

    fn ended(&self) -> Option<Time> {
        self.end.map(|(at, ..)| at)
    }
}

impl Trail {
    /// The attempts, in order.
    pub(super) fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Attempt(leg) => Some(leg),
            Piece::Wait { .. } | Piece::Queue { .. } | Piece::Client { .. } | Piece::Verdict(_) => {
                None
            }
        })
    }

    /// What the time from `arrived` to `until` went into, the last first. It adds up exactly: where attempts
    /// overlap, the one that answered counts, else the one that began last.
    pub(super) fn tolls(&self, arrived: Time, until: Time) -> Vec<(Toll, Span)> {
        let mut tolls = Vec::new();
        let mut cursor = until;
        let winner = self.legs().find(|leg| leg.won(until).is_some());
        if let Some(leg) = winner {
            cursor = leg.from;
            let first = leg.committed.map_or(until, |at| at.min(until));
            let connected = leg.connected.map_or(leg.from, |at| at.min(first));
            tolls.push((Toll::Streaming(leg.deployment), until.since(first)));
            tolls.push((Toll::FirstToken(leg.deployment), first.since(connected)));
            tolls.push((Toll::Connecting(leg.deployment), connected.since(leg.from)));
        }
        let spans = self.pieces.iter().filter_map(Piece::span);
        let mut spans: Vec<(Toll, Time, Time)> =
            spans.map(|(toll, from, end)| (toll, from, end.unwrap_or(until))).collect();
        spans.sort_by_key(|(_, from, _)| *from);
        for (toll, from, end) in spans.into_iter().rev() {
            if from < cursor {
                let end = end.min(cursor);
                tolls.push((Toll::Own, cursor.since(end)));
                tolls.push((toll, end.since(from)));
                cursor = from;
            }
        }
        tolls.push((Toll::Own, cursor.since(arrived)));
        tolls.retain(|(_, span)| !span.is_zero());
        tolls
    }

    /// One attempt alone.
    pub(super) fn of(leg: Leg) -> Self {
        Self { pieces: vec![Piece::Attempt(leg)], ..Self::default() }
    }

    /// What was said of the last try, if anything was.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let last = self.pieces.iter().rev().find(|piece| !matches!(piece, Piece::Client { .. }));
        match last {
            Some(Piece::Verdict(verdict)) => Some(*verdict),
            Some(
                Piece::Attempt(_) | Piece::Wait { .. } | Piece::Queue { .. } | Piece::Client { .. },
            )
            | None => None,
        }
    }

    /// Whether an attempt belongs to the last try: the client did not try again after it.
    pub(super) fn is_of_last_try(&self, leg: &Leg) -> bool {
        let after = self.pieces.iter().rev().take_while(|piece| match piece {
            Piece::Attempt(other) => other.attempt != leg.attempt,
            Piece::Wait { .. } | Piece::Queue { .. } | Piece::Client { .. } | Piece::Verdict(_) => {
                true
            }
        });
        // Its user may have left while the client waited, which is no further try.
        let mut further = after.skip(1).filter(|piece| matches!(piece, Piece::Client { .. }));
        further.next().is_none()
    }

    /// What all its attempts were charged for.
    pub(super) fn charges(&self) -> impl Iterator<Item = (&Leg, Usage)> {
        self.legs().filter_map(|leg| leg.end.map(|(_, _, usage)| (leg, usage)))
    }

    fn leg(&mut self, attempt: AttemptId) -> Option<&mut Leg> {
        self.pieces.iter_mut().rev().find_map(|piece| match piece {
            Piece::Attempt(leg) if leg.attempt == attempt => Some(leg),
            Piece::Attempt(_)
            | Piece::Wait { .. }
            | Piece::Queue { .. }
            | Piece::Client { .. }
            | Piece::Verdict(_) => None,
        })
    }

    /// Ends the wait that is under way, if one is.
    fn stop_waiting(&mut self, now: Time) {
        if let Some(Piece::Wait { until, .. } | Piece::Queue { until, .. }) = self.pieces.last_mut()
        {
            until.get_or_insert(now);
        }
    }

    fn submitted(&mut self, now: Time) {
        if let Some(from) = self.finished.take() {
            self.pieces.push(Piece::Client { from, until: now });
        }
        (self.after, self.group, self.cut) = (None, None, false);
    }

    fn dispatched(&mut self, now: Time, dispatch: &Dispatch) {
        self.stop_waiting(now);
        let attempt = dispatch.attempt;
        let after = self.after.map(|(deployment, kind)| (kind, deployment));
        let elsewhere = self.group.is_some_and(|group| group != dispatch.group);
        let why = match (dispatch.cause, attempt.ordinal, elsewhere) {
            (Cause::Hedge, ..) => Why::Hedge,
            (Cause::Fallback, ..) | (.., true) => Why::Fallback(after),
            (.., 2.., false) => Why::Retry(after),
            (..) if attempt.request.client_try() == 0 => Why::First,
            (..) => Why::ClientTry,
        };
        self.group = Some(dispatch.group);
        self.pieces.push(Piece::Attempt(Leg {
            attempt,
            deployment: dispatch.deployment,
            why,
            from: now,
            connected: None,
            committed: None,
            end: None,
            cut: false,
        }));
    }

    fn finish(&mut self, now: Time, outcome: &Outcome) {
        self.stop_waiting(now);
        self.finished = Some(now);
        let verdict = match outcome {
            Outcome::Reject(_) => Verdict::Rejected,
            Outcome::Expire => Verdict::Expired,
            Outcome::Cancel if self.cut => Verdict::Cut,
            Outcome::Cancel => Verdict::Cancelled,
            // `GaveUp` said why before.
            Outcome::Serve(..) | Outcome::Partial(..) | Outcome::Exhaust(_) => return,
            Outcome::Cached { .. } | Outcome::Static => return,
        };
        self.pieces.push(Piece::Verdict(verdict));
    }
}

impl Piece {
    /// What it is as lost time, from when, until when.
    fn span(&self) -> Option<(Toll, Time, Option<Time>)> {
        match *self {
            Self::Attempt(leg) => {
                let death = leg.death().unwrap_or(Death::Outrun);
                Some((Toll::Dead(death, leg.deployment), leg.from, leg.ended()))
            }
            Self::Wait { why, deployment, failure, from, until } => {
                Some((Toll::Waited(why, failure, deployment), from, until))
            }
            Self::Queue { from, until } => Some((Toll::Queue, from, until)),
            Self::Client { from, until } => Some((Toll::Client, from, Some(until))),
            Self::Verdict(_) => None,
        }
    }
}

/// The ways of all calls that are not over, or of those that somebody cares for.
#[derive(Clone, Debug, Default)]
pub(super) struct Trails {
    live: BTreeMap<RequestId, Trail>,
}

impl Trails {
    pub(super) fn input(&mut self, now: Time, input: &Input) {
        match input {
            Input::Submit(request) => {
                self.live.entry(request.id.call()).or_default().submitted(now);
            }
            Input::Upstream(attempt, news) => {
                let leg = self.of(attempt.request).and_then(|trail| trail.leg(*attempt));
                let Some(leg) = leg.filter(|leg| leg.end.is_none()) else { return };
                match news {
                    Upstream::Connected | Upstream::Headers(_) => {
                        leg.connected.get_or_insert(now);
                    }
                    // They imply a connection, and say nothing of when it stood.
                    Upstream::FirstToken | Upstream::Progress(_) | Upstream::Complete(_) => {}
                    Upstream::Fail(_) => {}
                }
            }
            Input::Cancel(_) | Input::Tick | Input::Reconfigure(_) => {}
            Input::Peers(_) | Input::Drain => {}
        }
    }

    pub(super) fn output(&mut self, now: Time, output: &Output) {
        match output {
            Output::Dispatch(dispatch) => {
                if let Some(trail) = self.of(dispatch.attempt.request) {
                    trail.dispatched(now, dispatch);
                }
            }
            Output::Commit(attempt) => {
                if let Some(leg) = self.of(attempt.request).and_then(|trail| trail.leg(*attempt)) {
                    leg.committed.get_or_insert(now);
                }
            }
            Output::Finish(request, outcome) => {
                if let Some(trail) = self.of(*request) {
                    trail.finish(now, outcome);
                }
            }
            Output::Observe(observation) => self.observe(now, observation),
            Output::Abandon(..) => {}
        }
    }

    fn observe(&mut self, now: Time, observation: &Observation) {
        match *observation {
            Observation::Ended { attempt, deployment, end, usage, .. } => {
                let Some(trail) = self.of(attempt.request) else { return };
                let cut = trail.cut;
                if let Some(leg) = trail.leg(attempt) {
                    (leg.end, leg.cut) = (Some((now, end, usage)), cut);
                }
                if let End::Failed(kind) = end {
                    trail.after = Some((deployment, kind));
                }
            }
            Observation::Waiting { attempt, why, deployment, failure, .. } => {
                if let Some(trail) = self.of(attempt.request) {
                    trail.stop_waiting(now);
                    let until = None;
                    trail.pieces.push(Piece::Wait { why, deployment, failure, from: now, until });
                }
            }
            Observation::Queued { request, .. } => {
                if let Some(trail) = self.of(request) {
                    trail.pieces.push(Piece::Queue { from: now, until: None });
                }
            }
            Observation::Dequeued { request, .. } => {
                if let Some(trail) = self.of(request) {
                    trail.stop_waiting(now);
                }
            }
            Observation::GaveUp { request, why } => {
                if let Some(trail) = self.of(request) {
                    trail.stop_waiting(now);
                    trail.pieces.push(Piece::Verdict(Verdict::GaveUp(why)));
                }
            }
            Observation::Excluded { .. }
            | Observation::Selected { .. }
            | Observation::Stranded { .. }
            | Observation::Rested { .. }
            | Observation::Breaker { .. }
            | Observation::Held { .. }
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

    /// A restart of the router is about to cut a request.
    pub(super) fn cut(&mut self, request: RequestId) {
        if let Some(trail) = self.of(request) {
            trail.cut = true;
        }
    }

    /// The way of a call that is over.
    pub(super) fn take(&mut self, call: &Call) -> Option<Trail> {
        let mut trail = self.live.remove(&call.id)?;
        if let Some(from) = trail.finished.filter(|from| *from < call.ended) {
            // Its user left while the client waited.
            trail.pieces.push(Piece::Client { from, until: call.ended });
        }
        Some(trail)
    }

    pub(super) fn of(&mut self, request: RequestId) -> Option<&mut Trail> {
        self.live.get_mut(&request.call())
    }
}
