//! What the end of an attempt says of its deployment: health, rests, breakers, pages, waits.

use crate::breaker::{Heard, Standing, Turned, Verdict};
use crate::flight::{PROBE, STREAMS, Try};
use crate::health::Length;
use crate::router::{Keys, Router};
use crate::{
    BreakerMode, BreakerState, Counter, Detour, Failure, FailureClass, FailureKind, GroupId,
    HedgeAfter, Observation, Ratio, RequestId, RestAfter, Span, Time, Turn, Usage,
};

/// Which of an attempt's draws: how much longer a deployment rests, or a key, or a breaker opens.
const DEPLOYMENT_DRAW: u32 = 0;
const KEY_DRAW: u32 = 1;
const BREAKER_DRAW: u32 = 2;

impl Router {
    /// The first token of a stream goes to the client.
    pub(crate) fn saw_first_token(&mut self, attempt: &Try) {
        self.learn_first_token(attempt);
        self.adapt_to_first_token(attempt);
        self.note_wait(attempt);
    }

    /// An attempt was answered.
    pub(crate) fn answered(&mut self, id: RequestId, ended: &Try, usage: Usage) {
        self.learn_answer(ended, usage);
        self.adapt_to_answer(ended, usage);
        if !ended.is(STREAMS) {
            self.note_wait(ended);
        }
        let now = self.now;
        self.health.membership_mut(ended.group(), ended.member.into()).answered(now);
        self.health.well(ended.deployment, ended.key, ended.dispatched);
        self.tell_breaker(id, ended, Verdict::Good, true);
    }

    /// An attempt was dropped for no fault of its deployment's.
    pub(crate) fn let_go(&mut self, id: RequestId, ended: &Try) {
        // Nobody knows how it would have ended, but how long it took to say anything.
        self.tell_breaker(id, ended, Verdict::None, !ended.is_committed());
    }

    /// An attempt was dropped since the other of its request was first. How long it had waited is
    /// the least it would have taken, so it counts if that is more than was to be expected.
    #[cold]
    pub(crate) fn outrun(&mut self, lost: &Try) {
        let expected = self.hedge_delay(lost.group(), lost.is(STREAMS));
        if expected.is_none_or(|expected| self.now.since(lost.dispatched) > expected) {
            self.note_wait(lost);
        }
        self.learn_outrun(lost);
    }

    /// Notes how long an attempt took to be heard of, at least, if a hedge depends on that.
    fn note_wait(&mut self, attempt: &Try) {
        let group = attempt.group();
        match self.config.group(group).hedge.map(|hedge| hedge.after) {
            Some(HedgeAfter::Quantile(share)) => {
                let wait = self.now.since(attempt.dispatched);
                let waits = &mut self.health.waits[group.index()];
                waits[usize::from(attempt.is(STREAMS))].record(share, self.now, wait);
            }
            Some(HedgeAfter::Delay(_)) | None => {}
        }
    }

    /// How slow an attempt has to be for a hedge, by the group's running quantile.
    pub(crate) fn hedge_delay(&self, group: GroupId, streams: bool) -> Option<Span> {
        self.health.waits[group.index()][usize::from(streams)].value(self.now)
    }

    /// A half-open breaker's probe is dispatched.
    pub(crate) fn probe(&mut self, group: GroupId, member: usize) {
        let breaker = self.health.membership_mut(group, member).breaker.as_mut();
        let breaker = breaker.expect("what is probed has a breaker");
        if breaker.probe(self.now) {
            let deployment = self.config.group(group).members[member].deployment;
            let (to, why, streak) = (BreakerState::HalfOpen, Turn::Waited, breaker.streak());
            let (until, enforced) = (None, true);
            let told = Observation::Breaker { group, deployment, to, why, until, streak, enforced };
            self.observe(told);
        }
    }

    /// A snapshot brings back a probe in flight.
    pub(crate) fn occupy_probe(&mut self, attempt: &Try) {
        let membership = self.health.membership_mut(attempt.group(), attempt.member.into());
        if let Some(breaker) = &mut membership.breaker {
            breaker.occupy(attempt.dispatched);
        }
    }

    /// Where a membership stands by its breaker, if that is enforced.
    fn standing(&self, group: GroupId, member: usize) -> Standing {
        let breaker = self.health.membership(group, member).breaker.as_ref();
        match (breaker, &self.config.group(group).breaker) {
            (Some(breaker), Some(spec)) => breaker.standing(spec, self.now),
            (None, _) | (_, None) => Standing::Closed,
        }
    }

    /// Whether a membership's breaker admits nothing now.
    pub(crate) fn is_shut(&self, group: GroupId, member: usize) -> bool {
        match self.standing(group, member) {
            Standing::Open(_) | Standing::HalfOpen { free: false } => true,
            Standing::Closed | Standing::HalfOpen { free: true } => false,
        }
    }

    /// Whether a membership's breaker is closed.
    pub(crate) fn is_closed(&self, group: GroupId, member: usize) -> bool {
        self.standing(group, member) == Standing::Closed
    }

    /// Until when a membership's breaker is open; the past if it is not.
    pub(crate) fn shut_until(&self, group: GroupId, member: usize) -> Time {
        match self.standing(group, member) {
            Standing::Open(until) => until,
            Standing::Closed | Standing::HalfOpen { .. } => Time::ZERO,
        }
    }

    /// What is left of the weight of a membership whose breaker is enforced while it recovers, in
    /// 1024ths.
    pub(crate) fn ramp(&self, group: GroupId, member: usize) -> u64 {
        let breaker = self.health.membership(group, member).breaker.as_ref();
        breaker.map_or(1024, |breaker| breaker.share(self.now))
    }

    /// What a failure says of the deployment: counts it, bars it, rests it, pages somebody.
    #[cold]
    pub(crate) fn judge(&mut self, id: RequestId, ended: &Try, failure: &Failure) {
        self.learn_failure(ended, failure.kind);
        self.adapt_to_failure(ended, failure);
        // A `Retry-After` of zero says nothing of when to come back.
        let asked = failure.retry_after.filter(|span| !span.is_zero());
        let asked = asked.map(|span| Length::Asked(span.min(self.config.router().retry_after_max)));
        let kind = failure.kind;
        match kind {
            FailureKind::RateLimit => match asked {
                Some(asked) => {
                    self.rest(id, ended, Some(ended.key), asked, kind);
                }
                None => self.count_failure(id, ended, kind),
            },
            FailureKind::QuotaSpent | FailureKind::Authentication | FailureKind::NotFound => {
                self.bar(id, ended.deployment);
                let key = (kind != FailureKind::NotFound).then_some(ended.key);
                let is_news = self.rest(id, ended, key, Length::Mend, kind);
                if let Some(asked) = asked {
                    self.rest(id, ended, key, asked, kind);
                }
                if let Some(key) = key
                    && is_news
                {
                    let deployment = ended.deployment;
                    self.observe(Observation::Page { deployment, key, failure: kind });
                }
            }
            FailureKind::Server
            | FailureKind::Connect
            | FailureKind::FirstToken
            | FailureKind::Idle
            | FailureKind::Total
            | FailureKind::Reset
            | FailureKind::Truncated
            | FailureKind::InvalidOutput => {
                self.count_failure(id, ended, kind);
                if let Some(asked) = asked {
                    self.rest(id, ended, None, asked, kind);
                }
            }
            FailureKind::BadRequest | FailureKind::ContextWindow | FailureKind::ContentPolicy => {}
        }
        let verdict = if kind.is_ill_health() { Verdict::Failed } else { Verdict::None };
        self.tell_breaker(id, ended, verdict, verdict == Verdict::Failed);
    }

    /// Counts a failure by its class, and rests what failed if there were enough.
    #[cold]
    fn count_failure(&mut self, id: RequestId, ended: &Try, failure: FailureKind) {
        let (group, member) = (ended.group(), usize::from(ended.member));
        let cooldown = self.config.group(group).cooldown;
        let Some(class) = failure.class() else { return };
        let Some(entry) = cooldown.classes.of(class) else { return };
        let enough = self.health.membership_mut(group, member).failed(&cooldown, class, self.now);
        if !enough || !cooldown.enabled {
            return;
        }
        let limited = class == FailureClass::RateLimit;
        let exempt = limited && entry.after != RestAfter::Common;
        if !exempt && (self.stands_alone(group) || !self.may_go_out(group, member)) {
            self.observe(Observation::Spared { deployment: ended.deployment, group });
            return;
        }
        self.health.membership_mut(group, member).forget(&cooldown, class);
        let first = entry.rest.unwrap_or(cooldown.rest);
        let (factor, max) = (cooldown.grow, cooldown.max);
        let key = limited.then_some(ended.key);
        self.rest(id, ended, key, Length::Growing { first, factor, max }, failure);
    }

    /// Whether a group's only member has nobody to take its place.
    fn stands_alone(&self, group: GroupId) -> bool {
        let group = self.config.group(group);
        group.size() == 1 && group.chain(Detour::Any).is_empty() && !group.cooldown.lone
    }

    /// Whether a member may go out for its failures: not if too many of its group are out.
    fn may_go_out(&self, group_id: GroupId, member: usize) -> bool {
        let group = self.config.group(group_id);
        let others = group.present();
        let out = others.filter(|(index, m)| *index != member && self.is_out(group_id, *index, m));
        out.count() < group.ejected_max.of_ceil(group.size().into()) as usize
    }

    /// What an ended attempt says to its membership's breaker. Its time counts if it is `timed`.
    fn tell_breaker(&mut self, id: RequestId, ended: &Try, verdict: Verdict, timed: bool) {
        if self.health.membership(ended.group(), ended.member.into()).breaker.is_some() {
            self.let_breaker_hear(id, ended, verdict, timed);
        }
    }

    #[inline(never)]
    fn let_breaker_hear(&mut self, id: RequestId, ended: &Try, verdict: Verdict, timed: bool) {
        let (group_id, member) = (ended.group(), usize::from(ended.member));
        let Some(mut breaker) = self.health.membership_mut(group_id, member).breaker.take() else {
            return;
        };
        let (now, deployment) = (self.now, ended.deployment);
        let group = self.config.group(group_id);
        let mode = group.members[member].breaker;
        let turned = group.breaker.as_ref().and_then(|spec| {
            let elapsed = now.since(ended.dispatched);
            let token = ended.first_token().filter(|_| ended.is(STREAMS));
            let slow = timed && spec.slow.is_some() && token.unwrap_or(elapsed) > spec.slow_over;
            let (dispatched, probe) = (ended.dispatched, ended.is(PROBE));
            let heard = Heard { dispatched, probe, verdict, slow };
            let may_go_out = || self.may_go_out(group_id, member);
            let jitter = |span| self.keys.jitter(id, ended, BREAKER_DRAW, spec.jitter, span);
            breaker.hear(spec, mode, now, &heard, may_go_out, jitter)
        });
        self.health.membership_mut(group_id, member).breaker = Some(breaker);
        match turned {
            None => {}
            Some(Turned::Spared) => {
                self.observe(Observation::Spared { deployment, group: group_id });
            }
            Some(Turned::To { state: to, why, until, streak }) => {
                let (group, enforced) = (group_id, mode == BreakerMode::Enforce);
                let told =
                    Observation::Breaker { group, deployment, to, why, until, streak, enforced };
                self.observe(told);
            }
        }
    }

    /// Rests the deployment of an attempt (or a key of it), with jitter; says whether that is news
    /// to a person.
    #[cold]
    fn rest(
        &mut self,
        id: RequestId,
        ended: &Try,
        key: Option<u8>,
        length: Length,
        failure: FailureKind,
    ) -> bool {
        let deployment = ended.deployment;
        let ratio = self.config.group(ended.group()).cooldown.jitter;
        let draw = if key.is_some() { KEY_DRAW } else { DEPLOYMENT_DRAW };
        let keys = self.keys;
        let jitter = |span| keys.jitter(id, ended, draw, ratio, span);
        let Some((rest, is_news)) = self.health.rest((deployment, key), length, self.now, jitter)
        else {
            return false;
        };
        let (until, streak) = (rest.until, rest.streak);
        self.observe(Observation::Rested { deployment, key, until, failure, streak });
        is_news
    }
}

impl Keys {
    /// How much longer something lasts that an attempt led to: up to `ratio` of its length.
    fn jitter(self, id: RequestId, ended: &Try, draw: u32, ratio: Ratio, length: Span) -> Span {
        let counter = Counter {
            request: id.as_u64(),
            entity: ended.deployment.index() as u32,
            attempt: ended.ordinal,
            index: draw,
        };
        let most = length.scale(ratio.numerator().into(), ratio.denominator().into());
        Span::from_nanos(self.rest.below(most.as_nanos().saturating_add(1), counter))
    }
}
