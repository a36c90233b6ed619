//! Which deployments rest, and until when; what of each membership was counted.
//!
//! Failures are counted per membership, under that group's policy; a rest is a fact about the
//! deployment (or one of its keys), so every group that shares it sees the same rest.

use alloc::vec::Vec;

use crate::breaker::Breaker;
use crate::quantile::Quantile;
use crate::window::Window;
use crate::{
    BreakerMode, Config, CooldownSpec, DeploymentId, FailureClass, Group, GroupId, RestAfter, Span,
    Time,
};

/// The first rest after a failure that only a person can mend, and the longest of a row.
const MEND: Span = Span::from_secs(300);
pub(crate) const MEND_MAX: Span = Span::from_secs(3_600);
/// For how long after a failure strategies pass a deployment over, if others are left. 10 s: what
/// estimates take to forget half.
const DOUBT: Span = Span::from_secs(10);

/// A rest and how many came in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rest {
    pub(crate) until: Time,
    /// The part of it that a provider asked for.
    pub(crate) asked: Time,
    pub(crate) streak: u8,
}

impl Rest {
    const NONE: Self = Self { until: Time::ZERO, asked: Time::ZERO, streak: 0 };

    /// How many rests in a row there will be if one begins at `now`.
    const fn next_streak(self, now: Time) -> u8 {
        let resting = self.until.as_nanos() > now.as_nanos();
        if resting && self.streak > 0 { self.streak } else { self.streak.saturating_add(1) }
    }
}

/// What was counted of one membership.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    /// Answered calls, failures that count in common, and by class those that do not.
    pub(crate) window: Window<6>,
    /// If the group has breakers, whatever the operator says of the deployment's.
    pub(crate) breaker: Option<Breaker>,
}

/// The places of [`Membership::window`]'s counters: those of classes follow.
const ANSWERED: usize = 0;
const COMMON: usize = 1;

impl Membership {
    /// One of a router that was made at `start`, from now on.
    fn new(group: &Group, start: Time, now: Time) -> Self {
        Self {
            window: Window::of_time(group.cooldown.window, start),
            breaker: group.breaker.as_ref().map(|spec| Breaker::new(spec, start, now)),
        }
    }

    /// The same under another policy; `begins` says whether its breaker holds from now on and did
    /// not before.
    fn revise(&mut self, before: &Group, after: &Group, begins: bool, (start, now): (Time, Time)) {
        if before.cooldown.window != after.cooldown.window {
            self.window = Window::of_time(after.cooldown.window, start);
        }
        match (&mut self.breaker, &after.breaker) {
            (breaker, None) => *breaker = None,
            (breaker @ None, Some(spec)) => *breaker = Some(Breaker::new(spec, start, now)),
            (Some(breaker), Some(spec)) => {
                if before.breaker.map(|before| before.window) != Some(spec.window) {
                    breaker.count_anew(spec, start);
                }
                if begins {
                    breaker.begin(now);
                }
            }
        }
    }

    /// Counts an answered call.
    pub(crate) fn answered(&mut self, now: Time) {
        self.count(now, ANSWERED);
    }

    /// Counts a failure, and says whether by now there are as many as rest a deployment.
    pub(crate) fn failed(
        &mut self,
        cooldown: &CooldownSpec,
        class: FailureClass,
        now: Time,
    ) -> bool {
        match cooldown.classes.of(class).map(|entry| entry.after) {
            Some(RestAfter::Common) => {
                self.count(now, COMMON);
                let totals = self.window.totals();
                let (failed, calls) = (totals[COMMON], totals[ANSWERED] + totals[COMMON]);
                calls >= u64::from(cooldown.calls_min)
                    && cooldown.failures.reached_by(failed, calls)
            }
            Some(RestAfter::Count(most)) => {
                let own = counter_of(class);
                self.count(now, own);
                self.window.totals()[own] >= u64::from(most)
            }
            Some(RestAfter::Never) | None => false,
        }
    }

    /// Forgets what a rest was based on.
    pub(crate) fn forget(&mut self, cooldown: &CooldownSpec, class: FailureClass) {
        match cooldown.classes.of(class).map(|entry| entry.after) {
            Some(RestAfter::Common) => {
                self.window.forget(ANSWERED);
                self.window.forget(COMMON);
            }
            Some(RestAfter::Count(_)) => self.window.forget(counter_of(class)),
            Some(RestAfter::Never) | None => {}
        }
    }

    fn count(&mut self, now: Time, counter: usize) {
        self.window.count_one(now, counter);
    }
}

/// Where a class that counts by itself is counted. The first four may.
const fn counter_of(class: FailureClass) -> usize {
    2 + class as usize
}

/// One key's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyState {
    pub(crate) rest: Rest,
    /// Attempts in flight on it.
    pub(crate) in_flight: u32,
}

/// One deployment's state.
#[derive(Clone, Debug)]
pub(crate) struct DeploymentState {
    pub(crate) rest: Rest,
    pub(crate) keys: Vec<KeyState>,
    /// Attempts in flight on it.
    pub(crate) in_flight: u32,
    /// Until when all of its keys rest.
    cooling_until: Time,
    /// How many of its keys may be used: the first ones. There are more if a revision has taken
    /// some away.
    usable: u8,
    /// While its last call to end failed: until when it is passed over without exception.
    pub(crate) doubted_until: Option<Time>,
}

impl DeploymentState {
    fn new(keys: u8) -> Self {
        let mut state = Self {
            rest: Rest::NONE,
            keys: Vec::new(),
            in_flight: 0,
            cooling_until: Time::ZERO,
            usable: 0,
            doubted_until: None,
        };
        state.revise(keys);
        state
    }

    /// It has so many keys now. The first so many stay what they are.
    fn revise(&mut self, keys: u8) {
        self.remember(keys.max(self.keys.len() as u8));
        self.usable = keys;
        self.refresh();
    }

    /// It has had so many keys.
    pub(crate) fn remember(&mut self, keys: u8) {
        self.keys.resize(keys.into(), KeyState { rest: Rest::NONE, in_flight: 0 });
    }

    fn usable(&self) -> &[KeyState] {
        &self.keys[..usize::from(self.usable)]
    }

    /// Until when nothing may be sent to it; not after now if it is awake.
    pub(crate) const fn cooling_until(&self) -> Time {
        self.cooling_until
    }

    /// Whether those that look at load pass it over if they can. What fails at once never has a
    /// call in flight for long, nor uses up a limit: it would be their favourite. So for a while
    /// after a failure it gets no call, and then one at a time, until one is answered.
    pub(crate) const fn is_doubtful(&self, now: Time) -> bool {
        match self.doubted_until {
            Some(until) => until.as_nanos() > now.as_nanos() || self.in_flight > 0,
            None => false,
        }
    }

    /// Until when what rests it was asked for by a provider, for all of its keys; not after now if
    /// it may be pressed.
    pub(crate) fn asked_until(&self) -> Time {
        let keys = self.usable().iter().map(|key| key.rest.asked).min().unwrap_or(Time::ZERO);
        keys.max(self.rest.asked)
    }

    pub(crate) fn refresh(&mut self) {
        let keys = self.usable().iter().map(|k| k.rest.until).min().unwrap_or(Time::ZERO);
        self.cooling_until = keys.max(self.rest.until);
    }

    /// Whether it may be used although it rests: somebody panics, and no provider asked for this.
    pub(crate) fn may_be_pressed(&self, now: Time) -> bool {
        self.rest.asked <= now && self.usable().iter().any(|key| key.rest.asked <= now)
    }

    /// The key with the fewest attempts in flight of those that are awake, or, pressed, of those
    /// whose provider asked for nothing; the first of several.
    fn pick_key(&self, now: Time, pressed: bool) -> u8 {
        let end = |rest: Rest| if pressed { rest.asked } else { rest.until };
        let awake = self.usable().iter().enumerate().filter(|(_, k)| end(k.rest) <= now);
        let (best, _) = awake.min_by_key(|(_, k)| k.in_flight).expect("who is eligible has a key");
        best as u8
    }

    fn rest_mut(&mut self, key: Option<u8>) -> &mut Rest {
        match key {
            Some(key) => &mut self.keys[usize::from(key)].rest,
            None => &mut self.rest,
        }
    }
}

/// How long a rest lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// What the provider asked for.
    Asked(Span),
    /// The first of a row, growing by a factor up to a cap.
    Growing { first: Span, factor: u8, max: Span },
    /// As long as it may take a person to mend it: five minutes, doubling up to an hour.
    Mend,
}

impl Length {
    /// Nth of a row, counted from one.
    pub(crate) fn of(self, streak: u8) -> Span {
        match self {
            Self::Asked(span) => span,
            Self::Growing { first, factor, max } => {
                let mut span = first;
                for _ in 1..streak {
                    if span >= max || factor == 1 {
                        break;
                    }
                    span = span * u64::from(factor);
                }
                span.min(max)
            }
            Self::Mend => Self::Growing { first: MEND, factor: 2, max: MEND_MAX }.of(streak),
        }
    }

    /// Up to when such a rest, from `now` and with its jitter until `until`, was asked for: a
    /// panic does not override that part. What a person must mend counts as asked for.
    fn asked(self, now: Time, until: Time) -> Time {
        match self {
            Self::Asked(span) => now + span,
            Self::Growing { .. } => Time::ZERO,
            Self::Mend => until,
        }
    }
}

/// The health of everything a router may send to.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) deployments: Vec<DeploymentState>,
    /// By group, then member.
    pub(crate) memberships: Vec<Vec<Membership>>,
    /// How long attempts of a group take to their first token, or to their end: by group, those
    /// that do not stream first.
    pub(crate) waits: Vec<[Quantile; 2]>,
}

impl Health {
    pub(crate) fn new(config: &Config, start: Time) -> Self {
        let deployments = config.deployments().iter().map(|d| DeploymentState::new(d.keys));
        let memberships = config.groups().iter().map(|group| {
            let members = group.members.iter();
            members.map(|_| Membership::new(group, start, start)).collect()
        });
        let waits = config.groups().iter().map(|_| [Quantile::new(start), Quantile::new(start)]);
        Self {
            deployments: deployments.collect(),
            memberships: memberships.collect(),
            waits: waits.collect(),
        }
    }

    /// Another configuration takes over. Rests, counts, breakers and times stay; a window of
    /// another length starts empty; a breaker that was not enforced before, or not there, begins
    /// anew.
    #[cold]
    pub(crate) fn revise(&mut self, last: &Config, next: &Config, (start, now): (Time, Time)) {
        for (index, deployment) in next.deployments().iter().enumerate() {
            match self.deployments.get_mut(index) {
                Some(state) => state.revise(deployment.keys),
                None => self.deployments.push(DeploymentState::new(deployment.keys)),
            }
        }
        self.memberships.resize(next.groups().len(), Vec::new());
        let groups = self.memberships.iter_mut().zip(next.groups()).enumerate();
        for (index, (memberships, after)) in groups {
            let before = last.groups().get(index);
            for (place, member) in after.members.iter().enumerate() {
                let known = before.and_then(|before| Some((before, before.members.get(place)?)));
                match (known, memberships.get_mut(place)) {
                    (Some((before, old)), Some(membership)) => {
                        let begins = old.breaker != BreakerMode::Enforce
                            && member.breaker == BreakerMode::Enforce;
                        membership.revise(before, after, begins, (start, now));
                    }
                    (None, _) | (_, None) => memberships.push(Membership::new(after, start, now)),
                }
            }
        }
        for (index, group) in next.groups().iter().enumerate() {
            let none = [Quantile::new(start), Quantile::new(start)];
            match self.waits.get_mut(index) {
                Some(_) if group.notes_waits() => {}
                Some(waits) => *waits = none,
                None => self.waits.push(none),
            }
        }
    }

    pub(crate) fn of(&self, deployment: DeploymentId) -> &DeploymentState {
        &self.deployments[deployment.index()]
    }

    /// Takes a place on the best key of a deployment; `pressed` if it rests.
    pub(crate) fn seize(&mut self, deployment: DeploymentId, now: Time, pressed: bool) -> u8 {
        let state = &self.deployments[deployment.index()];
        let key = state.pick_key(now, pressed);
        self.occupy(deployment, key);
        key
    }

    /// Takes a place on a key without choosing: for a flight that a snapshot brings back.
    pub(crate) fn occupy(&mut self, deployment: DeploymentId, key: u8) {
        let state = &mut self.deployments[deployment.index()];
        state.in_flight += 1;
        state.keys[usize::from(key)].in_flight += 1;
    }

    /// Gives a place back.
    pub(crate) fn release(&mut self, deployment: DeploymentId, key: u8) {
        let state = &mut self.deployments[deployment.index()];
        assert!(state.in_flight > 0, "an end pairs with a dispatch");
        state.in_flight -= 1;
        state.keys[usize::from(key)].in_flight -= 1;
    }

    pub(crate) fn membership(&self, group: GroupId, member: usize) -> &Membership {
        &self.memberships[group.index()][member]
    }

    pub(crate) fn membership_mut(&mut self, group: GroupId, member: usize) -> &mut Membership {
        &mut self.memberships[group.index()][member]
    }

    /// Rests a deployment, or one of its keys; a rest is only ever extended. `draw` gives the
    /// jitter for a length. Returns the new rest and whether it is news to a person (what
    /// was left before it is less than anything that a person must mend), or `None` if the running
    /// one is at least as long.
    pub(crate) fn rest(
        &mut self,
        (deployment, key): (DeploymentId, Option<u8>),
        length: Length,
        now: Time,
        jitter: impl FnOnce(Span) -> Span,
    ) -> Option<(Rest, bool)> {
        let state = &mut self.deployments[deployment.index()];
        let rest = state.rest_mut(key);
        let is_news = rest.until.since(now) < MEND.scale(1, 2);
        let streak = rest.next_streak(now);
        let span = length.of(streak);
        let until = now + span + jitter(span);
        rest.asked = rest.asked.max(length.asked(now, until));
        if until <= rest.until {
            return None;
        }
        *rest = Rest { until, streak, ..*rest };
        let rest = *rest;
        state.refresh();
        Some((rest, is_news))
    }

    /// Whether a rest until then was asked for, or somebody has to mend what led to it.
    pub(crate) fn is_asked(&self, deployment: DeploymentId, key: Option<u8>, until: Time) -> bool {
        let Some(state) = self.deployments.get(deployment.index()) else { return false };
        let rest = match key {
            Some(key) => state.keys.get(usize::from(key)).map(|key| key.rest),
            None => Some(state.rest),
        };
        rest.is_some_and(|rest| rest.asked >= until)
    }

    /// Another replica rests it, perhaps since it was `asked` to: the later end holds, and no row
    /// grows.
    pub(crate) fn rest_until(
        &mut self,
        deployment: DeploymentId,
        key: Option<u8>,
        until: Time,
        asked: bool,
    ) {
        let Some(state) = self.deployments.get_mut(deployment.index()) else { return };
        if key.is_some_and(|key| usize::from(key) >= state.keys.len()) {
            return;
        }
        let rest = state.rest_mut(key);
        rest.until = rest.until.max(until);
        if asked {
            rest.asked = rest.asked.max(until);
        }
        state.refresh();
    }

    /// A call failed.
    pub(crate) fn doubt(&mut self, deployment: DeploymentId, now: Time) {
        self.deployments[deployment.index()].doubted_until = Some(now + DOUBT);
    }

    /// A call was answered, so there is no doubt. If it was dispatched after the last rest, the
    /// row is over too.
    pub(crate) fn well(&mut self, deployment: DeploymentId, key: u8, dispatched: Time) {
        let state = &mut self.deployments[deployment.index()];
        state.doubted_until = None;
        for rest in [&mut state.rest, &mut state.keys[usize::from(key)].rest] {
            if dispatched >= rest.until {
                rest.streak = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_in_a_row_grow_to_their_cap() {
        let secs = Span::from_secs;
        let length = Length::Growing { first: secs(5), factor: 2, max: secs(60) };
        let spans: Vec<Span> = (1..=6).map(|streak| length.of(streak)).collect();
        assert_eq!(spans, [5, 10, 20, 40, 60, 60].map(secs));
    }

    #[test]
    fn what_was_asked_for_is_part_of_a_rest_however_long_that_is() {
        let deployments = alloc::vec![DeploymentState::new(1)];
        let (memberships, waits) = (Vec::new(), Vec::new());
        let mut health = Health { deployments, memberships, waits };
        let place = (DeploymentId::at(0), None);
        let mut rest = |now, length| {
            health.rest(place, length, Time::from_secs(now), |span| span.scale(1, 10));
            let rest = health.deployments[0].rest;
            (rest.until.as_nanos() / 1_000_000_000, rest.asked.as_nanos() / 1_000_000_000)
        };
        let first = Span::from_secs(100);
        assert_eq!(rest(0, Length::Growing { first, factor: 2, max: first }), (110, 0));
        assert_eq!(
            rest(10, Length::Asked(Span::from_secs(50))),
            (110, 60),
            "within the running one"
        );
        assert_eq!(rest(20, Length::Asked(Span::from_secs(10))), (110, 60), "only ever extended");
        assert_eq!(rest(20, Length::Asked(Span::from_secs(200))), (240, 220), "jitter is ours");
        assert_eq!(rest(230, Length::Mend), (560, 560), "a person must mend it");
    }
}
