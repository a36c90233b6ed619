//! One attempt: dispatched, heard of, ended.

use crate::flight::{NEVER, Phase, STREAMS, Try};
use crate::limit::Charge;
use crate::router::Router;
use crate::select::Eligibility;
use crate::{
    Abandon, AttemptId, Cause, Dispatch, End, Failure, FailureKind, GroupId, Observation, Outcome,
    Output, Span, Upstream, Usage,
};

impl Router {
    /// Selects one of the eligible, reserves it and dispatches.
    pub(crate) fn dispatch(
        &mut self,
        slot: u32,
        group_id: GroupId,
        found: &Eligibility,
        cause: Cause,
    ) {
        let now = self.now;
        let flight = *self.flight(slot);
        let member = self.pick(&flight, group_id, found);
        let group = self.config.group(group_id);
        let deployment = group.members[member].deployment;
        let again = flight.tally.made() > 0 && flight.group() == group_id;
        let cause = found.cause(member, cause);
        let heartbeat = if flight.streams() { group.timeouts.idle } else { Span::MAX };
        let heartbeat = if heartbeat == Span::MAX { heartbeat } else { heartbeat.scale(1, 2) };
        let connect = group.timeouts.connect;
        let eligible = found.eligible;
        for limit in &self.config.deployment(deployment).limits {
            self.limits[limit.index()].reserve(flight.charge(), now);
        }
        let key = self.health.seize(deployment, now, cause == Cause::Panic);
        self.adapt_to_load(deployment);
        if again {
            self.budget.withdraw(now);
        }
        let mark = self.hedge_due(&flight, group_id, cause);
        if flight.tally.made() == 0 {
            self.queues.set_out(flight.home());
        }
        let flight = self.flight_mut(slot);
        let attempt = Try { deployment, key, mark, ..flight.begin(group_id, member, cause, now) };
        let (name, beside) = (flight.name(&attempt), flight.aside != NEVER);
        if cause == Cause::Hedge {
            self.seat_twin(slot, attempt);
        } else {
            flight.lead = attempt;
        }
        if beside {
            self.reserve_accounts(slot, &attempt);
        }
        self.rearm(slot);
        self.observe(Observation::Selected {
            attempt: name,
            group: group_id,
            deployment,
            eligible,
        });
        if cause == Cause::Probe {
            self.probe(group_id, member);
        }
        let dispatch =
            Dispatch { attempt: name, group: group_id, deployment, key, cause, connect, heartbeat };
        self.outputs.push(Output::Dispatch(dispatch));
    }

    /// News of an attempt.
    pub(crate) fn hear(&mut self, attempt: AttemptId, news: Upstream) {
        let Some(slot) = self.slot_of_live(attempt) else {
            self.hear_late(attempt, news);
            return;
        };
        let ordinal = attempt.ordinal;
        match news {
            Upstream::Connected | Upstream::Headers(_) => self.connected(slot, ordinal),
            Upstream::FirstToken => self.token(slot, ordinal, 1),
            Upstream::Progress(tokens) => self.token(slot, ordinal, tokens),
            Upstream::Complete(usage) => self.complete(slot, ordinal, usage),
            Upstream::Fail(failure) => {
                let connected = failure.kind != FailureKind::Connect;
                let live = *self.attempt_mut(slot, ordinal);
                let so_far = self.flight(slot).usage_so_far(&live, connected);
                let usage = failure.usage.unwrap_or(so_far);
                let ended = self.end_attempt(slot, ordinal, End::Failed(failure.kind), usage);
                self.fail(slot, &ended, failure);
            }
        }
    }

    fn connected(&mut self, slot: u32, ordinal: u8) {
        let attempt = self.attempt_mut(slot, ordinal);
        if attempt.phase == Phase::Connecting {
            attempt.phase = Phase::Connected;
            self.rearm(slot);
        }
    }

    /// A stream showed a sign of life; its first commits.
    fn token(&mut self, slot: u32, ordinal: u8, tokens: u32) {
        let now = self.now;
        let attempt = self.attempt_mut(slot, ordinal);
        attempt.seen = attempt.seen.max(tokens);
        let commits = attempt.is(STREAMS) && !attempt.is_committed();
        if commits {
            self.commit(slot, ordinal);
        }
        let attempt = self.attempt_mut(slot, ordinal);
        attempt.phase = Phase::Streaming;
        // Of a hedged request that does not stream both attempts go on: a sign of life is no
        // token, and the hedge timer is over.
        attempt.mark = now;
        self.rearm(slot);
    }

    /// The first token of an attempt goes to the client; a second one that lives has lost.
    fn commit(&mut self, slot: u32, ordinal: u8) {
        let now = self.now;
        self.drop_other(slot, ordinal);
        let flight = self.flight_mut(slot);
        flight.lead.commit(now);
        let (attempt, lead) = (flight.name(&flight.lead), flight.lead);
        self.outputs.push(Output::Commit(attempt));
        if lead.is(STREAMS) {
            self.saw_first_token(&lead);
        }
    }

    fn complete(&mut self, slot: u32, ordinal: u8, usage: Usage) {
        if !self.attempt_mut(slot, ordinal).is_committed() {
            self.commit(slot, ordinal);
        }
        let ended = self.end_attempt(slot, ordinal, End::Answered, usage);
        let flight = self.flight(slot);
        let name = flight.name(&ended);
        let id = flight.id;
        self.answered(id, &ended, usage);
        self.close(slot, Outcome::Serve(name, usage));
    }

    /// A timeout fell due: the attempt is dropped, and that is a failure like any other.
    #[cold]
    pub(crate) fn time_out(&mut self, slot: u32, ordinal: u8, why: Abandon, kind: FailureKind) {
        let (ended, usage) = self.drop_attempt(slot, ordinal, why, End::Failed(kind));
        let failure = Failure::new(kind, 504);
        let partial = self.config.group(ended.group()).timeouts.partial;
        if kind == FailureKind::Total && partial && ended.is_committed() {
            let flight = self.flight(slot);
            let (name, id) = (flight.name(&ended), flight.id);
            self.judge(id, &ended, &failure);
            self.close(slot, Outcome::Partial(name, usage));
        } else {
            self.fail(slot, &ended, failure);
        }
    }

    /// Drops every live attempt of a request that ends.
    #[cold]
    pub(crate) fn drop_all(&mut self, slot: u32, why: Abandon) {
        while self.flight(slot).is_live() {
            let ordinal = self.flight(slot).lead.ordinal;
            let (ended, _) = self.drop_attempt(slot, ordinal, why, End::Abandoned(why));
            let id = self.flight(slot).id;
            self.let_go(id, &ended);
        }
    }

    /// Drops a live attempt, settling for what was seen of it.
    #[cold]
    pub(crate) fn drop_attempt(
        &mut self,
        slot: u32,
        ordinal: u8,
        why: Abandon,
        end: End,
    ) -> (Try, Usage) {
        let attempt = *self.attempt_mut(slot, ordinal);
        let flight = self.flight(slot);
        let usage = flight.usage_so_far(&attempt, why != Abandon::Connect);
        let name = flight.name(&attempt);
        self.outputs.push(Output::Abandon(name, why));
        let ended = self.end_attempt(slot, ordinal, end, usage);
        let flight = *self.flight(slot);
        self.remember(self.dropped(&flight, &attempt, usage));
        (ended, usage)
    }

    /// Gives back what a live attempt reserved, and settles for what it used. If another lives
    /// it leads from here on.
    fn end_attempt(&mut self, slot: u32, ordinal: u8, end: End, usage: Usage) -> Try {
        let now = self.now;
        let ended = *self.attempt_mut(slot, ordinal);
        let flight = *self.flight(slot);
        let known = self.config.deployment(ended.deployment);
        let removed = known.removed;
        for limit in &known.limits {
            self.limits[limit.index()].settle(flight.charge(), Charge::of(usage), now);
        }
        self.health.release(ended.deployment, ended.key);
        self.queues.stirred = true;
        self.observe(Observation::Ended {
            attempt: flight.name(&ended),
            group: ended.group(),
            deployment: ended.deployment,
            end,
            first_token: ended.first_token(),
            elapsed: now.since(ended.dispatched),
            usage,
        });
        if flight.aside != NEVER {
            self.settle_accounts(slot, &ended, usage);
        }
        if removed {
            self.tell_if_drained(ended.deployment);
        }
        self.unseat(slot, ordinal);
        ended
    }

    /// News of an attempt that had ended corrects what it was charged, once.
    #[cold]
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
            self.queues.stirred = true;
        }
        self.observe(Observation::Late { attempt, corrected: dropped.is_some() });
        if let (Some(dropped), Some(usage)) = (dropped, usage) {
            self.correct_accounts(&dropped, usage);
        }
    }
}
