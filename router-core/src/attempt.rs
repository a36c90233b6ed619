//! One attempt: dispatched, heard of, ended.

use crate::flight::Phase;
use crate::limit::Charge;
use crate::router::{Dropped, Router};
use crate::{
    Abandon, AttemptId, Cause, Dispatch, End, Failure, FailureKind, GroupId, Observation, Outcome,
    Output, Span, Upstream, Usage,
};

impl Router {
    /// Selects one of the eligible, reserves it and dispatches.
    pub(crate) fn dispatch(&mut self, slot: u32, group_id: GroupId, eligible: u64, cause: Cause) {
        let now = self.now;
        let flight = *self.flight(slot);
        let member = self.pick(&flight, group_id, eligible);
        let group = self.config.group(group_id);
        let deployment = group.members[member].deployment;
        let heartbeat = if flight.streams() { group.timeouts.idle } else { Span::MAX };
        let heartbeat = if heartbeat == Span::MAX { heartbeat } else { heartbeat.scale(1, 2) };
        let connect = group.timeouts.connect;
        let charge = flight.charge();
        for limit in &self.config.deployment(deployment).limits {
            self.limits[limit.index()].reserve(charge, now);
        }
        let state = &mut self.health.deployments[deployment.index()];
        let key = state.pick_key(now);
        state.in_flight += 1;
        state.keys[usize::from(key)].in_flight += 1;
        if cause == Cause::Retry {
            self.budget.withdraw(now);
        }
        let flight = self.flight_mut(slot);
        if flight.group() != group_id {
            flight.group = group_id.index() as u8;
            flight.tried = 0;
            flight.visited |= 1 << group_id.index();
        }
        flight.ordinal += 1;
        flight.tried |= 1 << member;
        flight.member = member as u8;
        flight.deployment = deployment;
        flight.key = key;
        flight.phase = Phase::Connecting;
        flight.dispatched = now;
        flight.seen = 0;
        let attempt = flight.attempt();
        self.rearm(slot);
        self.observe(Observation::Selected { attempt, group: group_id, deployment, eligible });
        let dispatch =
            Dispatch { attempt, group: group_id, deployment, key, cause, connect, heartbeat };
        self.outputs.push_back(Output::Dispatch(dispatch));
    }

    /// News of an attempt.
    pub(crate) fn hear(&mut self, attempt: AttemptId, news: Upstream) {
        let Some(slot) = self.slot_of_live(attempt) else {
            self.hear_late(attempt, news);
            return;
        };
        match news {
            Upstream::Connected | Upstream::Headers(_) => self.connected(slot),
            Upstream::FirstToken => self.token(slot, 1),
            Upstream::Progress(tokens) => self.token(slot, tokens),
            Upstream::Complete(usage) => self.complete(slot, usage),
            Upstream::Fail(failure) => {
                let connected = failure.kind != FailureKind::Connect;
                let so_far = self.flight(slot).usage_so_far(connected);
                let usage = failure.usage.unwrap_or(so_far);
                self.end_attempt(slot, End::Failed(failure.kind), usage);
                self.fail(slot, failure);
            }
        }
    }

    fn connected(&mut self, slot: u32) {
        let flight = self.flight_mut(slot);
        if flight.phase == Phase::Connecting {
            flight.phase = Phase::Connected;
            self.rearm(slot);
        }
    }

    /// A stream showed a sign of life; its first commits.
    fn token(&mut self, slot: u32, tokens: u32) {
        let now = self.now;
        let flight = self.flight_mut(slot);
        flight.seen = flight.seen.max(tokens);
        flight.phase = Phase::Streaming;
        flight.mark = now;
        if flight.streams() && !flight.is_committed() {
            self.commit(slot);
        }
        self.rearm(slot);
    }

    fn commit(&mut self, slot: u32) {
        let now = self.now;
        let flight = self.flight_mut(slot);
        flight.commit(now);
        let attempt = flight.attempt();
        self.outputs.push_back(Output::Commit(attempt));
    }

    fn complete(&mut self, slot: u32, usage: Usage) {
        if !self.flight(slot).is_committed() {
            self.commit(slot);
        }
        let flight = *self.flight(slot);
        self.end_attempt(slot, End::Answered, usage);
        let (start, now) = (self.start, self.now);
        self.health.count(flight.group(), usize::from(flight.member), start, now, false);
        self.health.well(flight.deployment, flight.key, flight.dispatched);
        self.close(slot, Outcome::Serve(flight.attempt(), usage));
    }

    /// A timeout fell due: the attempt is dropped, and that is a failure like any other.
    pub(crate) fn time_out(&mut self, slot: u32, why: Abandon, kind: FailureKind) {
        let flight = *self.flight(slot);
        let usage = self.drop_attempt(slot, why, End::Failed(kind));
        let failure = Failure::new(kind, 504);
        let partial = self.config.group(flight.group()).timeouts.partial;
        if kind == FailureKind::Total && partial && flight.is_committed() {
            self.judge(slot, &failure);
            self.close(slot, Outcome::Partial(flight.attempt(), usage));
        } else {
            self.fail(slot, failure);
        }
    }

    /// Drops the live attempt, settling for what was seen of it.
    pub(crate) fn drop_attempt(&mut self, slot: u32, why: Abandon, end: End) -> Usage {
        let flight = *self.flight(slot);
        let usage = flight.usage_so_far(why != Abandon::Connect);
        let attempt = flight.attempt();
        self.outputs.push_back(Output::Abandon(attempt, why));
        self.end_attempt(slot, end, usage);
        self.remember(Dropped { attempt, deployment: flight.deployment, usage });
        usage
    }

    /// Gives back what the live attempt reserved, and settles for what it used.
    fn end_attempt(&mut self, slot: u32, end: End, usage: Usage) {
        let now = self.now;
        let flight = *self.flight(slot);
        for limit in &self.config.deployment(flight.deployment).limits {
            self.limits[limit.index()].settle(flight.charge(), Charge::of(usage), now);
        }
        let state = &mut self.health.deployments[flight.deployment.index()];
        assert!(state.in_flight > 0, "an end pairs with a dispatch");
        state.in_flight -= 1;
        state.keys[usize::from(flight.key)].in_flight -= 1;
        self.observe(Observation::Ended {
            attempt: flight.attempt(),
            group: flight.group(),
            deployment: flight.deployment,
            end,
            first_token: flight.first_token(),
            elapsed: now.since(flight.dispatched),
            usage,
        });
        self.flight_mut(slot).phase = Phase::Waiting;
    }

    /// News of an attempt that had ended corrects what it was charged, once.
    fn hear_late(&mut self, attempt: AttemptId, news: Upstream) {
        let usage = match news {
            Upstream::Complete(usage) => Some(usage),
            Upstream::Fail(failure) => failure.usage,
            Upstream::Connected
            | Upstream::Headers(_)
            | Upstream::FirstToken
            | Upstream::Progress(_) => None,
        };
        let place = usage.and_then(|_| self.dropped.iter().position(|d| d.attempt == attempt));
        let dropped = place.and_then(|place| self.dropped.remove(place));
        if let (Some(dropped), Some(usage)) = (dropped, usage) {
            for limit in &self.config.deployment(dropped.deployment).limits {
                let (charged, used) = (Charge::of(dropped.usage), Charge::of(usage));
                self.limits[limit.index()].correct(charged, used, self.now);
            }
        }
        self.observe(Observation::Late { attempt, corrected: dropped.is_some() });
    }
}
