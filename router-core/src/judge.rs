//! What the end of an attempt says of its deployment: health, rests, pages, estimates.

use crate::flight::Try;
use crate::health::Length;
use crate::router::Router;
use crate::{
    Counter, Detour, Failure, FailureKind, GroupId, Observation, RequestId, Span, Time, Usage,
};

/// The first rest after a failure that only a person can mend, and the longest of a row.
const FINAL_REST: Span = Span::from_secs(300);
const FINAL_REST_MAX: Span = Span::from_secs(3_600);

impl Router {
    /// The first token of a stream goes to the client.
    pub(crate) fn saw_first_token(&mut self, attempt: &Try) {
        let _ = attempt;
    }

    /// An attempt was answered.
    pub(crate) fn answered(&mut self, id: RequestId, ended: &Try, usage: Usage) {
        let _ = (id, usage);
        let (start, now) = (self.start, self.now);
        self.health.count(ended.group(), usize::from(ended.member), start, now, false);
        self.health.well(ended.deployment, ended.key, ended.dispatched);
    }

    /// An attempt was dropped for no fault of its deployment's.
    pub(crate) fn let_go(&mut self, id: RequestId, ended: &Try) {
        let _ = (id, ended);
    }

    /// An attempt was dropped since the other of its request was first.
    pub(crate) fn outrun(&mut self, lost: &Try) {
        let _ = lost;
    }

    /// How slow an attempt has to be for a hedge, by the group's running quantile.
    pub(crate) fn hedge_delay(&self, group: GroupId, streams: bool) -> Option<Span> {
        let _ = (group, streams);
        None
    }

    /// A half-open breaker's probe is dispatched.
    pub(crate) fn probe(&mut self, group: GroupId, member: usize) {
        let _ = (group, member);
    }

    /// Whether a membership's breaker admits nothing now.
    pub(crate) fn is_shut(&self, group: GroupId, member: usize) -> bool {
        let _ = (group, member);
        false
    }

    /// Whether a membership's breaker is closed.
    pub(crate) fn is_closed(&self, group: GroupId, member: usize) -> bool {
        let _ = (group, member);
        true
    }

    /// Until when a membership's breaker is open; the past if it is not.
    pub(crate) fn shut_until(&self, group: GroupId, member: usize) -> Time {
        let _ = (group, member);
        Time::ZERO
    }

    /// What a failure says of the deployment: counts it, bars it, rests it, pages somebody.
    pub(crate) fn judge(&mut self, id: RequestId, ended: &Try, failure: &Failure) {
        let deployment = ended.deployment;
        let cooldown = self.config.group(ended.group()).cooldown;
        let growing =
            Length::Growing { first: cooldown.rest, factor: cooldown.grow, max: cooldown.max };
        // A `Retry-After` of zero says nothing of when to come back.
        let asked = failure.retry_after.filter(|span| !span.is_zero());
        let asked = asked.map(|span| span.min(self.config.router().retry_after_max));
        let kind = failure.kind;
        match kind {
            FailureKind::RateLimit => {
                let length =
                    asked.map(Length::Asked).or_else(|| cooldown.enabled.then_some(growing));
                if let Some(length) = length {
                    self.rest(id, ended, Some(ended.key), length, kind);
                }
            }
            FailureKind::QuotaSpent | FailureKind::Authentication | FailureKind::NotFound => {
                self.bar(id, deployment);
                let max = FINAL_REST_MAX;
                let length = Length::Growing { first: FINAL_REST, factor: 2, max };
                let key = (kind != FailureKind::NotFound).then_some(ended.key);
                let begins = self.rest(id, ended, key, length, kind);
                if let Some(asked) = asked {
                    self.rest(id, ended, key, Length::Asked(asked), kind);
                }
                if let Some(key) = key
                    && begins
                {
                    self.observe(Observation::Page { deployment, key, failure: kind });
                }
            }
            FailureKind::Server
            | FailureKind::Connect
            | FailureKind::FirstToken
            | FailureKind::Idle
            | FailureKind::Total
            | FailureKind::Reset
            | FailureKind::Truncated => {
                let (start, now) = (self.start, self.now);
                let (group, member) = (ended.group(), usize::from(ended.member));
                self.health.count(group, member, start, now, true);
                if cooldown.enabled && self.health.is_sick(group, member, &cooldown) {
                    if self.is_spared(group, member) {
                        self.observe(Observation::Spared { deployment, group });
                    } else {
                        self.health.forget(group, member);
                        self.rest(id, ended, None, growing, kind);
                    }
                }
                if let Some(asked) = asked {
                    self.rest(id, ended, None, Length::Asked(asked), kind);
                }
            }
            FailureKind::BadRequest
            | FailureKind::ContextWindow
            | FailureKind::ContentPolicy
            | FailureKind::InvalidOutput => {}
        }
    }

    /// Whether a sick member goes on: it stands alone, or too many of its group rest.
    fn is_spared(&self, group_id: GroupId, member: usize) -> bool {
        let group = self.config.group(group_id);
        let alone = group.members.len() == 1 && group.chain(Detour::Any).is_empty();
        if alone && !group.cooldown.lone {
            return true;
        }
        let others = group.members.iter().enumerate().filter(|(index, m)| {
            *index != member && self.health.of(m.deployment).cooling_until() > self.now
        });
        let most = group.ejected_max.of_ceil(group.members.len() as u64);
        others.count() as u64 + 1 > most
    }

    /// Rests the deployment of an attempt (or a key of it), with jitter; says whether a new rest
    /// began.
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
        let counter = Counter {
            request: id.as_u64(),
            entity: deployment.index() as u32,
            attempt: ended.ordinal,
            index: u32::from(key.is_some()),
        };
        let draws = self.keys.rest;
        let jitter = |span: Span| {
            let most = span.scale(ratio.numerator().into(), ratio.denominator().into());
            Span::from_nanos(draws.below(most.as_nanos().saturating_add(1), counter))
        };
        let Some((rest, begins)) = self.health.rest((deployment, key), length, self.now, jitter)
        else {
            return false;
        };
        let (until, streak) = (rest.until, rest.streak);
        self.observe(Observation::Rested { deployment, key, until, failure, streak });
        begins
    }
}
